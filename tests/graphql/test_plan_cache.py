"""The plan cache: hot operations are planned once, whatever else comes by once."""

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from starlette.applications import Starlette

from gateway.schema.execution.documents import RequestError
from gateway.schema.execution.operations import Executor
from gateway.schema.execution.plan_cache import PROBATION, PROTECTED, PlanCache
from tests.support.apps import GraphQL
from tests.support.databases import Sqlite
from tests.support.queries import JOBS, QUERIES, SWITCHED

pytestmark = pytest.mark.anyio

HOT = [*QUERIES, ("query Me { viewer { user } }", {}), ("{ backups { totalCount } }", {})]
"""Operations that are asked all the time, with their variables."""
LONG = "as long as most of them are " * 8


@pytest.fixture
async def database_url(sqlite: Sqlite, sqlite_template: str) -> AsyncIterator[str]:
    """Return the URL of a database of one kind: plans are the same for both."""
    url = await sqlite.create(sqlite_template)
    yield url
    await sqlite.drop(url)


def test_what_is_new_is_on_probation_and_what_comes_again_is_protected() -> None:
    cache = PlanCache(protected=30, probation=20)
    cache.add("hot", 1, 10)
    assert cache.get("hot") == 1
    for number in range(100):
        cache.add(number, number, 10)
    assert cache.get("hot") == 1
    assert cache.get(99) == 99
    assert cache.get(97) is None
    assert len(cache) == 3


def test_what_comes_again_pushes_out_what_came_again_longest_ago() -> None:
    cache = PlanCache(protected=30, probation=20)
    for key in "abcd":
        cache.add(key, key, 10)
        assert cache.get(key) == key
    assert cache.get("a") is None
    assert [cache.get(key) for key in "bcd"] == list("bcd")
    cache.get("b")
    cache.add("e", "e", 10)
    cache.get("e")
    assert cache.get("c") is None
    assert [cache.get(key) for key in "bde"] == list("bde")


def test_what_would_take_most_of_the_room_is_not_kept() -> None:
    cache = PlanCache(protected=30, probation=20)
    cache.add("long", 1, 11)
    assert cache.get("long") is None
    assert len(cache) == 0


def test_nothing_is_kept_twice() -> None:
    cache = PlanCache(protected=30, probation=20)
    for value in (1, 2):
        cache.add("key", value, 10)
    assert cache.get("key") == 2
    assert len(cache) == 1


def test_the_segments_are_bounded_by_the_lengths_of_texts() -> None:
    cache = PlanCache()
    chance = random.Random(1)  # noqa: S311 - the same each time
    for number in range(5000):
        cache.add(number, number, length := chance.randrange(1, 9000))
        assert length
        if chance.random() < 0.5:
            cache.get(number)
    assert size(cache) <= PROTECTED + PROBATION


def size(cache: PlanCache) -> int:
    """Return the characters of text that the entries of a cache came of."""
    segments = (cache._protected, cache._probation)  # noqa: SLF001 - nothing else tells
    return int(sum(segment.currsize for segment in segments))


def once(number: int) -> tuple[str, Mapping[str, Any]]:
    """Return an operation that is asked once: a query with its values written into it."""
    return f'{{ jobs(search: "{number}") {{ totalCount }} }} # {LONG}', {}


def mutation(number: int) -> tuple[str, Mapping[str, Any]]:
    """Return a mutation with its values written into it."""
    return f'mutation {{ deleteJob(input: {{id: "{number}"}}) {{ deletedId }} }} # {LONG}', {}


async def test_hot_queries_are_planned_once_among_thousands_of_others(
    app: Starlette, graphql: GraphQL
) -> None:
    executor: Executor = app.state.graphql.executor
    chance = random.Random(1)  # noqa: S311 - the same each time
    for text, variables in HOT * 2:
        assert "errors" not in await graphql(text, variables)
    planned = executor.planned
    assert planned == len(HOT)
    one_offs = [
        *(once(number) for number in range(2000)),
        *(mutation(number) for number in range(300)),
    ]
    chance.shuffle(one_offs)
    for number, (text, variables) in enumerate(one_offs):
        executor.prepare(text, variables)
        if number % 5 == 0:
            executor.prepare(*HOT[number // 5 % len(HOT)])
        assert number % 100 or size(executor.cache) <= PROTECTED + PROBATION
    for text, variables in HOT:
        assert "errors" not in await graphql(text, variables)
    assert executor.planned == planned + len(one_offs)
    # The last of the others are still on probation, and the most of them long gone.
    assert len(executor.cache) < len(one_offs) / 2


async def test_directives_have_a_plan_for_each_of_their_values(app: Starlette) -> None:
    executor: Executor = app.state.graphql.executor
    for number in range(300):
        for yes in (True, False):
            executor.prepare(SWITCHED, {"yes": yes})
        executor.prepare(*once(number))
    assert executor.planned == 2 + 300


async def test_an_operation_by_its_name_has_a_plan_of_its_own(app: Starlette) -> None:
    executor: Executor = app.state.graphql.executor
    text = f"{JOBS} query Other {{ viewer {{ user }} }}"
    for _ in range(3):
        executor.prepare(text, {"first": 2}, "Jobs")
        executor.prepare(text, {}, "Other")
    assert executor.planned == 2


@pytest.mark.parametrize(
    "text",
    [
        "{ jobs { nodes { id } }",
        "{ jobs { nodes { nothing } } }",
        "query A { viewer { user } } query B { viewer { user } }",
        f"{{ {'jobs { nodes { client { ' * 20}id{' } } }' * 20} }}",
        "{ jobs(first: 1000) { nodes { backups(first: 1000) { nodes { id } } } } }",
    ],
)
async def test_what_is_refused_leaves_nothing(app: Starlette, graphql: GraphQL, text: str) -> None:
    executor: Executor = app.state.graphql.executor
    for _ in range(3):
        with pytest.raises(RequestError):
            executor.prepare(text, {})
        assert "data" not in await graphql(text)
    assert len(executor.cache) == 0
    assert executor.planned == 0
