"""Any document, by plan and by plain execution on the same data: equal answers, key by key.

What has no errors is answered by a plan, introspection excepted. `GATEWAY_TEST_DOCUMENTS=5000`
tries that many documents, others each time, in place of the few that are always the same.
"""

import itertools
import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from starlette.applications import Starlette
from starlette.datastructures import Headers

from gateway.app import create_app
from gateway.db.database import Database
from gateway.schema import create_schema
from gateway.settings import load
from tests.support import hostile_estate
from tests.support.apps import opened
from tests.support.databases import Server
from tests.support.examples import DOCUMENT, TABS, examples, question
from tests.support.graphql_documents import Document, Variables, documents
from tests.support.queries import QUERIES
from tests.support.stored_estate import ISSUE

pytestmark = pytest.mark.anyio

LONG = os.environ.get("GATEWAY_TEST_DOCUMENTS")
EXAMPLES = settings(
    max_examples=int(LONG or 40),
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SCHEMA: Any = create_schema()._schema  # noqa: SLF001 - graphql-core's own
DASHBOARD = (Path(__file__).parents[1] / "clients" / "dashboard.graphql").read_text()


@dataclass
class Twins:
    """The application, and the way around its plans."""

    app: Starlette
    client: httpx.AsyncClient
    project: str
    cursors: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    """By the names of a type and its field: places in those lists."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def plainly(self, text: str, variables: Variables, name: str | None = None) -> str:
        """What plain execution answers."""
        headers = Headers({"x-project-id": self.project})
        ctx = await self.app.state.contexts.open(headers, "/graphql", method="POST")
        schema = self.app.state.graphql.schema
        result = await schema.execute(text, variables, context_value=ctx, operation_name=name)
        await ctx.settle()
        body = {"errors": [error.formatted for error in result.errors]} if result.errors else {}
        return _comparable(orjson.dumps(body | {"data": result.data}))

    async def answered(self, text: str, variables: Variables, name: str | None = None) -> str:
        """What the application answers, by a plan if it has one."""
        response = await self.client.post(
            "/graphql",
            json={"query": text, "variables": variables, "operationName": name},
            headers={"X-Project-Id": self.project},
        )
        return _comparable(response.content)

    async def ask(self, text: str) -> Any:
        """The data of an answer without errors."""
        body = orjson.loads(await self.answered(text, {}))
        assert body["errors"] is None, body
        return body["data"]

    @property
    def hits(self) -> int:
        """How many operations a plan has answered."""
        return int(self.app.state.graphql.plans.hits)

    async def agree(self, document: Document, name: str | None = None) -> None:
        """Run a document with each of its sets of variables, again and again."""
        # A text that no other has: what has run before is known.
        text = self.placed(f"{document.text} # {next(self.numbers)}")
        sets = [json.loads(self.placed(json.dumps(values))) for values in document.variables]
        expected = [await self.plainly(text, values, name) for values in sets]
        known = False
        for _ in range(2):
            for values, plain in zip(sets, expected, strict=True):
                before = self.hits
                assert await self.answered(text, values, name) == plain, document
                good = plain.startswith('{"errors":null')
                assert self.hits > before or not (good and known), f"not planned: {document}"
                known = known or good

    def placed(self, text: str) -> str:
        """Put cursors where a document says which."""

        def cursor(place: re.Match[str]) -> str:
            found = self.cursors.get(place[1]) or ["none"]
            return found[int(place[2]) % len(found)]

        return re.sub(r"<(\w+\.\w+)\.(\d+)>", cursor, text)


def _comparable(answer: bytes) -> str:
    """A body as text, the order of its keys included, without the request's id."""
    body = orjson.loads(answer)
    for error in body.get("errors", ()):
        error.get("extensions", {}).pop("requestId", None)
    return orjson.dumps({"errors": body.get("errors"), "data": body.get("data")}).decode()


async def cursors(twins: Twins) -> Mapping[str, Sequence[str]]:
    """Places in every list that there is."""
    found: dict[str, list[str]] = {}
    for root, definition in SCHEMA.query_type.fields.items():
        if "first" not in definition.args:
            continue
        places = found[f"Query.{root}"] = []
        for across in ("false", "true"):
            text = f"{{ {root}(allProjects: {across}) {{ edges {{ cursor }} }} }}"
            places += (edge["cursor"] for edge in (await twins.ask(text))[root]["edges"])
        item = SCHEMA.type_map[root[:-1].title()]
        for name, inner in item.fields.items():
            if "first" in inner.args:
                text = f"{{ {root} {{ nodes {{ {name} {{ edges {{ cursor }} }} }} }} }}"
                pages = [node[name] for node in (await twins.ask(text))[root]["nodes"]]
                found[f"{item.name}.{name}"] = [e["cursor"] for p in pages for e in p["edges"]]
    return found


@asynccontextmanager
async def twins_on(url: str, project: str, **given: int) -> AsyncIterator[Twins]:
    """Open the application on a database."""
    app = create_app(load(database_url=url, **given))
    async with opened(app) as client:
        yield Twins(app, client, project)


@pytest.fixture(scope="module")
async def hostile(server: Server, template: str) -> AsyncIterator[Twins]:
    """Return the application, on an estate that hurts."""
    url = await server.create(template)
    database = Database(load(database_url=url))
    await hostile_estate.settle(database)
    await database.close()
    # Long pages of long pages would be refused: the documents are to be answered.
    async with twins_on(
        url, "p1", default_limit=4, graphql_max_nodes=10**6, graphql_max_depth=30
    ) as twins:
        twins.cursors = await cursors(twins)
        yield twins
    await server.drop(url)


@pytest.fixture(scope="module")
async def sample(server: Server, demo_template: str) -> AsyncIterator[Twins]:
    """Return the application, on the sample data."""
    url = await server.create(demo_template)
    async with twins_on(url, "demo") as twins:
        yield twins
    await server.drop(url)


@EXAMPLES
@given(document=documents(SCHEMA, hostile_estate.KNOWN))
async def test_any_document(hostile: Twins, document: Document) -> None:
    await hostile.agree(document)


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
