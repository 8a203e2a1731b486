"""The database: `rows` reads, `write` is one transaction, and a dead one is `Unavailable`."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import sqlalchemy as sa
import structlog
from cachetools import LRUCache
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.db import revisions
from gateway.db.pools import (
    CONNECT_SECONDS,
    SQLITE_PRAGMAS,
    PostgresPool,
    SQLitePool,
    StatementCounter,
)
from gateway.db.rows import Row
from gateway.db.statements import SQL, Statement
from gateway.db.transactions import Transaction
from gateway.errors import Conflict, GatewayError, Unavailable
from gateway.settings import Settings

log = structlog.get_logger(__name__)

# PostgreSQL's classes of error that say something about the server, not about the statement:
# connection, log-in, no such database, resources, operator intervention, and transactions that lost
# a race.
_TRANSIENT = ("08", "28", "3D", "53", "57", "40")
_UNPREPARED = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}
"""What tells the driver and SQLAlchemy to keep no statement, and to prepare it under no name."""
_TRANSIENT_SQLITE = ("locked", "unable to open", "disk I/O error", "readonly", "disk is full")

MAX_STATEMENTS = 500
"""The number of compiled statements that a database caches."""


class Database:
    """The catalogue's database: connections that read, and others for transactions."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.database
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _engine(self.url, settings)
        pool = SQLitePool if self.is_sqlite else PostgresPool
        self._readers, self._writers = pool(settings), pool(settings)
        self._statements: LRUCache[Hashable, Statement] = LRUCache(MAX_STATEMENTS)

    async def rows(
        self, query: sa.Select[Any] | Statement, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        """Every row that the query returns, with these values for its named parameters.

        Raises Unavailable when the database doesn't answer.
        """
        statement = query if isinstance(query, Statement) else self._compiled(query)
        StatementCounter.count()
        try:
            return await self._readers.fetch(
                statement.text, statement.arguments(values or {}), statement.row
            )
        except Exception as error:
            if (failure := _translation(error)) is None:
                raise
            raise failure from error

    async def scalar(self, query: sa.Select[Any]) -> Any:
        """The first column of the first row, or None. Raises as `rows` does."""
        for row in await self.rows(query):
            (value, *_), (convert, *_) = row, row.converters
            return value if convert is None else convert(value)
        return None

    def statement(self, key: Hashable, make: Callable[[], SQL]) -> Statement:
        """Return the statement cached under this key; compile what `make` returns if there is none.

        Raises nothing of its own.
        """
        try:
            return self._statements[key]
        except KeyError:
            pass
        compiled = self._statements[key] = self._compiled(make())
        return compiled

    def _compiled(self, query: SQL) -> Statement:
        return Statement(query, self._engine.dialect, self._readers.base)

    @asynccontextmanager
    async def write(
        self, project_id: str, *others: str, taken: str = "the item exists already"
    ) -> AsyncIterator[Transaction]:
        """One transaction: committed at the end of the block, rolled back by any exception.

        If it has changed anything, these projects have a new revision.
        Raises Conflict with the text of `taken` where the database finds a duplicate, Unavailable
        when it doesn't answer.
        """
        with _translated(taken):
            async with self._writers.transaction() as connection:
                transaction = Transaction(connection, self.statement)
                yield transaction
                await revisions.renew(transaction, {project_id, *others}, self._engine.dialect.name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction on a bare connection, for changing the schema. Raises Unavailable."""
        with _translated():
            async with self._engine.begin() as connection:
                yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.close()
        await self._writers.close()


def _engine(url: sa.URL, settings: Settings) -> AsyncEngine:
    """What writes the statements, and connects to change the schema."""
    if url.get_backend_name() != "sqlite":
        return create_async_engine(
            url,
            poolclass=NullPool,
            connect_args={
                "timeout": CONNECT_SECONDS,
                "command_timeout": settings.database_timeout,
                **({} if settings.database_prepared_statements else _UNPREPARED),
            },
        )
    engine = create_async_engine(url, poolclass=NullPool)
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions when it sees fit; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(SQLitePool.BEGIN)


@contextmanager
def _translated(taken: str = "") -> Iterator[None]:
    """Give the database's failures the gateway's names."""
    try:
        yield
    except Exception as error:
        if (failure := _translation(error, taken)) is None:
            raise
        raise failure from error


def _translation(error: Exception, taken: str = "") -> GatewayError | None:
    """The gateway's name for what the database says, or None where it has none."""
    if isinstance(error, (asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError)):
        return Conflict(taken)
    told: object = error
    if isinstance(
        error, (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error)
    ):
        if not is_unavailable(error):
            return None
        told = getattr(error, "orig", error)
    elif not isinstance(error, OSError):
        return None
    log.warning("database unavailable", error=str(told) or "it took too long")
    return Unavailable("the database doesn't answer")


def is_unavailable(error: Exception) -> bool:
    """Tell whether the database failed, rather than the statement."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error, InterfaceError):
            return True
        cause = getattr(error.orig, "__cause__", None)
        if isinstance(cause, (OSError, TimeoutError)):
            return True
        states = [getattr(one, "sqlstate", None) for one in (error.orig, cause)]
        error = error.orig if isinstance(error.orig, Exception) else error
    else:
        states = [getattr(error, "sqlstate", None)]
    if isinstance(error, sqlite3.Error):
        return isinstance(error, sqlite3.OperationalError) and any(
            part in str(error) for part in _TRANSIENT_SQLITE
        )
    if isinstance(error, asyncpg.InterfaceError):
        # A ValueError is about an argument.
        return not isinstance(error, ValueError)
    return any(state.startswith(_TRANSIENT) for state in states if state)
