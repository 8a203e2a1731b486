"""WebSockets of an application in this process, and the messages of graphql-transport-ws."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from tests.support.streams import PATIENCE, ended

PROTOCOL = "graphql-transport-ws"


class Socket:
    """One socket, as its client sees it."""

    def __init__(self) -> None:
        """Begin before the handshake."""
        self.subprotocol: str | None = None
        self.headers: dict[str, str] = {}
        self.may_write = asyncio.Event()
        """Cleared by a client that reads nothing."""
        self.may_write.set()
        self._came: asyncio.Queue[Any] = asyncio.Queue()
        self._sent: asyncio.Queue[Any] = asyncio.Queue()
        self._sent.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> Any:
        """Return to the application what the client has sent."""
        return await self._sent.get()

    async def take(self, message: Any) -> None:
        """Take what the application sends."""
        await self.may_write.wait()
        if message["type"] == "websocket.accept":
            self.subprotocol = message["subprotocol"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self._came.put_nowait(message)

    def send(self, message: object) -> None:
        """Send a message; a text or bytes as they are."""
        match message:
            case bytes():
                sent: Any = {"bytes": message}
            case str():
                sent = {"text": message}
            case _:
                sent = {"text": json.dumps(message)}
        self._sent.put_nowait({"type": "websocket.receive"} | sent)

    def subscribe(self, key: str, query: str, variables: Mapping[str, Any] | None = None) -> None:
        """Begin an operation."""
        payload = {"query": query, "variables": variables or {}}
        self.send({"type": "subscribe", "id": key, "payload": payload})

    async def next(self) -> Any:
        """Return what the application sends next, as ASGI has it."""
        async with asyncio.timeout(PATIENCE):
            return await self._came.get()

    async def message(self) -> Any:
        """Return the next message."""
        came = await self.next()
        assert came["type"] == "websocket.send", came
        return json.loads(came["text"])

    async def data(self, key: str) -> Any:
        """Return the data of the next message, which is of this operation and has no errors."""
        message = await self.message()
        assert (message["type"], message["id"]) == ("next", key), message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def code(self, key: str) -> str:
        """Return the code of the error by which an operation ends."""
        message = await self.message()
        assert (message["type"], message["id"]) == ("error", key), message
        (error,) = message["payload"]
        return str(error["extensions"]["code"])

    async def closed(self) -> tuple[int, str]:
        """Return the code and the reason by which the socket is closed, and nothing else comes."""
        came = await self.next()
        assert came["type"] == "websocket.close", came
        return came.get("code", 1000), came.get("reason", "")

    async def refused(self) -> tuple[int, Any]:
        """Return the status, and the body, by which the handshake is answered."""
        start, body = await self.next(), await self.next()
        assert start["type"] == "websocket.http.response.start", start
        return start["status"], json.loads(body["body"])

    async def begin(self, payload: Mapping[str, Any] | None = None) -> None:
        """Say who one is; the gateway agrees."""
        self.send({"type": "connection_init"} | ({} if payload is None else {"payload": payload}))
        assert await self.message() == {"type": "connection_ack"}

    def hang_up(self) -> None:
        """Close the connection."""
        self._sent.put_nowait({"type": "websocket.disconnect", "code": 1005})


@asynccontextmanager
async def connected(
    app: Starlette,
    *,
    project: str = "p1",
    subprotocols: Sequence[str] = (PROTOCOL,),
    begins: bool = True,
    **headers: str,
) -> AsyncIterator[Socket]:
    """Open a socket of an application that has been started; with `begins`, say who one is."""
    socket = Socket()
    given = {"host": "127.0.0.1", "x-project-id": project}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}},
    }
    task = asyncio.ensure_future(app(scope, socket.receive, socket.take))  # type: ignore[arg-type]
    try:
        if begins:
            await socket.begin()
        yield socket
    finally:
        socket.may_write.set()
        socket.hang_up()
        await ended(task)
