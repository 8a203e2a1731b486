"""What a project is not shown of another project's central client that runs its jobs."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.auth.identity import Identity
from gateway.context import Context
from gateway.resolvers import clients, jobs
from tests.support.apps import MakeClient

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


async def found(client: httpx.AsyncClient, **sought: Any) -> list[str]:
    """The ids of the jobs that a search finds, and then of those that its negation finds."""
    listed = []
    for kind in ("match", "match_not"):
        search = json.dumps({kind: [sought]})
        answer = await client.get("/v2/p1/jobs", params={"search": search})
        listed += [job["job_id"] for job in answer.json()["jobs"]]
    return listed


async def test_a_search_tells_nothing_of_a_trust_that_it_hides(
    member: httpx.AsyncClient, app: Starlette, make_client: MakeClient, ctx: Context
) -> None:
    await clients.create(ctx, clients.ClientDraft("own"))
    for job_id, trustor in (("a", "u2"), ("b", "u1"), ("c", None)):
        trust = {"trust_id": "t", "trustor_user_id": trustor} if trustor else None
        draft = jobs.JobDraft([], job_id=job_id, client_id="own", user_credentials=trust)
        await jobs.create(ctx, draft)
    # The job of u2 is to the member u1 as one without a trust.
    assert await found(member, trust_id="t") == ["b", "a", "c"]
    assert await found(member, trustor_user_id="u2") == ["a", "b", "c"]
    assert await found(member, trust_id=None) == ["a", "c", "b"]
    assert await found(member, user_credentials=None) == ["a", "c", "b"]
    app.state.contexts = replace(app.state.contexts, authenticator=Everybody("admin"))
    assert await found(member, trust_id="t") == ["a", "b", "c"]
    assert await found(member, trustor_user_id="u2") == ["a", "b", "c"]
    assert await found(member, user_credentials=None) == ["c", "a", "b"]
    # The dialect shows it to everybody who may read the job.
    other = await make_client(rest_dialect="freezer-19")
    assert await found(other, trust_id="t") == ["a", "b", "c"]


async def test_a_search_tells_nothing_of_a_process_that_it_hides(
    member: httpx.AsyncClient, app: Starlette, ctx: Context, make_ctx: Callable[[str], Context]
) -> None:
    await clients.create(make_ctx("p2"), clients.ClientDraft("central", is_central=True))
    await clients.create(ctx, clients.ClientDraft("own"))
    for job_id, client_id in (("a", "central"), ("b", "own")):
        draft = jobs.JobDraft([], job_id=job_id, client_id=client_id, schedule=dict(RUNNING))
        await jobs.create(ctx, draft)
    assert await found(member, current_pid=4711) == ["b", "a"]
    assert await found(member, current_pid=None) == ["a", "b"]
    query = (
        "query($is: IntFilter) { jobs(where: {schedule: {currentPid: $is}}) { nodes { jobId } } }"
    )
    for given, ids in (({"eq": 4711}, ["b"]), ({"isNull": True}, ["a"]), ({"lt": 5000}, ["b"])):
        sent = {"query": query, "variables": {"is": given}}
        answer = (await member.post("/graphql", json=sent)).json()
        assert [node["jobId"] for node in answer["data"]["jobs"]["nodes"]] == ids
    # It is shown to administrators in v2.
    app.state.contexts = replace(app.state.contexts, authenticator=Everybody("admin"))
    assert await found(member, current_pid=4711) == ["a", "b"]
    assert await found(member, current_pid=None) == ["a", "b"]
