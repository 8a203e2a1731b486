"""Whatever the gateway takes as a schedule, freezer-scheduler's own code schedules."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway import migrations
from gateway.app import create_app
from gateway.db.database import Database
from gateway.settings import load
from tests.support.apps import opened
from tests.support.cron import SCHEDULES as READABLE
from tests.support.global_ids import global_id
from tests.support.lists import fresh_project
from tests.support.surfaces import schedule_input

from .environments import program

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).parent / "servers" / "schedules.py"
ACTIONS = [{"freezer_action": {"action": "backup"}}]

Schedule = dict[str, Any]


class Scheduler:
    """freezer-scheduler's code in a process of its own, on a host whose clock shows UTC."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def poll(self, jobs: list[dict[str, Any]]) -> dict[str, Any]:
        """Have it poll these jobs; return when they run first, and its errors."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(jobs) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="module", params=["UTC", "America/Los_Angeles"])
def time_zone(request: pytest.FixtureRequest) -> str:
    """Return the time zone of the scheduler's host."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def scheduler(time_zone: str) -> Iterator[Scheduler]:
    """Run freezer-scheduler's code in two time zones."""
    with subprocess.Popen(
        [program("freezer", "python"), PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TZ": time_zone},
    ) as process:
        yield Scheduler(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a gateway on an SQLite file."""
    configured = load(database_url=f"sqlite:///{tmp_path_factory.mktemp('gateway')}/catalogue")
    database = Database(configured)
    await migrations.upgrade(database)
    await database.close()
    async with opened(create_app(configured)) as client:
        yield client


def texts(*shapes: str) -> st.SearchStrategy[str]:
    return st.one_of(*(st.from_regex(shape, fullmatch=True) for shape in shapes))


NUMBER = r"[0-9]{1,3}"
RANGE = rf"(\*|{NUMBER}(-{NUMBER})?)(/{NUMBER})?"
CRON = (rf" ?{RANGE} ?", rf"{RANGE}( ?, ?{RANGE}){{1,2}}", r"[*0-9a-z,/ -]{0,5}")
DAYS = r"(mon|TUE|wed|sun|foo)"
MONTHS = r"(jan|FEB|mar|dec|bar)"
DATE = (
    r"(2027|2028|9999|0001|0000|-2027|12027|1969)-(01|02|12)-(01|28|29|30|31)"
    r"T(00|02|23):(00|30|59):(00|59)(\.0{1,8}|\.[0-9]{1,8})?(Z|[+-](00|02|23):(00|59))?"
)
WORDS = {
    "status": ["", "completed", "stop", "scheduled", "running", "aborting", "removed"],
    "result": ["", "success", "fail", "aborted"],
    "event": ["", "start", "stop", "abort", "remove"],
}
INTEGERS = st.sampled_from([-1, 0, 1, 2**31, 2**63 - 1, -(2**63)])
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "schedule_interval": texts(
        r"continuous|[0-9]{1,8} {1,3}(weeks|days|hours|minutes|seconds)", r"[0-9]{1,30} weeks"
    ),
    "schedule_date": texts(DATE),
    "schedule_start_date": texts(DATE),
    "schedule_end_date": texts(DATE),
    "schedule_year": texts(r"(20[2-9][0-9]|[0-9]{4})"),
    "schedule_month": texts(*CRON, rf"{MONTHS}(-{MONTHS})?.?"),
    "schedule_day": texts(*CRON, rf"(1st|2nd|5th|last|9th) {{1,2}}{DAYS}?", "last.?"),
    "schedule_week": texts(*CRON),
    "schedule_day_of_week": texts(*CRON, rf"{DAYS}(-{DAYS})?.?"),
    "schedule_hour": texts(*CRON),
    "schedule_minute": texts(*CRON),
    "schedule_second": texts(*CRON),
    **{key: st.sampled_from(words) for key, words in WORDS.items()},
    **dict.fromkeys(("time_created", "time_started", "time_ended", "current_pid"), INTEGERS),
}
ONE_KEY = st.sampled_from(list(KEYS)).flatmap(lambda key: st.fixed_dictionaries({key: KEYS[key]}))
SCHEDULES = ONE_KEY | st.fixed_dictionaries({}, optional=KEYS)

examples = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.shrink, Phase.explain},  # every example asks a scheduler
)


class Project:
    """A project in which schedules are written, in every way in which that can be done."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.name = fresh_project()

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request below the project's path; the answer is no fault of the gateway's."""
        response = await self.client.request(method, f"/v2/{self.name}/{path}", json=body)
        assert response.status_code in {200, 201, 204, 400}, response.text
        return response

    async def mutate(self, text: str, **given: Any) -> Any:
        """Send a mutation; return its payload, or null if its input was refused."""
        response = await self.client.post(
            "/graphql",
            json={"query": text, "variables": {"input": given}},
            headers={"X-Project-Id": self.name},
        )
        body = response.json()
        codes = [error["extensions"]["code"] for error in body.get("errors", ())]
        assert set(codes) <= {"BAD_USER_INPUT"}, body
        return body["data"] and body["data"]["it"]

    async def write(self, schedule: Schedule) -> bool:
        """Write the schedule in every way; return True if each took it, False if none did."""
        new = {"job_actions": ACTIONS, "job_schedule": schedule}
        posted = await self.ask("POST", "jobs", new)
        plain = (await self.ask("POST", "jobs", {"job_actions": ACTIONS})).json()["job_id"]
        session = await self.ask("POST", "sessions", {"schedule": schedule})
        other = (await self.ask("POST", "sessions", {"schedule": {}})).json()["session_id"]
        of_session = {"description": "s", "session_tag": 0, "schedule": schedule}
        taken = [
            posted.status_code == 201,
            (await self.ask("POST", "jobs/replaced", new)).status_code == 201,
            (await self.ask("PATCH", f"jobs/{plain}", {"job_schedule": schedule})).status_code
            == 200,
            session.status_code == 201,
            (await self.ask("POST", "sessions/replaced", of_session)).status_code == 201,
            (await self.ask("PATCH", f"sessions/{other}", {"schedule": schedule})).status_code
            == 200,
        ]
        if taken[0]:
            await self._join(session.json()["session_id"])
            await self._request_events(posted.json()["job_id"])
        if not {"time_created", "time_started", "time_ended", "current_pid"} & schedule.keys():
            taken += await self._write_by_graphql(schedule_input(schedule))
        assert len(set(taken)) == 1, taken
        return taken[0]

    async def _join(self, session_id: str) -> None:
        job_id = (await self.ask("POST", "jobs", {"job_actions": ACTIONS})).json()["job_id"]
        added = await self.ask("PUT", f"sessions/{session_id}/jobs/{job_id}")
        assert added.status_code == 204

    async def _request_events(self, job_id: str) -> None:
        for event in ("start", "abort"):
            asked = await self.client.post(
                f"/v2/{self.name}/jobs/{job_id}/event", json={event: None}
            )
            assert asked.status_code == 202

    async def _write_by_graphql(self, schedule: Any) -> list[bool]:
        actions = [{"freezerAction": {"action": "backup"}}]
        job = "mutation($input: %sJobInput!) { it: %sJob(input: $input) { job { id } } }"
        session = (
            "mutation($input: %sSessionInput!) { it: %sSession(input: $input) { session { id } } }"
        )
        made = await self.mutate(job % ("Create", "create"), actions=actions)
        group = await self.mutate(session % ("Create", "create"), schedule={})
        written = [
            await self.mutate(job % ("Create", "create"), actions=actions, schedule=schedule),
            await self.mutate(job % ("Update", "update"), id=made["job"]["id"], schedule=schedule),
            await self.mutate(session % ("Create", "create"), schedule=schedule),
            await self.mutate(
                session % ("Update", "update"), id=group["session"]["id"], schedule=schedule
            ),
        ]
        return [payload is not None for payload in written]

    async def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, as a scheduler gets them."""
        found: list[dict[str, Any]] = (await self.ask("GET", "jobs")).json()["jobs"]
        return found


@given(schedule=SCHEDULES)
@examples
async def test_no_schedule_stops_a_scheduler(
    schedule: Schedule, client: httpx.AsyncClient, scheduler: Scheduler
) -> None:
    project = Project(client)
    await project.write(schedule)
    jobs = await project.jobs()
    found = scheduler.poll(jobs)
    assert found["errors"] == [], jobs


@given(schedule=ONE_KEY)
@examples
async def test_what_a_scheduler_takes_is_stored_as_sent(
    schedule: Schedule, client: httpx.AsyncClient, scheduler: Scheduler
) -> None:
    (key,) = schedule
    project = Project(client)
    posted = await project.ask("POST", "jobs", {"job_actions": ACTIONS, "job_schedule": schedule})
    document = {"job_id": "it", "job_actions": ACTIONS, "job_schedule": {"event": ""} | schedule}
    # A start alone starts nothing.
    if key in {"schedule_start_date", "schedule_end_date"}:
        first = {"schedule_start_date": "2027-01-01T00:00:00", "schedule_interval": "1 days"}
        document["job_schedule"] = first | document["job_schedule"]
    found = scheduler.poll([document])
    if found["errors"]:
        # What means the same may be taken in its place.
        return
    if posted.status_code == 400:
        # Beyond microseconds, and where the calendar ends, a time zone decides.
        assert "date" in key
        return
    (job,) = await project.jobs()
    stored = job["job_schedule"].get(key)
    if key in {"schedule_start_date", "schedule_end_date", "schedule_date"}:
        document["job_schedule"][key] = stored
        again = scheduler.poll([document])
        if key == "schedule_date" or stored > "2027":  # else it begins now
            assert again["runs"] == found["runs"]
    else:
        assert stored == schedule[key]


SECOND = timedelta(seconds=1)
SOON = timedelta(seconds=10)
NEXT_RUNS = "{ jobs(first: 1000) { nodes { jobId nextRun { at later(first: 3) } } } }"
DRAWN = 150
"""How many schedules are compared in each time zone."""


def moments(found: dict[str, Any], job_id: str) -> list[datetime | None]:
    """Return the whole seconds at which a scheduler runs a job, the first as None if never."""
    times = [found["runs"].get(job_id), *found["later"].get(job_id, ())]
    return [time and datetime.fromisoformat(time).astimezone(UTC) for time in times]


def drawn() -> list[Schedule]:
    """Return schedules of every kind, the same at every run."""
    found: list[Schedule] = []

    @settings(examples, max_examples=DRAWN, phases=[Phase.generate], database=None)
    @given(READABLE)
    def collect(schedule: Schedule) -> None:
        found.append(schedule)

    collect()
    return found


async def test_the_next_run_is_the_scheduler_s_own(
    client: httpx.AsyncClient, scheduler: Scheduler, time_zone: str
) -> None:
    project = Project(client)
    await project.ask("POST", "clients", {"client_id": "host"})
    zone = "mutation($input: SetClientTimeZoneInput!) { it: setClientTimeZone(input: $input) {"
    given_zone = {"id": global_id("Client", project.name, "host"), "timeZone": time_zone}
    assert await project.mutate(f"{zone} client {{ timeZone }} }} }}", **given_zone)
    begun = datetime.now(UTC)
    schedules: dict[str, Schedule] = {}
    for schedule in drawn():
        job = {"job_actions": ACTIONS, "job_schedule": schedule, "client_id": "host"}
        posted = await project.ask("POST", "jobs", job)
        assert posted.status_code == 201, posted.text
        schedules[posted.json()["job_id"]] = schedule
    documents = [
        {"job_id": job_id, "job_actions": ACTIONS, "job_schedule": {"event": ""} | schedule}
        for job_id, schedule in schedules.items()
    ]
    found = scheduler.poll(documents)
    assert found["errors"] == []
    passed = datetime.now(UTC) - begun
    asked = await client.post(
        "/graphql", json={"query": NEXT_RUNS}, headers={"X-Project-Id": project.name}
    )
    nodes = asked.json()["data"]["jobs"]["nodes"]
    assert {node["jobId"] for node in nodes} == schedules.keys()
    for node in nodes:
        schedule, shown = schedules[node["jobId"]], node["nextRun"]
        own, *later = moments(found, node["jobId"])
        if own is None:
            assert shown is None, schedule
            continue
        at = datetime.fromisoformat(shown["at"])
        if not schedule or "schedule_interval" in schedule:
            # It is counted from the poll.
            assert timedelta() <= own - at < passed + SECOND, schedule
        elif at <= begun + passed + SOON and "schedule_date" not in schedule:
            # It may have passed before the poll, as those of each second do, if this is their hour.
            assert own >= at, schedule
        else:
            assert timedelta() <= own - at < 2 * SECOND, schedule
            assert shown["later"] == [one.isoformat() for one in later if one], schedule
