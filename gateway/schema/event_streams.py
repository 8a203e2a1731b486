"""Server-sent events: a stream for each operation, as graphql-sse's distinct connections have it.

A stream ends by the event `complete`, when the operation is over or the caller's token is. It ends
without one when the gateway stops: then clients connect again, each after a time of its own.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from math import inf
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import deadlines
from gateway.auth.identity import Validity
from gateway.context import Context, Contexts
from gateway.errors import (
    BadInput,
    Forbidden,
    GatewayError,
    Overloaded,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from gateway.headers import request_headers
from gateway.negotiation import weights
from gateway.schema import errors
from gateway.schema.execution.shared_subscriptions import Message, Subscribed
from gateway.schema.execution.subscribing import Subscription, Subscriptions
from gateway.schema.execution.subscription_fields import LivePlan
from gateway.settings import Settings

EVENT_STREAM = "text/event-stream"
LAST_EVENT_ID = "last-event-id"
BEAT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"
RETRY_SECONDS = 5
"""The longest time after which a client of a gateway that stops is to connect again."""
KEYSTONE_SECONDS = 5
"""Seconds until a token is validated again if Keystone didn't answer."""
LEAST_SECONDS = 1
"""The least seconds between two validations of a token."""
FULL_SECONDS = 5
"""Seconds after which a caller with too many streams may try again."""

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


def result_of(error: GatewayError) -> dict[str, Any]:
    """Return the result that tells an error."""
    shown = GraphQLError(error.message, original_error=error)
    errors.show(shown)
    return {"errors": [shown.formatted]}


class OneResult(Response):
    """The stream of an operation that has one result."""

    media_type = EVENT_STREAM

    def __init__(self, result: dict[str, Any]) -> None:
        """Take the result as JSON has it."""
        super().__init__(_last(result))


def _last(result: dict[str, Any]) -> bytes:
    """Return the events that end a stream with a result."""
    return event(Message(orjson.dumps(result))) + COMPLETE


class Streams:
    """The streams of a process: so many of each user and project, and how all of them end."""

    def __init__(self, settings: Settings) -> None:
        self.heartbeat = settings.stream_heartbeat
        self._settings = settings
        self._open: dict[object, Callable[[], None]] = {}
        """A call for each of them that ends it."""
        self._counts: Counter[Hashable] = Counter()
        """How many there are of each project, and of each user of a project."""
        self._is_stopping = False

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._open)

    def enter(self, stream: object, ctx: Context, end: Callable[[], None]) -> None:
        """Count a stream, which is ended by a call. Raises Overloaded and RateLimited."""
        settings = self._settings
        if self._is_stopping:
            raise Overloaded("the gateway is stopping: try again in a moment")
        if len(self._open) >= settings.max_streams:
            raise Overloaded(f"too many streams are open: the limit is {settings.max_streams}")
        project, user = _owners(ctx)
        for whose, count, most in (
            ("your project has", self._counts[project], settings.max_project_streams),
            ("you have", self._counts[user], settings.max_user_streams),
        ):
            if count >= most:
                message = f"{whose} {count} streams open, the limit is {most}"
                raise RateLimited(message, cost=1, retry_after=FULL_SECONDS)
        self._open[stream] = end
        self._counts.update((project, user))

    def leave(self, stream: object, ctx: Context) -> None:
        """Count a stream no more."""
        if self._open.pop(stream, None) is not None:
            for owner in _owners(ctx):
                self._counts[owner] -= 1
                if not self._counts[owner]:
                    del self._counts[owner]

    def stop(self, seconds: float) -> None:
        """Open no more, and end those that are open, one after the other in so many seconds."""
        if self._is_stopping:
            return
        self._is_stopping = True
        loop = asyncio.get_running_loop()
        for place, end in enumerate(self._open.values()):
            loop.call_later(seconds * place / len(self._open), end)


def _owners(ctx: Context) -> tuple[Hashable, Hashable]:
    return ctx.project_id, (ctx.project_id, ctx.identity.user_id)


