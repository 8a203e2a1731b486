"""The database: `rows` reads, `write` is one transaction, and a dead one is `Unavailable`."""

import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InterfaceError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from gateway import revisions
from gateway.errors import Conflict, GatewayError, Unavailable
from gateway.readers import CONNECT_SECONDS, SQLITE_PRAGMAS, PostgresReaders, SQLiteReaders
from gateway.settings import Settings
from gateway.statements import Statement
from gateway.tables import Row

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


MOST_STATEMENTS = 500
"""How many statements are remembered as they were compiled."""


@dataclass(slots=True)
class Tally:
    """How many SQL statements were run, but for those that begin and end transactions."""

    statements: int = 0


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


def counted() -> Tally:
    """Count the statements of every database from now on, in this task and in those it starts."""
    tally = Tally()
    _tally.set(tally)
    return tally


class Database:
    """The catalogue's database: connections that read, and others for transactions."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.database
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _engine(self.url, settings)
        sa.event.listen(self.engine.sync_engine, "before_cursor_execute", _count)
        self._readers = (SQLiteReaders if self.is_sqlite else PostgresReaders)(settings)
        self._statements: OrderedDict[Hashable, Statement] = OrderedDict()

    async def rows(
        self, query: sa.Select[Any] | Statement, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        """Every row that the query returns, with these values for its named parameters.

        Raises Unavailable when the database doesn't answer.
        """
        statement = query if isinstance(query, Statement) else self._compiled(query)
        if (tally := _tally.get()) is not None:
            tally.statements += 1
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
            (value, *_), (way, *_) = row, row.ways
            return value if way is None else way(value)
        return None

    def statement(self, key: Hashable, make: Callable[[], sa.Select[Any]]) -> Statement:
        """What `make` makes, compiled: the first time that it is asked for under this key."""
        if (known := self._statements.get(key)) is not None:
            self._statements.move_to_end(key)
            return known
        made = self._statements[key] = self._compiled(make())
        if len(self._statements) > MOST_STATEMENTS:
            self._statements.popitem(last=False)
        return made

    def _compiled(self, query: sa.Select[Any]) -> Statement:
        return Statement(query, self.engine.dialect, self._readers.base)

    @asynccontextmanager
    async def write(
        self, project_id: str, *others: str, taken: str = "the item exists already"
    ) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back by any exception.

        If it has changed anything, these projects have a new revision.
        Raises Conflict with the text of `taken` where the database finds a duplicate, Unavailable
        when it doesn't answer.
        """
        with _translated(taken):
            async with (
                AsyncSession(
                    self.engine, sync_session_class=revisions.Recorder, expire_on_commit=False
                ) as session,
                session.begin(),
            ):
                yield session
                await revisions.renew(session, {project_id, *others})

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction on a bare connection, for changing the schema. Raises Unavailable."""
        with _translated():
            async with self.engine.begin() as connection:
                yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.close()
        await self.engine.dispose()


def _engine(url: sa.URL, settings: Settings) -> AsyncEngine:
    pool_size = settings.database_pool_size
    if url.get_backend_name() != "sqlite":
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_SECONDS,
            connect_args={
                "timeout": CONNECT_SECONDS,
                "command_timeout": settings.database_timeout,
                **({} if settings.database_prepared_statements else _UNPREPARED),
            },
            # Documents travel as text: what the driver would decode stays as it is.
            json_deserializer=str,
        )
        sa.event.listen(engine.sync_engine, "checkout", _replace_dead)
        return engine
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0)
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
    tally = _tally.get()
    # SQLite's BEGIN is a statement like any other.
    if tally is not None and not statement.startswith("BEGIN"):
        tally.statements += 1


def _replace_dead(connection: Any, _record: object, _proxy: object) -> None:
    # The driver knows, without asking the server, that a connection was closed while it was idle.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions when it sees fit; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE: a transaction that read first could not become a writer while another one writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


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
    if isinstance(error, IntegrityError):
        return Conflict(taken)
    told: object = error
    if isinstance(
        error, (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error)
    ):
        if not is_unavailable(error):
            return None
        told = getattr(error, "orig", error)
    elif not isinstance(error, (PoolTimeoutError, OSError)):
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
