"""No input ends in INTERNAL, or in a 5xx: generated from the schema, the routes and the documents.

Each scalar, at each place, gets extreme values and values of other kinds: as a literal, as a
variable, and inside of documents. Whatever is taken is then read by both surfaces.
"""

import json
import re
import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest
from graphql import GraphQLObjectType, get_named_type
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.rest_compat.routes import ROUTES
from tests.support.apps import MakeClient
from tests.support.extremes import EXTREMES, Inputs, Items, Object, same
from tests.support.graphql_calls import SCHEMA, selection
from tests.support.leaf_places import Build, Leaves, taken
from tests.support.streams import subscribed
from tests.support.tenants import LIMITS

pytestmark = pytest.mark.anyio

Value = TypeVar("Value")
EXAMPLES = 8
MOST_WRITES, MOST_READS = 150, 60
"""How many values are tried in a way, at most."""
ACTION = {"action": "backup", "mode": "fs", "backup_name": "b", "timeout": 5, "priority": 1}
BACKUP = {
    "backup_name": "b",
    "container": "c",
    "hostname": "host",
    "time_stamp": 1,
    "curr_backup_level": 1,
    "max_level": 2,
    "backup_size_compressed": 3,
    "backup_size_uncompressed": 4,
    "job_id": "j1",
    "client_id": "host",
}
DOCUMENTS = {"metadata": BACKUP, "freezerAction": ACTION}
KINDS = ("backup", "job", "action", "client", "session")
FIELDS = {
    f"{type_.name}.{name}": (type_, name)
    for type_ in SCHEMA.type_map.values()
    if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__")
    for name, field in type_.fields.items()
    if field.args
}
"""Every field that takes arguments."""
assert SCHEMA.query_type is not None
ROOTS = {SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type}
LISTS: dict[str, str] = {
    get_named_type(get_named_type(field.type).fields["nodes"].type).name: name
    for name, field in SCHEMA.query_type.fields.items()
    if "first" in field.args
}
"""The root field that lists the items of each type."""
EVERYTHING = (
    "{"
    + " ".join(
        f"{name} {selection(SCHEMA.query_type.fields[name].type, 1)}" for name in LISTS.values()
    )
    + "}"
)
QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|'.*…|\".*…", re.DOTALL)
PYTHON = re.compile(
    r"\b(None|True|False|Undefined|Maybe|Traceback|datetime|[a-z]+Node)\b| object at 0x|<class"
)


def in_list(type_: str, call: str) -> str:
    """Return a call of a field of this type in the list of its items, or of those it is part of."""
    for part, field in (("NextRun", "nextRun"), ("ScheduleMeaning", "scheduleMeaning")):
        if type_ == part:
            return f"jobs {{ nodes {{ {field} {{ {call} }} }} }}"
    if type_ == "Chain":
        return f"series {{ nodes {{ chains {{ nodes {{ {call} }} }} }} }}"
    return f"{LISTS[type_]} {{ nodes {{ {call} }} }}"


@dataclass
class World:
    """A project with an item of each kind, and the ways to it."""

    client: httpx.AsyncClient
    project: str
    ids: dict[str, str]

    @classmethod
    async def create(cls, client: httpx.AsyncClient) -> "World":
        """Create the items in a fresh project."""
        world = cls(client, uuid4().hex, {"job": "j1", "action": "a1", "session": "s1"})
        world.ids["client"] = "host"
        schedule = {"schedule_interval": "1 days"}
        await world.rest("POST", "/clients", {"client_id": "host", "hostname": "host"})
        await world.rest("POST", "/actions/a1", {"freezer_action": ACTION})
        job = {"description": "j", "job_actions": [{"action_id": "a1"}], "job_schedule": schedule}
        await world.rest("POST", "/jobs/j1", job | {"client_id": "host"})
        session = {"description": "s", "schedule": schedule, "session_tag": 1}
        await world.rest("POST", "/sessions/s1", session)
        await world.rest("PUT", "/sessions/s1/jobs/j1")
        world.ids["backup"] = (await world.rest("POST", "/backups", BACKUP)).json()["backup_id"]
        return world

    @property
    def global_ids(self) -> dict[str, str]:
        """The items' global ids, by kind."""
        return {
            kind: b64encode(f"{kind.title()}:{self.project}:{self.ids[kind]}".encode()).decode()
            for kind in KINDS
        }

    def ids_by_place(self, field: str) -> dict[str, str]:
        """Return the ids that a field takes, by the names of their places."""
        own = [kind for kind in KINDS if kind.title() in field]
        kind = "session" if "session" in own else own[0] if own else "job"
        rest = {f"{kind}Id": item_id for kind, item_id in self.ids.items()}
        # Among sessions' mutations, jobs have global ids, too.
        job = {"jobId": self.global_ids["job"]} if kind == "session" else {}
        return {"id": self.global_ids[kind], "ids": self.global_ids[kind], **rest, **job}

    async def rest(
        self, method: str, path: str, body: Any = None, /, query: Any = None
    ) -> httpx.Response:
        """Send a request of REST; whatever it is, it isn't the server that fails."""
        content = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        response = await self.client.request(
            method, f"/v2/{self.project}{path}", content=content.encode(), params=query
        )
        assert response.status_code < 500, (method, path, content[:2000], response.text)
        if response.is_error and response.content:
            well_told(response.json()["description"])
        return response

    async def graphql(self, body: str) -> bool:
        """Send a request of GraphQL; return True if nothing of it is refused."""
        headers = {"X-Project-Id": self.project, "Content-Type": "application/json"}
        response = await self.client.post("/graphql", content=body.encode(), headers=headers)
        assert response.status_code in {200, 400}, (body[:2000], response.text)
        return is_taken(body, response.json())

    async def subscription(self, body: str) -> bool:
        """Send a subscription, and read its first event, as `graphql` does."""
        app = self.client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001
        async with subscribed(app, body.encode(), project=self.project) as stream:
            assert await stream.started() in {200, 400}, body[:2000]
            if stream.headers["content-type"].startswith("text/event-stream"):
                event = await stream.event(comments=True)
                return event is None or event.data is None or is_taken(body, event.data)
            return is_taken(body, json.loads(await stream.rest()))

    async def operation(self, field: str, body: str) -> bool:
        """Send an operation with this field; return True if nothing of it is refused."""
        send = self.subscription if field.startswith("Subscription.") else self.graphql
        return await send(body)

    async def read(self) -> None:
        """Read everything by both surfaces."""
        assert await self.graphql(json.dumps({"query": EVERYTHING}))
        for kind in KINDS:
            (await self.rest("GET", f"/{kind}s")).raise_for_status()


