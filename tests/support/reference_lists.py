"""Lists as GraphQL is to show them, worked out in Python: conditions, searches, orders, pages."""

import operator
from calendar import timegm
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cmp_to_key, partial
from typing import Any
from zlib import crc32

import orjson
from graphql import get_named_type

from gateway.errors import BadInput, shown

Row = Mapping[str, Any]
Holds = Callable[[Row], bool]
Order = Sequence[tuple[str, bool]]
"""Columns, and True for each that descends."""
Key = tuple[Any, ...]

_COLUMNS = {
    ("Backup", "metadata"): "backup_metadata",
    ("Session", "timeStarted"): "time_start",
    ("Session", "timeEnded"): "time_end",
    ("Job", "scheduleDocument"): "shown_schedule",
    ("JobSchedule", "currentPid"): "shown_pid",
    ("Job", "lastRunAt"): "last_run_start",
    ("Job", "lastSuccessAt"): "last_success_start",
}
_OWN_ORDERS = {
    "Action": ("id",),
    "Backup": ("backup_name", "sort_time", "id"),
    "Client": ("id", "project_id"),
    "Job": ("description", "id"),
    "JobAction": ("position",),
    "Session": ("description", "id"),
}
_TIEBREAKERS = {"Client": ("id", "project_id"), "JobAction": ("position",)}
_SEARCHED = {
    "Action": (("id",), ("backup_name", "container", "path_to_backup")),
    "Backup": (
        ("id", "job_id", "backup_uuid"),
        ("backup_name", "hostname", "container", "client_id"),
    ),
    "Client": (("id", "uuid"), ("id", "hostname", "description")),
    "Job": (("id", "session_id"), ("description", "client_id")),
    "Session": (("id",), ("description",)),
}
"""The columns that a search looks at: ids, and names."""
_MOMENTS = {"created_at", "updated_at"}
_SCHEDULE_WORDS = {"status", "result", "event", "timeCreated", "timeStarted", "timeEnded"}


def column_of(type_: str, field: str) -> str:
    """Return the name of the column that a field of this type shows."""
    if (type_, field) in _COLUMNS:
        return _COLUMNS[type_, field]
    if field == f"{type_.lower()}Id":
        return "id"
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)
    return f"schedule_{name}" if type_ == "JobSchedule" and field not in _SCHEDULE_WORDS else name


# Conditions: what compares with null doesn't hold, so that two values of truth are enough.

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "in": lambda value, wanted: value is not None and value in wanted,
    "gt": lambda value, wanted: value is not None and value > wanted,
    "gte": lambda value, wanted: value is not None and value >= wanted,
    "lt": lambda value, wanted: value is not None and value < wanted,
    "lte": lambda value, wanted: value is not None and value <= wanted,
    "contains": lambda value, wanted: value is not None and wanted in value,
    "startsWith": lambda value, wanted: value is not None and value.startswith(wanted),
    "isNull": lambda value, wanted: (value is None) == wanted,
}


def condition(type_: str, where_type: Any, where: Mapping[str, Any]) -> Holds:
    """Return what a filter of rows of a type means. Raises BadInput."""
    parts: list[Holds] = []
    for name, given in where.items():
        inner = get_named_type(where_type.fields[name].type)
        if given is None:
            continue
        if name in {"and", "or"}:
            both = [condition(type_, where_type, item) for item in given]
            parts.append(partial(_joined, all if name == "and" else any, both))
        elif name == "not":
            parts.append(partial(_not, condition(type_, where_type, given)))
        elif inner.name.endswith("Where"):
            parts.append(condition(inner.name.removesuffix("Where"), inner, given))
        elif inner.name == "DocumentFilter":
            parts += [_in_document(column_of(type_, name), item) for item in given]
        else:
            parts += _comparisons(name, column_of(type_, name), inner.name, given)
    return partial(_joined, all, parts)


def _joined(join: Callable[[Iterable[bool]], bool], parts: Sequence[Holds], row: Row) -> bool:
    return join(part(row) for part in parts)


def _not(part: Holds, row: Row) -> bool:
    return not part(row)


def _comparisons(
    field: str, column: str, filter_type: str, given: Mapping[str, Any]
) -> Iterable[Holds]:
    read = {
        "DateTimeFilter": _microseconds,
        "StringFilter": _same,
        "IDFilter": _same,
        "IntFilter": _same,
        "BigIntFilter": _same,
        "BooleanFilter": _same,
    }.get(filter_type, _word)
    for name in (one for one in _OPERATORS if one in given):
        wanted, at = given[name], f"{field}.{name}"
        if wanted is None and name not in {"eq", "ne"}:
            raise BadInput(f"'{at}' can't be null: use isNull", field=at)
        values = wanted if isinstance(wanted, list) else [wanted]
        if any(isinstance(text, str) and "\0" in text for text in values):
            raise BadInput(f"'{at}' has a NUL character", field=at)
        if wanted is not None and name != "isNull":
            wanted = [read(one) for one in wanted] if name == "in" else read(wanted)
        yield partial(_compared, column, read, _OPERATORS[name], wanted)


def _compared(
    column: str,
    read: Callable[[Any], Any],
    compare: Callable[[Any, Any], bool],
    wanted: Any,
    row: Row,
) -> bool:
    value = shown_value(row, column)
    return compare(None if value is None else read(value), wanted)


def shown_value(row: Row, column: str) -> Any:
    """Return a column's value, or None for one that its field shows as null."""
    return None if column in row.get("shown_as_null", ()) else row[column]


def _same(value: Any) -> Any:
    return value


