"""How an open document becomes columns, and what the catalogue refuses to hold.

One function per table takes a client's document and returns the columns projected from it; the
document itself is kept whole. A key that the contract types is checked, and BadInput names it; any
other key is the client's own business, and projected only when it has the column's type.
"""

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from sqlmodel import SQLModel

from gateway.catalogue import json_values
from gateway.catalogue.tables import INT64, columns, max_bytes_of
from gateway.catalogue.vocabularies import (
    ACTIONS,
    CONTINUOUS,
    INTERVAL_UNITS,
    MODES,
    BackupStatus,
    JobEvent,
    JobResult,
    JobStatus,
)
from gateway.errors import BadInput, shown

Document = Mapping[str, Any]

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ID = re.compile(r"[\w-]+")
_HOST = r"[a-zA-Z\d](?:[a-zA-Z\d-]{0,61}[a-zA-Z\d])?"
_CLIENT_ID = re.compile(rf"(?:[\w-]+_)?{_HOST}(?:\.{_HOST})*")
_INTERVAL = re.compile(rf"{CONTINUOUS}|\d+ +(?:{'|'.join(INTERVAL_UNITS)})", re.ASCII)
_DATE = re.compile(
    r"-?(?:[1-9]\d*)?\d{4}-(?:1[0-2]|0[1-9])-(?:3[01]|0[1-9]|[12]\d)"
    r"T(?:2[0-3]|[01]\d):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:2[0-3]|[01]\d):[0-5]\d)?",
    re.ASCII,
)
_YEAR = re.compile(r"\d{4}", re.ASCII)


# What one value may be: each takes the key and the value, and raises BadInput for a wrong one.


