"""Limits of one operation: counted before anything is read, and each a setting."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
import pytest
from graphql import get_introspection_query
from structlog.testing import capture_logs

from gateway.db.database import Database
from tests.support.apps import GraphQL, MakeClient

pytestmark = pytest.mark.anyio

NODES = "jobs(first: 5) { nodes { id } }"


async def asked(client: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    """Ask a query; return the body of the answer, which must take no time."""
    began = time.monotonic()
    response = await client.post("/graphql", json={"query": query, "variables": variables})
    assert time.monotonic() - began < 5
    body: dict[str, Any] = response.json()
    return body


async def is_refused(client: httpx.AsyncClient, query: str, named: str, **variables: Any) -> bool:
    """Tell whether a query is refused, by a message that says why."""
    body = await asked(client, query, **variables)
    for error in body.get("errors", []):
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert named in error["message"], error
    return "errors" in body


@pytest.mark.parametrize(
    ("setting", "query", "size", "named"),
    [
        ("depth", "{ jobs { nodes { id } } }", 3, "levels deep"),
        ("depth", "{ jobs { nodes { ...F } } } fragment F on Job { client { id } }", 4, "levels"),
        ("depth", "{ jobs { ... { nodes { ... on Job { ... on Node { id } } } } } }", 3, "levels"),
        ("aliases", "{ a: viewer { b: user } c: viewer { user } }", 3, "aliases"),
        (
            "aliases",
            "{ viewer { ...F } a: viewer { ...F } } fragment F on Viewer { b: user }",
            3,
            "3",
        ),
        ("tokens", "{ viewer { user } }", 6, "tokens"),
        ("nodes", "{ jobs(first: 10) { nodes { id } } }", 10, "10 nodes"),
        ("nodes", "{ jobs(last: 10) { edges { node { id } } } }", 10, "10 nodes"),
        ("nodes", "{ jobs(first: 10) { edges { cursor } } }", 10, "10 nodes"),
        ("nodes", "{ jobs(first: 10) { pageInfo { endCursor } } }", 10, "10 nodes"),
        ("nodes", "{ jobs { nodes { id } } }", 100, "100 nodes"),
        ("nodes", "{ jobs(first: null) { nodes { id } } }", 100, "100 nodes"),
        ("nodes", "{ jobs(first: 5) { nodes { backups { nodes { id } } } } }", 55, "55 nodes"),
        ("nodes", "{ jobs(first: 5) { nodes { backups { totalCount } } } }", 5, "5 nodes"),
        (
            "nodes",
            "{ jobs(first: 5) { nodes { client { jobs(last: 2) { nodes { id } } } } } }",
            15,
            "15",
        ),
        ("nodes", f"{{ {NODES} {NODES} }}", 5, "5 nodes"),
        ("nodes", f"{{ a: {NODES} b: {NODES} }}", 10, "10 nodes"),
        ("nodes", f"{{ ...F ...F }} fragment F on Query {{ {NODES} }}", 5, "5 nodes"),
        ("nodes", f"{{ ... {{ {NODES} }} ...F }} fragment F on Query {{ {NODES} }}", 5, "5 nodes"),
        (
            "nodes",
            """{ jobs(first: 2) { nodes { ...F } edges { node { ...F } } } }
               fragment F on Job { backups(first: 3) { nodes { id } } }""",
            8,
            "8 nodes",
        ),
        ("nodes", '{ nodes(ids: ["QmFja3VwOnA6eA==", "QmFja3VwOnA6eA=="]) { id } }', 2, "2 nodes"),
        (
            "nodes",
            """{ node(id: "Sm9iOnA6eA==") {
                 ... on Job { x: backups(first: 9) { nodes { id } } }
                 ... on Client { x: backups(first: 1) { nodes { id } } } } }""",
            10,
            "10 nodes",
        ),
    ],
)
async def test_an_operation_of_just_the_size_passes(
    make_client: MakeClient, setting: str, query: str, size: int, named: str
) -> None:
    name = f"graphql_max_{setting}"
    assert not await is_refused(await make_client(**{name: size}), query, "")
    assert await is_refused(await make_client(**{name: size - 1}), query, named)


@pytest.mark.parametrize(
    ("declared", "variables"),
    [
        ("$n: Int", {"n": 6}),
        ("$n: Int", {"n": 6.0}),
        ("$n: Int = 6", {}),
        ("$n: Int! = 6", {}),
        ("$n: Int = 6", {"n": 6}),
    ],
)
async def test_nodes_are_counted_by_variables(
    make_client: MakeClient, declared: str, variables: Mapping[str, Any]
) -> None:
    inner = "nodes { backups(first: $n) { nodes { id } } }"
    query = f"query({declared}) {{ jobs(first: $n) {{ {inner} }} }}"
    client = await make_client(graphql_max_nodes=41)
    # What has run with shorter pages is not allowed longer ones.
    for length in (5, 5.0, 5):
        assert not await is_refused(client, query, "", n=length)
    assert await is_refused(client, query, "42 nodes", **variables)
    assert not await is_refused(client, query, "", n=1)
    assert await is_refused(client, query, "42 nodes", **variables)


async def test_ids_are_counted_by_variables(make_client: MakeClient) -> None:
    client = await make_client(graphql_max_nodes=2)
    item = "QmFja3VwOnA6eA=="
    query = f'query($ids: [ID!]! = ["{item}", "{item}", "{item}"]) {{ nodes(ids: $ids) {{ id }} }}'
    assert not await is_refused(client, query, "", ids=[item] * 2)
    assert await is_refused(client, query, "3 nodes", ids=[item] * 3)
    assert await is_refused(client, query, "3 nodes")
    assert not await is_refused(client, query, "", ids=item)


async def test_more_than_a_page_may_be_long_is_refused(make_client: MakeClient) -> None:
    client = await make_client(max_limit=5, default_limit=5)
    assert not await is_refused(client, "{ jobs(first: 5) { totalCount } }", "")
    assert await is_refused(client, "{ jobs(first: 6) { totalCount } }", "between 0 and 5, not 6")


@pytest.mark.parametrize(
    "fragment",
    [
        "fragment F{} on Job {{ ...F{} ...F{} }}",
        "fragment F{} on Job {{ ... on Job {{ ...F{} }} ... on Node {{ ...F{} }} }}",
    ],
)
async def test_fragments_of_fragments_are_looked_at_once(
    client: httpx.AsyncClient, fragment: str
) -> None:
    text = " ".join(fragment.format(n, n + 1, n + 1) for n in range(40))
    query = f"{{ jobs {{ nodes {{ ...F0 }} }} }} {text} fragment F40 on Job {{ id description }}"
    for _ in range(2):
        assert await asked(client, query) == {"data": {"jobs": {"nodes": []}}}


async def test_aliases_of_aliases_are_counted_at_once(client: httpx.AsyncClient) -> None:
    text = " ".join(
        f"fragment F{n} on Job {{ a{n}: id ...F{n + 1} ...F{n + 1} }}" for n in range(80)
    )
    query = f"{{ jobs {{ nodes {{ ...F0 }} }} }} {text} fragment F80 on Job {{ id }}"
    assert await is_refused(client, query, "countless aliases, the limit is 50")


async def test_graphiql_can_ask_what_there_is(client: httpx.AsyncClient) -> None:
    query = get_introspection_query(
        descriptions=True,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    body = await asked(client, query)
    assert "errors" not in body
    types = {type_["name"] for type_ in body["data"]["__schema"]["types"]}
    assert {"Job", "JobConnection", "JobWhere", "BackupOrderField"} <= types


async def test_metadata_may_be_large_and_any_unicode(graphql: GraphQL) -> None:
    everything = "".join(map(chr, [*range(1, 0xD800, 7), *range(0xE000, 0x11_0000, 97)]))
    names = {"backup_name": "ß😀", "container": "\u2028", "hostname": "\ufffe"}
    metadata = {
        **names,
        "": everything,
        everything[-99:]: ["\x7f", "\\u0000"],
        "long": "é" * 100_000,
    }
    assert len(orjson.dumps(metadata)) > 200_000
    mutation = """mutation($m: JSON!) { registerBackup(input: {metadata: $m}) { backup {
      backupName container hostname metadata } } }"""
    body = await graphql(mutation, {"m": metadata})
    shown = {"backupName": "ß😀", "container": "\u2028", "hostname": "\ufffe", "metadata": metadata}
    assert body == {"data": {"registerBackup": {"backup": shown}}}


async def test_an_unexpected_error_tells_nothing_but_the_requests_id(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    for query in ("{ jobs { totalCount } }", "{ viewer { user } jobs { nodes { id } } }"):
        for runs in range(3):
            for _ in range(runs):
                await asked(client, query)
            with monkeypatch.context() as patch, capture_logs() as logs:
                patch.setattr(Database, "rows", broken)
                response = await client.post("/graphql", json={"query": query})
            assert "secret" not in response.text
            assert [line["event"] for line in logs if line["log_level"] == "error"] == [
                "unexpected error"
            ]
            (error,) = response.json()["errors"]
            assert error["extensions"] == {
                "code": "INTERNAL",
                "requestId": response.headers["X-Openstack-Request-Id"],
            }
