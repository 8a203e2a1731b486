"""Idempotency keys: by both surfaces, a repeated write is answered as at first, and not made."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gateway import idempotency
from gateway.app import create_app
from gateway.catalogue.bookkeeping_tables import IdempotencyKey
from gateway.catalogue.tables import columns, source
from gateway.db.database import Database
from gateway.errors import Unavailable
from gateway.settings import load
from tests.support.apps import MakeClient, opened
from tests.support.rates import Callers
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
RUN = {"action": "backup", "mode": "fs", "backup_name": "n", "container": "c"}
METADATA = {"backup_name": "n", "container": "c", "hostname": "h"}
RESTORABLE = METADATA | {"time_stamp": 1_500_000_000, "max_level": 1}
JOB = {"description": "j", "job_actions": [{"freezer_action": RUN}]}
SCHEDULE = {"schedule_interval": "1 days"}
SESSION = {"schedule": SCHEDULE, "session_tag": 0, "hold_off": 0}
LISTS = ("actions", "backups", "clients", "jobs", "sessions")

POSTS: Mapping[str, Mapping[str, Any]] = {
    "actions": {"freezer_action": RUN},
    "actions/a": {"freezer_action": RUN},
    "actions/new": {"freezer_action": RUN},
    "backups": METADATA,
    "clients": {"client_id": "new", "hostname": "h"},
    "jobs": JOB,
    "jobs/j": JOB,
    "jobs/new": JOB,
    "jobs/j/event": {"start": None},
    "sessions": {"schedule": SCHEDULE},
    "sessions/s": SESSION,
    "sessions/s/action": {"start": {"job_id": "j", "current_tag": 0}},
}

MUTATIONS = {
    "createAction": '(input: {freezerAction: {action: "exec"}}) { action { id version } }',
    "updateAction": '(input: {id: "@A", maxRetries: 7}) { action { id version maxRetries } }',
    "deleteAction": '(input: {id: "@A"}) { deletedId }',
    "registerBackup": """(input: {metadata: {backup_name: "n", container: "c", hostname: "h"}})
        { backup { id backupName } }""",
    "updateBackup": '(input: {id: "@B", status: DELETING}) { backup { id version status } }',
    "deleteBackup": '(input: {id: "@B"}) { deletedId }',
    "registerClient": '(input: {clientId: "new"}) { client { id uuid } }',
    "setClientTimeZone": """(input: {id: "@C", timeZone: "Europe/Berlin"})
        { client { version timeZone } }""",
    "setProjectTimeZone": '(input: {timeZone: "Europe/Berlin"}) { projectSettings { timeZone } }',
    "deleteClient": '(input: {id: "@C"}) { deletedId }',
    "createJob": '(input: {description: "n", actions: []}) { job { id jobId description } }',
    "updateJob": '(input: {id: "@J", description: "other"}) { job { version description } }',
    "deleteJob": '(input: {id: "@J"}) { deletedId }',
    "startJob": '(input: {id: "@J"}) { requested job { event version } }',
    "stopJob": '(input: {id: "@J"}) { requested job { event version } }',
    "abortJob": '(input: {id: "@J"}) { requested job { event version } }',
    "createSession": '(input: {schedule: {interval: "1 days"}}) { session { id version } }',
    "updateSession": '(input: {id: "@S", holdOff: 5}) { session { version holdOff } }',
    "deleteSession": '(input: {id: "@S"}) { deletedId }',
    "addJobToSession": '(input: {id: "@S", jobId: "@J"}) { session { id version } }',
    "removeJobFromSession": '(input: {id: "@S", jobId: "@J"}) { session { id version } }',
    "startSession": """(input: {id: "@S", jobId: "@J", currentTag: 0})
        { outcome sessionTag session { version } }""",
    "endSession": """(input: {id: "@S", jobId: "@J", result: SUCCESS})
        { outcome sessionTag session { version status } }""",
    "createRestoreJob": """(input: {backup: "@B", restorePath: "/r"})
        { job { id version } plan { restorability } }""",
    "deleteExpiredBackups": '(input: {series: "@E"}) { count }',
    "muteHealth": '(input: {id: "@J", reason: "known"}) { job { health { isMuted } } }',
    "unmuteHealth": '(input: {id: "@J"}) { job { health { isMuted } } }',
    "setRecoveryObjective": '(input: {id: "@C", maxAge: 60}) { maxAge client { id } }',
    "setExpectedHosts": '(input: {hostnames: ["a", "b"]}) { count }',
}


@pytest.fixture
async def items(client: httpx.AsyncClient) -> Mapping[str, str]:
    """Store an item of each kind; return their global ids."""
    assert (await client.post("/v2/p1/actions/a", json={"freezer_action": RUN})).status_code == 201
    assert (await client.post("/v2/p1/jobs/j", json=JOB)).status_code == 201
    assert (await client.post("/v2/p1/clients", json={"client_id": "c"})).status_code == 201
    session = await client.post("/v2/p1/sessions/s", json=SESSION)
    assert session.status_code == 201
    assert (await client.put("/v2/p1/sessions/s/jobs/j")).status_code == 204
    assert (await client.post("/v2/p1/backups", json=RESTORABLE)).status_code == 201
    query = """{ backups { nodes { id } } series { nodes { id } }
        action(actionId: "a") { id } job(jobId: "j") { id }
        client(clientId: "c") { id } session(sessionId: "s") { id } }"""
    data = (await ask(client, query))["data"]
    (backup,) = data.pop("backups")["nodes"]
    (series,) = data.pop("series")["nodes"]
    return {"@B": backup["id"], "@E": series["id"]} | {
        f"@{name[0].upper()}": one["id"] for name, one in data.items()
    }


async def send(client: httpx.AsyncClient, query: str, **headers: str) -> httpx.Response:
    headers = {"X-Project-Id": "p1", **headers}
    return await client.post("/graphql", json={"query": query}, headers=headers)


async def ask(client: httpx.AsyncClient, query: str, **headers: str) -> dict[str, Any]:
    body: dict[str, Any] = (await send(client, query, **headers)).json()
    return body


async def post(
    client: httpx.AsyncClient, path: str, body: object, **headers: str
) -> httpx.Response:
    return await client.post(f"/v2/p1/{path}", json=body, headers=KEY | headers)


async def write(client: httpx.AsyncClient, surface: str, **headers: str) -> httpx.Response:
    """Create a job by either surface, with a key."""
    if surface == "rest":
        return await post(client, "jobs", JOB, **headers)
    query = 'mutation { createJob(input: {description: "j", actions: []}) { job { jobId } } }'
    return await send(client, query, **KEY | headers)


def job_id(response: httpx.Response) -> str:
    """Return the id of the job that has been created."""
    body = response.json()
    assert "errors" not in body, body
    found: str = body["data"]["createJob"]["job"]["jobId"] if "data" in body else body["job_id"]
    return found


async def catalogue(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Return the ETag and the body of each list: all that a write could change."""
    found = [await client.get(f"/v2/p1/{name}?limit=1000") for name in LISTS]
    return [(response.headers["ETag"], response.text) for response in found]


