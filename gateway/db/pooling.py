"""A pool of a driver's connections, each used by one statement or transaction at a time.

SQLAlchemy writes the statements. Running each of them through its connections as well would cost
more than everything else in a request.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

from gateway.db.breaker import CircuitBreaker
from gateway.db.counting import StatementCounter
from gateway.db.rows import Row
from gateway.db.slots import Slots
from gateway.errors import OutcomeUnknown
from gateway.settings import Settings

Arguments = Sequence[Any]


class Pool(ABC):
    """A bounded pool of connections, opened on demand; the last one released is used next."""

    base: type = tuple
    """The driver's class of rows."""
    BEGIN: ClassVar[str]
    """The statement that begins a transaction that may write."""

    breaker: CircuitBreaker | None = None
    """Refuses statements while the server answers nothing; None for a file."""

    def __init__(self, settings: Settings) -> None:
        self.answers = 0
        """How many statements and transactions have been answered."""
        self._settings = settings
        self._seconds = min(settings.database_read_timeout, settings.database_timeout)
        self._slots = Slots(settings.database_pool_size)
        self._idle: list[Any] = []
        self._closed = False

    async def fetch(self, text: str, arguments: Arguments, row: type[Row]) -> Sequence[Row]:
        """Return all rows of a statement that only reads, as instances of this class.

        A connection that died while it was idle is replaced and the statement is run again. Raises
        the driver's errors, OSError, and TimeoutError if all of this takes too long.
        """
        if self.breaker is not None and self.breaker.needs_entry:
            await self.breaker.enter()
        deadline = time.monotonic() + self._seconds
        await self._slots.take(self._seconds)
        try:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._fetch_and_release(connection, text, arguments, row, deadline)
                except Exception as error:
                    if not self._was_dead(connection, error):
                        raise
            connection = await self._connect(deadline)
            return await self._fetch_and_release(connection, text, arguments, row, deadline)
        finally:
            self._slots.release()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["TransactionConnection"]:
        """Open a transaction: committed at the end of the block, rolled back by any exception.

        A connection that died while it was idle is replaced. Raises as `fetch` does, and
        OutcomeUnknown if the connection fails while the transaction is being committed.
        """
        if self.breaker is not None and self.breaker.needs_entry:
            await self.breaker.enter()
        deadline = time.monotonic() + self._seconds
        await self._slots.take(self._seconds)
        try:
            connection = TransactionConnection(self, await self._begin(deadline))
        except BaseException:
            self._slots.release()
            raise
        try:
            yield connection
            await self._commit(connection)
        except BaseException:
            # Shielded from cancellation: others may be waiting for the locked rows.
            await asyncio.shield(self._roll_back(connection))
            raise
        await self._release(connection.connection)
        self._slots.release()

    async def _begin(self, deadline: float) -> Any:
        """Return a connection on which a transaction has begun."""
        while True:
            was_idle = bool(self._idle)
            connection = self._idle.pop() if was_idle else await self._connect(deadline)
            try:
                await self._execute(connection, self.BEGIN, deadline)
            except BaseException as error:
                dead = isinstance(error, Exception) and self._was_dead(connection, error)
                await self._discard(connection)
                if not (was_idle and dead):
                    raise
            else:
                return connection

    async def _commit(self, connection: "TransactionConnection") -> None:
        try:
            await connection.execute("COMMIT")
        except Exception as error:
            if self._is_outcome_unknown(error):
                raise OutcomeUnknown(
                    "the database stopped answering while the change was committed: it may have "
                    "been made or not, so look before you try again"
                ) from error
            raise

    async def _roll_back(self, connection: "TransactionConnection") -> None:
        """Roll a transaction back and release its connection, or close one that is broken."""
        try:
            if connection.is_usable:
                async with asyncio.timeout(self._seconds):
                    await self._execute(connection.connection, "ROLLBACK")
                await self._release(connection.connection)
        except Exception:  # noqa: BLE001 - a server rolls back when the connection is closed
            connection.is_usable = False
        finally:
            if not connection.is_usable:
                await self._discard(connection.connection)
            self._slots.release()

    async def _fetch_and_release(
        self, connection: Any, text: str, arguments: Arguments, row: type[Row], deadline: float
    ) -> Sequence[Row]:
        try:
            rows = await self._fetch(connection, text, arguments, row, deadline)
        except BaseException as error:
            if not self._is_usable(connection, error):
                await self._discard(connection)
            elif isinstance(error, asyncio.CancelledError):
                # Given up, not answered.
                await self._keep(connection)
            else:
                await self._release(connection)
            raise
        await self._release(connection)
        return rows

    async def _release(self, connection: Any) -> None:
        """Count an answer, and keep its connection."""
        self.answers += 1
        await self._keep(connection)

    async def _keep(self, connection: Any) -> None:
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
    async def _connect(self, deadline: float) -> Any:
        """Open a connection. Raises TimeoutError."""

    @abstractmethod
    async def _fetch(
        self,
        connection: Any,
        text: str,
        arguments: Arguments,
        row: type[Row],
        deadline: float | None = None,
    ) -> Sequence[Row]:
        """Run a statement and return its rows. Raises TimeoutError."""

    @abstractmethod
    async def _execute_many(self, connection: Any, text: str, many: Sequence[Arguments]) -> None:
        """Run a statement once for each list of arguments."""

    @abstractmethod
    async def _copy(
        self, connection: Any, table: str, names: Sequence[str], many: Sequence[Arguments]
    ) -> None:
        """Append rows of these columns to a table, in the driver's fastest way."""

    @abstractmethod
    async def _execute(self, connection: Any, text: str, deadline: float | None = None) -> None:
        """Run a statement that has neither arguments nor rows. Raises TimeoutError."""

    @abstractmethod
    def _is_usable(self, connection: Any, error: BaseException) -> bool:
        """Return True if the connection may be used again after this error."""

    @abstractmethod
    def _was_dead(self, connection: Any, error: Exception) -> bool:
        """Return True if the connection was dead before the statement reached the server."""

    @abstractmethod
    def _is_outcome_unknown(self, error: Exception) -> bool:
        """Return True if a transaction whose COMMIT raised this may have been committed."""

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

    async def copy(self, table: str, names: Sequence[str], many: Sequence[Arguments]) -> None:
        """Append rows of these columns to a table. Raises as `Pool.fetch`."""
        StatementCounter.count()
        with self._tracking_errors():
            await self._pool._copy(self.connection, table, names, many)  # noqa: SLF001

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
