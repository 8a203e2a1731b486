"""Health in SQL against a plain model of it: by state, by reason, in order, at any moment."""

import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from gateway.catalogue.health_tables import RecoveryObjective
from gateway.catalogue.health_words import SEVERITY, HealthReason, HealthState
from gateway.catalogue.tables import Session
from gateway.db.database import Database
from tests.support import health_model
from tests.support.apps import GraphQL
from tests.support.health_model import DAY, HOUR, NOW, Estate, Host, Row, Task, Verdict, at, iso
from tests.support.lists import fresh_project
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `NOW` be when the test begins: others may have taken long."""
    moment = int(time.time())
    for module in (health_model, sys.modules[__name__]):
        monkeypatch.setattr(module, "NOW", moment)


@pytest.fixture
def estate(database: Database) -> Estate:
    """Return an estate with nothing in it."""
    return Estate(database)


@dataclass
class Listing:
    """A list of an estate's items, and the field that has their ids."""

    graphql: GraphQL
    estate: Estate
    name: str
    key: str

    async def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of an answer without errors."""
        body = await self.graphql(query, variables, project=self.estate.project)
        assert "errors" not in body, body
        return body["data"]

    async def shown(self, as_of: int | None = None) -> dict[str, Verdict]:
        """Return the state and the reason of each item, and assert what must be so of any."""
        query = f"""query($at: DateTime, $after: String) {{
          {self.name}(first: 100, after: $after) {{
            nodes {{ key: {self.key} health(asOf: $at) {{ state reason since message remedy }} }}
            pageInfo {{ hasNextPage endCursor }} }} }}"""
        found: dict[str, Verdict] = {}
        page: Any = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
        while page["pageInfo"]["hasNextPage"]:
            after = page["pageInfo"]["endCursor"]
            page = (await self.ask(query, at=as_of and iso(as_of), after=after))[self.name]
            for node in page["nodes"]:
                health = node["health"]
                assert health["message"].endswith(".")
                assert bool(health["remedy"]) is (health["state"] != "OK")
                since = health["since"]
                assert since is None or datetime.fromisoformat(since) <= at(as_of or NOW + HOUR)
                found[node["key"]] = (health["state"], health["reason"])
        return found

    async def found(self, where: str, as_of: int | None = None) -> set[str]:
        """Return the ids of the items that a condition on the health finds, of both moments."""
        found = []
        for of_list, of_filter in ((as_of, None), (NOW - 99 * DAY, as_of)):
            if as_of is None and of_list is not None:
                continue
            moments = [f', asOf: "{iso(one)}"' if one else "" for one in (of_list, of_filter)]
            query = f"""{{ {self.name}(first: 1000{moments[0]}, where: {{
              health: {{{where}{moments[1]}}}}}) {{ totalCount nodes {{ key: {self.key} }} }} }}"""
            page = (await self.ask(query))[self.name]
            found.append({node["key"] for node in page["nodes"]})
            assert len(found[-1]) == page["totalCount"]
        assert found.count(found[0]) == len(found)
        return found[0]

    async def must_be(self, expected: Mapping[str, Verdict], as_of: int | None = None) -> None:
        """Assert that items are shown, found and counted as expected."""
        assert await self.shown(as_of) == expected
        for state in HealthState:
            ids = {one for one, (of, _) in expected.items() if of == state}
            assert await self.found(f"eq: {state}", as_of) == ids
            assert await self.found(f"ne: {state}", as_of) == set(expected) - ids
        bad = {one for one, (of, _) in expected.items() if of in {"CRITICAL", "ATTENTION"}}
        assert await self.found("in: [CRITICAL, ATTENTION]", as_of) == bad
        for reason in HealthReason:
            ids = {one for one, (_, of) in expected.items() if of == reason}
            assert await self.found(f"reasons: [{reason}]", as_of) == ids, reason


def tasks(count: int, seed: int = 15) -> list[Task]:
    """Return jobs of all kinds, the same ones each time; mostly well, so that the rest shows."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    def pick(usual: Any, *others: Any) -> Any:
        return chance.choice([*[usual] * 5, *others])

    made = []
    for number in range(count):
        succeeded, fruit = chance.random() < 0.8, ["RESTORABLE", "FAILED"]
        others: Sequence[Sequence[str]] = (
            *([], ["FAILED"], ["UNKNOWN", "FAILED"]),
            *(["EXPIRED"], ["BROKEN", "UNKNOWN"], ["IN_PROGRESS"]),
        )
        made.append(
            Task(
                f"j{number:03}",
                status=pick("scheduled", "running", "completed", "stop", "removed", None),
                event=pick(None, "start", "stop", "abort", "remove"),
                interval=pick("1 days", None),
                hour=pick(None, "4"),
                end=pick(None, "2030-01-01"),
                failures=pick(0, 1, 2, 3, 7),
                due=pick(None, HOUR, 10 * DAY, -HOUR - 600, -HOUR + 600, -2 * DAY),
                fault=pick(None, "unreadable", "never runs") if number % 5 == 0 else None,
                host=pick("alive", "silent", "central", "central-silent", None, "unregistered"),
                saves=chance.random() < 0.8,
                succeeded=succeeded,
                ran=succeeded or chance.random() < 0.3,
                verdicts=pick(fruit, *others),
            )
        )
    return made


