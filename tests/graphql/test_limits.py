"""Limits of one operation: counted before anything is read, and each a setting."""

import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from types import FrameType
from typing import Any

import httpx
import orjson
import pytest
from graphql import get_introspection_query
from structlog.testing import capture_logs

from gateway.db.database import Database
from gateway.schema.execution import document_size, documents
from gateway.schema.execution.parsing import parse as parse_document
from gateway.settings import load
from tests.support.apps import GraphQL, MakeClient

pytestmark = pytest.mark.anyio

NODES = "jobs(first: 5) { nodes { id } }"
LONGER = {"graphql_max_tokens": 5000, "graphql_max_characters": 100_000}
"""Settings with which other limits count than those on the length."""
FRAGMENT = "fragment F on Job { jobId description }"


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
        ("fields", "{ viewer { user } jobs { totalCount } }", 4, "more than 3 fields"),
        ("fields", "{ viewer { ...F } a: viewer { ...F } } fragment F on Viewer { user }", 4, "3"),
        ("fields", "{ viewer { ...F ...F ... { user } } } fragment F on Viewer { user }", 3, "2"),
        ("field_pairs", f"{{ {NODES} {NODES} {NODES} }}", 9, "more than 8 pairs of fields"),
        ("field_pairs", "{ viewer { user a: user user: user } }", 1, "more than 0 pairs"),
        (
            "field_pairs",
            "{ viewer { ...F user ... { user } } } fragment F on Viewer { user }",
            3,
            "2",
        ),
        ("root_fields", "{ viewer { user } jobs { totalCount } }", 2, "2 root fields"),
        (
            "root_fields",
            "{ ...F ...F a: viewer { user } } fragment F on Query { viewer { user } }",
            2,
            "2",
        ),
        (
            "directives",
            "{ viewer { user @skip(if: false) roles @include(if: true) } }",
            2,
            "directives",
        ),
        ("directives", 'query($a: String = "@") { backups(search: $a) { totalCount } }', 0, ""),
        (
            "fragments",
            "{ viewer { ...F ... { user } } } fragment F on Viewer { user }",
            3,
            "fragments",
        ),
        (
            "list_length",
            "{ backups(where: {status: {in: [AVAILABLE, ERROR]}}) { totalCount } }",
            2,
            "1 values",
        ),
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
    if size:
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


