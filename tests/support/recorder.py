"""Counts the SQL statements that a piece of code runs, to see that they don't grow in number."""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import pytest
import sqlalchemy as sa

from gateway.db.pools import PostgresPool, SQLitePool, TransactionConnection

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class QueryRecorder:
    """While it is open, collects every statement of every database; opened again, it starts anew.

    What begins and ends transactions isn't counted.
    """

    def __init__(self) -> None:
        """Collect nothing yet."""
        self.statements: list[str] = []

    def __enter__(self) -> Self:
        """Start."""
        self.statements = []
        sa.event.listen(sa.Engine, "before_cursor_execute", self._record)
        self._patched = pytest.MonkeyPatch()
        for kind, name in (
            (PostgresPool, "fetch"),
            (SQLitePool, "fetch"),
            (TransactionConnection, "fetch"),
            (TransactionConnection, "execute_many"),
        ):
            self._patched.setattr(kind, name, self._recorded(getattr(kind, name)))
        return self

    def _recorded(self, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def recorded(of: object, text: str, *arguments: Any) -> Any:
            self.statements.append(text)
            return await run(of, text, *arguments)

        return recorded

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        sa.event.remove(sa.Engine, "before_cursor_execute", self._record)
        self._patched.undo()

    def __len__(self) -> int:
        """How many statements there were."""
        return len(self.statements)

    def matching(self, text: str) -> Sequence[str]:
        """Those that contain the text, whatever its case."""
        return [statement for statement in self.statements if text.lower() in statement.lower()]

    def _record(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(TRANSACTION):
            self.statements.append(statement)
