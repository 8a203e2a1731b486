"""What a project is not shown of another project's central client that runs its jobs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.auth.identity import Identity
from gateway.context import Context
from gateway.resolvers import clients, jobs

pytestmark = pytest.mark.anyio

RUNNING = {"status": "running", "current_pid": 4711, "event": "", "schedule_interval": "1 days"}


class Everybody:
    """Everybody has these roles in the project `p1`."""

    def __init__(self, *roles: str) -> None:
        self.roles = frozenset(roles)

    async def identify(self, *_: object) -> Identity:
        """Whoever it is."""
        return Identity("u1", "user", "p1", self.roles)


@pytest.fixture
async def member(client: httpx.AsyncClient, app: Starlette) -> httpx.AsyncClient:
    """Return the client, whose requests are a member's."""
    app.state.contexts = replace(app.state.contexts, authenticator=Everybody("member", "reader"))
    return client


async def shown(member: httpx.AsyncClient, job_id: str) -> list[dict[str, Any]]:
    """The schedules of the job as both surfaces show them."""
    item = (await member.get(f"/v2/p1/jobs/{job_id}")).json()
    (entry,) = (await member.get("/v2/p1/jobs")).json()["jobs"]
    query = "{ jobs { nodes { scheduleDocument schedule { currentPid } } } }"
    (node,) = (await member.post("/graphql", json={"query": query})).json()["data"]["jobs"]["nodes"]
    pid = node["schedule"]["currentPid"]
    return [
        item["job_schedule"],
        entry["job_schedule"],
        node["scheduleDocument"],
        {} if pid is None else {"current_pid": pid},
    ]


async def test_the_process_of_ones_own_client(member: httpx.AsyncClient, ctx: Context) -> None:
    await clients.create(ctx, clients.ClientDraft("own"))
    job = await jobs.create(ctx, jobs.JobDraft([], client_id="own", schedule=dict(RUNNING)))
    assert [part["current_pid"] for part in await shown(member, job.id)] == [4711] * 4


async def test_the_process_of_another_projects_client(
    member: httpx.AsyncClient, ctx: Context, make_ctx: Callable[[str], Context]
) -> None:
    await clients.create(make_ctx("p2"), clients.ClientDraft("central", is_central=True))
    job = await jobs.create(ctx, jobs.JobDraft([], client_id="central", schedule=dict(RUNNING)))
    parts = await shown(member, job.id)
    assert not any("current_pid" in part for part in parts)
    assert all(part["schedule_interval"] == "1 days" for part in parts[:3])
    sought = '{"match": [{"current_pid": 4711}]}'
    assert (await member.get("/v2/p1/jobs", params={"search": sought})).json() == {"jobs": []}


async def test_whose_trust_a_job_uses(
    member: httpx.AsyncClient, app: Starlette, ctx: Context
) -> None:
    await clients.create(ctx, clients.ClientDraft("own"))
    trust = {"trust_id": "t1", "trustor_user_id": "u2"}
    job = await jobs.create(ctx, jobs.JobDraft([], client_id="own", user_credentials=trust))
    own = trust | {"trustor_user_id": "u1"}
    mine = await jobs.create(ctx, jobs.JobDraft([], client_id="own", user_credentials=own))
    assert "user_credentials" not in (await member.get(f"/v2/p1/jobs/{job.id}")).json()
    assert (await member.get(f"/v2/p1/jobs/{mine.id}")).json()["user_credentials"] == own
    app.state.contexts = replace(app.state.contexts, authenticator=Everybody("admin"))
    assert (await member.get(f"/v2/p1/jobs/{job.id}")).json()["user_credentials"] == trust
