"""The database's readiness: its schema is checked until it is the one that the gateway needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from gateway import migrations
from gateway.db.database import Database
from gateway.errors import Unavailable

log = structlog.get_logger(__name__)


class SchemaReadiness:
    """Knows if the database's schema is current; until it is, every request checks again.

    So a database that is down at the start is served as soon as it is up, without a restart.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_current = False
        self._lock = asyncio.Lock()

    async def require(self) -> None:
        """Return if the schema is current, else raise Unavailable with what to do about it."""
        async with self._lock:
            if not self.is_current:
                state = await migrations.prepare(self.database)
                if not state.is_servable:
                    log.error("wrong schema", reason=str(state))
                    raise Unavailable(str(state))
                self.is_current = True

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Open the database when the application starts, and close it when it stops."""
        try:
            await self.require()
        except Unavailable as error:
            log.warning("answering 503 until the database is ready", reason=error.message)
        try:
            yield
        finally:
            await self.database.close()
