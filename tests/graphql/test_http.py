"""GraphQL over HTTP: which bodies and requests are refused, and with which status."""

import json
from typing import Any

import httpx
import pytest

from tests.support.refusals import JSON, ONE_JOB, body, nested, refused

pytestmark = pytest.mark.anyio

VIEWER = "{ viewer { user } }"


@pytest.fixture(scope="module")
async def client(scenario_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Return a client of an application where there is one job."""
    await scenario_client.post("/graphql", content=body(ONE_JOB), headers=JSON)
    return scenario_client


def given(x: bytes) -> bytes:
    """Write a body with a variable of this value."""
    return b'{"query": "{ viewer { user } }", "variables": {"x": ' + x + b"}}"


BODIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON"),
    "no JSON": (b"{query}", "line 1"),
    "half of JSON": (b'{"query": "{', "not JSON"),
    "no UTF-8": (b'{"query": "\xff"}', "UTF-8"),
    "a batch": (b'[{"query": "{ viewer { user } }"}]', "one GraphQL request"),
    "text": (b'"{ viewer { user } }"', "one GraphQL request"),
    "null": (b"null", "one GraphQL request"),
    "no query": (b"{}", "'query'"),
    "a query of nothing": (b'{"query": ""}', "'query'"),
    "a query of blanks": (rb'{"query": " \n "}', "'query'"),
    "a query that is a number": (b'{"query": 5}', "5"),
    **{
        f"{key}: {value}": (
            b'{"query": "{ viewer { user } }", "%b": %b}' % (key.encode(), value.encode()),
            f"'{key}' must be ",
        )
        for key, values in {
            "variables": ['"text"', "0", "false", "[]"],
            "extensions": ['"text"', "0", "false", "[]"],
            "operationName": ["5", "0", "false", "[]", "{}"],
        }.items()
        for value in values
    },
    "an unknown name": (
        b'{"query": "query A { viewer { user } }", "operationName": "B"}',
        "'B'",
    ),
    "only a fragment": (body("fragment F on Job { id }"), "no operation"),
    "a schema": (body("type Job { id: ID }"), "no operation"),
    "NaN": (given(b"NaN"), "NaN"),
    "Infinity": (given(b"[-Infinity]"), "Infinity"),
    "1e999": (given(b"1e999"), "1e999"),
    "an integer of 65 bits": (given(b"9223372036854775808"), "9223372036854775808"),
    "an integer of 5000 digits": (given(b"9" * 5000), "64 bits"),
    "a NUL": (given(rb'{"y": "\u0000"}'), "variables.x.y"),
    "a NUL in a key": (given(rb'{"\u0000": 1}'), "NUL"),
    "a NUL in the query": (rb'{"query": "{ viewer \u0000 { user } }"}', "NUL"),
    "a lone surrogate": (given(rb'"\ud800"'), "surrogate"),
    "a lone surrogate in the query": (rb'{"query": "{ viewer { user } } # \udfff"}', "surrogate"),
    "variables too deep": (given(json.dumps(nested(200)).encode()), "nested"),
    "variables far too deep": (given(b"[" * 100_000), "more than 1500 values"),
}


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_is_refused_that_is(client: httpx.AsyncClient, what: str) -> None:
    sent, named = BODIES[what]
    await refused(client, sent, named, 400)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("# nothing", "Syntax Error"),
        ("query A { viewer { user } } query B { viewer { user } }", "'A', 'B'"),
    ],
)
async def test_what_is_wrong_with_a_document_is_said_with_the_status_asked_for(
    client: httpx.AsyncClient, text: str, named: str
) -> None:
    await refused(client, body(text), named)
    newer = JSON | {"Accept": "application/graphql-response+json"}
    response = await client.post("/graphql", content=body(text), headers=newer)
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith(newer["Accept"])
    assert "data" not in response.json()


@pytest.mark.parametrize(
    ("status", "method", "arguments"),
    [
        (415, "POST", {"content": VIEWER.encode()}),
        (415, "POST", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
        (415, "POST", {"data": {"query": VIEWER}}),
        (415, "POST", {"files": {"operations": b"{}"}}),
        (405, "PUT", {"json": {"query": VIEWER}}),
        (405, "DELETE", {}),
        (405, "GET", {"params": {"query": ONE_JOB}}),
        (400, "GET", {"params": {"query": VIEWER, "variables": "{"}}),
        (400, "GET", {"params": {"query": VIEWER, "variables": '{"x": NaN}'}}),
        (400, "GET", {"params": {"query": VIEWER, "operationName": "B"}}),
        (400, "GET", {"params": {"query": VIEWER, "variables": "0"}}),
        (400, "GET", {"params": {"query": VIEWER, "extensions": "[]"}}),
        (400, "GET", {"params": {"query": VIEWER, "extensions": "{"}}),
        (400, "GET", {"params": {"variables": "{}"}}),
        (413, "POST", {"json": {"query": " " * 2**20}}),
    ],
)
async def test_a_request_is_answered_with_its_status(
    client: httpx.AsyncClient, status: int, method: str, arguments: dict[str, Any]
) -> None:
    headers = {"Accept": "application/json", **arguments.get("headers", {})}
    response = await client.request(method, "/graphql", **arguments | {"headers": headers})
    assert response.status_code == status
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert ("Allow" in response.headers) == (status == 405)


async def test_one_of_several_operations_is_run_by_its_name(client: httpx.AsyncClient) -> None:
    text = "query A { viewer { user } } query B { jobs { totalCount } }"
    for _ in range(2):
        for name, data in (
            ("A", {"viewer": {"user": "local"}}),
            ("B", {"jobs": {"totalCount": 1}}),
        ):
            sent = {"query": text, "operationName": name}
            response = await client.post("/graphql", json=sent, headers=JSON)
            assert response.json() == {"data": data}


@pytest.mark.parametrize(
    ("method", "given_"),
    [
        ("POST", {"variables": None, "extensions": None, "operationName": None}),
        ("POST", {"variables": {}, "extensions": {"a": 1}, "operationName": ""}),
        ("GET", {"variables": "", "extensions": "", "operationName": ""}),
        ("GET", {"variables": "{}", "extensions": '{"a": 1}'}),
    ],
)
async def test_parameters_may_be_empty(
    client: httpx.AsyncClient, method: str, given_: dict[str, Any]
) -> None:
    sent = {"query": VIEWER} | given_
    response = await client.request(
        method, "/graphql", **({"json": sent} if method == "POST" else {"params": sent})
    )
    assert response.json() == {"data": {"viewer": {"user": "local"}}}


async def test_a_query_may_come_by_get(client: httpx.AsyncClient) -> None:
    text = "query($n: Int) { jobs(first: $n) { nodes { jobId } } }"
    given_ = {"query": text, "variables": '{"n": 1}'}
    for _ in range(2):
        response = await client.get("/graphql", params=given_, headers={"X-Project-Id": "p1"})
        assert response.json() == {"data": {"jobs": {"nodes": [{"jobId": "j"}]}}}


@pytest.mark.parametrize(
    ("accept", "newer"),
    [
        ("application/graphql-response+json", True),
        ("Application/GraphQL-Response+JSON;q=0.5", True),
        ("application/graphql-response+json, application/json;q=0.9", True),
        ("application/graphql-response+json, application/json", True),
        ("application/graphql-response+json;q=0, application/json", False),
        ("application/graphql-response+json;q=0.5, application/json", False),
        ("application/json", False),
        ("application/*", False),
        ("*/*", False),
        ("", False),
        ("application/graphql-response+json;q=0, */*", False),
        ("application/json;q=0, application/graphql-response+json", True),
        ("application/json;q=0, */*", True),
        ("application/json;q=0.5, application/*", True),
        ("*/*;q=0.1, application/graphql-response+json;q=0.1", True),
        ("application/graphql-response+json;q=0.5, */*", False),
        ("application/graphql-response+json;q=nonsense", True),
        ('text/plain;x=",application/json", application/graphql-response+json', True),
        ("application/json;v=1;q=0, application/json, application/*;q=0.9", False),
    ],
)
async def test_the_media_type_is_negotiated(
    client: httpx.AsyncClient, accept: str, *, newer: bool
) -> None:
    response = await client.post("/graphql", json={"query": VIEWER}, headers={"Accept": accept})
    name = "graphql-response+json" if newer else "json"
    assert response.headers["Content-Type"] == f"application/{name}; charset=utf-8"
    assert response.json() == {"data": {"viewer": {"user": "local"}}}
    # On two lines it is the same list.
    lines = [("Accept", "image/gif"), ("Accept", accept or "application/json")]
    response = await client.post("/graphql", json={"query": VIEWER}, headers=lines)
    assert response.headers["Content-Type"] == f"application/{name}; charset=utf-8"


@pytest.mark.parametrize(
    "accept",
    [
        "application/graphql-response+json;q=0, application/json;q=0",
        "application/json;q=0.0",
        "application/*;q=0, */*",
        "*/*;q=0",
        "text/html",
    ],
)
async def test_what_the_caller_does_not_take_is_not_executed(
    client: httpx.AsyncClient, accept: str
) -> None:
    ask = {"json": {"query": ONE_JOB}, "headers": JSON | {"Accept": accept}}
    response = await client.post("/graphql", **ask)
    assert response.status_code == 406
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    response = await client.post(
        "/graphql", json={"query": "{ jobs { totalCount } }"}, headers=JSON
    )
    assert response.json() == {"data": {"jobs": {"totalCount": 1}}}
