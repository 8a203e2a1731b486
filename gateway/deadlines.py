"""Deadlines: how long an operation may take, and what ends it before it is done.

An operation is the work of one request, and of one task. When its time is over, or its client has
closed the connection, that task is cancelled, and with it whatever it waits for: its turn, a
connection, a statement, Keystone. From COMMIT on, an operation holds: nobody is told that a change
failed that was made.
"""

import asyncio
from asyncio import CancelledError
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

from starlette.types import Scope

from gateway.errors import DeadlineExceeded, GatewayError, HungUp

OPERATION = "gateway.operation"
"""The key of a scope for the operation that the request has become."""
HUNG_UP = "gateway.hung_up"
"""The key of a scope by which the server says that the client has closed the connection."""
ON_HANG_UP = "gateway.on_hang_up"
"""The key of a scope for what is called then, once the answer has begun."""
GONE = "the client closed the connection"

_current: ContextVar["Operation | None"] = ContextVar("operation", default=None)


class Operation:
    """The work of one request: the task that does it, and what may end that."""

    # Defaults instead of an `__init__`, which would cost every request twice as much.
    task: "asyncio.Task[object] | None" = None
    ends = inf
    """When its time is over, by the event loop's clock."""
    writes = False
    """True if it goes on although nobody waits for its answer."""
    is_held = False
    """True while nothing ends it."""
    is_over = False
    has_place = False
    """True while its request is one of those that run: see `overload`."""
    seconds: float | None = None
    """How long it may take, if not as long as most."""
    error: GatewayError | None = None
    """Why it was ended, or would have been if it didn't hold."""
    _level: int | None = None

    def end(self, error: GatewayError) -> None:
        """End the operation by this error, unless it is over, or has been ended before."""
        if self.is_over or self.error is not None:
            return
        self.error = error
        if self.task is not None and not self.is_held:
            self._level = self.task.cancelling()
            self.task.cancel()

    def hang_up(self) -> None:
        """End the operation because its client has closed the connection, unless it writes."""
        if not self.writes:
            self.end(HungUp(GONE))

    def reason(self) -> GatewayError | None:
        """Take back the cancellation, and return the error that it stands for.

        None if the task was cancelled by others.
        """
        level, self._level = self._level, None
        if level is None or self.task is None or self.task.uncancel() > level:
            return None
        return self.error


class Deadlines:
    """The operations that run, and one timer for the first of them whose time is over."""

    def __init__(
        self, seconds: float = 0, write_seconds: float = 0, queries: Collection[str] = ()
    ) -> None:
        """Take the seconds of operations, and of those of v2 writes; 0 for no limit.

        A request is a write by its method, except to the paths in `queries`: there it reads until
        it says otherwise.
        """
        self.running: set[Operation] = set()
        """Those that have a deadline; whoever began one removes it."""
        self._seconds = seconds or inf
        self._write_seconds = write_seconds or inf
        self._queries = frozenset(queries)
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = inf

    def begin(self, scope: Scope, is_write: bool, is_kept: bool) -> Operation:  # noqa: FBT001 - hot
        """Return the operation that a request is, which the current task does.

        `is_write` tells if its method is one of writes, `is_kept` if nothing may end it yet. Raises
        HungUp if its client is gone already.
        """
        operation = scope[OPERATION] = Operation()
        operation.task = asyncio.current_task()
        if is_write:
            operation.writes = scope["path"].rstrip("/") not in self._queries
            # What reads by its method is cancelled as a whole, and needs to know nothing of it.
            _current.set(operation)
        if HUNG_UP in scope and not operation.writes:
            raise HungUp(GONE)
        if not is_kept and self._seconds != inf:
            ends = operation.ends = monotonic() + self._seconds
            self.running.add(operation)
            if ends < self._looks_at:
                self._look_at(ends)
        return operation

    def limit_again(self, operation: Operation) -> None:
        """Begin the time of an operation anew, which has been taken out of `running`."""
        if self._seconds != inf:
            ends = operation.ends = monotonic() + self._seconds
            self.running.add(operation)
            if ends < self._looks_at:
                self._look_at(ends)

    def limit_write(self, operation: Operation) -> None:
        """Begin the time of an operation that nothing could end until now."""
        if self._write_seconds != inf:
            operation.seconds = self._write_seconds
            ends = operation.ends = monotonic() + self._write_seconds
            self.running.add(operation)
            if ends < self._looks_at:
                self._look_at(ends)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = when
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        """End the operations whose time is over, and look again when the next one's is."""
        self._timer, self._looks_at = None, inf
        now = monotonic()
        for operation in self.running:
            if operation.ends <= now:
                seconds = operation.seconds or self._seconds
                operation.end(DeadlineExceeded(f"cancelled: it may take {seconds:g} s at most"))
        left = [operation.ends for operation in self.running if operation.ends > now]
        if left:
            self._look_at(min(left))


def hang_up(scope: Scope) -> None:
    """Tell a request that its client has closed the connection."""
    scope[HUNG_UP] = True
    operation: Operation | None = scope.get(OPERATION)
    if operation is not None:
        operation.hang_up()
    if ON_HANG_UP in scope:
        scope[ON_HANG_UP]()


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
