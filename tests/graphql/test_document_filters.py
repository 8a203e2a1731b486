"""Filters on open documents: a path of keys, and what must be at its end, with its JSON type."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue.tables import Backup
from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.lists import examples, found, fresh_project, store, twice

pytestmark = pytest.mark.anyio


@pytest.fixture
def graphql(graphql: GraphQL) -> GraphQL:
    """Return a function that asks GraphQL in both the ways that it answers."""
    return twice(graphql)


KEYS = ["a", "b", "", "a.b", 'a"b', "a'b", "a\\b", "$", "*", "0", "[0]", "é", "😀", "\n", "\x01"]
SCALARS = [
    None,
    True,
    False,
    0,
    1,
    1.0,
    -0.5,
    0.1,
    1e300,
    2**53 + 1,
    -(2**63),
    "",
    "1",
    "é😀",
    '"',
    "true",
]
VALUES = st.sampled_from(SCALARS)
DOCUMENTS = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        VALUES | st.just([1, {"a": 1}]),
        lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
        max_leaves=4,
    ),
    max_size=4,
)
ABSENT = object()


def at(document: Any, path: Sequence[str]) -> Any:
    """What is there at the end of the path, through objects only."""
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return ABSENT
        document = document[key]
    return document


def same(value: Any, wanted: Any) -> bool:
    """Whether two JSON values are the same; null is also what isn't there."""
    if wanted is None:
        return value is None or value is ABSENT
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return not isinstance(value, (dict, list)) and value is not ABSENT and value == wanted


@examples
@given(
    documents=st.lists(DOCUMENTS, max_size=6),
    wanted=st.lists(
        st.tuples(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3), VALUES), max_size=12
    ),
)
async def test_a_value_inside_a_document(
    graphql: GraphQL,
    database: Database,
    documents: list[dict[str, Any]],
    wanted: list[tuple[list[str], Any]],
) -> None:
    project = fresh_project()
    plain = {"user_id": "u", "backup_name": "n", "status": "error", "sort_time": 0}
    stored = [
        plain | {"id": f"{n}", "backup_metadata": orjson.dumps(document).decode()}
        for n, document in enumerate(documents)
    ]
    await store(database, Backup, project, stored)
    # Ways that lead somewhere are rare among random ones.
    ways = [(path, value) for document in documents for path, value in leaves(document)]
    wanted = wanted + ways[:20]
    wheres = [{"metadata": [{"path": path, "eq": value}]} for path, value in wanted]
    answers = await found(graphql, project, wheres)
    for (path, value), ids in zip(wanted, answers, strict=True):
        expected = {f"{n}" for n, doc in enumerate(documents) if same(at(doc, path), value)}
        assert ids == expected, (path, value)


def leaves(document: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[list[str], Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif not isinstance(value, list):
            yield [*path, key], value


async def test_conditions_on_documents_in_the_query_itself(
    graphql: GraphQL, database: Database
) -> None:
    plain = {"user_id": "u", "backup_name": "n", "status": "error", "sort_time": 0}
    documents = {"one": '{"a":{"b":1},"c":null}', "two": '{"a":{"b":"1"},"c":true}'}
    await store(
        database,
        Backup,
        "p1",
        [plain | {"id": name, "backup_metadata": text} for name, text in documents.items()],
    )
    for text, expected in (
        ('{path: ["a", "b"], eq: 1}', {"one"}),
        ('{path: ["a", "b"], eq: 1.0}', {"one"}),
        ('{path: ["a", "b"], eq: "1"}', {"two"}),
        ('{path: ["c"], eq: null}', {"one"}),
        ('{path: ["c"], eq: true}', {"two"}),
        ('{path: ["a", "b"], eq: 1}, {path: ["c"], eq: true}', set()),
    ):
        body = await graphql(
            f"{{ backups(where: {{metadata: [{text}]}}) {{ nodes {{ backupId }} }} }}"
        )
        assert {node["backupId"] for node in body["data"]["backups"]["nodes"]} == expected, text
