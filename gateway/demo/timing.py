"""The time of an estate that works faster than others: a clock, and when its jobs run."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from gateway.catalogue.timetables import GRACE, KEYS, SOON, UNREADABLE, Timetable, timetable
from gateway.catalogue.vocabularies import ScheduleTrigger

CONTINUOUS_SECONDS = 600
"""The time between two runs of a job that runs all the time: its backups would drown all others."""
DAY = 86_400


class Clock:
    """Seconds that pass faster than others, from zero on."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._began = time.monotonic()

    def now(self) -> float:
        """Return how many of them have passed."""
        return (time.monotonic() - self._began) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Return when so many of them have passed."""
        await asyncio.sleep(max(0, seconds) / self.speed)

    async def sleep_unless(self, event: asyncio.Event, seconds: float) -> bool:
        """Return True as soon as an event is set, False after so many of them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, seconds) / self.speed):
                await event.wait()
        return event.is_set()


class Rhythm:
    """When a job runs: as often as its schedule says, beginning somewhere in its first period.

    Jobs of one session begin together, as their schedules would have it. At night alone, as in most
    estates, there would be nothing to see at other hours.
    """

    def __init__(self, job: Mapping[str, Any], seed: int) -> None:
        schedule = job["job_schedule"]
        self.period: float | None = None
        """The seconds between two runs; None for a job that runs once, or never."""
        self._once: float | None = None
        """The seconds until the only run; None for none."""
        # A schedule that a scheduler can't read leaves it without a run.
        with suppress(*UNREADABLE):
            self._read(timetable({key: schedule.get(key) for key in KEYS}, None))
        together = job.get("session_id") or job["job_id"]
        chance = random.Random(f"{seed}/{together}")  # noqa: S311 - no secret
        self._phase = chance.random() * (self.period or 0)

    def _read(self, plan: Timetable) -> None:
        """Take the times of a schedule. Raises one of `UNREADABLE`."""
        now = datetime.now(UTC)
        trigger = plan.trigger
        if trigger in {ScheduleTrigger.ONCE, ScheduleTrigger.AT_ONCE}:
            first = plan.first(now)
            # One that was due long ago is dropped.
            if first is not None and (now - first).total_seconds() <= GRACE:
                self._once = max(first - now, SOON).total_seconds()
        elif plan.is_impossible or (plan.end_moment is not None and plan.end_moment < now):
            return
        elif plan.is_continuous:
            self.period = CONTINUOUS_SECONDS
        else:
            gap = plan.longest_gap
            self.period = DAY if gap is None else gap.total_seconds()

    def next_run(self, now: float) -> float | None:
        """Return the time of the clock at which the next run begins; None: never."""
        if self.period is None:
            return None if self._once is None else now + self._once
        if now < self._phase:
            return self._phase
        return self._phase + ((now - self._phase) // self.period + 1) * self.period
