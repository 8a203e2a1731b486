"""The gateway and the reference execution side by side, on the same catalogue."""

import itertools
import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import httpx
import orjson
from hypothesis import HealthCheck, Phase, settings
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.db.database import Database
from gateway.settings import load
from tests.support import hostile_estate
from tests.support.apps import opened
from tests.support.databases import Server
from tests.support.faults import Faults
from tests.support.graphql_documents import Document, Variables
from tests.support.reference import COVERED, Reference
from tests.support.reference_catalogue import read

LONG = os.environ.get("GATEWAY_TEST_DOCUMENTS")
EXAMPLES = settings(
    max_examples=int(LONG or 40),
    derandomize=not LONG,
    database=None,
    deadline=None,
    # To shrink a document takes minutes, and a failure shows everything about it.
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
ROLES = frozenset({"admin", "member", "reader", "service"})
NO_LIMIT = 10**9


class Callers:
    """Knows the local user, and an administrator where somebody is authenticated."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Tell who it is."""
        return caller(headers.get("x-project-id") or "", is_local=headers.get("x-local") == "yes")

    def forget(self, headers: Headers) -> None:
        """Forget nothing."""

    def known_for(self, headers: Headers) -> float:  # noqa: ARG002
        """Tell of no end."""
        return inf


def caller(project: str, *, is_local: bool) -> Identity:
    """Return the local user, or an administrator of the project."""
    name = "local" if is_local else "admin"
    return Identity(name, name, project, ROLES, is_local=is_local)


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP, without what differs from request to request."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def errors(self) -> Sequence[Any]:
        """The errors in it."""
        found: Sequence[Any] = json.loads(self.body).get("errors", ())
        return found

    @property
    def data(self) -> Any:
        """The data in it."""
        return json.loads(self.body).get("data")


def answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer: the body with its keys in order, and with its requests' ids put aside."""
    content = orjson.loads(body)
    for error in content.get("errors", ()):
        error["extensions"].pop("requestId", None)
    return Answer(status, orjson.dumps(content).decode(), headers or {})


@dataclass(repr=False)
class Twins:
    """The application, and the reference execution of what it is asked."""

    app: Starlette
    client: httpx.AsyncClient
    project: str
    reference: Reference
    cursors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By the names of a type and its field: places in those lists."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        """Show no more than fits on a line, where Hypothesis would show every row."""
        printer.text(f"Twins({self.project!r})")

    @property
    def faults(self) -> Faults:
        """The faults that both have."""
        return self.reference.faults

    def expected(
        self,
        text: str,
        variables: Variables,
        name: str | None = None,
        *,
        is_local: bool = True,
    ) -> Answer:
        """Return the reference execution's answer."""
        self.reference.identity = caller(self.project, is_local=is_local)
        status, body = self.reference.answer(text, variables, name)
        return answer(status, orjson.dumps(body))

    async def answered(
        self,
        text: str,
        variables: Variables,
        name: str | None = None,
        *,
        is_local: bool = True,
    ) -> Answer:
        """Return the application's answer."""
        response = await self.client.post(
            "/graphql",
            json={"query": text, "variables": variables, "operationName": name},
            headers={
                "X-Project-Id": self.project,
                "X-Local": "yes" if is_local else "no",
                "Accept": "application/graphql-response+json",
            },
        )
        headers = {key: value for key, value in response.headers.items() if "request-id" not in key}
        return answer(response.status_code, response.content, headers)

    async def agree(
        self,
        document: Document,
        name: str | None = None,
        *,
        is_local: bool = True,
        faults: Faults | None = None,
    ) -> Sequence[Answer]:
        """Assert that both answer alike, cold and warm, with each set of variables.

        Return the answers.
        """
        expected = []
        text, sets = self.placed(document)
        for values in sets:
            self.faults.reset(faults)
            expected.append(self.expected(text, values, name, is_local=is_local))
        headers: dict[int, Mapping[str, str]] = {}
        for _ in range(2):
            for at, values in enumerate(sets):
                self.faults.reset(faults)
                found = await self.answered(text, values, name, is_local=is_local)
                told = f"{text}\n{values}\n{faults}, local: {is_local}\n{expected[at]}\n{found}"
                assert found == expected[at], told
                assert headers.setdefault(at, found.headers) == found.headers
        self.faults.reset()
        return expected

    def placed(self, document: Document) -> tuple[str, Sequence[Variables]]:
        """Return a text that no other has, and its variables, with cursors where it says which."""
        text = f"{document.text} # {next(self.numbers)}"
        values = json.dumps(document.variables)
        return self._placed(text), json.loads(self._placed(values))

    def _placed(self, text: str) -> str:
        def cursor(place: re.Match[str]) -> str:
            found = self.cursors.get(place[1]) or ["none"]
            return found[int(place[2]) % len(found)]

        return re.sub(r"<(\w+\.\w+)\.(\d+)>", cursor, text)


def cursors(twins: Twins) -> Mapping[str, Sequence[str]]:
    """Return places in every list that there is."""

    def ask(text: str) -> Any:
        answer = twins.expected(text, {})
        assert not answer.errors, answer
        return answer.data

    found: dict[str, list[str]] = {}
    assert COVERED.query_type is not None
    for root, definition in COVERED.query_type.fields.items():
        if "first" not in definition.args:
            continue
        places = found[f"Query.{root}"] = []
        for across in ("false", "true"):
            text = f"{{ {root}(allProjects: {across}) {{ edges {{ cursor }} }} }}"
            places += (edge["cursor"] for edge in ask(text)[root]["edges"])
        item: Any = COVERED.type_map[root[:-1].title()]
        for name, inner in item.fields.items():
            if "first" in inner.args:
                text = f"{{ {root} {{ nodes {{ {name} {{ edges {{ cursor }} }} }} }} }}"
                pages = [node[name] for node in ask(text)[root]["nodes"]]
                found[f"{item.name}.{name}"] = [e["cursor"] for p in pages for e in p["edges"]]
    return found


@asynccontextmanager
async def twins_on(
    url: str, project: str, faults: Faults | None = None, **given: int
) -> AsyncIterator[Twins]:
    """Open the application on a database, beside the reference execution."""
    app = create_app(load(database_url=url, **given))
    async with opened(app) as client:
        app.state.contexts = replace(app.state.contexts, authenticator=Callers())
        catalogue = await read(app.state.contexts.db)
        default_limit = app.state.settings.default_limit
        identity = caller(project, is_local=True)
        faults = faults or Faults()
        faults.reset()
        yield Twins(
            app,
            client,
            project,
            Reference(catalogue, identity, faults, default_limit),
        )


@asynccontextmanager
async def hostile_twins(
    server: Server, template: str, faults: Faults | None = None
) -> AsyncIterator[Twins]:
    """Open the application on an estate that hurts, with nothing to limit what is asked."""
    url = await server.create(template)
    database = Database(load(database_url=url))
    await hostile_estate.settle(database)
    await database.close()
    async with twins_on(
        url,
        "p1",
        faults,
        default_limit=4,
        graphql_max_nodes=NO_LIMIT**9,
        graphql_max_depth=60,
        graphql_max_aliases=NO_LIMIT,
        graphql_max_directives=NO_LIMIT,
        graphql_max_fields=NO_LIMIT,
        graphql_max_fragments=NO_LIMIT,
        graphql_max_field_pairs=NO_LIMIT,
        graphql_max_root_fields=NO_LIMIT,
        graphql_max_tokens=NO_LIMIT,
        graphql_max_characters=NO_LIMIT,
        graphql_max_literals=NO_LIMIT,
        graphql_max_variable_objects=NO_LIMIT,
        graphql_max_variable_values=NO_LIMIT,
    ) as twins:
        twins.cursors = cursors(twins)
        yield twins
    await server.drop(url)
