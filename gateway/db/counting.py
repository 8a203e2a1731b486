"""The number of SQL statements that a request runs."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class StatementCounter:
    """The number of SQL statements run, without those that begin and end transactions."""

    statements: int = 0

    @staticmethod
    def count() -> None:
        """Add one to the counter of the current task, if it has one."""
        if (counter := _counter.get()) is not None:
            counter.statements += 1


_counter: ContextVar[StatementCounter | None] = ContextVar("statement_counter", default=None)


def count_statements() -> StatementCounter:
    """Return a new counter of every statement run by this task and by tasks it starts."""
    counter = StatementCounter()
    _counter.set(counter)
    return counter
