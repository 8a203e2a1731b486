"""The number of SQL statements that a request runs, and of its transactions that ran again."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class StatementCounter:
    """The number of SQL statements run, without those that begin and end transactions."""

    statements: int = 0
    retries: int = 0
    """The number of transactions that lost a race, and were run again."""

    @staticmethod
    def count() -> None:
        """Add one to the counter of the current task, if it has one."""
        if (counter := _counter.get()) is not None:
            counter.statements += 1

    @staticmethod
    def count_retry() -> None:
        """Add one to the retries of the current task, if it has a counter."""
        if (counter := _counter.get()) is not None:
            counter.retries += 1


_counter: ContextVar[StatementCounter | None] = ContextVar("statement_counter", default=None)


def count_statements() -> StatementCounter:
    """Return a new counter of every statement run by this task and by tasks it starts."""
    counter = StatementCounter()
    _counter.set(counter)
    return counter
