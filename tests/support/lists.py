"""Random rows of the catalogue, and what GraphQL is to answer about them, worked out in Python."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from gateway.catalogue import history
from gateway.catalogue.derivations import calendar_time
from gateway.catalogue.tables import NO_TIME, columns
from gateway.db.database import Database
from tests.support.apps import GraphQL

Fields = Mapping[str, Any]
Order = Sequence[tuple[str, str]]
"""Fields to order by, and `ASC` or `DESC`."""

# A fixture's database lasts for all examples of a test: each example has a project of its own.
examples = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

WORDS = ["", "a", "B", "b", "aB", "ab a", "é", "e\u0301", "ß", "☃", "😀", "a_%'\\"]

WORKED_OUT = history.OF_JOB | {
    *("folded", "calendar_time", "due_at", "due_basis", "due_zone", "due_version"),
    *("series", "policy", "chain_time", "chain_level", "level_source", "restorability"),
    *("restorability_reason", "chain_state", "derived_version"),
}
"""The columns that the gateway derives of others: what is in them can't be made up."""

names = st.sampled_from(WORDS[1:])
numbers = st.sampled_from([-2, 0, 1, 2, 7])
sizes = st.sampled_from([-(2**63), 0, 1, 2**53 + 1, 2**63 - 1])
# The last two are no times: not yet, and milliseconds.
seconds = st.sampled_from([-100, 0, 1, 2, 1_700_000_000, -1, 1_774_751_400_123])

BACKUP: Mapping[str, st.SearchStrategy[Any]] = {
    "backup_name": names,
    "hostname": names | st.none(),
    "status": st.sampled_from(["available", "creating", "error"]),
    "level": numbers | st.none(),
    "compressed_size": sizes | st.none(),
    "time_stamp": seconds | st.none(),
}
"""The columns of a backup that tests look at, and what may be in them."""


def fresh_project() -> str:
    """A project that nothing is in."""
    return uuid4().hex


@st.composite
def backups(draw: st.DrawFn, most: int = 12, **more: st.SearchStrategy[Any]) -> list[Fields]:
    """Rows of backups, in no particular order."""
    rows = draw(st.lists(st.fixed_dictionaries(BACKUP | more), max_size=most))
    ids = draw(st.permutations(range(len(rows))))
    return [
        {"id": f"id{number}", "user_id": "u", "container": "c", "backup_metadata": "{}"}
        | row
        | {"sort_time": row["time_stamp"] or 0}
        for number, row in zip(ids, rows, strict=True)
    ]


def twice(graphql: GraphQL) -> GraphQL:
    """Ask everything twice: a plan that is kept must answer as a new one."""
    numbers = itertools.count()

    async def ask(query: str, *given: Any, **more: Any) -> dict[str, Any]:
        # No other query has this text, and so none has been planned.
        text = f"{query} # {next(numbers)}"
        first = await graphql(text, *given, **more)
        second = await graphql(text, *given, **more)
        if "errors" not in first:
            assert second == first
        return first

    return ask


async def store(
    database: Database, table: type[SQLModel], project: str, rows: Sequence[Fields]
) -> None:
    """Put rows into a table, in one statement."""
    if not rows:
        return
    defaults: dict[str, Any] = {}
    if "created_at" in columns(table):
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        defaults |= {"created_at": moment, "updated_at": moment}
    async with database.write(project) as transaction:
        await transaction.insert(
            *(table(**defaults | {"project_id": project, **row}) for row in rows)
        )


def orders(*fields: str) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Up to three fields to order by, each in either direction."""
    key = st.tuples(st.sampled_from(fields), st.sampled_from(["ASC", "DESC"]))
    return st.lists(key, max_size=3, unique_by=lambda pair: pair[0])


def argument(order: Order) -> list[dict[str, str]]:
    """The order as an argument `orderBy`."""
    return [{"field": field.upper(), "direction": direction} for field, direction in order]


def arranged(rows: Sequence[Fields], order: Order, default: Sequence[str]) -> list[Fields]:
    """The rows in this order: ties in the last key's direction, by id; of no order, the default."""
    keys = list(order) or [(field, "ASC") for field in default if field != "id"]
    result = list(rows)
    for field, direction in reversed([*keys, ("id", keys[-1][1])]):
        result.sort(key=_key(field), reverse=direction == "DESC")
    return result


def _key(field: str) -> Callable[[Fields], tuple[bool, Any]]:
    def key(row: Fields) -> tuple[bool, Any]:
        value = row[field]
        if field == "time_stamp" and calendar_time(value) == NO_TIME:
            value = None
        return value is not None, value.encode() if isinstance(value, str) else value or 0

    return key


PLACES = st.none() | st.integers(0, 11)
ORDERS = orders("backup_name", "hostname", "status", "level", "compressed_size", "time_stamp")
WHERES = {
    "all": ({}, lambda _: True),
    "with a host": ({"hostname": {"isNull": False}}, lambda row: row["hostname"] is not None),
    "full": (
        {"or": [{"level": {"lte": 0}}, {"level": {"isNull": True}}]},
        lambda row: row["level"] is None or row["level"] <= 0,
    ),
}
"""Filters of backups: each as an input, and what it means."""

PAGE_OF_BACKUPS = """
query($first: Int, $after: String, $last: Int, $before: String, $where: BackupWhere,
      $orderBy: [BackupOrder!], $search: String) {
  list: backups(first: $first, after: $after, last: $last, before: $before, where: $where,
                orderBy: $orderBy, search: $search) {
    totalCount
    nodes { backupId }
    edges { cursor node { backupId } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
"""A query of backups with everything that a connection has."""


async def found(
    graphql: GraphQL, project: str, wheres: Sequence[Any], kind: str = "Backup"
) -> list[set[str]]:
    """The ids that each of the filters finds, many asked for in one operation."""
    field, key = f"{kind.lower()}s", f"{kind.lower()}Id"
    ids = []
    for batch in _batches(wheres):
        variables = {f"w{number}": where for number, where in enumerate(batch)}
        declared = ", ".join(f"${name}: {kind}Where" for name in variables)
        asked = " ".join(
            f"{name}: {field}(where: ${name}, first: 100) {{ totalCount nodes {{ {key} }} }}"
            for name in variables
        )
        body = await graphql(f"query({declared}) {{ {asked} }}", variables, project=project)
        assert "errors" not in body, body
        for name in variables:
            page = body["data"][name]
            ids.append({node[key] for node in page["nodes"]})
            assert page["totalCount"] == len(page["nodes"])
    return ids


def _batches(items: Sequence[Any], size: int = 40) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
