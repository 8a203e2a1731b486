"""GraphQL over the catalogue: what dashboards send, and what they get."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.auth.identity import Identity
from gateway.context import Context
from gateway.schema import create_schema
from gateway.schema.execution.operations import Executor
from gateway.settings import load
from tests.support.queries import JOBS, estate

pytestmark = pytest.mark.anyio

GraphQL = Callable[..., Awaitable[dict[str, Any]]]


async def test_jobs_with_all_they_have(graphql: GraphQL, ctx: Context) -> None:
    ids = await estate(ctx, 3)
    body = await graphql(JOBS, {"first": 2})
    assert "errors" not in body, body
    page = body["data"]["jobs"]
    assert page["totalCount"] == 3
    assert page["pageInfo"]["hasNextPage"]
    assert not page["pageInfo"]["hasPreviousPage"]
    assert [edge["node"]["jobId"] for edge in page["edges"]] == ids[:2]
    job = page["edges"][0]["node"]
    assert job["status"] == "SCHEDULED"
    assert job["schedule"]["interval"] == "1 days"
    assert job["schedule"]["event"] is None
    assert job["schedule"]["timeStarted"] is None
    assert job["scheduleDocument"]["time_started"] == -1
    assert job["client"] == {"clientId": "host1", "hostname": "host1"}
    assert [edge["position"] for edge in job["actions"]["edges"]] == [0, 1]
    assert job["actions"]["edges"][1]["node"]["freezerAction"] == {
        "action": "admin",
        "remove_older_than": 30,
    }
    assert job["backups"]["totalCount"] == 4
    assert [row["level"] for row in job["backups"]["nodes"]] == [1, 2, 3]
    assert job["backups"]["nodes"][0]["job"] == {"description": "job 0000"}
    assert job["backups"]["nodes"][0]["timeStamp"] == "2023-11-14T22:13:21+00:00"
    assert job["backups"]["pageInfo"] == {"hasNextPage": False, "hasPreviousPage": True}


async def test_statements_do_not_grow(graphql: GraphQL, ctx: Context, recorder: Any) -> None:
    await estate(ctx, 12, backups_each=2)
    counts = set()
    for first in (1, 5, 12):
        with recorder:
            body = await graphql(JOBS, {"first": first})
        assert len(body["data"]["jobs"]["edges"]) == first
        counts.add(len(recorder))
    assert len(counts) == 1
    # The page, its count; clients; actions, their counts; backups, their counts; their jobs.
    assert counts == {8}


async def test_all_projects(graphql: GraphQL, make_ctx: Callable[[str], Context]) -> None:
    for project in ("p1", "p2"):
        await estate(make_ctx(project), 2, backups_each=1)
    query = """query ($all: Boolean!) {
      jobs(allProjects: $all, first: 3) {
        totalCount pageInfo { hasNextPage endCursor }
        nodes { id projectId client { projectId } backups { totalCount nodes { projectId } } } }
    }"""
    page = (await graphql(query, {"all": False}))["data"]["jobs"]
    assert page["totalCount"] == 2
    page = (await graphql(query, {"all": True}))["data"]["jobs"]
    assert page["totalCount"] == 4
    assert [job["projectId"] for job in page["nodes"]] == ["p1", "p1", "p2"]
    foreign = page["nodes"][2]
    assert foreign["client"] == {"projectId": "p2"}
    assert foreign["backups"] == {"totalCount": 1, "nodes": [{"projectId": "p2"}]}
    # A global id says whose it is: `node` asks only whether the caller may look there.
    look_up = "query ($id: ID!) { node(id: $id) { id ... on Job { client { projectId } } } }"
    executor, local = Executor(create_schema(), load()), make_ctx("p1")
    for role, seen in (("member", False), ("admin", True)):
        caller = Identity("somebody", "somebody", "p1", frozenset({role}))
        asking = Context(caller, "p1", local.db, local.policy)
        result = await executor.execute(asking, look_up, {"id": foreign["id"]})
        assert not result.errors
        shown = {"id": foreign["id"], "client": {"projectId": "p2"}} if seen else None
        assert result.data == {"node": shown}
    # Where nobody is authenticated, projects are kept apart all the same.
    assert (await graphql(look_up, {"id": foreign["id"]}))["data"] == {"node": None}
