"""The timer of the upkeep: what is done how often, until the gateway stops."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import structlog

from gateway.chains import filling
from gateway.changes.trimming import ChangeLogTrimming
from gateway.db.database import Database
from gateway.errors import GatewayError
from gateway.rates.store import BucketStore
from gateway.settings import Settings
from gateway.upkeep.due_times import DueTimesUpkeep
from gateway.upkeep.heartbeats import Heartbeats
from gateway.upkeep.runs import BATCH, RunsUpkeep

log = structlog.get_logger(__name__)

FIRST_SECONDS = 10
"""The time from the start to the first look for jobs without next runs: requests come first."""
MAX_BATCHES = 20
"""How many batches of old runs are forgotten at a time: those that are left have time."""
STOP_SECONDS = 2
"""The time that the last heartbeats may take to be written when the gateway stops."""


@dataclass(frozen=True)
class Task:
    """Work that is done again and again."""

    name: str
    """The thing that is kept up, as a log names it."""
    work: Callable[[], Awaitable[object]]
    seconds: float
    """The time from its end to when it begins again."""
    first_seconds: float | None = None
    """The time until it begins at first; without, once or twice the other."""

    async def repeat(self) -> None:
        """Do it, until the task is cancelled; what fails is logged once, and tried again."""
        if self.first_seconds is not None:
            seconds = self.first_seconds
        else:
            # Processes that start together don't do the same at the same time.
            seconds = self.seconds * random.uniform(1, 2)  # noqa: S311 - no secret
        has_failed = False
        while True:
            await asyncio.sleep(seconds)
            seconds = self.seconds
            try:
                await self.work()
            except GatewayError as error:
                if not has_failed:
                    log.warning("upkeep failed", of=self.name, reason=error.message)
                has_failed = True
            except Exception:
                if not has_failed:
                    log.exception("upkeep failed", of=self.name)
                has_failed = True
            else:
                has_failed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Repeat it during a block."""
        task = asyncio.create_task(self.repeat())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Upkeep:
    """Keeps up, beside the requests, what no request writes, or no gateway of this revision did."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.heartbeats = Heartbeats(database)
        self.runs = RunsUpkeep(database, settings)
        self._silent_after = settings.client_silent_after
        due_times = DueTimesUpkeep(database, settings.host_time_zone or None)
        buckets = BucketStore(database)
        self.tasks = (
            Task("heartbeats", self.heartbeats.write, 5),
            Task("lost runs", self.lose, 60),
            Task("next runs", due_times.renew, 600, FIRST_SECONDS),
            Task("chains", partial(filling.fill, database), 300),
            Task("old runs", self.forget, 3600),
            Task("rate limits", buckets.forget, 3600),
            Task("change log", ChangeLogTrimming(database, settings).trim, 600),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do it during a block; in the end, write what is left."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.stop)
            for task in self.tasks:
                await stack.enter_async_context(task.running())
            yield

    async def stop(self) -> None:
        """Write the last heartbeats, if that takes no time."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.heartbeats.write()
        except (GatewayError, TimeoutError) as error:
            log.warning(
                "heartbeats not written", clients=len(self.heartbeats.pending), reason=str(error)
            )

    async def lose(self) -> None:
        """Mark runs that are lost. Raises Unavailable."""
        since = self.heartbeats.listening_since
        knows_silence = since is not None and time.monotonic() - since > self._silent_after
        if count := await self.runs.lose(knows_silence=knows_silence):
            log.info("runs lost", runs=count)

    async def forget(self) -> None:
        """Forget old runs. Raises Unavailable."""
        for _ in range(MAX_BATCHES):
            if await self.runs.forget() < BATCH:
                return
