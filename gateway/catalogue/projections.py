"""The projections of open documents to columns.

One function per table takes a client's document and returns the columns projected from it; the
document itself is kept whole. A key that the contract types is checked; any other key is projected
only if its value has the column's type.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from gateway.catalogue import json_values, schedules
from gateway.catalogue.checks import (
    Check,
    boolean,
    check_keys,
    integer,
    one_of,
    optional,
    string,
)
from gateway.catalogue.schedules import ScheduleKey, is_known
from gateway.catalogue.tables import ID_BYTES, INT64
from gateway.catalogue.vocabularies import ACTIONS, MODES, BackupStatus, JobEvent
from gateway.errors import BadInput

Document = Mapping[str, Any]

FREEZER_ACTION: Mapping[str, Check] = {
    "action": one_of(ACTIONS),
    "mode": optional(one_of(MODES)),
    "backup_name": optional(string),
    "container": optional(string),
    "path_to_backup": optional(string),
    "restore_abs_path": optional(string),
    "cindernative_freezer_only": optional(boolean),
}
"""The checks of the typed keys of a `freezer_action`, which may have any other keys."""

_DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)

_BACKUP: Mapping[str, Check] = {
    "backup_name": string,
    "container": optional(string),
    "hostname": optional(string),
    "job_id": optional(string),
    "client_id": optional(string),
    "backup_uuid": optional(string),
}


def backup(
    metadata: Document,
    status: str,
    known: Document = MappingProxyType({}),
    known_status: str | None = None,
) -> dict[str, Any]:
    """Return the columns of a backup; `job_id` and other ids only if the metadata has them.

    `known` and `known_status` are those of the stored backup, of which nothing is refused. Raises
    BadInput for a status outside the vocabulary, a missing name, or a value of a wrong type. A
    backup whose data exists, or did, needs a container and a host name as well.
    """
    if known_status is None or status != known_status:
        one_of(list(BackupStatus))("status", status)
    check_keys(_changed(metadata, known), _BACKUP)
    lacked = [] if known_status is None else _missing(known, known_status)
    for key in _missing(metadata, status):
        if key not in lacked:
            raise BadInput(f"'{key}' is a required property", field=key)
    time_stamp = metadata.get("time_stamp")
    if time_stamp not in (None, "") and not is_known("time_stamp", time_stamp, known):
        integer("time_stamp", _number(time_stamp))
    return backup_columns(metadata, status)


def backup_columns(metadata: Document, status: str) -> dict[str, Any]:
    """Return the same of any metadata, which isn't checked: null for what a column can't hold."""
    time_stamp = _integer(metadata, "time_stamp")
    projected = {
        "status": status,
        "backup_name": _text(metadata, "backup_name") or "",
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
    # A draft may give these beside the metadata: without a key, the draft's value stays.
    for key in ("job_id", "client_id", "backup_uuid"):
        if key in metadata:
            projected[key] = _text(metadata, key)
    return projected


def as_stored(values: dict[str, Any], row: Any, metadata: Document) -> dict[str, Any]:
    """Return the columns of a change, those of long texts that stay as the row has them.

    `metadata` is that of the stored row. An import has shortened what no index takes.
    """
    long = [name for name, value in values.items() if _is_long(value)]
    before = backup_columns(metadata, row.status) if long else {}
    kept = [name for name in long if before.get(name) == values[name]]
    return {**values, **{name: getattr(row, name) for name in kept}} if kept else values


def _is_long(value: Any) -> bool:
    # It may have more bytes than a column of ids takes, or of names.
    return isinstance(value, str) and len(value) * 4 > ID_BYTES


def _missing(metadata: Document, status: str) -> list[str]:
    """Return the keys that a backup of a status needs, and the metadata doesn't have."""
    required = ["backup_name"]
    if status in {BackupStatus.AVAILABLE, BackupStatus.DELETED}:
        required += ["container", "hostname"]
    return [key for key in required if not metadata.get(key)]


def job(schedule: Document) -> dict[str, Any]:
    """Return the columns projected from a schedule; null for a value that they can't hold."""
    return {key.key: _of_schedule(key, schedule.get(key.key)) for key in schedules.KEYS}


def _of_schedule(key: ScheduleKey, value: Any) -> Any:
    kind = int if key.type in {int, datetime} else str
    if type(value) is not kind or value in schedules.EMPTY:
        return None
    return None if isinstance(value, int) and not -INT64 <= value < INT64 else value


def schedule_columns(schedule: Document, known: Document = MappingProxyType({})) -> dict[str, Any]:
    """Return the columns of a job that hold this schedule: its document, and those of `job`.

    Adds `event`, and a `current_pid` to the event `abort`, where the schedule has none: a scheduler
    dies of a schedule without them. `known` is the schedule so far, whose values stay as they are.
    Raises BadInput as `schedules.readable` does.
    """
    return job_columns(
        schedules.readable(schedule, known),
        lambda stored: json_values.dump(stored, what="'job_schedule'"),
    )


def job_columns(schedule: Document, dump: Callable[[Any], str]) -> dict[str, Any]:
    """Return the same of any schedule, which isn't checked, written by `dump`."""
    stored = dict(schedule)
    stored.setdefault("event", "")
    if stored["event"] == JobEvent.ABORT:
        stored.setdefault("current_pid", 0)
    return {"job_schedule": dump(stored), **job(stored)}


def action(freezer_action: Document, known: Document = MappingProxyType({})) -> dict[str, Any]:
    """Return the columns of an action; `known` is the stored one, of which nothing is refused.

    Raises BadInput for a typed key of a wrong type.
    """
    check_keys(_changed(freezer_action, known), FREEZER_ACTION)
    return action_columns(freezer_action)


def action_columns(freezer_action: Document) -> dict[str, Any]:
    """Return the same of any action, which isn't checked: null for what a column can't hold."""
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


def _changed(document: Document, known: Document) -> Document:
    """Return the keys of a document whose values are not those known so far."""
    if not known:
        return document
    return {key: value for key, value in document.items() if not is_known(key, value, known)}


def _text(document: Document, key: str) -> str | None:
    """Return the text of this key, or None if it is absent, empty or no string."""
    value = document.get(key)
    return value if value and isinstance(value, str) else None


def _integer(document: Document, key: str) -> int | None:
    """Return the integer of this key, or None if it is absent or no integer of 64 bits."""
    value = document.get(key)
    if type(value) is not int:
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -INT64 <= value < INT64 else None


def _number(value: Any) -> Any:
    """Return the integer that a text of digits, or a float such as 1e12, stands for.

    Agents have sent both. Any other value is returned as it is.
    """
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
