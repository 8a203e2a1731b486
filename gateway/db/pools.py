"""The drivers' own connections, kept open, each lent to one statement or transaction at a time.

SQLAlchemy writes the statements. Going through its connections as well, for each of them, would
cost more than all the rest of a request.
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

from gateway.db.rows import Row
from gateway.settings import Settings

Found = Sequence[Row]

CONNECT_SECONDS = 5
"""How long a connection may take to be made, or to become free."""
PREPARED = 500
"""How many statements a connection to PostgreSQL keeps prepared."""
MOMENT_SECONDS = 0.005
"""How long SQLite may keep everybody waiting before a thread takes over."""
LOOK_EVERY = 1000
"""After how many of SQLite's instructions it is looked whether that is over."""
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 10000",
)


@dataclass(slots=True)
class StatementCounter:
    """How many SQL statements were run, but for those that begin and end transactions."""

    statements: int = 0

    @staticmethod
    def count() -> None:
        """Count one more, where somebody counts."""
        if (counter := _counter.get()) is not None:
            counter.statements += 1


_counter: ContextVar[StatementCounter | None] = ContextVar("tally", default=None)


def count_statements() -> StatementCounter:
    """Count the statements of every database from now on, in this task and in those it starts."""
    counter = StatementCounter()
    _counter.set(counter)
    return counter


