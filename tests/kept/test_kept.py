"""Answers that are kept: served again, as they were, until anything changes that they show."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.auth import policy
from gateway.db.pools import PostgresPool, SQLitePool
from gateway.errors import Unavailable
from gateway.kept.look_ups import LookUps
from gateway.rest_compat import items
from gateway.schema.execution.plan import Plan
from tests.support.keeping import (
    BYPASS,
    HIT,
    JOBS,
    MISS,
    STALE,
    STATUS,
    SURFACES,
    Surface,
    keeping,
    state,
)
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

MakeKeeping = Callable[..., Awaitable[httpx.AsyncClient]]

MEMBER = "alice@p1:member"


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> Surface:
    """Return each way of asking in turn."""
    return SURFACES[request.param]


@pytest.fixture
async def make(database_url: str) -> AsyncIterator[MakeKeeping]:
    """Return a function that makes a client of another gateway that keeps answers."""
    async with AsyncExitStack() as stack:

        async def made(**given: object) -> httpx.AsyncClient:
            return await stack.enter_async_context(keeping(database_url, **given))  # type: ignore[arg-type]

        yield made


async def add(client: httpx.AsyncClient, job_id: str, project: str = "p1", **more: Any) -> None:
    """Create a job."""
    job = {"job_id": job_id, "job_actions": [], **more}
    answer = await client.post(f"/v2/{project}/jobs", json=job)
    assert answer.status_code == 201, answer.text


async def test_an_answer_is_sent_again_until_the_project_changes(
    make: MakeKeeping, surface: Surface, recorder: QueryRecorder
) -> None:
    client, other = await make(), await make()
    await add(client, "one")
    first = await surface.ask(client)
    assert first.headers[STATUS] == MISS
    with recorder:
        again = await surface.ask(client)
    assert again.headers[STATUS] == HIT
    assert len(recorder) == 1
    assert "revisions" in recorder.statements[0]
    same = ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Vary")
    assert [again.headers[name] for name in same] == [first.headers[name] for name in same]
    assert (again.status_code, again.content) == (200, first.content)
    # Whichever process it was.
    await add(other, "two")
    changed = await surface.ask(client)
    assert changed.headers[STATUS] == STALE
    assert b'"two"' in changed.content
    assert changed.headers["ETag"] != first.headers["ETag"]
    assert (await surface.ask(client)).content == changed.content
    # Other projects don't matter, but for what all of them see.
    await add(other, "three", "p2")
    assert (await surface.ask(client)).headers[STATUS] == HIT
    central = {"client_id": "central", "is_central": True}
    assert (await other.post("/v2/p2/clients", json=central)).status_code == 201
    assert (await surface.ask(client)).headers[STATUS] == STALE


async def test_an_unchanged_answer_isn_t_sent_again(make: MakeKeeping, surface: Surface) -> None:
    client, other = await make(), await make()
    await add(client, "one")
    tag = (await surface.ask(client)).headers["ETag"]
    assert tag.startswith('W/"')
    # Also by a process that has kept nothing, and by one that keeps it.
    for asked in (other, client):
        for known in (tag, tag.removeprefix("W/"), f'"x", {tag}'):
            answer = await surface.ask(asked, If_None_Match=known)
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == tag
            assert answer.headers[STATUS] == HIT
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert "X-Project-Id" in answer.headers["Vary"]
    await surface.ask(other)
    for asked in (other, client):
        assert (await surface.ask(asked, If_None_Match="*")).status_code == 304
    assert (await surface.ask(client, If_None_Match='"x"')).status_code == 200
    assert (await surface.ask(client, If_None_Match="x")).status_code == 400
    await add(client, "two")
    changed = await surface.ask(client, If_None_Match=tag)
    assert (changed.status_code, changed.headers[STATUS]) == (200, STALE)
    assert b'"two"' in changed.content


async def test_a_write_before_the_rows_are_read_is_not_hidden(
    make: MakeKeeping, surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is newer than its revision, under which it is never served."""
    client, other = await make(), await make()
    await add(client, "one")
    await between(monkeypatch, lambda: add(other, "two"), after=False)
    first = await surface.ask(client)
    assert first.headers[STATUS] == MISS
    monkeypatch.undo()
    fresh = await surface.ask(client)
    assert fresh.headers[STATUS] == STALE
    assert b'"two"' in fresh.content
    assert first.headers["ETag"] != fresh.headers["ETag"]


