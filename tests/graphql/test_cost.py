"""The cost of an operation: known before it runs, limited, and told to who asks."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from typing import Any

import httpx
import pytest

from gateway.rates.costs import INTROSPECTION, PROJECT, SCAN, WRITE
from gateway.schema.execution import limits
from gateway.schema.execution.parsing import parse
from gateway.schema.root import create_schema
from gateway.settings import load
from tests.support.apps import MakeClient
from tests.support.rates import Clock, limited

pytestmark = pytest.mark.anyio

ASKS = {"X-GraphQL-Cost": "1"}
JOB = "Sm9iOnA6eA=="
RUNS = 'of: RUNS, since: "2026-01-01"'
NODE = "node { id }"


async def told(
    client: httpx.AsyncClient, query: str, variables: Mapping[str, Any] | None = None
) -> Any:
    """Return the body that a query is answered with, for who asks what it costs."""
    given = {"query": query, "variables": variables or {}}
    return (await client.post("/graphql", json=given, headers=ASKS)).json()


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        ("{ viewer { user } }", 1),
        ("{ __typename }", 1),
        ('{ job(jobId: "x") { id } }', 1),
        (f'{{ node(id: "{JOB}") {{ id }} }}', 1),
        (f'{{ nodes(ids: ["{JOB}", "{JOB}"]) {{ id }} }}', 2),
        ('{ a: job(jobId: "x") { id } b: job(jobId: "x") { id } }', 2),
        ("{ jobs(first: 7) { nodes { id } } }", 7),
        ("{ jobs(last: 7) { edges { cursor } } }", 7),
        ("{ jobs(first: 0) { nodes { id } } }", 1),
        ("{ jobs { nodes { id } } }", 100),
        ("{ jobs { totalCount } }", 1 + SCAN),
        ("{ jobs(first: 7) { n: totalCount nodes { id } } }", 7 + SCAN),
        ("{ jobs(first: 7) { ...C nodes { id } } } fragment C on JobConnection { totalCount }", 17),
        ('{ jobs(first: 7, search: "x") { nodes { id } } }', 7 + SCAN),
        ("{ jobs(first: 7, where: {}, search: null) { nodes { id } } }", 7 + SCAN),
        # A single item below each item of a page, and its parts, which cost nothing.
        ("{ jobs(first: 7) { nodes { schedule { event } client { id } } } }", 14),
        ("{ jobs(first: 7) { edges { node { client { id } } } } }", 14),
        # Pages in pages: of 10 backups each, unless the query says otherwise.
        ("{ jobs(first: 5) { nodes { backups { nodes { id } } } } }", 5 * 11),
        ("{ jobs(first: 5) { nodes { backups(first: 2) { nodes { job { id } } } } } }", 5 * 5),
        ("{ jobs(first: 5) { nodes { backups { totalCount } } } }", 5 * (2 + SCAN)),
        # What is merged counts once, and what isn't, each time.
        ("{ ...F ...F } fragment F on Query { jobs(first: 5) { nodes { id } } }", 5),
        ("{ a: jobs(first: 5) { nodes { id } } b: jobs(first: 5) { nodes { id } } }", 10),
        # Statistics, by the rows that they may have, each with an item for each key.
        (f"{{ statistics({RUNS}) {{ count }} }}", 1000 + SCAN),
        (f"{{ statistics({RUNS}, maxRows: 5, runs: {{}}) {{ count }} }}", 5 + 2 * SCAN),
        (f"{{ statistics({RUNS}, maxRows: 5, runs: null) {{ key {{ value }} }} }}", 5 + SCAN),
        (
            f"{{ statistics({RUNS}, maxRows: 5, by: [JOB, CLIENT]) {{ key {{ {NODE} }} }} }}",
            5 * (1 + 2) + SCAN,
        ),
        ("{ overview { health jobs { ok } } }", PROJECT),
        ("{ a: overview { health } coverage { hosts { hostname } } }", 2 * PROJECT),
        ("{ __schema { description } }", INTROSPECTION),
        ('{ a: __schema { description } b: __type(name: "Job") { name } }', 2 * INTROSPECTION),
        ('mutation { deleteJob(input: {id: "x"}) { deletedId } }', WRITE),
        ('mutation { startJob(input: {id: "x"}) { job { client { id } } } }', WRITE + 2),
    ],
)
async def test_an_operation_costs_what_it_may_read(
    client: httpx.AsyncClient, query: str, cost: int
) -> None:
    # The second time, its plan is known.
    for _ in range(2):
        body = await told(client, query)
        assert body["extensions"]["cost"]["requested"] == cost, body


async def test_variables_decide(client: httpx.AsyncClient) -> None:
    query = """query($n: Int = 3, $where: JobWhere, $search: String) {
      jobs(first: $n, where: $where, search: $search) { nodes { id } } }"""
    for _ in range(2):
        for variables, cost in [
            ({}, 3),
            ({"n": 5}, 5),
            ({"n": 5, "search": "x"}, 5 + SCAN),
            ({"n": 5, "search": None, "where": None}, 5),
            ({"n": 5, "search": "x", "where": {}}, 5 + 2 * SCAN),
        ]:
            body = await told(client, query, variables)
            assert body["extensions"]["cost"]["requested"] == cost, variables


async def test_the_cost_is_told_with_what_is_left(database_url: str) -> None:
    clock = Clock()
    few = {"rate_limit_user": 10, "rate_limit_project": 20, "rate_limit_burst": 10}
    query = "{ jobs(first: 60) { nodes { id } } }"
    async with limited(database_url, clock, graphql_max_cost=70, **few) as client:
        body = await told(client, query)
        cost = {"requested": 60, "maximum": 70, "available": 40, "restoreRate": 10}
        assert body == {"data": {"jobs": {"nodes": []}}, "extensions": {"cost": cost}}
        clock.now += 1
        body = await told(client, query)
        assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert body["extensions"] == {"cost": cost | {"available": 50}}


async def test_an_operation_over_the_maximum_is_refused(database_url: str) -> None:
    async with limited(database_url, Clock(), graphql_max_cost=70) as client:
        assert "errors" not in await told(client, "{ jobs(first: 70) { nodes { id } } }")
        body = await told(client, "{ jobs(first: 71) { nodes { id } } }")
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "this operation costs 71 points, the limit is 70" in error["message"]
        query = "query($n: Int) { jobs(first: $n) { nodes { client { id } } } }"
        assert "errors" not in await told(client, query, {"n": 35})
        assert "costs 72 points" in (await told(client, query, {"n": 36}))["errors"][0]["message"]


async def test_without_rate_limits_there_is_no_maximum(make_client: MakeClient) -> None:
    client = await make_client(graphql_max_cost=70)
    body = await told(client, "{ jobs(first: 71) { nodes { id } } }")
    nothing = {"maximum": None, "available": None, "restoreRate": None}
    assert body["extensions"]["cost"] == {"requested": 71} | nothing


async def test_only_who_asks_is_told_and_only_if_the_settings_let_it(
    client: httpx.AsyncClient, make_client: MakeClient
) -> None:
    query = {"query": "{ viewer { user } }"}
    assert "extensions" not in (await client.post("/graphql", json=query)).json()
    silent = await make_client(graphql_cost=False)
    assert "extensions" not in await told(silent, query["query"])
    assert "extensions" not in await told(client, "{ nothing }")


@contextmanager
def lines_of(file: str) -> Iterator[list[int]]:
    """Yield a list of the lines of a file that run, by their numbers."""
    ran: list[int] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if event == "line":
            ran.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield ran
    finally:
        sys.settrace(before)


def pages(times: int) -> str:
    fields = " ".join(f"a{n}: jobs {{ nodes {{ ...F ...F }} }}" for n in range(times))
    return f"{{ {fields} }} fragment F on Job {{ backups {{ nodes {{ id }} }} client {{ id }} }}"


def nested_fragments(times: int) -> str:
    """Return fragments of which each spreads the next twice: in full, two to the power of them."""
    inner = "{ jobs(first: 1) { nodes { ...F%d } } }"
    fragments = " ".join(
        f"fragment F{n} on Job {{ a: client {inner % (n + 1)} b: client {inner % (n + 1)} }}"
        for n in range(times)
    )
    return f"{{ jobs {{ nodes {{ ...F0 }} }} }} {fragments} fragment F{times} on Job {{ id }}"


@pytest.mark.parametrize("document", [pages, nested_fragments])
def test_counting_grows_with_the_document(document: Any) -> None:
    schema, settings = create_schema().core, load()
    counts = []
    for times in (10, 20, 40, 80):
        operation, *fragments = parse(document(times), 10**9).definitions
        by_name = {one.name.value: one for one in fragments}
        counter = limits.Counter(schema, by_name, {}, settings.default_limit)
        with lines_of(limits.__file__) as ran:
            counter.count(((schema.query_type, operation.selection_set),))
        counts.append(len(ran))
    assert all(later < earlier * 2.2 for earlier, later in pairwise(counts)), counts