async def keys(database: Database) -> list[tuple[str, str]]:
    """Return the project and the key of all that are stored, in the order of their times."""
    own = columns(IdempotencyKey)
    rows = await database.rows(sa.select(own.project_id, own.key).order_by(own.created_at))
    return [tuple(row) for row in rows]


async def age(database: Database, seconds: int) -> None:
    """Let the keys that are stored be older."""
    own = columns(IdempotencyKey)
    older = sa.update(source(IdempotencyKey)).values(created_at=own.created_at - seconds * 10**6)
    async with database.write("p1") as transaction:
        await transaction.note(older)


@pytest.mark.parametrize("path", POSTS)
async def test_a_post_is_answered_as_at_first(
    client: httpx.AsyncClient, items: Mapping[str, str], path: str
) -> None:
    assert items
    first = await post(client, path, POSTS[path])
    assert first.is_success, first.text
    after = await catalogue(client)
    repeat = await post(client, path, POSTS[path])
    assert (repeat.status_code, repeat.content) == (first.status_code, first.content)
    for name in ("Location", "ETag", "Content-Type"):
        assert repeat.headers.get(name) == first.headers.get(name)
    assert await catalogue(client) == after


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_mutation_is_answered_as_at_first(
    client: httpx.AsyncClient, items: Mapping[str, str], name: str
) -> None:
    query = f"mutation {{ {name}{MUTATIONS[name]} }}"
    for short, item_id in items.items():
        query = query.replace(short, item_id)
    first = await ask(client, query, **KEY)
    assert "errors" not in first
    after = await catalogue(client)
    assert await ask(client, query, **KEY) == first
    assert await catalogue(client) == after


