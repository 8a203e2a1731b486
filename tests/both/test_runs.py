"""The history of runs, as the writes of jobs tell it: in any order, twice, or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.catalogue import history
from gateway.catalogue.column_types import new_id
from gateway.catalogue.history import Run
from gateway.catalogue.tables import Job, columns
from gateway.catalogue.vocabularies import JobEvent
from gateway.context import Context
from gateway.resolvers import jobs, sessions
from gateway.resolvers.jobs import JobDraft
from gateway.resolvers.sessions import SessionDraft
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

Write = dict[str, Any]
"""What a scheduler writes of a job, all of it each time."""

RUNS, JOBS = columns(Run), columns(Job)
FAILED = {"fail", "lost"}
EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.explain},
)


@dataclass
class Told:
    """A run, as it was told."""

    outcome: str = "running"
    ended_at: int | None = None
    known: set[int] = field(default_factory=set)
    """The process before it, and its own."""
    attempts: int = 0


class Model:
    """The runs of a job in plain Python."""

    def __init__(self) -> None:
        self.runs: dict[int, Told] = {}
        self.pid = 0
        self.before: Write = {}

    def write(self, write: Write) -> None:
        """Take what a scheduler writes."""
        start, pid = write["time_started"], write["current_pid"]
        is_running = write["status"] == "running"
        if start > 0 and write != self.before:
            has_ended = not is_running and write["result"] != ""
            if is_running or has_ended:
                self.tell(start, pid, write if has_ended else None)
            is_armed = not is_running and not has_ended and write["status"] != ""
            for began, run in self.runs.items():
                is_over = began < start or (began == start and is_armed)
                if run.outcome == "running" and (is_over or began < max(self.runs)):
                    run.outcome = "lost"
        self.pid, self.before = pid, write

    def tell(self, start: int, pid: int, end: Write | None) -> None:
        """Take what is told of a run."""
        run = self.runs.setdefault(start, Told(known={self.pid}))
        if pid not in {0, *run.known}:
            run.known.add(pid)
            run.attempts += 1
        if end is not None and run.outcome in {"running", "lost"}:
            run.outcome, run.ended_at = end["result"], end["time_ended"]

    def facts(self) -> list[tuple[int, str, int | None, int]]:
        """Return the runs."""
        return [
            (start, run.outcome, run.ended_at, run.attempts)
            for start, run in sorted(self.runs.items())
        ]


def counted(runs: Sequence[tuple[int, str, int | None, int]]) -> Mapping[str, int | None]:
    """Return what a job's columns say of these runs."""
    successes = [start for start, outcome, _, _ in runs if outcome == "success"]
    since = max(successes, default=0)
    failures = [start for start, outcome, _, _ in runs if outcome in FAILED and start > since]
    return {
        "last_run_start": max((start for start, *_ in runs), default=None),
        "last_success_start": max(successes, default=None),
        "failures_in_a_row": len(failures),
        "failing_since": min(failures, default=None),
    }


def written(status: str, start: int = -1, end: int = -1, result: str = "", pid: int = 0) -> Write:
    """Return what is written."""
    return {
        "status": status,
        "result": result,
        "time_started": start,
        "time_ended": end,
        "current_pid": pid,
    }


def of_run(start: int, pid: int, attempts: int, result: str, after: str) -> list[Write]:
    """Return what freezer-scheduler 19 writes of a run; `pid` is of the process before it."""
    processes = range(pid + 1, pid + 1 + attempts)
    last = processes[-1] if attempts else pid
    return [
        written("running", start, pid=pid),
        *(written("running", start, pid=one) for one in processes),
        written(after, start, start + 5, result, last),
    ]


@st.composite
def nights(draw: st.DrawFn) -> list[Write]:
    """Return what a scheduler writes of some runs, of which some may never end."""
    start, pid = 1000, 10
    writes = [written("scheduled")]
    for _ in range(draw(st.integers(1, 4))):
        start += draw(st.integers(6, 60))
        attempts = draw(st.integers(0, 3))
        result = draw(st.sampled_from(["success", "fail", "aborted"]))
        of_one = of_run(start, pid, attempts, result, draw(st.sampled_from(["scheduled", "stop"])))
        pid += attempts
        if draw(st.booleans()):
            # It dies, and is started again.
            of_one = of_one[: draw(st.integers(1, len(of_one)))]
            last = of_one[-1]
            of_one.append(last | {"status": "scheduled"})
        writes += of_one
    return writes


