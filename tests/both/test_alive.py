"""An estate that goes on working, by REST v2 alone: subscribers see all that happens."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.demo.alive import Alive, NoHostsError
from gateway.demo.runs import Event, Saved
from gateway.demo.service import Host, Service, ServiceError
from gateway.demo.timing import DAY, Rhythm
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Server
from tests.support.streams import PATIENCE, Stream, subscribed

pytestmark = pytest.mark.anyio

FAST = 20_000
FEED = "subscription { changes(coalesce: 0) { isReset changes { kind operation } } }"
LIVE = """subscription { live(interval: 200) {
  running: jobs(first: 1, where: {status: {eq: RUNNING}}) { totalCount }
  failed: runs(first: 1, where: {outcome: {eq: FAIL}}) { totalCount }
  backups(first: 1) { totalCount }
} }"""


@pytest.fixture
async def app(server: Server, demo_template: str) -> AsyncIterator[Starlette]:
    """Return an application with the sample data."""
    url = await server.create(demo_template)
    app = create_app(load(database_url=url))
    async with opened(app):
        yield app
    await server.drop(url)


@asynccontextmanager
async def working(
    app: Starlette, project: str = "demo", **given: Any
) -> AsyncIterator[list[Event]]:
    """Let a project work meanwhile; yield what happens."""
    events: list[Event] = []
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        settings = {"speed": FAST, "seed": 1} | given
        estate = Alive(Service(client, project), events.append, **settings)
        task = asyncio.create_task(estate.run())
        try:
            yield events
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def next_until(stream: Stream, holds: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds(await stream.data()):
            pass


async def test_a_feed_tells_what_schedulers_and_agents_do(app: Starlette) -> None:
    async with subscribed(app, FEED, project="demo") as feed:
        await feed.data()
        seen: set[tuple[str, str]] = set()
        expected = {("JOB", "UPDATED"), ("BACKUP", "CREATED"), ("SESSION", "UPDATED")}

        def has_all(data: Any) -> bool:
            assert not data["changes"]["isReset"]
            seen.update((one["kind"], one["operation"]) for one in data["changes"]["changes"])
            return seen >= expected

        async with working(app) as events:
            await next_until(feed, has_all)
            assert not [event for event in events if "doesn't answer" in event.text]
            assert len({event.host for event in events}) > 1


async def test_a_live_query_counts_runs_failures_and_backups(app: Starlette) -> None:
    async with subscribed(app, LIVE, project="demo") as stream:
        first = (await stream.data())["live"]

        def has_grown(data: Any) -> bool:
            live = data["live"]
            grown = [
                live[name]["totalCount"] > first[name]["totalCount"]
                for name in ("failed", "backups")
            ]
            return all(grown)

        async with working(app, failures=0.3):
            await next_until(stream, has_grown)


async def test_it_does_what_users_request(app: Starlette) -> None:
    transport = httpx.ASGITransport(app=app)
    query = """subscription { live(interval: 200) {
      jobs(first: 1, where: {description: {eq: "db1: optimise the tables"}}) {
        nodes { id status result event lastRun { outcome } } } } }"""

    def job(data: Any) -> Any:
        return data["live"]["jobs"]["nodes"][0]

    async with (
        subscribed(app, query, project="demo") as stream,
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        before = job(await stream.data())
        assert before["status"] == "COMPLETED"
        start = "mutation ($id: ID!) { startJob(input: {id: $id}) { job { status } } }"
        body = {"query": start, "variables": {"id": before["id"]}}
        started = await client.post("/graphql", json=body, headers={"X-Project-Id": "demo"})
        assert "errors" not in started.json()
        async with working(app, failures=0):
            await next_until(
                stream,
                lambda data: (
                    (job(data)["status"], job(data)["result"], job(data)["event"])
                    == ("COMPLETED", "SUCCESS", None)
                ),
            )


async def test_a_project_without_clients_has_nobody_to_work(app: Starlette) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        estate = Alive(Service(client, "empty"), print, speed=1, seed=1)
        with pytest.raises(NoHostsError, match="'empty' has no clients"):
            await estate.run()
        refused = Service(client, "nobody's")
        with pytest.raises(ServiceError, match="400"):
            await refused.hosts()


def schedule(**keys: str) -> dict[str, Any]:
    return {
        "job_id": "j",
        "job_schedule": {f"schedule_{name}": text for name, text in keys.items()},
    }


@pytest.mark.parametrize(
    ("keys", "period"),
    [
        ({"interval": "6 hours"}, DAY / 4),
        ({"hour": "1", "minute": "30"}, DAY),
        ({"day_of_week": "mon", "hour": "1"}, 7 * DAY),
        ({"interval": "every second day"}, None),
        ({"date": "2001-01-01T00:00:00"}, None),
        ({}, None),
    ],
)
def test_jobs_run_as_often_as_their_schedules_say(
    keys: dict[str, str], period: float | None
) -> None:
    rhythm = Rhythm(schedule(**keys), seed=1)
    assert rhythm.period == period
    if period is None:
        assert (rhythm.next_run(5) is None) == bool(keys)
        return
    first = rhythm.next_run(0)
    assert first is not None
    assert 0 <= first <= period
    assert rhythm.next_run(first) == first + period
    # Those of a session begin together.
    pair = [schedule(**keys) | {"job_id": name, "session_id": "s"} for name in "ab"]
    assert len({Rhythm(job, seed=1).next_run(0) for job in pair}) == 1


def test_backups_follow_one_another_in_chains() -> None:
    action = {"action": "backup", "backup_name": "b", "container": "c", "max_level": 2}
    host, chance = Host("c", "h"), random.Random(1)  # noqa: S311 - no secret
    made: list[dict[str, Any]] = []
    for _ in range(7):
        made.append(Saved.after(made, action, host, chance).metadata)
    assert [one["curr_backup_level"] for one in made] == [0, 1, 2, 0, 1, 2, 0]
    sizes = [one["backup_size_uncompressed"] for one in made]
    assert all(sizes[0] > 5 * sizes[at] for at in (1, 2, 4, 5))
    stamps = [one["time_stamp"] for one in made]
    assert stamps == sorted(set(stamps))
    # An agent that has told neither levels nor sizes goes on so.
    silent = [{"time_stamp": "7", "curr_backup_level": 0}]
    told = Saved.after(silent, action, host, chance).metadata
    assert told["curr_backup_level"] == 0
    assert "backup_size_uncompressed" not in told