def is_taken(body: str, result: Any) -> bool:
    """Return True if a result has no errors; those that it has are well told, and not internal."""
    errors = result.get("errors", [])
    for error in errors:
        code = error["extensions"]["code"]
        assert code not in {"INTERNAL", "UNAVAILABLE"}, (body[:2000], error)
        well_told(error["message"])
    return not errors


def kind_of(type_: GraphQLObjectType) -> str:
    """Return the kind of operations that call a type's fields."""
    kinds = {SCHEMA.mutation_type: "mutation", SCHEMA.subscription_type: "subscription"}
    return kinds.get(type_, "query")


def well_told(message: str) -> None:
    """Assert that a message is short, and shows nothing of Python outside of quoted texts."""
    assert len(message) < 2000
    assert not PYTHON.search(QUOTED.sub("", message)), message


def drawn(strategy: st.SearchStrategy[Value]) -> list[Value]:
    """Return examples of a strategy, which are not shrunk: each is sent to a project of its own."""
    found: list[Value] = []

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Value) -> None:
        found.append(value)

    collect()
    return found


@st.composite
def calls(draw: st.DrawFn, field: str) -> str:
    """Return the body of a request that calls a field, with `@kind@` for the items' global ids."""
    type_, name = FIELDS[field]
    inputs = Inputs(draw, [*(f"@{kind}@" for kind in KINDS), "j1", "a1", "s1", "host"], DOCUMENTS)
    definition = type_.fields[name]
    call = f"{name}{inputs.arguments(definition.args)} {selection(definition.type, 1)}"
    if type_ not in ROOTS:
        call = in_list(type_.name, call)
    return inputs.request(kind_of(type_), f"{{ {call} }}")


@pytest.mark.parametrize("field", FIELDS)
async def test_graphql_takes_or_refuses(client: httpx.AsyncClient, field: str) -> None:
    for template in drawn(calls(field)):
        world = await World.create(client)
        body = re.sub(r"@(\w+)@", lambda found: world.global_ids[found[1]], template)  # noqa: B023
        # The second time by the plan of the first.
        taken = [await world.operation(field, body) for _ in range(2)]
        if field.startswith("Mutation.") and any(taken):
            await world.read()


async def send_in_batches(
    world: World, field: str, calls: Sequence[tuple[Any, Build, Any]], *, as_variables: bool
) -> None:
    """Send calls of a field, with each value in its place, many in an operation."""
    type_, name = FIELDS[field]
    definition = type_.fields[name]
    shown = selection(definition.type, 1)
    if "first" in definition.args:
        shown = "{ totalCount nodes { id } }"
    # A subscription has one root field.
    size = 1 if type_ is SCHEMA.subscription_type else 40
    for start in range(0, len(calls), size):
        batch = calls[start : start + size]
        aliased, declared, variables = [], [], []
        for at, (leaf, build, value) in enumerate(batch):
            arguments = build(same(f"$v{at}") if as_variables else value).graphql[1:-1]
            aliased.append(f"a{at}: {name}({arguments}) {shown}")
            declared.append(f"$v{at}: {leaf}")
            variables.append(f'"v{at}": {value.json}')
        call = " ".join(aliased)
        if type_ not in ROOTS:
            call = in_list(type_.name, call)
        names = f"({', '.join(declared)})" if as_variables else ""
        query = f"{kind_of(type_)}{names} {{ {call} }}"
        given = ", ".join(variables) if as_variables else ""
        body = f'{{"query": {json.dumps(query)}, "variables": {{{given}}}}}'
        await world.operation(field, body)


