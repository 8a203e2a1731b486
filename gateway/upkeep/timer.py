"""The timer of the upkeep: what is done how often, until the gateway stops."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from gateway.db.database import Database
from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.upkeep.heartbeats import Heartbeats
from gateway.upkeep.runs import BATCH, RunsUpkeep

log = structlog.get_logger(__name__)

WRITE_SECONDS = 5
"""The time between two writes of heartbeats."""
LOSE_SECONDS = 60
"""The time between two looks for runs that are lost."""
FORGET_SECONDS = 3600
"""The time between two looks for old runs."""
MAX_BATCHES = 20
"""How many batches of old runs are forgotten at a time: those that are left have time."""
STOP_SECONDS = 2
"""The time that the last heartbeats may take to be written when the gateway stops."""


class Upkeep:
    """Writes heartbeats, and keeps the history of runs, beside the requests."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.heartbeats = Heartbeats(database)
        self.runs = RunsUpkeep(database, settings)
        self._silent_after = settings.client_silent_after
        self._listening_since: float | None = None
        """When it began to hear of every client, without a write that failed since."""
        self._failed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do it during a block; in the end, write what is left."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.stop()

    async def stop(self) -> None:
        """Write the last heartbeats, if that takes no time."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.heartbeats.write()
        except (GatewayError, TimeoutError) as error:
            log.warning(
                "heartbeats not written", clients=len(self.heartbeats.pending), reason=str(error)
            )

    async def _run(self) -> None:
        # Processes that start together don't do the same at the same time.
        lose_at, forget_at = (
            time.monotonic() + seconds * random.uniform(1, 2)  # noqa: S311 - no secret
            for seconds in (LOSE_SECONDS, FORGET_SECONDS)
        )
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            now = time.monotonic()
            try:
                await self.heartbeats.write()
                self._listening_since = self._listening_since or now
                if now > lose_at:
                    lose_at = now + LOSE_SECONDS
                    await self.lose(now)
                if now > forget_at:
                    forget_at = now + FORGET_SECONDS
                    await self.forget()
                self._failed = False
            except Exception as error:  # noqa: BLE001 - it goes on with the next
                # Nobody knows then who was silent, and who wasn't heard.
                self._listening_since = None
                if not self._failed:
                    log.warning("upkeep failed", reason=str(error) or type(error).__name__)
                self._failed = True

    async def lose(self, now: float) -> None:
        """Mark runs that are lost. Raises Unavailable."""
        since = self._listening_since
        knows_silence = since is not None and now - since > self._silent_after
        if count := await self.runs.lose(knows_silence=knows_silence):
            log.info("runs lost", runs=count)

    async def forget(self) -> None:
        """Forget old runs. Raises Unavailable."""
        for _ in range(MAX_BATCHES):
            if await self.runs.forget() < BATCH:
                return
