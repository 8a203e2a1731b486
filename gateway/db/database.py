"""The database: reads, transactions, and the gateway's errors for the drivers' errors."""

import sqlite3
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Hashable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import sqlalchemy as sa
import structlog
from cachetools import LRUCache
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway import deadlines
from gateway.db import revisions, sqlite
from gateway.db.breaker import BreakerOpen, CircuitBreaker
from gateway.db.counting import StatementCounter
from gateway.db.pooling import Pool
from gateway.db.pools import PostgresPool, SQLitePool
from gateway.db.rows import Row
from gateway.db.slots import CONNECT_SECONDS
from gateway.db.statements import SQL, Statement
from gateway.db.transactions import Transaction
from gateway.errors import Conflict, GatewayError, LostRace, Unavailable
from gateway.settings import Settings

log = structlog.get_logger(__name__)

# PostgreSQL's classes of errors that are the server's, not the statement's: connection, log-in, no
# such database, resources, operator intervention, and transactions that were rolled back.
_TRANSIENT = ("08", "28", "3D", "53", "57", "40")
_LOST_RACE = ("40001", "40P01")
"""PostgreSQL's errors for transactions that lost a race: serialization failure and deadlock."""
_UNPREPARED = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}
"""The options by which the driver and SQLAlchemy cache no statement, and name none."""
_TRANSIENT_SQLITE = ("locked", "unable to open", "disk I/O error", "readonly", "disk is full")

MAX_STATEMENTS = 500
"""The number of compiled statements that a database caches."""


class Database:
    """The catalogue's database, with a pool of connections for reads and one for transactions."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.database
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._settings = settings
        self._engine = _engine(settings)
        self.read_timeout = min(settings.database_read_timeout, settings.database_timeout)
        """Seconds before a read times out, and a server that is silent is taken for dead."""
        self._readers, self._writers = _pools(settings, self.read_timeout)
        self._statements: LRUCache[Hashable, Statement] = LRUCache(MAX_STATEMENTS)
        self.before_first_use: Callable[[], Awaitable[None]] | None = None
        """Awaited before every statement until it becomes None; may raise Unavailable."""
        self.after_commit: Callable[[Collection[str]], None] = lambda _projects: None
        """Called with the projects that have a new revision, when a transaction is committed."""

    async def rows(
        self, query: sa.Select[Any] | Statement, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        """Return every row of a query, run with these values of its named parameters.

        The query is compiled once: values that differ from call to call must be parameters. Raises
        Unavailable if the database doesn't answer.
        """
        if self.before_first_use is not None:
            await self.before_first_use()
        statement = query if isinstance(query, Statement) else self.statement(query, lambda: query)
        StatementCounter.count()
        try:
            return await self._readers.fetch(
                statement.text, statement.arguments(values or {}), statement.row
            )
        except Exception as error:
            if (translation := _translation(error)) is None:
                raise
            raise translation from error

    async def scalar(self, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> Any:
        """Return the first column of the first row, or None. Raises as `rows` does."""
        for row in await self.rows(query, values):
            value, convert = row[0], row.converters[0]
            return value if convert is None else convert(value)
        return None

    def statement(self, key: Hashable, make: Callable[[], SQL]) -> Statement:
        """Return the statement cached under this key; compile what `make` returns if none is."""
        try:
            return self._statements[key]
        except KeyError:
            pass
        compiled = self._statements[key] = self.compile(make())
        return compiled

    def compile(self, query: SQL) -> Statement:
        """Return the compiled statement of a query, which is not cached."""
        return Statement(query, self._engine.dialect, self._readers.base)

    @asynccontextmanager
    async def write(
        self,
        *projects: str,
        conflict_message: str = "the item exists already",
        mirror: str | None = None,
    ) -> AsyncIterator[Transaction]:
        """Open a transaction: committed at the end of the block, rolled back by any exception.

        A transaction that has changed anything gives these projects a new revision, and those of
        items that it has told the change log of. Raises Conflict
        with `conflict_message` for a duplicate, LostRace if the database gave the transaction up
        for another one, Unavailable if it doesn't answer, OutcomeUnknown if it stops answering
        while it commits, and DeadlineExceeded. Once it commits, the operation holds.

        Raises Mirrored if one of the projects mirrors a source. The mirror itself names its source
        as `mirror`, and gets BadInput if they don't mirror it; what is derived is by `UPKEEP`.
        """
        deadlines.resume()
        if self.before_first_use is not None:
            await self.before_first_use()
        renewed: Collection[str] = ()
        dialect = self._engine.dialect.name
        try:
            with _translating_errors(conflict_message, writes=True):
                async with self._writers.transaction() as connection:
                    transaction = Transaction(connection, self.statement, *projects[:1])
                    yield transaction
                    renewed = await revisions.renew(transaction, projects, dialect, mirror)
                    deadlines.hold()
        except Conflict as conflict:
            if revisions.is_refusal(conflict.__cause__):
                raise await revisions.mirrored(self.rows, projects, mirror) from conflict
            raise
        if renewed:
            self.after_commit(renewed)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction on SQLAlchemy's connection, to look at the schema.

        Raises Unavailable.
        """
        with _translating_errors():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def schema_change(self, *, transaction: bool = True) -> AsyncIterator[AsyncConnection]:
        """Open a connection to change the schema, on which statements may take any time.

        Without a transaction, each statement is committed by itself. Raises Unavailable.
        """
        engine = _engine(self._settings, changing_schema=True)
        with _translating_errors():
            if transaction:
                async with engine.begin() as connection:
                    yield connection
            else:
                async with engine.connect() as connection:
                    yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.close()
        await self._writers.close()


