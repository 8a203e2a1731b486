"""Streams of subscriptions, whatever carries them: their places, their callers, and their messages.

What differs between carriers is how a message is written, how silence is, and what tells the end:
see `event_streams` and `web_sockets`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from math import inf
from typing import Any, Protocol

from graphql import GraphQLError
from starlette.datastructures import State
from starlette.responses import Response

from gateway.auth.identity import Headers
from gateway.context import Context, Contexts
from gateway.errors import GatewayError, Overloaded, RateLimited, Unauthenticated, Unavailable
from gateway.schema import errors
from gateway.schema.execution.shared_subscriptions import Message, Subscribed
from gateway.schema.execution.subscribing import Subscription, Subscriptions
from gateway.schema.execution.subscription_fields import LivePlan
from gateway.settings import Settings

TAKER = "gateway.takes_streams"
"""The key of a request's scope for the `Taker` of a stream that isn't to be its answer."""
KEYSTONE_SECONDS = 5
"""Seconds until a token is validated again if Keystone didn't answer."""
LEAST_SECONDS = 1
"""The least seconds between two validations of a token."""
FULL_SECONDS = 5
"""Seconds after which a caller with too many streams may try again."""


class Taker(Protocol):
    """Whoever sends the messages of a stream in place of the request's answer."""

    async def take(self, ctx: Context, subscribed: Subscribed) -> Response:
        """Begin the stream; return what ends the request.

        Raises what subscribing and the first message do.
        """


class Places(Protocol):
    """The places that streams take."""

    def enter(self, stream: object, ctx: Context, end: Callable[[], None]) -> None:
        """Count a stream, which is ended by a call. Raises Overloaded and RateLimited."""

    def leave(self, stream: object, ctx: Context) -> None:
        """Count a stream no more."""


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

    def admit(self) -> None:
        """Pass if there may be one more, whoever it is for. Raises Overloaded."""
        if self._is_stopping:
            raise Overloaded("the gateway is stopping: try again in a moment")
        most = self._settings.max_streams
        if len(self._open) >= most:
            raise Overloaded(f"too many streams are open: the limit is {most}")

    def enter(self, stream: object, ctx: Context, end: Callable[[], None]) -> None:
        """Count a stream, which is ended by a call. Raises Overloaded and RateLimited."""
        settings = self._settings
        self.admit()
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


class Caller:
    """Who streams are for: their token is validated again as often as a cached one is."""

    def __init__(
        self, contexts: Contexts, headers: Headers, path: str, method: str, ctx: Context
    ) -> None:
        """Take the headers with the token, what they are for, and the context they have opened."""
        self.ctx = ctx
        """The context of the caller as they are now."""
        self.due_at = inf
        """When `check` has something to do, by the event loop's clock."""
        self._contexts, self._asked = contexts, (headers, path, method)
        self._expires_at = self._check_at = inf
        self._lock = asyncio.Lock()
        self._note_validity(ctx)

    async def check(self) -> None:
        """Validate the token again if it is time, and take over what has changed of the caller.

        Raises Unauthenticated.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self.due_at:
            return
        async with self._lock:
            now = loop.time()
            if now >= self._expires_at:
                raise Unauthenticated("the token has expired")
            # Another stream of the same caller may have come first.
            if now >= self._check_at:
                await self._validate()

    async def _validate(self) -> None:
        headers, path, method = self._asked
        try:
            ctx = await self._contexts.open(headers, path, method=method)
        except Unavailable:
            self._check_at = asyncio.get_running_loop().time() + KEYSTONE_SECONDS
            self.due_at = min(self._check_at, self._expires_at)
            return
        if ctx.identity != self.ctx.identity:
            self.ctx = ctx
        self._note_validity(ctx)

    def _note_validity(self, ctx: Context) -> None:
        now = asyncio.get_running_loop().time()
        known_for = self._contexts.authenticator.known_for(self._asked[0])
        self._check_at = now + max(known_for, LEAST_SECONDS)
        self._expires_at = now + ctx.identity.expires_at - time.time()
        self.due_at = min(self._check_at, self._expires_at)


class Stream:
    """A subscription that is followed for a caller."""

    def __init__(
        self, places: Places, caller: Caller, ctx: Context, subscribed: Subscribed
    ) -> None:
        """Take where it has its place, and the context of the request that subscribes."""
        self.first: Message | None = None
        """The first message, until it is sent."""
        self._places, self._caller, self._owner = places, caller, ctx
        self._subscribed = subscribed
        self._seen = caller.ctx
        self._subscription: Subscription | None = None

    async def begin(
        self, state: State, end: Callable[[], None], last_event_id: str | None = None
    ) -> None:
        """Subscribe, and take a place, and the first message: of a feed, if there is one yet.

        `end` ends the stream. Raises BadInput, Forbidden, Overloaded and RateLimited, and what the
        first message does.
        """
        ctx, subscribed = self._owner, self._subscribed
        if ctx.account is not None:
            ctx.account.require()
        subscriptions: Subscriptions = state.subscriptions
        subscription = subscriptions.subscribe(ctx, subscribed, last_event_id)
        self._places.enter(self, ctx, end)
        self._subscription = subscription
        try:
            # Nobody waits for what is to change.
            is_live = isinstance(subscribed.field, LivePlan)
            self.first = await subscription.next(
                inf if is_live else asyncio.get_running_loop().time()
            )
        except BaseException:
            self.close()
            raise

    async def follow(
        self,
        heartbeat: float,
        send: Callable[[Message], Awaitable[None]],
        beat: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Send messages, and beats without them, as long as there are any.

        Raises GatewayError, by which it ends: Unauthenticated without a valid token.
        """
        loop, caller, subscription = asyncio.get_running_loop(), self._caller, self._subscription
        assert subscription is not None, "it has begun"  # noqa: S101 - for the type
        if self.first is not None:
            message, self.first = self.first, None
            await send(message)
        while True:
            until = min(loop.time() + heartbeat, caller.due_at)
            found = await subscription.next(until)
            is_late = loop.time() >= until
            await caller.check()
            if caller.ctx is not self._seen:
                self._seen = caller.ctx
                subscription.reopen(caller.ctx)
            if found is not None:
                await send(found)
            elif is_late and beat is not None:
                await beat()

    def close(self) -> None:
        """End the subscription, and leave its place."""
        if self._subscription is not None:
            self._subscription.close()
            self._places.leave(self, self._owner)
            self._subscription = None


def result_of(error: GatewayError) -> dict[str, Any]:
    """Return the result that tells an error."""
    shown = GraphQLError(error.message, original_error=error)
    errors.show(shown)
    return {"errors": [shown.formatted]}
