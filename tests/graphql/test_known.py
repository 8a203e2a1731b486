"""Guards of an operation: the same on a plan that is known as on one that is new."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth import policy
from gateway.auth.identity import Headers, Identity
from gateway.errors import Unauthenticated
from gateway.settings import load
from tests.support.apps import opened
from tests.support.global_ids import global_id

pytestmark = pytest.mark.anyio

LISTED = """query Listed($n: Int = 2, $w: JobWhere, $ids: [ID!]! = [], $across: Boolean! = false) {
  jobs(first: $n, where: $w, allProjects: $across) { nodes { jobId backups(first: $n) {
    totalCount nodes { id } } } }
  nodes(ids: $ids) { id }
}"""
CREATE = 'mutation { createAction(input: {freezerAction: {action: "info"}}) { action { id } } }'
BOTH = f"query Q {{ actions {{ totalCount }} }} {CREATE.replace('mutation', 'mutation M')}"
ID = global_id("Job", "p1", "none")
NEWER = "application/graphql-response+json"


class Guests:
    """Knows whoever says `role@project`."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Tell who it is."""
        role, _, project = (headers.get("x-auth-token") or "").partition("@")
        if not project:
            raise Unauthenticated("who is that?", uri="http://keystone.example.org")
        return Identity(role, role, project, frozenset({role}))


@dataclass
class Gateway:
    """An application, and what it answers."""

    app: Starlette
    client: httpx.AsyncClient

    async def send(self, token: str = "member@p1", **request: Any) -> httpx.Response:  # noqa: S107
        """Send a request to `/graphql`, by POST unless it says another method."""
        headers = {"X-Auth-Token": token, "Accept": "application/json"} | request.pop("headers", {})
        method = request.pop("method", "POST")
        return await self.client.request(method, "/graphql", headers=headers, **request)

    async def ask(self, query: str, token: str = "member@p1", **variables: Any) -> Any:  # noqa: S107
        """Ask a question that must be answered, and return the data."""
        response = await self.send(token, json={"query": query, "variables": variables})
        assert response.status_code == 200, response.text
        body = response.json()
        assert "errors" not in body, body
        return body["data"]

    @property
    def planned(self) -> int:
        """How many plans have been made."""
        return int(self.app.state.graphql.executor.planned)


@asynccontextmanager
async def gateway_on(url: str, **given: object) -> AsyncIterator[Gateway]:
    """Open a gateway that nobody has asked anything, with these settings."""
    usual = {"database_url": url, "graphql_max_nodes": 500, "max_limit": 20, "default_limit": 5}
    usual["graphql_max_variable_objects"] = 1000
    app = create_app(load(**usual | given))
    async with opened(app) as client:
        app.state.contexts = replace(app.state.contexts, authenticator=Guests())
        yield Gateway(app, client)


@pytest.fixture
async def known(database_url: str) -> AsyncIterator[Gateway]:
    """Return a gateway that has a plan of `LISTED`."""
    async with gateway_on(database_url) as gateway:
        for _ in range(2):
            await gateway.ask(LISTED)
        assert gateway.planned == 1
        yield gateway


def told(response: httpx.Response) -> tuple[Any, ...]:
    """All that a response says, but for the request's id."""
    body = response.json()
    for error in body.get("errors", ()):
        error["extensions"].pop("requestId")
    names = ("content-type", "www-authenticate", "allow", "retry-after")
    return response.status_code, [response.headers.get(name) for name in names], body


