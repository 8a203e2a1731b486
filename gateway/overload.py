"""Overload: so many requests run, so many wait, and all others are told at once to come again."""

from asyncio import CancelledError, Future, get_running_loop
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.deadlines import OPERATION, Deadlines, Operation
from gateway.errors import Overloaded

ARRIVALS = "gateway.arrivals"
"""The key of a scope under which the server has the `Arrivals`."""
GATE = "gateway.gate"
"""The key of a scope under which a request finds the middleware, to wait without a place."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


TURN = 0.005
"""Seconds of requests that may begin one after the other, before new ones are looked at."""


MAX_POSTPONED = 200
"""New connections that are taken, one after the other, before the next request begins."""


@dataclass(frozen=True)
class Places:
    """How many requests may run and wait, and how many places among the waiting ones are kept."""

    running: int
    waiting: int
    kept: int


class Arrivals:
    """The requests that the server has begun to serve, those included that haven't run at all.

    Of requests that come at the same time, the first may keep the event loop busy: the others are
    no more than tasks then, which no middleware sees.
    """

    def __init__(self) -> None:
        self.count = 0
        self.connections = 0
        """How many connections have been made, ever."""

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Count a request, and return the application that ends it."""
        self.count += 1

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            finally:
                self.count -= 1

        return serve


class OverloadMiddleware:
    """Bounds the requests that run at once, and those that wait for one of them to end.

    Some places in the queue are kept for writes to the paths that begin with one of `kept_paths`:
    schedulers don't send again what they are refused. A request counts from the moment it has
    arrived whole until its answer begins: clients that send or read slowly take no place.

    For as long, a request is an operation with a deadline. That of such a write begins only when it
    has a place: until then, nothing ends it. A request that waits for something to happen steps
    aside meanwhile.
    """

    def __init__(
        self,
        app: ASGIApp,
        places: Places,
        deadlines: Deadlines | None = None,
        *,
        kept_paths: Sequence[str] = (),
        exempt: Collection[str] = (),
    ) -> None:
        self.app = app
        self.places = places
        self.deadlines = deadlines or Deadlines()
        self.kept_paths = tuple(kept_paths)
        self.exempt = frozenset(exempt)
        self.free = places.running
        self.queue: deque[Future[None]] = deque()
        self._arrivals = Arrivals()
        self._seen = self._postponed = 0
        self._began: float | None = None
        """When the first request began of those since the event loop last looked at its sockets."""
        self._is_scheduled = False
        self.slow = 0
        """Requests that wait for their client, to send a body or to take an answer, or aside."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise Overloaded."""
        if scope["type"] != "http" or scope["path"].rstrip("/") in self.exempt:
            await self.app(scope, receive, send)
            return
        if is_write := scope["method"] in WRITES:
            receive = await self._received(receive)
        unanswered = self._admit(scope)
        scope[GATE] = self
        is_kept = is_write and scope["path"].startswith(self.kept_paths)
        operation = self.deadlines.begin(scope, is_write, is_kept)
        try:
            if self.free > 0 and not self.queue and self._may_begin(unanswered):
                self.free -= 1
            else:
                await self._wait()
            if is_kept:
                self.deadlines.limit_write(operation)
            operation.has_place = True

            async def answer(message: Message) -> None:
                operation.is_over = True
                if operation.has_place and message["type"] == "http.response.body":
                    # From here on, it waits for the client to read.
                    operation.has_place = False
                    self._leave()
                    self.slow += 1
                await send(message)

            try:
                await self.app(scope, receive, answer)
            finally:
                if operation.has_place:
                    self._leave()
                else:
                    self.slow -= 1
        except CancelledError:
            if (error := operation.reason()) is None:
                raise
            raise error from None
        finally:
            operation.is_over = True
            self.deadlines.running.discard(operation)

    def step_aside(self, scope: Scope) -> None:
        """Let a request wait for something to happen, without a place and without a deadline."""
        operation: Operation = scope[OPERATION]
        operation.has_place = False
        self.deadlines.running.discard(operation)
        self._leave()
        self.slow += 1

    async def step_back(self, scope: Scope) -> None:
        """Return when it has a place again; its deadline has begun anew."""
        operation: Operation = scope[OPERATION]
        self.deadlines.limit_again(operation)
        if self.free > 0 and not self.queue:
            self.free -= 1
        else:
            await self._wait()
        operation.has_place = True
        self.slow -= 1

    def _admit(self, scope: Scope) -> int:
        """Return how many requests run or wait, this one and those not looked at yet included.

        Raises Overloaded if they are too many.
        """
        if ARRIVALS in scope:
            self._arrivals = scope[ARRIVALS]
            unanswered = self._arrivals.count - self.slow
        else:
            unanswered = self.places.running - self.free + len(self.queue) + 1
        if unanswered > self.places.running and unanswered > self._most(scope):
            raise Overloaded("too many requests are running: try again in a moment")
        return unanswered

    def _most(self, scope: Scope) -> int:
        most = self.places.running + self.places.waiting
        if scope["method"] in WRITES and scope["path"].startswith(self.kept_paths):
            return most
        return max(most - self.places.kept, self.places.running)

    def _may_begin(self, unanswered: int) -> bool:
        """Return True if a request may begin before the event loop looks at its sockets again."""
        if self._arrivals.connections != self._seen:
            return False
        if unanswered <= self.places.running:
            # Those that are known have places; new connections would have been seen.
            return True
        now = perf_counter()
        if self._began is None:
            self._began = now
            self._schedule()
        return now - self._began < TURN

    async def _wait(self) -> None:
        """Return with a place, when all who have waited longer have one."""
        place: Future[None] = get_running_loop().create_future()
        self.queue.append(place)
        self._schedule()
        try:
            await place
        except CancelledError:
            if place.cancelled():
                with suppress(ValueError):
                    self.queue.remove(place)
            else:
                # It was given one in the same moment.
                self._leave()
            raise

    def _leave(self) -> None:
        """Free a place."""
        self.free += 1
        if self.queue:
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Give a free place to the request that has waited longest, and the next in another turn.

        Each of them may keep the event loop busy, which has to look at new requests in between.
        """
        self._is_scheduled = False
        self._began = None
        if self._arrivals.connections != self._seen and self._postponed < MAX_POSTPONED:
            # The event loop takes one new connection at a time: there may be more.
            self._seen = self._arrivals.connections
            self._postponed += 1
            self._schedule()
            return
        self._postponed = 0
        while self.queue and self.free > 0:
            place = self.queue.popleft()
            if not place.cancelled():
                self.free -= 1
                place.set_result(None)
                break
        if self.queue and self.free > 0:
            self._schedule()

    async def _received(self, receive: Receive) -> Receive:
        """Return what gives a body that has arrived whole once more, and then what follows it."""
        self.slow += 1
        try:
            messages = deque([await receive()])
            while messages[-1].get("more_body"):
                messages.append(await receive())
        finally:
            self.slow -= 1

        async def again() -> Message:
            return messages.popleft() if messages else await receive()

        return again
