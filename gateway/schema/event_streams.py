"""Server-sent events: a stream for each operation, as graphql-sse's distinct connections have it.

A stream ends by the event `complete`, when the operation is over or the caller's token is. It ends
without one when the gateway stops: then clients connect again, each after a time of its own.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import deadlines
from gateway.context import Context
from gateway.errors import BadInput, Forbidden, GatewayError
from gateway.headers import request_headers
from gateway.negotiation import weights
from gateway.schema.execution.shared_subscriptions import Message, Subscribed
from gateway.schema.streams import Caller, Stream, Streams, result_of

EVENT_STREAM = "text/event-stream"
LAST_EVENT_ID = "last-event-id"
BEAT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"
RETRY_SECONDS = 5
"""The longest time after which a client of a gateway that stops is to connect again."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # Else nginx collects events before it passes them on.
    (b"x-accel-buffering", b"no"),
]


def event(message: Message) -> bytes:
    """Return a message as an event."""
    if message.cursor is None:
        return b"event: next\ndata: %b\n\n" % message.data
    return b"event: next\nid: %b\ndata: %b\n\n" % (message.cursor.encode(), message.data)


class OneResult(Response):
    """The stream of an operation that has one result."""

    media_type = EVENT_STREAM

    def __init__(self, result: dict[str, Any]) -> None:
        """Take the result as JSON has it."""
        super().__init__(_last(result))


def _last(result: dict[str, Any]) -> bytes:
    """Return the events that end a stream with a result."""
    return event(Message(orjson.dumps(result))) + COMPLETE


class EventStream:
    """The stream of a subscription: the answer to its request."""

    def __init__(self, request: Request, ctx: Context, subscribed: Subscribed) -> None:
        state, headers = request.app.state, request_headers(request.scope)
        caller = Caller(state.contexts, headers, request.scope["path"], request.method, ctx)
        self._request = request
        self._streams: Streams = state.streams
        self._stream = Stream(self._streams, caller, ctx, subscribed)
        self._task: asyncio.Task[Any] | None = None
        self._is_ended = self._is_gone = False

    async def begin(self) -> None:
        """Begin the stream, and raise as `Stream.begin` does."""
        last = request_headers(self._request.scope).get(LAST_EVENT_ID)
        await self._stream.begin(self._request.app.state, self._end, last)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer the request, until the stream ends."""
        self._task = asyncio.current_task()
        scope[deadlines.ON_HANG_UP] = self._hang_up

        async def write(body: bytes) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": True})

        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            if self._stream.first is None:
                await write(BEAT)
            if not (self._is_ended or deadlines.HUNG_UP in scope):
                await self._stream.follow(
                    self._streams.heartbeat,
                    lambda message: write(event(message)),
                    lambda: write(BEAT),
                )
        except asyncio.CancelledError:
            if not self._is_ended or self._task is None:
                raise
            self._task.uncancel()
        except GatewayError as error:
            # Nothing ends what is at its end.
            self._task = None
            await send({"type": "http.response.body", "body": _last(result_of(error))})
            return
        finally:
            self._stream.close()
        if not self._is_gone:
            await self._say_goodbye(send)

    async def _say_goodbye(self, send: Send) -> None:
        """End the stream so that the client connects again, when others have."""
        self._task, body = None, b""
        # Others than browsers' own client choose a time by themselves, and don't expect this.
        if self._request.method == "GET":
            milliseconds = random.randint(0, RETRY_SECONDS * 1000)  # noqa: S311 - no secret
            body = b"retry: %d\n\n" % milliseconds
        await send({"type": "http.response.body", "body": body})

    def _hang_up(self) -> None:
        self._is_gone = True
        self._end()

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            if self._task is not None:
                self._task.cancel()


def takes_stream(headers: Mapping[str, str]) -> bool:
    """Return True if a request asks for a stream by its name."""
    return weights(headers.get("accept", "")).get(EVENT_STREAM, 0) > 0


async def opened(request: Request, ctx: Context, subscribed: Subscribed) -> ASGIApp:
    """Return the answer to a subscription: a stream, or what is wrong with its arguments.

    Raises Overloaded and RateLimited, and what the first message does.
    """
    stream = EventStream(request, ctx, subscribed)
    try:
        await stream.begin()
    except (BadInput, Forbidden) as error:
        return OneResult(result_of(error))
    return stream
