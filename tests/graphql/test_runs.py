"""Runs in GraphQL, and what jobs say of theirs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.auth.identity import Identity
from gateway.context import Context
from gateway.errors import Forbidden
from gateway.query.paging import PageRequest
from gateway.resolvers import backups, clients, jobs, runs
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from tests.support.apps import GraphQL, MakeContext
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

START = 1_700_000_000
HOUR = 3600


async def run(  # noqa: PLR0913, PLR0917 - what runs differ in
    ctx: Context,
    job_id: str,
    start: int,
    took: int | None,
    result: str = "success",
    client_id: str | None = None,
) -> None:
    """Have a job run, and end if it took any time."""
    if not await jobs.COLLECTION.get(ctx, job_id, (jobs.COLUMNS.id,)):
        await jobs.create(ctx, JobDraft([], job_id=job_id, description=job_id, client_id=client_id))
    began = {"status": "running", "time_started": start, "time_ended": -1, "result": ""}
    await jobs.update(ctx, job_id, {"schedule": began})
    if took is not None:
        ended = {"status": "scheduled", "time_ended": start + took, "result": result}
        await jobs.update(ctx, job_id, {"schedule": ended})


async def back_up(ctx: Context, name: str, time: int, job_id: str | None, host: str) -> None:
    """Register a backup."""
    metadata = {"backup_name": name, "container": "c", "hostname": host, "time_stamp": time}
    await backups.create(ctx, BackupDraft(metadata | ({"job_id": job_id} if job_id else {})))


def nodes(answer: dict[str, Any], *path: str) -> Sequence[Any]:
    """Return the nodes of a connection in an answer without errors."""
    assert "errors" not in answer, answer
    found = answer["data"]
    for name in path:
        found = found[name]
    return found["nodes"]  # type: ignore[no-any-return]


@pytest.fixture
async def p1(make_ctx: MakeContext) -> Context:
    """Return a project with two jobs that have run."""
    ctx = make_ctx("p1")
    await clients.create(ctx, ClientDraft("host", hostname="host.example"))
    for number, result in enumerate(["success", "fail", "success", "fail", "aborted", "fail"]):
        await run(ctx, "nightly", START + number * HOUR, 60 + number, result, "host")
    await run(ctx, "weekly", START + 10 * HOUR, None)
    return ctx


@pytest.mark.usefixtures("p1")
async def test_runs_are_listed_newest_first(graphql: GraphQL) -> None:
    query = """query($after: String) { runs(first: 3, after: $after) {
      totalCount pageInfo { hasNextPage endCursor } nodes { runId outcome duration job { jobId } }
    } }"""
    ids: list[str] = []
    cursor = None
    for _ in range(3):
        page = (await graphql(query, {"after": cursor}, project="p1"))["data"]["runs"]
        ids += [node["runId"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        assert page["totalCount"] == 7
    assert ids == [
        f"weekly:{START + 10 * HOUR}",
        *(f"nightly:{START + number * HOUR}" for number in reversed(range(6))),
    ]


@pytest.mark.usefixtures("p1")
async def test_runs_are_filtered_and_sorted(graphql: GraphQL) -> None:
    query = """{
      failed: runs(where: {outcome: {eq: FAIL}, jobId: {eq: "nightly"}}) { nodes { duration } }
      long: runs(where: {duration: {gte: 64}}) { nodes { duration } }
      oldest: runs(orderBy: {field: STARTED_AT}, first: 1) { nodes { outcome } }
      running: runs(where: {endedAt: {isNull: true}}) { nodes { outcome duration } }
      since: runs(where: {startedAt: {gte: "2023-11-15T06:00:00Z"}}) { nodes { runId } }
      found: runs(search: "weekly") { nodes { job { description } } }
    }"""
    answer = await graphql(query, project="p1")
    assert [node["duration"] for node in nodes(answer, "failed")] == [65, 63, 61]
    assert [node["duration"] for node in nodes(answer, "long")] == [65, 64]
    assert nodes(answer, "oldest") == [{"outcome": "SUCCESS"}]
    assert nodes(answer, "running") == [{"outcome": "RUNNING", "duration": None}]
    assert nodes(answer, "since") == [{"runId": f"weekly:{START + 10 * HOUR}"}]
    assert nodes(answer, "found") == [{"job": {"description": "weekly"}}]


JOBS = """
  description failuresInARow failingSince lastRunAt lastSuccessAt successRate
  lastTwo: successRate(last: 2) durations { count median p95 longest }
  lastRun { runId outcome isUnusual durationRatio attempts delay }
  lastSuccess { duration } runs(first: 2) { totalCount nodes { outcome } }
