"""One tenant after another's items, by every field, argument and mutation of GraphQL.

The attacks are made from the schema's introspection. Each is made twice: where Alice has items,
and where she has none. Bob must be told the same in both, so he learns nothing of them.
"""

import itertools
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from graphql import (
    GraphQLField,
    get_named_type,
    is_required_argument,
)

from gateway.catalogue.health_tables import HealthMute
from gateway.catalogue.tables import Backup
from tests.support.databases import Server
from tests.support.graphql_calls import (
    MUTATIONS,
    NODES,
    QUERIES,
    SCHEMA,
    Tries,
    call,
    selection,
    told,
)
from tests.support.tenants import (
    ALICE,
    BOB,
    KINDS,
    SECRET,
    World,
    assert_apart,
    item,
    masked,
    world,
)

pytestmark = pytest.mark.anyio

DEPTH = 3
"""How many items deep Bob looks from his own."""

BATCH = 50
"""How many calls are made in one operation."""


ELSEWHERE = {"statistics"}
"""The queries whose arguments exclude each other: `test_statistics` keeps projects apart."""

OWN = {
    "Series": "{series {nodes {%s}}}",
    "Chain": "{series {nodes {chains {nodes {%s}}}}}",
}
"""Where one's own items of types without REST ids are found."""


def brief(type_: Any) -> str:
    """Return a selection that tells whether anything was found."""
    type_ = get_named_type(type_)
    if type_.name.endswith("Connection"):
        return "{totalCount pageInfo {hasNextPage hasPreviousPage} nodes {id}}"
    return selection(type_, 1)


def nested() -> Iterator[tuple[str, str]]:
    """Yield the fields of items that take arguments, by their type and name."""
    for entity in NODES:
        type_: Any = SCHEMA.type_map[entity]
        yield from ((entity, name) for name, field in type_.fields.items() if field.args)


def asked(name: str) -> tuple[str, ...]:
    """Return the kinds of the items that a field of queries takes the ids of."""
    return ("backup",) if name == "deletionImpact" else KINDS


@dataclass(frozen=True)
class Worlds:
    """One where Alice has items, and one where she has none."""

    alices: World
    empty: World
    before: list[list[Any]]

    async def same(self, query: str) -> bool:
        """Assert that what Bob is told doesn't depend on what Alice has; tell if it is no error."""
        answer = await self.alices.graphql(BOB, query)
        assert answer.status_code == 200, answer.text
        other = await self.empty.graphql(BOB, query)
        assert masked(answer.text) == masked(other.text), query
        assert SECRET not in answer.text or SECRET in query, query
        return "errors" not in answer.json()

    async def all_same(self, calls: Iterable[str], shown: str, around: str = "{%s}") -> None:
        """Assert that of each of these calls, in as few operations as may be, without errors."""
        left = list(calls)
        while left:
            some, left = left[:BATCH], left[BATCH:]
            aliased = (f"a{number}: {one} {shown}" for number, one in enumerate(some))
            # An error would hide what the others are answered.
            assert await self.same(around % " ".join(aliased))


@pytest.fixture
async def worlds(server: Server, template: str) -> AsyncIterator[Worlds]:
    """Return the two worlds; afterwards, nothing may have changed for Alice."""
    async with world(server, template, ALICE, BOB) as alices, world(server, template, BOB) as empty:
        worlds = Worlds(alices, empty, await alices.held(ALICE))
        yield worlds
        await assert_apart(alices, worlds.before)


@pytest.mark.parametrize("name", [name for name in QUERIES if name not in ELSEWHERE])
async def test_what_is_anothers(name: str, worlds: Worlds) -> None:
    field = QUERIES[name]
    await worlds.all_same(Tries((ALICE,), asked(name)).calls(name, field), brief(field.type))
    if "after" in field.args:
        query = f"{{{name} {{pageInfo {{startCursor endCursor}}}}}}"
        page = (await worlds.alices.graphql(ALICE, query)).json()["data"][name]["pageInfo"]
        for argument, cursor in itertools.product(("after", "before"), page.values()):
            one = call(name, [f"{argument}: {json.dumps(cursor)}"])
            await worlds.same(f"{{{one} {brief(field.type)}}}")
        one = call(name, ["allProjects: true"])
        assert not await worlds.same(f"{{{one} {brief(field.type)}}}")


@pytest.mark.parametrize("name", [name for name in QUERIES if name not in ELSEWHERE])
async def test_what_ones_own_refers_to(name: str, worlds: Worlds) -> None:
    field = QUERIES[name]
    required = {name: given for name, given in field.args.items() if is_required_argument(given)}
    plain = GraphQLField(field.type, required)
    for one in Tries((BOB,), asked(name)).calls(name, plain):
        assert await worlds.same(f"{{{one} {selection(field.type, DEPTH)}}}")


@pytest.mark.parametrize(("entity", "name"), list(nested()))
async def test_what_belongs_to_ones_own(entity: str, name: str, worlds: Worlds) -> None:
    type_: Any = SCHEMA.type_map[entity]
    kind = entity.lower()
    its = OWN.get(entity, f'{{{kind}({kind}Id: "{item(BOB, kind)}") {{%s}}}}')
    field = type_.fields[name]
    tries = Tries((ALICE,), operators=1)
    await worlds.all_same(tries.calls(name, field), brief(field.type), its)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_what_one_tells(name: str, worlds: Worlds) -> None:
    field = MUTATIONS[name]
    for one in told(name).calls(name, field):
        await worlds.same(f"mutation {{{one} {selection(field.type, 1)}}}")


@pytest.mark.parametrize("name", QUERIES)
async def test_what_is_ones_own(name: str, server: Server, template: str) -> None:
    field = QUERIES[name]
    async with world(server, template, ALICE, BOB) as alices:
        one = next(Tries((ALICE,), asked(name)).calls(name, field))
        answer = await alices.graphql(ALICE, f"{{{one} {selection(field.type, DEPTH)}}}")
    # What Bob asks in vain, Alice is answered.
    assert "errors" not in answer.json()
    assert name in {"viewer", "overview", "projectSettings", *ELSEWHERE} or SECRET in answer.text


@pytest.mark.parametrize("name", MUTATIONS)
async def test_what_one_may_tell(name: str, server: Server, template: str) -> None:
    field = MUTATIONS[name]
    async with world(server, template, ALICE, BOB) as alices:
        if name == "deleteExpiredBackups":
            await alices.run(sa.update(Backup).values(restorability="EXPIRED"))
        if name == "muteHealth":
            await alices.run(sa.delete(HealthMute))
        before = await alices.held(ALICE)
        for one in Tries((ALICE,), told(name).kinds).calls(name, field):
            query = f"mutation {{{one} {selection(field.type, 1)}}}"
            answer = (await alices.graphql(ALICE, query)).json()
            if "errors" not in answer and await alices.held(ALICE) != before:
                return
    # What Bob tries in vain, Alice could do.
    raise AssertionError(answer)
