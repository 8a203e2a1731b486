"""Long polling: a list is answered once it differs from what the caller has, or time is over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.errors import Forbidden, Unauthenticated, Unavailable
from gateway.rest_compat import items, long_polling
from gateway.rest_compat.long_polling import LongPolls, Poll
from gateway.settings import load
from tests.support.apps import opened
from tests.support.keeping import Roles, state
from tests.support.streams import PATIENCE, subscribed

pytestmark = pytest.mark.anyio

Open = Callable[..., Awaitable[httpx.AsyncClient]]
LIVE = "subscription { live { clients { nodes { clientId } } } }"
LONG = 3600


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(long_polling, "AGAIN_SECONDS", 0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> asyncio.Semaphore:
    """Return what is released whenever a held list has been asked for again."""
    done = asyncio.Semaphore(0)
    again = Poll.again

    async def counted(poll: Poll) -> Any:
        try:
            return await again(poll)
        finally:
            done.release()

    monkeypatch.setattr(Poll, "again", counted)
    return done


@pytest.fixture
async def make(database_url: str) -> AsyncIterator[Open]:
    """Return a function that makes a client of another process's application."""
    async with AsyncExitStack() as stack:

        async def made(**given: object) -> httpx.AsyncClient:
            settings = {"database_url": database_url, "max_wait": LONG} | given
            app = create_app(load(**settings))
            return await stack.enter_async_context(opened(app))

        yield made


def polls(client: httpx.AsyncClient) -> LongPolls:
    found: LongPolls = state(client).long_polls
    return found


def app_of(client: httpx.AsyncClient) -> Starlette:
    found: Starlette = client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001
    return found


async def register(client: httpx.AsyncClient, name: str, project: str = "p1", **more: Any) -> None:
    answer = await client.post(f"/v2/{project}/clients", json={"client_id": name, **more})
    assert answer.status_code == 201


async def get(
    client: httpx.AsyncClient, tag: str | None = None, wait: Any = LONG, path: str = "clients"
) -> httpx.Response:
    """Ask for a list, and wait."""
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    headers |= {} if tag is None else {"If-None-Match": tag}
    return await client.get(f"/v2/p1/{path}", headers=headers)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


@asynccontextmanager
async def held(
    client: httpx.AsyncClient, tag: str, number: int = 1, **more: Any
) -> AsyncIterator[list[asyncio.Task[httpx.Response]]]:
    """Open a block in which so many requests wait."""
    tasks = [asyncio.create_task(get(client, tag, **more)) for _ in range(number)]
    await until(lambda: len(polls(client)) == number or any(task.done() for task in tasks))
    assert not [task.result().text for task in tasks if task.done()]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(polls(client)) == 0


async def answered(task: asyncio.Task[httpx.Response]) -> httpx.Response:
    async with asyncio.timeout(PATIENCE):
        return await task


@pytest.mark.parametrize("writes_itself", [True, False])
async def test_a_list_is_answered_when_any_process_has_changed_it(
    make: Open, *, writes_itself: bool
) -> None:
    client, other = await make(), await make()
    first = await get(client)
    assert first.headers["Preference-Applied"] == f"wait={LONG}"
    async with held(client, first.headers["ETag"], 3) as tasks:
        await register(client if writes_itself else other, "one")
        for answer in [await answered(task) for task in tasks]:
            assert answer.status_code == 200
            assert answer.headers["Preference-Applied"] == f"wait={LONG}"
            fresh = await get(client, wait=None)
            assert answer.content == fresh.content
            assert [each["client"]["client_id"] for each in answer.json()["clients"]] == ["one"]
    # And on with the new tag.
    async with held(client, answer.headers["ETag"]) as (task,):
        await register(other, "two")
        assert len((await answered(task)).json()["clients"]) == 2


async def test_who_has_an_older_list_is_answered_at_once(make: Open) -> None:
    client = await make()
    tag = (await get(client)).headers["ETag"]
    await register(client, "one")
    assert len((await get(client, tag)).json()["clients"]) == 1
    assert (await get(client, '"something"')).status_code == 200
    refused = await get(client, "something")
    assert refused.status_code == 400
    assert "'something' is no list of entity tags" in refused.text


