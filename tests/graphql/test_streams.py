"""Streams: how many there may be, how they go on without messages, and how they end."""

import asyncio
import json

import httpx
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.context import Context
from gateway.resolvers import clients
from gateway.resolvers.clients import ClientDraft
from gateway.schema.execution.subscribing import Subscriptions
from gateway.schema.streams import Streams
from gateway.settings import Settings
from tests.support.apps import opened
from tests.support.streams import PATIENCE, Stream, subscribed

pytestmark = pytest.mark.anyio

LIVE = "subscription { live { clients { nodes { clientId } } } }"
CHANGES = "subscription { changes(coalesce: 0) { cursor isReset } }"


@pytest.fixture
def started(app: Starlette, client: httpx.AsyncClient) -> Starlette:
    """Return the application, started with its client."""
    del client
    return app


async def refusal(stream: Stream) -> tuple[int, str]:
    """Return the status, and the code of the error, of a stream that isn't one."""
    status = await stream.started()
    (error,) = json.loads(await stream.rest())["errors"]
    return status, error["extensions"]["code"]


def streams(app: Starlette) -> Streams:
    found: Streams = app.state.streams
    return found


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("max_streams", (503, "UNAVAILABLE")),
        ("max_project_streams", (429, "RATE_LIMITED")),
        ("max_user_streams", (429, "RATE_LIMITED")),
    ],
)
async def test_streams_are_limited(
    settings: Settings, setting: str, expected: tuple[int, str]
) -> None:
    app = create_app(settings.model_copy(update={setting: 2}))
    async with opened(app):
        async with subscribed(app, LIVE) as one, subscribed(app, CHANGES) as two:
            for stream in (one, two):
                await stream.data()
            async with subscribed(app, LIVE) as third:
                assert await refusal(third) == expected
                assert int(third.headers["retry-after"]) >= 1
            if setting != "max_streams":
                async with subscribed(app, LIVE, project="p2") as elsewhere:
                    await elsewhere.data()
        assert len(streams(app)) == 0
        async with subscribed(app, LIVE) as again:
            await again.data()


async def test_a_stream_without_messages_beats(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"stream_heartbeat": 0.1}))
    async with opened(app), subscribed(app, CHANGES) as stream:
        await stream.data()
        for _ in range(3):
            beat = await stream.event(comments=True)
            assert beat is not None
            assert beat.name == ":"


async def test_a_feed_is_open_before_anything_changes(started: Starlette) -> None:
    async with subscribed(started, CHANGES) as stream:
        cursor = (await stream.data())["changes"]["cursor"]
    async with subscribed(started, CHANGES, last_event_id=cursor) as stream:
        assert await stream.started() == 200
        beat = await stream.event(comments=True)
        assert beat is not None
        assert beat.name == ":"


async def test_a_client_that_hangs_up_leaves_nothing(started: Starlette, ctx: Context) -> None:
    subscriptions: Subscriptions = started.state.subscriptions
    async with subscribed(started, LIVE) as stream, subscribed(started, CHANGES) as feed:
        await stream.data()
        await feed.data()
        assert len(streams(started)) == 2
    assert len(streams(started)) == 0
    assert list(subscriptions.live.at_work()) == list(subscriptions.feeds.at_work()) == []
    await clients.create(ctx, ClientDraft("one"))


@pytest.mark.parametrize("query", [LIVE, CHANGES])
async def test_a_gateway_that_stops_ends_streams_so_that_clients_come_back(
    started: Starlette, query: str
) -> None:
    async with (
        subscribed(started, query) as posted,
        subscribed(started, query, method="GET") as got,
    ):
        for stream in (posted, got):
            await stream.data()
        streams(started).stop(0.01)
        # graphql-sse's own client knows no hint, and comes back by itself without `complete`.
        assert await posted.event() is None
        hint = await got.event()
        assert hint is not None
        assert hint.retry is not None
        assert 0 <= hint.retry <= 5000
        assert await got.event() is None
        async with subscribed(started, query) as late:
            assert await refusal(late) == (503, "UNAVAILABLE")


async def test_streams_end_one_after_the_other(started: Starlette) -> None:
    async with (
        subscribed(started, LIVE) as first,
        subscribed(started, LIVE) as second,
        subscribed(started, LIVE) as third,
    ):
        order: list[int] = []
        for stream in (first, second, third):
            await stream.data()

        async def ended(number: int, stream: Stream) -> None:
            assert await stream.event() is None
            order.append(number)

        tasks = [
            asyncio.create_task(ended(number, stream))
            for number, stream in enumerate((first, second, third))
        ]
        streams(started).stop(0.3)
        await asyncio.gather(*tasks)
        assert sorted(order) == [0, 1, 2]


async def test_a_client_that_reads_nothing_holds_no_queue(started: Starlette, ctx: Context) -> None:
    async with subscribed(started, CHANGES) as slow, subscribed(started, CHANGES) as fast:
        for stream in (slow, fast):
            await stream.data()
        slow.may_write.clear()
        for number in range(20):
            await clients.create(ctx, ClientDraft(f"host{number}"))
            await fast.data()
        slow.may_write.set()
        count = 0
        cursor = None
        async with asyncio.timeout(PATIENCE):
            last = await first_cursor(started)
            while cursor != last:
                cursor = (await slow.data())["changes"]["cursor"]
                count += 1
        assert count <= 3


async def first_cursor(app: Starlette) -> str:
    async with subscribed(app, CHANGES) as stream:
        return str((await stream.data())["changes"]["cursor"])