@st.composite
def garbled(draw: st.DrawFn) -> list[Write]:
    """Return a scheduler's writes with some missing, twice or late."""
    writes: list[Write] = []
    for write in draw(nights()):
        writes += [write] * draw(st.sampled_from([0, 1, 1, 1, 2]))
    if draw(st.booleans()):
        writes = draw(st.permutations(writes))
    return writes


async def job_of(ctx: Context) -> str:
    """Create a job, and return its id."""
    return (await jobs.create(ctx, JobDraft([], job_id=new_id()))).id


async def tell(ctx: Context, job_id: str, writes: Iterable[Write]) -> None:
    """Write all of it."""
    for write in writes:
        await jobs.update(ctx, job_id, {"schedule": write})


async def stored(ctx: Context, job_id: str) -> list[tuple[int, str, int | None, int]]:
    """Return the runs of a job."""
    query = (
        sa.select(RUNS.started_at, RUNS.outcome, RUNS.ended_at, RUNS.attempts)
        .where(RUNS.project_id == ctx.project_id, RUNS.job_id == sa.bindparam("job"))
        .order_by(RUNS.started_at)
    )
    return [tuple(row) for row in await ctx.db.rows(query, {"job": job_id})]


async def counts(ctx: Context, job_id: str) -> Mapping[str, int | None]:
    """Return the columns of a job that follow its runs."""
    names = sorted(history.OF_JOB)
    query = sa.select(*(JOBS[name] for name in names)).where(
        JOBS.project_id == ctx.project_id, JOBS.id == sa.bindparam("job")
    )
    (row,) = await ctx.db.rows(query, {"job": job_id})
    return dict(zip(names, row, strict=True))


@EXAMPLES
@given(writes=garbled())
async def test_runs_are_what_was_told_of_them(ctx: Context, writes: list[Write]) -> None:
    job_id, model = await job_of(ctx), Model()
    for write in writes:
        model.write(write)
    await tell(ctx, job_id, writes)
    runs = await stored(ctx, job_id)
    assert runs == model.facts()
    assert await counts(ctx, job_id) == counted(runs)


@EXAMPLES
@given(writes=garbled())
async def test_no_run_is_missing_and_at_most_the_newest_is_running(
    ctx: Context, writes: list[Write]
) -> None:
    job_id = await job_of(ctx)
    await tell(ctx, job_id, writes)
    runs = {start: outcome for start, outcome, _, _ in await stored(ctx, job_id)}
    told = {w["time_started"] for w in writes if w["status"] == "running" or w["result"]}
    assert runs.keys() == told
    ended = {w["time_started"]: w["result"] for w in writes if w["result"]}
    assert {start: runs[start] for start in ended} == ended
    running = [start for start, outcome in runs.items() if outcome == "running"]
    assert running in ([], [max(runs, default=0)])


async def test_a_night(ctx: Context) -> None:
    job_id = await job_of(ctx)
    before = written("completed", pid=7)
    armed, begun, *rest = [before, *of_run(1000, 7, 2, "success", "scheduled")]
    await tell(ctx, job_id, [armed])
    assert await stored(ctx, job_id) == []
    await tell(ctx, job_id, [begun])
    assert await stored(ctx, job_id) == [(1000, "running", None, 0)]
    await tell(ctx, job_id, rest)
    assert await stored(ctx, job_id) == [(1000, "success", 1005, 2)]


async def test_a_result_that_comes_late_is_believed(ctx: Context) -> None:
    job_id = await job_of(ctx)
    first = of_run(1000, 7, 1, "success", "scheduled")
    second = of_run(2000, 8, 1, "fail", "scheduled")
    await tell(ctx, job_id, [*first[:-1], *second])
    assert [outcome for _, outcome, _, _ in await stored(ctx, job_id)] == ["lost", "fail"]
    assert (await counts(ctx, job_id))["failures_in_a_row"] == 2
    await tell(ctx, job_id, first[-1:])
    assert [outcome for _, outcome, _, _ in await stored(ctx, job_id)] == ["success", "fail"]
    assert (await counts(ctx, job_id))["failures_in_a_row"] == 1