class EventStream:
    """The stream of a subscription: the answer to its request."""

    def __init__(
        self, streams: Streams, request: Request, ctx: Context, subscription: Subscription
    ) -> None:
        self._streams, self._request = streams, request
        self._ctx, self._subscription = ctx, subscription
        self._owner = ctx
        self._first: Message | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_ended = self._is_gone = False
        self._expires_at = self._check_at = inf

    async def begin(self, *, waits: bool) -> None:
        """Take a place, and the first message, if there is one yet or somebody `waits` for it.

        Raises Overloaded and RateLimited, and what the subscription does.
        """
        self._streams.enter(self, self._owner, self._end)
        try:
            until = inf if waits else asyncio.get_running_loop().time()
            self._first = await self._subscription.next(until)
        except BaseException:
            self._close()
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer the request, until the stream ends."""
        self._task = asyncio.current_task()
        scope[deadlines.ON_HANG_UP] = self._hang_up
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            await self._send(send, BEAT if self._first is None else event(self._first))
            self._first = None
            if not (self._is_ended or deadlines.HUNG_UP in scope):
                await self._follow(send)
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
            self._close()
        if not self._is_gone:
            await self._say_goodbye(send)

    async def _follow(self, send: Send) -> None:
        """Send messages, and beats without them. Raises GatewayError, by which it ends."""
        loop = asyncio.get_running_loop()
        self._note_validity()
        while True:
            until = min(loop.time() + self._streams.heartbeat, self._check_at, self._expires_at)
            message = await self._subscription.next(until)
            now = loop.time()
            if now >= self._expires_at:
                raise Unauthenticated("the token has expired")
            if now >= self._check_at:
                await self._check()
            if message is not None:
                await self._send(send, event(message))
            elif now >= until and until < self._check_at:
                await self._send(send, BEAT)

    @staticmethod
    async def _send(send: Send, body: bytes) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _check(self) -> None:
        """Validate the caller's token again, and take over what has changed of the caller.

        Raises Unauthenticated.
        """
        request = self._request
        contexts: Contexts = request.app.state.contexts
        headers = request_headers(request.scope)
        try:
            ctx = await contexts.open(headers, request.scope["path"], method=request.method)
        except Unavailable:
            self._check_at = asyncio.get_running_loop().time() + KEYSTONE_SECONDS
            return
        if ctx.identity != self._ctx.identity:
            self._ctx = ctx
            self._subscription.reopen(ctx)
        self._note_validity()

    def _note_validity(self) -> None:
        now = asyncio.get_running_loop().time()
        contexts: Contexts = self._request.app.state.contexts
        held: Validity = contexts.authenticator.validity(request_headers(self._request.scope))
        self._check_at = now + max(held.known, LEAST_SECONDS)
        if held.left != inf:
            self._expires_at = now + held.left

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

    def _close(self) -> None:
        self._subscription.close()
        self._streams.leave(self, self._owner)


def takes_stream(headers: Mapping[str, str]) -> bool:
    """Return True if a request asks for a stream by its name."""
    return weights(headers.get("accept", "")).get(EVENT_STREAM, 0) > 0


async def opened(request: Request, ctx: Context, subscribed: Subscribed) -> ASGIApp:
    """Return the answer to a subscription: a stream, or what is wrong with its arguments.

    Raises Overloaded and RateLimited, and what the first message does.
    """
    if ctx.account is not None:
        ctx.account.require()
    state, headers = request.app.state, request_headers(request.scope)
    subscriptions: Subscriptions = state.subscriptions
    try:
        last = headers.get(LAST_EVENT_ID)
        subscription = subscriptions.subscribe(ctx, subscribed, last)
    except (BadInput, Forbidden) as error:
        return OneResult(result_of(error))
    stream = EventStream(state.streams, request, ctx, subscription)
    await stream.begin(waits=isinstance(subscribed.field, LivePlan))
    return stream