async def with_tasks(estate: Estate, made: Sequence[Task]) -> None:
    """Write jobs, and the clients that they are of."""
    estate.client(Host("alive"))
    estate.client(Host("silent", is_silent=True))
    elsewhere = fresh_project()
    central, silent = f"{estate.project}-c", f"{estate.project}-s"
    estate.client(Host(central), is_central=True, project=elsewhere)
    estate.client(Host(silent, is_silent=True), is_central=True, project=elsewhere)
    for task in made:
        estate.job(task)
    await estate.write()


async def test_the_health_of_jobs_is_that_of_the_model(graphql: GraphQL, estate: Estate) -> None:
    made = tasks(250)
    await with_tasks(estate, made)
    expected = {task.id: task.health(NOW) for task in made}
    assert len(set(expected.values())) >= 14
    await Listing(graphql, estate, "jobs", "jobId").must_be(expected)
    for moment in (NOW + 2 * HOUR, NOW + 20 * DAY):
        later = {task.id: task.health(moment) for task in made}
        await Listing(graphql, estate, "jobs", "jobId").must_be(later, moment)


def hosts() -> list[Host]:
    """Return clients of all kinds."""
    backups: Sequence[Sequence[tuple[str, int]]] = (
        [],
        [("RESTORABLE", 2 * HOUR), ("RESTORABLE", 9 * DAY), ("FAILED", HOUR)],
        [("RESTORABLE", 3 * DAY), ("UNKNOWN", HOUR)],
        [("FAILED", HOUR)],
        [("UNKNOWN", HOUR), ("FAILED", DAY)],
        [("EXPIRED", DAY)],
        [("IN_PROGRESS", HOUR)],
    )
    jobs: Sequence[Sequence[Task]] = (
        [Task("", due=DAY)],
        [Task("", status="running")],
        [Task("", status="completed")],
        [],
    )
    kinds = itertools.product((False, True), (30 * DAY, HOUR), (None, DAY, 5 * DAY), backups, jobs)
    return [
        Host(
            f"c{number:03}",
            *kind[:3],
            kind[3],
            [Task(f"c{number:03}-{at}", **_own(task)) for at, task in enumerate(kind[4])],
        )
        for number, kind in enumerate(kinds)
    ]


def _own(task: Task) -> dict[str, Any]:
    return {"status": task.status, "due": task.due, "verdicts": ()}


@pytest.mark.parametrize("of_project", [None, 4 * DAY])
async def test_the_health_of_clients_is_that_of_the_model(
    graphql: GraphQL, estate: Estate, of_project: int | None
) -> None:
    made = hosts()
    for host in made:
        estate.client(host)
        for task in host.jobs:
            estate.job(task, client_id=host.id)
    if of_project:
        estate.rows.append(RecoveryObjective(project_id=estate.project, max_age=of_project))
    await estate.write()
    for moment in (None, NOW + 3 * DAY):
        expected = {host.id: host.health(moment or NOW, of_project) for host in made}
        assert len(set(expected.values())) >= (3 if moment or of_project else 7)
        await Listing(graphql, estate, "clients", "clientId").must_be(expected, moment)