async def test_a_scheduler_that_takes_a_job_over_ends_no_run_of_another(ctx: Context) -> None:
    # Two schedulers of one client: the second arms the job while the first still runs it.
    job_id = await job_of(ctx)
    first = of_run(1000, 7, 1, "success", "completed")
    second = of_run(2000, 44, 1, "fail", "scheduled")
    armed = first[-2] | {"status": "scheduled"}
    await tell(ctx, job_id, [*first[:-1], armed])
    assert [run[:3] for run in await stored(ctx, job_id)] == [(1000, "lost", None)]
    # Each of them tells of its own run, with the times that it knows of.
    await tell(ctx, job_id, [second[0], first[-1], *second[1:]])
    assert [run[:3] for run in await stored(ctx, job_id)] == [
        (1000, "success", 1005),
        (2000, "fail", 2005),
    ]


async def test_a_job_that_is_written_with_its_last_run_has_it(ctx: Context) -> None:
    ended = of_run(1000, 7, 1, "fail", "completed")[-1]
    job_id = (await jobs.create(ctx, JobDraft([], schedule=ended))).id
    assert await stored(ctx, job_id) == [(1000, "fail", 1005, 1)]
    assert (await counts(ctx, job_id))["failing_since"] == 1000


async def test_a_run_of_a_job_that_is_deleted_is_lost(ctx: Context) -> None:
    job_id = await job_of(ctx)
    await tell(ctx, job_id, of_run(1000, 7, 1, "success", "scheduled")[:-1])
    await jobs.delete(ctx, job_id)
    assert [outcome for _, outcome, _, _ in await stored(ctx, job_id)] == ["lost"]


async def test_a_job_that_is_replaced_keeps_what_is_known_of_its_runs(ctx: Context) -> None:
    job_id = await job_of(ctx)
    await tell(ctx, job_id, of_run(1000, 7, 1, "fail", "scheduled"))
    before = await counts(ctx, job_id)
    await jobs.replace(ctx, job_id, JobDraft([], description="another"))
    assert await counts(ctx, job_id) == before


async def test_a_request_to_start_a_running_job_ends_no_run(ctx: Context) -> None:
    job_id = await job_of(ctx)
    begun = of_run(1000, 7, 1, "success", "scheduled")
    await tell(ctx, job_id, begun[:-1])
    await jobs.request(ctx, job_id, JobEvent.START)
    assert [outcome for _, outcome, _, _ in await stored(ctx, job_id)] == ["running"]
    await tell(ctx, job_id, begun[-1:])
    assert [outcome for _, outcome, _, _ in await stored(ctx, job_id)] == ["success"]


async def test_a_run_has_the_tag_that_its_session_gave_it(ctx: Context) -> None:
    session = await sessions.create(ctx, SessionDraft({}, "all"))
    job_id = await job_of(ctx)
    await sessions.add_job(ctx, session.id, job_id)
    # The scheduler has the tag only after it has told that the job runs.
    for tag, write in zip((3, 4, 4), of_run(1000, 7, 1, "success", "scheduled"), strict=True):
        await jobs.update(ctx, job_id, {"schedule": write, "session_tag": tag})
    query = sa.select(RUNS.session_id, RUNS.session_tag)
    assert [tuple(row) for row in await ctx.db.rows(query)] == [(session.id, 4)]


async def test_a_report_of_a_run_costs_no_statement_more_than_any_other_change(
    ctx: Context, recorder: QueryRecorder
) -> None:
    job_id = await job_of(ctx)
    with recorder:
        await jobs.update(ctx, job_id, {"schedule": {"schedule_interval": "5 minutes"}})
    usual = len(recorder.statements)
    for write in of_run(1000, 7, 2, "success", "scheduled"):
        with recorder:
            await tell(ctx, job_id, [write])
        assert len(recorder.statements) == usual
