"""Filters: every operator, alone and in trees, finds what the same condition finds in Python."""

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue.tables import Action, Backup, Job
from gateway.db.database import Database
from gateway.settings import Settings, load
from tests.support.apps import GraphQL
from tests.support.lists import WORDS, Fields, examples, found, fresh_project, store, twice

pytestmark = pytest.mark.anyio

JSONContains = Callable[[Any, Any], bool]
Condition = tuple[dict[str, Any], Callable[[Fields], bool]]
"""A filter's input, and what it means."""

EQUALITY: Mapping[str, JSONContains] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "in": lambda value, wanted: value is not None and value in wanted,
    "isNull": lambda value, wanted: (value is None) == wanted,
}
ORDER: Mapping[str, JSONContains] = {
    "gt": lambda value, wanted: value is not None and value > wanted,
    "gte": lambda value, wanted: value is not None and value >= wanted,
    "lt": lambda value, wanted: value is not None and value < wanted,
    "lte": lambda value, wanted: value is not None and value <= wanted,
}
TEXT: Mapping[str, JSONContains] = {
    "contains": lambda value, wanted: value is not None and wanted in value,
    "startsWith": lambda value, wanted: value is not None and value.startswith(wanted),
}


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return settings with which many filters are asked at once, and the largest."""
    return load(
        database_url=database_url,
        graphql_max_tokens=5000,
        graphql_max_characters=100_000,
        graphql_max_aliases=50,
        graphql_max_root_fields=50,
        graphql_max_variable_objects=10_000,
        graphql_max_variable_values=10_000,
    )


@pytest.fixture
def graphql(graphql: GraphQL) -> GraphQL:
    """Return a function that asks GraphQL in both the ways that it answers."""
    return twice(graphql)


SECONDS = (-100, 0, 1, 2, 1_700_000_000, 253_402_300_799)
MOMENTS = [
    datetime.fromtimestamp(second, UTC).replace(microsecond=micro).astimezone(zone)
    for second, micro, zone in itertools.product(
        SECONDS[:-1], (0, 1, 500_000, 999_999), (UTC, timezone(timedelta(hours=-9.5)))
    )
] + [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)]

FIELDS: Mapping[str, tuple[str, Sequence[Any], Sequence[Any], Mapping[str, JSONContains]]] = {
    "backupName": ("backup_name", WORDS, WORDS, EQUALITY | ORDER | TEXT),
    "hostname": ("hostname", [*WORDS, None], WORDS, EQUALITY | ORDER | TEXT),
    "jobId": ("job_id", ["", "a", "1", "é", None], ["", "a", "1", 1, "é"], EQUALITY),
    "status": (
        "status",
        ["available", "creating", "error"],
        ["AVAILABLE", "CREATING", "DELETED"],
        EQUALITY,
    ),
    "level": ("level", [-2, 0, 1, 2**31 - 1, None], [-(2**31), -2, 0, 1, 5], EQUALITY | ORDER),
    "compressedSize": (
        "compressed_size",
        [-(2**63), 0, 2**53, 2**53 + 1, 2**63 - 1, None],
        [-(2**63), 0, "0", 2**53 + 1, str(2**53 + 1), 2**63 - 1],
        EQUALITY | ORDER,
    ),
    "timeStamp": ("time_stamp", [*SECONDS, None], MOMENTS, EQUALITY | ORDER),
    "createdAt": ("created_at", MOMENTS, MOMENTS, EQUALITY | ORDER),
}
"""By the field's name: its column, values in it, values to look for, and how to look for them."""


def rows() -> Iterator[Fields]:
    """Backups that have every value of every column."""
    for number in range(max(len(values) for _, values, _, _ in FIELDS.values())):
        row = {column: values[number % len(values)] for column, values, _, _ in FIELDS.values()}
        yield {
            "id": f"id{number}",
            "user_id": "u",
            "backup_metadata": "{}",
            "sort_time": row["time_stamp"] or 0,
        } | row


ROWS = list(rows())


