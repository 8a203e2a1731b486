"""Pools of the drivers' own connections, each used by one statement or transaction at a time.

SQLAlchemy writes the statements. Running each of them through its connections as well would cost
more than everything else in a request.
"""

import asyncio
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

import aiosqlite
import asyncpg

from gateway.db import sqlite
from gateway.db.rows import Row
from gateway.settings import Settings

Arguments = Sequence[Any]

CONNECT_SECONDS = 5
"""The time limit for opening a connection, and for waiting for a free one."""
MAX_PREPARED = 500
"""The number of statements that a connection to PostgreSQL keeps prepared."""
MAX_INLINE_SECONDS = 0.005
"""The time that SQLite may block the event loop before a thread takes over."""
PROGRESS_INSTRUCTIONS = 1000
"""The number of SQLite's instructions between two looks at the clock."""


@dataclass(slots=True)
class StatementCounter:
    """The number of SQL statements run, without those that begin and end transactions."""

    statements: int = 0

    @staticmethod
    def count() -> None:
        """Add one to the counter of the current task, if it has one."""
        if (counter := _counter.get()) is not None:
            counter.statements += 1


_counter: ContextVar[StatementCounter | None] = ContextVar("statement_counter", default=None)


def count_statements() -> StatementCounter:
    """Return a new counter of every statement run by this task and by tasks it starts."""
    counter = StatementCounter()
    _counter.set(counter)
    return counter