@pytest.mark.parametrize("field", FIELDS)
async def test_graphql_takes_at_every_place(make_client: MakeClient, field: str) -> None:
    world = await World.create(await make_client(**LIMITS))
    type_, name = FIELDS[field]
    is_mutation = type_ is SCHEMA.mutation_type
    leaves = Leaves(world.ids_by_place(name), DOCUMENTS)
    for as_variables in (False, True):
        calls = [
            (leaf, build, value)
            for leaf, build in leaves.of_arguments(type_.fields[name].args)
            for value in taken(leaf, as_variables=as_variables)
        ]
        assert calls
        # Of the many thousands of filters, others at every run.
        step = -(-len(calls) // (MOST_WRITES if is_mutation else MOST_READS))
        some = calls[secrets.randbelow(step) :: step]
        await send_in_batches(world, field, some, as_variables=as_variables)
    if is_mutation:
        await world.read()


SEARCHED = (
    *("_all", "x", "backup_name", "time_stamp", "session_tag", "max_retries", "job_id", "uuid"),
    *("hostname", "status", "timeout", "schedule_interval", "hold_off", "mandatory", "client_id"),
)


@st.composite
def searches(draw: st.DrawFn) -> str:
    """Return a search for an extreme value, by a key that is known or by another."""
    place = draw(st.sampled_from(["match", "match_not", "time_before", "time_after"]))
    value = draw(EXTREMES)
    if place.startswith("match"):
        entry = Object([(draw(st.sampled_from(SEARCHED)), value)])
        value = same(f"[{entry.json}]")
    return Object([(place, value)]).json


@st.composite
def queries(draw: st.DrawFn) -> dict[str, str]:
    """Return parameters of a list with extreme values."""
    names = st.sampled_from(["limit", "offset", "marker", "search", "all_projects", "x"])
    chosen = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    query = {name: draw(EXTREMES).json.strip('"') for name in chosen}
    if "search" in query and draw(st.booleans()):
        query["search"] = draw(searches())
    return {name: value[:5000] for name, value in query.items()}


@dataclass(frozen=True)
class Sent:
    """A request to a route: extreme ids, parameters, a search; or an extreme value in a body.

    The value's place in the body is found by its steps: which of an object's keys, level by level.
    """

    ids: dict[str, str]
    query: dict[str, str] | None
    search: str | None
    extreme: Any
    steps: list[int]

    def body(self, document: Any) -> str:
        """Return a document with the value in its place."""
        return str(self._replaced(document, self.steps).json)

    def _replaced(self, document: Any, steps: list[int]) -> Any:
        if not steps or not document or not isinstance(document, (dict, list)):
            return self.extreme
        first, *rest = steps
        if isinstance(document, list):
            return Items([self._replaced(document[0], rest)])
        at = first % (len(document) + 1)
        entries = [
            (key, self._replaced(one, rest) if number == at else same(json.dumps(one)))
            for number, (key, one) in enumerate(document.items())
        ]
        # The last place is that of another key.
        return Object(entries if at < len(entries) else [*entries, ("x", self.extreme)])


@st.composite
def requests(draw: st.DrawFn, path: str, method: str) -> Sent:
    """Return a request to a route."""
    ids = {
        place: "".join(f"%{byte:02x}" for byte in draw(EXTREMES).json.encode()[:300])
        for place in re.findall(r"{(\w+)}", path)
        if draw(st.integers(0, 5)) == 0
    }
    is_list = method == "GET" and "{" not in path
    query = draw(queries()) if is_list and draw(st.booleans()) else None
    search = draw(searches()) if is_list and query is None else None
    steps = draw(st.lists(st.integers(0, 30), max_size=6))
    return Sent(ids, query, search, draw(EXTREMES), steps)


async def good(world: World, path: str, method: str) -> Any:
    """Return a body that a route takes: what is shown of an item, or a request."""
    kind = path.split("/")[1][:-1]
    if path.endswith("/event"):
        return {"start": None}
    if path.endswith("/action"):
        return {"start": {"job_id": "j1", "current_tag": 1}}
    shown = (await world.rest("GET", f"/{kind}s/{world.ids[kind]}")).json()
    if kind == "backup" and method == "POST":
        return shown["backup_metadata"] | {"status": "available"}
    return shown.get("client", shown)


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, *_ in ROUTES])
async def test_rest_takes_or_refuses(client: httpx.AsyncClient, path: str, method: str) -> None:
    for sent in drawn(requests(path, method)):
        world = await World.create(client)
        kind = path.split("/")[1][:-1]
        address = path.format(**{"id": world.ids[kind], "job_id": "j1"} | sent.ids)
        body = sent.search
        if method in {"POST", "PATCH"}:
            body = sent.body(await good(world, path, method))
        response = await world.rest(method, address, body, query=sent.query)
        if method != "GET" and response.is_success:
            await world.read()