def sent(value: Any) -> Any:
    """The value as a client sends it."""
    if isinstance(value, list):
        return [sent(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def meant(field: str, value: Any) -> Any:
    """The value as it compares with those of rows."""
    if isinstance(value, list):
        return [meant(field, item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if field == "compressedSize":
        return int(value)
    if field == "status":
        return value.lower().encode()
    return str(value).encode() if isinstance(value, str) or field == "jobId" else value


def known(field: str, row: Fields) -> Any:
    """The value of a row, as it is to be compared."""
    value = row[FIELDS[field][0]]
    if field == "timeStamp" and value is not None:
        return datetime.fromtimestamp(value, UTC)
    return value.encode() if isinstance(value, str) else value


def condition(field: str, name: str, value: Any) -> Condition:
    """One condition on a field."""
    compare, wanted = FIELDS[field][3][name], meant(field, value)
    return {field: {name: sent(value)}}, lambda row: compare(known(field, row), wanted)


def every(field: str) -> Iterator[Condition]:
    """Every operator of a field, with every value."""
    _, _, values, operators = FIELDS[field]
    for name in operators:
        wanted: list[Any] = list(values)
        if name == "isNull":
            wanted = [True, False]
        elif name == "in":
            wanted = [[], [values[0]], list(values[1:3]), [*values] * 10]
        elif name in {"eq", "ne"}:
            wanted.append(None)
        yield from (condition(field, name, value) for value in wanted)


def _both(parts: list[Condition]) -> Condition:
    return {"and": [part[0] for part in parts]}, lambda row: all(part[1](row) for part in parts)


def _either(parts: list[Condition]) -> Condition:
    return {"or": [part[0] for part in parts]}, lambda row: any(part[1](row) for part in parts)


def _not(part: Condition) -> Condition:
    return {"not": part[0]}, lambda row: not part[1](row)


TREES = st.recursive(
    st.sampled_from([condition for field in FIELDS for condition in every(field)]),
    lambda inner: (
        st.lists(inner, max_size=3).map(_both)
        | st.lists(inner, max_size=3).map(_either)
        | inner.map(_not)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("field", FIELDS)
async def test_every_operator_of_a_field_finds_what_python_finds(
    graphql: GraphQL, database: Database, field: str
) -> None:
    await store(database, Backup, "p1", ROWS)
    wanted = list(every(field))
    answers = await found(graphql, "p1", [where for where, _ in wanted])
    for (where, holds), ids in zip(wanted, answers, strict=True):
        assert ids == {row["id"] for row in ROWS if holds(row)}, where


@examples
@given(wanted=st.lists(TREES, min_size=1, max_size=8))
async def test_trees_of_conditions_find_what_python_finds(
    graphql: GraphQL, database: Database, wanted: list[Condition]
) -> None:
    project = fresh_project()
    await store(database, Backup, project, ROWS)
    answers = await found(graphql, project, [where for where, _ in wanted])
    for (where, holds), ids in zip(wanted, answers, strict=True):
        assert ids == {row["id"] for row in ROWS if holds(row)}, where


async def test_conditions_on_one_field_must_all_hold(graphql: GraphQL, database: Database) -> None:
    await store(database, Backup, "p1", ROWS)
    where = {"level": {"gte": 0, "ne": 1}, "hostname": {"isNull": False, "contains": "a"}}
    (ids,) = await found(graphql, "p1", [where])
    assert ids == {
        row["id"]
        for row in ROWS
        if row["level"] in {0, 2**31 - 1} and row["hostname"] and "a" in row["hostname"]
    }


async def test_what_says_nothing_finds_everything(graphql: GraphQL, database: Database) -> None:
    await store(database, Backup, "p1", ROWS)
    nothing = ({}, {"level": {}}, {"level": None}, {"and": []}, {"not": {"or": []}}, {"and": None})
    for ids in await found(graphql, "p1", nothing):
        assert len(ids) == len(ROWS)
    assert (
        await found(graphql, "p1", [{"or": []}, {"not": {}}, {"or": [{"not": {}}]}]) == [set()] * 3
    )


async def test_a_yes_or_no(graphql: GraphQL, database: Database) -> None:
    numbers = {"user_id": "u", "freezer_action": "{}", "max_retries": 1, "max_retries_interval": 1}
    await store(
        database,
        Action,
        "p1",
        [numbers | {"id": f"{yes}", "mandatory": yes} for yes in (True, False)],
    )
    wheres = [
        {"mandatory": {name: value}} for name in ("eq", "ne") for value in (True, False, None)
    ]
    yes, no, both = {"True"}, {"False"}, {"True", "False"}
    assert await found(graphql, "p1", wheres, "Action") == [yes, no, set(), no, yes, both]


async def test_a_part_of_a_job(graphql: GraphQL, database: Database) -> None:
    jobs = [
        {"id": f"{n}", "user_id": "u", "description": "", "job_schedule": "{}"}
        | {"schedule_interval": interval, "time_started": time}
        for n, (interval, time) in enumerate([("1 days", 5), ("2 days", None), (None, 7)])
    ]
    await store(database, Job, "p1", jobs)
    wheres = [
        {"schedule": {"interval": {"startsWith": "1"}}},
        {"schedule": {"interval": {"ne": "1 days"}, "timeStarted": {"isNull": False}}},
        {"schedule": {"not": {"timeStarted": {"gt": "1970-01-01T00:00:06"}}}},
    ]
    assert await found(graphql, "p1", wheres, "Job") == [{"0"}, {"2"}, {"0", "1"}]


async def test_a_filter_as_large_as_it_may_be(graphql: GraphQL, database: Database) -> None:
    await store(database, Backup, "p1", ROWS)
    deep: dict[str, Any] = {"level": {"eq": 1}}
    for _ in range(14):
        deep = {"not": deep}
    way = {"path": ["a"] * 32, "eq": 1}
    wheres = [
        {"or": [{"level": {"eq": 1}}] * 200},
        {"and": [{"level": {"eq": 1}}] * 200},
        {"level": {"in": [1] * 1000}},
        deep,
        {"level": {"eq": 1}, "not": {"metadata": [way] * 6}},
    ]
    expected = {row["id"] for row in ROWS if row["level"] == 1}
    assert await found(graphql, "p1", wheres) == [expected] * len(wheres)
    # Nowhere is a statement nested deeper than for the page of a parent.
    query = """query($where: BackupWhere) { jobs { nodes {
      backups(where: $where, search: "x") { totalCount nodes { id } } } } }"""
    await store(
        database, Job, "p1", [{"id": "j", "user_id": "u", "description": "", "job_schedule": "{}"}]
    )
    for where in wheres:
        assert "errors" not in await graphql(query, {"where": where})
