"""Every field, condition and order: what is kept stays true while what renews no revision changes.

The questions are made from the schema. A gateway answers each, and keeps what it holds for lasting.
Then schedulers poll, other projects write, time passes, and a colleague asks: whatever is served
from memory must be what a gateway says that keeps nothing. A field that lies is one that isn't.

Questions about parts of the same item are asked together, as long as that is kept: whichever of
them may not last is asked by itself, so that it can't keep the others from being kept.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Any

import httpx
import pytest
from graphql import get_named_type, is_leaf_type, is_required_argument

from gateway.rest_compat.routes import ROUTES
from gateway.schema.execution.failures import Execution
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
    """A question, and the field, or the call, that it is about.

    `around` is what the text stands in; it is empty for a call, and for a path of REST.
    """

    about: str
    text: str
    around: str = ""

    @property
    def query(self) -> str:
        """The question as it is sent by itself."""
        return merged((self,))


def merged(questions: Sequence[Asked]) -> str:
    """Return one query for questions that stand in the same place, or a single one's own."""
    first = questions[0]
    if not first.around:
        return first.text
    texts = [f"a{at}: {one.text}" for at, one in enumerate(questions)]
    return first.around % " ".join(texts)


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
                yield Asked(about, text, f"{{ node(id: {id_}) {{ ... on {name} {{ %s }} }} }}")
                if name in LISTS:
                    around = f"{{ {LISTS[name]}(first: 20) {{ nodes {{ %s }} }} }}"
                    yield Asked(about, text, around)


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
                        yield Asked(about, text, f"{{ {head} {{ %s }} }}")


def _adding(text: str, argument: str) -> str:
    """Return a call with one more argument."""
    return f"{text[:-1]}, {argument})" if text.endswith(")") else f"{text}({argument})"


def of_lists() -> Iterator[Asked]:
    """Yield the lists of REST."""
    for path, method, *_ in ROUTES:
        if method == "GET" and "{" not in path:
            yield Asked(path, f"/v2/{PROJECTS[ALICE]}{path}")


QUESTIONS = tuple(dict.fromkeys((*of_calls(), *of_items(), *of_lists())))


async def ask(client: httpx.AsyncClient, token: str, text: str) -> httpx.Response:
    if text.startswith("/"):
        # Where callers see trusts of their own, colleagues share no answers.
        return await client.get(text, headers={"X-Auth-Token": ALICE_TOKEN})
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


class Asking:
    """Asks a gateway that keeps answers; knows what was kept, and how many were answered how."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Take the gateway's client."""
        self.client = client
        self.kept: list[Sequence[Asked]] = []
        self.statuses: Counter[str] = Counter()

    async def first(self, questions: Sequence[Asked]) -> None:
        """Ask questions that stand in the same place, all at once if that is kept."""
        status = await self._ask(questions, ALICE_TOKEN)
        if status == MISS:
            self.kept.append(questions)
        elif len(questions) > 1:
            doubtful = self._doubtful(questions)
            for one in doubtful:
                await self.first((one,))
            if others := [one for one in questions if one not in doubtful]:
                await self.first(others)
            return
        self.statuses[status] += len(questions)

    def _doubtful(self, questions: Sequence[Asked]) -> Sequence[Asked]:
        """Return those with a field that may not last, by the plan of all; all if none has."""
        executor = state(self.client).graphql.executor
        plan, values = executor.prepare(merged(questions), {})
        execution = Execution(ProjectOnly(), values)  # type: ignore[arg-type]
        names = [*plan.reads_untracked(execution), *plan.reads_of_clock(execution)]
        words = {name.rpartition(".")[2] for name in names}
        return [one for one in questions if words & {*WORD.findall(one.text)}] or questions

    async def again(self, questions: Sequence[Asked], fresh: httpx.AsyncClient) -> set[str]:
        """Ask again as a colleague; return what isn't as a gateway says that keeps nothing."""
        query = merged(questions)
        kept = await ask(self.client, COLLEAGUE, query)
        self.statuses[kept.headers.get(STATUS, "error")] += len(questions)
        true = await ask(fresh, COLLEAGUE, query)
        if true.content == kept.content:
            return set()
        if not questions[0].around:
            return {questions[0].about}
        places = differing(kept.json(), true.json())
        return {questions[int(place[1:])].about for place in places}

    async def _ask(self, questions: Sequence[Asked], token: str) -> str:
        answer = await ask(self.client, token, merged(questions))
        return answer.headers.get(STATUS, "error")


class ProjectOnly:
    """As much of a context as the plan needs to say what it reads."""

    project_id = PROJECTS[ALICE]


WORD = re.compile(r"\w+")
PLACE = re.compile(r"a\d+")


def differing(one: Any, other: Any) -> Iterator[str]:
    """Yield the places of the questions whose answers differ in two answers."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if one.get(key) != other.get(key):
                if PLACE.fullmatch(key):
                    yield key
                else:
                    yield from differing(one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list):
        for mine, theirs in zip_longest(one, other):
            yield from differing(mine, theirs)
    else:
        yield "a0"


async def lies(url: str, questions: Sequence[Asked]) -> tuple[set[str], Mapping[str, int]]:
    """Return what is kept and isn't true any more, and how many answers were of which status."""
    together: dict[str, list[Asked]] = {}
    for one in questions:
        together.setdefault(one.around or one.text, []).append(one)
    async with AsyncExitStack() as stack:
        memory = {"kept_answers_bytes": 256 * 1024 * 1024}
        keeps = await stack.enter_async_context(keeping(url, roles=True, **memory, **LIMITS))
        asking = Asking(keeps)
        for ones in together.values():
            await asking.first(ones)
        await change(url)
        stack.enter_context(moved_clock(LATER))
        nothing = {"kept_answers_bytes": 0}
        fresh = await stack.enter_async_context(keeping(url, roles=True, **nothing, **LIMITS))
        wrong: set[str] = set()
        for ones in asking.kept:
            wrong |= await asking.again(ones, fresh)
    return wrong, asking.statuses


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
