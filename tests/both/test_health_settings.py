"""Mutes, recovery objectives and expected hosts; and schedules that a scheduler stops at."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
import sqlalchemy as sa

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.catalogue.health_tables import HealthMute, RecoveryObjective
from gateway.catalogue.tables import Client, Job, columns, source
from gateway.context import Context
from gateway.db.database import Database
from gateway.resolvers import clients, jobs
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.settings import Settings
from gateway.upkeep.due_times import DueTimesUpkeep
from tests.support.apps import GraphQL, opened
from tests.support.global_ids import global_id

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600, 86_400
MUTE = """mutation($input: MuteHealthInput!) { muteHealth(input: $input) {
  job { jobId health { state isMuted muteReason mutedBy mutedUntil } } client { clientId }
  series { seriesId health { isMuted } } session { sessionId } } }"""
OBJECTIVE = """mutation($input: SetRecoveryObjectiveInput!) {
  setRecoveryObjective(input: $input) { maxAge client { clientId recoveryObjective }
    series { seriesId } } }"""
HOSTS = """mutation($names: [String!]!) {
  setExpectedHosts(input: {hostnames: $names}) { count } }"""


async def mute(graphql: GraphQL, kind: str, item_id: str, **more: Any) -> Any:
    """Mute an item; return the whole body."""
    given = {"id": global_id(kind, "p1", item_id), "reason": "ticket 5", **more}
    return await graphql(MUTE, {"input": given})


async def registered(
    client: httpx.AsyncClient, name: str, age: int = HOUR, **metadata: Any
) -> None:
    """Register a full backup of a host."""
    document = {
        "backup_name": "nightly",
        "hostname": name,
        "container": "c",
        "storage": "local",
        "engine_name": "tar",
        "mode": "fs",
        "time_stamp": int(time.time()) - age,
        "curr_backup_level": 0,
        "max_level": 1,
        "client_id": name,
        **metadata,
    }
    answer = await client.post("/v2/p1/backups", json=document)
    assert answer.status_code == 201, answer.text


@pytest.fixture
async def job(ctx: Context) -> Job:
    """Create a client and a job of it that has a schedule."""
    await clients.create(ctx, ClientDraft("host", hostname="host"))
    draft = JobDraft([], client_id="host", schedule={"schedule_interval": "1 days"})
    return await jobs.create(ctx, draft)


class Reports:
    """What a scheduler says of a job."""

    def __init__(self, client: httpx.AsyncClient, job: Job) -> None:
        self.client, self.path = client, f"/v2/p1/jobs/{job.id}"

    async def __call__(self, **changes: Any) -> None:
        """Send the job's whole schedule with these changes."""
        document = (await self.client.get(self.path)).json()
        body = {"job_schedule": document["job_schedule"] | changes}
        assert (await self.client.patch(self.path, json=body)).status_code == 200


async def health_of(graphql: GraphQL, job: Job, **given: str) -> Any:
    """Return a job's health."""
    query = """query($id: ID!, $at: DateTime) { job(jobId: $id) {
      health(asOf: $at) { state reason since message remedy isMuted muteReason mutedBy } } }"""
    return (await graphql(query, {"id": job.id, **given}))["data"]["job"]["health"]


