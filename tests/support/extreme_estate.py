"""Rows with the extreme values that columns can hold, in every column of every table."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import schedules
from gateway.catalogue.column_types import JSONText, UTCDateTime
from gateway.catalogue.tables import (
    Action,
    Backup,
    Client,
    Job,
    JobAction,
    Session,
    columns,
    max_bytes_of,
)
from gateway.catalogue.vocabularies import BackupStatus, JobEvent, JobResult, JobStatus
from gateway.db.database import Database
from tests.support.cron import due_columns
from tests.support.lists import WORKED_OUT, store

PROJECT = "p1"
NUMBERS = [
    *(0, 1, -1, -2, 7, 1_700_000_000, -86_400),
    # Milliseconds, and around the ends of the calendar.
    *(1_774_751_400_123, -62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800),
    # Around the ends of 32 bits, of doubles and of 64 bits.
    *(2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)),
]
TEXTS = [
    *("", "a", "A", "0", "123", "-5", "1e3", "1.0", "true", "null", " ", "a b", "\n\t", "%_\\'\""),
    *("Ночной Zürich", "НОЧНОЙ ZÜRICH", "ß", "SS", "e\u0301", "É", "\ufffe", "😀", "none such"),
]
WORDS = [word.value for words in (BackupStatus, JobEvent, JobResult, JobStatus) for word in words]
MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 1, 1, microsecond=1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]
DOCUMENTS: Sequence[dict[str, Any]] = [
    {},
    {"a": 1, "b": {"c": "é", "n": None, "deep": [{"x": {"y": "in an array"}}]}},
    {"n": 2**63 - 1, "m": -(2**63), "f": 1.5, "big": 1e300, "whole": 1e12, "zero": 0},
    {"n": "9223372036854775807", "empty": "", "yes": True, "no": False, "a": "1", "'\"\\": "'\"\\"},
    {"long": "x" * 1_000, "max_retries": True, "a": 1.0},
    # Keys that the documents around these have as well.
    {"user_id": "deep", "status": "deep", "user_name": "deep", "project_id": "other", "tag": 1},
]
LONG = [{"long": "x" * 70_000}]
TRUSTS = [{"trust_id": "t1", "trustor_user_id": "local"}, {"trust_id": "t2", "other": 5}]
LISTS = [[], ["fs"], ["é", "", "123"]]
"""The capabilities of clients."""
PREFIX = {Client: "c", Session: "s", Action: "a", Job: "j", Backup: "b"}
COUNT = 48


def _values(table: type, column: sa.Column[Any]) -> Sequence[Any]:
    """Return what may be in a column."""
    none = [None] if column.nullable else []
    if isinstance(column.type, sa.BigInteger):
        return [*NUMBERS, *none]
    if isinstance(column.type, sa.Boolean):
        return [True, False]
    if isinstance(column.type, UTCDateTime):
        return MOMENTS
    if isinstance(column.type, JSONText):
        documents: Sequence[Any] = [*DOCUMENTS, *(LONG if table is Backup else ())]
        if column.key == "user_credentials":
            documents = TRUSTS
        elif table is Client:
            documents = LISTS
        return [*(orjson.dumps(document).decode() for document in documents), *none]
    most = max_bytes_of(table, column.key) or 100_000
    words = WORDS if column.key in {"status", "result", "event"} else ()
    return [*TEXTS, *words, "x" * most, *none]


def _rows(table: type, count: int) -> Iterator[dict[str, Any]]:
    fixed = {"project_id", "id", "version", "is_central"} | WORKED_OUT
    values = {c.key: _values(table, c) for c in columns(table) if c.key not in fixed}
    for number in range(count):
        row = {
            # No two columns of the same kind have their values in the same rows.
            key: of[(number + offset) % len(of)]
            for offset, (key, of) in enumerate(values.items())
        }
        if table is Backup:
            row["sort_time"] = row["time_stamp"] or 0
        if table is Job:
            row |= _scheduled(number, row)
        if table is Action:
            row |= _described(number, row)
        yield row | {"id": f"{PREFIX[table]}{number}"}


def _scheduled(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Return a job's columns with a schedule that says the same."""
    schedule = {
        key.key: row[key.key]
        for at, key in enumerate(schedules.KEYS)
        if row[key.key] is not None and (number + at) % 5
    }
    columns_of = {
        key.key: None if (value := schedule.get(key.key)) in schedules.EMPTY else value
        for key in schedules.KEYS
    }
    document = orjson.dumps(schedule).decode()
    return {"job_schedule": document, **columns_of, **due_columns(number)}


def _described(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Return an action's columns with a document that says the same, numbers also as texts."""
    document = orjson.loads(row["freezer_action"])
    text = ("action", "mode", "storage", "backup_name", "container", "path_to_backup")
    columns_of = {key: row[key] or None for key in text}
    columns_of |= {key: row[key] for key in ("timeout", "priority")}
    columns_of["engine"] = None
    for at, (key, value) in enumerate(columns_of.items()):
        if value is not None:
            document[key] = str(value) if (number + at) % 7 == 0 else value
    return {"freezer_action": orjson.dumps(document).decode(), **columns_of}


async def settle(database: Database, count: int = COUNT) -> None:
    """Store so many rows of each table."""
    for table in PREFIX:
        await store(database, table, PROJECT, list(_rows(table, count)))
    links = [
        {"job_id": f"j{job}", "position": position, "action_id": f"a{(job + position) % count}"}
        for job in range(count)
        for position in range(job % 4)
    ]
    await store(database, JobAction, PROJECT, links)