def deep(levels: int) -> dict[str, Any]:
    """Filters in filters."""
    return {"not": deep(levels - 1)} if levels else {"jobId": {"eq": "x"}}


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "too many nodes": ({"n": 100}, "10100 nodes"),
    "too long a page": ({"n": 21}, "between 0 and 20"),
    "too short a page": ({"n": -1}, "between 0 and 20"),
    "too many ids": ({"n": 0, "ids": [ID] * 501}, "501 nodes"),
    "no number": ({"n": "x"}, "Int cannot represent"),
    "null in place of a list": ({"ids": None}, "not to be null"),
    "what is no id": ({"ids": ["zzz"]}, "'zzz' is not the id"),
    "an unknown key of a filter": ({"w": {"nothing": 1}}, "nothing"),
    "a filter that means nothing": ({"w": {"status": {"in": None}}}, "can't be null"),
    "too many conditions": ({"w": {"or": [{"jobId": {"eq": "x"}}] * 201}}, "201 conditions"),
    "too many values": ({"w": {"jobId": {"in": ["x"] * 1001}}}, "1001 values"),
    "too deep a filter": ({"w": deep(17)}, "nested deeper than 16"),
    "other projects": ({"across": True}, "jobs:get_all_projects"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_variables_are_refused(known: Gateway, database_url: str, what: str) -> None:
    variables, named = WRONG[what]
    request = {"json": {"query": LISTED, "variables": variables}}
    async with gateway_on(database_url) as fresh:
        expected = told(await fresh.send(**request))
    assert named in expected[2]["errors"][0]["message"]
    for _ in range(2):
        assert told(await known.send(**request)) == expected
    assert known.planned == 1


REQUESTS: Mapping[str, tuple[dict[str, Any], int]] = {
    "of nobody": ({"token": "", "json": {"query": LISTED}}, 401),
    "without a right": ({"token": "painter@p1", "json": {"query": LISTED}}, 200),
    "in another project": ({"token": "reader@p2", "json": {"query": LISTED}}, 200),
    "of plain text": ({"content": LISTED, "headers": {"Content-Type": "text/plain"}}, 415),
    "of a form": ({"data": {"query": LISTED}}, 415),
    "of another method": ({"method": "PUT", "json": {"query": LISTED}}, 405),
    "that is too long": ({"json": {"query": LISTED, "variables": {"x": " " * 2**20}}}, 413),
    "by GET": ({"method": "GET", "params": {"query": LISTED, "variables": '{"n": 1}'}}, 200),
    "for the newer media type": ({"json": {"query": LISTED}, "headers": {"Accept": NEWER}}, 200),
    "with another operation's name": ({"json": {"query": LISTED, "operationName": "X"}}, 400),
    "with the operation's name": ({"json": {"query": LISTED, "operationName": "Listed"}}, 200),
    "with variables that are none": ({"json": {"query": LISTED, "variables": [1]}}, 400),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_a_request_is_answered_as_ever(known: Gateway, database_url: str, what: str) -> None:
    request, status = REQUESTS[what]
    async with gateway_on(database_url) as fresh:
        expected = told(await fresh.send(**request))
    assert expected[0] == status
    for _ in range(3):
        assert told(await known.send(**request)) == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"graphql_max_depth": 4}, "levels deep"),
        ({"graphql_max_aliases": 0}, "aliases"),
        ({"graphql_max_tokens": 10}, "tokens"),
        ({"graphql_max_nodes": 1}, "nodes"),
    ],
)
async def test_what_is_too_large_stays_so(
    database_url: str, given: dict[str, int], named: str
) -> None:
    query = "{ a: jobs(first: 2) { nodes { client { jobs(first: 1) { nodes { id } } } } } }"
    async with gateway_on(database_url, **given) as gateway:
        for _ in range(3):
            body = (await gateway.send(json={"query": query})).json()
            assert named in body["errors"][0]["message"]
            assert not body.get("data")
        assert gateway.planned == 0


async def test_a_known_mutation_is_run_each_time_and_never_by_get(database_url: str) -> None:
    async with gateway_on(database_url) as gateway:
        made = {(await gateway.ask(CREATE))["createAction"]["action"]["id"] for _ in range(3)}
        assert len(made) == 3
        for _ in range(2):
            response = await gateway.send(method="GET", params={"query": CREATE})
            assert response.status_code == 405
        assert await gateway.ask("{ actions { totalCount } }") == {"actions": {"totalCount": 3}}
        assert gateway.planned == 2


