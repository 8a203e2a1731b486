"""Databases of freezer-api, opened read-only, each as one snapshot: MariaDB, MySQL and SQLite."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pymysql
import sqlalchemy as sa
from oslo_config import cfg
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import SSCursor
from sqlalchemy.exc import ArgumentError

from gateway.errors import BadInput, Unavailable

SourceRow = Sequence[Any]

CONNECT_SECONDS = 10
PATIENCE_SECONDS = 600
"""How long a statement of the source may take: counting scans whole tables."""
_INTEGERS = ("TINY", "SHORT", "INT24", "LONG", "LONGLONG")
# Times stay texts, as SQLite has them.
_CONVERSIONS = {
    **pymysql.converters.encoders,
    **{getattr(FIELD_TYPE, name): int for name in _INTEGERS},
}


class Source(ABC):
    """A connection to freezer-api's database, in one transaction that sees it as it began."""

    name: str
    """The URL, without its password."""
    address: str
    """The URL without user and options: what clients are told of a mirror."""
    keystone_user: str | None = None
    """The user as which freezer-api logs in to Keystone, where its configuration tells."""
    NOW: ClassVar[str]
    """The current time in UTC, in SQL, as the server has it."""

    @abstractmethod
    def columns(self) -> Mapping[str, frozenset[str]]:
        """Return the columns of each table. Raises Unavailable."""

    @abstractmethod
    def rows(self, query: str, arguments: Sequence[Any] = ()) -> Sequence[SourceRow]:
        """Return the rows of a query, whose parameters are written `%s`. Raises Unavailable."""

    @abstractmethod
    def stream(
        self, query: str, arguments: Sequence[Any], size: int
    ) -> Iterator[Sequence[SourceRow]]:
        """Yield the rows of a query, so many at a time; no other may run before its last row.

        Raises Unavailable.
        """

    @abstractmethod
    def is_read_only(self) -> bool:
        """Return True if the server itself lets freezer-api write nothing. Raises Unavailable."""

    def now(self) -> str:
        """Return the server's time, in UTC and by the second. Raises Unavailable."""
        return str(self.rows(f"SELECT {self.NOW}")[0][0])

    @abstractmethod
    def close(self) -> None:
        """End the transaction, and close the connection."""


def open_source(text: str) -> Source:
    """Open freezer-api's database: a URL, or the path of a `freezer-api.conf` that has one.

    Return it with its transaction begun. Raises BadInput for what names no database, Unavailable
    if it doesn't answer.
    """
    keystone_user = None
    if "://" not in text:
        text, keystone_user = _configured(Path(text))
    url = parsed(text, "SOURCE must be mysql://…, sqlite:///… or the path of a freezer-api.conf")
    source = SQLite(url) if url.get_backend_name() == "sqlite" else MySQL(url)
    source.name = url.render_as_string(hide_password=True)
    backend = url.get_backend_name()
    address = sa.URL.create(backend, host=url.host, port=url.port, database=url.database)
    source.address = address.render_as_string()
    source.keystone_user = keystone_user
    return source


def parsed(text: str, message: str) -> sa.URL:
    """Return the URL of a database that freezer-api can have.

    Raises BadInput, for what is no URL with this message.
    """
    try:
        url = sa.make_url(text)
    except ArgumentError:
        raise BadInput(message) from None
    backend = url.get_backend_name()
    if backend not in {"mysql", "mariadb", "sqlite"}:
        raise BadInput(f"freezer-api has no database of the kind '{backend}'")
    return url


def _configured(path: Path) -> tuple[str, str | None]:
    """Return the URL, and Keystone's user, of a freezer-api.conf. Raises BadInput."""
    if not path.is_file():
        raise BadInput(f"no file '{path}': SOURCE is a URL, or the path of a freezer-api.conf")
    configuration = cfg.ConfigOpts()
    configuration.register_opts([cfg.StrOpt("connection")], group="database")
    configuration.register_opts(
        [cfg.StrOpt("username"), cfg.StrOpt("user_domain_name")], group="keystone_authtoken"
    )
    try:
        configuration([], project="freezer-api", default_config_files=[str(path)])
        connection = configuration.database.connection
        user = configuration.keystone_authtoken
        name = f"{user.username} ({user.user_domain_name or 'Default'})" if user.username else None
    except cfg.Error as error:
        raise BadInput(f"{path}: {error}") from None
    if not connection:
        raise BadInput(f"{path} has no 'connection' in [database]")
    return connection, name