async def test_a_write_after_the_rows_are_read_is_not_hidden(
    make: MakeKeeping, surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is of the revision before the write."""
    client, other = await make(), await make()
    await add(client, "one")
    await between(monkeypatch, lambda: add(other, "two"), after=True)
    first = await surface.ask(client)
    assert b'"two"' not in first.content
    monkeypatch.undo()
    fresh = await surface.ask(client)
    assert fresh.headers[STATUS] == STALE
    assert b'"two"' in fresh.content
    known = await surface.ask(client, If_None_Match=first.headers["ETag"])
    assert known.status_code == 200


async def between(
    patch: pytest.MonkeyPatch, write: Callable[[], Awaitable[None]], *, after: bool
) -> None:
    """Have each answer's rows be read after, or before, a write, once its revision is known."""
    run, embed = Plan.run, items.embed_actions

    async def around(whole: Any, *arguments: Any) -> Any:
        if not after:
            await write()
        found = await whole(*arguments)
        if after:
            await write()
        return found

    async def running(plan: Plan, execution: Any) -> Any:
        return await around(run, plan, execution)

    async def embedding(*arguments: Any) -> Any:
        # REST's revision comes with the rows, and the actions after them.
        return await around(embed, *arguments)

    patch.setattr(Plan, "run", running)
    patch.setattr(items, "embed_actions", embedding)


async def test_callers_share_answers_as_far_as_they_may_see_the_same(make: MakeKeeping) -> None:
    client = await make(roles=True)

    async def ask(token: str) -> str | None:
        headers = {"X-Auth-Token": token}
        answer = await client.post("/graphql", json={"query": JOBS}, headers=headers)
        return answer.headers.get(STATUS)

    assert await ask(MEMBER) == MISS
    assert await ask("bob@p1:member") == HIT
    # Readers have other rights, and others none.
    assert await ask("bob@p1:reader") == MISS
    assert await ask("bob@p1:reader") == HIT
    assert await ask("bob@p2:member") == MISS
    for _ in range(2):
        assert await ask("bob@p1:manager") is None


async def test_rest_shows_everybody_their_own(make: MakeKeeping) -> None:
    client = await make(roles=True)
    seen = []
    for token in (MEMBER, MEMBER, "bob@p1:member", "alice@p1:admin"):
        answer = await client.get("/v2/p1/jobs", headers={"X-Auth-Token": token})
        seen.append(answer.headers[STATUS])
    assert seen == [MISS, HIT, MISS, MISS]
    denied = await client.get("/v2/p1/jobs", headers={"X-Auth-Token": "bob@p2:member"})
    assert denied.status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { user } }",
        "{ jobs { nodes { jobId } } viewer { user } }",
        "{ jobs(allProjects: true) { nodes { jobId } } }",
        "query($all: Boolean = true) { jobs(allProjects: $all) { nodes { jobId } } }",
        "{ clients { nodes { lastSeenAt } } }",
        "{ jobs { nodes { client { lastSeenAt } } } }",
        "{ clients(orderBy: {field: LAST_SEEN_AT}) { nodes { id } } }",
        "{ clients(where: {lastSeenAt: {isNull: true}}) { totalCount } }",
        "{ clients(where: {or: [{not: {lastSeenAt: {isNull: true}}}]}) { totalCount } }",
        '{ clients(asOf: "2020-01-01T00:00:00Z", where: {isSilent: {eq: true}}) { totalCount } }',
        '{ jobs { nodes { health(asOf: "2020-01-01T00:00:00Z") { state } } } }',
        '{ overview(asOf: "2020-01-01T00:00:00Z") { failing } }',
        "{ clients { nodes { isSilent } } }",
        "{ jobs(where: {isOverdue: {eq: true}}) { totalCount } }",
        "{ __schema { queryType { name } } jobs { nodes { jobId } } }",
        "{ __typename }",
    ],
)
async def test_what_else_can_change_is_never_kept(make: MakeKeeping, query: str) -> None:
    client = await make()
    for _ in range(2):
        answer = await client.post("/graphql", json={"query": query})
        assert "errors" not in answer.json(), answer.text
        assert answer.headers[STATUS] == BYPASS
        assert "ETag" not in answer.headers
    assert len(state(client).kept) == 0


