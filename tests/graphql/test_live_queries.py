"""Live queries: answered at once, and again whenever a fresh query would be answered otherwise."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth import policy
from gateway.context import Context
from gateway.errors import Unavailable
from gateway.resolvers import backups, clients, jobs
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.schema.execution import live_queries
from gateway.schema.execution.live_queries import LiveQuery
from gateway.schema.execution.subscribing import Subscriptions
from gateway.settings import Settings, load
from tests.support.apps import MakeContext, opened
from tests.support.global_ids import global_id
from tests.support.keeping import keeping
from tests.support.queries import metadata
from tests.support.streams import PATIENCE, subscribed

pytestmark = pytest.mark.anyio

HOSTS = "clients { nodes { clientId description } }"
LIVE = f"subscription {{ live(interval: 200) {{ {HOSTS} }} }}"


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


async def register(client: httpx.AsyncClient, name: str, project: str = "p1") -> None:
    """Register a client by REST."""
    answer = await client.post(f"/v2/{project}/clients", json={"client_id": name})
    assert answer.status_code == 201


def names(data: Any) -> list[str]:
    return [node["clientId"] for node in data["live"]["clients"]["nodes"]]


def groups(app: Starlette) -> list[LiveQuery]:
    subscriptions: Subscriptions = app.state.subscriptions
    return list(subscriptions.live.at_work())


async def test_a_query_is_answered_at_once_and_again_when_its_answer_differs(
    started: Starlette, ctx: Context, other: httpx.AsyncClient
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    async with subscribed(started, LIVE) as stream:
        assert await stream.started() == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert names(await stream.data()) == ["one"]
        await register(other, "two")
        assert names(await stream.data()) == ["one", "two"]
        # Nothing that it shows.
        await jobs.create(ctx, JobDraft([], job_id="job"))
        await register(other, "three", project="p2")
        await register(other, "three")
        assert names(await stream.data()) == ["one", "three", "two"]


async def test_any_query_becomes_live_by_wrapping_it(
    started: Starlette, ctx: Context, client: httpx.AsyncClient
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    await backups.create(ctx, BackupDraft(metadata(0)))
    inner = """
      ...Parts
      first: clients(first: $first, orderBy: {field: CLIENT_ID}) { totalCount ...Hosts }
      viewer { user permissions } __typename
      node(id: $id) { id ... on Client { clientId } }
      nothing: job(jobId: "nothing") { id }
    """
    rest = """
      fragment Parts on Query { backups { nodes { backupId series { id } } } }
      fragment Hosts on ClientConnection { edges { node { clientId jobs { totalCount } } } }
    """
    head = "($first: Int, $id: ID!)"
    ids = "{ clients { nodes { id } } }"
    found = await client.post("/graphql", json={"query": ids}, headers={"X-Project-Id": "p1"})
    variables = {"first": 1, "id": found.json()["data"]["clients"]["nodes"][0]["id"]}
    query = f"query Q{head} {{ {inner} }} {rest}"
    once = await client.post(
        "/graphql", json={"query": query, "variables": variables}, headers={"X-Project-Id": "p1"}
    )
    wrapped = f"subscription Q{head} {{ live {{ {inner} }} }} {rest}"
    async with subscribed(started, wrapped, variables) as stream:
        assert (await stream.data())["live"] == once.json()["data"]


async def test_errors_have_the_path_of_the_live_field(started: Starlette, ctx: Context) -> None:
    await clients.create(ctx, ClientDraft("one"))
    query = 'subscription { live { clients { nodes { clientId } } node(id: "x") { id } } }'
    async with subscribed(started, query) as stream:
        event = await stream.event()
    assert event is not None
    assert event.data["data"]["live"]["clients"]["nodes"] == [{"clientId": "one"}]
    assert event.data["data"]["live"]["node"] is None
    (error,) = event.data["errors"]
    assert error["path"] == ["live", "node"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_identical_ones_share_one_execution_and_one_answer(
    started: Starlette, ctx: Context, other: httpx.AsyncClient
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    async with (
        subscribed(started, LIVE) as first,
        subscribed(started, LIVE) as second,
        subscribed(started, LIVE, project="p2") as elsewhere,
    ):
        for stream in (first, second):
            assert names(await stream.data()) == ["one"]
        assert names(await elsewhere.data()) == []
        ours, _ = groups(started)
        assert ours.begun == 1
        await register(other, "two")
        for stream in (first, second):
            assert names(await stream.data()) == ["one", "two"]
        assert ours.begun == 2
        # One that comes later shares what there is.
        async with subscribed(started, LIVE) as third:
            assert names(await third.data()) == ["one", "two"]
        assert len(groups(started)) == 2
    assert groups(started) == []


async def test_a_subscriber_who_comes_later_sees_what_was_written_before(
    started: Starlette, ctx: Context, other: httpx.AsyncClient
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    query = LIVE.replace("200", "3600000")
    async with subscribed(started, query) as first:
        assert names(await first.data()) == ["one"]
        await register(other, "two")
        async with subscribed(started, query) as second:
            assert names(await second.data()) == ["one", "two"]
        # Whoever was there before has it as well then, although not an hour has passed.
        assert names(await first.data()) == ["one", "two"]


async def test_a_slow_subscriber_gets_the_newest_answer_only(
    started: Starlette, ctx: Context
) -> None:
    async with subscribed(started, LIVE) as slow, subscribed(started, LIVE) as fast:
        assert names(await slow.data()) == names(await fast.data()) == []
        slow.may_write.clear()
        expected = []
        for number in range(4):
            expected.append(f"host{number}")
            await clients.create(ctx, ClientDraft(expected[-1]))
            while names(await fast.data()) != expected:
                pass
        slow.may_write.set()
        # What was on its way, and then the last one.
        seen = [names(await slow.data())]
        while seen[-1] != expected:
            seen.append(names(await slow.data()))
        assert len(seen) <= 2


async def test_rights_part_subscribers(
    settings: Settings, ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "REREAD_SECONDS", 0)
    file = tmp_path / "policy.yaml"
    file.write_text("{}")
    await clients.create(ctx, ClientDraft("one"))
    app = create_app(settings.model_copy(update={"policy_file": file}))
    async with opened(app), subscribed(app, LIVE) as stream:
        assert names(await stream.data()) == ["one"]
        file.write_text('"clients:get_all": "!"\n')
        await clients.create(ctx, ClientDraft("two"))
        event = await stream.event()
        assert event is not None
        assert "two" not in json.dumps(event.data)
        assert {error["extensions"]["code"] for error in event.data["errors"]} == {"FORBIDDEN"}


async def test_what_depends_on_the_clock_is_asked_again_when_a_run_is_due(
    started: Starlette, ctx: Context
) -> None:
    await jobs.create(ctx, JobDraft([], job_id="job"))
    query = "subscription { live { overview { jobs: __typename } jobs { nodes { jobId } } } }"
    async with subscribed(started, query) as stream:
        await stream.data()
        (group,) = groups(started)
        assert group.is_timed
    async with subscribed(started, LIVE) as stream:
        await stream.data()
        (group,) = groups(started)
        assert not group.is_timed


async def test_all_projects_are_looked_at_again_and_again(
    started: Starlette, make_ctx: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queries, "ACROSS_SECONDS", 0.01)
    query = LIVE.replace("clients {", "clients(allProjects: true) {")
    async with subscribed(started, query) as stream:
        assert names(await stream.data()) == []
        await clients.create(make_ctx("p2"), ClientDraft("elsewhere"))
        assert names(await stream.data()) == ["elsewhere"]


async def test_items_of_other_projects_are_looked_at_again_and_again(
    database_url: str, make_ctx: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their revisions aren't the project's, and nobody says in the query whose they are."""
    monkeypatch.setattr(live_queries, "ACROSS_SECONDS", 0.01)
    job = await jobs.create(make_ctx("p2"), JobDraft([], job_id="job", description="old"))
    by_id = f'node(id: "{global_id("Job", "p2", "job")}") {{ ... on Job {{ description }} }}'
    query = f"subscription {{ live(interval: 200) {{ {by_id} }} }}"
    async with keeping(database_url, roles=True) as client:
        app = client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001
        async with (
            subscribed(app, query, x_auth_token="root@p1:admin") as admin,  # noqa: S106
            subscribed(app, query, x_auth_token="bob@p1:member") as member,  # noqa: S106
        ):
            assert await admin.data() == {"live": {"node": {"description": "old"}}}
            assert await member.data() == {"live": {"node": None}}
            await jobs.update(make_ctx("p2"), job.id, {"description": "new"})
            assert await admin.data() == {"live": {"node": {"description": "new"}}}
            assert {group.is_timed for group in groups(app)} == {True, False}


