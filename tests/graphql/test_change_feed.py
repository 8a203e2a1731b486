"""The feed of changes tells every change once, or says that it can't."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway import demo
from gateway.app import create_app
from gateway.catalogue.column_types import now
from gateway.changes.trimming import ChangeLogTrimming
from gateway.context import Context
from gateway.errors import Unavailable
from gateway.resolvers import actions, backups, clients, health_settings, jobs
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.schema.execution import change_feeds
from gateway.schema.execution.subscribing import Subscriptions
from gateway.settings import Settings
from tests.support.apps import MakeContext, opened
from tests.support.queries import metadata
from tests.support.recorder import QueryRecorder
from tests.support.streams import PATIENCE, Stream, subscribed

pytestmark = pytest.mark.anyio

FIELDS = """{ cursor isReset changes { kind operation id version time
  node { id ... on Client { clientId } ... on Job { jobId } ... on Action { action } } } }"""
CHANGES = f"subscription {{ changes(coalesce: 0) {FIELDS} }}"
AFTER = f"subscription($after: String) {{ changes(coalesce: 0, after: $after) {FIELDS} }}"


@pytest.fixture
def started(app: Starlette, client: httpx.AsyncClient) -> Starlette:
    """Return the application, started with its client."""
    del client
    return app


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of another process's application on the same database."""
    async with opened(create_app(settings)) as client:
        yield client


async def message(stream: Stream) -> Any:
    return (await stream.data())["changes"]


async def first(stream: Stream) -> str:
    """Return the cursor of the first message of a stream without one."""
    found = await message(stream)
    assert found["isReset"] is True
    assert found["changes"] == []
    return str(found["cursor"])


async def told(stream: Stream, count: int = 1) -> list[tuple[Any, ...]]:
    """Return what happened to the next items, in as many messages as it takes."""
    found: list[tuple[Any, ...]] = []
    while len(found) < count:
        one = await message(stream)
        assert not one["isReset"]
        found += [
            (change["kind"], change["operation"], change["version"]) for change in one["changes"]
        ]
    return found


async def test_changes_are_told_with_their_items(
    started: Starlette, ctx: Context, other: httpx.AsyncClient
) -> None:
    before = now()
    async with subscribed(started, CHANGES) as stream:
        await first(stream)
        await clients.create(ctx, ClientDraft("one"))
        one = await message(stream)
        (change,) = one["changes"]
        assert change["node"] == {"id": change["id"], "clientId": "one"}
        assert (change["kind"], change["operation"], change["version"]) == ("CLIENT", "CREATED", 0)
        assert before.isoformat() < change["time"] < now().isoformat()
        answer = await other.delete("/v2/p1/clients/one")
        assert answer.status_code == 204
        (gone,) = (await message(stream))["changes"]
        assert (gone["operation"], gone["id"], gone["node"]) == ("DELETED", change["id"], None)
        await health_settings.set_objective(ctx, None, 60)
        (settings,) = (await message(stream))["changes"]
        assert settings | {"time": ""} == {
            "kind": "SETTINGS",
            "operation": "UPDATED",
            "id": None,
            "node": None,
            "version": None,
            "time": "",
        }


async def test_a_feed_goes_on_behind_its_cursor_also_in_another_process(
    started: Starlette, ctx: Context, settings: Settings
) -> None:
    async with subscribed(started, CHANGES) as stream:
        cursor = await first(stream)
        await clients.create(ctx, ClientDraft("one"))
        seen = await stream.event()
    assert seen is not None
    assert seen.id == seen.data["data"]["changes"]["cursor"] != cursor
    await clients.create(ctx, ClientDraft("two"))
    await clients.create(ctx, ClientDraft("two", description="more"))
    app = create_app(settings)
    async with opened(app), subscribed(app, AFTER, {"after": seen.id}) as stream:
        assert await told(stream) == [("CLIENT", "CREATED", 1)]
        async with subscribed(app, CHANGES, last_event_id=cursor) as again:
            assert [one["clientId"] for one in await hosts(again)] == ["one", "two"]