OTHERS = {
    "node": "{ node(id: $backup) { id } }",
    "nodes": "{ nodes(ids: [$backup]) { id } }",
    "deletionImpact": "{ deletionImpact(ids: [$backup]) { lostCount lost { id } } }",
    "restorePlan": "{ restorePlan(series: $series, at: $moment) { at } }",
}
"""Fields that show items of another project by their global ids to those who may see them."""


@pytest.mark.parametrize("name", OTHERS)
async def test_what_is_read_of_another_project_is_never_kept(make: MakeKeeping, name: str) -> None:
    client = await make(roles=True)

    async def ask(token: str, query: str) -> httpx.Response:
        headers = {"X-Auth-Token": token}
        answer = await client.post("/graphql", json={"query": query}, headers=headers)
        assert "errors" not in answer.json(), answer.text
        return answer

    backup = {"backup_name": "b", "hostname": "h", "container": "c", "time_stamp": 1_700_000_000}
    headers = {"X-Auth-Token": "bob@p2:member"}
    made = await client.post("/v2/p2/backups", json=backup, headers=headers)
    assert made.status_code == 201, made.text
    query = "{ backups { nodes { id series { id } } } }"
    (shown,) = (await ask("bob@p2:member", query)).json()["data"]["backups"]["nodes"]
    query = OTHERS[name].replace("$backup", f'"{shown["id"]}"')
    query = query.replace("$series", f'"{shown["series"]["id"]}"')
    query = query.replace("$moment", '"2026-01-01T00:00:00Z"')
    for token, expected, sees in (
        ("root@p1:admin", (BYPASS, BYPASS), True),
        # Who sees nothing of it gets the same answer as long as the project is the same.
        (MEMBER, (MISS, HIT), False),
        ("bob@p2:member", (MISS, HIT), True),
    ):
        answers = [await ask(token, query) for _ in range(2)]
        assert tuple(answer.headers[STATUS] for answer in answers) == expected
        # A plan shows no id of a series that can't be restored.
        seen = '"at"' if name == "restorePlan" else shown["id"]
        assert [seen in answer.text for answer in answers] == [sees, sees]
        assert ["ETag" in answer.headers for answer in answers] == [expected[1] == HIT] * 2


async def test_errors_and_changes_are_never_kept(make: MakeKeeping) -> None:
    client = await make()
    change = 'mutation { registerClient(input: {clientId: "c"}) { client { clientId } } }'
    for query in ("{ jobs(first: -1) { totalCount } }", "{ nothing }", change):
        for _ in range(2):
            answer = await client.post("/graphql", json={"query": query})
            assert "ETag" not in answer.headers
            assert STATUS not in answer.headers
    for path in ("/v2/p1/jobs?limit=x", "/v2/p1/jobs?all_projects=true", "/v2/p1/jobs/none"):
        assert STATUS not in (await client.get(path)).headers
    assert len(state(client).kept) == 0


async def test_requests_for_extensions_are_always_executed(make: MakeKeeping) -> None:
    client = await make(graphql_explain=True)
    for name in ("X-GraphQL-Cost", "X-GraphQL-Explain"):
        for _ in range(2):
            answer = await SURFACES["GraphQL by POST"].ask(client, **{name: "1"})
            assert STATUS not in answer.headers


