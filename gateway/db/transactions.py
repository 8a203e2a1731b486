"""Transactions: statements and rows written on one connection, and whether anything changed."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.change_words import (
    KIND_OF_TABLE,
    SETTINGS_TABLES,
    ChangeKind,
    ChangeOperation,
)
from gateway.catalogue.derivations import derived
from gateway.catalogue.tables import Client, columns, new_row, source
from gateway.db.changes import Changes, Item
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

    def __init__(
        self, connection: TransactionConnection, compile_: Compile, project_id: str = ""
    ) -> None:
        self.project_id = project_id
        """The project that it is of, the first of several; empty for none in particular."""
        self.changes = Changes()
        """All that it tells the change log."""
        self.changed = False
        """True if anything may have been changed."""
        self.changed_central = False
        """True if a central client may have been changed."""
        self.unchanged: set[str] = set()
        """Projects that the transaction was opened for, and has not changed after all."""
        self._connection = connection
        self._compile = compile_

    async def rows(
        self, statement: SQL, values: Values | None = None, *, is_told: bool = False
    ) -> Sequence[Row]:
        """Return the rows of a statement, run with these values of its named parameters.

        `is_told` says that the caller tells `changes` what it changes. Raises the driver's errors.
        """
        self._note_statement(statement, is_told=is_told)
        return await self.note(statement, values)

    def tell(
        self,
        kind: ChangeKind,
        project_id: str,
        item_id: str,
        operation: ChangeOperation = ChangeOperation.UPDATED,
        version: int | None = None,
    ) -> None:
        """Tell the change log that an item has changed."""
        self.changes.note(Item(project_id, kind, item_id), operation, version)

    def share(self, kind: ChangeKind) -> None:
        """Tell the change log that something without an id has changed that all projects see."""
        self.changes.note(Item(self.project_id, kind, ""), is_shared=True)

    async def run(self, statement: Statement, values: Values) -> Sequence[Row]:
        """Run a compiled statement whose rows tell all that it changes: none is no change.

        The caller tells `changes` of them. Returns the rows. Raises the driver's errors.
        """
        rows = await self._connection.fetch(
            statement.text, statement.arguments(values), statement.row
        )
        self.changed |= bool(rows)
        return rows

    async def note(self, statement: SQL, values: Values | None = None) -> Sequence[Row]:
        """Run a statement as `rows` does, on a table that no list shows: nothing counts as changed.

        Returns its rows. Raises the driver's errors.
        """
        compiled = self._compile(statement, lambda: statement)
        arguments = compiled.arguments(values or {})
        return await self._connection.fetch(compiled.text, arguments, compiled.row)

    async def note_many(self, statement: SQL, many: Sequence[Values]) -> None:
        """Run a statement as `execute_many` does, on such a table. Raises the driver's errors."""
        await self._execute_many(statement, lambda: statement, many)

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

    async def execute_many(
        self, statement: SQL, many: Sequence[Values], *, is_told: bool = False
    ) -> None:
        """Run a statement once for each of these values of its named parameters.

        `is_told` says that the caller tells `changes` what it changes. Raises the driver's errors.
        """
        if many:
            self._note_statement(statement, is_told=is_told)
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
        self.changed, self.changes.are_known = True, False
        self.changed_central |= staged.of == source(Client)
        if is_sqlite:
            many = [staged.for_sqlite(values) for values in many]
        await self._connection.copy(staged.of.name, staged.names, many)

    async def gather_statistics(self, *tables: sa.Table) -> None:
        """Let PostgreSQL look at tables that have grown; it would itself, in a minute or so.

        Raises the driver's errors.
        """
        for table in tables:
            # Who isn't the owner gets a warning, and nothing else.
            await self._connection.execute(f"ANALYZE (SKIP_LOCKED) {table.name}")

    async def insert(self, *rows: SQLModel) -> None:
        """Insert rows of one table, with what is derived. Raises the driver's errors."""
        if rows:
            self._note_rows(ChangeOperation.CREATED, *rows)
            kind = type(rows[0])
            table = source(kind)
            insert = (sa.insert, table)
            many = [{**vars(row), **derived(kind, vars(row))} for row in rows]
            await self._execute_many(insert, lambda: sa.insert(table), many)

    async def update(self, row: SQLModel, values: Values) -> None:
        """Set these columns of a stored row to these values, and those derived.

        Raises the driver's errors.
        """
        self._note_rows(ChangeOperation.UPDATED, row)
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
        self._note_rows(ChangeOperation.DELETED, row)
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

    def _note_statement(self, statement: SQL, *, is_told: bool) -> None:
        if statement.is_select:
            return
        self.changed = True
        table = getattr(statement, "table", None)
        # Only the database knows which clients a statement changes.
        self.changed_central |= table == source(Client)
        name = getattr(table, "name", "")
        if name in SETTINGS_TABLES:
            self.tell(ChangeKind.SETTINGS, self.project_id, "")
        elif name in KIND_OF_TABLE and not is_told:
            self.changes.are_known = False

    def _note_rows(self, operation: ChangeOperation, *rows: Any) -> None:
        self.changed = True
        for row in rows:
            is_central = isinstance(row, Client) and row.is_central
            self.changed_central |= is_central
            kind = KIND_OF_TABLE.get(row.__tablename__)
            if kind is not None:
                item = Item(row.project_id, kind, row.id)
                self.changes.note(item, operation, row.version, is_shared=is_central)


def _has_key(table: sa.Table) -> Sequence[sa.ColumnElement[bool]]:
    """Return the predicates of the row whose primary key `_key` has as parameters."""
    return [column == sa.bindparam(f"the_{column.key}") for column in table.primary_key]


def _key(row: SQLModel) -> Values:
    return {f"the_{c.key}": getattr(row, c.key) for c in source(type(row)).primary_key}