@pytest.mark.parametrize("of_project", [None, 4 * DAY])
async def test_the_health_of_series_is_that_of_the_model(
    graphql: GraphQL, estate: Estate, of_project: int | None
) -> None:
    verdicts = ("RESTORABLE", "BROKEN", "IN_PROGRESS", "FAILED", "EXPIRED", "UNKNOWN")
    kinds = itertools.product(verdicts, (HOUR,), (None, 3 * DAY), (None, DAY, 9 * DAY))
    made = [Row(f"s{number:02}", *kind) for number, kind in enumerate(kinds)]
    for row in made:
        estate.series(row)
    if of_project:
        estate.rows.append(RecoveryObjective(project_id=estate.project, max_age=of_project))
    await estate.write()
    for moment in (None, NOW + 2 * DAY):
        expected = {row.id: row.health(moment or NOW, of_project) for row in made}
        await Listing(graphql, estate, "series", "seriesId").must_be(expected, moment)


async def test_a_session_is_as_well_as_the_worst_of_its_jobs_that_is_not_muted(
    graphql: GraphQL, estate: Estate
) -> None:
    made = tasks(60, seed=4)
    estate.rows += [
        Session(project_id=estate.project, id=f"g{number}", user_id="u", schedule="{}")
        for number in range(9)
    ]
    await with_tasks(estate, [])
    in_session: dict[str, list[str]] = {f"g{number}": [] for number in range(9)}
    for number, task in enumerate(made):
        session = f"g{number % 8}"
        estate.job(task, session_id=session)
        if number % 3 == 0:
            estate.mute(job_id=task.id, until=NOW + DAY if number % 2 else None)
        elif number % 3 == 1:
            estate.mute(job_id=task.id, until=NOW - 60)
        if number % 3:
            in_session[session].append(task.health(NOW)[0])
    await estate.write()
    expected = {}
    for session, states in in_session.items():
        worst = max(states, key=lambda state: SEVERITY[HealthState(state)], default="OK")
        expected[session] = (worst, "HEALTHY" if worst == "OK" else "JOBS")
    assert len({state for state, _ in expected.values()}) > 1
    await Listing(graphql, estate, "sessions", "sessionId").must_be(expected)
    query = "{ sessions { nodes { sessionId health { state message } } } }"
    nodes = (await graphql(query, project=estate.project))["data"]["sessions"]["nodes"]
    for node in nodes:
        if (state := node["health"]["state"]) != "OK":
            count = in_session[node["sessionId"]].count(state)
            assert node["health"]["message"].startswith(f"{count} job")


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("length", "side", "edge", "more"),
    [
        ("first: 7", "after", "endCursor", "hasNextPage"),
        ("last: 7", "before", "startCursor", "hasPreviousPage"),
    ],
)
async def test_lists_are_ordered_by_severity_and_by_time(  # noqa: PLR0913, PLR0917 - both ways
    graphql: GraphQL, estate: Estate, direction: str, length: str, side: str, edge: str, more: str
) -> None:
    made = tasks(40)
    await with_tasks(estate, made)
    by = f"[{{field: HEALTH, direction: {direction}}} {{field: HEALTH_SINCE}}]"
    query = f"""query($cursor: String) {{ jobs({length}, {side}: $cursor, orderBy: {by}) {{
      nodes {{ jobId health {{ since }} }} pageInfo {{ {edge} {more} }} }} }}"""
    listing = Listing(graphql, estate, "jobs", "jobId")
    nodes: list[Any] = []
    info: Any = {edge: None, more: True}
    while info[more]:
        page = (await listing.ask(query, cursor=info[edge]))["jobs"]
        nodes = nodes + page["nodes"] if side == "after" else page["nodes"] + nodes
        info = page["pageInfo"]
    states = {task.id: SEVERITY[HealthState(task.health(NOW)[0])] for task in made}
    assert sorted(node["jobId"] for node in nodes) == sorted(states)
    sign = 1 if direction == "ASC" else -1
    keys = [(sign * states[node["jobId"]], node["health"]["since"] or "") for node in nodes]
    assert keys == sorted(keys)


