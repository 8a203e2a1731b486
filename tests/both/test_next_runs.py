"""The next run of a job, as its scheduler's reports and its writers make it, over its life."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue.tables import Job
from gateway.context import Context
from gateway.resolvers import clients, jobs
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from tests.support.apps import GraphQL, MakeClient, MakeContext
from tests.support.cron import SCHEDULES, TIME_ZONES
from tests.support.global_ids import global_id
from tests.support.lists import examples, fresh_project
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

MORNING = datetime(2027, 1, 4, 9, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


class Clock:
    """The time at which writes are made."""

    def __init__(self) -> None:
        self.now = MORNING

    def passes(self, **time: float) -> int:
        """Let time pass; return the new time in whole seconds."""
        self.now += timedelta(**time)
        return int(self.now.timestamp())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Return a clock that stands still between writes."""
    clock = Clock()
    monkeypatch.setattr("gateway.catalogue.due.now", lambda: clock.now)
    monkeypatch.setattr("gateway.resolvers.writing.now", lambda: clock.now)
    return clock


class Scheduler:
    """A scheduler's reports of a job, as freezer-scheduler 19 sends them."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, job_id: str) -> None:
        self.client, self.clock, self.job_id = client, clock, job_id
        self.path = f"/v2/p1/jobs/{job_id}"

    async def report(self, **changes: Any) -> None:
        """Send the job's whole schedule with these changes."""
        document = (await self.client.get(self.path)).json()
        body = {
            "job_schedule": document["job_schedule"] | changes,
            "session_id": document.get("session_id") or "",
            "session_tag": document.get("session_tag") or 0,
        }
        assert (await self.client.patch(self.path, json=body)).status_code == 200

    async def arm(self) -> None:
        """Report that the job is armed."""
        await self.report(status="scheduled", event="")

    async def begin(self) -> None:
        """Report that a run has begun."""
        seconds = self.clock.passes()
        await self.report(status="running", result="", time_started=seconds, time_ended=-1)

    async def end(self, status: str = "scheduled") -> None:
        """Report that a run has ended."""
        await self.report(status=status, result="success", time_ended=self.clock.passes())


class World:
    """A project with a client, and jobs of it."""

    def __init__(self, client: httpx.AsyncClient, graphql: GraphQL, clock: Clock) -> None:
        self.client, self.graphql, self.clock = client, graphql, clock

    async def job(self, **schedule: Any) -> Scheduler:
        """Create a job of this schedule."""
        body = {"job_actions": [], "client_id": "host", "job_schedule": schedule}
        made = await self.client.post("/v2/p1/jobs", json=body)
        assert made.status_code == 201, made.text
        return Scheduler(self.client, self.clock, made.json()["job_id"])

    async def next_run(self, job: Scheduler, as_of: datetime | None = None) -> Any:
        """Return the next run's time and basis, and if it is overdue; None for none."""
        query = """query($id: ID!, $at: DateTime) {
          job(jobId: $id) { nextRun { at basis overdueSince(asOf: $at) } }
          jobs(where: {isOverdue: {eq: true, asOf: $at}}) { nodes { jobId } } }"""
        at = (as_of or self.clock.now).isoformat()
        body = await self.graphql(query, {"id": job.job_id, "at": at})
        run = body["data"]["job"]["nextRun"]
        overdue = [node["jobId"] for node in body["data"]["jobs"]["nodes"]]
        assert (job.job_id in overdue) == bool(run and run["overdueSince"])
        if run is None:
            return None
        since = run["overdueSince"]
        moment = datetime.fromisoformat(run["at"])
        assert since is None or datetime.fromisoformat(since) == moment + HOUR
        return moment, run["basis"], since is not None

    async def set_zone(self, name: str | None) -> Any:
        """Set the time zone of the client."""
        query = """mutation($input: SetClientTimeZoneInput!) {
          setClientTimeZone(input: $input) { client { timeZone } } }"""
        given = {"id": global_id("Client", "p1", "host"), "timeZone": name}
        return await self.graphql(query, {"input": given})

    async def set_project_zone(self, name: str | None, project: str = "p1") -> Any:
        """Set the time zone of a project; return it, or the error."""
        query = """mutation($zone: String) { setProjectTimeZone(input: {timeZone: $zone}) {
          projectSettings { timeZone } } }"""
        body = await self.graphql(query, {"zone": name}, project=project)
        if "errors" in body:
            return body["errors"][0]
        shown = await self.graphql("{ projectSettings { timeZone } }", project=project)
        assert shown["data"] == body["data"]["setProjectTimeZone"]
        return shown["data"]["projectSettings"]["timeZone"]

    async def delay(self, job: Scheduler) -> Any:
        """Return by how much the last run of a job was late."""
        query = "query($id: ID!) { job(jobId: $id) { lastRun { delay } } }"
        body = await self.graphql(query, {"id": job.job_id})
        return body["data"]["job"]["lastRun"]["delay"]


