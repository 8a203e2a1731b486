"""What a v2 document shows is found by a search for it, and by nothing else.

The keys are those of the documents themselves, so that a new one is tested by being there.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.app import create_app
from gateway.db.database import Database
from gateway.rest_compat import documents
from gateway.rest_compat.representations import Resource
from gateway.settings import load
from tests.support import extreme_estate
from tests.support.apps import opened
from tests.support.databases import Server

from .conftest import Ask, asking

pytestmark = pytest.mark.anyio

RESOURCES: dict[str, Resource] = {
    name.lower(): value for name, value in vars(documents).items() if isinstance(value, Resource)
}

COUNT = 24
"""How many items there are of each kind: enough for every number in every column."""


@pytest.fixture(scope="module", params=["documented", "freezer-19"])
async def ask(server: Server, template: str, request: pytest.FixtureRequest) -> AsyncIterator[Ask]:
    """Return a function that sends requests to the extreme estate, which no test changes."""
    url = await server.create(template)
    database = Database(load(database_url=url))
    await extreme_estate.settle(database, COUNT)
    await database.close()
    app = create_app(load(database_url=url, rest_dialect=request.param))
    async with opened(app) as client:
        yield asking(client, extreme_estate.PROJECT)
    await server.drop(url)


def values_in(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a document, at any depth, with its value."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key, value
            yield from values_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from values_in(value)


def same(value: Any, wanted: Any) -> bool:
    """Return True for the same value of the same JSON type."""
    if isinstance(value, (dict, list)):
        return False
    return isinstance(value, bool) is isinstance(wanted, bool) and value == wanted


def shows(item: Any, resource: Resource, key: str, wanted: Any) -> bool:
    """Return True if a document has this value under a key; null: or has no such key."""
    if resource is documents.JOBS and key in resource.projected:
        # Those of the schedule, since schedulers ask by them all the time.
        item = item["job_schedule"]
    values = [value for name, value in values_in(item) if name == key]
    if key in resource.null_as_empty and wanted in {None, ""}:
        # Nothing said is an empty text or null.
        wanted, values = None, [None if value == "" else value for value in values]
    return any(same(value, wanted) for value in values) if values else wanted is None


@pytest.mark.parametrize("name", RESOURCES)
async def test_every_key_is_found_as_shown(ask: Ask, name: str) -> None:
    resource = RESOURCES[name]

    async def listed(search: Any) -> list[Any]:
        body = json.dumps(search).encode()
        items: list[Any] = (await ask(f"GET {name}?limit=1000", body)).json()[name]
        return items

    def ids(items: list[Any]) -> list[str]:
        return [(item.get("client") or item)[resource.id] for item in items]

    shown = await listed({})
    assert len(shown) == COUNT
    values: dict[str, dict[str, Any]] = {}
    for key, value in (pair for item in shown for pair in values_in(item)):
        if not isinstance(value, (dict, list)):
            values.setdefault(key, {})[repr(value)] = value
    # A third of the values of each key: there are many keys, and columns of a kind are alike.
    pairs = [(key, value) for key, of in values.items() for value in [*of.values()][::3]]
    for key, value in [*pairs, *((key, None) for key in values)]:
        if key in resource.composite:
            continue
        expected = [item for item in shown if shows(item, resource, key, value)]
        found = await listed({"match": [{key: value}]})
        assert ids(found) == ids(expected), (key, value)
        others = await listed({"match_not": [{key: value}]})
        assert ids(others) == [one for one in ids(shown) if one not in ids(expected)], (key, value)


async def test_the_estate_has_every_key(ask: Ask) -> None:
    for name, resource in RESOURCES.items():
        items = (await ask(f"GET {name}?limit=1000")).json()[name]
        keys = {key for item in items for key, _ in values_in(item)}
        dialects = resource.dialects.values()
        for document in (each for one in dialects for each in (one.item, one.entry)):
            # Every key that is in the lists of a dialect, those of nested documents included.
            missing = document.searchable().keys() - keys
            assert not missing or set(items[0]) != set(document.keys), (name, missing)
