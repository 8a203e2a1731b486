"""Streams of callers with tokens: they end with the token, and follow what becomes of it."""

import time
from dataclasses import replace

import pytest

from gateway.auth.keystone import Validation
from gateway.context import Context
from gateway.errors import Unavailable
from gateway.resolvers import clients
from gateway.resolvers.clients import ClientDraft
from gateway.settings import Settings
from tests.support.streams import Stream, subscribed
from tests.support.tokens import ALICE, LONG, Keystone, impatient, served

pytestmark = pytest.mark.anyio

LIVE = "subscription { live(interval: 200) { clients { nodes { clientId } } } }"
CHANGES = "subscription { changes(coalesce: 0) { cursor isReset } }"


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask Keystone again at once."""
    impatient(monkeypatch)


async def ends_with(stream: Stream) -> str:
    """Return the code of the error by which a stream is complete."""
    event = await stream.event()
    assert event is not None
    (error,) = event.data["errors"]
    last = await stream.event()
    assert last is not None
    assert last.name == "complete"
    assert await stream.event() is None
    return str(error["extensions"]["code"])


@pytest.mark.parametrize("query", [LIVE, CHANGES])
async def test_a_stream_ends_with_its_token(settings: Settings, query: str) -> None:
    keystone = Keystone(Validation(ALICE, time.time() + 0.5))
    async with (
        served(settings, keystone) as app,
        subscribed(app, query, x_auth_token="t") as stream,  # noqa: S106 - for tests
    ):
        await stream.data()
        assert await ends_with(stream) == "UNAUTHENTICATED"


async def test_a_stream_needs_a_token(settings: Settings) -> None:
    async with (
        served(settings, Keystone(Validation(None))) as app,
        subscribed(app, LIVE, x_auth_token="t") as stream,  # noqa: S106 - for tests
    ):
        assert await stream.started() == 401


async def test_a_token_that_is_revoked_ends_its_stream(settings: Settings) -> None:
    keystone = Keystone(Validation(ALICE, LONG * 10))
    async with (
        served(settings, keystone, cache_time=1) as app,
        subscribed(app, LIVE, x_auth_token="t") as stream,  # noqa: S106 - for tests
    ):
        await stream.data()
        keystone.verdict = Validation(None)
        assert await ends_with(stream) == "UNAUTHENTICATED"
        assert keystone.asked == 2


async def test_a_caller_who_loses_a_role_loses_what_it_shows(
    settings: Settings, ctx: Context
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    keystone = Keystone(Validation(ALICE, LONG * 10))
    async with (
        served(settings, keystone, cache_time=1) as app,
        subscribed(app, LIVE, x_auth_token="t") as stream,  # noqa: S106 - for tests
    ):
        assert (await stream.data())["live"]["clients"]["nodes"] == [{"clientId": "one"}]
        keystone.verdict = Validation(replace(ALICE, roles=frozenset({"other"})), LONG * 10)
        event = await stream.event()
        assert event is not None
        assert {error["extensions"]["code"] for error in event.data["errors"]} == {"FORBIDDEN"}


async def test_a_keystone_that_is_down_ends_no_stream_before_the_token_does(
    settings: Settings, ctx: Context
) -> None:
    keystone = Keystone(Validation(ALICE, time.time() + 3))
    async with (
        served(settings, keystone, cache_time=1) as app,
        subscribed(app, LIVE, x_auth_token="t") as stream,  # noqa: S106 - for tests
    ):
        await stream.data()
        keystone.verdict = Unavailable("Keystone doesn't answer")
        await clients.create(ctx, ClientDraft("one"))
        assert (await stream.data())["live"]["clients"]["nodes"] == [{"clientId": "one"}]
        assert await ends_with(stream) == "UNAUTHENTICATED"
        assert keystone.asked > 2


async def test_callers_of_one_project_share_what_their_rights_show(
    settings: Settings, ctx: Context
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    keystone = Keystone(Validation(ALICE, LONG * 10))
    async with served(settings, keystone) as app, subscribed(app, LIVE, x_auth_token="a") as first:  # noqa: S106 - for tests
        await first.data()
        keystone.verdict = Validation(replace(ALICE, user_id="2", user_name="bob"), LONG * 10)
        async with subscribed(app, LIVE, x_auth_token="b") as second:  # noqa: S106
            await second.data()
            assert len(app.state.subscriptions.live.at_work()) == 1
            # But not what tells who asks.
            own = LIVE.replace("clients {", "viewer { userName } clients {")
            async with (
                subscribed(app, own, x_auth_token="a") as alices,  # noqa: S106
                subscribed(app, own, x_auth_token="b") as bobs,  # noqa: S106
            ):
                assert (await alices.data())["live"]["viewer"] == {"userName": "alice"}
                assert (await bobs.data())["live"]["viewer"] == {"userName": "bob"}


async def test_a_token_that_is_never_cached_ends_its_stream_though_keystone_is_down(
    settings: Settings,
) -> None:
    keystone = Keystone(Validation(ALICE, time.time() + 2, reusable=False))
    async with (
        served(settings, keystone) as app,
        subscribed(app, LIVE, x_auth_token="t") as stream,  # noqa: S106 - for tests
    ):
        await stream.data()
        keystone.verdict = Unavailable("Keystone doesn't answer")
        assert await ends_with(stream) == "UNAUTHENTICATED"
