"""HTTP/1.1 on connections that stay open, by asyncio: as quick as a client in Python can be."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.support.raw_http import BODILESS, Answer


class Wire:
    """One connection, which is made by the first request; one request at a time."""

    def __init__(self, url: str) -> None:
        """Take the server's URL."""
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send a request; return the answer, whose length is known."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *fields = head[:-4].split("\r\n")
        status = int(first.split(" ")[1])
        found = dict(field.split(": ", 1) for field in fields)
        answered = {name.lower(): value for name, value in found.items()}
        length = 0 if status in BODILESS else int(answered["content-length"])
        return Answer(status, answered, await reader.readexactly(length))