@pytest.fixture
async def world(client: httpx.AsyncClient, graphql: GraphQL, clock: Clock) -> World:
    """Return a project with a client."""
    made = await client.post("/v2/p1/clients", json={"client_id": "host"})
    assert made.status_code == 201
    return World(client, graphql, clock)


async def test_the_phase_of_an_interval_is_that_of_its_arming(world: World, clock: Clock) -> None:
    job = await world.job(schedule_interval="1 days")
    assert await world.next_run(job) == (MORNING + 24 * HOUR, "ESTIMATED", False)
    clock.passes(minutes=1)
    await job.arm()
    due = clock.now + 24 * HOUR
    assert await world.next_run(job) == (due, "OBSERVED", False)
    # A user's changes of other things don't move it, nor does a start of an armed job.
    clock.passes(hours=1)
    changed = await job.client.patch(job.path, json={"description": "other"})
    assert changed.status_code == 200
    await job.client.post(f"{job.path}/event", json={"start": None})
    await job.report(status="scheduled", event="")
    assert await world.next_run(job) == (due, "OBSERVED", False)
    # The run waits for another job for half an hour, and takes two minutes.
    clock.now = due + timedelta(minutes=30)
    await job.begin()
    assert await world.next_run(job) == (due + 24 * HOUR, "OBSERVED", False)
    clock.passes(minutes=2)
    await job.report(current_pid=7)
    await job.end()
    assert await world.next_run(job) == (due + 24 * HOUR, "OBSERVED", False)


async def test_a_restart_of_the_scheduler_moves_an_interval(world: World, clock: Clock) -> None:
    job = await world.job(schedule_interval="1 days")
    await job.arm()
    clock.passes(hours=20)
    await job.arm()
    assert await world.next_run(job) == (clock.now + 24 * HOUR, "OBSERVED", False)
    # And where a run was killed by it.
    clock.passes(hours=24)
    await job.begin()
    clock.passes(minutes=1)
    await job.arm()
    assert await world.next_run(job) == (clock.now + 24 * HOUR, "OBSERVED", False)


async def test_a_run_that_does_not_begin_is_overdue_after_an_hour(
    world: World, clock: Clock
) -> None:
    job = await world.job(schedule_hour="10")
    await world.set_zone("UTC")
    await job.arm()
    due = MORNING + HOUR
    assert await world.next_run(job, due + HOUR) == (due, "OBSERVED", False)
    late = due + HOUR + timedelta(seconds=1)
    assert await world.next_run(job, late) == (due, "OBSERVED", True)
    # Not by what somebody else changes, but by the next run.
    clock.now = late
    await job.client.patch(job.path, json={"description": "other"})
    assert await world.next_run(job) == (due, "OBSERVED", True)
    await job.begin()
    assert await world.next_run(job) == (due + 24 * HOUR, "OBSERVED", False)


async def test_runs_that_came_due_during_a_run_are_none(world: World, clock: Clock) -> None:
    job = await world.job(schedule_interval="1 hours")
    await job.arm()
    clock.passes(hours=1)
    await job.begin()
    clock.passes(hours=3, minutes=10)
    assert await world.next_run(job) == (MORNING + 2 * HOUR, "OBSERVED", True)
    await job.end()
    assert await world.next_run(job) == (MORNING + 5 * HOUR, "OBSERVED", False)


