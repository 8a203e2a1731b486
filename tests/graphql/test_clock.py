"""The clock: what an operation reads of it is known from its plan, and a moment takes its place."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from gateway import demo
from gateway.app import create_app
from gateway.catalogue import column_types
from gateway.db.database import Database
from gateway.schema import create_schema
from gateway.schema.execution.failures import Execution
from gateway.schema.views import CLOCK
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Sqlite
from tests.support.global_ids import global_id
from tests.support.moving import moved_clock

pytestmark = pytest.mark.anyio

CORE: Any = create_schema().core
LATER = (timedelta(hours=8), timedelta(days=400), timedelta(days=-30))
"""How far the clock is moved: over a run's time, nights, and the end of schedules."""
LISTS = {
    get_named_type(get_named_type(field.type).fields["nodes"].type).name: name
    for name, field in CORE.query_type.fields.items()
    if getattr(get_named_type(field.type), "fields", {}).get("nodes")
}
"""The root fields that list the items of each type."""
BY_ID = {"node", "nodes", "action", "backup", "client", "job", "run", "session"}
"""The root fields that show items by their ids, whose types have lists as well."""


@dataclass(frozen=True)
class Asked:
    """An operation, of which the answer depends on the clock or not."""

    text: str
    name: str
    """The field, condition or order that it is about, as plans call it."""


def leaves(kind: Any, depth: int = 3) -> str:
    """Return a selection of all fields of a part, but those that say that they read the clock."""
    kind = get_named_type(kind)
    if is_leaf_type(kind):
        return ""
    if "nodes" in kind.fields:
        return "{ totalCount nodes { id } }"
    if "id" in kind.fields:
        return "{ id }"
    parts = [
        f"{name} {leaves(field.type, depth - 1)}"
        for name, field in kind.fields.items()
        if depth
        and not any(map(is_required_argument, field.args.values()))
        and not declared(kind, name)
    ]
    return f"{{ {' '.join(parts) or '__typename'} }}"


def is_part(kind: Any, name: str) -> bool:
    """Return True for a field with an object that isn't an item, nor a list of items."""
    of = get_named_type(kind.fields[name].type)
    return not {"id", "nodes"} & getattr(of, "fields", {}).keys()


def declared(kind: Any, name: str) -> bool:
    """Return True for a field that says that it depends on the clock."""
    field = kind.fields[name].extensions.get("strawberry-definition")
    return field is not None and CLOCK in field.metadata


def of_items(name: str) -> Iterator[Asked]:
    """Yield the questions about each field of a type that has a list."""
    kind = CORE.type_map[name]
    for field in kind.fields:
        yield from below(
            kind, field, lambda inner: f"{{ {LISTS[name]}(first: 60) {{ nodes {inner} }} }}"
        )


def below(kind: Any, name: str, within: Callable[[str], str]) -> Iterator[Asked]:
    """Yield the questions about a field, and about those of its parts that depend on the clock."""
    field = kind.fields[name]
    yield Asked(within(f"{{ {name} {leaves(field.type)} }}"), f"{kind.name}.{name}")
    of = get_named_type(field.type)
    if isinstance(of, GraphQLObjectType) and is_part(kind, name):
        for inner in of.fields:
            if declared(of, inner):
                yield from below(of, inner, lambda text: within(f"{{ {name} {text} }}"))


def conditions(name: str) -> Iterator[Asked]:
    """Yield the questions about each condition and order of a list."""
    arguments = CORE.query_type.fields[LISTS[name]].args
    where: GraphQLInputObjectType = get_named_type(arguments["where"].type)
    shown = "{ totalCount nodes { id } }"
    for key, field in where.fields.items():
        of = get_named_type(field.type)
        operators = getattr(of, "fields", {})
        for value in ("true", "false") if "eq" in operators else ():
            if get_named_type(operators["eq"].type).name == "Boolean":
                given = f"where: {{{key}: {{eq: {value}}}}}"
                text = f"{{ {LISTS[name]}(first: 100, {given}) {shown} }}"
                yield Asked(text, f"{where.name}.{key}")
    order: GraphQLEnumType = CORE.type_map.get(f"{name}OrderField")  # type: ignore[assignment]
    for word in order.values:
        text = f"{{ {LISTS[name]}(first: 100, orderBy: {{field: {word}}}) {shown} }}"
        yield Asked(text, f"{name}Order.{word}")