async def test_all_mutations_are_tested(client: httpx.AsyncClient) -> None:
    body = await ask(client, "{ __schema { mutationType { fields { name } } } }")
    fields = body["data"]["__schema"]["mutationType"]["fields"]
    assert {field["name"] for field in fields} == MUTATIONS.keys()


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_without_a_key_each_request_writes(client: httpx.AsyncClient, surface: str) -> None:
    header = {"Idempotency-Key": "other"}
    assert job_id(await write(client, surface)) != job_id(await write(client, surface, **header))
    made = {(await client.post("/v2/p1/jobs", json=JOB)).json()["job_id"] for _ in range(2)}
    assert len(made) == 2


async def test_a_request_without_a_key_runs_no_statement_more(
    client: httpx.AsyncClient, recorder: QueryRecorder
) -> None:
    with recorder:
        await client.post("/v2/p1/backups", json=METADATA)
    without = len(recorder)
    assert not recorder.matching("idempotency_keys")
    await post(client, "jobs", JOB)  # prunes, as the first of so many
    with recorder:
        await post(client, "backups", METADATA, **{"Idempotency-Key": "other"})
    assert len(recorder) == without + 3
    with recorder:
        await post(client, "backups", METADATA, **{"Idempotency-Key": "other"})
    assert len(recorder) == 1


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_quotes_make_no_difference(client: httpx.AsyncClient, surface: str) -> None:
    first = await write(client, surface, **{"Idempotency-Key": '"k1"'})
    assert job_id(await write(client, surface, **{"Idempotency-Key": " k1 "})) == job_id(first)
    escaped = {"Idempotency-Key": r'"a \"b\" \\"'}
    first = await write(client, surface, **escaped)
    assert job_id(await write(client, surface, **escaped)) == job_id(first)


@pytest.mark.parametrize("surface", ["rest", "graphql"])
@pytest.mark.parametrize(
    "key", ["", '""', '"open', "two words", "a, b", 'a"b', r'"\n"', "k" * 256, '"1";a=1', "ü"]
)
async def test_a_malformed_key_is_named(
    client: httpx.AsyncClient, database: Database, surface: str, key: str
) -> None:
    headers = {"Idempotency-Key": key.encode()}
    response = await write(client, surface, **headers)  # type: ignore[arg-type]
    assert response.status_code == 400
    assert "Idempotency-Key: '" in response.text
    if surface == "graphql":
        (error,) = response.json()["errors"]
        assert error["extensions"].items() >= {
            ("code", "BAD_USER_INPUT"),
            ("field", "Idempotency-Key"),
        }
    assert (await client.get("/v2/p1/jobs")).json() == {"jobs": []}
    assert await keys(database) == []


async def test_the_longest_key_is_kept(client: httpx.AsyncClient) -> None:
    long = {"Idempotency-Key": "k" * 255}
    first = await write(client, "rest", **long)
    assert job_id(await write(client, "rest", **long)) == job_id(first)


async def test_two_keys_are_none(client: httpx.AsyncClient) -> None:
    two = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    response = await client.post("/v2/p1/jobs", json=JOB, headers=two)
    assert response.status_code == 400
    assert "'a, b'" in response.text


