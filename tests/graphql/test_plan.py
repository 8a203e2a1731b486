"""Plans: the same answers cold and warm."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.context import Context
from tests.support.queries import QUERIES, estate

pytestmark = pytest.mark.anyio


@pytest.fixture
def executor(app: Any) -> Any:
    """Return the executor of the application's GraphQL endpoint."""
    return app.state.graphql.executor


@pytest.mark.parametrize("number", range(len(QUERIES)))
async def test_a_plan_answers_alike_cold_and_warm(
    client: httpx.AsyncClient, ctx: Context, executor: Any, number: int
) -> None:
    await estate(ctx, 3)
    query, variables = QUERIES[number]
    answers = [
        (
            await client.post(
                "/graphql",
                json={"query": query, "variables": variables},
                headers={"X-Project-Id": "p1"},
            )
        ).text
        for _ in range(3)
    ]
    assert '"errors"' not in answers[0]
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]
    assert executor.planned == 1


async def test_nodes(
    client: httpx.AsyncClient, ctx: Context, executor: Any, make_ctx: Callable[[str], Context]
) -> None:
    await estate(ctx, 2)
    await estate(make_ctx("p2"), 1)

    async def ask(query: str, **variables: Any) -> Any:
        answer = await client.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"X-Project-Id": "p1"},
        )
        return answer.json()

    listed = await ask("{ jobs(allProjects: true) { nodes { id } } backups { nodes { id } } }")
    ids = [node["id"] for part in listed["data"].values() for node in part["nodes"]]
    query = """query ($ids: [ID!]!, $id: ID!) {
      node(id: $id) { id ... on Job { description actions { totalCount } } }
      nodes(ids: $ids) {
        __typename id
        ... on Backup { level job { jobId } }
        ... on Job { scheduleDocument }
      }
    }"""
    first, second = [await ask(query, ids=[*ids, ids[0]], id=ids[0]) for _ in range(2)]
    assert "errors" not in first
    assert first == second
    # What is another project's is null.
    assert [node is None for node in first["data"]["nodes"]].count(True) == 1
    assert executor.planned == 2  # the list's, and this one's
    for wrong in ("zzz", "QmFja3VwOg=="):
        first, second = [await ask(query, ids=[wrong], id=ids[0]) for _ in range(2)]
        assert first["errors"][0]["message"] == second["errors"][0]["message"]
        assert first["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
