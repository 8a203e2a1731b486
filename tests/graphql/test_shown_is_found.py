"""What is shown is found: by every filter of every field, sorted, and null where shown as null.

The fields are the schema's own, so that a new one is tested by being there.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
)

from gateway.app import create_app
from gateway.db.database import Database
from gateway.schema import create_schema
from gateway.schema.views import VIEWS
from gateway.settings import load
from tests.support import extreme_estate
from tests.support.apps import opened
from tests.support.databases import Server
from tests.support.tenants import LIMITS

pytestmark = pytest.mark.anyio

SCHEMA: Any = create_schema().core
TYPES = [
    name for name, view in VIEWS.items() if view.key and name not in {"Chain", "Run", "Series"}
]
"""All but those that are worked out of others, in which nothing that is stored can be made up."""
UNFILTERED = {("Job", ("successRate",)), ("Client", ("lastSeenAt",)), ("Client", ("isSilent",))}
UNSORTED = {"HEALTH", "HEALTH_SINCE"}
"""Orders with tests of their own, in tests/both/test_health.py."""
"""Fields with tests of their own: they depend on arguments, or on what isn't in the estate."""
Path = tuple[str, ...]
Shown = Mapping[str, Any]
"""What is shown of a field, by the ids of the items."""

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "contains": lambda value, wanted: wanted in value,
    "startsWith": lambda value, wanted: value.startswith(wanted),
}
ELSEWHERE = {
    # Shown in two places, and filtered by in one of them.
    ("Job", ("schedule", "status")): ("status",),
    ("Job", ("schedule", "result")): ("result",),
    ("Job", ("schedule", "event")): ("event",),
}


@dataclass(frozen=True)
class Field:
    """A leaf of a type, where it stands in an item, and its type in the schema."""

    path: Path
    type: Any


def leaves(kind: GraphQLObjectType, above: Path = ()) -> Iterator[Field]:
    """Yield the leaves of a type that are of its own row."""
    for name, field in kind.fields.items():
        of = get_named_type(field.type)
        if is_leaf_type(of):
            yield Field((*above, name), of)
        elif of.name in VIEWS and not VIEWS[of.name].key:
            yield from leaves(of, (*above, name))


def filter_of(type_: str, path: Path) -> GraphQLInputObjectType | None:
    """Return the filter that a type's conditions have for a field, or None."""
    where = SCHEMA.type_map[f"{type_}Where"]
    for name in path:
        if name not in where.fields:
            return None
        where = get_named_type(where.fields[name].type)
    return where


def comparable(field: Field, value: Any) -> Any:
    """Return a value as it compares: texts byte by byte, times as times."""
    if field.type.name == "DateTime" and value is not None:
        return datetime.fromisoformat(value)
    return value.encode() if isinstance(value, str) else value


