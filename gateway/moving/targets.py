"""freezer-api's database, opened to be written to: for the way back."""

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import pymysql

from gateway.errors import BadInput
from gateway.moving.layouts import REVISIONS
from gateway.moving.sources import MySQL, Source, SourceRow, SQLite, parsed, unavailable

TABLES = ("clients", "sessions", "actions", "jobs", "job_actions", "user_credentials", "backups")
"""The tables that are written, in the order in which their rows refer to one another."""
_INT32 = re.compile(r"^(int|integer)\b", re.IGNORECASE)


class NotTaken(Exception):
    """Rows that the database doesn't take, and has not written."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of a column: of characters, of bytes, or that of integers of 32 bits."""

    characters: int | None = None
    octets: int | None = None
    is_int32: bool = False

    def forbids(self, value: Any) -> bool:
        """Return True for a value that the column doesn't take whole."""
        if isinstance(value, str):
            return (self.characters is not None and len(value) > self.characters) or (
                self.octets is not None and len(value.encode()) > self.octets
            )
        return self.is_int32 and isinstance(value, int) and not -(2**31) <= value < 2**31


class Target(Source, ABC):
    """A connection to freezer-api's database, at the newest revision of its schema."""

    @abstractmethod
    def limits(self) -> Mapping[tuple[str, str], Limit]:
        """Return the limits of columns, by table and column. Raises Unavailable."""

    @abstractmethod
    def write(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """Run statements, each once for each of its lists of arguments, in one transaction.

        Raises NotTaken, and Unavailable.
        """


def open_target(text: str) -> Target:
    """Open a database that freezer-api has made, at the newest revision of its schema.

    Return it. Raises BadInput for any other, Unavailable if it doesn't answer.
    """
    url = parsed(text, "TARGET must be mysql://…, sqlite:///… or the path of a file")
    target: Target = SQLiteTarget(url) if url.get_backend_name() == "sqlite" else MySQLTarget(url)
    target.name = url.render_as_string(hide_password=True)
    columns = target.columns()
    missing = sorted({*TABLES, "alembic_version"} - columns.keys())
    newest = REVISIONS[-1]
    found = () if missing else target.rows("SELECT version_num FROM alembic_version")
    revision = found[0][0] if found else "none"
    if missing or revision != newest:
        target.close()
        lack = f"it has no table '{missing[0]}'" if missing else f"its revision is '{revision}'"
        raise BadInput(
            f"{target.name} isn't at the newest revision of freezer-api's schema, '{newest}': "
            f"{lack}. Let `freezer-manage db sync` make the tables first"
        )
    return target


class MySQLTarget(MySQL, Target):
    """MariaDB or MySQL."""

    OPENING: ClassVar[Sequence[str]] = (
        # A text that is too long is an error, and not cut.
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )

    def rows(self, query: str, arguments: Sequence[Any] = ()) -> Sequence[SourceRow]:
        """Return the rows of a query, as they are now. Raises Unavailable."""
        rows = super().rows(query, arguments)
        self.connection.rollback()
        return rows

    def limits(self) -> Mapping[tuple[str, str], Limit]:
        """Return the limits of columns, by table and column. Raises Unavailable."""
        query = (
            "SELECT table_name, column_name, column_type, character_maximum_length, "
            "character_octet_length FROM information_schema.columns "
            "WHERE table_schema = database()"
        )
        # A text's length in characters is told as that in bytes.
        return {
            (table, column): Limit(
                characters if kind.startswith("varchar") else None,
                None if kind.startswith("varchar") else octets,
                _INT32.match(kind) is not None,
            )
            for table, column, kind, characters, octets in self.rows(query)
        }

    def write(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """Run statements in one transaction. Raises NotTaken, and Unavailable."""
        try:
            with self.connection.cursor() as cursor:
                for query, many in statements:
                    if many:
                        cursor.executemany(query, many)
            self.connection.commit()
        except (pymysql.DataError, pymysql.IntegrityError) as error:
            self.connection.rollback()
            raise NotTaken(str(error.args[-1])) from error
        except (pymysql.MySQLError, OSError) as error:
            with suppress(pymysql.MySQLError, OSError):
                self.connection.rollback()
            raise unavailable(error) from error


class SQLiteTarget(SQLite, Target):
    """An SQLite file, whose columns have no limits."""

    MODE = "rw"
    OPENING: ClassVar[Sequence[str]] = ("PRAGMA busy_timeout = 10000",)

    def limits(self) -> Mapping[tuple[str, str], Limit]:
        """Return none."""
        return {}

    def write(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """Run statements in one transaction. Raises NotTaken, and Unavailable."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            for query, many in statements:
                self.connection.executemany(query.replace("%s", "?"), many)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError)):
                raise NotTaken(str(error)) from error
            raise unavailable(error) from error
