"""Overload: so many requests run, so many wait, and all others are told at once to come again."""

from asyncio import CancelledError, Future, get_running_loop
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Overloaded

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Places:
    """How many requests may run and wait, and how many places among the waiting ones are kept."""

    running: int
    waiting: int
    kept: int


class OverloadMiddleware:
    """Bounds the requests that run at once, and those that wait for one of them to end.

    Some places in the queue are kept for writes to the paths that begin with one of `kept_paths`:
    schedulers don't send again what they are refused. A request runs from the moment it has arrived
    whole until its answer is handed to the server, so that slow clients take no place.
    """

    def __init__(
        self,
        app: ASGIApp,
        places: Places,
        *,
        kept_paths: Sequence[str] = (),
        exempt: Collection[str] = (),
    ) -> None:
        self.app = app
        self.free = places.running
        self.waiting = places.waiting
        self.kept = min(places.kept, places.waiting)
        self.kept_paths = tuple(kept_paths)
        self.exempt = frozenset(exempt)
        self.queue: deque[Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise Overloaded."""
        if scope["type"] != "http" or scope["path"] in self.exempt:
            await self.app(scope, receive, send)
            return
        if scope["method"] in WRITES:
            receive = await _received(receive)
        if self.free > 0:
            self.free -= 1
        else:
            await self._wait(scope)
        has_place = True

        async def answer(message: Message) -> None:
            nonlocal has_place
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if is_last and has_place:
                has_place = False
                self._leave()
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            if has_place:
                self._leave()

    async def _wait(self, scope: Scope) -> None:
        """Return with the place of a request that has ended, or raise Overloaded."""
        is_kept = scope["method"] in WRITES and scope["path"].startswith(self.kept_paths)
        if len(self.queue) >= self.waiting - (0 if is_kept else self.kept):
            raise Overloaded("too many requests are running: try again in a moment")
        place: Future[None] = get_running_loop().create_future()
        self.queue.append(place)
        try:
            await place
        except CancelledError:
            if place.cancelled():
                self.queue.remove(place)
            else:
                # It was given one in the same moment.
                self._leave()
            raise

    def _leave(self) -> None:
        """Give the place to the request that has waited longest, or free it."""
        if self.queue:
            self.queue.popleft().set_result(None)
        else:
            self.free += 1


async def _received(receive: Receive) -> Receive:
    """Return what gives a body that has arrived whole once more, and then what follows it."""
    messages = deque([await receive()])
    while messages[-1].get("more_body"):
        messages.append(await receive())

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return again