class MySQL(Source):
    """MariaDB or MySQL, by the driver that is written in Python: it installs anywhere."""

    OPENING: ClassVar[Sequence[str]] = (
        # A consistent read needs this level; servers may be set to a lower one.
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        # While the gateway's database is slow, nobody reads what is streamed.
        f"SET SESSION net_write_timeout = {PATIENCE_SECONDS}",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )
    NOW = "UTC_TIMESTAMP()"

    def __init__(self, url: sa.URL) -> None:
        self._streaming: SSCursor | None = None
        if not url.database:
            raise BadInput("SOURCE names no database: mysql://user:password@host/freezer")
        options = {
            key: value
            for key, value in url.query.items()
            if key == "unix_socket" or key.startswith("ssl_")
        }
        try:
            self.connection = pymysql.connect(
                host=url.host or "localhost",
                port=url.port or 3306,
                user=url.username,
                password=url.password or "",
                database=url.database,
                charset="utf8mb4",
                connect_timeout=CONNECT_SECONDS,
                read_timeout=PATIENCE_SECONDS,
                conv=_CONVERSIONS,
                **options,
            )
            for statement in self.OPENING:
                self.rows(statement)
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(error) from error

    def columns(self) -> Mapping[str, frozenset[str]]:
        """Return the columns of each table. Raises Unavailable."""
        found: dict[str, set[str]] = {}
        query = (
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = database()"
        )
        for table, column in self.rows(query):
            found.setdefault(table, set()).add(column)
        return {table: frozenset(names) for table, names in found.items()}

    def rows(self, query: str, arguments: Sequence[Any] = ()) -> Sequence[SourceRow]:
        """Return the rows of a query. Raises Unavailable."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(query, tuple(arguments) or None)
                rows: Sequence[SourceRow] = cursor.fetchall()
                return rows
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(error) from error

    def stream(
        self, query: str, arguments: Sequence[Any], size: int
    ) -> Iterator[Sequence[SourceRow]]:
        """Yield the rows of a query, so many at a time. Raises Unavailable."""
        cursor = self._streaming = self.connection.cursor(SSCursor)
        try:
            cursor.execute(query, tuple(arguments) or None)
            while rows := cursor.fetchmany(size):
                yield rows
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(error) from error
        if not self.connection.open:
            raise Unavailable("the connection to freezer-api's database was closed")

    def is_read_only(self) -> bool:
        """Return True if the server is `read_only`: then only its administrators write."""
        return bool(self.rows("SELECT @@global.read_only")[0][0])

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        result = self._streaming and self._streaming._result  # noqa: SLF001
        if result is not None:
            # Else the driver would try to read the rest.
            result.unbuffered_active = False


class SQLite(Source):
    """An SQLite file."""

    MODE = "ro"
    OPENING: ClassVar[Sequence[str]] = ("BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")
    NOW = "datetime('now')"

    def __init__(self, url: sa.URL) -> None:
        path = self.path = Path(url.database or "").absolute()
        try:
            self.connection = sqlite3.connect(
                f"{path.as_uri()}?mode={self.MODE}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            # Bytes that are no UTF-8 are reported, rather than end the import.
            self.connection.text_factory = lambda text: text.decode(errors="surrogateescape")
            for statement in self.OPENING:
                self.connection.execute(statement).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"{path}: {error}") from error

    def columns(self) -> Mapping[str, frozenset[str]]:
        """Return the columns of each table. Raises Unavailable."""
        tables = self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            table: frozenset(
                row[0] for row in self.rows("SELECT name FROM pragma_table_info(%s)", (table,))
            )
            for (table,) in tables
        }

    def rows(self, query: str, arguments: Sequence[Any] = ()) -> Sequence[SourceRow]:
        """Return the rows of a query. Raises Unavailable."""
        try:
            return self.connection.execute(query.replace("%s", "?"), tuple(arguments)).fetchall()
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def stream(
        self, query: str, arguments: Sequence[Any], size: int
    ) -> Iterator[Sequence[SourceRow]]:
        """Yield the rows of a query, so many at a time. Raises Unavailable."""
        try:
            cursor = self.connection.execute(query.replace("%s", "?"), tuple(arguments))
            while rows := cursor.fetchmany(size):
                yield rows
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def is_read_only(self) -> bool:
        """Return True if nobody has the permission to write to the file."""
        return not self.path.stat().st_mode & 0o222

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def unavailable(error: Exception) -> Unavailable:
    """Return the gateway's error for the driver's."""
    reason = error.args[-1] if error.args else error
    return Unavailable(f"freezer-api's database says: {reason}")