"""


@pytest.mark.usefixtures("p1")
async def test_what_jobs_say_of_their_runs(graphql: GraphQL) -> None:
    query = f"""{{
      jobs(orderBy: {{field: FAILURES_IN_A_ROW, direction: DESC}}) {{ nodes {{ {JOBS} }} }}
      failing: jobs(where: {{failuresInARow: {{gte: 2}}}}) {{ nodes {{ description }} }}
      never: jobs(where: {{lastSuccessAt: {{isNull: true}}}}) {{ nodes {{ description }} }}
      latest: jobs(orderBy: {{field: LAST_RUN_AT, direction: DESC}}) {{ nodes {{ description }} }}
    }}"""
    answer = await graphql(query, project="p1")
    nightly, weekly = nodes(answer, "jobs")
    assert nightly == {
        "description": "nightly",
        # The one that was aborted doesn't count, and ends nothing.
        "failuresInARow": 2,
        "failingSince": "2023-11-15T01:13:20+00:00",
        "lastRunAt": "2023-11-15T03:13:20+00:00",
        "lastSuccessAt": "2023-11-15T00:13:20+00:00",
        "successRate": 2 / 6,
        "lastTwo": 0,
        "durations": {"count": 2, "median": 60, "p95": 62, "longest": 62},
        "lastRun": {
            "runId": f"nightly:{START + 5 * HOUR}",
            "outcome": "FAIL",
            "isUnusual": False,
            "durationRatio": 65 / 61,
            "attempts": 0,
            "delay": None,
        },
        "lastSuccess": {"duration": 62},
        "runs": {"totalCount": 6, "nodes": [{"outcome": "FAIL"}, {"outcome": "ABORTED"}]},
    }
    assert weekly["successRate"] is None
    assert weekly["durations"] == {"count": 0, "median": None, "p95": None, "longest": None}
    assert weekly["lastRun"]["outcome"] == "RUNNING"
    assert weekly["lastSuccess"] is None
    assert nodes(answer, "failing") == [{"description": "nightly"}]
    assert nodes(answer, "never") == [{"description": "weekly"}]
    assert [node["description"] for node in nodes(answer, "latest")] == ["weekly", "nightly"]


async def test_a_page_of_jobs_costs_the_same_statements_however_long(
    graphql: GraphQL, p1: Context, recorder: QueryRecorder
) -> None:
    counted = []
    for more in (0, 20):
        for number in range(more):
            await run(p1, f"job{number}", START, 5)
        with recorder:
            answer = await graphql(f"{{ jobs {{ nodes {{ {JOBS} }} }} }}", project="p1")
        assert "errors" not in answer
        counted.append(len(recorder))
    # The jobs, their runs and the number of them, the last ones twice, three numbers of each.
    assert counted == [8, 8]


async def test_a_run_has_the_backups_of_its_job_and_its_time(
    graphql: GraphQL, make_ctx: MakeContext, p1: Context
) -> None:
    await back_up(p1, "before", START - 1, "nightly", "node1")
    await back_up(p1, "first second", START, "nightly", "node1")
    await back_up(p1, "last second", START + 60, "nightly", "node1")
    await back_up(p1, "after", START + 61, "nightly", "node1")
    await back_up(p1, "another job's", START + 1, "weekly", "node1")
    await back_up(p1, "by hand", START + 1, None, "node1")
    await back_up(make_ctx("p2"), "another project's", START + 1, "nightly", "node1")
    await back_up(p1, "of the run that runs", START + 11 * HOUR, "weekly", "node2")
    query = """{ runs(orderBy: {field: STARTED_AT}) { nodes {
      host client { hostname } backups { totalCount nodes { backupName } }
    } } }"""
    first, second, *_, last = nodes(await graphql(query, project="p1"), "runs")
    made = [node["backupName"] for node in first["backups"]["nodes"]]
    assert (made, first["backups"]["totalCount"]) == (["first second", "last second"], 2)
    # Several hosts may share a client.
    assert (first["host"], first["client"]["hostname"]) == ("node1", "host.example")
    assert (second["host"], second["backups"]["nodes"]) == ("host.example", [])
    assert last["backups"]["nodes"] == [{"backupName": "of the run that runs"}]
    assert last["host"] == "node2"


async def test_a_lost_run_has_the_backups_until_the_next_one(
    graphql: GraphQL, make_ctx: MakeContext
) -> None:
    ctx = make_ctx("p1")
    await run(ctx, "job", START, None)
    await run(ctx, "job", START + 100, None)
    for name, time in (("first", START + 99), ("second", START + 100)):
        await back_up(ctx, name, time, "job", "h")
    query = "{ runs { nodes { outcome endedAt backups { nodes { backupName } } } } }"
    running, lost = nodes(await graphql(query, project="p1"), "runs")
    assert (lost["outcome"], lost["endedAt"]) == ("LOST", None)
    assert lost["backups"]["nodes"] == [{"backupName": "first"}]
    assert running["backups"]["nodes"] == [{"backupName": "second"}]


async def test_a_backup_has_the_run_that_made_it(
    graphql: GraphQL, make_ctx: MakeContext, p1: Context
) -> None:
    made = {
        "before": (START - 1, "nightly", None),
        "first second": (START, "nightly", f"nightly:{START}"),
        "last second": (START + 60, "nightly", f"nightly:{START}"),
        "after": (START + 61, "nightly", None),
        "later": (START + 3 * HOUR + 5, "nightly", f"nightly:{START + 3 * HOUR}"),
        "another job's": (START + 1, "weekly", None),
        "nobody's": (START + 1, "unknown", None),
        "by hand": (START + 1, None, None),
        "of the run that runs": (START + 99 * HOUR, "weekly", f"weekly:{START + 10 * HOUR}"),
    }
    for name, (time, job_id, _) in made.items():
        await back_up(p1, name, time, job_id, "h")
    await back_up(make_ctx("p2"), "another project's", START + 1, "nightly", "h")
    query = """{ backups { nodes { backupName run { runId job { jobId } } } }
      runs { nodes { runId backups { nodes { backupName } } } } }"""
    answer = await graphql(query, project="p1")
    shown = {node["backupName"]: node["run"] for node in nodes(answer, "backups")}
    assert {name: run and run["runId"] for name, run in shown.items()} == {
        name: run_id for name, (_, _, run_id) in made.items()
    }
    # A backup has a run just where the run has the backup.
    pairs = {(name, run["runId"]) for name, run in shown.items() if run}
    assert pairs == {
        (backup["backupName"], run["runId"])
        for run in nodes(answer, "runs")
        for backup in run["backups"]["nodes"]
    }
    (other,) = nodes(
        await graphql("{ backups { nodes { run { runId } } } }", project="p2"), "backups"
    )
    assert other == {"run": None}


async def test_a_backup_of_two_runs_at_once_has_the_newer_one(
    graphql: GraphQL, make_ctx: MakeContext
) -> None:
    ctx = make_ctx("p1")
    await run(ctx, "job", START, None)
    await run(ctx, "job", START + 100, 10)
    times = {"a": START + 50, "b": START + 105, "c": START + 150}
    for name, time in times.items():
        await back_up(ctx, name, time, "job", "h")
    query = "{ backups { nodes { run { startedAt } } } }"

    async def starts() -> list[str | None]:
        found = nodes(await graphql(query, project="p1"), "backups")
        return [node["run"] and node["run"]["startedAt"][14:19] for node in found]

    assert await starts() == ["13:20", "15:00", None]
    # The end of the one that was lost is told after all.
    ended = {"status": "scheduled", "time_started": START, "time_ended": START + 200}
    await jobs.update(ctx, "job", {"schedule": ended | {"result": "success"}})
    assert await starts() == ["13:20", "15:00", "13:20"]


@pytest.mark.usefixtures("p1")
async def test_a_client_has_the_runs_that_it_had(graphql: GraphQL, make_ctx: MakeContext) -> None:
    ctx = make_ctx("p1")
    await clients.create(ctx, ClientDraft("other"))
    await run(ctx, "daily", START, 5, client_id="other")
    # A job that another client has now: its run was the first one's.
    await jobs.update(ctx, "daily", {"client_id": "host"})
    query = """{ clients { nodes { clientId runs(first: 2) {
      totalCount nodes { runId client { clientId } } pageInfo { hasNextPage }
    } failed: runs(where: {outcome: {eq: FAIL}}) { totalCount } } } }"""
    host, other = nodes(await graphql(query, project="p1"), "clients")
    assert host["runs"] == {
        # The project had no other client when `weekly` was created.
        "totalCount": 7,
        "nodes": [
            {"runId": run_id, "client": {"clientId": "host"}}
            for run_id in (f"weekly:{START + 10 * HOUR}", f"nightly:{START + 5 * HOUR}")
        ],
        "pageInfo": {"hasNextPage": True},
    }
    assert host["failed"] == {"totalCount": 3}
    assert [node["runId"] for node in other["runs"]["nodes"]] == [f"daily:{START}"]
    assert other["runs"]["totalCount"] == 1


async def test_pages_with_runs_cost_the_same_statements_however_long(
    graphql: GraphQL, p1: Context, recorder: QueryRecorder
) -> None:
    query = """{ backups { nodes { run { outcome } } }
      clients { nodes { runs { nodes { outcome } } } } }"""
    counted = []
    for more in (1, 9):
        for number in range(more):
            await clients.create(p1, ClientDraft(f"client{number}"))
            await run(p1, f"job{number}", START, 5, client_id=f"client{number}")
            await back_up(p1, f"backup{number}", START, f"job{number}", "h")
        with recorder:
            assert "errors" not in await graphql(query, project="p1")
        counted.append(len(recorder))
    assert counted == [4, 4]


@pytest.mark.parametrize(("took", "unusual"), [(99, False), (205, True), (40, False), (30, True)])
async def test_a_run_is_unusual_by_what_is_usual(
    graphql: GraphQL, make_ctx: MakeContext, took: int, *, unusual: bool
) -> None:
    ctx = make_ctx("p1")
    for number in range(5):
        await run(ctx, "job", START + number * HOUR, 100)
        query = '{ job(jobId: "job") { lastRun { isUnusual durationRatio } } }'
    await run(ctx, "job", START + 5 * HOUR, took)
    last = (await graphql(query, project="p1"))["data"]["job"]["lastRun"]
    assert last == {"isUnusual": unusual, "durationRatio": took / 100}
    await jobs.create(ctx, JobDraft([], description="that never ran"))
    for wanted in (True, False):
        where = f"where: {{lastRunIsUnusual: {{eq: {str(wanted).lower()}}}}}"
        found = nodes(await graphql(f"{{ jobs({where}) {{ nodes {{ description }} }} }}"), "jobs")
        ran = {"description": "job"} in found
        assert (ran, {"description": "that never ran"} in found) == (unusual is wanted, not wanted)


async def test_few_runs_are_no_usage(graphql: GraphQL, make_ctx: MakeContext) -> None:
    ctx = make_ctx("p1")
    for number, took in enumerate([100, 100, 1000]):
        await run(ctx, "job", START + number * HOUR, took)
    query = "{ runs { nodes { isUnusual durationRatio } } }"
    found = nodes(await graphql(query, project="p1"), "runs")
    assert [one["isUnusual"] for one in found] == [False] * 3
    assert [one["durationRatio"] for one in found] == [10, 1, None]


@pytest.mark.parametrize("last", [0, -1, 101])
@pytest.mark.usefixtures("p1")
async def test_how_many_runs_are_looked_at_is_limited(graphql: GraphQL, last: int) -> None:
    query = f"{{ jobs(first: 9) {{ nodes {{ successRate(last: {last}) }} }} }}"
    answer = await graphql(query, project="p1")
    (error, *_) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert f"not {last}" in error["message"]
    assert answer["data"]["jobs"]["nodes"] == [{"successRate": None}] * 2


@pytest.mark.usefixtures("p1")
async def test_the_runs_that_are_looked_at_count_as_nodes(graphql: GraphQL) -> None:
    query = "{ jobs(first: 1000) { nodes { successRate } } }"
    (error,) = (await graphql(query, project="p1"))["errors"]
    assert error["message"].startswith("this operation could return 21000 nodes")


async def test_a_run_by_its_ids(graphql: GraphQL, p1: Context) -> None:
    run_id = f"weekly:{START + 10 * HOUR}"
    by_id = "query($id: ID!) { run(runId: $id) { id } }"
    found = (await graphql(by_id, {"id": run_id}, project="p1"))["data"]["run"]
    by_node = "query($id: ID!) { node(id: $id) { ... on Run { runId } } }"
    again = (await graphql(by_node, {"id": found["id"]}, project="p1"))["data"]["node"]
    assert again == {"runId": run_id}
    other = await graphql(by_id, {"id": run_id}, project="p2")
    assert other["data"] == {"run": None}
    assert p1.project_id == "p1"


async def test_all_projects_with_the_same_jobs(
    graphql: GraphQL, make_ctx: MakeContext, p1: Context
) -> None:
    await run(make_ctx("p2"), "nightly", START, 7, "success")
    query = """{ jobs(allProjects: true, where: {description: {eq: "nightly"}}) { nodes {
      projectId successRate durations { longest } lastRun { duration projectId }
    } } runs(allProjects: true) { totalCount } }"""
    answer = await graphql(query, project=p1.project_id)
    one, two = nodes(answer, "jobs")
    assert (one["projectId"], one["durations"], one["lastRun"]["duration"]) == (
        "p1",
        {"longest": 62},
        65,
    )
    assert two == {
        "projectId": "p2",
        "successRate": 1,
        "durations": {"longest": 7},
        "lastRun": {"duration": 7, "projectId": "p2"},
    }
    assert answer["data"]["runs"]["totalCount"] == 8


@pytest.mark.parametrize("role", ["reader", "member", "service", "admin"])
async def test_who_reads_jobs_reads_runs(p1: Context, role: str) -> None:
    ctx = replace(p1, identity=Identity("u", "u", "p1", frozenset({role})))
    page = PageRequest(runs.COLLECTION.order, first=1)
    assert len((await runs.COLLECTION.find(ctx, page, None, (runs.COLUMNS.id,))).rows) == 1
    across = runs.COLLECTION.all_projects
    if role in {"reader", "member"}:
        with pytest.raises(Forbidden):
            await across.count(ctx, None)
    else:
        assert await across.count(ctx, None) == 7


async def test_who_has_no_role_reads_no_runs(p1: Context) -> None:
    ctx = replace(p1, identity=Identity("u", "u", "p1", frozenset()))
    with pytest.raises(Forbidden):
        await runs.COLLECTION.count(ctx, None)
    with pytest.raises(Forbidden):
        await runs.success_rates(ctx, [("p1", "nightly")], 5, all_projects=False)