class Slots:
    """So many places; whoever finds none waits for a turn, but not for ever.

    A semaphore with a time-out, which both take longer than most statements' way to the server.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Take a place. Raises TimeoutError where none gets free."""
        if self._free:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        patience = loop.call_later(CONNECT_SECONDS, _refuse, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # It had come, and is somebody else's now.
                self.leave()
            raise
        finally:
            patience.cancel()

    def leave(self) -> None:
        """Leave a place to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _refuse(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError("no connection got free"))


class Pool(ABC):
    """Up to so many connections, made when they are needed; the last one used is the next."""

    base: type = tuple
    """What a row is to begin with."""
    BEGIN: ClassVar[str]
    """What begins a transaction that may write."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = Slots(settings.database_pool_size)
        self._idle: list[Any] = []
        self._closed = False

    async def fetch(self, text: str, arguments: Sequence[Any], row: type[Row]) -> Found:
        """All rows that a statement finds, each of this class.

        A connection that died while it was idle is replaced, unseen: reading twice does no harm.
        Raises the driver's errors, OSError, and TimeoutError also where no connection gets free.
        """
        await self._slots.take()
        try:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._fetch_on(connection, text, arguments, row)
                except Exception as error:
                    if not self._was_dead(connection, error):
                        raise
            return await self._fetch_on(await self._connect(), text, arguments, row)
        finally:
            self._slots.leave()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["TransactionConnection"]:
        """One transaction: committed at the end of the block, rolled back by any exception.

        Raises what `fetch` does; and as there, a connection that has died is replaced, unseen.
        """
        await self._slots.take()
        try:
            borrowed = TransactionConnection(self, await self._begun())
        except BaseException:
            self._slots.leave()
            raise
        try:
            yield borrowed
            await borrowed.run("COMMIT")
        except BaseException:
            # To its end, also where nobody waits any more: others may wait for the rows.
            await asyncio.shield(self._take_back(borrowed))
            raise
        await self._keep(borrowed.connection)
        self._slots.leave()

    async def _begun(self) -> Any:
        """Begin a transaction on a connection."""
        while True:
            was_idle = bool(self._idle)
            connection = self._idle.pop() if was_idle else await self._connect()
            try:
                await self._run(connection, self.BEGIN)
            except BaseException as error:
                dead = isinstance(error, Exception) and self._was_dead(connection, error)
                await self._drop(connection)
                if not (was_idle and dead):
                    raise
            else:
                return connection

    async def _take_back(self, borrowed: "TransactionConnection") -> None:
        """Take a connection back whose transaction is not to be."""
        try:
            if borrowed.survives:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._run(borrowed.connection, "ROLLBACK")
                await self._keep(borrowed.connection)
        except Exception:  # noqa: BLE001 - the server rolls back what its client can't
            borrowed.survives = False
        finally:
            if not borrowed.survives:
                await self._drop(borrowed.connection)
            self._slots.leave()

    async def _fetch_on(
        self, connection: Any, text: str, arguments: Sequence[Any], row: type[Row]
    ) -> Found:
        try:
            found = await self._ask(connection, text, arguments, row)
        except BaseException as error:
            if self._survives(connection, error):
                await self._keep(connection)
            else:
                await self._drop(connection)
            raise
        await self._keep(connection)
        return found

    async def _keep(self, connection: Any) -> None:
        """Have a connection ready for the next, if there will be one."""
        if self._closed:
            await self._drop(connection)
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close what is open and idle now, and what is still in use as soon as it isn't."""
        self._closed = True
        while self._idle:
            await self._drop(self._idle.pop())

    @abstractmethod
    async def _connect(self) -> Any:
        """Open a connection."""

    @abstractmethod
    async def _ask(
        self, connection: Any, text: str, arguments: Sequence[Any], row: type[Row]
    ) -> Found:
        """Run a statement on a connection."""

    @abstractmethod
    async def _ask_each(self, connection: Any, text: str, many: Sequence[Sequence[Any]]) -> None:
        """Run a statement on a connection once for each of these arguments."""

    @abstractmethod
    async def _run(self, connection: Any, text: str) -> None:
        """Run a statement without arguments or rows on a connection."""

    @abstractmethod
    def _survives(self, connection: Any, error: BaseException) -> bool:
        """Whether a connection may be used again after this."""

    @abstractmethod
    def _was_dead(self, connection: Any, error: Exception) -> bool:
        """Whether it was the connection that failed, before the statement could."""

    @abstractmethod
    async def _drop(self, connection: Any) -> None:
        """Close a connection, whatever its state."""


class TransactionConnection:
    """A connection within a transaction. Its methods raise what `Pool.fetch` does."""

    def __init__(self, lender: Pool, connection: Any) -> None:
        self.connection = connection
        self.survives = True
        """Whether the connection may be used again after what has gone wrong."""
        self._lender = lender

    async def fetch(self, text: str, arguments: Sequence[Any], row: type[Row]) -> Found:
        """All rows that a statement finds or returns, each of this class."""
        StatementCounter.count()
        with self._watched():
            return await self._lender._ask(self.connection, text, arguments, row)  # noqa: SLF001

    async def each(self, text: str, many: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each of these arguments."""
        StatementCounter.count()
        with self._watched():
            await self._lender._ask_each(self.connection, text, many)  # noqa: SLF001

    async def run(self, text: str) -> None:
        """Run a statement that is of the transaction itself."""
        with self._watched():
            await self._lender._run(self.connection, text)  # noqa: SLF001

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.survives = self._lender._survives(self.connection, error)  # noqa: SLF001
            raise


class PostgresPool(Pool):
    """Connections to PostgreSQL; each prepares a statement once, or never, as the settings say."""

    base = asyncpg.Record
    BEGIN = "BEGIN"

    async def _connect(self) -> Any:
        settings = self._settings
        _, options = settings.database.get_dialect()().create_connect_args(settings.database)
        return await asyncpg.connect(
            **options,
            timeout=CONNECT_SECONDS,
            command_timeout=settings.database_timeout,
            statement_cache_size=PREPARED if settings.database_prepared_statements else 0,
        )

    async def _ask(
        self, connection: Any, text: str, arguments: Sequence[Any], row: type[Row]
    ) -> Found:
        found: Found = await connection.fetch(text, *arguments, record_class=row)
        return found

    async def _ask_each(self, connection: Any, text: str, many: Sequence[Sequence[Any]]) -> None:
        await connection.executemany(text, many)

    async def _run(self, connection: Any, text: str) -> None:
        await connection.execute(text)

    def _survives(self, connection: Any, error: BaseException) -> bool:
        # The driver itself ends what nobody waits for any more, before it begins the next. After
        # anything else the connection may be in the middle of something.
        known = isinstance(error, (asyncpg.PostgresError, ValueError, asyncio.CancelledError))
        return known and not connection.is_closed()

    def _was_dead(self, connection: Any, error: Exception) -> bool:
        return connection.is_closed() and not isinstance(error, TimeoutError)

    async def _drop(self, connection: Any) -> None:
        connection.terminate()


class SQLitePool(Pool):
    """Connections to an SQLite file, each a thread of its own, and one without.

    Handing a page over between threads takes longer than finding it: that is tried at once, and
    only what isn't found in a moment, or meets a lock, is left to a thread.
    """

    # A transaction that read first could not become a writer while another one writes.
    BEGIN = "BEGIN IMMEDIATE"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._ready: sqlite3.Connection | None = None
        self._until = 0.0

    async def fetch(self, text: str, arguments: Sequence[Any], row: type[Row]) -> Found:
        """All rows that a statement finds, each of this class. Raises the driver's errors."""
        try:
            ready = self._ready or self._open()
            self._until = time.perf_counter() + MOMENT_SECONDS
            return list(map(row, ready.execute(text, arguments)))
        except sqlite3.OperationalError:
            return await super().fetch(text, arguments, row)

    def _open(self) -> sqlite3.Connection:
        file = str(self._settings.database.database)
        connection = sqlite3.connect(file, isolation_level=None)
        for pragma in (*SQLITE_PRAGMAS, "PRAGMA busy_timeout = 0"):
            connection.execute(pragma)
        connection.set_progress_handler(lambda: time.perf_counter() > self._until, LOOK_EVERY)
        self._ready = connection
        return connection

    async def close(self) -> None:
        """Close what is open and idle."""
        if self._ready is not None:
            self._ready.close()
            self._ready = None
        await super().close()

    async def _connect(self) -> Any:
        file = str(self._settings.database.database)
        connection = await aiosqlite.connect(file, isolation_level=None)
        for pragma in SQLITE_PRAGMAS:
            await connection.execute_fetchall(pragma)
        return connection

    async def _ask(
        self, connection: Any, text: str, arguments: Sequence[Any], row: type[Row]
    ) -> Found:
        return list(map(row, await connection.execute_fetchall(text, arguments)))

    async def _ask_each(self, connection: Any, text: str, many: Sequence[Sequence[Any]]) -> None:
        await connection.executemany(text, many)

    async def _run(self, connection: Any, text: str) -> None:
        await connection.execute_fetchall(text)

    def _survives(self, connection: Any, error: BaseException) -> bool:  # noqa: ARG002
        # Its thread takes one thing after the other, also when nobody waits any more.
        return isinstance(error, (sqlite3.Error, asyncio.CancelledError))

    def _was_dead(self, connection: Any, error: Exception) -> bool:  # noqa: ARG002
        return False

    async def _drop(self, connection: Any) -> None:
        await connection.close()
