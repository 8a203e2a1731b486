"""Caches: no answer to one caller may be given to another one, on either surface."""

import json
from collections.abc import Iterable

import httpx
import pytest

from gateway import app as application
from gateway import playground
from tests.support.apps import MakeClient

pytestmark = pytest.mark.anyio

BROWSER = {"Accept": "text/html, */*;q=0.8"}
VIEWER = "/graphql?query={viewer{project}}"
ANSWERS: dict[str, tuple[int, str, dict[str, str]]] = {
    "GraphQL": (200, f"GET {VIEWER}", {"Accept": "application/json"}),
    "a mutation by GET": (405, "GET /graphql?query=mutation{__typename}", {}),
    "an invalid operation": (400, "GET /graphql", {}),
    "GraphiQL": (200, "GET /graphql", BROWSER),
    "the versions": (300, "GET /", {}),
    "no version": (406, "GET /", {"Accept": "image/gif"}),
    "the resources": (200, "GET /v2", {}),
    "a list": (200, "GET /v2/p1/clients", {}),
    "a list's head": (200, "HEAD /v2/p1/clients", {}),
    "an unchanged list": (304, "GET /v2/p1/clients", {"If-None-Match": "*"}),
    "an item": (200, "GET /v2/p1/clients/host", {}),
    "an unchanged item": (304, "GET /v2/p1/clients/host", {"If-None-Match": "*"}),
    "no item": (404, "GET /v2/p1/clients/gone", {}),
    "a parameter that is wrong": (400, "GET /v2/p1/clients?limit=x", {}),
    "no address": (404, "GET /nowhere", {}),
    "a change": (201, "POST /v2/p1/clients", {}),
    "methods": (200, "OPTIONS /v2/p1/clients", {}),
    "a foreign page": (403, "GET /v2/p1/clients", {"Origin": "https://example.org"}),
}


def split(values: Iterable[str]) -> set[str]:
    """Return the words of the lines of a header, in lower case."""
    return {word.strip().lower() for line in values for word in line.split(",")}


def is_private(answer: httpx.Response) -> bool:
    """Return True if no cache may give the answer to a request with other headers."""
    varies = split(answer.headers.get_list("Vary"))
    control = split(answer.headers.get_list("Cache-Control"))
    return {"private", "no-cache"} <= control and {
        "x-project-id",
        "x-auth-token",
        "accept",
    } <= varies


@pytest.fixture(autouse=True)
def page(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every application serve a page of GraphiQL, with an asset."""
    folder = tmp_path_factory.mktemp("dist")
    (folder / "index.html").write_text("{{ title }}")
    (folder / "assets").mkdir()
    (folder / "assets" / "a-1.js").write_text("")
    made = playground.Playground(folder)
    monkeypatch.setattr(application.playground, "Playground", lambda: made)


@pytest.mark.parametrize("what", ANSWERS)
async def test_an_answer_is_for_the_caller_alone(client: httpx.AsyncClient, what: str) -> None:
    await client.post("/v2/p1/clients", json={"client_id": "host"})
    status, request, headers = ANSWERS[what]
    method, path = request.split(" ")
    content = json.dumps({"client_id": "host"}) if method == "POST" else b""
    answer = await client.request(method, path, headers=headers, content=content)
    assert answer.status_code == status
    assert is_private(answer)


async def test_callers_without_a_token_get_an_answer_for_them_alone(
    make_client: MakeClient,
) -> None:
    keystone = {
        "auth": "keystone",
        "keystone_auth_url": "http://127.0.0.1:1/v3",
        "keystone_username": "gateway",
        "keystone_password": "secret",
    }
    client = await make_client(**keystone, cors_origins=["https://horizon.example"])
    for path in (VIEWER, "/v2/p1/jobs"):
        answer = await client.get(path, headers={"Origin": "https://horizon.example"})
        assert answer.status_code == 401
        assert is_private(answer)
        assert "origin" in split(answer.headers.get_list("Vary"))


async def test_what_is_the_same_for_everybody_may_be_kept(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql/assets/a-1.js")
    assert answer.headers.get_list("Cache-Control") == ["public, max-age=31536000, immutable"]
    assert split(answer.headers.get_list("Vary")) == {"accept-encoding"}