async def test_a_query_that_is_known_lets_no_mutation_beside_it_pass(database_url: str) -> None:
    async with gateway_on(database_url) as gateway:
        for _ in range(3):
            sent = {"query": BOTH, "operationName": "Q"}
            response = await gateway.send(method="GET", params=sent)
            assert response.json() == {"data": {"actions": {"totalCount": 0}}}
        assert gateway.planned == 1
        response = await gateway.send(method="GET", params=sent | {"operationName": "M"})
        assert response.status_code == 405
        response = await gateway.send(json={"query": BOTH})
        assert "'operationName'" in response.json()["errors"][0]["message"]
        assert await gateway.ask("{ actions { totalCount } }") == {"actions": {"totalCount": 0}}


async def test_a_rule_that_changes_holds_for_what_is_known(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "REREAD_SECONDS", -1)
    rules = tmp_path / "policy.yaml"
    rules.write_text('"jobs:get_all": "role:member"')
    async with gateway_on(database_url, policy_file=rules) as gateway:
        for _ in range(3):
            await gateway.ask(LISTED)
        rules.write_text('"jobs:get_all": "role:painter"')
        body = (await gateway.send(json={"query": LISTED})).json()
        assert body["data"] is None
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert error["path"][0] == "jobs"
        rules.write_text('"jobs:get_all": "role:member or role:painter"')
        assert await gateway.ask(LISTED) == {"jobs": {"nodes": []}, "nodes": []}


async def test_each_caller_gets_what_is_theirs(database_url: str) -> None:
    query = "{ actions { nodes { projectId } } viewer { project } }"
    async with gateway_on(database_url) as gateway:
        await gateway.ask(CREATE)
        for _ in range(3):
            for project, count in (("p1", 1), ("p2", 0)):
                assert await gateway.ask(query, f"member@{project}") == {
                    "actions": {"nodes": [{"projectId": "p1"}] * count},
                    "viewer": {"project": project},
                }
        assert gateway.planned == 2


BY_DEFAULT = """query($n: Int = 100) {
  jobs(first: $n) { nodes { backups(first: $n) { nodes { id } } } }
}"""


async def test_a_null_says_nothing_of_the_default(database_url: str) -> None:
    async with gateway_on(database_url, max_limit=200) as gateway:
        for variables, refused in (({"n": None}, False), ({}, True), ({"n": None}, False)):
            sent = {"query": BY_DEFAULT, "variables": variables}
            body = (await gateway.send(json=sent)).json()
            assert ("10100 nodes" in str(body)) == refused, body


OTHERS_FRAGMENT = """query A($x: JobWhere) { jobs(where: $x) { totalCount } }
query B($x: Boolean!) { ...F } fragment F on Query { viewer @skip(if: $x) { user } }"""


async def test_directives_of_another_operation_are_not_this_ones(database_url: str) -> None:
    async with gateway_on(database_url) as gateway:
        sent = {"query": OTHERS_FRAGMENT, "operationName": "A"}
        for where in ({"jobId": {"eq": "x"}}, {"or": []}, None):
            response = await gateway.send(json=sent | {"variables": {"x": where}})
            assert response.json() == {"data": {"jobs": {"totalCount": 0}}}
        sent = {"query": OTHERS_FRAGMENT, "operationName": "B", "variables": {"x": True}}
        assert (await gateway.send(json=sent)).json() == {"data": {}}


async def test_one_item_is_shown_by_the_rule_for_one(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "REREAD_SECONDS", -1)
    rules = tmp_path / "policy.yaml"
    rules.write_text("{}")
    query = '{ job(jobId: "none") { id } }'
    async with gateway_on(database_url, policy_file=rules) as gateway:
        for text, passes in (
            ('"jobs:get": "!"', False),
            ('"jobs:get_all": "!"', True),
            ('"jobs:get": "!"', False),
        ):
            rules.write_text(text)
            for _ in range(2):
                body = (await gateway.send(json={"query": query})).json()
                assert ("errors" not in body) == passes, body
