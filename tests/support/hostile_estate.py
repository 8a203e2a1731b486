"""An estate that hurts: nulls wherever there may be any, references to nothing, words of no enum.

It is the same each time, in two projects, one of which has clients that serve the other.
"""

import base64
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.column_types import UTCDateTime
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.db.database import Database
from tests.support.cron import due_columns
from tests.support.graphql_documents import Known
from tests.support.lists import WORDS, WORKED_OUT, store

PROJECTS = ("p1", "p2")
COUNTS = {Client: 4, Session: 3, Action: 6, Job: 8, Backup: 10}
NUMBERS = [0, 1, 3, -1, 7, 2**31 - 1, 2**31, 2**53 + 1, -(2**63), 2**63 - 1]
SECONDS = [0, -1, 1, 1_700_000_000, 2**62, -(2**40)]
MOMENTS = [
    datetime(2020, 2, 29, 12, microsecond=500_000, tzinfo=UTC),
    datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, microsecond=1, tzinfo=UTC),
]
TEXTS = {
    "status": ["available", "completed", "running", "none such"],
    "result": ["success", "fail", "none such"],
    "event": ["start", "stop", ""],
}
DOCUMENTS = [
    "{}",
    '{"a": {"b": 1, "é": null}, "current_pid": 7, "x": [1.50, "\\u2028"]}',
    '{"b":"☃"}',
]
PREFIX = {Client: "c", Session: "s", Action: "a", Job: "j", Backup: "b"}
ID_OF = {"client_id": Client, "session_id": Session, "job_id": Job}


def _values(column: sa.Column[Any]) -> Sequence[Any]:
    """Return what may be in a column, beside null."""
    if column.key in ID_OF:
        owner = ID_OF[column.key]
        return [f"{PREFIX[owner]}{n}" for n in range(COUNTS[owner] + 1)]
    if isinstance(column.type, sa.BigInteger):
        return SECONDS if "time" in column.key else NUMBERS
    if isinstance(column.type, sa.Boolean):
        return (True, False)
    if isinstance(column.type, UTCDateTime):
        return MOMENTS
    return DOCUMENTS if "JSON" in str(column.type) else TEXTS.get(column.key, WORDS)


def estate(project: str) -> dict[Any, list[dict[str, Any]]]:
    """Rows that hurt: nulls wherever there may be any, references to nothing, numbers too large."""
    chance = random.Random(project)  # noqa: S311 - the same rows each time are what is wanted

    def value(column: sa.Column[Any]) -> Any:
        if column.nullable and chance.random() < 0.4:
            return None
        return chance.choice(_values(column))

    found: dict[Any, list[dict[str, Any]]] = {}
    for table, count in COUNTS.items():
        fixed = {"project_id", "id", "version", "is_central"} | WORKED_OUT
        found[table] = [
            {"id": f"{PREFIX[table]}{number}"}
            | {c.key: value(c) for c in columns(table) if c.key not in fixed}
            for number in range(count)
        ]
    for number, row in enumerate(found[Job]):
        row.update(due_columns(number))
    for row in found[Client]:
        row["is_central"] = False
    if project == "p1":
        # The other project's client runs these.
        for row in found[Job][1:3]:
            row |= {
                "client_id": f"c{COUNTS[Client]}",
                "current_pid": 7,
                "job_schedule": DOCUMENTS[1],
            }
    if project == "p2":
        # These serve both projects; one has the id of the other's own.
        found[Client][0]["is_central"] = True
        found[Client].append(found[Client][1] | {"id": f"c{COUNTS[Client]}", "is_central": True})
    links = [(f"j{n}", position) for n in range(1, COUNTS[Job]) for position in range(n % 4)]
    found[JobAction] = [
        {"job_id": job, "position": position, "action_id": f"a{chance.randrange(COUNTS[Action])}"}
        for job, position in links
    ]
    return found


async def settle(database: Database) -> None:
    """Store it."""
    for project in PROJECTS:
        for table, rows in estate(project).items():
            await store(database, table, project, rows)


IDS = [
    f"{table.__name__}:{project}:{PREFIX[table]}{number}"
    for table in PREFIX
    for project in PROJECTS
    for number in (0, 1, 2, 4)
]
NO_IDS = ("Job:p1:none", "Client:p3:c1", "Nothing:p1:a")
KNOWN = Known(
    ids=[base64.b64encode(text.encode()).decode() for text in (*IDS, *NO_IDS)],
    rest_ids=[f"{kind}{number}" for kind in PREFIX.values() for number in (0, 1, 2, 4, 99)],
    words=[*WORDS, "available", "j1"],
    numbers=NUMBERS,
    moments=["2026-01-01T00:00:00Z", "2023-11-14T22:13:20+00:00", "2020-02-29T12:00:00.5"],
    paths=[["a"], ["a", "b"], ["current_pid"], ["x"], []],
)