async def test_only_what_may_write_twice_has_a_key(
    client: httpx.AsyncClient, items: Mapping[str, str], database: Database
) -> None:
    assert items
    bad = {"Idempotency-Key": "no key"}
    assert "errors" not in await ask(client, "{ jobs { totalCount } }", **bad)
    patch = {"json": {"description": "d"}, "headers": bad}
    versions = [(await client.patch("/v2/p1/jobs/j", **patch)).json()["version"] for _ in "12"]
    assert versions[1] == versions[0] + 1
    assert (await client.put("/v2/p1/sessions/s/jobs/j", headers=bad)).status_code == 204
    assert (await client.delete("/v2/p1/actions/a", headers=bad)).status_code == 204
    assert (await client.get("/v2/p1/jobs", headers=bad)).status_code == 200
    assert await keys(database) == []


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_the_key_of_another_request_is_refused(
    client: httpx.AsyncClient, surface: str
) -> None:
    await write(client, surface)
    before = await catalogue(client)
    others = [
        post(client, "jobs", JOB | {"description": "other"}),
        post(client, "backups", METADATA),
        send(client, 'mutation { deleteJob(input: {id: "x"}) { deletedId } }', **KEY),
    ]
    for other in others:
        response = await other
        assert response.status_code == 422
        assert "was used for another request" in response.text
        assert "Idempotency-Key" in response.text
    assert await catalogue(client) == before


async def test_the_same_request_may_be_written_in_another_way(client: httpx.AsyncClient) -> None:
    first = await post(client, "backups", METADATA)
    backwards = dict(reversed(METADATA.items()))
    assert (await post(client, "/backups/", backwards)).content == first.content
    query = "mutation($m: JSON!) { registerBackup(input: {metadata: $m}) { backup { id } } }"
    sent = [{"query": query, "variables": {"m": one}} for one in (METADATA, backwards)]
    headers = {"X-Project-Id": "p1", "Idempotency-Key": "other"}
    answers = [await client.post("/graphql", json=one, headers=headers) for one in sent]
    assert answers[0].json() == answers[1].json()


async def test_a_failure_is_not_kept(client: httpx.AsyncClient) -> None:
    draft = JOB | {"client_id": "late"}
    assert (await post(client, "jobs", draft)).status_code == 422
    await client.post("/v2/p1/clients", json={"client_id": "late"})
    first = await post(client, "jobs", draft)
    assert first.status_code == 201
    assert (await post(client, "jobs", draft)).content == first.content


async def test_a_repeat_answers_what_was_written_and_runs_what_was_not(
    client: httpx.AsyncClient,
) -> None:
    query = """mutation {
      __typename
      one: createJob(input: {description: "1", actions: []}) { job { jobId description } }
      two: createJob(input: {description: "2", actions: [], clientId: "late"}) { job { jobId } }
      three: createJob(input: {description: "3", actions: []}) { job { jobId } }
    }"""
    first = await ask(client, query, **KEY)
    assert [error["path"] for error in first["errors"]] == [["two"]]
    await client.post("/v2/p1/clients", json={"client_id": "late"})
    second = await ask(client, query, **KEY)
    assert "errors" not in second
    assert second["data"]["two"] is not None
    for name in ("one", "three"):
        assert second["data"][name] == first["data"][name] is not None
    assert await ask(client, query, **KEY) == second
    assert len((await client.get("/v2/p1/jobs")).json()["jobs"]) == 3


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_what_was_written_is_not_written_again_once_it_is_gone(
    client: httpx.AsyncClient, surface: str
) -> None:
    first = await write(client, surface)
    await client.delete(f"/v2/p1/jobs/{job_id(first)}")
    repeat = await write(client, surface)
    if surface == "rest":
        assert repeat.content == first.content
    else:
        (error,) = repeat.json()["errors"]
        assert error["extensions"]["code"] == "NOT_READ_BACK"
    assert (await client.get("/v2/p1/jobs")).json() == {"jobs": []}


