"""A way to a PostgreSQL server that can be cut, and mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import sqlalchemy as sa


class Cable:
    """Forwards a port of this machine to a PostgreSQL server.

    `cut` ends every connection and refuses others; `jam` keeps connections, and takes others, but
    nothing passes; `mend` undoes either. `jam_at` jams it when a word is sent to the server, before
    or after it has arrived.
    """

    def __init__(self, url: str) -> None:
        """Take the URL of the database at the other end."""
        self._target = sa.make_url(url)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._port = 0
        self.accepted = 0
        """How many connections there have been."""
        self._word: bytes | None = None
        self._arrives = False

    @property
    def url(self) -> str:
        """The URL of the database at this end."""
        near = self._target.set(host="127.0.0.1", port=self._port, query={})
        return near.render_as_string(hide_password=False)

    async def __aenter__(self) -> Self:
        """Lay the cable."""
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Remove it."""
        await self.cut()

    async def mend(self) -> None:
        """Let everything through."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Let nothing through, and let it be known."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def jam(self) -> None:
        """Let nothing through, in silence."""
        self._flowing.clear()

    def jam_at(self, word: bytes, *, arrives: bool) -> None:
        """Jam it when this word is sent; it arrives or not, but no answer comes back."""
        self._word, self._arrives = word, arrives

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._tasks.add(task)
        try:
            async with self._far_end() as (far_reader, far_writer):
                await asyncio.gather(
                    self._forward(reader, far_writer), self._forward(far_reader, writer)
                )
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    @asynccontextmanager
    async def _far_end(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        folder, port = self._target.query.get("host"), self._target.port or 5432
        reader, writer = await (
            asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
            if folder
            else asyncio.open_connection(self._target.host, port)
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._word is not None and self._word in data:
                if self._arrives:
                    writer.write(data)
                    data = b""
                self._word = None
                self.jam()
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
