"""The database: `rows` reads, `write` is one transaction, and a dead one is `Unavailable`."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from gateway.errors import Conflict, Unavailable
from gateway.settings import Settings
from gateway.tables import Row

log = structlog.get_logger(__name__)

# PostgreSQL's classes of error that say something about the server, not about the statement:
# connection, log-in, no such database, resources, operator intervention, and transactions that lost
# a race.
_TRANSIENT = ("08", "28", "3D", "53", "57", "40")
_CONNECT_SECONDS = 5
_UNPREPARED = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}
"""What tells the driver and SQLAlchemy to keep no statement, and to prepare it under no name."""
_TRANSIENT_SQLITE = ("locked", "unable to open", "disk I/O error", "readonly", "disk is full")


@dataclass
class Tally:
    """How many SQL statements were run, but for those that begin and end transactions."""

    statements: int = 0


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def counting() -> Iterator[Tally]:
    """Count the statements of every database in the block, and in the tasks it starts."""
    tally = Tally()
    before = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(before)


class Database:
    """A pool of connections to the catalogue's database."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.database
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _engine(self.url, settings)
        sa.event.listen(self.engine.sync_engine, "before_cursor_execute", _count)
        # Reads need no transaction: a statement each, without BEGIN and ROLLBACK around it.
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def rows(
        self,
        statement: sa.Executable,
        parameters: Any = None,
    ) -> Sequence[Row]:
        """Every row that the statement returns.

        A connection that died while it was idle is replaced once, unseen: reading twice does no
        harm. Raises Unavailable when the database doesn't answer.
        """
        reading = asyncio.ensure_future(self._rows(statement, parameters))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            # An error elsewhere ended the operation. The connection still has to come home.
            await asyncio.wait([reading])
            raise

    async def _rows(self, statement: sa.Executable, parameters: Any) -> Sequence[Row]:
        with _translated():
            for last_try in (False, True):
                try:
                    async with self._reading.connect() as connection:
                        result = await connection.execute(statement, parameters)
                        return result.all()
                except DBAPIError as error:
                    if last_try or not error.connection_invalidated:
                        raise
        raise AssertionError("unreachable")

    async def scalar(self, statement: sa.Executable) -> Any:
        """The first column of the first row, or None. Raises as `rows` does."""
        found = await self.rows(statement)
        return found[0][0] if found else None

    @asynccontextmanager
    async def write(self, *, taken: str = "the item exists already") -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back by any exception.

        Raises Conflict with the text of `taken` where the database finds a duplicate, Unavailable
        when it doesn't answer.
        """
        with _translated(taken):
            async with (
                AsyncSession(self.engine, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction on a bare connection, for changing the schema. Raises Unavailable."""
        with _translated():
            async with self.engine.begin() as connection:
                yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def _engine(url: sa.URL, settings: Settings) -> AsyncEngine:
    pool_size = settings.database_pool_size
    if url.get_backend_name() != "sqlite":
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_CONNECT_SECONDS,
            connect_args={
                "timeout": _CONNECT_SECONDS,
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
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "busy_timeout = 10000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE: a transaction that read first could not become a writer while another one writes.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _translated(taken: str = "") -> Iterator[None]:
    """Give the database's failures the gateway's names."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(taken) from error
    except (PoolTimeoutError, OSError) as error:
        log.warning("database unavailable", error=str(error))
        raise Unavailable("the database doesn't answer") from error
    except DBAPIError as error:
        if not is_unavailable(error):
            raise
        log.warning("database unavailable", error=str(error.orig))
        raise Unavailable("the database doesn't answer") from error


def is_unavailable(error: DBAPIError) -> bool:
    """Tell whether the database failed, rather than the statement."""
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    cause = getattr(error.orig, "__cause__", None)
    state = getattr(error.orig, "sqlstate", None) or getattr(cause, "sqlstate", None) or ""
    if isinstance(error.orig, sqlite3.Error):
        return isinstance(error, OperationalError) and any(
            part in str(error.orig) for part in _TRANSIENT_SQLITE
        )
    return state.startswith(_TRANSIENT) or isinstance(cause, (OSError, TimeoutError))