async def test_a_condition_that_held_is_not_checked_again(
    client: httpx.AsyncClient, items: Mapping[str, str]
) -> None:
    assert items
    tag = (await client.get("/v2/p1/jobs/j")).headers["ETag"]
    first = await post(client, "jobs/j", JOB, **{"If-Match": tag})
    assert first.status_code == 201
    assert (await client.post("/v2/p1/jobs/j", json=JOB, headers={"If-Match": tag})).is_error
    repeat = await post(client, "jobs/j", JOB, **{"If-Match": tag})
    assert (repeat.status_code, repeat.content) == (201, first.content)


@asynccontextmanager
async def shared(database_url: str, **given: object) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application whose callers say who they are."""
    app = create_app(load(database_url=database_url, **given))
    async with opened(app) as client:
        app.state.contexts = replace(app.state.contexts, authenticator=Callers())
        client.headers["X-Auth-Token"] = "alice@p1"
        yield client


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_users_and_projects_share_no_keys(database_url: str, surface: str) -> None:
    async with shared(database_url) as client:
        first = job_id(await write(client, surface))
        bob = {"X-Auth-Token": "bob@p1"}
        theirs = job_id(await write(client, surface, **bob))
        assert theirs != first
        query = 'mutation { createJob(input: {description: "x", actions: []}) { job { jobId } } }'
        elsewhere = {"X-Auth-Token": "alice@p2", "X-Project-Id": "p2"}
        assert "errors" not in await ask(client, query, **KEY | elsewhere)
        for repeat in ({}, {}):
            assert job_id(await write(client, surface, **repeat)) == first
        assert job_id(await write(client, surface, **bob)) == theirs


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_a_repeat_is_authorized_again(
    database_url: str, tmp_path: Path, surface: str
) -> None:
    async with shared(database_url) as client:
        first = job_id(await write(client, surface))
    rules = tmp_path / "policy.yaml"
    rules.write_text('"jobs:create": "!"')
    async with shared(database_url, policy_file=rules) as client:
        response = await write(client, surface)
        if surface == "rest":
            assert response.status_code == 403
        else:
            (error,) = response.json()["errors"]
            assert error["extensions"]["code"] == "FORBIDDEN"
        assert first not in response.text
    async with shared(database_url) as client:
        assert job_id(await write(client, surface)) == first


async def test_the_rule_of_a_central_client_is_checked_again(
    database_url: str, tmp_path: Path
) -> None:
    draft = {"client_id": "c", "is_central": True}
    async with shared(database_url) as client:
        assert (await post(client, "clients", draft)).status_code == 201
    rules = tmp_path / "policy.yaml"
    rules.write_text('"clients:create_central": "!"')
    async with shared(database_url, policy_file=rules) as client:
        assert (await post(client, "clients", draft)).status_code == 403


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_another_process_knows_the_first_answer(
    make_client: MakeClient, surface: str
) -> None:
    one, other = await make_client(), await make_client()
    first = await write(one, surface)
    assert (await write(other, surface)).content == first.content


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_a_key_is_forgotten_after_a_day(
    client: httpx.AsyncClient, database: Database, surface: str
) -> None:
    first = job_id(await write(client, surface))
    await age(database, 86_000)
    assert job_id(await write(client, surface)) == first
    await age(database, 401)
    second = job_id(await write(client, surface))
    assert second != first
    assert job_id(await write(client, surface)) == second


async def test_a_forgotten_key_is_free_for_another_request(
    client: httpx.AsyncClient, database: Database
) -> None:
    await post(client, "jobs", JOB)
    await age(database, 86_401)
    first = await post(client, "backups", METADATA)
    assert (await post(client, "backups", METADATA)).content == first.content


async def test_forgotten_keys_of_all_projects_are_deleted(
    client: httpx.AsyncClient, database: Database
) -> None:
    for number in range(idempotency.PRUNE_EVERY):
        headers = {"Idempotency-Key": f"old{number}"}
        await client.post(f"/v2/p{number % 3}/backups", json=METADATA, headers=headers)
    await age(database, 86_401)
    for number in range(idempotency.PRUNE_EVERY):
        headers = {"Idempotency-Key": f"new{number}"}
        await client.post("/v2/p1/backups", json=METADATA, headers=headers)
    kept = await keys(database)
    assert kept == [("p1", f"new{number}") for number in range(idempotency.PRUNE_EVERY)]


async def test_a_project_keeps_so_many_keys(make_client: MakeClient, database: Database) -> None:
    client = await make_client(idempotency_max_keys=100)
    # The last of them deletes.
    numbers = range(8 * idempotency.PRUNE_EVERY + 1)
    for number in numbers:
        headers = {"Idempotency-Key": f"k{number}"}
        assert (await client.post("/v2/p1/backups", json=METADATA, headers=headers)).is_success
    kept = await keys(database)
    assert kept == [("p1", f"k{number}") for number in numbers[-100:]]


async def test_deleting_old_keys_may_fail(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Database.rows

    async def fail(self: Database, statement: Any, values: Any = None) -> Any:
        if "DELETE" in str(getattr(statement, "text", "")):
            raise Unavailable("the database doesn't answer")
        return await rows(self, statement, values)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "rows", fail)
        first = await write(client, "rest")
    assert first.status_code == 201
    assert (await write(client, "rest")).content == first.content


class Stop:
    """Stops what uses a key right after the first has reserved it, inside of its transaction."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stop the first."""
        self.reached, self.passed = asyncio.Event(), asyncio.Event()
        reserve = idempotency.KeyedRequest.reserve

        async def stopped(keyed: idempotency.KeyedRequest, transaction: Any) -> None:
            await reserve(keyed, transaction)
            if not self.reached.is_set():
                self.reached.set()
                await self.passed.wait()

        monkeypatch.setattr(idempotency.KeyedRequest, "reserve", stopped)