async def test_variables_operations_and_media_types_are_answers_of_their_own(
    make: MakeKeeping,
) -> None:
    client = await make()
    for number in range(3):
        await add(client, f"job{number}")
    two = (
        "query A($first: Int) { jobs(first: $first) { nodes { jobId } } }"
        "query B { jobs(first: 2) { nodes { description } } }"
    )
    bodies: list[dict[str, Any]] = [
        *({"query": two, "operationName": "A", "variables": {"first": n}} for n in (1, 2, None)),
        {"query": two, "operationName": "B"},
    ]
    asked = [(body, accept) for body in bodies for accept in ("*/*", GRAPHQL_JSON)]
    for expected in (MISS, HIT):
        answers = [
            await client.post(
                "/graphql", json=body, headers={"Accept": accept, "X-Project-Id": "p1"}
            )
            for body, accept in asked
        ]
        assert {answer.headers[STATUS] for answer in answers} == {expected}
        assert len({answer.headers["ETag"] for answer in answers}) == len(asked)
        lengths = [len(answer.json()["data"]["jobs"]["nodes"]) for answer in answers]
        assert lengths == [1, 1, 2, 2, 3, 3, 2, 2]
        types = [answer.headers["Content-Type"].partition(";")[0] for answer in answers]
        assert types == ["application/json", GRAPHQL_JSON] * len(bodies)


GRAPHQL_JSON = "application/graphql-response+json"


async def test_methods_stay_apart(make: MakeKeeping) -> None:
    client = await make()
    change = 'mutation { registerClient(input: {clientId: "c"}) { client { clientId } } }'
    assert (await client.post("/graphql", json={"query": change})).status_code == 200
    assert (await client.get("/graphql", params={"query": change})).status_code == 405
    for method, expected in (("GET", MISS), ("HEAD", HIT), ("GET", HIT)):
        answer = await client.request(method, "/graphql", params={"query": JOBS})
        assert (answer.status_code, answer.headers[STATUS]) == (200, expected)


async def test_a_policy_that_is_read_anew_empties_what_is_kept(
    make: MakeKeeping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "REREAD_SECONDS", -1)
    file = tmp_path / "policy.yaml"
    file.write_text("")
    client = await make(roles=True, policy_file=file)

    async def ask() -> httpx.Response:
        headers = {"X-Auth-Token": MEMBER}
        return await client.post("/graphql", json={"query": JOBS}, headers=headers)

    def write(text: str) -> None:
        file.write_text(text)
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))

    assert [(await ask()).headers[STATUS] for _ in range(2)] == [MISS, HIT]
    write('"jobs:get_all": "!"\n')
    denied = await ask()
    assert denied.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    write("# as before\n")
    assert [(await ask()).headers[STATUS] for _ in range(2)] == [MISS, HIT]
    # Rules that change nothing here empty it, too.
    write('"jobs:delete": "!"\n')
    assert (await ask()).headers[STATUS] == MISS
    assert len(state(client).kept) == 1


async def test_an_answer_by_rules_of_before_is_not_kept(
    make: MakeKeeping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "REREAD_SECONDS", -1)
    file = tmp_path / "policy.yaml"
    file.write_text("")
    client = await make(roles=True, policy_file=file)

    async def rewrite() -> None:
        file.write_text('"jobs:delete": "!"\n')

    await between(monkeypatch, rewrite, after=False)
    answer = await SURFACES["GraphQL by POST"].ask(client, X_Auth_Token=MEMBER)
    assert answer.headers[STATUS] == MISS.removesuffix("; stored")
    assert len(state(client).kept) == 0