async def test_a_job_that_is_stopped_or_done_has_no_next_run(world: World, clock: Clock) -> None:
    job = await world.job(schedule_interval="1 hours")
    await job.arm()
    await job.client.post(f"{job.path}/event", json={"stop": None})
    assert await world.next_run(job) is None
    await job.report(status="stop", event="")
    assert await world.next_run(job) is None
    clock.passes(hours=9)
    await job.client.post(f"{job.path}/event", json={"start": None})
    assert await world.next_run(job) == (clock.now + HOUR, "ESTIMATED", False)
    await job.arm()
    await job.begin()
    await job.end("completed")
    assert await world.next_run(job) is None


async def test_a_date_fires_once(world: World, clock: Clock) -> None:
    job = await world.job(schedule_date="2027-01-05T09:00:00Z")
    await job.arm()
    due = MORNING + 24 * HOUR
    assert await world.next_run(job, due + 2 * HOUR) == (due, "OBSERVED", True)
    clock.now = due
    await job.begin()
    assert await world.next_run(job) is None
    # Armed again, as after a start, it would be dropped.
    await job.arm()
    assert await world.next_run(job) is None
    await job.end("completed")
    assert await world.next_run(job) is None


async def test_a_job_without_a_schedule_runs_when_it_is_armed(world: World, clock: Clock) -> None:
    job = await world.job()
    await job.arm()
    assert await world.next_run(job) == (MORNING + timedelta(seconds=2), "OBSERVED", False)
    clock.passes(seconds=2)
    await job.begin()
    assert await world.next_run(job) is None


async def test_a_continuous_job_runs_when_the_run_before_has_ended(
    world: World, clock: Clock
) -> None:
    job = await world.job(schedule_interval="continuous")
    await job.arm()
    assert await world.next_run(job) == (MORNING + timedelta(seconds=1), "OBSERVED", False)
    clock.passes(seconds=1)
    await job.begin()
    clock.passes(hours=9)
    assert await world.next_run(job) is None
    await job.end()
    assert await world.next_run(job) == (clock.now + timedelta(seconds=1), "OBSERVED", False)


async def test_a_changed_schedule_is_armed_anew_and_nobody_tells(
    world: World, clock: Clock
) -> None:
    job = await world.job(schedule_interval="1 hours")
    await job.arm()
    clock.passes(minutes=20)
    changed = {"job_schedule": {"schedule_interval": "2 hours"}}
    await job.client.patch(job.path, json=changed)
    assert await world.next_run(job) == (clock.now + 2 * HOUR, "ESTIMATED", False)
    clock.passes(hours=2, seconds=40)
    await job.begin()
    assert await world.next_run(job) == (
        clock.now - timedelta(seconds=40) + 2 * HOUR,
        "OBSERVED",
        False,
    )


async def test_an_end_date_ends_it(world: World, clock: Clock) -> None:
    job = await world.job(
        schedule_interval="1 days",
        schedule_start_date="2027-01-05T00:00:00",
        schedule_end_date="2027-01-06T12:00:00",
    )
    await job.arm()
    clock.now = datetime(2027, 1, 5, tzinfo=UTC)
    assert await world.next_run(job) == (clock.now, "OBSERVED", False)
    await job.begin()
    assert await world.next_run(job) == (clock.now + 24 * HOUR, "OBSERVED", False)
    clock.passes(hours=24)
    await job.begin()
    assert await world.next_run(job) is None


async def test_a_job_without_a_client_has_no_next_run(
    client: httpx.AsyncClient, graphql: GraphQL, clock: Clock
) -> None:
    world = World(client, graphql, clock)
    body = {"job_actions": [], "job_schedule": {"schedule_hour": "10"}}
    made = await client.post("/v2/p1/jobs", json=body)
    job = Scheduler(client, clock, made.json()["job_id"])
    assert await world.next_run(job) is None
    await client.post("/v2/p1/clients", json={"client_id": "host"})
    await client.patch(job.path, json={"client_id": "host"})
    assert await world.next_run(job) == (MORNING + HOUR, "ESTIMATED", False)


async def test_an_impossible_date_is_taken_and_never_due(world: World) -> None:
    job = await world.job(schedule_month="2", schedule_day="30")
    await job.arm()
    assert await world.next_run(job) is None
    assert (await job.client.get(job.path)).json()["job_schedule"]["schedule_day"] == "30"


