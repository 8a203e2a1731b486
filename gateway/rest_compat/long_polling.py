"""Long polling: lists that are answered once they differ from what the caller has, or time is over.

A request with `Prefer: wait=30` and the ETag of an answer is held while the list is as it was then.
Meanwhile it has no place among those that run, no deadline and no connection to the database: it
counts as a stream does. It looks at its list again when its project's revision is another one, as
live queries do; the documents of REST depend on rows alone, never on the clock.

The ETags of such answers tell their bytes as well: a list that is the same at a later revision goes
on waiting, whichever process it asks, and whatever has changed elsewhere in the project.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from starlette.responses import Response

from gateway.changes.watching import Heads, Watched, Watcher
from gateway.context import Context, Contexts
from gateway.errors import RateLimited, Unavailable
from gateway.headers import request_headers
from gateway.kept import tags
from gateway.overload import GATE, OverloadMiddleware
from gateway.rates.buckets import SCOPE
from gateway.rest_compat import conditional
from gateway.rest_compat.requests import V2Request
from gateway.settings import Settings

AGAIN_SECONDS = 1
"""The least time between two looks at a list that was found unchanged."""

Ask = Callable[[V2Request], Awaitable[Response]]
"""Answers a request as if its caller had no tag."""


class Bounds(Protocol):
    """The bounds of all that is held open in a process: streams, and these requests."""

    def enter(self, stream: object, ctx: Context, end: Callable[[], None]) -> None:
        """Count one, which is ended by a call. Raises Overloaded and RateLimited."""

    def leave(self, stream: object, ctx: Context) -> None:
        """Count it no more."""


@dataclass(frozen=True)
class Found:
    """An answer with a list, and what tells it from others."""

    response: Response
    revision_tag: str
    """Its ETag for callers who don't wait."""
    digest: str
    """That of all by which a caller can tell it from others."""

    @classmethod
    def of(cls, response: Response) -> "Found | None":
        """Return what an answer holds; None for one without a tag."""
        headers = dict(response.raw_headers)
        if b"etag" not in headers:
            return None
        digest = blake2b(response.body, digest_size=16)
        digest.update(headers.get(b"link", b""))
        return cls(response, headers[b"etag"].decode(), digest.hexdigest())

    def sent(self, seconds: int) -> Response:
        """Return the answer, for a caller who waits so long at most."""
        headers = self.response.raw_headers
        headers[:] = [header for header in headers if header[0] != b"etag"]
        headers += [(b"etag", self._tag.encode()), _applied(seconds)]
        return self.response

    def unchanged(self, seconds: int) -> Response:
        """Return 304, for a caller who has waited so long at most."""
        response = tags.not_modified(self._tag)
        response.raw_headers.append(_applied(seconds))
        return response

    @property
    def _tag(self) -> str:
        return conditional.list_tag(self.revision_tag, self.digest)


def _applied(seconds: int) -> tuple[bytes, bytes]:
    return (b"preference-applied", b"wait=%d" % seconds)


@dataclass(frozen=True, eq=False)
class Poll:
    """A request that waits for a change, until a time of the event loop's clock."""

    request: V2Request
    rule: str
    ask: Ask
    seconds: int
    ends: float

    async def again(self) -> Response:
        """Return the list as it is now, if the caller may still have it.

        Raises Unauthenticated and Forbidden, and what `ask` does.
        """
        http = self.request.http
        contexts: Contexts = http.app.state.contexts
        headers, path = request_headers(http.scope), http.scope["path"]
        project_id = self.request.ctx.project_id
        ctx = await contexts.open(headers, path, project_id, method=http.method)
        ctx.authorize(self.rule)
        http.scope[SCOPE] = ctx.account
        return await self.ask(V2Request(http, ctx, self.request.settings))


class LongPolls:
    """The requests of a process that wait for a change."""

    def __init__(self, watcher: Watcher, bounds: Bounds, settings: Settings) -> None:
        self._watcher, self._bounds = watcher, bounds
        self._held: dict[Poll, Watched] = {}
        self._is_stopping = False
        # The other half of the places is left to requests that are new.
        self._turns = asyncio.Semaphore(max(1, settings.max_running_requests // 2))

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    def stop(self) -> None:
        """Answer all that are held, and hold no more."""
        self._is_stopping = True
        for watched in self._held.values():
            watched.moved.give()

    async def answer(self, request: V2Request, rule: str, ask: Ask) -> Response:
        """Return the list when its caller doesn't have it, or 304 when the time is over.

        `rule` is that of the list. Raises BadInput for a malformed `If-None-Match`, Overloaded and
        RateLimited for too many who wait, and what `ask` does.
        """
        seconds = request.wait or 0
        poll = Poll(request, rule, ask, seconds, asyncio.get_running_loop().time() + seconds)
        known = tags.known(request.headers.get("if-none-match"))
        if not known:
            response = await ask(request)
            found = Found.of(response)
            return response if found is None else found.sent(seconds)
        # Before the list is read: nothing that comes afterwards is missed.
        async with self._watcher.watching(request.ctx.project_id) as watched:
            heads = watched.heads
            response = await ask(request)
            if (found := Found.of(response)) is None:
                return response
            if found.digest not in conditional.known_digests(known) and "*" not in known:
                if found.revision_tag not in known:
                    return found.sent(seconds)
                # Its rows may have been read after a write that the caller doesn't know of.
                await self._watcher.look()
                if watched.heads != heads:
                    return found.sent(seconds)
            if self._is_stopping or not seconds:
                return found.unchanged(seconds)
            self._bounds.enter(poll, request.ctx, self.stop)
            self._held[poll] = watched
            try:
                return await self._hold(poll, watched, heads, found)
            finally:
                del self._held[poll]
                self._bounds.leave(poll, request.ctx)

    async def _hold(self, poll: Poll, watched: Watched, heads: Heads, found: Found) -> Response:
        """Return the list when it is another one than at these heads; 304 when the time is over.

        Raises what asking for it again does.
        """
        loop = asyncio.get_running_loop()
        scope = poll.request.http.scope
        gate: OverloadMiddleware = scope[GATE]
        earliest = loop.time()
        gate.step_aside(scope)
        while True:
            await self._rest(poll, watched, heads, earliest)
            if watched.heads == heads:
                return found.unchanged(poll.seconds)
            is_over = self._is_stopping or loop.time() >= poll.ends
            seen, pause = watched.heads, AGAIN_SECONDS
            async with self._turns:
                await gate.step_back(scope)
                try:
                    response = await poll.again()
                except (Unavailable, RateLimited) as error:
                    # What can't be looked at isn't told to be unchanged.
                    if is_over:
                        raise
                    pause = max(pause, error.retry_after)
                else:
                    asked = Found.of(response)
                    if asked is None:
                        return response
                    if asked.digest != found.digest:
                        return asked.sent(poll.seconds)
                    if is_over:
                        return asked.unchanged(poll.seconds)
                    heads, found = seen, asked
                gate.step_aside(scope)
            earliest = loop.time() + pause

    async def _rest(self, poll: Poll, watched: Watched, heads: Heads, earliest: float) -> None:
        """Return when the list may be another one, not before `earliest`; or when it is over."""
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            now = loop.time()
            if now >= poll.ends or (now >= earliest and watched.heads != heads):
                return
            await watched.moved.wait(min(earliest if now < earliest else poll.ends, poll.ends))
