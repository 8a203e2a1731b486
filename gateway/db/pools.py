"""The pools of both databases: how their drivers connect, run statements and fail."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import aiosqlite
import asyncpg

from gateway.db import sqlite
from gateway.db.breaker import CircuitBreaker
from gateway.db.pooling import Arguments, Pool, TransactionConnection
from gateway.db.rows import Row
from gateway.db.slots import CONNECT_SECONDS, Slots
from gateway.settings import Settings

__all__ = ["CONNECT_SECONDS", "PostgresPool", "SQLitePool", "Slots", "TransactionConnection"]

MAX_PREPARED = 500
"""The number of statements that a connection to PostgreSQL keeps prepared."""
MAX_INLINE_SECONDS = 0.005
"""The time that SQLite may block the event loop before a thread takes over."""
PROGRESS_INSTRUCTIONS = 1000
"""The number of SQLite's instructions between two looks at the clock."""


class PostgresPool(Pool):
    """Connections to PostgreSQL; each prepares a statement once, or never, as the settings say.

    asyncpg's own pool costs more than a third of a request more: docs/decisions.md has the numbers.
    """

    base = asyncpg.Record
    BEGIN = "BEGIN"
    breaker: CircuitBreaker

    def __init__(self, settings: Settings, breaker: CircuitBreaker | None = None) -> None:
        super().__init__(settings)
        self.breaker = breaker or CircuitBreaker(self._seconds)
        self.breaker.guard(self)
        self._open: set[Any] = set()

    @property
    def is_busy(self) -> bool:
        """True if a connection is in use."""
        return self._slots.any_taken

    async def probe(self, seconds: float) -> None:
        """Run a statement on a new connection. Raises the driver's errors and TimeoutError."""
        connection = await self._driver_connection(seconds)
        try:
            await connection.execute("SELECT 1", timeout=seconds)
        finally:
            connection.terminate()

    def abandon(self) -> None:
        """Close every connection, also those in use, and let nobody wait for one."""
        self._idle.clear()
        for connection in list(self._open):
            connection.terminate()
        self._open.clear()
        self._slots.refuse_waiting()

    async def close(self) -> None:
        """Close the idle connections now, and those in use when they are released."""
        self.breaker.close()
        await super().close()

    async def _connect(self, deadline: float) -> Any:
        connection = await self._driver_connection(deadline - time.monotonic())
        if self.breaker.is_open:
            connection.terminate()
            raise TimeoutError("the server answered nothing meanwhile")
        self._open.add(connection)
        return connection

    async def _driver_connection(self, seconds: float) -> Any:
        settings = self._settings
        _, options = settings.database.get_dialect()().create_connect_args(settings.database)
        return await asyncpg.connect(
            **options,
            timeout=seconds,
            command_timeout=settings.database_timeout,
            statement_cache_size=MAX_PREPARED if settings.database_prepared_statements else 0,
        )

    async def _fetch(
        self,
        connection: Any,
        text: str,
        arguments: Arguments,
        row: type[Row],
        deadline: float | None = None,
    ) -> Sequence[Row]:
        seconds = None if deadline is None else deadline - time.monotonic()
        rows: Sequence[Row] = await connection.fetch(
            text, *arguments, timeout=seconds, record_class=row
        )
        return rows

    async def _execute_many(self, connection: Any, text: str, many: Sequence[Arguments]) -> None:
        await connection.executemany(text, many)

    async def _copy(
        self, connection: Any, table: str, names: Sequence[str], many: Sequence[Arguments]
    ) -> None:
        await connection.copy_records_to_table(table, records=many, columns=names)

    async def _execute(self, connection: Any, text: str, deadline: float | None = None) -> None:
        seconds = None if deadline is None else deadline - time.monotonic()
        await connection.execute(text, timeout=seconds)

    def _is_usable(self, connection: Any, error: BaseException) -> bool:
        # The driver cancels an abandoned statement before it runs the next one. After any other
        # error the connection may be in the middle of a message.
        known = isinstance(error, (asyncpg.PostgresError, ValueError, asyncio.CancelledError))
        return known and not connection.is_closed()

    def _was_dead(self, connection: Any, error: Exception) -> bool:
        if isinstance(error, TimeoutError) or self.breaker.is_open:
            return False
        return bool(connection.is_closed())

    def _is_outcome_unknown(self, error: Exception) -> bool:
        if isinstance(error, asyncpg.PostgresError):
            # Answers, unless the connection or the server ended.
            return (error.sqlstate or "").startswith(("08", "57P", "40003"))
        # The driver's InterfaceErrors come before anything is sent.
        return not isinstance(error, asyncpg.InterfaceError)

    async def _discard(self, connection: Any) -> None:
        self._open.discard(connection)
        connection.terminate()


