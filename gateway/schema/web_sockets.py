"""WebSockets: the protocol `graphql-transport-ws`, many operations over one connection.

A socket says once who it is for. Each operation is a request of its own, which goes through the
application as a POST does: so limits, places, costs, deadlines, answers and the log are those of
all requests. Only the stream of a subscription stays, and is followed here.

What goes wrong with an operation is a message `error`; what goes wrong with the socket is a code by
which it is closed.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from math import inf
from typing import Any, Final

import orjson
import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from gateway import deadlines
from gateway.catalogue import json_values
from gateway.context import Context
from gateway.draining import ENDS_IN_TURN
from gateway.errors import (
    BadInput,
    Forbidden,
    GatewayError,
    RateLimited,
    Unauthenticated,
    Unavailable,
    shown,
)
from gateway.overload import ARRIVALS, Arrivals
from gateway.schema.execution.shared_subscriptions import Message as Answer
from gateway.schema.execution.shared_subscriptions import Subscribed
from gateway.schema.json_size import JSONSize
from gateway.schema.socket_closing import Close, Closing
from gateway.schema.socket_requests import headers_of, request_of
from gateway.schema.streams import TAKER, Caller, Stream, Streams, result_of
from gateway.settings import Settings

log = structlog.get_logger(__name__)

PROTOCOL: Final = "graphql-transport-ws"
_GONE = (WebSocketDisconnect, WebSocketDisconnected)


class GraphQLSockets:
    """The endpoint of sockets: an ASGI application for one address."""

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.request_timeout
        self._size = JSONSize(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a socket until it is closed. Raises Overloaded before it is accepted."""
        streams: Streams = scope["app"].state.streams
        streams.admit()
        connection = WebSocket(scope, receive, send)
        if PROTOCOL in scope.get("subprotocols", ()):
            await connection.accept(PROTOCOL)
            await Socket(connection, streams, self._size, self._seconds).serve()
        else:
            await connection.accept()
            await connection.close(Close.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")


class Socket:
    """One socket: who it is for, and its operations."""

    def __init__(
        self, connection: WebSocket, streams: Streams, size: JSONSize, seconds: float
    ) -> None:
        """Take an accepted connection, whose first message must come within so many seconds."""
        self.streams = streams
        self.caller: Caller | None = None
        self.places: SocketPlaces | None = None
        self.operations: dict[str, Operation] = {}
        self.request: Scope = {}
        """The scope that each operation has as a request."""
        self.is_ending = False
        """True once no stream is to begin any more."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._connection, self._size = connection, size
        self._task = asyncio.current_task()
        self._silent_until = asyncio.get_running_loop().time() + seconds
        self._closing: Closing | None = None

    async def serve(self) -> None:
        """Serve it until it is closed."""
        try:
            await self._talk()
        except asyncio.CancelledError:
            if self._closing is None or self._task is None:
                raise
            self._task.uncancel()
        finally:
            # Nothing ends what is at its end.
            self._task, self.is_ending = None, True
            await self._end_operations()
            if self.places is not None:
                self.places.close()
        if self._closing is not None:
            with suppress(*_GONE):
                await self._connection.close(self._closing.code, self._closing.reason)

    async def _talk(self) -> None:
        """Take messages until there is a reason to close the socket, or the client has."""
        try:
            while True:
                message = await self._next()
                if message is not None:
                    await self._take(message)
        except _GONE:
            return
        except Closing as closing:
            self._closing = closing
        except Exception:
            log.exception("socket failed")
            self._closing = Closing(Close.INTERNAL, "Internal server error")

    def end(self, closing: Closing) -> None:
        """Close it, unless it is being closed already."""
        if self._closing is None and self._task is not None:
            self._closing = closing
            self._task.cancel()

    async def send(self, message: str) -> None:
        """Send a message, as soon as the client has taken enough of those before."""
        await self._connection.send({"type": "websocket.send", "text": message})

    async def _next(self) -> Message | None:
        """Return the next message of the client; None when the caller has been validated again.

        Raises WebSocketDisconnect and Closing.
        """
        caller = self.caller
        until = self._silent_until if caller is None else caller.due_at
        try:
            async with asyncio.timeout_at(None if until == inf else until):
                message = await self._connection.receive()
        except TimeoutError:
            if caller is None:
                reason = "Connection initialisation timeout"
                raise Closing(Close.INITIALISATION_TIMEOUT, reason) from None
            try:
                await caller.check()
            except Unauthenticated as error:
                raise Closing(Close.FORBIDDEN, error.message) from None
            return None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        return message

    async def _take(self, message: Message) -> None:
        """Do as a message says. Raises Closing, and WebSocketDisconnect where that is told."""
        match self._read(message.get("text")):
            case {"type": "connection_init", **rest}:
                await self._begin(rest.get("payload"))
            case {"type": "ping", **rest}:
                payload = {"payload": rest["payload"]} if rest.get("payload") is not None else {}
                await self.send(orjson.dumps({"type": "pong", **payload}).decode())
            case {"type": "pong"}:
                pass
            case {"type": "subscribe", "id": str(key), "payload": dict(payload)} if key:
                self._operate(key, payload)
            case {"type": "complete", "id": str(key)}:
                if (operation := self.operations.pop(key, None)) is not None:
                    operation.end()
            case other:
                raise Closing(Close.BAD_REQUEST, f"not a message of {PROTOCOL}: {shown(other)}")

    def _read(self, text: str | None) -> Any:
        """Return a message. Raises Closing for what is no JSON, or too much of it."""
        if text is None:
            raise Closing(Close.BAD_REQUEST, "a message must be a text, not binary")
        data = text.encode()
        try:
            self._size.check(data)
            return json_values.parse(data, what="the message")
        except BadInput as error:
            raise Closing(Close.BAD_REQUEST, error.message) from None

    async def _begin(self, payload: Any) -> None:
        """Take who the socket is for, from the handshake and the first message. Raises Closing."""
        if self.caller is not None:
            reason = "Too many initialisation requests"
            raise Closing(Close.TOO_MANY_INITIALISATIONS, reason)
        scope = self._connection.scope
        state = scope["app"].state
        headers = headers_of(scope, payload)
        self.request = request_of(scope, headers)
        try:
            ctx = await state.contexts.open(headers, scope["path"], method="POST")
            places = SocketPlaces(self, ctx)
        except (Unauthenticated, Forbidden) as error:
            # The code on which clients ask for another token, and come back.
            raise Closing(Close.FORBIDDEN, error.message) from None
        except (Unavailable, RateLimited) as error:
            raise Closing(Close.TRY_AGAIN_LATER, error.message) from None
        except GatewayError as error:
            raise Closing(Close.BAD_REQUEST, error.message) from None
        self.places = places
        self.caller = Caller(state.contexts, headers, scope["path"], "POST", ctx)
        scope[ENDS_IN_TURN] = True
        await self.send('{"type":"connection_ack"}')

    def _operate(self, key: str, payload: Mapping[str, Any]) -> None:
        """Begin an operation. Raises Closing."""
        if self.caller is None or self.places is None:
            raise Closing(Close.UNAUTHORIZED, "Unauthorized")
        if key in self.operations:
            raise Closing(Close.SUBSCRIBER_EXISTS, f"Subscriber for {shown(key)} already exists")
        operation = self.operations[key] = Operation(self, self.caller, self.places, key, payload)
        self.tasks.add(operation.task)
        operation.task.add_done_callback(self.tasks.discard)

    async def _end_operations(self) -> None:
        """End all streams, and all requests but those that the stop of the gateway leaves time."""
        stops = self._closing is not None and self._closing.code is Close.SERVICE_RESTART
        for operation in [*self.operations.values()]:
            if operation.is_followed or not stops:
                operation.end()
        while self.tasks:
            await asyncio.gather(*self.tasks, return_exceptions=True)


class SocketPlaces:
    """The places of a socket: one, which its first subscription has, and more for others."""

    def __init__(self, socket: Socket, ctx: Context) -> None:
        """Take the first place. Raises Overloaded and RateLimited."""
        self._streams, self._owner = socket.streams, ctx
        self._count = 0
        stops = Closing(Close.SERVICE_RESTART, "the gateway is stopping: connect again")
        self._streams.enter(self, ctx, lambda: socket.end(stops))
        self._more: list[object] = []

    def enter(self, stream: object, ctx: Context, end: Any) -> None:  # noqa: ARG002 - a seam
        """Count a stream, which ends with the socket. Raises Overloaded and RateLimited."""
        if self._count:
            place = object()
            self._streams.enter(place, self._owner, lambda: None)
            self._more.append(place)
        self._count += 1

    def leave(self, stream: object, ctx: Context) -> None:  # noqa: ARG002 - a seam
        """Count a stream no more."""
        self._count -= 1
        if self._more:
            self._streams.leave(self._more.pop(), self._owner)

    def close(self) -> None:
        """Leave the first place, when all streams have left theirs."""
        self._streams.leave(self, self._owner)


class Operation:
    """One operation of a socket: a request, and perhaps a stream afterwards."""

    def __init__(
        self,
        socket: Socket,
        caller: Caller,
        places: SocketPlaces,
        key: str,
        payload: Mapping[str, Any],
    ) -> None:
        """Begin it: `key` is the client's name for it, `payload` what would be its body."""
        self.is_asked = False
        """True once the request is over."""
        self.is_followed = False
        """True for a stream that has begun."""
        self._socket, self._caller, self._places = socket, caller, places
        self._key, self._name = key, orjson.dumps(key).decode()
        self._scope: Scope = {**socket.request, TAKER: self}
        self._body = orjson.dumps(payload)
        self._stream: Stream | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """End it without a word, unless it has begun to write."""
        if self.is_asked:
            self.task.cancel()
        else:
            deadlines.hang_up(self._scope)

    async def take(self, ctx: Context, subscribed: Subscribed) -> Response:
        """Begin the stream of a subscription; return a response that only ends the request.

        Raises as `Stream.begin` does.
        """
        stream = Stream(self._places, self._caller, ctx, subscribed)
        await stream.begin(self._scope["app"].state, lambda: None)
        self._stream = stream
        return Response()

    async def _run(self) -> None:
        try:
            status, answer = await self._ask()
            if self._stream is None:
                await self._answer(status, answer)
            elif self._is_wanted() and not self._socket.is_ending:
                self.is_followed = True
                await self._stream.follow(self._socket.streams.heartbeat, self._tell)
        except Unauthenticated as error:
            self._socket.end(Closing(Close.FORBIDDEN, error.message))
        except GatewayError as error:
            await self._fail(result_of(error))
        except _GONE:
            pass
        except Exception:
            log.exception("operation failed")
            self._socket.end(Closing(Close.INTERNAL, "Internal server error"))
        finally:
            if self._stream is not None:
                self._stream.close()
            if self._is_wanted():
                del self._socket.operations[self._key]

    async def _ask(self) -> tuple[int, bytes]:
        """Send the operation through the application; return the answer's status and body."""
        scope = self._scope
        came = [{"type": "http.request", "body": self._body, "more_body": False}]
        status, parts = 0, list[bytes]()

        async def receive() -> Message:
            return came.pop() if came else await asyncio.get_running_loop().create_future()

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        app: ASGIApp = scope["app"]
        arrivals: Arrivals | None = scope.get(ARRIVALS)
        await (app if arrivals is None else arrivals.counted(app))(scope, receive, send)
        self.is_asked = True
        # A stream needs them no more.
        self._scope, self._body = {}, b""
        return status, b"".join(parts)

    async def _answer(self, status: int, body: bytes) -> None:
        """Tell the answer of a request, which has data, or was never executed."""
        result = {"data": None} if status == HTTPStatus.OK else orjson.loads(body)
        if "data" in result:
            await self._tell(Answer(body))
            await self._say(f'{{"id":{self._name},"type":"complete"}}', is_last=True)
        else:
            await self._fail(result)

    async def _tell(self, answer: Answer) -> None:
        payload = answer.data.decode()
        await self._say(f'{{"id":{self._name},"type":"next","payload":{payload}}}')

    async def _fail(self, result: Mapping[str, Any]) -> None:
        payload = orjson.dumps(result["errors"]).decode()
        try:
            await self._say(
                f'{{"id":{self._name},"type":"error","payload":{payload}}}', is_last=True
            )
        except _GONE:
            return

    async def _say(self, message: str, *, is_last: bool = False) -> None:
        """Send a message, unless the client has ended the operation; forget it after the last."""
        if self._is_wanted():
            if is_last:
                del self._socket.operations[self._key]
            await self._socket.send(message)

    def _is_wanted(self) -> bool:
        return self._socket.operations.get(self._key) is self
