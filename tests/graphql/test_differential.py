"""Any document, answered by its plan and by the reference execution: equal in every byte.

Status, data, the order of keys, and errors with their messages, paths, locations and codes, cold
(the first time that a text is seen) and warm. `GATEWAY_TEST_DOCUMENTS=5000` tries that many
documents, others each time, in place of the few that are always the same.
"""

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLList, get_named_type
from hypothesis import given
from hypothesis import strategies as st

from tests.support.databases import Server
from tests.support.examples import DOCUMENT, TABS, examples, question
from tests.support.graphql_calls import selection
from tests.support.graphql_documents import Document, Variables, documents
from tests.support.hostile_estate import KNOWN
from tests.support.queries import QUERIES
from tests.support.reference import COVERED, is_covered
from tests.support.stored_estate import ISSUE
from tests.support.twins import EXAMPLES, LONG, Twins, hostile_twins, twins_on

pytestmark = pytest.mark.anyio

DASHBOARD = (Path(__file__).parents[1] / "clients" / "dashboard.graphql").read_text()
ABOUT_ITSELF = """query($yes: Boolean!) {
  __schema { queryType { name } mutationType { fields { name } } }
  jobs(first: 1) { nodes { id } totalCount @skip(if: $yes) }
  job: __type(name: "Job") @include(if: $yes) { fields { name args { name } type { name kind } } }
}"""
REFUSED = [
    "{ jobs { nodes { id } }",
    "{ jobs { nodes { nothing } } }",
    "query { jobs(first: $n) { totalCount } }",
    "{ jobs(first: 1.5, orderBy: {field: NAME}) { totalCount } }",
    '{ backups(where: {createdAt: {gt: "soon"}, compressedSize: {eq: "x"}}) { totalCount } }',
    "{ node { id } }",
    "query A { viewer { user } } query A { viewer { user } }",
    "{ viewer { user { name } } node(id: 1) }",
    "subscription { jobs }",
    '{ jobs(where: {scheduleDocument: {path: "a", eq: "\\u0000"}}) { totalCount } }',
]
"""Documents that can't be executed."""

QUERY: Any = COVERED.query_type
ROOTS = [name for name, field in QUERY.fields.items() if "where" in field.args]
VALUES: dict[str, Sequence[Any]] = {
    "Boolean": [True, False],
    "String": KNOWN.words,
    "ID": [*KNOWN.rest_ids[::3], "p1", ""],
    "Int": [number for number in KNOWN.numbers if abs(number) < 2**31],
    "BigInt": KNOWN.numbers,
    "DateTime": [*KNOWN.moments, "1970-01-01T00:00:00.5Z", "1970-01-01T00:00:01Z"],
    "JSON": [1, 1.5, 7, "1", "☃", True],
}
"""The values that conditions compare with, by type."""
BATCH = 50
STEP = 1 if LONG else 4


@pytest.fixture(scope="module")
async def hostile(server: Server, template: str) -> AsyncIterator[Twins]:
    """Return the application, on an estate that hurts."""
    async with hostile_twins(server, template) as twins:
        yield twins


@pytest.fixture(scope="module")
async def sample(server: Server, demo_template: str) -> AsyncIterator[Twins]:
    """Return the application, on the sample data."""
    url = await server.create(demo_template)
    async with twins_on(url, "demo") as twins:
        yield twins
    await server.drop(url)


@EXAMPLES
@given(document=documents(COVERED, KNOWN), is_local=st.booleans())
async def test_any_document(hostile: Twins, document: Document, is_local: bool) -> None:  # noqa: FBT001
    await hostile.agree(document, is_local=is_local)


@pytest.mark.parametrize("across", ["true", "false"])
@pytest.mark.parametrize("root", ROOTS)
async def test_every_field(hostile: Twins, root: str, across: str) -> None:
    for depth in (1, 3):
        below = selection(QUERY.fields[root].type, depth)
        await hostile.agree(
            Document(f"{{ {root}(first: 100, allProjects: {across}) {below} }}", [{}])
        )