async def test_a_list_that_is_the_same_goes_on_waiting(
    make: Open, looks: asyncio.Semaphore
) -> None:
    client, other = await make(), await make()
    tag = (await get(client)).headers["ETag"]
    async with held(client, tag) as (task,):
        for number in range(3):
            await other.post("/v2/p1/jobs", json={"job_id": f"j{number}", "job_actions": []})
            async with asyncio.timeout(PATIENCE):
                await looks.acquire()
            assert not task.done()
        await register(other, "p2", project="p2")
        await register(other, "one")
        assert len((await answered(task)).json()["clients"]) == 1
    # Also of a process that has not seen it before, at a later revision.
    tag = (await get(client)).headers["ETag"]
    await other.post("/v2/p1/jobs", json={"job_id": "later", "job_actions": []})
    async with held(other, tag) as (task,):
        await register(client, "two")
        assert len((await answered(task)).json()["clients"]) == 2


async def test_a_list_is_unchanged_when_the_time_is_over(make: Open) -> None:
    client = await make()
    tag = (await get(client)).headers["ETag"]
    for wait, applied in ((0, 0), (1, 1), ('"1"', 1), ("01; x=1, return=minimal", 1)):
        over = await get(client, tag, wait=wait)
        assert (over.status_code, over.content) == (304, b"")
        assert over.headers["ETag"] == tag
        assert over.headers["Preference-Applied"] == f"wait={applied}"
    head = await client.head("/v2/p1/clients", headers={"Prefer": "wait=0", "If-None-Match": tag})
    assert head.status_code == 304
    assert len(polls(client)) == 0
    assert len(state(client).streams) == 0


async def test_nobody_waits_longer_than_the_setting_says(make: Open) -> None:
    client = await make(max_wait=1)
    tag = (await get(client)).headers["ETag"]
    for wait in (600, 10**30):
        over = await get(client, tag, wait=wait)
        assert over.status_code == 304
        assert over.headers["Preference-Applied"] == "wait=1"


async def test_without_the_preference_nothing_changes(make: Open) -> None:
    client, strict = await make(), await make(max_wait=0)
    await register(client, "one")

    async def shown(asked: httpx.AsyncClient, **headers: str) -> Any:
        answer = await asked.get("/v2/p1/clients", headers=headers)
        ignored = {"x-openstack-request-id", "cache-status"}
        kept = [(name, value) for name, value in answer.headers.raw if name.decode() not in ignored]
        return answer.status_code, kept, answer.content

    plain = await shown(client)
    for prefer in ("return=minimal", "wait", "wait=soon", "wait=-1", "wait=1.5", "waits=1", ""):
        assert await shown(client, Prefer=prefer) == plain
    assert await shown(strict, Prefer="wait=5") == plain
    tag = dict(plain[1])[b"etag"].decode()
    assert (await shown(strict, **{"Prefer": "wait=5", "If-None-Match": tag}))[0] == 304
    # What isn't a list with a tag has nothing to wait for.
    for path in ("clients/one", "jobs?all_projects=true"):
        answers = [await get(client, wait=wait, path=path) for wait in (None, 5)]
        bodies = [(answer.status_code, answer.headers.get("ETag")) for answer in answers]
        assert bodies[0] == bodies[1]
        assert "Preference-Applied" not in answers[1].headers


async def test_tags_go_both_ways(make: Open) -> None:
    client, other = await make(), await make()
    waiting = (await get(client)).headers["ETag"]
    plain = (await get(client, wait=None)).headers["ETag"]
    assert plain != waiting
    known = await get(client, waiting, wait=None)
    assert known.status_code == 304
    assert known.headers["ETag"] == plain
    for tag in (plain, "*"):
        async with held(client, tag) as (task,):
            await register(other, f"of-{len(tag)}")
            assert (await answered(task)).status_code == 200
            plain = (await get(client, wait=None)).headers["ETag"]


