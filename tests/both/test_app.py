"""What happens around a request, whichever surface it is for."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.logs import identify
from gateway.settings import load
from tests.support.apps import MakeClient, app_of, opened
from tests.support.databases import Sqlite

pytestmark = pytest.mark.anyio

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DASHBOARD = "https://dashboard.example.org"
ELSEWHERE = "https://elsewhere.example.org"


@pytest.fixture
async def make_client(sqlite: Sqlite, sqlite_template: str) -> AsyncIterator[MakeClient]:
    """Return a function that makes a client; none of this depends on the kind of database."""
    async with AsyncExitStack() as stack:

        async def make(*, any_host: bool = False, **given: object) -> httpx.AsyncClient:
            settings = load(database_url=await sqlite.lend(sqlite_template), **given)
            return await stack.enter_async_context(opened(create_app(settings, any_host=any_host)))

        yield make


@pytest.fixture
async def client(make_client: MakeClient) -> httpx.AsyncClient:
    """Return a client with the default settings."""
    return await make_client()


def graphql_error(response: httpx.Response) -> dict[str, Any]:
    """Return the one error of a GraphQL answer."""
    assert response.headers["Content-Type"].startswith("application/")
    (error,) = response.json()["errors"]
    assert error["extensions"]["requestId"] == response.headers["X-Openstack-Request-Id"]
    return dict(error)


class Broken:
    """In place of the application's contexts: fails as nobody expects."""

    async def open(self, *_: object, **__: object) -> None:
        """Fail."""
        raise RuntimeError("the secret word is xyzzy")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthcheck", 200),
        ("GET", "/", 300),
        ("GET", "/v2/p/jobs", 200),
        ("GET", "/v2/p/jobs/none", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/v2/p/jobs", 405),
        ("OPTIONS", "/v2/p/jobs", 200),
        ("POST", "/v2/p/jobs", 400),
        ("POST", "/graphql", 415),
        ("PUT", "/graphql", 405),
        ("GET", "/graphql/", 400),
        ("OPTIONS", "/graphql", 204),
        ("GET", "/graphql/nowhere", 404),
    ],
)
async def test_every_answer_has_an_id(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    responses = [await client.request(method, path) for _ in range(2)]
    ids = {response.headers["X-Openstack-Request-Id"] for response in responses}
    assert [response.status_code for response in responses] == [status] * 2
    assert len(ids) == 2
    assert all(REQUEST_ID.fullmatch(request_id) for request_id in ids)
    assert responses[0].headers["X-Content-Type-Options"] == "nosniff"


async def test_one_line_a_request(client: httpx.AsyncClient) -> None:
    with capture_logs(processors=[identify]) as lines:
        response = await client.get("/v2/p%0Aq/jobs?token=secret", headers={"X-Auth-Token": "t0"})
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["path"] == "/v2/p%0Aq/jobs"
    assert (line["method"], line["status"]) == ("GET", response.status_code)
    assert line["request_id"] == response.headers["X-Openstack-Request-Id"]
    assert line["ms"] > 0
    assert "secret" not in str(lines)
    assert "t0" not in str(lines)


@pytest.mark.parametrize(
    ("path", "project"), [("/v2/q/jobs", "q"), ("/v2/q/jobs/none", "q"), ("/graphql", "r")]
)
async def test_lines_name_the_actor(client: httpx.AsyncClient, path: str, project: str) -> None:
    headers = {"X-Project-Id": "r"}
    with capture_logs(processors=[identify]) as lines:
        await client.get(path, params={"query": "{ viewer { user } }"}, headers=headers)
        await client.get("/healthcheck")
        await client.get("/v2/q/jobs", headers={"Host": "example.org"})
    let_in, *others = [line for line in lines if line["event"] == "request"]
    assert (let_in["user_id"], let_in["project_id"]) == ("local", project)
    # A request that wasn't let in has no actor, least of all the one before.
    assert others
    assert not any("user_id" in line or "project_id" in line for line in others)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2/p/jobs//j1/", "/v2/{project_id}/jobs/{job_id}"),
        ("/v2/p/sessions/s/jobs/j", "/v2/{project_id}/sessions/{session_id}/jobs/{job_id}"),
        ("/v2", "/v2"),
        ("/graphql", "/graphql"),
        ("/nowhere", None),
    ],
)
async def test_the_scope_names_the_route(
    client: httpx.AsyncClient, path: str, route: str | None
) -> None:
    scopes = []
    served = app_of(client).router

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await served(scope, receive, send)

    outermost = app_of(client).build_middleware_stack
    app_of(client).router, app_of(client).middleware_stack = recorded, None  # type: ignore[assignment]
    app_of(client).middleware_stack = outermost()
    await client.get(path)
    assert [getattr(scope["route"], "path", None) for scope in scopes] == [route]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_long_a_body(make_client: MakeClient, *, chunked: bool) -> None:
    client = await make_client(max_body_bytes=2000)
    check_lengths = json.dumps({"client_id": "host", "description": "x"}).encode()
    check_lengths += b" " * (2000 - len(check_lengths))
    for body, status in ((check_lengths, 201), (check_lengths + b" ", 413)):
        content = chunks(body[:1500], body[1500:]) if chunked else body
        response = await client.post("/v2/p/clients", content=content)
        assert response.status_code == status
    assert response.json()["title"] == "Request Entity Too Large"
    assert "2000 bytes" in response.json()["description"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_long_an_operation(make_client: MakeClient, *, chunked: bool) -> None:
    client = await make_client(max_body_bytes=2000)
    body = json.dumps({"query": "{ viewer { user } }"}).encode()
    headers = {"Content-Type": "application/json"}
    for padding, status in ((2000 - len(body), 200), (2001 - len(body), 413)):
        padded = body + b" " * padding
        content = chunks(padded[:1500], padded[1500:]) if chunked else padded
        response = await client.post("/graphql", content=content, headers=headers)
        assert response.status_code == status
    assert graphql_error(response)["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9090", "127.0.0.1", "127.0.0.2:80", "[::1]", "[::1]:9090"],
)
async def test_hosts_of_this_machine(client: httpx.AsyncClient, host: str) -> None:
    response = await client.get("/v2/p/jobs", headers={"Host": host})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "127.example.org:9090",
        "192.168.0.1",
        "10.0.0.1:9090",
        "[::2]:9090",
        "",
    ],
)
async def test_other_hosts(client: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/healthcheck", "/v2/p/jobs", "/nowhere"):
        response = await client.get(path, headers={"Host": host})
        assert response.status_code == 403
        assert response.json()["title"] == "Access Forbidden"
    response = await client.get("/graphql", headers={"Host": host})
    assert response.status_code == 403
    assert graphql_error(response)["extensions"]["code"] == "FORBIDDEN"


async def test_a_request_is_addressed_to_one_host(make_client: MakeClient) -> None:
    keystone = {
        "auth": "keystone",
        "keystone_auth_url": "http://127.0.0.1:1/v3",
        "keystone_username": "gateway",
        "keystone_password": "secret",
    }
    for client in (await make_client(**keystone), await make_client(any_host=True)):
        for hosts in (["a.example", "b.example"], ["a.example", "a.example"], ["a, b"], ["a/b"]):
            lines = [("Host", host) for host in hosts]
            for path in ("/", "/healthcheck", "/v2/p/jobs"):
                response = await client.get(path, headers=lines)
                assert response.status_code == 400
                assert hosts[0] in response.json()["description"]
            response = await client.get("/graphql", headers=lines)
            assert response.status_code == 400
            assert graphql_error(response)["extensions"]["code"] == "BAD_USER_INPUT"
        response = await client.get("/", headers={"Host": "a.example:80"})
        (version,) = response.json()["versions"]
        assert version["links"][0]["href"] == "http://a.example:80/v2/"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:9090", 201),
        ("http://localhost:3000", 201),
        ("http://[::1]:3000", 201),
        (ELSEWHERE, 403),
        ("http://127.0.0.1.example.org", 403),
        ("http://localhost@example.org", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_origins(client: httpx.AsyncClient, origin: str, status: int) -> None:
    body = {"client_id": "host"}
    response = await client.post("/v2/p/clients", json=body, headers={"Origin": origin})
    assert response.status_code == status
    listed = (await client.get("/v2/p/clients")).json()["clients"]
    assert len(listed) == (status == 201)


async def test_any_host(make_client: MakeClient) -> None:
    client = await make_client(any_host=True)
    for origin, status in ((None, 200), ("http://gateway:9090", 200), (ELSEWHERE, 403)):
        headers = {"Host": "gateway:9090"} | ({"Origin": origin} if origin else {})
        response = await client.get("/v2/p/jobs", headers=headers)
        assert response.status_code == status


PREFLIGHT = {
    "Origin": DASHBOARD,
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "x-auth-token, x-project-id, if-match, prefer, content-type, "
    "content-encoding, idempotency-key",
}


async def test_dashboards_are_foreign_by_default(client: httpx.AsyncClient) -> None:
    response = await client.options("/v2/p/jobs/j", headers=PREFLIGHT)
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_dashboards_that_are_let_in(make_client: MakeClient) -> None:
    client = await make_client(cors_origins=f"{DASHBOARD}, https://other.example.org")
    preflight = await client.options("/v2/p/jobs/j", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == DASHBOARD
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    for path, status in (("/v2/p/jobs", 200), ("/v2/p/jobs?limit=0", 400), ("/nowhere", 404)):
        response = await client.get(path, headers={"Origin": DASHBOARD})
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == DASHBOARD
        exposed = response.headers["Access-Control-Expose-Headers"]
        assert set(exposed.split(", ")) >= {"Link", "Location", "ETag", "X-Openstack-Request-Id"}
    refused = await client.get("/v2/p/jobs", headers={"Origin": ELSEWHERE})
    assert refused.status_code == 403
    assert "Access-Control-Allow-Origin" not in refused.headers


async def test_dashboards_may_read_what_went_wrong(make_client: MakeClient) -> None:
    client = await make_client(cors_origins=DASHBOARD, max_body_bytes=2000)
    response = await client.post("/v2/p/jobs", content=b"x" * 2001, headers={"Origin": DASHBOARD})
    assert response.status_code == 413
    assert response.headers["Access-Control-Allow-Origin"] == DASHBOARD
    app_of(client).state.contexts = Broken()
    response = await client.get("/v2/p/jobs", headers={"Origin": DASHBOARD})
    assert response.status_code == 500
    assert response.headers["Access-Control-Allow-Origin"] == DASHBOARD


async def test_the_unexpected_is_masked(client: httpx.AsyncClient) -> None:
    app_of(client).state.contexts = Broken()
    with capture_logs(processors=[identify]) as lines:
        rest = await client.get("/v2/p/jobs")
        graphql = await client.post("/graphql", json={"query": "{ viewer { user } }"})
    assert rest.status_code == graphql.status_code == 500
    assert set(rest.json()) == {"title", "description"}
    assert graphql_error(graphql)["extensions"]["code"] == "INTERNAL"
    assert "xyzzy" not in rest.text + graphql.text
    logged = [line for line in lines if line["event"] == "unexpected error"]
    assert [line["request_id"] for line in logged] == [
        response.headers["X-Openstack-Request-Id"] for response in (rest, graphql)
    ]
    assert all(line["exc_info"] for line in logged)


async def test_only_graphql_has_websockets(client: httpx.AsyncClient) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    for path in ("/v2/p/jobs", "/", "/graphql/assets/x"):
        headers = [(b"host", b"localhost")]
        scope = {"type": "websocket", "path": path, "headers": headers, "query_string": b""}
        await app_of(client)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"] * 3