@pytest.mark.parametrize("interval", ["199", "3600001", "0", "-1"])
async def test_an_interval_out_of_bounds_is_refused(started: Starlette, interval: str) -> None:
    query = LIVE.replace("200", interval)
    async with subscribed(started, query) as stream:
        assert await stream.started() == 200
        event = await stream.event()
        assert event is not None
        (error,) = event.data["errors"]
        assert error["extensions"] | {"requestId": ""} == {
            "code": "BAD_USER_INPUT",
            "field": "interval",
            "requestId": "",
        }
        assert interval in error["message"]
        assert (await stream.event())[:2] == ("complete", None)  # type: ignore[index]
        assert await stream.event() is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { live { nothing } }", "BAD_USER_INPUT"),
        ("subscription { live { clients { nodes { id } } } changes { cursor } }", "BAD_USER_INPUT"),
        ("subscription { live { clients(first: 100000) { nodes { id } } } }", "BAD_USER_INPUT"),
        ("subscription S($x: Int!) { live(interval: $x) { __typename } }", "BAD_USER_INPUT"),
        ("subscription {", "BAD_USER_INPUT"),
    ],
)
async def test_an_operation_that_is_wrong_is_told_as_an_event(
    started: Starlette, query: str, code: str
) -> None:
    async with subscribed(started, query) as stream:
        assert await stream.started() == 200
        event = await stream.event()
        assert event is not None
        assert {error["extensions"]["code"] for error in event.data["errors"]} == {code}
        last = await stream.event()
        assert last is not None
        assert last.name == "complete"