def _pools(settings: Settings, seconds: float) -> tuple[Pool, Pool]:
    """Return the pools of readers and of writers, which share one circuit breaker."""
    if settings.database.get_backend_name() == "sqlite":
        return SQLitePool(settings), SQLitePool(settings)
    breaker = CircuitBreaker(seconds)
    return PostgresPool(settings, breaker), PostgresPool(settings, breaker)


def _engine(settings: Settings, *, changing_schema: bool = False) -> AsyncEngine:
    """Return an engine that compiles statements, and connects to read or change the schema."""
    url = settings.database
    if url.get_backend_name() != "sqlite":
        return create_async_engine(
            url,
            poolclass=NullPool,
            connect_args={
                "timeout": CONNECT_SECONDS,
                "command_timeout": None if changing_schema else settings.database_timeout,
                **({} if settings.database_prepared_statements else _UNPREPARED),
            },
        )
    engine = create_async_engine(url, poolclass=NullPool)
    # Alembic copies a table to change it. Dropping the old one would delete the rows of other
    # tables that refer to it.

    def prepare(connection: Any, _record: object) -> None:
        # The driver would begin transactions itself, and late; `_begin_sqlite` does it instead.
        connection.isolation_level = None
        connection.run_async(
            lambda driver: sqlite.prepare(driver, settings, foreign_keys=not changing_schema)
        )

    sa.event.listen(engine.sync_engine, "connect", prepare)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(SQLitePool.BEGIN)


@contextmanager
def _translating_errors(conflict_message: str = "", *, writes: bool = False) -> Iterator[None]:
    """Raise Conflict, LostRace and Unavailable in place of the drivers' errors."""
    try:
        yield
    except Exception as error:
        if writes and _is_lost_race(error):
            raise LostRace from error
        if (translation := _translation(error, conflict_message)) is None:
            raise
        raise translation from error


def _translation(error: Exception, conflict_message: str = "") -> GatewayError | None:
    """Return the gateway's error for a driver's error, or None if it has none."""
    if isinstance(error, (asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError)):
        return Conflict(conflict_message)
    reason: object = error
    if isinstance(
        error, (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error)
    ):
        if not is_unavailable(error):
            return None
        reason = getattr(error, "orig", error)
    elif not isinstance(error, OSError):
        return None
    if not isinstance(error, BreakerOpen):
        # The breaker itself logs that it opens, once for all.
        log.warning("database unavailable", error=str(reason) or "it took too long")
    return Unavailable("the database doesn't answer")


def _is_lost_race(error: Exception) -> bool:
    """Return True if a transaction was given up for another one, and changed nothing."""
    if isinstance(error, asyncpg.PostgresError):
        return error.sqlstate in _LOST_RACE
    return sqlite.is_busy(error)


def is_unavailable(error: Exception) -> bool:
    """Return True if the database failed, rather than the statement."""
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
        # asyncpg's InterfaceErrors that are ValueErrors concern an argument.
        return not isinstance(error, ValueError)
    return any(state.startswith(_TRANSIENT) for state in states if state)