async def test_the_overview_counts_what_is_not_muted(graphql: GraphQL, estate: Estate) -> None:
    made = tasks(90)
    await with_tasks(estate, made)
    muted = {task.id for number, task in enumerate(made) if number % 4 == 0}
    for job_id in muted:
        estate.mute(job_id=job_id)
    for row in (Row("fine", "RESTORABLE", HOUR), Row("bad", "BROKEN", HOUR)):
        estate.series(row)
    estate.mute(series_id="bad", until=NOW + DAY)
    await estate.write()
    query = """query($at: DateTime) { overview(asOf: $at) {
      health healthSince message failing overdue running silentClients missedObjectives brokenSeries
      jobs { ok unknown attention critical muted total } series { ok critical muted total } } }"""
    for moment in (None, NOW + 3 * DAY):
        given = {"at": moment and iso(moment)}
        body = await graphql(query, given, project=estate.project)
        overview = body["data"]["overview"]
        counted = [task for task in made if task.id not in muted]
        states = Counter(task.health(moment or NOW)[0].lower() for task in counted)
        jobs = overview["jobs"]
        assert jobs["muted"] == len(muted)
        assert jobs["total"] == len(made)
        assert {state: jobs[state] for state in ("ok", "unknown", "attention", "critical")} == {
            state: states[state] for state in ("ok", "unknown", "attention", "critical")
        }
        late = [task for task in counted if task.due is not None]
        passed = (moment or NOW) - NOW
        assert overview["overdue"] == sum(passed - (task.due or 0) > HOUR for task in late)
        assert overview["failing"] == sum(task.failures > 0 for task in counted)
        assert overview["running"] == sum(task.status == "running" for task in counted)
        # Central ones of another project are seen as well.
        assert overview["silentClients"] == (2 if moment is None else 4)
        bad = 0 if moment is None else 1
        assert overview["series"] == {"ok": 1, "critical": bad, "muted": 1 - bad, "total": 2}
        assert overview["brokenSeries"] == bad
        assert overview["health"] == "CRITICAL"
        assert f"{jobs['critical']} jobs" in overview["message"]
        assert overview["healthSince"] is not None


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ((), "Nothing is wrong."),
        (("RESTORABLE", "RESTORABLE"), "Nothing is wrong."),
        (("RESTORABLE", "UNKNOWN"), "Too little is known of 1 series."),
        (("FAILED", "UNKNOWN"), "1 series needs attention."),
        (("FAILED", "FAILED"), "2 series need attention."),
        (("FAILED", "BROKEN"), "1 series is critical."),
        (("BROKEN", "EXPIRED", "BROKEN"), "3 series are critical."),
    ],
)
async def test_the_overview_is_summed_up_by_the_worst_state(
    graphql: GraphQL, estate: Estate, verdicts: Sequence[str], sentence: str
) -> None:
    for number, verdict in enumerate(verdicts):
        estate.series(Row(f"s{number}", verdict, HOUR))
    await estate.write()
    body = await graphql("{ overview { message } }", project=estate.project)
    assert body["data"]["overview"]["message"] == sentence


async def test_pages_cost_a_constant_number_of_statements(
    graphql: GraphQL, estate: Estate, recorder: QueryRecorder
) -> None:
    await with_tasks(estate, tasks(60))
    query = """query($first: Int, $at: DateTime) {
      jobs(first: $first, orderBy: {field: HEALTH, direction: DESC}) {
        nodes { health(asOf: $at) { state message } client { health { state } } } } }"""
    for given, count in (({}, 4), ({"at": iso(NOW)}, 4)):
        for first in (2, 50):
            with recorder:
                body = await graphql(query, {"first": first, **given}, project=estate.project)
            assert "errors" not in body
            assert len(recorder) == count
    with recorder:
        assert "errors" not in await graphql("{ overview { message } }", project=estate.project)
    assert len(recorder) <= 8
