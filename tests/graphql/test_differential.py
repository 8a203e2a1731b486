"""Any document, answered by its plan and by the reference execution: equal in every byte.

Status, data, the order of keys, and errors with their messages, paths, locations and codes, cold
(the first time that a text is seen) and warm. `GATEWAY_TEST_DOCUMENTS=5000` tries that many
documents, others each time, in place of the few that are always the same.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import hostile_estate
from tests.support.databases import Server
from tests.support.examples import DOCUMENT, TABS, examples, question
from tests.support.graphql_documents import Document, Variables, documents
from tests.support.queries import QUERIES
from tests.support.reference import SCHEMA
from tests.support.stored_estate import ISSUE
from tests.support.twins import EXAMPLES, Twins, hostile_twins, twins_on

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
@given(document=documents(SCHEMA, hostile_estate.KNOWN), is_local=st.booleans())
async def test_any_document(hostile: Twins, document: Document, is_local: bool) -> None:  # noqa: FBT001
    await hostile.agree(document, is_local=is_local)


@pytest.mark.parametrize("text", REFUSED)
async def test_what_is_refused(hostile: Twins, text: str) -> None:
    await hostile.agree(Document(text, [{}]))


async def test_the_schema_beside_data(hostile: Twins) -> None:
    await hostile.agree(Document(ABOUT_ITSELF, [{"yes": True}, {"yes": False}, {"yes": 1}]))


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.stem)
async def test_the_tabs(sample: Twins, tab: Path) -> None:
    text, variables = question(tab)
    if "mutation" not in text:
        await sample.agree(Document(text, [variables]))


@pytest.mark.parametrize(
    "example", examples(DOCUMENT.read_text(encoding="utf-8")), ids=lambda example: example.name
)
async def test_the_dashboards(sample: Twins, example: Any) -> None:
    await sample.agree(Document(example.query, [example.variables]))


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
    await sample.agree(Document(text, [variables]))


async def test_the_query_of_queries(sample: Twins) -> None:
    await sample.agree(Document(ISSUE, [{"first": 1}, {"first": 50}]))
