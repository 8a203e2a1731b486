"""Every field, condition and order: what is kept stays true while what renews no revision changes.

The questions are made from the schema. A gateway answers each, and keeps what it holds for lasting.
Then schedulers poll, other projects write, time passes, and a colleague asks: whatever is served
from memory must be what a gateway says that keeps nothing. A field that lies is one that isn't.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from graphql import get_named_type, is_leaf_type, is_required_argument

from gateway.schema.execution.noted_reads import NotedReads
from gateway.upkeep.runs import RunsUpkeep
from tests.support.databases import Sqlite
from tests.support.graphql_calls import NODES, QUERIES, SCHEMA, Tries, call, global_id
from tests.support.keeping import BYPASS, HIT, MISS, STATUS, keeping, state
from tests.support.moving import moved_clock
from tests.support.tenants import ALICE, BOB, LIMITS, PROJECTS, WORDS, World, item, series_of

pytestmark = pytest.mark.anyio

MOMENT = '"2026-01-01T00:00:00Z"'
MOMENTS = ("asOf", "at", "until")
"""The arguments that give a moment in the clock's place."""
LATER = timedelta(days=400)
"""How far the clock is moved meanwhile; `graphql/test_clock.py` moves it to other times."""
ALICE_TOKEN, COLLEAGUE, BOB_TOKEN = (
    f"{user}@{project}:member,reader"
    for user, project in (("alice", "alpha"), ("carol", "alpha"), ("bob", "beta"))
)
SHARED = "shared"
"""The id of a central client of Bob's, and of one that Alice has herself."""


@dataclass(frozen=True)
class Asked:
    """A question, and the field, or the call, that it is about."""

    about: str
    text: str


def below(type_: Any, depth: int = 4) -> str:
    """Return a selection of a value: of plain parts all, of items their ids."""
    kind = get_named_type(type_)
    if is_leaf_type(kind):
        return ""
    if kind.name.endswith("Connection"):
        return "{ totalCount pageInfo { hasNextPage endCursor } nodes { id } }"
    if "id" in kind.fields:
        return "{ __typename id }"
    parts = [
        f"{name} {below(field.type, depth - 1)}"
        for name, field in kind.fields.items()
        if depth and not any(map(is_required_argument, field.args.values()))
    ]
    return f"{{ {' '.join(parts) or '__typename'} }}"


