"""The database's readiness: its schema is checked until it is the one that the gateway needs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from gateway import migrations
from gateway.db.database import Database
from gateway.errors import Unavailable

log = structlog.get_logger(__name__)

FAILURE_SECONDS = 1
"""Seconds for which a failed check is remembered: requests meanwhile are refused without one."""


class SchemaReadiness:
    """Knows if the database's schema is current; until it is, statements wait for a check.

    All that wait share one check, and its failure is remembered for a moment. So a database that is
    down at the start is served as soon as it is up, without a restart.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.database = database
        self._clock = clock
        self._check: asyncio.Task[str] | None = None
        self._failure = ""
        self._failed_at = float("-inf")
        database.before_first_use = self.require

    async def require(self) -> None:
        """Return if the schema is current, else raise Unavailable with what to do about it."""
        if self._clock() < self._failed_at + FAILURE_SECONDS:
            raise Unavailable(self._failure)
        if self._check is None:
            self._check = asyncio.create_task(self._fault())
            self._check.add_done_callback(self._checked)
        # Shielded: a caller that goes away doesn't take the answer from the others.
        if fault := await asyncio.shield(self._check):
            raise Unavailable(fault)

    async def _fault(self) -> str:
        """Check the schema, and return why the database can't be used; empty: it can."""
        limit = None if self.database.is_sqlite else self.database.read_timeout
        try:
            async with asyncio.timeout(limit):
                state = await migrations.prepare(self.database)
        except Unavailable as error:
            fault = error.message
        except TimeoutError:
            fault = "the database doesn't answer"
        else:
            if state.is_servable:
                self.database.before_first_use = None
                return ""
            fault = str(state)
            log.error("wrong schema", reason=fault)
        self._failure, self._failed_at = fault, self._clock()
        return fault

    def _checked(self, check: "asyncio.Task[str]") -> None:
        self._check = None
        if not check.cancelled():
            # Where every caller has gone away, nobody else retrieves it.
            check.exception()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the database for a block, and close it in the end."""
        try:
            await self.require()
        except Unavailable as error:
            log.warning("answering 503 until the database is ready", reason=error.message)
        try:
            yield
        finally:
            if self._check is not None:
                self._check.cancel()
            await self.database.close()