async def test_a_recurring_job_whose_scheduler_was_stopped_is_critical(
    client: httpx.AsyncClient, graphql: GraphQL, job: Job
) -> None:
    report, now = Reports(client, job), int(time.time())
    await report(status="scheduled")
    assert (await health_of(graphql, job))["reason"] == "NEVER_RAN"
    await report(status="running", time_started=now - 60, time_ended=-1)
    # As freezer-scheduler 19 reports after its SIGTERM.
    await report(status="completed", result="success", time_ended=now)
    health = await health_of(graphql, job)
    assert (health["state"], health["reason"]) == ("CRITICAL", "NEVER_RUNS_AGAIN")
    assert datetime.fromisoformat(health["since"]) == datetime.fromtimestamp(now, UTC)
    assert "never runs again" in health["message"]
    await client.post(f"/v2/p1/jobs/{job.id}/event", json={"start": None})
    assert (await health_of(graphql, job))["state"] == "OK"


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ({"schedule_interval": "every 5 minutes"}, "SCHEDULE_UNREADABLE"),
        ({"schedule_interval": 5}, "SCHEDULE_UNREADABLE"),
        ({"schedule_month": "2", "schedule_day": "30"}, "SCHEDULE_NEVER_RUNS"),
        ({"schedule_hour": "5"}, "NEVER_RAN"),
    ],
)
async def test_schedules_of_imported_jobs_that_stop_a_scheduler_are_critical(
    graphql: GraphQL,
    database: Database,
    job: Job,
    schedule: Mapping[str, Any],
    reason: str,
) -> None:
    own = columns(Job)
    values = {"schedule_interval": None, "schedule_month": None, "schedule_day": None}
    values |= {key: value for key, value in schedule.items() if isinstance(value, str)}
    statement = sa.update(source(Job)).values(
        {name: sa.bindparam(name) for name in (*values, "job_schedule", "due_version")}
    )
    document = orjson.dumps(schedule).decode()
    async with database.write("p1") as transaction:
        given = {**values, "job_schedule": document, "due_version": None}
        await transaction.execute_many(statement.where(own.id == job.id), [given])
    await DueTimesUpkeep(database, None).renew()
    health = await health_of(graphql, job)
    assert health["reason"] == reason
    assert health["state"] == ("UNKNOWN" if reason == "NEVER_RAN" else "CRITICAL")
    # Whoever corrects it is told so at once.
    patch = """mutation($id: ID!) { updateJob(input: {id: $id,
      schedule: {interval: "1 hours", month: null, day: null}}) { job { health { reason } } } }"""
    body = await graphql(patch, {"id": global_id("Job", "p1", job.id)})
    assert body["data"]["updateJob"]["job"]["health"]["reason"] == "NEVER_RAN", body


async def test_what_the_gateway_takes_and_no_year_has_is_critical_at_once(
    graphql: GraphQL, ctx: Context
) -> None:
    await clients.create(ctx, ClientDraft("host"))
    schedule = {"schedule_month": "2", "schedule_day": "30"}
    job = await jobs.create(ctx, JobDraft([], client_id="host", schedule=schedule))
    assert (await health_of(graphql, job))["reason"] == "SCHEDULE_NEVER_RUNS"


async def test_a_mute_stays_until_its_end_and_says_who_and_why(graphql: GraphQL, job: Job) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    body = await mute(graphql, "Job", job.id, until=end.isoformat())
    (muted,) = [item for item in body["data"]["muteHealth"].values() if item]
    assert muted["health"]["isMuted"]
    assert muted["health"]["muteReason"] == "ticket 5"
    assert muted["health"]["mutedBy"] == "local"
    assert datetime.fromisoformat(muted["health"]["mutedUntil"]) == end
    before, after = ((end + timedelta(seconds=by)).isoformat() for by in (-1, 1))
    assert (await health_of(graphql, job, at=before))["isMuted"]
    assert not (await health_of(graphql, job, at=after))["isMuted"]
    query = """query($at: DateTime) { jobs(asOf: $at, where: {health: {isMuted: true}}) {
      totalCount } }"""
    for at, count in ((before, 1), (after, 0)):
        assert (await graphql(query, {"at": at}))["data"]["jobs"]["totalCount"] == count
    # Another one replaces it, and an end ends it.
    await mute(graphql, "Job", job.id, reason="for good")
    assert (await health_of(graphql, job))["muteReason"] == "for good"
    unmute = "mutation($id: ID!) { unmuteHealth(input: {id: $id}) { job { health { isMuted } } } }"
    for _ in range(2):
        body = await graphql(unmute, {"id": global_id("Job", "p1", job.id)})
        assert body["data"]["unmuteHealth"] == {"job": {"health": {"isMuted": False}}}


@pytest.mark.usefixtures("job")
async def test_clients_series_and_sessions_are_muted_alike(
    client: httpx.AsyncClient, graphql: GraphQL
) -> None:
    await registered(client, "host")
    session = {"description": "s", "schedule": {"schedule_interval": "1 days"}}
    session_id = (await client.post("/v2/p1/sessions", json=session)).json()["session_id"]
    query = "{ series { nodes { seriesId } } }"
    (series,) = (await graphql(query))["data"]["series"]["nodes"]
    items = {"Client": "host", "Series": series["seriesId"], "Session": session_id}
    for kind, item_id in items.items():
        body = await mute(graphql, kind, item_id)
        shown = {name for name, item in body["data"]["muteHealth"].items() if item}
        assert shown == {kind.lower()}, body
    query = "{ overview { clients { muted } series { muted } sessions { muted } } }"
    assert (await graphql(query))["data"]["overview"] == {
        "clients": {"muted": 1},
        "series": {"muted": 1},
        "sessions": {"muted": 1},
    }