def answered(series: str, backup: str) -> Iterator[Asked]:
    """Yield the questions about root fields that answer by their arguments."""
    of = {
        "series": f'series: "{series}"',
        "ids": f'ids: ["{backup}"]',
        "of": "of: RUNS",
        "since": 'since: "2020-01-01T00:00:00Z"',
    }
    for name, field in CORE.query_type.fields.items():
        needed = {key for key, one in field.args.items() if is_required_argument(one)}
        kind = get_named_type(field.type)
        if needed <= of.keys() and name not in BY_ID and "nodes" not in kind.fields:
            given = ", ".join(of[key] for key in needed)
            head = f"{name}({given})" if given else name
            yield Asked(f"{{ {head} {leaves(kind)} }}", f"Query.{name}")
            for inner in kind.fields:
                if declared(kind, inner):
                    moment = 'at: "2100-01-01T00:00:00Z"'
                    text = f"{{ {name}({given}, {moment}) {{ {inner} }} }}"
                    yield Asked(text, f"{kind.name}.{inner}")


@asynccontextmanager
async def moved(url: str, by: timedelta) -> AsyncIterator[httpx.AsyncClient]:
    """Open a gateway whose clock, and that of its SQLite, is moved."""
    with moved_clock(by):
        async with opened(create_app(load(database_url=url))) as client:
            yield client


async def ask(client: httpx.AsyncClient, text: str, **variables: Any) -> Any:
    headers = {"X-Project-Id": "demo"}
    body = {"query": text, "variables": variables}
    answer = (await client.post("/graphql", json=body, headers=headers)).json()
    assert "errors" not in answer, (text, answer["errors"])
    return answer["data"]


def reads(client: httpx.AsyncClient, text: str, **variables: Any) -> list[str]:
    """Return what of an operation reads the clock."""
    app = client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001 - for the plan
    plan, coerced = app.state.graphql.executor.prepare(text, variables)
    execution = Execution(ProjectOnly(), coerced)  # type: ignore[arg-type]
    assert plan.depends_on_clock(execution) is bool(plan.reads_of_clock(execution))
    found: list[str] = plan.reads_of_clock(execution)
    return found


class ProjectOnly:
    """As much of a context as finding out takes."""

    project_id = "demo"


async def questions(client: httpx.AsyncClient) -> list[Asked]:
    ids = await ask(
        client,
        '{ series(where: {backupName: {eq: "db1_mysql"}}) { nodes { id } } '
        "backups(first: 1) { nodes { id } } }",
    )
    series, backup = (ids[name]["nodes"][0]["id"] for name in ("series", "backups"))
    return [
        *(asked for name in LISTS for asked in of_items(name)),
        *(asked for name in LISTS for asked in conditions(name)),
        *answered(series, backup),
    ]


@pytest.fixture(scope="module")
async def demo_url(sqlite: Sqlite, sqlite_template: str) -> str:
    """Return the sample data in SQLite, whose clock can be moved."""
    url = await sqlite.create(sqlite_template)
    database = Database(load(database_url=url))
    await demo.load(database)
    await database.close()
    return url


@pytest.fixture(scope="module")
async def answers(demo_url: str) -> Mapping[Asked, list[Any]]:
    """Return the questions, each with its answers at different times."""
    found: dict[Asked, list[Any]] = {}
    for by in (timedelta(0), *LATER):
        async with moved(demo_url, by) as client:
            for asked in await questions(client):
                found.setdefault(asked, []).append(await ask(client, asked.text))
    return found