async def test_the_time_zone_of_the_client_counts(world: World, clock: Clock) -> None:
    job = await world.job(schedule_hour="10")
    interval = await world.job(schedule_interval="1 hours")
    await job.arm()
    await interval.arm()
    assert await world.next_run(job) == (MORNING + HOUR, "ESTIMATED", False)
    before = await world.next_run(interval)
    clock.passes(minutes=30)
    body = await world.set_zone("America/New_York")
    assert body["data"]["setClientTimeZone"]["client"]["timeZone"] == "America/New_York"
    due = datetime(2027, 1, 4, 10, tzinfo=ZoneInfo("America/New_York"))
    assert await world.next_run(job) == (due, "OBSERVED", False)
    assert await world.next_run(interval) == before
    new = await world.job(schedule_hour="10")
    assert await world.next_run(new) == (due, "ESTIMATED", False)
    clock.now = due.astimezone(UTC)
    await job.begin()
    assert await world.next_run(job) == (due + 24 * HOUR, "OBSERVED", False)
    await world.set_zone(None)
    assert (await world.next_run(job))[1] == "ESTIMATED"


@pytest.mark.usefixtures("clock")
async def test_the_time_zone_of_the_project_counts_where_its_client_has_none(world: World) -> None:
    job = await world.job(schedule_hour="10")
    await job.arm()
    assert await world.set_project_zone("Asia/Tokyo") == "Asia/Tokyo"
    tokyo = MORNING + 16 * HOUR
    assert await world.next_run(job) == (tokyo, "OBSERVED", False)
    # Those of jobs that are made, replaced and changed later.
    new = await world.job(schedule_hour="10")
    assert (await world.next_run(new))[0] == tokyo
    await world.set_zone("America/New_York")
    assert (await world.next_run(job))[0] == MORNING + 6 * HOUR
    await world.set_project_zone("Europe/Athens")
    assert (await world.next_run(job))[0] == MORNING + 6 * HOUR
    await world.set_zone(None)
    assert (await world.next_run(job))[0] == MORNING + 23 * HOUR
    assert await world.set_project_zone(None) is None
    assert await world.next_run(job) == (MORNING + HOUR, "ESTIMATED", False)
    assert (await world.set_project_zone("Mars"))["extensions"]["field"] == "timeZone"


@pytest.mark.usefixtures("clock")
async def test_the_time_zone_of_a_project_is_nobody_else_s(world: World) -> None:
    job = await world.job(schedule_hour="10")
    await world.set_project_zone("Asia/Tokyo", "p2")
    other = await world.graphql("{ projectSettings { timeZone } }")
    assert other["data"] == {"projectSettings": {"timeZone": None}}
    assert await world.next_run(job) == (MORNING + HOUR, "ESTIMATED", False)


async def test_the_next_run_of_a_session_is_that_of_its_first_job(
    world: World, clock: Clock
) -> None:
    async def shown() -> Any:
        query = """query($at: DateTime) { sessions { nodes {
          nextRun { at basis overdueSince(asOf: $at) later(first: 1) } } } }"""
        body = await world.graphql(query, {"at": clock.now.isoformat()})
        (session,) = body["data"]["sessions"]["nodes"]
        return session["nextRun"]

    schedule = {"schedule_interval": "1 hours"}
    made = await world.client.post("/v2/p1/sessions", json={"schedule": schedule})
    session_id = made.json()["session_id"]
    assert await shown() is None
    first, second, other = [await world.job(**schedule) for _ in range(3)]
    for job in (first, second):
        path = f"/v2/p1/sessions/{session_id}/jobs/{job.job_id}"
        assert (await world.client.put(path)).status_code == 204
    for job in (other, first, second):
        await job.arm()
        clock.passes(minutes=5)
    due = MORNING + HOUR + timedelta(minutes=5)
    expected = {"at": due.isoformat(), "basis": "OBSERVED", "overdueSince": None}
    assert await shown() == expected | {"later": [(due + HOUR).isoformat()]}
    clock.now = due
    await first.begin()
    await first.end()
    due += timedelta(minutes=5)
    assert (await shown())["at"] == due.isoformat()
    # The second one's host is down.
    clock.now = due + 2 * HOUR
    assert await shown() == {
        "at": due.isoformat(),
        "basis": "OBSERVED",
        "overdueSince": (due + HOUR).isoformat(),
        "later": [(due + HOUR).isoformat()],
    }


