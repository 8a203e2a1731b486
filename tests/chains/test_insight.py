"""The questions of docs/insight.md are answered on the sample data, as it says."""

from typing import Any

import httpx
import pytest

from tests.support.examples import INSIGHT, Ask, Example, age, answered, examples

pytestmark = pytest.mark.anyio

EXAMPLES = [
    example
    for example in examples(INSIGHT.read_text(encoding="utf-8"))
    if not example.query.startswith("mutation")
]


@pytest.fixture
def ask(demo_client: httpx.AsyncClient) -> Ask:
    """Return a function that asks the sample data."""

    async def ask(query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = (await demo_client.post("/graphql", json=body)).json()
        return answer

    return ask


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_a_question_is_answered_as_it_says(ask: Ask, example: Example) -> None:
    answer = await answered(example, ask, await age(ask))
    assert answer == example.answer, "make docs"
    assert "errors" not in answer
    (found,) = answer["data"].values()
    assert found if isinstance(found, list) else found.get("nodes", True)


async def test_every_backup_of_the_sample_is_derived(demo_client: httpx.AsyncClient) -> None:
    query = "{ backups(where: {restorabilityReason: {eq: NOT_DERIVED}}) { totalCount } }"
    answer = await demo_client.post("/graphql", json={"query": query})
    assert answer.json()["data"]["backups"]["totalCount"] == 0