@pytest.fixture(scope="module")
async def asking(demo_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the sample data, by the clock as it is."""
    async with moved(demo_url, timedelta(0)) as client:
        yield client


async def test_whatever_changes_with_the_clock_says_so(
    answers: Mapping[Asked, list[Any]], asking: httpx.AsyncClient
) -> None:
    silent = {
        asked.name
        for asked, (first, *others) in answers.items()
        if any(other != first for other in others) and not reads(asking, asked.text)
    }
    assert silent == set()
    assert len(answers) > 200
    roots = {asked.text.strip("{ ").partition(" ")[0].partition("(")[0] for asked in answers}
    assert roots == CORE.query_type.fields.keys() - BY_ID


async def test_whatever_says_that_it_changes_does(
    answers: Mapping[Asked, list[Any]], asking: httpx.AsyncClient
) -> None:
    changing: dict[str, bool] = {}
    for asked, (first, *others) in answers.items():
        if reads(asking, asked.text) and asked.name in reads(asking, asked.text):
            changes = any(other != first for other in others)
            changing[asked.name] = changing.get(asked.name, False) or changes
    assert {name for name, changes in changing.items() if not changes} == set()
    assert changing.keys() >= {
        *("Client.isSilent", "ClientWhere.isSilent", "ClientOrder.IS_SILENT"),
        *("JobWhere.isOverdue", "NextRun.overdueSince", "ScheduleMeaning.warnings"),
        *("Query.restorePlan", "Query.retention"),
        *("RestorePlan.restoreFromDate", "RestorePlan.freezerAction"),
    }


MOMENT = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ clients { nodes { isSilent } } }", ["Client.isSilent"]),
        ("{ clients { nodes { isSilent(asOf: null) } } }", ["Client.isSilent"]),
        (f'{{ clients {{ nodes {{ isSilent(asOf: "{MOMENT}") }} }} }}', []),
        ("{ clients(where: {isSilent: {eq: true}}) { totalCount } }", ["ClientWhere.isSilent"]),
        (
            f'{{ clients(where: {{isSilent: {{eq: true}}}}, asOf: "{MOMENT}") {{ totalCount }} }}',
            [],
        ),
        (
            "{ clients(where: {or: [{not: {isSilent: {eq: true}}}]}) { totalCount } }",
            ["ClientWhere.isSilent"],
        ),
        ('{ clients(where: {hostname: {eq: "a"}}) { totalCount } }', []),
        ("{ clients(orderBy: {field: HOSTNAME}) { totalCount } }", []),
        ("{ clients(orderBy: {field: IS_SILENT}) { totalCount } }", ["ClientOrder.IS_SILENT"]),
        (
            "{ sessions { nodes { jobs(where: {isOverdue: {eq: true}}) { totalCount } } } }",
            ["JobWhere.isOverdue"],
        ),
        (f'{{ jobs(where: {{isOverdue: {{eq: true, asOf: "{MOMENT}"}}}}) {{ totalCount }} }}', []),
        ("{ jobs { nodes { nextRun { at basis later } } } }", []),
        ("{ jobs { nodes { nextRun { overdueSince } } } }", ["NextRun.overdueSince"]),
        (
            "{ jobs { edges { node { scheduleMeaning { warnings { code } } } } } }",
            ["ScheduleMeaning.warnings"],
        ),
        ('{ restorePlan(series: "$S") { warnings } }', ["Query.restorePlan"]),
        (f'{{ restorePlan(series: "$S", at: "{MOMENT}") {{ warnings }} }}', []),
        (
            f'{{ restorePlan(series: "$S", at: "{MOMENT}") {{ freezerAction }} }}',
            ["RestorePlan.freezerAction"],
        ),
        (f'{{ restorePlan(series: "$S", asOf: "{MOMENT}") {{ freezerAction }} }}', []),
        (f'{{ retention(series: "$S", at: "{MOMENT}") {{ keptCount }} }}', []),
        ('{ node(id: "$C") { ... on Client { isSilent } } }', ["Client.isSilent"]),
        ('{ node(id: "$J") { ... on Client { isSilent } } }', []),
        ("{ backups { nodes { client { isSilent } } } }", ["Client.isSilent"]),
        ("{ __schema { queryType { name } } viewer { user } }", []),
    ],
)
async def test_a_moment_takes_the_place_of_the_clock(
    asking: httpx.AsyncClient, text: str, expected: list[str]
) -> None:
    ids = {
        "$S": global_id("Series", "demo", "s"),
        "$C": global_id("Client", "demo", "c"),
        "$J": global_id("Job", "demo", "j"),
    }
    for name, id_ in ids.items():
        text = text.replace(name, id_)
    assert reads(asking, text) == expected


async def test_variables_may_give_the_moment(asking: httpx.AsyncClient) -> None:
    text = """query($where: JobWhere, $order: [ClientOrder!], $asOf: DateTime, $show: Boolean!) {
      jobs(where: $where, asOf: $asOf) { totalCount }
      clients(orderBy: $order, asOf: $asOf) { nodes { isSilent(asOf: $asOf) @include(if: $show) } }
    }"""
    where, order = {"isOverdue": {"eq": True}}, [{"field": "IS_SILENT"}]
    assert reads(asking, text, show=False) == []
    assert reads(asking, text, show=True) == ["Client.isSilent"]
    assert reads(asking, text, show=False, where=where) == ["JobWhere.isOverdue"]
    assert reads(asking, text, show=False, order=order) == ["ClientOrder.IS_SILENT"]
    everything = {"show": True, "where": where, "order": order}
    assert len(reads(asking, text, **everything)) == 3
    assert reads(asking, text, asOf=MOMENT, **everything) == []


async def test_items_by_their_ids_read_what_their_types_select(asking: httpx.AsyncClient) -> None:
    text = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Client { isSilent } } }"
    job, client = global_id("Job", "demo", "j"), global_id("Client", "demo", "c")
    assert reads(asking, text, ids=[job]) == []
    assert reads(asking, text, ids=[job, client]) == ["Client.isSilent"]
    assert reads(asking, text, ids=[job]) == []


async def test_a_mutation_always_depends_on_it(asking: httpx.AsyncClient) -> None:
    app = asking._transport.app  # type: ignore[attr-defined]  # noqa: SLF001 - for the plan
    text = 'mutation { startJob(input: {id: "x"}) { requested } }'
    plan, variables = app.state.graphql.executor.prepare(text, {})
    assert plan.depends_on_clock(Execution(ProjectOnly(), variables))  # type: ignore[arg-type]


LISTED = """query($asOf: DateTime) {
  silent: clients(where: {isSilent: {eq: true}}, asOf: $asOf) { totalCount nodes { clientId } }
  order: clients(orderBy: [{field: IS_SILENT}, {field: HOSTNAME}], asOf: $asOf) {
    nodes { clientId isSilent(asOf: $asOf) } }
  late: jobs(where: {isOverdue: {eq: true}}, asOf: $asOf) { totalCount nodes { jobId } }
  nested: clients { nodes { jobs(where: {isOverdue: {eq: true}}, asOf: $asOf) { totalCount } } }
}"""


@pytest.mark.parametrize("by", [timedelta(days=-4), timedelta(days=2), timedelta(days=-500)])
async def test_a_list_as_of_a_moment_is_the_list_by_a_clock_of_then(
    demo_url: str, asking: httpx.AsyncClient, by: timedelta
) -> None:
    async with moved(demo_url, by) as client:
        then = await ask(client, LISTED)
        other = await ask(client, LISTED, asOf=(column_types.now() - by).isoformat())
    moment = (column_types.now() + by).isoformat()
    assert await ask(asking, LISTED, asOf=moment) == then
    assert other != then


async def test_lists_of_other_moments_share_their_statements(asking: httpx.AsyncClient) -> None:
    app = asking._transport.app  # type: ignore[attr-defined]  # noqa: SLF001 - to count them
    statements = app.state.contexts.db._statements  # noqa: SLF001 - as above
    await ask(asking, LISTED)
    known = len(statements)
    for day in range(1, 5):
        await ask(asking, LISTED, asOf=f"2026-01-0{day}T00:00:00Z")
    assert len(statements) == known


async def test_a_list_as_of_a_moment_on_every_database(demo_client: httpx.AsyncClient) -> None:
    past = await ask(demo_client, LISTED, asOf="2000-01-01T00:00:00Z")
    future = await ask(demo_client, LISTED, asOf="2100-01-01T00:00:00Z")
    assert (past["silent"]["totalCount"], past["late"]["totalCount"]) == (0, 0)
    assert future["silent"]["totalCount"] == len(future["order"]["nodes"])
    assert future["late"]["totalCount"] > 20
    assert all(node["isSilent"] for node in future["order"]["nodes"])
