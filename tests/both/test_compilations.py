"""Every statement is compiled once, by whatever request it is run, on both surfaces."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from cachetools import LRUCache
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.db.database import MAX_STATEMENTS
from gateway.resolvers import actions, clients, jobs
from gateway.rest_compat.routes import ROUTES
from gateway.upkeep import timer
from tests.support.apps import MakeContext
from tests.support.databases import Server
from tests.support.graphql_calls import MUTATIONS, QUERIES, Tries, selection, told
from tests.support.rest_requests import requests
from tests.support.tenants import ALICE, PROJECTS, World, world

pytestmark = pytest.mark.anyio

BATCH = 20
"""How many calls are made in one operation."""


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that the text of each statement is added to when it is compiled."""
    texts: list[str] = []
    compile_ = SQLCompiler.__init__

    def noting(self: SQLCompiler, *arguments: Any, **options: Any) -> None:
        compile_(self, *arguments, **options)
        texts.append(str(self))

    monkeypatch.setattr(SQLCompiler, "__init__", noting)
    return texts


async def send_rest(place: World) -> None:
    """Send every request of REST as Alice."""
    # What deletes comes last.
    for path, method, *_ in sorted(ROUTES, key=lambda route: route[1] == "DELETE"):
        for request in requests(path, method, PROJECTS[ALICE], ALICE):
            await request.send(place, ALICE)


async def send_graphql(place: World) -> None:
    """Send every query, and then every mutation, as Alice."""
    for name, field in QUERIES.items():
        shown = selection(field.type, 2)
        calls = [f"{one} {shown}" for one in Tries((ALICE,)).calls(name, field)]
        for at in range(0, len(calls), BATCH):
            batch = enumerate(calls[at : at + BATCH])
            await place.graphql(ALICE, f"{{{' '.join(f'a{at}: {one}' for at, one in batch)}}}")
    for name, field in sorted(MUTATIONS.items(), key=lambda item: item[0].startswith("delete")):
        for one in told(name).calls(name, field):
            await place.graphql(ALICE, f"mutation {{{one} {selection(field.type, 1)}}}")


@pytest.fixture(autouse=True)
def no_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the upkeep from compiling its own statements, at whatever time they are due."""
    monkeypatch.setattr(timer.Task, "repeat", lambda _task: asyncio.Event().wait())


@pytest.mark.parametrize("send", [send_rest, send_graphql])
async def test_nothing_is_compiled_twice(
    server: Server, template: str, compiled: list[str], send: Any
) -> None:
    statements: LRUCache[Any, Any] = LRUCache(100 * MAX_STATEMENTS)
    executor = None
    for time in range(2):
        # The same world once more, so that the same requests find the same.
        async with world(server, template, ALICE) as place:
            state = place.client._transport.app.state  # type: ignore[attr-defined]  # noqa: SLF001
            state.contexts.db._statements = statements  # noqa: SLF001
            # Its plans refer to the statements' columns.
            state.graphql.executor = executor = executor or state.graphql.executor
            compiled.clear()
            await send(place)
            assert bool(compiled) == (time == 0), compiled


class Keystone:
    """A Keystone that grants every trust."""

    async def create(self, project_id: str) -> Mapping[str, str]:
        """Create a trust."""
        return {"trust_id": f"trust-{project_id}", "trustor_user_id": "local"}

    async def delete(self, trust_id: str) -> None:
        """Delete it."""


async def test_nor_is_anything_about_trusts(make_ctx: MakeContext, compiled: list[str]) -> None:
    for time in range(2):
        ctx = make_ctx(f"p{time}")
        ctx.trusts = Keystone()
        compiled.clear()
        for client_id, is_central in ((f"central{time}", True), ("own", False)):
            await clients.create(ctx, clients.ClientDraft(client_id, is_central=is_central))
        draft = [actions.ActionDraft({"action": "backup"})]
        central = await jobs.create(ctx, jobs.JobDraft(draft, client_id=f"central{time}"))
        assert central.trust_id == f"trust-p{time}"
        job = await jobs.create(ctx, jobs.JobDraft(draft))
        await jobs.update(ctx, job.id, {"client_id": f"central{time}"})
        await jobs.update(ctx, job.id, {"client_id": "own"})
        await jobs.delete(ctx, central.id)
        assert bool(compiled) == (time == 0), compiled
