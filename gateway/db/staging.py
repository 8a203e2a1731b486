"""Temporary tables, by which many rows get into the catalogue in few statements."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlmodel import SQLModel

from gateway.catalogue.tables import columns, source


class Staging:
    """A temporary table with some of a table's columns; see `Transaction.stage`."""

    of: sa.Table
    """The table that has these columns."""

    def __init__(self, kind: type[SQLModel], names: Sequence[str]) -> None:
        """Describe it; a transaction that needs it creates it."""
        self.names = tuple(names)
        self.of = source(kind)
        own = columns(kind)
        name = f"staged_{source(kind).name}"
        typed = (sa.Column(column, own[column].type) for column in names)
        self.table = sa.Table(name, sa.MetaData(), *typed)
        selected = f"SELECT {', '.join(names)} FROM {source(kind).name}"  # noqa: S608 - columns
        self.creation: Mapping[bool, Sequence[str]] = {
            False: (f"CREATE TEMP TABLE {name} ON COMMIT DROP AS {selected} WITH NO DATA",),
            # There, a table outlives the transaction on its connection.
            True: (
                f"CREATE TEMP TABLE IF NOT EXISTS {name} AS {selected} WHERE 0",
                f"DELETE FROM {name}",  # noqa: S608 - the table's own name
            ),
        }
        """The statements that make it, by `is_sqlite`."""
        dialect = sqlite.dialect()
        self._converters = [
            own[column].type.dialect_impl(dialect).bind_processor(dialect) for column in names
        ]

    def for_sqlite(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return the values of a row as SQLite keeps them."""
        return [
            value if convert is None else convert(value)
            for value, convert in zip(values, self._converters, strict=True)
        ]
