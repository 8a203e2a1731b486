"""What answers from memory are charged where there are rate limits."""

import pytest

from tests.support.keeping import HIT, MEMORY, MISS, STALE, STATUS, SURFACES, Surface
from tests.support.rates import Clock, limited

pytestmark = pytest.mark.anyio

CAPACITY = 400
FEW = {"rate_limit_user": 10, "rate_limit_project": 10, "rate_limit_burst": 40}
LEFT = "X-RateLimit-Remaining"


@pytest.mark.parametrize(("name", "cost"), [("GraphQL by POST", 30), ("REST", 100)])
async def test_a_hit_costs_a_point_and_a_miss_what_it_always_did(
    database_url: str, name: str, cost: int
) -> None:
    surface: Surface = SURFACES[name]
    async with limited(database_url, Clock(), kept_answers_bytes=MEMORY, **FEW) as client:
        left, tag = CAPACITY, ""

        async def ask(expected: str, points: int, status: int = 200, **headers: str) -> str:
            nonlocal left
            answer = await surface.ask(client, **headers)
            spent, left = left - int(answer.headers[LEFT]), int(answer.headers[LEFT])
            assert (answer.status_code, answer.headers[STATUS]) == (status, expected)
            assert spent == points
            return answer.headers["ETag"]

        tag = await ask(MISS, cost)
        await ask(HIT, 1)
        await ask(HIT, 1, status=304, If_None_Match=tag)
        await client.post("/v2/p1/clients", json={"client_id": "host"})
        left -= 10
        await ask(STALE, cost)
        await client.post("/v2/p1/clients", json={"client_id": "other"})
        left -= 10
        # Who has a tag pays for its comparison.
        await ask(STALE, cost + 1, If_None_Match=tag)


async def test_who_has_spent_everything_is_refused_hits_as_well(database_url: str) -> None:
    surface = SURFACES["GraphQL by POST"]
    async with limited(database_url, Clock(), kept_answers_bytes=MEMORY, **FEW) as client:
        statuses = [(await surface.ask(client)).status_code for _ in range(CAPACITY)]
        # The last of an empty bucket isn't leased.
        assert 0 <= 1 + CAPACITY - 30 - statuses.count(200) <= 2
        assert statuses == sorted(statuses)
        assert {*statuses} == {200, 429}