@pytest.mark.parametrize(
    "document",
    [
        "{ " + "jobs { nodes { description } } " * 600 + "}",
        "{ " + "__typename " * 4000 + "}",
        "{ " + "... { jobs { nodes { id } } } " * 300 + "}",
        "{ "
        + " ".join(f"...F{n}" for n in range(200))
        + " }"
        + " ".join(f"fragment F{n} on Query {{ jobs {{ totalCount }} }}" for n in range(200)),
        "{ ...F0 }"
        + " ".join(
            f"fragment F{n} on Job {{ client {{ ...F{n + 1} }} a: client {{ ...F{n + 1} }} }}"
            for n in range(40)
        ),
        "{ viewer { user } }" + "fragment F on Query { " + "jobs { totalCount } " * 600 + "}",
    ],
)
async def test_what_takes_long_to_validate_is_refused_before(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    validated: list[Any] = []
    monkeypatch.setattr(documents, "validate", lambda *given: validated.append(given))
    client = await make_client(**LONGER)
    assert await is_refused(client, document, "this document has more than")
    assert not validated


def test_what_is_counted_grows_with_the_document() -> None:
    """The statements that counting runs, for documents of which each is twice the last."""
    ran = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal ran
        if frame.f_code.co_filename != document_size.__file__:
            return None
        ran += event == "line"
        return trace

    counts = []
    for times in (25, 50, 100, 200, 400):
        document = parse_document(
            "{ " + "jobs { nodes { ... { id } ...F } } " * times + "} " + FRAGMENT, 10**9
        )
        limits = load(
            graphql_max_fields=10**9,
            graphql_max_field_pairs=10**9,
            graphql_max_fragments=10**9,
            graphql_max_list_length=1,
        )
        ran = 0
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            document_size.check_size(limits, document, "...")
        finally:
            sys.settrace(before)
        counts.append(ran)
    assert all(later < earlier * 2.2 for earlier, later in pairwise(counts)), counts


async def test_a_document_in_a_cycle_is_told_so(make_client: MakeClient) -> None:
    document = (
        "{ jobs { nodes { ...A } } } fragment A on Job { client { jobs { nodes { ...A } } } }"
    )
    assert await is_refused(await make_client(), document, "Cannot spread fragment 'A' within")


@pytest.mark.parametrize(
    ("declared", "place", "value"),
    [
        ("[String!]", "where: {status: {in: [AVAILABLE]}, backupName: {in: $v}}", ["a", "b"]),
        ("StringFilter", "where: {backupName: $v}", {"in": ["a", "b"]}),
        ("BackupWhere", "where: $v", {"and": [{"backupName": {"in": ["a", "b"]}}]}),
        ("BackupWhere", "where: $v", {"and": [{}, {}]}),
    ],
)
async def test_a_list_in_a_variable_has_a_limit(
    make_client: MakeClient, declared: str, place: str, value: object
) -> None:
    query = f"query($v: {declared}) {{ backups({place}) {{ totalCount }} }}"
    assert not await is_refused(await make_client(graphql_max_list_length=2), query, "", v=value)
    client = await make_client(graphql_max_list_length=1)
    for _ in range(2):
        assert await is_refused(client, query, "'$v' has a list of 2 values", v=value)


async def test_lists_in_documents_are_not_limited(make_client: MakeClient) -> None:
    client = await make_client(graphql_max_list_length=1)
    text = "mutation($m: JSON!) { registerBackup(input: {metadata: $m}) { backup { metadata } } }"
    metadata = {"backup_name": "n", "hostname": "h", "container": "c", "tags": [1, 2, 3]}
    body = await asked(client, text, m=metadata)
    assert body["data"]["registerBackup"]["backup"]["metadata"]["tags"] == [1, 2, 3]


async def test_variables_have_a_limit(make_client: MakeClient) -> None:
    query = "query($id: String!) { job(jobId: $id) { id } }"
    variables = {"id": "a" * 90}
    client = await make_client(graphql_max_variables_bytes=99)
    for size, refused in ((90, False), (91, True)):
        variables = {"id": "a" * size}
        asked_by_get = {"query": query, "variables": orjson.dumps(variables).decode()}
        by_get = await client.get("/graphql", params=asked_by_get)
        by_post = await client.post("/graphql", json={"query": query, "variables": variables})
        for response in (by_get, by_post):
            assert response.status_code == (400 if refused else 200)
            assert ("'variables' has 100 bytes, the limit is 99" in response.text) is refused


SCHEMA_QUERIES = (
    "{ __schema { queryType { name } } }",
    '{ viewer { user } __type(name: "Job") { name } }',
    "{ ...F } fragment F on Query { a: __schema { queryType { name } } }",
)


@pytest.mark.parametrize("query", SCHEMA_QUERIES)
async def test_the_schema_is_shown_to_roles(make_client: MakeClient, query: str) -> None:
    everybody = await asked(await make_client(), query)
    admins = await asked(await make_client(graphql_introspection_roles="admin,reader"), query)
    assert everybody == admins
    assert "errors" not in admins
    closed = await make_client(graphql_introspection_roles="nobody")
    for _ in range(2):
        (error,) = (refused := await asked(closed, query))["errors"]
        assert "data" not in refused
        assert error["message"] == "your roles don't let you ask for the schema"
        assert error["extensions"]["code"] == "FORBIDDEN"
    assert "errors" not in await asked(closed, "{ __typename viewer { __typename } }")


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ viewer { usr } }", {}),
        ("{ viewers { user } }", {}),
        ("{ jobs(frst: 1) { totalCount } }", {}),
        ("{ jobs(where: {jobID: {eq: 1}}) { totalCount } }", {}),
        ("{ backups(where: {status: {eq: AVAILABL}}) { totalCount } }", {}),
        ("query($a: JobWher) { jobs(where: $a) { totalCount } }", {}),
        ("{ node(id: 1) { ... on Jo { id } } }", {}),
        ("query($a: BackupWhere) { backups(where: $a) { totalCount } }", {"a": {"statu": {}}}),
        (
            "query($a: BackupStatus!) { backups(where: {status: {eq: $a}}) { totalCount } }",
            {"a": "AVAILABL"},
        ),
    ],
)
async def test_a_schema_that_is_closed_is_not_suggested(
    make_client: MakeClient, query: str, variables: dict[str, Any]
) -> None:
    opened = await asked(await make_client(), query, **variables)
    closed = await asked(await make_client(graphql_introspection_roles="admin"), query, **variables)
    assert opened["errors"]
    assert closed["errors"]
    assert "Did you mean" in str(opened)
    assert "Did you mean" not in str(closed)


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
    make_client: MakeClient, fragment: str
) -> None:
    client = await make_client(**LONGER, graphql_max_fragments=300)
    text = " ".join(fragment.format(n, n + 1, n + 1) for n in range(40))
    query = f"{{ jobs {{ nodes {{ ...F0 }} }} }} {text} fragment F40 on Job {{ id description }}"
    for _ in range(2):
        assert await asked(client, query) == {"data": {"jobs": {"nodes": []}}}


async def test_aliases_of_aliases_are_counted_at_once(make_client: MakeClient) -> None:
    client = await make_client(**LONGER, graphql_max_fragments=300)
    text = " ".join(
        f"fragment F{n} on Job {{ a{n}: id ...F{n + 1} ...F{n + 1} }}" for n in range(80)
    )
    query = f"{{ jobs {{ nodes {{ ...F0 }} }} }} {text} fragment F80 on Job {{ id }}"
    assert await is_refused(client, query, "countless aliases, the limit is 30")


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
