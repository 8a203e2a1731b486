"""Deadlines: how long an operation may take, and what ends it before it is done.

An operation is the work of one request, and of one task. When its time is over, or its client has
closed the connection, that task is cancelled, and with it whatever it waits for: its turn, a
connection, a statement, Keystone. What is about to become true isn't: from COMMIT on, an operation
holds, and nobody is told that a change failed that was made.
"""

import asyncio
from asyncio import CancelledError
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

from starlette.types import Scope

from gateway.errors import DeadlineExceeded, GatewayError, HungUp

OPERATION = "gateway.operation"
"""The key of a scope for the operation that the request has become."""
HUNG_UP = "gateway.hung_up"
"""The key of a scope by which the server says that the client has closed the connection."""
READS = frozenset({"GET", "HEAD"})

_current: ContextVar["Operation | None"] = ContextVar("operation", default=None)


class Operation:
    """The work of one request: the task that does it, and what may end that."""

    __slots__ = ("_level", "ends", "error", "is_held", "is_over", "seconds", "task", "writes")

    def __init__(self, task: "asyncio.Task[object]", now: float, seconds: float) -> None:
        self.task = task
        self.seconds = seconds
        self.ends = now + seconds
        """When its time is over, by the event loop's clock."""
        self.writes = False
        """True if it goes on although nobody waits for its answer."""
        self.is_held = False
        """True while nothing ends it."""
        self.is_over = False
        self.error: GatewayError | None = None
        """Why it was ended, or would have been if it didn't hold."""
        self._level: int | None = None

    def end(self, error: GatewayError) -> None:
        """End the operation by this error, unless it is over, or has been ended before."""
        if self.is_over or self.error is not None:
            return
        self.error = error
        if not self.is_held:
            self._level = self.task.cancelling()
            self.task.cancel()

    def expire(self) -> None:
        """End the operation because its time is over."""
        self.end(DeadlineExceeded(f"cancelled after the {self.seconds:g} s that it may take"))

    def hang_up(self) -> None:
        """End the operation because its client has closed the connection, unless it writes."""
        if not self.writes:
            self.end(HungUp("the client closed the connection"))

    def reason(self) -> GatewayError | None:
        """Take back the cancellation, and return the error that it stands for.

        None if the task was cancelled by others.
        """
        level, self._level = self._level, None
        if level is None or self.task.uncancel() > level:
            return None
        return self.error


class Deadlines:
    """The operations that run, and one timer for the first of them whose time is over."""

    def __init__(
        self, seconds: float = 0, write_seconds: float = 0, queries: Collection[str] = ()
    ) -> None:
        """Take the seconds of reads and of writes, 0 for no limit.

        A request is a write by its method, except to the paths in `queries`: there it reads until
        it says otherwise.
        """
        self._seconds = seconds or inf
        self._write_seconds = write_seconds or inf
        self._queries = frozenset(queries)
        self._running: set[Operation] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, scope: Scope, *, is_kept: bool = False) -> Operation:
        """Return the operation of a request, which the current task does; `is_kept` for v2 writes.

        Raises HungUp if its client is gone already.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - code that awaits is in one
        seconds = self._write_seconds if is_kept else self._seconds
        operation = Operation(task, loop.time(), seconds)
        if scope["method"] not in READS and scope["path"].rstrip("/") not in self._queries:
            operation.writes = True
        elif HUNG_UP in scope:
            raise HungUp("the client closed the connection")
        scope[OPERATION] = operation
        _current.set(operation)
        if seconds != inf:
            self._running.add(operation)
            if self._timer is None or operation.ends < self._timer.when():
                self._look_at(loop, operation.ends)
        return operation

    def end(self, operation: Operation) -> None:
        """Forget an operation that is over."""
        operation.is_over = True
        self._running.discard(operation)

    def _look_at(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the operations whose time is over, and look again when the next one's is."""
        self._timer = None
        now = loop.time()
        for operation in self._running:
            if operation.ends <= now:
                operation.expire()
        left = [operation.ends for operation in self._running if operation.ends > now]
        if left:
            self._look_at(loop, min(left))


def hang_up(scope: Scope) -> None:
    """Tell a request that its client has closed the connection."""
    scope[HUNG_UP] = True
    operation: Operation | None = scope.get(OPERATION)
    if operation is not None:
        operation.hang_up()


def begin_write() -> None:
    """Let the current operation go on from here although its client closes the connection."""
    if (operation := _operation()) is not None:
        operation.writes = True


def hold() -> None:
    """Let nothing end the current operation before it calls `resume`."""
    if (operation := _operation()) is not None:
        operation.is_held = True


def resume() -> None:
    """Let the current operation be ended again. Raises DeadlineExceeded if it should have been."""
    if (operation := _operation()) is not None:
        operation.is_held = False
        if operation.error is not None:
            raise operation.error


def reason() -> GatewayError | None:
    """Return the error that a cancellation of the current operation stands for: see `Operation`."""
    operation = _operation()
    return None if operation is None else operation.reason()


@contextmanager
def explained() -> Iterator[None]:
    """Open a block that raises the operation's error in place of its cancellation.

    Raises DeadlineExceeded and HungUp.
    """
    try:
        yield
    except CancelledError:
        if (error := reason()) is None:
            raise
        raise error from None


def _operation() -> Operation | None:
    """Return the operation that the current task does; tasks that it starts are none."""
    operation = _current.get()
    if operation is None or operation.is_over or operation.task is not asyncio.current_task():
        return None
    return operation
