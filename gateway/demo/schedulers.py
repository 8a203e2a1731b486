"""The scheduler of a host: polls for jobs, carries out what users request, and runs what is due."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from gateway.catalogue.vocabularies import JobEvent, JobStatus
from gateway.demo.runs import STOPPING, Event, Run, World
from gateway.demo.service import Document, Host, ServiceError
from gateway.demo.timing import Rhythm

POLL_SECONDS = 60
"""The time between two polls of freezer-scheduler, by default."""
LEAST_POLL_SECONDS = 5
"""The same in real time, at least: a fast estate shouldn't ask all the time."""

_UNDER_WAY = frozenset({JobStatus.RUNNING.value, JobStatus.ABORTING.value})
_ARMED = frozenset({"", JobStatus.SCHEDULED.value, *_UNDER_WAY})
"""The states in which a job runs without being started anew."""


@dataclass
class Job:
    """A job that the scheduler knows."""

    document: Document
    runs: int = 0
    run: Run | None = None
    """The run that is under way."""
    task: "asyncio.Task[None] | None" = None
    """That which waits for its runs; None for a job that is stopped."""

    @property
    def event(self) -> str:
        """The request of a user that is still to be carried out; empty for none."""
        return str(self.document["job_schedule"].get("event") or "")

    @property
    def status(self) -> str:
        """Its state, as it was reported last."""
        return str(self.document["job_schedule"].get("status") or "")


@dataclass
class Scheduler:
    """One host's scheduler, and the agents that it starts one after the other."""

    world: World
    host: Host
    jobs: dict[str, Job] = field(default_factory=dict)
    _agent: asyncio.Lock = field(default_factory=asyncio.Lock)
    _is_cut_off: bool = False

    async def work(self) -> None:
        """Poll again and again."""
        chance = random.Random(f"{self.world.seed}/{self.host.client_id}")  # noqa: S311 - no secret
        pause = max(POLL_SECONDS / self.world.clock.speed, LEAST_POLL_SECONDS)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self.poll(tasks)
                await asyncio.sleep(pause * chance.uniform(0.9, 1.1))

    async def poll(self, tasks: asyncio.TaskGroup) -> None:
        """Ask for the jobs, and do what is requested of them."""
        try:
            found = await self.world.service.jobs_of(self.host.client_id)
        except ServiceError as error:
            if not self._is_cut_off:
                self.world.tell(Event(self.host.name, "", str(error), is_bad=True))
            self._is_cut_off = True
            return
        self._is_cut_off = False
        documents = {document["job_id"]: document for document in found}
        for job_id in self.jobs.keys() - documents.keys():
            if self.jobs[job_id].run is None:
                self._disarm(self.jobs.pop(job_id))
        for job_id, document in documents.items():
            job = self.jobs.get(job_id)
            if job is None:
                job = self.jobs[job_id] = Job(document)
                if not job.event and job.status in _ARMED:
                    await self._take_over(job, tasks)
            elif job.run is None:
                job.document = document
            else:
                # What its run reports meanwhile is newer than all else.
                job.document["job_schedule"]["event"] = document["job_schedule"].get("event", "")
            if job.event:
                await self._carry_out(job, tasks)

    async def _take_over(self, job: Job, tasks: asyncio.TaskGroup) -> None:
        """Go on with a job where its last scheduler has left it."""
        if not job.status:
            await self._tell(job, status=JobStatus.SCHEDULED.value)
        self._arm(job, tasks)

    async def _carry_out(self, job: Job, tasks: asyncio.TaskGroup) -> None:
        """Do what is requested; of a run, only its end tells that."""
        if job.run is not None:
            if job.event == JobEvent.ABORT:
                job.run.aborted.set()
        elif job.status in _UNDER_WAY and job.event in STOPPING:
            # Of the last scheduler: its end is still to be told.
            self._arm(job, tasks)
        elif job.event == JobEvent.START:
            await self._tell(job, event="", status=JobStatus.SCHEDULED.value)
            self._disarm(job)
            self._arm(job, tasks, is_wanted=True)
        elif job.event in STOPPING:
            self._disarm(job)
            is_removed = job.event == JobEvent.REMOVE
            status = JobStatus.REMOVED if is_removed else JobStatus.STOP
            await self._tell(job, event="", status=status.value)

    async def _tell(self, job: Job, **schedule: str) -> None:
        run = Run(self.world, self.host, job.document, job.runs)
        await run.report(**schedule)
        run.say(schedule["status"])

    def _arm(self, job: Job, tasks: asyncio.TaskGroup, *, is_wanted: bool = False) -> None:
        if job.task is None:
            job.task = tasks.create_task(self._attend(job, is_wanted=is_wanted))

    @staticmethod
    def _disarm(job: Job) -> None:
        if job.task is not None:
            job.task.cancel()
            job.task = None

    async def _attend(self, job: Job, *, is_wanted: bool) -> None:
        """Run a job whenever it is due; at once if somebody has just started it."""
        clock = self.world.clock
        if job.status in _UNDER_WAY:
            await self._run(job, begun=True)
        elif is_wanted:
            await self._run(job)
        while job.task is not None:
            now = clock.now()
            due = Rhythm(job.document, self.world.seed).next_run(now)
            if due is None:
                return
            await clock.sleep(due - now)
            await self._run(job)

    async def _run(self, job: Job, *, begun: bool = False) -> None:
        """Run a job, or take over a run that has begun, when the agents before are done."""
        async with self._agent:
            job.run = run = Run(self.world, self.host, job.document, job.runs)
            job.runs += 1
            try:
                if not begun:
                    await run.begin()
                if job.event == JobEvent.ABORT:
                    run.aborted.set()
                result = await run.work()
                rhythm = Rhythm(job.document, self.world.seed)
                told: dict[str, Any] = {}
                status = JobStatus.COMPLETED if rhythm.period is None else JobStatus.SCHEDULED
                if job.event in STOPPING:
                    told, status = {"event": ""}, JobStatus.COMPLETED
                await run.end(result, status.value, **told)
                if status is JobStatus.COMPLETED:
                    job.task = None
            finally:
                job.run = None