async def test_memory_is_bounded(make: MakeKeeping) -> None:
    most = 200_000
    client = await make(kept_answers_bytes=most)
    for number in range(40):
        await add(client, f"job{number}", description="x" * 60)

    async def ask(number: int) -> str:
        query = f"query Q{number} {{ jobs(first: 40) {{ nodes {{ jobId description }} }} }}"
        headers = {"X-Project-Id": "p1"}
        answer = await client.post("/graphql", json={"query": query}, headers=headers)
        return str(answer.headers[STATUS])

    for number in range(100):
        assert await ask(number) == MISS
        # It is asked for again and again, and stays.
        assert await ask(0) == HIT
        assert 0 < state(client).kept.bytes <= most
    assert await ask(99) == HIT
    assert await ask(1) == MISS


async def test_an_answer_that_would_take_most_of_the_memory_is_not_kept(
    make: MakeKeeping, surface: Surface
) -> None:
    client = await make(kept_answers_bytes=10_000)
    await add(client, "one", description="x" * 64)
    for _ in range(2):
        answer = await surface.ask(client)
        assert answer.headers[STATUS] == MISS.removesuffix("; stored")
        known = await surface.ask(client, If_None_Match=answer.headers["ETag"])
        assert known.status_code == 304


async def test_without_memory_nothing_is_kept(
    make: MakeKeeping, surface: Surface, recorder: QueryRecorder
) -> None:
    client = await make(kept_answers_bytes=0)
    await add(client, "one")
    for _ in range(2):
        with recorder:
            answer = await surface.ask(client)
        assert STATUS not in answer.headers
        assert ("ETag" in answer.headers) is (surface.path != "/graphql")
        assert [one for one in recorder.statements if one.startswith("SELECT coalesce")] == []


async def test_requests_that_wait_share_a_look_up(
    make: MakeKeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await make()
    ups: LookUps = state(client).kept.look_ups
    if ups._database.is_sqlite:  # noqa: SLF001 - it has nothing to wait for
        return
    began, goes_on = asyncio.Event(), asyncio.Event()
    read, sent = ups._read, []  # noqa: SLF001 - to count them

    async def reading(project_id: str) -> int:
        sent.append(project_id)
        began.set()
        await goes_on.wait()
        return await read(project_id)

    monkeypatch.setattr(ups, "_read", reading)
    first = asyncio.create_task(ups.revision("p1"))
    await began.wait()
    # These began after it was sent, and can't be told what it finds.
    others = [asyncio.create_task(ups.revision("p1")) for _ in range(5)]
    elsewhere = asyncio.create_task(ups.revision("p2"))
    await asyncio.sleep(0)
    others[0].cancel()
    goes_on.set()
    assert len({await one for one in (first, *others[1:], elsewhere)}) == 1
    assert sorted(sent) == ["p1", "p1", "p2"]
    assert others[0].cancelled()


async def test_an_outage_is_told_as_ever(
    make: MakeKeeping, surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await make()
    assert (await surface.ask(client)).headers[STATUS] == MISS

    async def fail(*_: object) -> Any:
        raise OSError("gone")

    for pool in (PostgresPool, SQLitePool):
        monkeypatch.setattr(pool, "fetch", fail)
    with pytest.raises(Unavailable):
        await state(client).kept.look_ups.revision("p1")
    answer = await surface.ask(client)
    assert answer.status_code == 503
    assert re.search("database doesn't answer", answer.text)
    monkeypatch.undo()
    assert (await surface.ask(client)).headers[STATUS] == HIT


async def test_the_header_can_be_read_by_web_pages(make: MakeKeeping, surface: Surface) -> None:
    origin = "https://dashboard.example"
    client = await make(cors_origins=(origin,))
    for expected in (MISS, HIT, HIT):
        answer = await surface.ask(client, Origin=origin)
        assert answer.headers[STATUS] == expected
        assert answer.headers.get_list("Access-Control-Allow-Origin") == [origin]
        assert "Cache-Status" in answer.headers["Access-Control-Expose-Headers"]
        assert len(answer.headers.get_list("X-Openstack-Request-Id")) == 1