def parts(kind: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield selections of a field, alone and with moments, and of each of its parts by itself."""
    field = kind.fields[name]
    given = [f"{argument}: {MOMENT}" for argument in MOMENTS if argument in field.args]
    if any(map(is_required_argument, field.args.values())):
        return
    of = get_named_type(field.type)
    for head in dict.fromkeys((name, call(name, given))):
        yield f"{kind.name}.{name}", f"{head} {below(of)}"
        if not is_leaf_type(of) and "id" not in of.fields and not of.name.endswith("Connection"):
            for inner in of.fields:
                for about, text in parts(of, inner):
                    yield about, f"{head} {{ {text} }}"


def fields_of(name: str) -> Mapping[str, Any]:
    """Return the fields of a type."""
    kind: Any = SCHEMA.type_map[name]
    fields: Mapping[str, Any] = kind.fields
    return fields


def of_items() -> Iterator[Asked]:
    """Yield the questions about each field of each type of items, one by its id and of others."""
    for name in NODES:
        kind = SCHEMA.type_map[name]
        ids = {"Series": series_of(ALICE), "Chain": item(ALICE, "backup")}
        id_ = global_id(name, PROJECTS[ALICE], ids.get(name) or item(ALICE, name.lower()))
        for field in fields_of(name):
            for about, text in parts(kind, field):
                yield Asked(about, f"{{ node(id: {id_}) {{ ... on {name} {{ {text} }} }} }}")
                if name in LISTS:
                    yield Asked(about, f"{{ {LISTS[name]}(first: 20) {{ nodes {{ {text} }} }} }}")


LISTS = {
    get_named_type(get_named_type(field.type).fields["nodes"].type).name: name
    for name, field in QUERIES.items()
    if "nodes" in getattr(get_named_type(field.type), "fields", {})
}
"""The root fields that list the items of each type."""


def of_calls() -> Iterator[Asked]:
    """Yield the questions about each argument of each root field, and about parts of answers."""
    tries = Tries((ALICE, BOB), kinds=("backup", "job", "client", "series"), operators=1)
    for name, field in QUERIES.items():
        moments = [f"{argument}: {MOMENT}" for argument in MOMENTS if argument in field.args]
        for text in dict.fromkeys(tries.calls(name, field)):
            yield Asked(text, f"{{ {text} {below(field.type)} }}")
            if "asOf" in field.args and "asOf" not in text.split("(")[-1]:
                with_moment = _adding(text, f"asOf: {MOMENT}")
                yield Asked(text, f"{{ {with_moment} {below(field.type)} }}")
        kind: Any = get_named_type(field.type)
        if not kind.name.endswith("Connection") and "id" not in kind.fields:
            needed = next(tries.calls(name, field))
            for inner in kind.fields:
                for about, text in parts(kind, inner):
                    for head in (needed, *(_adding(needed, one) for one in moments)):
                        yield Asked(about, f"{{ {head} {{ {text} }} }}")


def _adding(text: str, argument: str) -> str:
    """Return a call with one more argument."""
    return f"{text[:-1]}, {argument})" if text.endswith(")") else f"{text}({argument})"


QUESTIONS = tuple({one.text: one for one in (*of_calls(), *of_items())}.values())


async def ask(client: httpx.AsyncClient, token: str, text: str) -> httpx.Response:
    return await client.post("/graphql", json={"query": text}, headers={"X-Auth-Token": token})


async def write(client: httpx.AsyncClient, token: str, path: str, body: Any) -> None:
    """Create an item of the token's project by REST."""
    project = re.split("[@:]", token)[1]
    headers = {"X-Auth-Token": token}
    answer = await client.post(f"/v2/{project}{path}", json=body, headers=headers)
    assert answer.status_code == 201, answer.text


async def change(url: str) -> None:
    """Change whatever gives Alice's project no new revision."""
    async with keeping(url, roles=True, kept_answers_bytes=0, **LIMITS) as client:
        made = state(client)
        beats = made.contexts.heartbeats
        for project in PROJECTS.values():
            for client_id in (*(item(user, "client") for user in PROJECTS), SHARED, "central"):
                beats.note(project, client_id)
        await beats.write()
        before = await made.kept.look_ups.revision("alpha")
        run = {"action": "backup", "backup_name": "b", "container": "c"}
        backup = {"backup_name": "b", "hostname": "host", "container": "c", "client_id": SHARED}
        for path, body in (
            ("/clients", {"client_id": "own"}),
            ("/sessions", {"schedule": {}}),
            ("/jobs", {"client_id": SHARED, "job_actions": [{"freezer_action": run}]}),
            ("/backups", backup | {"time_stamp": 1_500_000_001, "curr_backup_level": 0}),
        ):
            await write(client, BOB_TOKEN, path, body)
        said = """mutation($id: ID!) {
          setRecoveryObjective(input: {maxAge: 3600}) { maxAge }
          setExpectedHosts(input: {hostnames: ["host"]}) { count }
          setProjectTimeZone(input: {timeZone: "Europe/Berlin"}) { projectSettings { timeZone } }
          muteHealth(input: {id: $id, reason: "known"}) { job { id } } }"""
        query = "{ jobs(first: 1) { nodes { id } } }"
        found = (await ask(client, BOB_TOKEN, query)).json()["data"]["jobs"]["nodes"]
        body = {"query": said, "variables": found[0]}
        answer = await client.post("/graphql", json=body, headers={"X-Auth-Token": BOB_TOKEN})
        assert "errors" not in answer.json(), answer.text
        assert await made.kept.look_ups.revision("alpha") == before


@pytest.fixture(scope="module")
async def url(sqlite: Sqlite, sqlite_template: str) -> str:
    """Return a database where Alice and Bob have something, and see clients of each other's."""
    url = await sqlite.create(sqlite_template)
    async with keeping(url, roles=True, kept_answers_bytes=0, **LIMITS) as client:

        class Both(World):
            async def ask(self, user: str, method: str, path: str, **request: Any) -> Any:
                token = {ALICE: ALICE_TOKEN, BOB: BOB_TOKEN}[user]
                headers = {"X-Auth-Token": token} | request.pop("headers", {})
                return await client.request(method, path, headers=headers, **request)

        place = Both(client, url)
        for user in PROJECTS:
            await place.furnish(user, word=WORDS[user])
        await write(client, ALICE_TOKEN, "/clients", {"client_id": SHARED})
        service = "bob@beta:service"
        for client_id in (SHARED, "central"):
            central = {"client_id": client_id, "is_central": True}
            await write(client, service.replace("service", "service,member"), "/clients", central)
        await write(client, ALICE_TOKEN, "/jobs", {"client_id": "central", "job_actions": []})
        # The upkeep would do it in the middle.
        settings = state(client).settings
        await RunsUpkeep(state(client).contexts.db, settings).lose(knows_silence=False)
    return url


async def lies(url: str, questions: Sequence[Asked]) -> tuple[set[str], Mapping[str, int]]:
    """Return what is kept and isn't true any more, and how many answers were of which status."""
    statuses: Counter[str] = Counter()
    wrong = set()
    async with AsyncExitStack() as stack:
        memory = {"kept_answers_bytes": 256 * 1024 * 1024}
        keeps = await stack.enter_async_context(keeping(url, roles=True, **memory, **LIMITS))
        for one in questions:
            statuses[(await ask(keeps, ALICE_TOKEN, one.text)).headers.get(STATUS, "error")] += 1
        await change(url)
        stack.enter_context(moved_clock(LATER))
        nothing = {"kept_answers_bytes": 0}
        fresh = await stack.enter_async_context(keeping(url, roles=True, **nothing, **LIMITS))
        for one in questions:
            kept = await ask(keeps, COLLEAGUE, one.text)
            if kept.headers.get(STATUS) == HIT:
                statuses[HIT] += 1
                true = await ask(fresh, COLLEAGUE, one.text)
                if true.content != kept.content:
                    wrong.add(one.about)
    return wrong, statuses


async def test_whatever_is_kept_depends_on_nothing_else(url: str) -> None:
    wrong, statuses = await lies(url, QUESTIONS)
    assert wrong == set()
    # Most of it is kept; and what was kept at first was so until the end.
    assert statuses[MISS] > statuses[BYPASS] > 50
    assert statuses[HIT] == statuses[MISS]
    asked = {one.about for one in QUESTIONS}
    fields = {f"{kind}.{name}" for kind in NODES for name in fields_of(kind)}
    assert fields <= asked


async def test_a_field_that_lies_is_found(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotedReads, "column", lambda *_: None)
    questions = [one for one in QUESTIONS if one.about.startswith("Client.")]
    wrong, _ = await lies(url, questions)
    assert wrong == {"Client.lastSeenAt"}
