"""Transactions: statements and rows written on one connection, and whether anything changed."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.derivations import derived
from gateway.catalogue.tables import Client, columns, new_row, source
from gateway.db.pooling import TransactionConnection
from gateway.db.rows import Row
from gateway.db.staging import Staging
from gateway.db.statements import SQL, Statement

Table = TypeVar("Table", bound=SQLModel)
Values = Mapping[str, Any]
Compile = Callable[[Hashable, Callable[[], SQL]], Statement]
"""`Database.statement`: returns the compiled statement of a key."""


class Transaction:
    """A transaction for resolvers; every call writes at once, in the order of the calls.

    `Database.write` translates the driver's errors that its methods raise. Statements are compiled
    once: values that differ from call to call must be parameters.
    """

    def __init__(self, connection: TransactionConnection, compile_: Compile) -> None:
        self.changed = False
        """True if anything may have been changed."""
        self.changed_central = False
        """True if a central client may have been changed."""
        self.unchanged: set[str] = set()
        """Projects that the transaction was opened for, and has not changed after all."""
        self._connection = connection
        self._compile = compile_

    async def rows(self, statement: SQL, values: Values | None = None) -> Sequence[Row]:
        """Return the rows of a statement, run with these values of its named parameters.

        Raises the driver's errors.
        """
        self._note_statement(statement)
        return await self.note(statement, values)

    async def note(self, statement: SQL, values: Values | None = None) -> Sequence[Row]:
        """Run a statement as `rows` does, on a table that no list shows: nothing counts as changed.

        Returns its rows. Raises the driver's errors.
        """
        compiled = self._compile(statement, lambda: statement)
        arguments = compiled.arguments(values or {})
        return await self._connection.fetch(compiled.text, arguments, compiled.row)

    async def scalar(self, query: sa.Select[Any], values: Values) -> Any:
        """Return the first column of a query's first row, as the driver has it, or None.

        Raises the driver's errors.
        """
        for row in await self.rows(query, values):
            return row[0]
        return None

    async def objects(
        self, table: type[Table], query: sa.Select[Any], values: Values
    ) -> Sequence[Table]:
        """Return the rows of a query of all of a table's columns as objects, to be changed.

        Raises the driver's errors.
        """
        names = columns(table).keys()
        return [
            new_row(table, {name: getattr(row, name) for name in names})
            for row in await self.rows(query, values)
        ]

    async def execute_many(self, statement: SQL, many: Sequence[Values]) -> None:
        """Run a statement once for each of these values of its named parameters.

        Raises the driver's errors.
        """
        if many:
            self._note_statement(statement)
            await self._execute_many(statement, lambda: statement, many)

    async def stage(
        self, staged: Staging, many: Sequence[Sequence[Any]], *, is_sqlite: bool
    ) -> None:
        """Fill a temporary table, which is gone after the transaction, with rows of its columns.

        Raises the driver's errors.
        """
        for text in staged.creation[is_sqlite]:
            await self._connection.execute(text)
        if is_sqlite:
            many = [staged.for_sqlite(values) for values in many]
        await self._connection.copy(staged.table.name, staged.names, many)

    async def append(
        self, staged: Staging, many: Sequence[Sequence[Any]], *, is_sqlite: bool
    ) -> None:
        """Append new rows of these columns to the table itself, in the driver's fastest way.

        Raises the driver's errors.
        """
        self.changed = True
        self.changed_central |= staged.of is source(Client)
        if is_sqlite:
            many = [staged.for_sqlite(values) for values in many]
        await self._connection.copy(staged.of.name, staged.names, many)

    async def insert(self, *rows: SQLModel) -> None:
        """Insert rows of one table, with what is derived. Raises the driver's errors."""
        if rows:
            self._note_rows(*rows)
            kind = type(rows[0])
            table = source(kind)
            insert = (sa.insert, table)
            many = [{**vars(row), **derived(kind, vars(row))} for row in rows]
            await self._execute_many(insert, lambda: sa.insert(table), many)

    async def update(self, row: SQLModel, values: Values) -> None:
        """Set these columns of a stored row to these values, and those derived.

        Raises the driver's errors.
        """
        self._note_rows(row)
        kind = type(row)
        written = {**values, **derived(kind, {**vars(row), **values})}
        table, keys = source(kind), tuple(written)
        await self._execute_many(
            (sa.update, table, keys),
            lambda: sa.update(table).where(*_has_key(table)).values(dict.fromkeys(keys)),
            [{**written, **_key(row)}],
        )

    async def delete(self, row: SQLModel) -> None:
        """Delete a row. Raises the driver's errors."""
        self._note_rows(row)
        table = source(type(row))
        await self._execute_many(
            (sa.delete, table), lambda: sa.delete(table).where(*_has_key(table)), [_key(row)]
        )

    async def _execute_many(
        self, key: Hashable, make: Callable[[], SQL], many: Sequence[Values]
    ) -> None:
        compiled = self._compile(key, make)
        arguments = [compiled.arguments(values) for values in many]
        await self._connection.execute_many(compiled.text, arguments)

    def _note_statement(self, statement: SQL) -> None:
        if not statement.is_select:
            self.changed = True
            # Only the database knows which clients a statement changes.
            self.changed_central |= getattr(statement, "table", None) == source(Client)

    def _note_rows(self, *rows: SQLModel) -> None:
        self.changed = True
        self.changed_central |= any(isinstance(row, Client) and row.is_central for row in rows)


def _has_key(table: sa.Table) -> Sequence[sa.ColumnElement[bool]]:
    """Return the predicates of the row whose primary key `_key` has as parameters."""
    return [column == sa.bindparam(f"the_{column.key}") for column in table.primary_key]


def _key(row: SQLModel) -> Values:
    return {f"the_{c.key}": getattr(row, c.key) for c in source(type(row)).primary_key}