async def hosts(stream: Stream) -> list[Any]:
    return [change["node"] for change in (await message(stream))["changes"]]


async def test_a_cursor_that_the_log_does_not_know_is_reset(
    started: Starlette, ctx: Context, settings: Settings
) -> None:
    async with subscribed(started, CHANGES) as stream:
        cursor = await first(stream)
    for number in range(5):
        await clients.create(ctx, ClientDraft(f"host{number}"))
    few = settings.model_copy(update={"change_log_transactions": 2})
    await ChangeLogTrimming(ctx.db, few).trim()
    foreign = "3-12345-0-0"
    for after in (cursor, foreign, "99-1-99-1"):
        async with subscribed(started, AFTER, {"after": after}) as stream:
            head = await first(stream)
    async with subscribed(started, AFTER, {"after": head}) as stream:
        await clients.create(ctx, ClientDraft("more"))
        assert await told(stream) == [("CLIENT", "CREATED", 0)]


async def test_a_transaction_of_many_changes_is_a_reset(started: Starlette, ctx: Context) -> None:
    async with subscribed(started, CHANGES, project="demo") as stream:
        await first(stream)
        await demo.load(ctx.db)
        await first(stream)


async def test_only_the_chosen_kinds_are_told(started: Starlette, ctx: Context) -> None:
    query = CHANGES.replace("coalesce: 0", "coalesce: 0, kinds: [ACTION]")
    async with subscribed(started, query) as stream:
        await first(stream)
        await clients.create(ctx, ClientDraft("one"))
        await actions.create(ctx, ActionDraft({"action": "admin"}))
        assert await told(stream) == [("ACTION", "CREATED", 0)]


async def test_other_projects_are_told_of_central_clients_only(
    started: Starlette, make_ctx: MakeContext
) -> None:
    ours, theirs = make_ctx("p1"), make_ctx("p2")
    async with (
        subscribed(started, CHANGES) as own,
        subscribed(started, CHANGES, project="p2") as foreign,
    ):
        for stream in (own, foreign):
            await first(stream)
        await clients.create(ours, ClientDraft("secret"))
        await clients.create(ours, ClientDraft("central", is_central=True))
        await clients.create(theirs, ClientDraft("theirs"))
        found: list[Any] = []
        while len(found) < 2:
            found += await hosts(foreign)
        assert {one["clientId"] for one in found} == {"central", "theirs"}
        found = []
        while len(found) < 2:
            found += await hosts(own)
        assert [one["clientId"] for one in found] == ["secret", "central"]


async def test_no_change_is_left_out_whoever_writes(
    started: Starlette, ctx: Context, other: httpx.AsyncClient
) -> None:
    count = 60
    async with (
        subscribed(started, CHANGES.replace("coalesce: 0", "coalesce: 50")) as calm,
        subscribed(started, CHANGES) as eager,
        subscribed(started, CHANGES) as slow,
    ):
        for stream in (calm, eager, slow):
            await first(stream)
        slow.may_write.clear()

        async def write(number: int) -> None:
            if number % 2:
                answer = await other.post("/v2/p1/clients", json={"client_id": f"host{number:02}"})
                assert answer.status_code == 201
            else:
                await clients.create(ctx, ClientDraft(f"host{number:02}"))

        for start in range(0, count, 10):
            await asyncio.gather(*map(write, range(start, start + 10)))
        slow.may_write.set()
        for stream in (calm, eager, slow):
            found: list[str] = []
            async with asyncio.timeout(PATIENCE):
                while len(found) < count:
                    found += [one["clientId"] for one in await hosts(stream)]
            assert sorted(found) == [f"host{number:02}" for number in range(count)]


