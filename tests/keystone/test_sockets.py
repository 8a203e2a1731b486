"""WebSockets of callers with tokens: who they are for, and how they end with the token."""

import time
from dataclasses import replace

import pytest

from gateway.auth.keystone import Validation
from gateway.context import Context
from gateway.errors import Unavailable
from gateway.resolvers import clients
from gateway.resolvers.clients import ClientDraft
from gateway.settings import Settings, load
from tests.support.sockets import connected
from tests.support.tokens import ALICE, KEYSTONE, LONG, Keystone, impatient, served

pytestmark = pytest.mark.anyio

QUERY = "{ viewer { userName } }"
LIVE = "subscription { live(interval: 200) { clients { nodes { clientId } } } }"


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask Keystone again at once."""
    impatient(monkeypatch)


@pytest.mark.parametrize(
    "payload",
    [
        {"X-Auth-Token": "t"},
        {"x-auth-token": "t", "other": {}},
        {"Authorization": "Bearer t"},
        {"authorization": "bearer  t"},
    ],
)
async def test_the_first_message_has_the_token(settings: Settings, payload: dict[str, str]) -> None:
    async with (
        served(settings, Keystone(Validation(ALICE, LONG * 10))) as app,
        connected(app, begins=False) as socket,
    ):
        await socket.begin(payload)
        socket.subscribe("1", QUERY)
        assert await socket.data("1") == {"viewer": {"userName": "alice"}}


async def test_the_handshake_may_have_the_token(settings: Settings) -> None:
    async with (
        served(settings, Keystone(Validation(ALICE, LONG * 10))) as app,
        connected(app, x_auth_token="t") as socket,  # noqa: S106 - for tests
    ):
        socket.subscribe("1", QUERY)
        assert await socket.data("1") == {"viewer": {"userName": "alice"}}


@pytest.mark.parametrize("payload", [None, {}, {"X-Auth-Token": "t"}, {"Authorization": "Basic x"}])
async def test_a_socket_needs_a_token(settings: Settings, payload: dict[str, str] | None) -> None:
    async with (
        served(settings, Keystone(Validation(None))) as app,
        connected(app, begins=False) as socket,
    ):
        socket.send({"type": "connection_init", "payload": payload})
        code, reason = await socket.closed()
        assert code == 4403
        assert "token" in reason


async def test_a_keystone_that_is_down_lets_clients_come_again(settings: Settings) -> None:
    async with (
        served(settings, Keystone(Unavailable("Keystone doesn't answer"))) as app,
        connected(app, begins=False) as socket,
    ):
        socket.send({"type": "connection_init", "payload": {"X-Auth-Token": "t"}})
        assert await socket.closed() == (1013, "Keystone doesn't answer")


@pytest.mark.parametrize("follows", [True, False])
async def test_a_socket_ends_with_its_token(settings: Settings, *, follows: bool) -> None:
    keystone = Keystone(Validation(ALICE, time.time() + 0.5))
    async with (
        served(settings, keystone) as app,
        connected(app, x_auth_token="t") as socket,  # noqa: S106 - for tests
    ):
        if follows:
            socket.subscribe("1", LIVE)
            await socket.data("1")
        assert await socket.closed() == (4403, "the token has expired")
        assert len(app.state.streams) == 0


async def test_a_token_that_is_revoked_ends_its_socket(settings: Settings) -> None:
    keystone = Keystone(Validation(ALICE, LONG * 10))
    async with (
        served(settings, keystone, cache_time=1) as app,
        connected(app, x_auth_token="t") as socket,  # noqa: S106 - for tests
    ):
        for key in ("1", "2"):
            socket.subscribe(key, LIVE)
            await socket.data(key)
        keystone.verdict = Validation(None)
        code, reason = await socket.closed()
        assert code == 4403
        assert "not valid" in reason
        assert keystone.asked == 2


async def test_a_caller_who_loses_a_role_loses_what_it_shows(
    settings: Settings, ctx: Context
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    keystone = Keystone(Validation(ALICE, LONG * 10))
    async with (
        served(settings, keystone, cache_time=1) as app,
        connected(app, x_auth_token="t") as socket,  # noqa: S106 - for tests
    ):
        socket.subscribe("1", LIVE)
        assert (await socket.data("1"))["live"]["clients"]["nodes"] == [{"clientId": "one"}]
        keystone.verdict = Validation(replace(ALICE, roles=frozenset({"other"})), LONG * 10)
        message = await socket.message()
        errors = message["payload"]["errors"]
        assert {error["extensions"]["code"] for error in errors} == {"FORBIDDEN"}


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("http://127.0.0.1", True),
        ("https://dashboard.example.org", True),
        ("https://elsewhere.example.org", False),
        ("http://localhost:3000", False),
    ],
)
async def test_pages_of_other_sites_open_no_sockets(
    settings: Settings, origin: str, *, is_let_in: bool
) -> None:
    given = load(
        **KEYSTONE,
        database_url=settings.database_url,
        cors_origins="https://dashboard.example.org",
        rate_limit="off",
    )
    async with (
        served(given, Keystone(Validation(ALICE, LONG * 10))) as app,
        connected(app, begins=False, origin=origin, x_auth_token="t") as socket,  # noqa: S106
    ):
        if is_let_in:
            await socket.begin()
        else:
            status, body = await socket.refused()
            assert status == 403
            assert "elsewhere" in str(body) or "localhost" in str(body)