def _word(value: str) -> str:
    """Return a word as it is stored; those of an enum are in upper case, and stored in lower."""
    return value.lower() if value.isupper() else value


def _microseconds(value: datetime | int) -> int:
    if isinstance(value, int):
        return value * 10**6
    return timegm(value.utctimetuple()) * 10**6 + value.microsecond


def _in_document(column: str, given: Mapping[str, Any]) -> Holds:
    path, wanted = given["path"], given.get("eq")
    if not path:
        raise BadInput("'path' must name at least one key", field="path")
    if len(path) > 32 or any("\0" in key for key in path):
        raise BadInput(f"'path' {path} can't be in a document", field="path")
    if isinstance(wanted, (dict, list)):
        raise BadInput("'eq' must be a string, number, boolean or null", field="eq")

    def holds(row: Row) -> bool:
        value = orjson.loads(row[column])
        for key in path:
            if not isinstance(value, dict) or key not in value:
                # What isn't there is as good as null.
                return wanted is None
            value = value[key]
        return _json_type(value) is _json_type(wanted) and value == wanted

    return holds


def _json_type(value: Any) -> type:
    return float if type(value) is int else type(value)


def search(type_: str, text: str) -> Holds:
    """Return what it means to look for a text in rows of a type; in a job, also in its actions."""
    ids, names = _SEARCHED[type_]
    folded = text.casefold()

    def holds(row: Row) -> bool:
        return (
            any(row[column] == text for column in ids)
            or any(folded in (row[column] or "").casefold() for column in names)
            or any(map(inner, row.get("actions", ())))
        )

    inner = search("Action", text) if type_ == "Job" else holds
    return holds


# Orders and pages


def order_of(
    type_: str, given: Sequence[Mapping[str, str]] | None, *, linked: bool, across: bool
) -> Order:
    """Return the whole order of a list; `linked` is True for the actions of a job."""
    name = "JobAction" if linked else type_
    own = _OWN_ORDERS[name]
    ties = _TIEBREAKERS.get(name, own[-1:])
    if across:
        own = ("project_id", *(column for column in own if column != "project_id"))
        ties = tuple(dict.fromkeys((*ties, "project_id")))
    sorts: dict[str, bool] = {}
    for key in given or ():
        sorts.setdefault(_sorted_by(type_, key["field"]), key["direction"] == "DESC")
    if not sorts:
        return [(column, False) for column in own]
    descending = list(sorts.values())[-1]
    return [*sorts.items(), *((tie, descending) for tie in ties if tie not in sorts)]


def _sorted_by(type_: str, field: str) -> str:
    if field == "TIME_STAMP":
        return "calendar_time"
    head, *tail = field.lower().split("_")
    return column_of(type_, head + "".join(word.title() for word in tail))


def key_of(order: Order, row: Row) -> Key:
    """Return a row's place in the order."""
    return tuple(shown_value(row, column) for column, _ in order)


def compared(order: Order, one: Key, other: Key) -> int:
    """Return -1 if one place is before the other, 1 if it is after it, 0 if they are the same."""
    for (_, descending), value, against in zip(order, one, other, strict=True):
        if value != against:
            # Nulls are before all others.
            before = value is None or (against is not None and value < against)
            return -1 if before != descending else 1
    return 0


def cursor(order: Order, row: Row) -> str:
    """Return a row's cursor: the order's checksum and the row's place, as JSON, in hexadecimal."""
    return orjson.dumps([_checksum(order), *key_of(order, row)]).hex()


def place(order: Order, text: str, field: str) -> Key:
    """Return the place that a cursor stands for. Raises BadInput, naming the argument."""
    wrong = BadInput(f"'{field}': {shown(text)} is not a cursor of this list", field=field)
    try:
        checksum, *values = orjson.loads(bytes.fromhex(text))
        key = tuple(
            datetime.fromisoformat(value) if column in _MOMENTS else value
            for (column, _), value in zip(order, values, strict=True)
        )
    except (TypeError, ValueError):
        raise wrong from None
    if checksum != _checksum(order):
        raise wrong
    return key


def _checksum(order: Order) -> str:
    text = ",".join(f"{'-' * descending}{column}" for column, descending in order)
    return f"{crc32(text.encode()):08x}"


@dataclass(frozen=True)
class Bounds:
    """The part of a list that a page is to show."""

    order: Order
    first: int | None
    last: int | None
    after: Key | None
    before: Key | None


@dataclass(frozen=True)
class Page:
    """A part of a list, and what lies beyond it."""

    rows: Sequence[Row]
    has_next: bool
    has_previous: bool
    knows_next: bool
    """False if it takes a look at the rest of the list to know if there is more."""
    knows_previous: bool


def page(rows: Iterable[Row], bounds: Bounds) -> Page:
    """Return the page of a list."""
    order, after, before = bounds.order, bounds.after, bounds.before
    places = sorted(
        ((key_of(order, row), row) for row in rows),
        key=cmp_to_key(lambda one, other: compared(order, one[0], other[0])),
    )
    lower = [after is not None and compared(order, key, after) <= 0 for key, _ in places]
    upper = [before is not None and compared(order, key, before) >= 0 for key, _ in places]
    within = [
        row
        for (_, row), below, above in zip(places, lower, upper, strict=True)
        if not below and not above
    ]
    first, last = bounds.first, bounds.last
    length = len(within)
    start = 0 if last is None else max(0, length - last)
    end = length if first is None else min(length, first)
    return Page(
        within[start:end],
        has_next=end < length or any(upper),
        has_previous=start > 0 or any(lower),
        knows_next=end < length or before is None,
        knows_previous=start > 0 or after is None,
    )