async def test_who_is_slow_gets_the_sum_of_what_has_happened(
    started: Starlette, ctx: Context
) -> None:
    async with subscribed(started, CHANGES) as slow, subscribed(started, CHANGES) as fast:
        await first(slow)
        await first(fast)
        await jobs.create(ctx, JobDraft([], job_id="before"))
        await told(fast)
        await told(slow)
        slow.may_write.clear()
        await jobs.update(ctx, "before", {"description": "on its way"})
        await told(fast)
        await jobs.create(ctx, JobDraft([], job_id="new"))
        for number in range(3):
            await jobs.update(ctx, "new", {"description": str(number)})
            await jobs.update(ctx, "before", {"description": str(number)})
        await jobs.create(ctx, JobDraft([], job_id="gone"))
        await jobs.delete(ctx, "gone")
        slow.may_write.set()
        found = {}
        while len(found) < 3:
            for change in (await message(slow))["changes"]:
                found[change["id"]] = (change["operation"], change["version"])
        assert sorted(found.values()) == [("CREATED", 3), ("DELETED", 0), ("UPDATED", 4)]


async def test_those_at_one_place_share_what_is_read(
    started: Starlette, other: httpx.AsyncClient, recorder: QueryRecorder
) -> None:
    async with (
        subscribed(started, CHANGES) as one,
        subscribed(started, CHANGES) as two,
        subscribed(started, CHANGES) as three,
    ):
        streams = (one, two, three)
        for stream in streams:
            await first(stream)
        subscriptions: Subscriptions = started.state.subscriptions
        assert len(subscriptions.feeds.at_work()) == 1
        with recorder:
            answer = await other.post("/v2/p1/clients", json={"client_id": "host"})
            assert answer.status_code == 201
            events = [await stream.event() for stream in streams]
        assert len(set(map(str, events))) == 1
        assert len(recorder.matching("FROM change_log")) == 1
        nodes = [text for text in recorder.matching("FROM clients") if "FOR UPDATE" not in text]
        assert len(nodes) <= 2


async def test_nobody_asks_while_nobody_listens(
    started: Starlette, ctx: Context, recorder: QueryRecorder
) -> None:
    async with subscribed(started, CHANGES) as stream:
        await first(stream)
    watcher = started.state.subscriptions.watcher
    async with asyncio.timeout(PATIENCE):
        await watcher.task
    with recorder:
        await clients.create(ctx, ClientDraft("one"))
    assert not recorder.matching("json_each")
    assert not recorder.matching("json_array_elements_text")


async def test_a_backup_is_told_with_its_series(started: Starlette, ctx: Context) -> None:
    query = """subscription { changes(coalesce: 0) { isReset changes { kind node {
      __typename ... on Series { backups { totalCount } } ... on Backup { backupId } } } } }"""
    async with subscribed(started, query) as stream:
        await stream.data()
        row = await backups.create(ctx, BackupDraft(metadata(0)))
        found = {one["kind"]: one["node"] for one in (await message(stream))["changes"]}
        assert found == {
            "BACKUP": {"__typename": "Backup", "backupId": row.id},
            "SERIES": {"__typename": "Series", "backups": {"totalCount": 1}},
        }


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ('after: "x"', "after"),
        ('after: ""', "after"),
        ("coalesce: -1", "coalesce"),
        ("coalesce: 3600001", "coalesce"),
    ],
)
async def test_arguments_out_of_bounds_are_refused(
    started: Starlette, arguments: str, field: str
) -> None:
    async with subscribed(started, f"subscription {{ changes({arguments}) {FIELDS} }}") as stream:
        event = await stream.event()
        assert event is not None
        (error,) = event.data["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["field"] == field


async def test_an_outage_delays_a_feed_and_takes_nothing_from_it(
    started: Starlette, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feeds, "FAILURE_SECONDS", 0.01)
    monkeypatch.setattr(Unavailable, "retry_after", 0.01)
    async with subscribed(started, CHANGES) as stream:
        await first(stream)
        log = started.state.subscriptions.watcher.log
        step, failures = log.step, 3

        async def failing(*given: Any) -> Any:
            nonlocal failures
            if failures:
                failures -= 1
                raise Unavailable("the database doesn't answer")
            return await step(*given)

        monkeypatch.setattr(log, "step", failing)
        await clients.create(ctx, ClientDraft("one"))
        assert await told(stream) == [("CLIENT", "CREATED", 0)]
        assert failures == 0
