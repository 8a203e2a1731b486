"""A project that mirrors a source: both surfaces read it, and refuse to write to it."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gateway.catalogue.tables import Job, columns, source
from gateway.db.database import Database
from gateway.errors import BadInput, Mirrored
from gateway.moving import mirrors
from tests.support.apps import MakeClient
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

SOURCE = "mysql://db.example.org/freezer"
RUN = {"action": "backup", "mode": "fs", "backup_name": "n", "container": "c"}
METADATA = {"backup_name": "n", "container": "c", "hostname": "h", "time_stamp": 1_500_000_000}
JOB = {"description": "j", "job_actions": [{"freezer_action": RUN}]}
SESSION = {"schedule": {"schedule_interval": "1 days"}}
LISTS = ("actions", "backups", "clients", "jobs", "sessions")
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "actions", {"freezer_action": RUN}),
    ("PATCH", "actions/a", {"max_retries": 7}),
    ("DELETE", "actions/a", None),
    ("POST", "backups", METADATA),
    ("POST", "clients", {"client_id": "new", "hostname": "h"}),
    ("DELETE", "clients/c", None),
    ("POST", "jobs", JOB),
    ("PATCH", "jobs/j", {"description": "other"}),
    ("POST", "jobs/j", JOB),
    ("POST", "jobs/j/event", {"start": None}),
    ("DELETE", "jobs/j", None),
    ("POST", "sessions", SESSION),
    ("PUT", "sessions/s/jobs/j", None),
    ("DELETE", "sessions/s", None),
]
MUTATIONS = [
    'createAction(input: {freezerAction: {action: "exec"}}) { action { id } }',
    """registerBackup(input: {metadata: {backup_name: "n", container: "c", hostname: "h"}})
        { backup { id } }""",
    'registerClient(input: {clientId: "new"}) { client { id } }',
    'createJob(input: {description: "n", actions: []}) { job { id } }',
    'createSession(input: {schedule: {interval: "1 days"}}) { session { id } }',
    'setProjectTimeZone(input: {timeZone: "Europe/Berlin"}) { projectSettings { timeZone } }',
    'setExpectedHosts(input: {hostnames: ["a", "b"]}) { count }',
]


async def fill(client: httpx.AsyncClient, project: str) -> None:
    """Store an item of each kind."""
    for path, body in (
        ("actions/a", {"freezer_action": RUN}),
        ("jobs/j", JOB),
        ("clients", {"client_id": "c"}),
        ("sessions/s", SESSION | {"session_tag": 0, "hold_off": 0}),
        ("backups", METADATA),
    ):
        assert (await client.post(f"/v2/{project}/{path}", json=body)).status_code == 201


async def catalogue(client: httpx.AsyncClient, project: str = "p1") -> list[tuple[str, str]]:
    """Return the ETag and the body of each list."""
    found = [await client.get(f"/v2/{project}/{name}?limit=1000") for name in LISTS]
    return [(response.headers["ETag"], response.text) for response in found]


async def mutate(client: httpx.AsyncClient, text: str, project: str = "p1") -> httpx.Response:
    body = {"query": f"mutation {{ {text} }}"}
    return await client.post("/graphql", json=body, headers={"X-Project-Id": project})


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_rest_refuses_and_names_the_source(
    client: httpx.AsyncClient, database: Database, method: str, path: str, body: Any
) -> None:
    await fill(client, "p1")
    before = await catalogue(client)
    await mirrors.mark(database, ["p1"], SOURCE)
    response = await client.request(method, f"/v2/p1/{path}", json=body)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "60"
    assert f"'p1' is a mirror of {SOURCE}" in response.json()["description"]
    assert await catalogue(client) == before
    await mirrors.free(database, ["p1"])
    assert (await client.request(method, f"/v2/p1/{path}", json=body)).is_success


@pytest.mark.parametrize("text", MUTATIONS)
async def test_graphql_refuses_and_names_the_source(
    client: httpx.AsyncClient, database: Database, text: str
) -> None:
    await fill(client, "p1")
    before = await catalogue(client)
    await mirrors.mark(database, ["p1"], SOURCE)
    response = await mutate(client, text)
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert f"'p1' is a mirror of {SOURCE}" in error["message"]
    assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
    assert await catalogue(client) == before
    await mirrors.free(database, ["p1"])
    assert "errors" not in (await mutate(client, text)).json()


async def test_other_projects_go_on_and_everything_is_read(
    client: httpx.AsyncClient, database: Database
) -> None:
    await fill(client, "p1")
    await mirrors.mark(database, ["p1"], SOURCE)
    await fill(client, "p2")
    for text in MUTATIONS:
        assert "errors" not in (await mutate(client, text, "p2")).json()
    query = {"query": "{ jobs { nodes { jobId } } backups { totalCount } }"}
    body = (await client.post("/graphql", json=query, headers={"X-Project-Id": "p1"})).json()
    assert body["data"] == {"jobs": {"nodes": [{"jobId": "j"}]}, "backups": {"totalCount": 1}}


async def test_a_gateway_that_starts_later_obeys(
    make_client: MakeClient, database: Database
) -> None:
    await mirrors.mark(database, ["p1"], SOURCE)
    for _ in range(2):
        client = await make_client()
        assert (await client.post("/v2/p1/jobs", json=JOB)).status_code == 503


async def test_a_writer_that_began_before_the_mark_writes_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    if database.is_sqlite:
        pytest.skip("it has one writer at a time")
    await fill(client, "p1")
    before = await catalogue(client)
    own = columns(Job)
    rename = sa.update(source(Job)).where(own.project_id == "p1").values(description="other")

    async def write() -> None:
        async with database.write("p1") as transaction:
            await transaction.rows(rename.returning(own.id))
            await mirrors.mark(database, ["p1"], SOURCE)

    with pytest.raises(Mirrored):
        await write()
    assert await mirrors.marked(database) == {"p1": SOURCE}
    assert await catalogue(client) == before


async def test_a_project_has_one_source(database: Database) -> None:
    await mirrors.mark(database, ["p1"], SOURCE)
    await mirrors.mark(database, ["p1", "p2"], SOURCE)
    with pytest.raises(BadInput, match="'p1' mirrors another source"):
        await mirrors.mark(database, ["p0", "p1"], "sqlite:////other.db")
    assert await mirrors.marked(database) == dict.fromkeys(["p1", "p2"], SOURCE)
    assert await mirrors.free(database, ["p1", "p3"]) == ["p1"]
    assert await mirrors.marked(database) == {"p2": SOURCE}


async def test_nobody_runs_a_statement_more(
    client: httpx.AsyncClient, database: Database, recorder: QueryRecorder
) -> None:
    await fill(client, "p1")
    requests: list[tuple[str, str, Any]] = [
        ("GET", "jobs", None),
        ("PATCH", "jobs/j", {"description": "x"}),
    ]
    counts = []
    for project in ("p2", ""):
        await mirrors.mark(database, [project] if project else [], SOURCE)
        for method, path, body in requests:
            with recorder:
                await client.request(method, f"/v2/p1/{path}", json=body)
            counts.append(len(recorder))
    assert counts[:2] == counts[2:]
    assert not recorder.matching("SELECT revisions.project_id, revisions.mirror")
