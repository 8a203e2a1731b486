"""Whatever happens to the repeats of a write in several processes: it is made exactly once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from contextvars import ContextVar
from itertools import count

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.app import create_app
from gateway.idempotency import KeyedRequest
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Server

pytestmark = [
    pytest.mark.anyio,
    # SQLite lets one transaction write at a time: there is nothing to interleave.
    pytest.mark.parametrize("server", ["postgresql"], indirect=True),
]

PROCESSES = 3
METADATA = {"backup_name": "n", "container": "c", "hostname": "h"}
FIELD = """registerBackup(input: {metadata: {backup_name: "n", container: "c", hostname: "h"}})
  { backup { backupId } }"""
TWO_FIELDS = f"mutation {{ one: {FIELD} two: {FIELD} }}"
PROJECTS = count()

current: ContextVar["Repeat"] = ContextVar("current")


class Repeat:
    """A request that goes on by one step whenever it is told to."""

    def __init__(self, client: httpx.AsyncClient, surface: str, project: str) -> None:
        """Send it, as far as its first step."""
        self.arrived, self.told = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._send(client, surface, project))

    async def _send(self, client: httpx.AsyncClient, surface: str, project: str) -> httpx.Response:
        current.set(self)
        return await send(client, surface, project)

    async def pause(self) -> None:
        """Wait to be told to go on."""
        self.arrived.set()
        await self.told.wait()
        self.told.clear()

    async def step(self) -> None:
        """Let it go on to its next step, or to its end."""
        self.arrived.clear()
        self.told.set()
        await self.settle()

    async def break_off(self) -> None:
        """Let its client go away."""
        self.task.cancel()
        await asyncio.wait({self.task})

    def made(self) -> Sequence[str]:
        """Return the ids that its answer has, if it has one."""
        return [] if self.task.cancelled() else made(self.task.result())

    async def settle(self) -> None:
        """Wait until it is at a step, or at its end."""
        arrival = asyncio.create_task(self.arrived.wait())
        await asyncio.wait({arrival, self.task}, return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()


async def send(client: httpx.AsyncClient, surface: str, project: str) -> httpx.Response:
    headers = {"Idempotency-Key": "k", "X-Project-Id": project}
    if surface == "rest":
        return await client.post(f"/v2/{project}/backups", json=METADATA, headers=headers)
    return await client.post("/graphql", json={"query": TWO_FIELDS}, headers=headers)


def made(response: httpx.Response) -> Sequence[str]:
    """Return the ids of the backups that a response says are registered."""
    assert response.status_code in {200, 201, 409}, response.text
    body = response.json()
    if response.status_code == 409:
        return []
    if "data" not in body:
        return [body["backup_id"]]
    for error in body.get("errors", ()):
        assert error["extensions"]["code"] == "CONFLICT"
    return [one["backup"]["backupId"] for one in body["data"].values() if one is not None]


@pytest.fixture(scope="module")
async def clients(server: Server, template: str) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    """Return a client of each of several applications that share a database.

    In a `Repeat`, a request pauses after the look-up, the reservation, and what is written last.
    """
    url = await server.create(template)
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in ("look_up", "reserve", "keep"):
            patch.setattr(KeyedRequest, name, paused(getattr(KeyedRequest, name)))
        yield [
            await stack.enter_async_context(opened(create_app(load(database_url=url))))
            for _ in range(PROCESSES)
        ]
    await server.drop(url)


def paused(run: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def use(*arguments: object) -> None:
        await run(*arguments)
        if (repeat := current.get(None)) is not None:
            await repeat.pause()

    return use


@pytest.mark.parametrize("surface", ["rest", "graphql"])
@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(turns=st.lists(st.tuples(st.integers(0, PROCESSES - 1), st.booleans()), max_size=24))
@example(turns=[(0, True), (1, True)] * 3)
@example(turns=[(0, True), (0, False), (1, True), (1, True)])
async def test_any_interleaving_writes_once(
    clients: Sequence[httpx.AsyncClient], surface: str, turns: Sequence[tuple[int, bool]]
) -> None:
    project = f"p{next(PROJECTS)}"
    repeats = [Repeat(client, surface, project) for client in clients]
    for repeat in repeats:
        await repeat.settle()
    for number, goes_on in turns:
        await repeats[number].step() if goes_on else await repeats[number].break_off()
    for repeat in repeats:
        while not repeat.task.done():
            await repeat.step()
    told = {one for repeat in repeats for one in repeat.made()}
    final = made(await send(clients[0], surface, project))
    assert told <= set(final)
    stored = (await clients[1].get(f"/v2/{project}/backups")).json()["backups"]
    assert sorted(one["backup_id"] for one in stored) == sorted(final)
    assert len(final) == (1 if surface == "rest" else 2)
    for client in clients:
        assert made(await send(client, surface, project)) == final
