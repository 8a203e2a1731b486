"""Streams of server-sent events, read from an application in this process as they come."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.applications import Starlette

from gateway import deadlines

PATIENCE = 30
"""How many seconds something may take, on a machine with too much else to do."""


class Event(NamedTuple):
    """An event; a comment has the name `:`."""

    name: str
    data: Any
    id: str | None = None
    retry: int | None = None


class Stream:
    """The answer to one request, while it goes on."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.scope: dict[str, Any] = {}
        self.may_write = asyncio.Event()
        """Cleared by a client that reads nothing."""
        self.may_write.set()
        self.is_gone = asyncio.Event()
        self.body = bytearray()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._started = asyncio.Event()

    async def send(self, message: Any) -> None:
        """Take what the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._started.set()
            return
        await self.may_write.wait()
        if message.get("body"):
            self._chunks.put_nowait(message["body"])
        if not message.get("more_body"):
            self._chunks.put_nowait(None)

    async def started(self) -> int:
        """Return the status, when it is known."""
        async with asyncio.timeout(PATIENCE):
            await self._started.wait()
        return self.status

    async def rest(self) -> bytes:
        """Return the body up to its end."""
        async with asyncio.timeout(PATIENCE):
            while (chunk := await self._chunks.get()) is not None:
                self.body += chunk
        found, self.body = bytes(self.body), bytearray()
        return found

    async def event(self, *, comments: bool = False) -> Event | None:
        """Return the next event; None at the end."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while b"\n\n" in self.body:
                    text, _, rest = bytes(self.body).partition(b"\n\n")
                    self.body = bytearray(rest)
                    found = parsed(text.decode())
                    if comments or found.name != ":":
                        return found
                chunk = await self._chunks.get()
                if chunk is None:
                    return None
                self.body += chunk

    async def data(self) -> Any:
        """Return the data of the next event, which has no errors."""
        event = await self.event()
        assert event is not None
        assert event.name == "next", event
        assert "errors" not in event.data, event.data
        return event.data["data"]

    def hang_up(self) -> None:
        """Close the connection."""
        deadlines.hang_up(self.scope)


def parsed(text: str) -> Event:
    """Return an event of its lines."""
    if text.startswith(":") or not text:
        return Event(":", None)
    fields = dict(line.split(":", 1) for line in text.splitlines())
    data = fields.get("data", "").strip()
    retry = fields.get("retry")
    return Event(
        fields.get("event", "").strip(),
        json.loads(data) if data else None,
        fields["id"].strip() if "id" in fields else None,
        None if retry is None else int(retry),
    )


async def ended(task: "asyncio.Future[None]") -> None:
    """Return when an application has served a client that is gone; end it if it doesn't."""
    async with asyncio.timeout(PATIENCE):
        if not task.done():
            await asyncio.wait({task}, timeout=1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def subscribed(
    app: Starlette,
    query: str | bytes,
    variables: Mapping[str, Any] | None = None,
    *,
    project: str = "p1",
    method: str = "POST",
    **headers: str,
) -> AsyncIterator[Stream]:
    """Open the stream of an operation, of an application that has been started.

    In place of a query, the whole body may be given.
    """
    stream = Stream()
    given = {"accept": "text/event-stream", "content-type": "application/json"}
    given |= {"host": "127.0.0.1", "x-project-id": project}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"query": query, "variables": variables or {}}
    body = query if isinstance(query, bytes) else json.dumps(sent).encode()
    in_url = urlencode({"query": query, "variables": json.dumps(variables or {})}).encode()
    came = [{"type": "http.request", "body": body, "more_body": False}]
    stream.scope |= {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": in_url if method == "GET" else b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> Any:
        if came:
            return came.pop()
        await stream.is_gone.wait()
        return {"type": "http.disconnect"}

    task = asyncio.ensure_future(app(stream.scope, receive, stream.send))  # type: ignore[arg-type]
    try:
        yield stream
    finally:
        stream.may_write.set()
        stream.hang_up()
        await ended(task)