async def counts(database: Database) -> list[int]:
    """Return the numbers of mutes and of objectives."""
    return [
        await database.scalar(sa.select(sa.func.count()).select_from(source(table)))
        for table in (HealthMute, RecoveryObjective)
    ]


async def test_mutes_and_objectives_go_with_their_items(
    client: httpx.AsyncClient, graphql: GraphQL, database: Database, job: Job
) -> None:
    await registered(client, "host")
    (series,) = (await graphql("{ series { nodes { id seriesId } } }"))["data"]["series"]["nodes"]
    for kind, item_id in (("Job", job.id), ("Client", "host"), ("Series", series["seriesId"])):
        await mute(graphql, kind, item_id)
    for item in (global_id("Client", "p1", "host"), series["id"], None):
        body = await graphql(OBJECTIVE, {"input": {"id": item, "maxAge": DAY}})
        assert body["data"]["setRecoveryObjective"]["maxAge"] == DAY
    assert await counts(database) == [3, 3]
    (backup,) = (await client.get("/v2/p1/backups")).json()["backups"]
    for path in (f"jobs/{job.id}", "clients/host", f"backups/{backup['backup_id']}"):
        assert (await client.delete(f"/v2/p1/{path}")).status_code == 204
    assert (await graphql("{ series { totalCount } }"))["data"]["series"]["totalCount"] == 0
    assert await counts(database) == [0, 1]
    body = await graphql(OBJECTIVE, {"input": {"maxAge": None}})
    assert await counts(database) == [0, 0]


async def test_nothing_of_it_is_seen_in_rest(
    client: httpx.AsyncClient, graphql: GraphQL, job: Job
) -> None:
    paths = (f"/v2/p1/jobs/{job.id}", "/v2/p1/jobs", "/v2/p1/clients/host", "/v2/p1/clients")

    async def answers() -> list[tuple[bytes, str | None]]:
        got = {path: await client.get(path) for path in paths}
        # The tags of lists are of the whole project.
        return [
            (answer.content, None if path.endswith("s") else answer.headers["ETag"])
            for path, answer in got.items()
        ]

    before = await answers()
    await mute(graphql, "Job", job.id)
    await mute(graphql, "Client", "host")
    await graphql(OBJECTIVE, {"input": {"maxAge": 5}})
    await graphql(HOSTS, {"names": ["host"]})
    assert await answers() == before


async def test_objectives_hold_for_the_nearest(
    client: httpx.AsyncClient, graphql: GraphQL, ctx: Context
) -> None:
    for name, age in (("old", 5 * DAY), ("new", HOUR), ("never", None)):
        await clients.create(ctx, ClientDraft(name, hostname=name))
        if age is not None:
            await registered(client, name, age)
    query = """{ clients(where: {health: {reasons: [OBJECTIVE_MISSED]}}) { nodes { clientId
        newestRestorePointAt recoveryObjective health { state message since } } }
      series(where: {health: {reasons: [OBJECTIVE_MISSED]}}) { nodes { hostname } }
      overview { missedObjectives recoveryObjective } }"""
    data = (await graphql(query))["data"]
    assert data["clients"]["nodes"] == data["series"]["nodes"] == []
    await graphql(OBJECTIVE, {"input": {"maxAge": 2 * DAY}})
    data = (await graphql(query))["data"]
    (missing,) = data["clients"]["nodes"]
    assert missing["clientId"] == "old"
    assert missing["recoveryObjective"] == 2 * DAY
    assert "it may be 2 days old" in missing["health"]["message"]
    newest = datetime.fromisoformat(missing["newestRestorePointAt"])
    assert datetime.fromisoformat(missing["health"]["since"]) == newest + timedelta(days=2)
    assert [node["hostname"] for node in data["series"]["nodes"]] == ["old"]
    assert data["overview"] == {"missedObjectives": 2, "recoveryObjective": 2 * DAY}
    own = {"id": global_id("Client", "p1", "old"), "maxAge": 9 * DAY}
    await graphql(OBJECTIVE, {"input": own})
    data = (await graphql(query))["data"]
    assert data["clients"]["nodes"] == []
    assert [node["hostname"] for node in data["series"]["nodes"]] == ["old"]
    await graphql(OBJECTIVE, {"input": {"id": global_id("Client", "p1", "new"), "maxAge": 60}})
    nodes = (await graphql(query))["data"]["clients"]["nodes"]
    assert [node["clientId"] for node in nodes] == ["new"]