class SQLitePool(Pool):
    """Connections to an SQLite file, each with a thread, and one that runs on the event loop.

    Handing a page over between threads takes longer than finding it. So a read is first tried on
    the loop, and left to a thread if it takes `MAX_INLINE_SECONDS` or meets a lock.
    """

    # A transaction that begins as a reader can't become a writer while another one writes.
    BEGIN = "BEGIN IMMEDIATE"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._inline: sqlite3.Connection | None = None
        self._deadline = 0.0

    async def fetch(self, text: str, arguments: Arguments, row: type[Row]) -> Sequence[Row]:
        """Return all rows of a statement, as instances of this class. Raises as `Pool.fetch`."""
        try:
            inline = self._inline or self._open_inline()
            self._deadline = time.perf_counter() + MAX_INLINE_SECONDS
            return list(map(row, inline.execute(text, arguments)))
        except sqlite3.OperationalError:
            return await super().fetch(text, arguments, row)

    def _open_inline(self) -> sqlite3.Connection:
        file = str(self._settings.database.database)
        connection = sqlite3.connect(file, isolation_level=None)
        for pragma in (*sqlite.pragmas(self._settings), "PRAGMA busy_timeout = 0"):
            connection.execute(pragma)
        connection.set_progress_handler(
            lambda: time.perf_counter() > self._deadline, PROGRESS_INSTRUCTIONS
        )
        self._inline = connection
        return connection

    async def close(self) -> None:
        """Close the idle connections now, and those in use when they are released."""
        if self._inline is not None:
            self._inline.close()
            self._inline = None
        await super().close()

    async def _connect(self, deadline: float) -> Any:  # noqa: ARG002 - a file opens at once
        file = str(self._settings.database.database)
        connection = await aiosqlite.connect(file, isolation_level=None)
        await sqlite.prepare(connection, self._settings)
        turn = sqlite.BUSY_TURN_SECONDS * 1000
        await connection.execute_fetchall(f"PRAGMA busy_timeout = {turn:.0f}")
        return connection

    async def _fetch(
        self,
        connection: Any,
        text: str,
        arguments: Arguments,
        row: type[Row],
        deadline: float | None = None,  # noqa: ARG002 - locks have a time limit
    ) -> Sequence[Row]:
        return list(map(row, await sqlite.run(connection, text, arguments)))

    async def _execute_many(self, connection: Any, text: str, many: Sequence[Arguments]) -> None:
        # Within a transaction, which waits for no lock, and soon done.
        await connection.executemany(text, many)

    async def _copy(
        self, connection: Any, table: str, names: Sequence[str], many: Sequence[Arguments]
    ) -> None:
        marks = ", ".join("?" * len(names))
        text = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - of columns
        await connection.executemany(text, many)

    async def _execute(self, connection: Any, text: str, deadline: float | None = None) -> None:  # noqa: ARG002 - as above
        await sqlite.run(connection, text)

    def _is_usable(self, connection: Any, error: BaseException) -> bool:  # noqa: ARG002
        # The connection's thread has ended a statement that was given up.
        return isinstance(error, (sqlite3.Error, asyncio.CancelledError))

    def _was_dead(self, connection: Any, error: Exception) -> bool:  # noqa: ARG002
        return False

    def _is_outcome_unknown(self, error: Exception) -> bool:  # noqa: ARG002
        return False

    async def _discard(self, connection: Any) -> None:
        await connection.close()