class Estate:
    """The extreme estate as GraphQL shows it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Take the way to the gateway."""
        self.client = client

    async def ask(self, query: str, variables: Mapping[str, Any]) -> Any:
        """Return the data of an answer without errors."""
        sent = {"query": query, "variables": variables}
        headers = {"X-Project-Id": extreme_estate.PROJECT}
        answer = (await self.client.post("/graphql", json=sent, headers=headers)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def shown(self, type_: str, field: Field) -> Shown:
        """Return what is shown of a field of all items."""
        head, *rest = reversed(field.path)
        selection = head
        for name in rest:
            selection = f"{name} {{ {selection} }}"
        key = f"{type_.lower()}Id"
        query = f"{{ it: {type_.lower()}s(first: 100) {{ nodes {{ key: {key} {selection} }} }} }}"
        values = {}
        for node in (await self.ask(query, {}))["it"]["nodes"]:
            value = node
            for name in field.path:
                value = value and value[name]
            values[node["key"]] = value
        return values

    async def found(self, type_: str, wheres: Sequence[Any]) -> list[set[str]]:
        """Return the ids that each of the filters finds."""
        key, ids = f"{type_.lower()}Id", []
        for start in range(0, len(wheres), 30):
            given = {f"w{at}": where for at, where in enumerate(wheres[start : start + 30])}
            declared = ", ".join(f"${name}: {type_}Where" for name in given)
            asked = " ".join(
                f"{name}: {type_.lower()}s(where: ${name}, first: 100) {{ nodes {{ {key} }} }}"
                for name in given
            )
            data = await self.ask(f"query({declared}) {{ {asked} }}", given)
            ids += [{node[key] for node in data[name]["nodes"]} for name in given]
        return ids


@pytest.fixture(scope="module")
async def estate(server: Server, template: str) -> Any:
    """Return the estate, which no test changes."""
    url = await server.create(template)
    database = Database(load(database_url=url))
    await extreme_estate.settle(database)
    await database.close()
    async with opened(create_app(load(database_url=url, **LIMITS))) as client:
        yield Estate(client)
    await server.drop(url)


def wheres_of(
    field: Field, operators: Mapping[str, Any], shown: Shown
) -> Iterator[tuple[Any, set[str]]]:
    """Yield conditions on a field with the values that are shown, and what each must find."""
    everything = set(shown)
    nulls = {key for key, value in shown.items() if value is None}
    if "isNull" in operators:
        yield {"isNull": True}, nulls
        yield {"isNull": False}, everything - nulls
    for value in {repr(value): value for value in shown.values()}.values():
        equal = {key for key, other in shown.items() if other == value}
        yield {"eq": value}, equal
        yield {"ne": value}, everything - equal
        if value is None:
            continue
        if "in" in operators:
            yield {"in": [value]}, equal
        wanted = comparable(field, value)
        for name in COMPARISONS.keys() & operators.keys():
            yield (
                {name: value},
                {
                    key
                    for key, other in shown.items()
                    if other is not None and COMPARISONS[name](comparable(field, other), wanted)
                },
            )


def placed(path: Path, condition: Any) -> Any:
    """Return a condition as a filter of the type."""
    for name in reversed(path):
        condition = {name: condition}
    return condition


@pytest.mark.parametrize("type_", TYPES)
async def test_every_field_is_found_as_shown(estate: Estate, type_: str) -> None:
    for field in leaves(SCHEMA.type_map[type_]):
        if field.path == ("id",) or field.type.name == "JSON" or (type_, field.path) in UNFILTERED:
            continue
        of = filter_of(type_, ELSEWHERE.get((type_, field.path), field.path))
        assert of is not None, f"{type_}.{'.'.join(field.path)} has no filter"
        shown = await estate.shown(type_, field)
        assert len(shown) == extreme_estate.COUNT
        path = ELSEWHERE.get((type_, field.path), field.path)
        cases = list(wheres_of(field, of.fields, shown))
        found = await estate.found(type_, [placed(path, where) for where, _ in cases])
        for (where, expected), ids in zip(cases, found, strict=True):
            assert ids == expected, (field.path, where)


def paths_in(document: Any, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the plain values of a document by their paths; arrays have none."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield from paths_in(value, (*above, key))
        elif not isinstance(value, list):
            yield (*above, key), value


def held(document: Any, path: Path, value: Any) -> bool:
    """Return True if a document has this value, of this type, at a path; null: or nothing."""
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return value is None
        document = document[key]
    return isinstance(document, bool) is isinstance(value, bool) and document == value


@pytest.mark.parametrize("type_", TYPES)
async def test_every_value_in_a_document_is_found(estate: Estate, type_: str) -> None:
    for field in leaves(SCHEMA.type_map[type_]):
        if field.type.name != "JSON" or filter_of(type_, field.path) is None:
            continue
        shown = await estate.shown(type_, field)
        places = {repr(one): one for value in shown.values() for one in paths_in(value)}
        cases = [*places.values(), *(((path), None) for path, _ in places.values())]
        wheres = [placed(field.path, [{"path": path, "eq": value}]) for path, value in cases]
        for (path, value), ids in zip(cases, await estate.found(type_, wheres), strict=True):
            expected = {key for key, document in shown.items() if held(document, path, value)}
            assert ids == expected, (field.path, path, value)


def sorted_by(type_: str, name: str) -> Field:
    """Return the field that a word of an order stands for."""
    if name == "NEXT_RUN_AT":
        return Field(("nextRun", "at"), SCHEMA.type_map["DateTime"])
    wanted = name.replace("_", "").lower()
    return next(
        field
        for field in sorted(leaves(SCHEMA.type_map[type_]), key=lambda one: len(one.path))
        if field.path[-1].lower() == wanted
    )


@pytest.mark.parametrize("type_", TYPES)
async def test_every_order_is_that_of_what_is_shown(estate: Estate, type_: str) -> None:
    words = SCHEMA.type_map[f"{type_}OrderField"]
    assert isinstance(words, GraphQLEnumType)
    key = f"{type_.lower()}Id"
    query = f"""query($by: [{type_}Order!], $first: Int, $after: String, $last: Int,
                      $before: String) {{
      it: {type_.lower()}s(orderBy: $by, first: $first, after: $after, last: $last,
                           before: $before) {{
        nodes {{ {key} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"""
    for word in words.values.keys() - UNSORTED:
        shown = await estate.shown(type_, sorted_by(type_, word))
        field = sorted_by(type_, word)
        for descends in (False, True):
            by = [{"field": word, "direction": "DESC" if descends else "ASC"}]
            ids: list[str] = []
            page = {"hasNextPage": True, "endCursor": None}
            while page["hasNextPage"]:
                given = {"by": by, "first": 7, "after": page["endCursor"]}
                it = (await estate.ask(query, given))["it"]
                ids += [node[key] for node in it["nodes"]]
                page = it["pageInfo"]
            # Nulls come first, and last when descending.
            keys = [(value is not None, comparable(field, value)) for value in map(shown.get, ids)]
            for one, other in pairwise(keys):
                assert one == other or (_before(one, other) is not descends), (word, one, other)
            assert sorted(ids) == sorted(shown)
            back: list[str] = []
            page = {"hasPreviousPage": True, "startCursor": None}
            while page["hasPreviousPage"]:
                given = {"by": by, "last": 7, "before": page["startCursor"]}
                it = (await estate.ask(query, given))["it"]
                back = [node[key] for node in it["nodes"]] + back
                page = it["pageInfo"]
            assert back == ids, word


def _before(one: tuple[bool, Any], other: tuple[bool, Any]) -> bool:
    return one[0] < other[0] or (one[0] and other[0] and one[1] < other[1])