async def test_two_that_set_the_same_objective_don_t_fail(
    graphql: GraphQL, database: Database
) -> None:
    bodies = await asyncio.gather(
        *(graphql(OBJECTIVE, {"input": {"maxAge": age}}) for age in (5, 6, 7)),
        *(graphql(HOSTS, {"names": [name, "z"]}) for name in "abc"),
    )
    assert not [body for body in bodies if "errors" in body]
    assert await counts(database) == [0, 1]


COVERAGE = """query($hosts: [String!], $age: Int, $states: [HostCoverage!], $at: DateTime) {
  coverage(hosts: $hosts, maxAge: $age, states: $states, asOf: $at) {
    expected covered uncovered maxAge
    hosts { hostname coverage clientId newestRestorePointAt } }
  overview { health expectedHosts uncoveredHosts message } }"""


async def test_hosts_that_should_be_backed_up_and_are_not(
    client: httpx.AsyncClient, graphql: GraphQL, ctx: Context
) -> None:
    for name in ("fresh", "old", "bare"):
        await clients.create(ctx, ClientDraft(name, hostname=name))
    await registered(client, "fresh")
    await registered(client, "old", 9 * DAY)
    # Not registered, but its backups are.
    await registered(client, "unseen")
    await registered(client, "failed", status="error")
    names = ["gone", "old", "fresh", "bare", "unseen", "failed", "fresh"]
    expected = {
        "bare": "UNPROTECTED",
        "failed": "UNPROTECTED",
        "fresh": "COVERED",
        "gone": "MISSING",
        "old": "COVERED",
        "unseen": "COVERED",
    }

    async def found(**given: Any) -> dict[str, str]:
        body = await graphql(COVERAGE, given)
        coverage = body["data"]["coverage"]
        hosts = {host["hostname"]: host["coverage"] for host in coverage["hosts"]}
        assert list(hosts) == sorted(hosts)
        assert coverage["expected"] == coverage["covered"] + coverage["uncovered"]
        return hosts

    assert await found() == {}
    assert await found(hosts=names) == expected
    assert await found(hosts=names, age=DAY) == expected | {"old": "STALE"}
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert await found(hosts=names, age=DAY, at=later) == {
        name: "STALE" if state == "COVERED" else state for name, state in expected.items()
    }
    assert await found(hosts=names, states=["MISSING"]) == {"gone": "MISSING"}
    assert (await graphql(HOSTS, {"names": names}))["data"]["setExpectedHosts"] == {"count": 6}
    assert await found() == expected
    await graphql(OBJECTIVE, {"input": {"maxAge": DAY}})
    assert await found() == expected | {"old": "STALE"}
    overview = (await graphql(COVERAGE))["data"]["overview"]
    assert (overview["expectedHosts"], overview["uncoveredHosts"]) == (6, 4)
    assert overview["health"] == "CRITICAL"
    assert "4 expected hosts" in overview["message"]
    assert (await graphql(HOSTS, {"names": []}))["data"]["setExpectedHosts"] == {"count": 0}
    assert await found() == {}


@pytest.mark.parametrize(
    ("query", "given", "field"),
    [
        (MUTE, {"input": {"id": "Job", "reason": " "}}, "reason"),
        (MUTE, {"input": {"id": "Job", "reason": "x" * 2000}}, "reason"),
        (MUTE, {"input": {"id": "Job", "reason": "a\0b"}}, "variables"),
        (MUTE, {"input": {"id": "Job", "reason": "x", "until": "2020-01-01T00:00:00Z"}}, "until"),
        (MUTE, {"input": {"id": "Action", "reason": "x"}}, "id"),
        (MUTE, {"input": {"id": "nonsense", "reason": "x"}}, "id"),
        (OBJECTIVE, {"input": {"maxAge": 0}}, "maxAge"),
        (OBJECTIVE, {"input": {"maxAge": 2**31}}, None),
        (OBJECTIVE, {"input": {"id": "Job", "maxAge": 5}}, "id"),
        (HOSTS, {"names": [""]}, "hostnames"),
        (HOSTS, {"names": ["a\0b"]}, "variables"),
        (HOSTS, {"names": ["x" * 600]}, "hostname"),
        (HOSTS, {"names": [str(number) for number in range(10_001)]}, None),
        ("query($at: Int) { coverage(hosts: [], maxAge: $at) { expected } }", {"at": -1}, "maxAge"),
        ('{ coverage(hosts: [""]) { expected } }', {}, "hosts"),
    ],
)
async def test_bad_input_is_refused_by_name(  # noqa: PLR0913, PLR0917 - what is sent
    graphql: GraphQL, database: Database, job: Job, query: str, given: Any, field: str | None
) -> None:
    if (name := given.get("input", {}).get("id")) in {"Job", "Action"}:
        given = {"input": given["input"] | {"id": global_id(name, "p1", job.id)}}
    body = await graphql(query, given)
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT", body
    assert field is None or error["extensions"]["field"] == field
    assert await counts(database) == [0, 0]


