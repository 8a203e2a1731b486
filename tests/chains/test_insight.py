"""The questions of docs/insight.md are answered on the sample data."""

import re
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.anyio

QUERIES = re.findall(
    r"```graphql\n(.*?)```",
    (Path(__file__).parents[2] / "docs" / "insight.md").read_text(),
    re.DOTALL,
)


@pytest.mark.parametrize("query", [query for query in QUERIES if "mutation" not in query])
async def test_a_question_is_answered(demo_client: httpx.AsyncClient, query: str) -> None:
    headers = {"X-Project-Id": "demo"}
    answer = await demo_client.post("/graphql", json={"query": query}, headers=headers)
    body = answer.json()
    assert "errors" not in body, body
    (found,) = body["data"].values()
    assert found if isinstance(found, list) else found["nodes"]


async def test_every_backup_of_the_sample_is_derived(demo_client: httpx.AsyncClient) -> None:
    query = "{ backups(where: {restorabilityReason: {eq: NOT_DERIVED}}) { totalCount } }"
    answer = await demo_client.post("/graphql", json={"query": query})
    assert answer.json()["data"]["backups"]["totalCount"] == 0
