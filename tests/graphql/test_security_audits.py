"""What GraphQL's security audits look for: the thirteen checks of graphql-cop, and GraphQL Armor's.

Armor's limits: aliases, depth, directives, tokens, characters, cost, and suggestions. The cost is
tested in `test_cost`, every limit at its very size in `test_limits`.
"""

import httpx
import pytest

from tests.support.apps import MakeClient

pytestmark = pytest.mark.anyio


def typename(response: httpx.Response) -> bool:
    """Return True for an answer that has data."""
    body = response.json()
    return bool(isinstance(body, dict) and body.get("data"))


COP = "query cop { __typename }"
CIRCLE = (
    "query cop { __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
)
CLOSED = {"graphql_introspection_roles": "nobody"}
"""As in production. By default everybody may ask for the schema: on loopback that is the user."""


async def asked(client: httpx.AsyncClient, query: str) -> httpx.Response:
    return await client.post("/graphql", json={"query": query})


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (
            "query cop {" + " ".join(f"alias{n}: __typename" for n in range(101)) + "}",
            "101 root fields",
        ),
        ("query cop {" + "__typename " * 500 + "}", "pairs of fields"),
        ("query cop { __typename " + "@a" * 51 + "}", "more than 50 directives"),
        (CIRCLE, "Maximum introspection depth exceeded"),
        ("query cop { ...A } fragment A on Query { ...B } fragment B on Query { ...A }", "within"),
        ("qwerty cop { abc }", "Syntax Error"),
        ("query cop {" + "a" * 10_000 + "}", "more than 10000 characters"),
        ("query cop {" + "__typename " * 650 + "}", "more than 650 tokens"),
        ("{ jobs { nodes { " + "client { jobs { nodes { " * 6 + "id" + "}}}" * 6 + "}}}", "levels"),
    ],
)
@pytest.mark.parametrize("given_", [{}, CLOSED])
async def test_what_overloads_is_refused_everywhere(
    make_client: MakeClient, given_: dict[str, object], query: str, named: str
) -> None:
    response = await asked(await make_client(**given_), query)
    (error, *_) = response.json()["errors"]
    assert named in error["message"]
    assert error["extensions"].keys() == {"code", "requestId"}
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert not typename(response)


async def test_ten_directives_that_are_unknown_are_not_told_one_by_one(
    make_client: MakeClient,
) -> None:
    response = await asked(await make_client(), "query cop { __typename " + "@aa" * 10 + " }")
    assert len(response.json()["errors"]) < 10


async def test_batches_are_refused(make_client: MakeClient) -> None:
    response = await (await make_client()).post("/graphql", json=[{"query": COP}] * 10)
    assert response.status_code == 400
    assert not isinstance(response.json(), list)


async def test_other_sites_can_send_nothing_that_changes_something(
    make_client: MakeClient,
) -> None:
    client = await make_client()
    # Queries by GET are answered on purpose: they change nothing, and no other site can read them.
    assert typename(await client.get("/graphql", params={"query": COP}))
    by_get = await client.get("/graphql", params={"query": "mutation cop { __typename }"})
    assert by_get.status_code == 405
    by_form = await client.post("/graphql", data={"query": COP})
    assert by_form.status_code == 415
    for response in (by_get, by_form):
        assert not typename(response)
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "query",
    ["query cop { __schema { types { name fields { name } } } }", "{ __schema { directive } }"],
)
async def test_a_closed_schema_is_neither_shown_nor_suggested(
    make_client: MakeClient, query: str
) -> None:
    closed = await asked(await make_client(**CLOSED), query)
    assert not typename(closed)
    assert "Did you mean" not in closed.text
    opened = await asked(await make_client(), query)
    assert typename(opened) or "Did you mean" in opened.text


async def test_no_answer_has_a_trace(make_client: MakeClient) -> None:
    for query in (COP, "qwerty cop { abc }", "{ nothing }"):
        response = await asked(await make_client(), query)
        for word in ("tracing", "exception", "Traceback", "stacktrace"):
            assert word not in response.text


async def test_the_page_of_graphiql_shows_nothing_of_a_closed_schema(
    make_client: MakeClient,
) -> None:
    # The page is served on purpose; what it asks is asked by its reader, with the reader's roles.
    client = await make_client(**CLOSED)
    page = await client.get("/graphql", headers={"Accept": "text/html"})
    assert "JobConnection" not in page.text
    assert "Content-Security-Policy" in page.headers or page.status_code != 200
