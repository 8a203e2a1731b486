"""Writing: statements and rows of one transaction, which knows whether it has changed anything."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.tables import Client, columns, source
from gateway.db.pools import TransactionConnection
from gateway.db.rows import Row
from gateway.db.statements import SQL, Statement

Table = TypeVar("Table", bound=SQLModel)
Values = Mapping[str, Any]
Compile = Callable[[Hashable, Callable[[], SQL]], Statement]


class Transaction:
    """What a resolver writes by; everything is written at once, in the order of the calls.

    Statements are compiled once: what differs from call to call belongs into their parameters.
    """

    def __init__(self, connection: TransactionConnection, compiled: Compile) -> None:
        self.changed = False
        self.changed_central = False
        """Whether a central client has been changed."""
        self._connection = connection
        self._compiled = compiled

    async def rows(self, statement: SQL, values: Values | None = None) -> Sequence[Row]:
        """What a statement finds or returns, with these values for its named parameters."""
        self._note(statement)
        compiled = self._compiled(statement, lambda: statement)
        arguments = compiled.arguments(values or {})
        return await self._connection.fetch(compiled.text, arguments, compiled.row)

    async def scalar(self, query: sa.Select[Any], values: Values) -> Any:
        """The first column of the first row that a query finds, as the driver has it, or None."""
        for row in await self.rows(query, values):
            return row[0]
        return None

    async def objects(
        self, table: type[Table], query: sa.Select[Any], values: Values
    ) -> Sequence[Table]:
        """Rows of all of a table's columns, to be changed."""
        names = columns(table).keys()
        return [
            table(**{name: getattr(row, name) for name in names})
            for row in await self.rows(query, values)
        ]

    async def each(self, statement: SQL, many: Sequence[Values]) -> None:
        """Run a statement once for each of these values of its named parameters."""
        if many:
            self._note(statement)
            await self._each(statement, lambda: statement, many)

    async def insert(self, *rows: SQLModel) -> None:
        """Store new rows of one table."""
        if rows:
            self._note_rows(*rows)
            table = source(type(rows[0]))
            await self._each((sa.insert, table), lambda: sa.insert(table), [*map(vars, rows)])

    async def update(self, row: SQLModel, values: Values) -> None:
        """Store what these columns of a row are now."""
        self._note_rows(row)
        table, keys = source(type(row)), tuple(values)
        await self._each(
            (sa.update, table, keys),
            lambda: sa.update(table).where(*_is(table)).values(dict.fromkeys(keys)),
            [{**values, **_key(row)}],
        )

    async def delete(self, row: SQLModel) -> None:
        """Delete a row."""
        self._note_rows(row)
        table = source(type(row))
        await self._each(
            (sa.delete, table), lambda: sa.delete(table).where(*_is(table)), [_key(row)]
        )

    async def _each(self, key: Hashable, make: Callable[[], SQL], many: Sequence[Values]) -> None:
        compiled = self._compiled(key, make)
        await self._connection.each(compiled.text, [compiled.arguments(values) for values in many])

    def _note(self, statement: SQL) -> None:
        if not statement.is_select:
            self.changed = True
            # What becomes of which rows only the database knows.
            self.changed_central |= getattr(statement, "table", None) == source(Client)

    def _note_rows(self, *rows: SQLModel) -> None:
        self.changed = True
        self.changed_central |= any(isinstance(row, Client) and row.is_central for row in rows)


def _is(table: sa.Table) -> Sequence[sa.ColumnElement[bool]]:
    return [column == sa.bindparam(f"the_{column.key}") for column in table.primary_key]


def _key(row: SQLModel) -> Values:
    return {f"the_{c.key}": getattr(row, c.key) for c in source(type(row)).primary_key}