async def test_queries_and_mutations_are_events_as_well(started: Starlette) -> None:
    text = 'mutation { registerClient(input: {clientId: "x"}) { client { clientId } } }'
    for query, expected in (
        (text, {"registerClient": {"client": {"clientId": "x"}}}),
        ("{ clients { totalCount } }", {"clients": {"totalCount": 1}}),
    ):
        async with subscribed(started, query) as stream:
            assert await stream.data() == expected
            last = await stream.event()
            assert last is not None
            assert last.name == "complete"
            assert await stream.event() is None


async def test_a_subscription_needs_a_stream(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": LIVE}, headers={"X-Project-Id": "p1"})
    (error,) = answer.json()["errors"]
    assert "text/event-stream" in error["message"]
    assert "data" not in answer.json()
    # A client that takes both gets what fits the operation.
    both = {"Accept": "application/json, text/event-stream", "X-Project-Id": "p1"}
    answer = await client.post("/graphql", json={"query": "{ __typename }"}, headers=both)
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_a_live_query_may_be_as_deep_as_the_query(database_url: str) -> None:
    app = create_app(load(database_url=database_url, graphql_max_depth=3))
    async with opened(app), subscribed(app, LIVE) as stream:
        assert names(await stream.data()) == []


async def test_a_restart_of_the_database_is_no_answer(
    started: Starlette, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queries, "FAILURE_SECONDS", 0.01)
    monkeypatch.setattr(Unavailable, "retry_after", 0.01)
    async with subscribed(started, LIVE) as stream:
        assert names(await stream.data()) == []
        (group,) = groups(started)
        run, failures = group.runner.run, 3

        async def failing(*given: Any) -> bytes:
            nonlocal failures
            if failures:
                failures -= 1
                raise Unavailable("the database doesn't answer")
            return await run(*given)

        monkeypatch.setattr(group.runner, "run", failing)
        await clients.create(ctx, ClientDraft("one"))
        assert names(await stream.data()) == ["one"]
        assert failures == 0


async def test_every_subscriber_ends_with_the_answer_of_a_fresh_query(
    started: Starlette, ctx: Context, other: httpx.AsyncClient
) -> None:
    queries = [
        f"subscription {{ live(interval: 200) {{ {HOSTS} n{n}: __typename }} }}" for n in range(3)
    ]

    async def follow(query: str, expected: int) -> float:
        async with subscribed(started, query) as stream:
            while len(names(await stream.data())) < expected:
                pass
            return time.monotonic()

    async with asyncio.timeout(PATIENCE):
        tasks = [asyncio.create_task(follow(query, 20)) for query in queries * 5]
        for number in range(20):
            if number % 2:
                await register(other, f"host{number}")
            else:
                await clients.create(ctx, ClientDraft(f"host{number}"))
        await asyncio.gather(*tasks)