async def test_a_write_between_the_tag_and_the_rows_is_not_missed(
    make: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = await make(kept_answers_bytes=0), await make()
    action = {"action_id": "a", "freezer_action": {"action": "backup"}}
    made = await other.post("/v2/p1/jobs", json={"job_id": "j", "job_actions": [action]})
    assert made.status_code == 201
    plain = (await get(client, wait=None, path="jobs")).headers["ETag"]
    embed, writes = items.embed_actions, [{"max_retries": 7}]

    async def after_a_write(*given: Any) -> Any:
        for change in writes[:1]:
            writes.clear()
            assert (await other.patch("/v2/p1/actions/a", json=change)).status_code == 200
        return await embed(*given)

    monkeypatch.setattr(items, "embed_actions", after_a_write)
    answer = await get(client, plain, path="jobs")
    assert answer.status_code == 200
    assert answer.json()["jobs"][0]["job_actions"][0]["max_retries"] == 7


async def test_a_page_that_gets_a_next_one_has_changed(make: Open) -> None:
    client = await make()
    await register(client, "a")
    first = await get(client, path="clients?limit=1")
    assert "Link" not in first.headers
    async with held(client, first.headers["ETag"], path="clients?limit=1") as (task,):
        await register(client, "b")
        answer = await answered(task)
        assert answer.content == first.content
        assert "Link" in answer.headers


async def test_a_central_client_is_told_to_all_projects(make: Open) -> None:
    client, other = await make(), await make()
    tag = (await get(client)).headers["ETag"]
    async with held(client, tag) as (task,):
        await register(other, "central", project="p2", is_central=True)
        assert len((await answered(task)).json()["clients"]) == 1


@pytest.mark.parametrize(
    ("setting", "status"),
    [("max_streams", 503), ("max_project_streams", 429), ("max_user_streams", 429)],
)
async def test_those_who_wait_are_counted_with_the_streams(
    make: Open, setting: str, status: int
) -> None:
    client = await make(**{setting: 2})
    tag = (await get(client)).headers["ETag"]
    async with subscribed(app_of(client), LIVE) as stream:
        await stream.data()
        async with held(client, tag):
            refused = await get(client, tag)
            assert refused.status_code == status
            assert int(refused.headers["Retry-After"]) >= 1
            # Who need not wait needs no place.
            assert (await get(client, '"other"')).status_code == 200
            assert (await get(client, tag, wait=None)).status_code == 304
    async with held(client, tag, 2):
        pass


async def test_who_waits_has_neither_a_place_nor_a_connection_nor_a_deadline(make: Open) -> None:
    one = {"max_running_requests": 1, "max_waiting_requests": 0, "waiting_writes": 0}
    client = await make(**one, database_pool_size=1, deadline=0.5)
    tag = (await get(client)).headers["ETag"]
    tasks = []
    async with asyncio.timeout(PATIENCE):
        for number in range(3):
            tasks.append(asyncio.create_task(get(client, tag, wait=2)))
            await until(lambda count=number: len(polls(client)) > count)  # type: ignore[misc]
            # All others are served meanwhile.
            assert (await get(client, wait=None)).status_code == 200
        assert [(await task).status_code for task in tasks] == [304] * 3
    async with held(client, tag):
        await register(client, "one")
    assert (await get(client, wait=None)).status_code == 200


async def test_all_are_answered_when_the_gateway_stops(make: Open) -> None:
    client = await make()
    tag = (await get(client)).headers["ETag"]
    async with held(client, tag, 3) as tasks:
        polls(client).stop()
        for task in tasks:
            answer = await answered(task)
            assert answer.status_code == 304
            assert answer.headers["ETag"] == tag
    assert (await get(client, tag)).status_code == 304
    await register(client, "one")
    assert (await get(client, tag)).status_code == 200


class Changing(Roles):
    """Knows callers until it is told otherwise."""

    verdict: Exception | None = None

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:
        """Tell who it is."""
        if self.verdict is not None:
            raise self.verdict
        return await super().identify(headers, path, method)


@pytest.fixture
async def watched(make: Open) -> tuple[httpx.AsyncClient, Changing, str]:
    """Return a client with a token, what knows of it, and the tag of its list."""
    client, known = await make(), Changing()
    client.headers["X-Auth-Token"] = "alice@p1:member"
    app_of(client).state.contexts = replace(state(client).contexts, authenticator=known)
    return client, known, (await get(client)).headers["ETag"]


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Unauthenticated("expired"), 401), (Forbidden("no"), 403)],
)
async def test_who_loses_the_right_is_not_told_what_has_changed(
    make: Open, watched: tuple[httpx.AsyncClient, Changing, str], verdict: Exception, status: int
) -> None:
    client, known, tag = watched
    other = await make()
    async with held(client, tag) as (task,):
        known.verdict = verdict
        await register(other, "secret")
        answer = await answered(task)
        assert answer.status_code == status
        assert "secret" not in answer.text


async def test_what_fails_in_between_is_asked_again(
    make: Open,
    watched: tuple[httpx.AsyncClient, Changing, str],
    looks: asyncio.Semaphore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Unavailable, "retry_after", 0.05)
    client, known, tag = watched
    other = await make()
    async with held(client, tag) as (task,):
        known.verdict = Unavailable("Keystone doesn't answer")
        await register(other, "one")
        async with asyncio.timeout(PATIENCE):
            await looks.acquire()
            await looks.acquire()
        assert not task.done()
        known.verdict = None
        assert len((await answered(task)).json()["clients"]) == 1
    # What nobody could look at isn't told to be unchanged.
    tag = (await get(client)).headers["ETag"]
    async with held(client, tag, wait=2) as (task,):
        known.verdict = Unavailable("Keystone doesn't answer")
        await register(other, "two")
        assert (await answered(task)).status_code == 503