async def test_a_run_tells_how_late_it_began(world: World, clock: Clock) -> None:
    job = await world.job(schedule_interval="1 hours")
    await job.arm()
    clock.passes(minutes=65)
    await job.begin()
    assert await world.delay(job) == 300
    clock.passes(minutes=1)
    await job.report(current_pid=7)
    await job.end()
    assert await world.delay(job) == 300
    # By the clock of a host that is behind; and only the end is told.
    clock.now = MORNING + 2 * HOUR - timedelta(seconds=3)
    begun = clock.passes()
    clock.passes(minutes=9)
    await job.report(
        status="scheduled", result="success", time_started=begun, time_ended=clock.passes()
    )
    assert await world.delay(job) == 0


async def test_a_run_does_not_tell_what_its_schedule_does_not(world: World, clock: Clock) -> None:
    unarmed = await world.job(schedule_interval="1 hours")
    elsewhere = await world.job(schedule_hour="10")
    early = await world.job(schedule_interval="3 hours")
    late = await world.job(schedule_interval="1 minutes")
    for job in (elsewhere, early, late):
        await job.arm()
    clock.passes(hours=1, minutes=2)
    for job in (unarmed, elsewhere, early, late):
        await job.begin()
        assert await world.delay(job) is None


@pytest.mark.parametrize("name", ["Nowhere", "Europe/Nowhere", "../Berlin"])
async def test_an_unknown_time_zone_is_refused(world: World, name: str) -> None:
    body = await world.set_zone(name)
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["field"] == "timeZone"


async def test_the_setting_is_the_time_zone_of_the_others(
    make_client: MakeClient, clock: Clock
) -> None:
    client = await make_client(host_time_zone="Asia/Tokyo")
    await client.post("/v2/p1/clients", json={"client_id": "host"})
    body = {"job_actions": [], "client_id": "host", "job_schedule": {"schedule_hour": "10"}}
    job = Scheduler(client, clock, (await client.post("/v2/p1/jobs", json=body)).json()["job_id"])
    await job.arm()
    asked = await client.post(
        "/graphql",
        json={"query": "{ jobs { nodes { nextRun { at basis } scheduleMeaning { timeZone } } } }"},
        headers={"X-Project-Id": "p1"},
    )
    (node,) = asked.json()["data"]["jobs"]["nodes"]
    assert node["nextRun"] == {"at": "2027-01-05T01:00:00+00:00", "basis": "OBSERVED"}
    assert node["scheduleMeaning"] == {"timeZone": "Asia/Tokyo"}


async def test_a_job_in_a_session_has_the_session_s_schedule(world: World, clock: Clock) -> None:
    job = await world.job(schedule_interval="1 hours")
    await job.arm()
    session = {"schedule": {"schedule_hour": "12"}}
    made = await world.client.post("/v2/p1/sessions", json=session)
    path = f"/v2/p1/sessions/{made.json()['session_id']}"
    clock.passes(minutes=1)
    await world.client.put(f"{path}/jobs/{job.job_id}")
    assert await world.next_run(job) == (MORNING + 3 * HOUR, "ESTIMATED", False)
    # A scheduler hasn't been told by the end of a session, nor has the schedule changed.
    await world.client.delete(path)
    assert await world.next_run(job) == (MORNING + 3 * HOUR, "ESTIMATED", False)


async def test_a_job_that_is_replaced_unchanged_keeps_its_next_run(
    world: World, clock: Clock
) -> None:
    job = await world.job(schedule_interval="1 days")
    await job.arm()
    due = await world.next_run(job)
    clock.passes(hours=30)
    document = (await job.client.get(job.path)).json()
    again = {key: document[key] for key in ("job_schedule", "client_id", "job_actions")}
    assert (await job.client.post(job.path, json=again)).status_code in {200, 201}
    assert (await world.next_run(job))[:2] == due[:2]


async def test_a_report_costs_no_statement_more(
    world: World, clock: Clock, recorder: QueryRecorder
) -> None:
    job = await world.job(schedule_hour="10")
    await job.arm()
    document = (await job.client.get(job.path)).json()
    clock.passes(hours=1)
    schedule = document["job_schedule"] | {"status": "running", "time_started": clock.passes()}
    with recorder:
        body = {"job_schedule": schedule, "session_id": "", "session_tag": 0}
        await job.client.patch(job.path, json=body)
    # The session, the job, its change, and the project's revision.
    assert len(recorder.matching("jobs")) == 3
    assert len(recorder.matching("INTO revisions")) == 1
    assert not recorder.matching("clients")