def string(key: str, value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise BadInput(f"'{key}' must be a string, not {shown(value)}", field=key)
    return value


def integer(key: str, value: object) -> int:
    """An integer of 64 bits; neither a boolean nor digits in a string."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"'{key}' must be an integer, not {shown(value)}", field=key)
    if not -INT64 <= value < INT64:
        raise BadInput(f"'{key}' is an integer beyond 64 bits: {value}", field=key)
    return value


def boolean(key: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BadInput(f"'{key}' must be true or false, not {shown(value)}", field=key)
    return value


def mapping(key: str, value: object) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise BadInput(f"'{key}' must be an object, not {shown(value)}", field=key)
    return value


def sequence(key: str, value: object) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise BadInput(f"'{key}' must be an array, not {shown(value)}", field=key)
    return value


def identifier(key: str, value: object) -> str:
    """An id: letters, digits, `_` and `-`."""
    return _matching(key, value, _ID, "an id (letters, digits, '_' and '-')")


def client_identifier(key: str, value: object) -> str:
    """A client's id: a host name, after a prefix and `_` where the client has one."""
    return _matching(key, value, _CLIENT_ID, "a client id ([prefix_]host.name)")


def one_of(vocabulary: Collection[str]) -> Callable[[str, object], str]:
    """Return a check for one of the words."""

    def check(key: str, value: object) -> str:
        if value not in vocabulary or not isinstance(value, str):
            words = ", ".join(f"'{word}'" for word in vocabulary)
            raise BadInput(f"'{key}': {shown(value)} is not one of {words}", field=key)
        return value

    return check


def optional(check: Callable[[str, object], object]) -> Callable[[str, object], object]:
    """Return the check with null let through."""

    def check_unless_null(key: str, value: object) -> object:
        return None if value is None else check(key, value)

    return check_unless_null


def _matching(key: str, value: object, pattern: re.Pattern[str], meaning: str) -> str:
    if not pattern.fullmatch(string(key, value)):
        raise BadInput(f"'{key}': {shown(value)} is not {meaning}", field=key)
    return str(value)


def _pattern(pattern: re.Pattern[str], meaning: str) -> Callable[[str, object], str]:
    return lambda key, value: _matching(key, value, pattern, meaning)


_date = _pattern(_DATE, "an ISO 8601 date and time (YYYY-MM-DDThh:mm:ss)")

SCHEDULE: Mapping[str, Callable[[str, object], object]] = {
    "schedule_interval": _pattern(
        _INTERVAL, f"an interval ('{CONTINUOUS}' or 'N {'|'.join(INTERVAL_UNITS)}')"
    ),
    "schedule_date": _date,
    "schedule_start_date": _date,
    "schedule_end_date": _date,
    "schedule_year": _pattern(_YEAR, "a year of four digits"),
    "schedule_month": string,
    "schedule_day": string,
    "schedule_week": string,
    "schedule_day_of_week": string,
    "schedule_hour": string,
    "schedule_minute": string,
    "schedule_second": string,
    "status": one_of(["", *JobStatus]),
    "event": one_of(["", *JobEvent]),
    "result": one_of(["", *JobResult]),
    "time_created": integer,
    "time_started": integer,
    "time_ended": integer,
    "current_pid": integer,
}
"""The keys of a schedule, and what each may be; there are no others."""

FREEZER_ACTION: Mapping[str, Callable[[str, object], object]] = {
    "action": one_of(ACTIONS),
    "mode": optional(one_of(MODES)),
    "backup_name": optional(string),
    "container": optional(string),
    "path_to_backup": optional(string),
    "restore_abs_path": optional(string),
    "cindernative_freezer_only": optional(boolean),
}
"""The keys of a `freezer_action` that have a type; it may have any others."""

_BACKUP: Mapping[str, Callable[[str, object], object]] = {
    "backup_name": string,
    "container": optional(string),
    "hostname": optional(string),
    "job_id": optional(string),
    "client_id": optional(string),
    "backup_uuid": optional(string),
}


def backup(metadata: Document, status: str) -> dict[str, Any]:
    """Columns of a backup from its metadata; `job_id` and the like only where it has them.

    Raises BadInput for a status outside the vocabulary, a missing name, or one of a wrong type;
    a backup whose data exists must say in which container and of which host.
    """
    one_of(list(BackupStatus))("status", status)
    check(metadata, _BACKUP)
    required = ["backup_name"]
    if status in {BackupStatus.AVAILABLE, BackupStatus.DELETED}:
        required += ["container", "hostname"]
    for key in required:
        if not metadata.get(key):
            raise BadInput(f"'{key}' is a required property", field=key)
    time_stamp = metadata.get("time_stamp")
    if time_stamp in {None, ""} if not isinstance(time_stamp, (list, dict)) else False:
        time_stamp = None
    else:
        time_stamp = integer("time_stamp", time_stamp)
    projected = {
        "status": status,
        "backup_name": metadata["backup_name"],
        "hostname": _text(metadata, "hostname"),
        "container": _text(metadata, "container"),
        "action": _text(metadata, "action"),
        "mode": _text(metadata, "mode"),
        "storage": _text(metadata, "storage"),
        "engine": _text(metadata, "engine_name"),
        "level": _integer(metadata, "curr_backup_level"),
        "max_level": _integer(metadata, "max_level"),
        "compressed_size": _integer(metadata, "backup_size_compressed"),
        "uncompressed_size": _integer(metadata, "backup_size_uncompressed"),
        "time_stamp": time_stamp,
        "sort_time": time_stamp or 0,
    }
    # These may also be known from elsewhere, and stay what they are where the document is silent.
    for key in ("job_id", "client_id", "backup_uuid"):
        if key in metadata:
            projected[key] = _text(metadata, key)
    return projected


def job(schedule: Document) -> dict[str, Any]:
    """Columns of a job from its schedule; BadInput for a key or value a schedule can't have."""
    check(schedule, SCHEDULE, closed="job_schedule")
    # An empty string is how the vocabularies say nothing, and -1 how a scheduler says "not yet".
    nothing = {"", -1}
    return {key: None if (value := schedule.get(key)) in nothing else value for key in SCHEDULE}


def scheduled(schedule: dict[str, Any]) -> dict[str, Any]:
    """Columns of a job with this schedule, its document included.

    A scheduler dies of a schedule without `event`, and of an `abort` without a `current_pid`, and
    every later job of its host with it: they are always there. Raises BadInput as `job` does.
    """
    columns_ = job(schedule)
    schedule.setdefault("event", "")
    if schedule["event"] == JobEvent.ABORT:
        schedule.setdefault("current_pid", 0)
    return {"job_schedule": json_values.dump(schedule, what="'job_schedule'"), **columns_}


def action(freezer_action: Document) -> dict[str, Any]:
    """Columns of an action from its `freezer_action`; BadInput for a typed key of another type."""
    check(freezer_action, FREEZER_ACTION)
    return {
        "action": _text(freezer_action, "action"),
        "mode": _text(freezer_action, "mode"),
        "storage": _text(freezer_action, "storage"),
        "engine": _text(freezer_action, "engine_name"),
        "backup_name": _text(freezer_action, "backup_name"),
        "container": _text(freezer_action, "container"),
        "path_to_backup": _text(freezer_action, "path_to_backup"),
        "timeout": _integer(freezer_action, "timeout"),
        "priority": _integer(freezer_action, "priority"),
    }


def check(
    document: Document,
    keys: Mapping[str, Callable[[str, object], object]],
    *,
    closed: str | None = None,
) -> None:
    """Check the keys that have a type; with `closed`, the document's name, refuse any other."""
    for key, value in document.items():
        if key in keys:
            keys[key](key, value)
        elif closed:
            raise BadInput(
                f"additional properties are not allowed ('{closed}' has no {shown(key)})", field=key
            )


def check_lengths(row: SQLModel) -> None:
    """Check that both databases can hold the row's texts, and an index the short ones.

    Raises BadInput naming the column, and its limit in bytes of UTF-8.
    """
    limits = _limits(type(row))
    for key, value in vars(row).items():
        if not isinstance(value, str):
            continue
        size = len(value.encode(errors="surrogatepass"))
        if size > limits.get(key, size):
            raise BadInput(
                f"'{key}' is {size} bytes long, the limit is {limits[key]}: {shown(value)}",
                field=key,
            )
        if not storable(value):
            raise BadInput(f"'{key}' has characters no text has: {shown(value)}")


@cache
def _limits(table: type[SQLModel]) -> Mapping[str, int]:
    """Return the limits of a table's short texts, in bytes of UTF-8, by column."""
    limits = {column.key: max_bytes_of(table, column.key) for column in columns(table)}
    return {key: limit for key, limit in limits.items() if limit is not None}


def storable(text: str) -> bool:
    """Tell whether both databases can hold the text: no NUL, no lone surrogates."""
    return not _UNSTORABLE.search(text)


def _text(document: Document, key: str) -> str | None:
    """The text of this key; null where it is absent, empty, or something else."""
    value = document.get(key)
    return value if value and isinstance(value, str) else None


def _integer(document: Document, key: str) -> int | None:
    value = document.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