async def test_what_is_not_there_is_not_found(graphql: GraphQL, database: Database) -> None:
    for kind in ("Job", "Client", "Series", "Session"):
        for project in ("p1", "p2"):
            given = {"id": global_id(kind, project, "none"), "reason": "x"}
            (error,) = (await graphql(MUTE, {"input": given}))["errors"]
            assert error["extensions"]["code"] == "NOT_FOUND"
    assert await counts(database) == [0, 0]


class Roles:
    """Knows everybody whose token is their roles."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Tell whose token it is."""
        roles = frozenset((headers.get("x-auth-token") or "").split())
        return Identity("u", "user", "p1", roles)


async def test_readers_read_members_write_and_admins_see_all(
    settings: Settings, database: Database, job: Job
) -> None:
    app = create_app(settings)
    async with opened(app) as client:
        app.state.contexts = replace(app.state.contexts, authenticator=Roles())

        async def ask(roles: str, query: str, **variables: Any) -> Any:
            body = {"query": query, "variables": variables}
            headers = {"X-Auth-Token": roles}
            answer = (await client.post("/graphql", json=body, headers=headers)).json()
            errors = answer.get("errors")
            return errors[0]["extensions"]["code"] if errors else answer["data"]

        given = {"id": global_id("Job", "p1", job.id), "reason": "x"}
        for roles in ("reader", "service", ""):
            assert await ask(roles, MUTE, input=given) == "FORBIDDEN"
            assert await ask(roles, OBJECTIVE, input={"maxAge": 5}) == "FORBIDDEN"
            assert await ask(roles, HOSTS, names=["a"]) == "FORBIDDEN"
        assert await counts(database) == [0, 0]
        read = "{ overview { jobs { total } } coverage { expected } }"
        assert await ask("", read) == "FORBIDDEN"
        shown = {"overview": {"jobs": {"total": 1}}, "coverage": {"expected": 0}}
        assert await ask("reader", read) == shown
        assert "muteHealth" in await ask("member reader", MUTE, input=given)
        everywhere = "{ overview(allProjects: true) { jobs { total muted } } }"
        assert await ask("member reader", everywhere) == "FORBIDDEN"
        assert await ask("admin", everywhere) == {"overview": {"jobs": {"total": 1, "muted": 1}}}


async def test_another_projects_central_client_is_judged_but_not_muted(
    graphql: GraphQL, make_ctx: Any, client: httpx.AsyncClient, database: Database
) -> None:
    other = make_ctx("p2")
    await clients.create(other, ClientDraft("central", is_central=True))
    await registered(client, "central")
    age = sa.update(source(Client)).values(created_at=datetime.now(UTC) - timedelta(days=9))
    async with database.write("p2") as transaction:
        await transaction.rows(age)
    query = """{ clients { nodes { id newestRestorePointAt hasRestorableBackup
      health { reason } } } }"""
    (mine,) = (await graphql(query))["data"]["clients"]["nodes"]
    (theirs,) = (await graphql(query, project="p2"))["data"]["clients"]["nodes"]
    # Each sees its own backups.
    assert mine["newestRestorePointAt"] is not None
    assert mine["hasRestorableBackup"]
    assert theirs["newestRestorePointAt"] is None
    assert not theirs["hasRestorableBackup"]
    for text, given in ((MUTE, {"reason": "x"}), (OBJECTIVE, {"maxAge": 5})):
        (error,) = (await graphql(text, {"input": {"id": mine["id"], **given}}))["errors"]
        assert error["extensions"]["code"] in {"FORBIDDEN", "NOT_FOUND"}
    assert await counts(database) == [0, 0]
    everywhere = query.replace("clients {", "clients(allProjects: true) {")
    (found,) = (await graphql(everywhere))["data"]["clients"]["nodes"]
    assert found["newestRestorePointAt"] is None