async def own_first_run(schedule: dict[str, Any], name: str) -> datetime | None:
    """Return when APScheduler itself first runs a job that it is given now."""
    document = {key.removeprefix("schedule_"): value for key, value in schedule.items()}
    now = datetime.now(UTC)
    options: dict[str, Any] = {}
    dates = {
        key: datetime.fromisoformat(document.pop(key)).replace(tzinfo=UTC)
        for key in ("start_date", "end_date")
        if key in document
    }
    if start := dates.get("start_date"):
        options["start_date"] = start if start > now else now + timedelta(seconds=2)
        if (end := dates.get("end_date")) and end >= start:
            options["end_date"] = end
    if "date" in document:
        options = {"trigger": "date", "run_date": document["date"]}
    elif "interval" in document:
        number, unit = document["interval"].split()
        options |= {"trigger": "interval", unit: int(number)}
    elif document:
        options |= {"trigger": "cron", **document}
    else:
        options = {"trigger": "date", "run_date": now + timedelta(seconds=2)}
    scheduler = BackgroundScheduler(timezone=ZoneInfo(name))
    scheduler.start(paused=True)
    try:
        moment: datetime | None = scheduler.add_job(print, **options).next_run_time
    finally:
        scheduler.shutdown(wait=False)
    return moment


@given(
    schedules=st.lists(SCHEDULES, min_size=1, max_size=5),
    name=TIME_ZONES,
    as_of=st.datetimes(datetime(2026, 1, 1), datetime(2050, 1, 1)),  # noqa: DTZ001 - UTC
)
@settings(examples, max_examples=25)
async def test_what_is_due_is_what_apscheduler_says_and_what_filters_find(
    schedules: list[dict[str, Any]],
    name: str,
    as_of: datetime,
    make_ctx: MakeContext,
    graphql: GraphQL,
) -> None:
    ctx: Context = make_ctx(fresh_project())
    await clients.create(ctx, ClientDraft(client_id="host"))
    await clients.set_time_zone(ctx, "host", name)
    rows: list[Job] = []
    for schedule in schedules:
        before = datetime.now(UTC)
        row = await jobs.create(ctx, JobDraft(actions=[], client_id="host", schedule=schedule))
        own = await own_first_run(schedule, name)
        after = datetime.now(UTC)
        assert (row.due_at is None) == (own is None), schedule
        if own is not None and row.due_at is not None:
            between = (after - before).total_seconds() + 1
            # A run of every second may have passed meanwhile.
            slack = between if own < after + timedelta(seconds=90) else 0
            slack = between if "schedule_interval" in schedule else slack
            assert 0 <= own.timestamp() - row.due_at <= max(slack, 0.999), schedule
        rows.append(row)
    query = """query($at: DateTime!) {
      jobs(orderBy: [{field: NEXT_RUN_AT}]) {
        nodes { jobId nextRun { at overdueSince(asOf: $at) } } }
      overdue: jobs(where: {isOverdue: {eq: true, asOf: $at}}) { totalCount nodes { jobId } }
      others: jobs(where: {isOverdue: {eq: false, asOf: $at}}) { totalCount }
      before: jobs(where: {nextRunAt: {lt: $at}}) { nodes { jobId } } }"""
    at = as_of.replace(tzinfo=UTC)
    data = (await graphql(query, {"at": at.isoformat()}, project=ctx.project_id))["data"]
    nodes = data["jobs"]["nodes"]
    shown = {node["jobId"]: node["nextRun"] for node in nodes}
    overdue = {job_id for job_id, run in shown.items() if run and run["overdueSince"]}
    assert {node["jobId"] for node in data["overdue"]["nodes"]} == overdue
    assert data["overdue"]["totalCount"] == len(overdue)
    assert data["others"]["totalCount"] == len(rows) - len(overdue)
    times = [run and datetime.fromisoformat(run["at"]) for run in shown.values()]
    assert times == sorted(times, key=lambda time: (time is not None, time))
    assert {node["jobId"] for node in data["before"]["nodes"]} == {
        job_id for job_id, run in shown.items() if run and datetime.fromisoformat(run["at"]) < at
    }
