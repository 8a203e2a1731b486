"""Who may sign in by the gateway, and how what is wrong is answered; Keystone is never reached.

How a real Keystone answers is tested in `compat/test_signin.py`.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from tests.support.apps import MakeClient
from tests.support.threads import serving

pytestmark = pytest.mark.anyio

PATH = "/graphql/token"
ALICE = {"user": "alice", "password": "a secret that nobody tells"}
HOME = "http://127.0.0.1:9090"


class Stub(HTTPServer):
    """Stands where Keystone should; answers everything alike, and remembers what it was asked."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Listen on a free port of this machine."""
        super().__init__(("127.0.0.1", 0), Answering)
        self.answer = (status, headers, body)
        self.asked: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Stub

    def do_POST(self) -> None:
        """Answer, and remember who was said to ask."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["Forwarded"]))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def stub(
    status: int, headers: Mapping[str, str] | None = None, body: Any = None
) -> AbstractContextManager[Stub]:
    """Run a stub that answers so."""
    given = dict(headers or {}) | {"Content-Type": "application/json"}
    return serving(Stub(status, given, json.dumps(body or {}).encode()))


def keystone(auth_url: str = "http://127.0.0.1:1/v3", **given: str) -> dict[str, str]:
    """Return the settings of a gateway that asks Keystone there."""
    return {
        "auth": "keystone",
        "keystone_auth_url": auth_url,
        "keystone_username": "gateway",
        "keystone_password": "secret",
    } | given


async def refusal(
    client: httpx.AsyncClient, status: int, given: Any = None, **request: Any
) -> httpx.Response:
    """Send a request, and assert that it is refused so."""
    if given is not None:
        request["json"] = given
    response = await client.post(PATH, **request)
    assert response.status_code == status, response.text
    assert response.json().keys() == {"title", "description"}
    assert ALICE["password"] not in response.text
    return response


async def test_without_keystone_there_is_no_such_place(client: httpx.AsyncClient) -> None:
    await refusal(client, 404, ALICE)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "user"),
        ([], "object"),
        ("x", "object"),
        ({"user": "alice"}, "password"),
        ({"password": ALICE["password"]}, "user"),
        (ALICE | {"user": ""}, "user"),
        (ALICE | {"user": None}, "user"),
        (ALICE | {"project": 7}, "project"),
        ({"user": "alice", "password": [ALICE["password"]]}, "password"),
        (ALICE | {"scope": "system"}, "scope"),
        (ALICE | {"applicationCredentialId": "x"}, "applicationCredentialSecret"),
        ({"applicationCredentialSecret": ALICE["password"]}, "applicationCredentialId"),
        (
            {"applicationCredentialId": "x", "applicationCredentialSecret": "y", "project": "p"},
            "project",
        ),
    ],
)
async def test_what_cannot_be_used_is_named(make_client: MakeClient, given: Any, name: str) -> None:
    response = await refusal(await make_client(**keystone()), 400, given)
    assert name in response.json()["description"]


async def test_what_a_token_comes_with(make_client: MakeClient) -> None:
    client = await make_client(**keystone())
    headers = {"X-Auth-Token": "a-token"}
    for given in (ALICE, {"project": ""}, {"domain": "Default"}):
        await refusal(client, 400, given, headers=headers)
    for token in ("t\u00f6ken".encode("latin-1"), b"a\tb"):
        await refusal(client, 401, {}, headers={b"X-Auth-Token": token})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"user": "\\u0000"}', b'"\\ud800"', b"NaN"])
async def test_what_is_no_json(make_client: MakeClient, body: bytes) -> None:
    client = await make_client(**keystone())
    await refusal(client, 400, content=body, headers={"Content-Type": "application/json"})


async def test_what_http_refuses(make_client: MakeClient) -> None:
    client = await make_client(**keystone(), max_body_bytes=1024)
    await refusal(client, 413, ALICE | {"project": "p" * 1024})
    for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        await refusal(client, 415, content=b"{}", headers={"Content-Type": media_type})
    for path in (PATH, f"{PATH}/"):
        options = await client.options(path)
        assert (options.status_code, options.content) == (204, b"")
        for method in ("GET", "HEAD", "PUT", "PATCH"):
            response = await client.request(method, path)
            assert response.status_code == 405
            assert response.headers["Allow"] == options.headers["Allow"] == "DELETE, POST, OPTIONS"
        assert (await client.delete(path)).status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://127.0.0.1:9090",
        "http://127.0.0.1",
        f"{HOME}.evil",
        "",
    ],
)
async def test_pages_from_elsewhere_are_refused(make_client: MakeClient, origin: str) -> None:
    client = await make_client(**keystone())
    await refusal(client, 403, ALICE, headers={"Origin": origin})
    gone = await client.delete(PATH, headers={"Origin": origin, "X-Auth-Token": "a-token"})
    assert gone.status_code == 403


async def test_pages_that_may_call_the_api_are_refused_as_well(make_client: MakeClient) -> None:
    dashboard = "https://dashboard.example"
    client = await make_client(**keystone(), cors_origins=dashboard)
    response = await refusal(client, 403, ALICE, headers={"Origin": dashboard})
    assert "own" in response.json()["description"]


async def test_the_gateway_s_own_pages_are_welcome(make_client: MakeClient) -> None:
    # As far as a Keystone that isn't there.
    public = "https://freezer.example.org"
    client = await make_client(**keystone(), public_url=f"{public}/backup")
    for origin in (HOME, public):
        response = await refusal(client, 503, ALICE, headers={"Origin": origin})
        assert int(response.headers["Retry-After"]) > 0


async def test_keystone_is_told_who_asks(make_client: MakeClient) -> None:
    with stub(401) as server:
        for auth_url in (server.url, f"{server.url}/v3"):
            client = await make_client(**keystone(auth_url))
            response = await refusal(client, 401, ALICE)
            assert "WWW-Authenticate" not in response.headers
    assert server.asked == [("/v3/auth/tokens", "for=127.0.0.1")] * 2


async def test_passwords_go_nowhere_but_to_keystone(make_client: MakeClient) -> None:
    with stub(401) as elsewhere:
        for status in (301, 302, 307, 308):
            with stub(status, {"Location": f"{elsewhere.url}/v3/auth/tokens"}) as server:
                await refusal(await make_client(**keystone(server.url)), 503, ALICE)
                assert len(server.asked) == 1
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("status", "answered", "message", "says"),
    [
        (401, 401, "The request you have made requires authentication.", "has this password"),
        (401, 401, "The password is expired and needs to be changed for user: 7.", "expired"),
        (400, 400, "Expecting to find password in user.", "Expecting to find password"),
        (403, 403, "You are not authorized to do that.", "not authorized to do that"),
        (404, 503, "The requested URL was not found", "doesn't answer"),
        (413, 503, "Request is too large.", "doesn't answer"),
        (429, 503, "Too Many Requests", "doesn't answer"),
        (500, 503, "An unexpected error", "doesn't answer"),
        (503, 503, "", "doesn't answer"),
        (200, 503, "No token at all", "doesn't answer"),
    ],
)
async def test_what_keystone_says(
    make_client: MakeClient, status: int, answered: int, message: str, says: str
) -> None:
    with stub(status, body={"error": {"message": message, "code": status}}) as server:
        response = await refusal(await make_client(**keystone(server.url)), answered, ALICE)
    assert says in response.json()["description"]