@pytest.mark.parametrize("root", ROOTS)
async def test_every_condition(hostile: Twins, root: str) -> None:
    wheres = list(conditions(get_named_type(QUERY.fields[root].args["where"].type)))
    for start in range(0, len(wheres), BATCH):
        batch = wheres[start : start + BATCH]
        variables = {f"w{number}": where for number, where in enumerate(batch)}
        declared = ", ".join(f"${name}: {root[:-1].title()}Where" for name in variables)
        asked = " ".join(
            f"{name}: {root}(where: ${name}, first: 100, allProjects: true) {{ nodes {{ id }} }}"
            for name in variables
        )
        (answer,) = await hostile.agree(Document(f"query({declared}) {{ {asked} }}", [variables]))
        assert not answer.errors, answer


@pytest.mark.parametrize("root", ROOTS)
async def test_every_search(hostile: Twins, root: str) -> None:
    texts = [*KNOWN.words, "A", "É", *KNOWN.rest_ids]
    variables = {f"s{number}": text for number, text in enumerate(texts)}
    declared = ", ".join(f"${name}: String" for name in variables)
    asked = " ".join(
        f"{name}: {root}(search: ${name}, first: 100) {{ totalCount nodes {{ id }} }}"
        for name in variables
    )
    await hostile.agree(Document(f"query({declared}) {{ {asked} }}", [variables]))


def conditions(where: Any) -> Iterator[dict[str, Any]]:
    """Yield conditions on each field; in a long run with each operator, and each opposite."""
    for number, (name, field) in enumerate(where.fields.items()):
        inner = get_named_type(field.type)
        if inner is where:
            continue
        if inner.name.endswith("Where"):
            yield from ({name: condition} for condition in conditions(inner))
        elif inner.name == "DocumentFilter":
            tried = list(itertools.product(KNOWN.paths[:-1], [*VALUES["JSON"], None]))
            yield from ({name: {"path": path, "eq": eq}} for path, eq in tried[:: 1 if LONG else 5])
        else:
            # Each costs the compilation of a statement.
            for operator, operand in list(inner.fields.items())[number % STEP :: STEP]:
                wanted = [{name: {operator: value}} for value in operands(operand.type)]
                yield from wanted
                yield from ({"not": one} for one in wanted if LONG)


def operands(type_: Any) -> Iterator[Any]:
    """Yield what is tried with an operator, by the type of what it compares with."""
    named = get_named_type(type_)
    values: Sequence[Any] = VALUES.get(named.name) or list(named.values)
    if isinstance(type_, GraphQLList):
        yield from ([], values[:1], values)
    else:
        yield from values


@pytest.mark.parametrize("text", REFUSED)
async def test_what_is_refused(hostile: Twins, text: str) -> None:
    await hostile.agree(Document(text, [{}]))


async def test_the_schema_beside_data(hostile: Twins) -> None:
    await hostile.agree(Document(ABOUT_ITSELF, [{"yes": True}, {"yes": False}, {"yes": 1}]))


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.stem)
async def test_the_tabs(sample: Twins, tab: Path) -> None:
    text, variables = question(tab)
    if is_covered(text) and "mutation" not in text and "subscription" not in text:
        await sample.agree(Document(text, [variables]))


@pytest.mark.parametrize(
    "example", examples(DOCUMENT.read_text(encoding="utf-8")), ids=lambda example: example.name
)
async def test_the_dashboards(sample: Twins, example: Any) -> None:
    if is_covered(example.query):
        await sample.agree(Document(example.query, [example.variables]))


def test_the_reference_knows_most_dashboards() -> None:
    known = [is_covered(one.query) for one in examples(DOCUMENT.read_text(encoding="utf-8"))]
    assert sum(known) >= 8


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("Dashboard", {"first": 3, "since": "2026-01-01T00:00:00Z"}),
        ("JobPage", {"id": "Sm9iOmRlbW86MmVmYmI5OTJmNDgxNTE4Zjk2ODMyMzkwYThhMzE5ZGI="}),
    ],
)
async def test_a_dashboard_of_the_clients(sample: Twins, name: str, variables: Variables) -> None:
    await sample.agree(Document(DASHBOARD, [variables]), name)


@pytest.mark.parametrize("number", range(len(QUERIES)))
async def test_what_the_tests_ask(sample: Twins, number: int) -> None:
    text, variables = QUERIES[number]
    if is_covered(text):
        await sample.agree(Document(text, [variables]))


async def test_the_query_of_queries(sample: Twins) -> None:
    await sample.agree(Document(ISSUE, [{"first": 1}, {"first": 50}]))