def assert_in_use(response: httpx.Response) -> None:
    assert response.status_code == 409
    assert response.headers["Retry-After"] == "1"
    body = response.json()
    if "errors" in body:
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "CONFLICT"
        assert error["extensions"]["field"] == "Idempotency-Key"
    else:
        assert body["title"] == "Conflict"
    assert "is being served: try again" in response.text


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_a_repeat_meanwhile_is_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, surface: str
) -> None:
    stop = Stop(monkeypatch)
    first = asyncio.create_task(write(client, surface))
    await stop.reached.wait()
    assert_in_use(await write(client, surface))
    stop.passed.set()
    made = job_id(await first)
    assert job_id(await write(client, surface)) == made
    assert len((await client.get("/v2/p1/jobs")).json()["jobs"]) == 1


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_a_repeat_meanwhile_is_refused_by_another_process(
    make_client: MakeClient, database: Database, monkeypatch: pytest.MonkeyPatch, surface: str
) -> None:
    one, other = await make_client(), await make_client()
    stop = Stop(monkeypatch)
    first = asyncio.create_task(write(one, surface))
    await stop.reached.wait()
    repeat = asyncio.create_task(write(other, surface))
    if not database.is_sqlite:
        # At once: SQLite's only writer is waited for.
        assert_in_use(await repeat)
    stop.passed.set()
    made = job_id(await first)
    if database.is_sqlite and (await repeat).status_code != 409:
        # It began after the first had ended.
        assert job_id(await repeat) == made
    assert job_id(await write(other, surface)) == made
    assert len((await other.get("/v2/p1/jobs")).json()["jobs"]) == 1


@pytest.mark.parametrize("surface", ["rest", "graphql"])
async def test_what_breaks_off_leaves_the_key_free(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, surface: str
) -> None:
    one, other = await make_client(), await make_client()
    stop = Stop(monkeypatch)
    first = asyncio.create_task(write(one, surface))
    await stop.reached.wait()
    first.cancel()
    await asyncio.wait({first})
    made = job_id(await write(other, surface))
    assert job_id(await write(one, surface)) == made
    assert [job["job_id"] for job in (await one.get("/v2/p1/jobs")).json()["jobs"]] == [made]
