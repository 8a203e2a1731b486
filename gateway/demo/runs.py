"""A run of a job: what its scheduler reports, and what its agents save."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.catalogue.vocabularies import JobEvent, JobResult, JobStatus
from gateway.demo import agents
from gateway.demo.service import Document, Host, Service, ServiceError, number
from gateway.demo.timing import DAY, Clock

FAILURES = 0.06
"""The share of actions that fail."""
REMEMBERED_DAYS = 90
"""The days for which an agent looks back for its last backup."""

_UNIT = 1024
_GIB = _UNIT**3
_SPEED = 200 * 2**20  # bytes a second


@dataclass(frozen=True)
class Event:
    """Something that has happened on a host."""

    host: str
    job: str
    text: str
    is_bad: bool = False


Tell = Callable[[Event], None]


@dataclass(frozen=True)
class World:
    """All that the hosts of an estate have in common."""

    service: Service
    clock: Clock
    seed: int
    tell: Tell
    failures: float = FAILURES


class Run:
    """One run of a job, on its host."""

    def __init__(self, world: World, host: Host, job: Document, number: int) -> None:
        """Run a job, as it was polled; `number` is how many runs it has had here."""
        self.world, self.host, self.job = world, host, job
        self.id = job["job_id"]
        self.aborted = asyncio.Event()
        self._chance = random.Random(f"{world.seed}/{self.id}/{number}")  # noqa: S311 - no secret

    async def begin(self) -> None:
        """Report that it has begun, to the job and to its session."""
        started = int(time.time())
        if started <= number(self.job["job_schedule"].get("time_started")):
            # The time is what tells two runs apart.
            await asyncio.sleep(1)
            started = int(time.time())
        await self.report(
            status=JobStatus.RUNNING.value, result="", time_started=started, time_ended=-1
        )
        self.say("runs")
        if session := self.job.get("session_id"):
            await self._start_session(session)

    async def work(self) -> str:
        """Do the actions one after the other, and return the result of all."""
        result = JobResult.SUCCESS
        for entry in self.job.get("job_actions", ()):
            if result is JobResult.SUCCESS or entry.get("mandatory"):
                done = await self._act(entry.get("freezer_action") or {})
                result = result if done is JobResult.SUCCESS else done
        return result.value

    async def end(self, result: str, status: str, event: str | None = None) -> None:
        """Report its end, to its session and to the job."""
        if session := self.job.get("session_id"):
            tag = number(self.job.get("session_tag"))
            await self._try(self.world.service.end_session(session, self.id, tag, result))
        told: dict[str, Any] = {} if event is None else {"event": event}
        await self.report(status=status, result=result, time_ended=int(time.time()), **told)
        self.say(result, is_bad=result != JobResult.SUCCESS)

    async def report(self, **schedule: Any) -> None:
        """Tell some keys of the job's schedule. An error is ignored, as freezer-scheduler does."""
        self.job["job_schedule"] |= schedule
        document: dict[str, Any] = {"job_schedule": schedule}
        if session := self.job.get("session_id"):
            tag = number(self.job.get("session_tag"))
            document |= {"session_id": session, "session_tag": tag}
        await self._try(self.world.service.report(self.id, document))

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Tell an event of it."""
        name = self.job.get("description") or self.id
        self.world.tell(Event(self.host.name, name, text, is_bad))

    async def _start_session(self, session: str) -> None:
        tag = number(self.job.get("session_tag"))
        outcome = await self._try(self.world.service.start_session(session, self.id, tag))
        if outcome is not None:
            # A job that came too late is in step again in the next run.
            self.job["session_tag"] = max(tag, number(outcome["session_tag"]))
            self.say(f"session: {outcome['result']}, run {outcome['session_tag']}")

    async def _act(self, action: Mapping[str, Any]) -> JobResult:
        """Let an agent do one action."""
        await self.report(current_pid=self._chance.randrange(2000, 60_000))
        is_backup = action.get("action") == "backup"
        saved = await self._to_save(action) if is_backup else None
        seconds = self._chance.uniform(5, 60) if saved is None else 20 + saved.size / _SPEED
        fails = self._chance.random() < self.world.failures
        if fails:
            seconds *= self._chance.random()
        if await self.world.clock.sleep_unless(self.aborted, seconds):
            return JobResult.ABORTED
        if fails:
            self.say(f"{action.get('action', 'action')} failed", is_bad=True)
            return JobResult.FAIL
        if saved is not None:
            await self._try(self.world.service.register(saved.metadata | {"job_id": self.id}))
            self.say(f"saved {_shown(saved.size)}, level {saved.metadata['curr_backup_level']}")
        return JobResult.SUCCESS

    async def _to_save(self, action: Mapping[str, Any]) -> "Saved":
        """Return the backup that an agent makes: it follows the last one that is known."""
        since = int(time.time()) - REMEMBERED_DAYS * DAY
        name = action.get("backup_name") or ""
        found = await self._try(self.world.service.backups(name, self.host.name, since))
        return Saved.after(found or (), action, self.host, self._chance)

    async def _try(self, request: Any) -> Any:
        try:
            return await request
        except ServiceError as error:
            self.say(str(error), is_bad=True)
            return None


@dataclass(frozen=True)
class Saved:
    """A backup that an agent has made: its size in bytes, and what it tells of it."""

    size: int
    metadata: Document

    @classmethod
    def after(
        cls,
        earlier: Any,
        action: Mapping[str, Any],
        host: Host,
        chance: random.Random,
    ) -> "Saved":
        """Return the backup that follows these, given by their metadata, the oldest first."""
        last = earlier[-1] if earlier else {}
        tells = not earlier or "backup_size_uncompressed" in last
        most = 0 if action.get("no_incremental") else number(action.get("max_level"))
        before = number(last.get("curr_backup_level"))
        level = 0 if not earlier or not tells or before >= most else before + 1
        sizes = [
            number(one["backup_size_uncompressed"])
            for one in earlier
            if "backup_size_uncompressed" in one and not number(one.get("curr_backup_level"))
        ]
        full = sizes[-1] if sizes else chance.uniform(1, 50) * _GIB
        size = int(full * (chance.uniform(0.01, 0.08) if level else chance.uniform(0.98, 1.03)))
        stamp = max(int(time.time()), number(last.get("time_stamp")) + 1)
        client_os = last.get("client_os") or "linux"
        told = agents.metadata(action, host.name, stamp, level, client_os)
        if tells:
            packed = number(last.get("backup_size_compressed"))
            unpacked = number(last.get("backup_size_uncompressed"))
            ratio = packed / unpacked if packed and unpacked else 0.45
            told |= {
                "backup_size_uncompressed": size,
                "backup_size_compressed": int(size * ratio),
            }
        return cls(size, told)


def _shown(size: float) -> str:
    units = ["TiB", "GiB", "MiB", "KiB", "bytes"]
    while size >= _UNIT and len(units) > 1:
        size /= _UNIT
        units.pop()
    return f"{size:.1f} {units[-1]}"


STOPPING = frozenset({JobEvent.STOP, JobEvent.ABORT, JobEvent.REMOVE})
"""The events after which a job isn't run any more."""