class Slots:
    """A FIFO semaphore. `take` waits at most `CONNECT_SECONDS`, then raises TimeoutError.

    asyncio.Semaphore within asyncio.timeout costs more than most statements' way to the server.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Take a slot, or wait for one. Raises TimeoutError."""
        if self._free:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(CONNECT_SECONDS, _time_out, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Cancelled after the slot was handed over: pass it on.
                self.release()
            raise
        finally:
            timer.cancel()

    def release(self) -> None:
        """Hand a slot to the task that has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _time_out(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError("no connection got free"))


class Pool(ABC):
    """A bounded pool of connections, opened on demand; the last one released is used next."""

    base: type = tuple
    """The driver's class of rows."""
    BEGIN: ClassVar[str]
    """The statement that begins a transaction that may write."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = Slots(settings.database_pool_size)
        self._idle: list[Any] = []
        self._closed = False

    async def fetch(self, text: str, arguments: Arguments, row: type[Row]) -> Sequence[Row]:
        """Return all rows of a statement that only reads, as instances of this class.

        A connection that died while it was idle is replaced and the statement is run again. Raises
        the driver's errors, OSError, and TimeoutError if no connection gets free.
        """
        await self._slots.take()
        try:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._fetch_and_release(connection, text, arguments, row)
                except Exception as error:
                    if not self._was_dead(connection, error):
                        raise
            return await self._fetch_and_release(await self._connect(), text, arguments, row)
        finally:
            self._slots.release()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["TransactionConnection"]:
        """Open a transaction: committed at the end of the block, rolled back by any exception.

        A connection that died while it was idle is replaced. Raises as `fetch` does.
        """
        await self._slots.take()
        try:
            connection = TransactionConnection(self, await self._begin())
        except BaseException:
            self._slots.release()
            raise
        try:
            yield connection
            await connection.execute("COMMIT")
        except BaseException:
            # Shielded from cancellation: others may be waiting for the locked rows.
            await asyncio.shield(self._roll_back(connection))
            raise
        await self._release(connection.connection)
        self._slots.release()

    async def _begin(self) -> Any:
        """Return a connection on which a transaction has begun."""
        while True:
            was_idle = bool(self._idle)
            connection = self._idle.pop() if was_idle else await self._connect()
            try:
                await self._execute(connection, self.BEGIN)
            except BaseException as error:
                dead = isinstance(error, Exception) and self._was_dead(connection, error)
                await self._discard(connection)
                if not (was_idle and dead):
                    raise
            else:
                return connection

    async def _roll_back(self, connection: "TransactionConnection") -> None:
        """Roll a transaction back and release its connection, or close one that is broken."""
        try:
            if connection.is_usable:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._execute(connection.connection, "ROLLBACK")
                await self._release(connection.connection)
        except Exception:  # noqa: BLE001 - a server rolls back when the connection is closed
            connection.is_usable = False
        finally:
            if not connection.is_usable:
                await self._discard(connection.connection)
            self._slots.release()

    async def _fetch_and_release(
        self, connection: Any, text: str, arguments: Arguments, row: type[Row]
    ) -> Sequence[Row]:
        try:
            rows = await self._fetch(connection, text, arguments, row)
        except BaseException as error:
            if self._is_usable(connection, error):
                await self._release(connection)
            else:
                await self._discard(connection)
            raise
        await self._release(connection)
        return rows

    async def _release(self, connection: Any) -> None:
        """Keep a connection for the next statement, or close it if the pool is closed."""
        if self._closed:
            await self._discard(connection)
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close the idle connections now, and those in use when they are released."""
        self._closed = True
        while self._idle:
            await self._discard(self._idle.pop())

    @abstractmethod
    async def _connect(self) -> Any:
        """Open a connection."""

    @abstractmethod
    async def _fetch(
        self, connection: Any, text: str, arguments: Arguments, row: type[Row]
    ) -> Sequence[Row]:
        """Run a statement and return its rows."""

    @abstractmethod
    async def _execute_many(self, connection: Any, text: str, many: Sequence[Arguments]) -> None:
        """Run a statement once for each list of arguments."""

    @abstractmethod
    async def _execute(self, connection: Any, text: str) -> None:
        """Run a statement that has neither arguments nor rows."""

    @abstractmethod
    def _is_usable(self, connection: Any, error: BaseException) -> bool:
        """Return True if the connection may be used again after this error."""

    @abstractmethod
    def _was_dead(self, connection: Any, error: Exception) -> bool:
        """Return True if the connection was dead before the statement reached the server."""

    @abstractmethod
    async def _discard(self, connection: Any) -> None:
        """Close a connection in any state."""


class TransactionConnection:
    """A connection within a transaction. Its methods raise as `Pool.fetch` does."""

    def __init__(self, pool: Pool, connection: Any) -> None:
        self.connection = connection
        self.is_usable = True
        """False after an error that leaves the connection in an unknown state."""
        self._pool = pool

    async def fetch(self, text: str, arguments: Arguments, row: type[Row]) -> Sequence[Row]:
        """Return all rows of a statement, as instances of this class. Raises as `Pool.fetch`."""
        StatementCounter.count()
        with self._tracking_errors():
            return await self._pool._fetch(self.connection, text, arguments, row)  # noqa: SLF001

    async def execute_many(self, text: str, many: Sequence[Arguments]) -> None:
        """Run a statement once for each list of arguments. Raises as `Pool.fetch`."""
        StatementCounter.count()
        with self._tracking_errors():
            await self._pool._execute_many(self.connection, text, many)  # noqa: SLF001

    async def execute(self, text: str) -> None:
        """Run a statement of the transaction itself, which isn't counted."""
        with self._tracking_errors():
            await self._pool._execute(self.connection, text)  # noqa: SLF001

    @contextmanager
    def _tracking_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.is_usable = self._pool._is_usable(self.connection, error)  # noqa: SLF001
            raise


class PostgresPool(Pool):
    """Connections to PostgreSQL; each prepares a statement once, or never, as the settings say.

    asyncpg's own pool costs more than a third of a request more: docs/decisions.md has the numbers.
    """

    base = asyncpg.Record
    BEGIN = "BEGIN"

    async def _connect(self) -> Any:
        settings = self._settings
        _, options = settings.database.get_dialect()().create_connect_args(settings.database)
        return await asyncpg.connect(
            **options,
            timeout=CONNECT_SECONDS,
            command_timeout=settings.database_timeout,
            statement_cache_size=MAX_PREPARED if settings.database_prepared_statements else 0,
        )

    async def _fetch(
        self, connection: Any, text: str, arguments: Arguments, row: type[Row]
    ) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.fetch(text, *arguments, record_class=row)
        return rows

    async def _execute_many(self, connection: Any, text: str, many: Sequence[Arguments]) -> None:
        await connection.executemany(text, many)

    async def _execute(self, connection: Any, text: str) -> None:
        await connection.execute(text)

    def _is_usable(self, connection: Any, error: BaseException) -> bool:
        # The driver cancels an abandoned statement before it runs the next one. After any other
        # error the connection may be in the middle of a message.
        known = isinstance(error, (asyncpg.PostgresError, ValueError, asyncio.CancelledError))
        return known and not connection.is_closed()

    def _was_dead(self, connection: Any, error: Exception) -> bool:
        return connection.is_closed() and not isinstance(error, TimeoutError)

    async def _discard(self, connection: Any) -> None:
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

    async def _connect(self) -> Any:
        file = str(self._settings.database.database)
        connection = await aiosqlite.connect(file, isolation_level=None)
        for pragma in sqlite.pragmas(self._settings):
            await connection.execute_fetchall(pragma)
        return connection

    async def _fetch(
        self, connection: Any, text: str, arguments: Arguments, row: type[Row]
    ) -> Sequence[Row]:
        return list(map(row, await connection.execute_fetchall(text, arguments)))

    async def _execute_many(self, connection: Any, text: str, many: Sequence[Arguments]) -> None:
        await connection.executemany(text, many)

    async def _execute(self, connection: Any, text: str) -> None:
        await connection.execute_fetchall(text)

    def _is_usable(self, connection: Any, error: BaseException) -> bool:  # noqa: ARG002
        # The connection's thread runs one statement after the other, abandoned ones included.
        return isinstance(error, (sqlite3.Error, asyncio.CancelledError))

    def _was_dead(self, connection: Any, error: Exception) -> bool:  # noqa: ARG002
        return False

    async def _discard(self, connection: Any) -> None:
        await connection.close()
