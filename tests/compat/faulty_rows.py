"""Rows with every fault that an import tells of, as freezer-api or somebody's hands left them.

Ids end with the beginning of their project's: they are unique beyond it.
"""

import json
from collections.abc import Mapping
from typing import Any

from .freezer_databases import FreezerDatabase

METADATA: Mapping[str, Any] = {
    "backup_name": "nightly",
    "container": "backups",
    "hostname": "web-1",
    "mode": "fs",
    "time_stamp": 1_700_000_000,
    "curr_backup_level": 0,
}
ACTION = {"action": "backup", "mode": "fs", "backup_name": "nightly", "storage": "local"}
WORDS = json.dumps(["backup"])
CAPABILITIES = ("supported_actions", "supported_modes", "supported_storages", "supported_engines")


def _metadata(**more: object) -> str:
    return json.dumps(METADATA | more)


BACKUPS: Mapping[str, str | None] = {
    "nan": _metadata(ratio=float("nan"), more=[float("inf")]),
    "nul": _metadata(note="a\0b", **{"k\0": 1}),
    "half": _metadata(note="half a character: \ud83d"),
    "large": _metadata(size=10**30, huge=10**400),
    # The database cuts it.
    "cut": _metadata(note="x" * 70_000),
    "deep": _metadata(deep=json.loads("[" * 150 + "]" * 150)),
    "list": "[1]",
    "null": None,
    "empty": "{}",
    "long": _metadata(backup_name="n" * 2000),
    "bytes": json.dumps(METADATA | {"note": "four bytes: 💾"}, ensure_ascii=False),
}
"""The metadata of backups, by their names."""

SCHEDULES: Mapping[str, str | None] = {
    "hour": json.dumps({"schedule_hour": "25"}),
    "words": json.dumps({"status": "odd", "event": "dance", "result": "meh"}),
    "abort": json.dumps({"event": "abort"}),
    # Of a job that was created without.
    "text": '""',
    "none": None,
}
"""The schedules of jobs."""


class FaultyRows:
    """A project's rows."""

    def __init__(self, database: FreezerDatabase, project: str) -> None:
        self.database, self.project = database, project

    def id(self, name: str) -> str:
        """Return the id of the row of this name."""
        return f"{name}-{self.project[:8]}"

    def insert(self, table: str, name: str, **values: object) -> None:
        """Insert a row."""
        own = {"id": self.id(name), "project_id": self.project}
        self.database.insert(table, [own | values])

    def client(self, name: str, client_id: str, **values: object) -> None:
        """Insert a client."""
        told = {"uuid": self.id(name), "hostname": client_id, "is_central": 0}
        usual = told | dict.fromkeys(CAPABILITIES, WORDS)
        self.insert("clients", name, client_id=client_id, **usual | values)

    def action(self, name: str, **values: object) -> None:
        """Insert an action."""
        usual = {
            "action": "backup",
            "actionmode": "fs",
            "backup_name": "nightly",
            "max_retries": 5,
            "max_retries_interval": 6,
            "mandatory": 0,
            "backup_metadata": json.dumps(ACTION),
        }
        self.insert("actions", name, **usual | values)

    def job(self, name: str, *action_ids: str, **values: object) -> None:
        """Insert a job with links to actions."""
        usual = {"client_id": "web-1", "session_id": "", "session_tag": 0, "description": name}
        self.insert("jobs", name, **usual | {"schedule": '{"event": ""}'} | values)
        for position, action_id in enumerate(action_ids):
            link = {"job_id": self.id(name), "action_id": action_id, "position": position}
            self.insert("job_actions", f"{name}{position}", **link)

    def session(self, name: str, **values: object) -> None:
        """Insert a session."""
        times = dict.fromkeys(("time_start", "time_end", "time_started", "time_ended"), -1)
        usual = {"schedule": "{}", "status": "active", "hold_off": 30, "session_tag": 0}
        self.insert("sessions", name, **times | usual | values)


def insert(database: FreezerDatabase, project: str, other: str) -> None:
    """Insert them all in a project, and those of another one that they refer to or clash with."""
    rows, theirs = FaultyRows(database, project), FaultyRows(database, other)
    _insert_clients(rows, theirs)
    rows.session("odd", status="odd", result="meh")
    nulls = dict.fromkeys(("time_start", "time_end", "time_started", "time_ended", "hold_off"))
    rows.session("nulls", status="", **nulls)
    rows.session("states", job=json.dumps({"j1": {"status": "completed"}}))
    rows.session("list", job="[1]")
    rows.session("none", schedule=None)
    rows.action("words", action="dance", actionmode="weird")
    rows.action("nothing", backup_metadata=None)
    rows.action("nulls", max_retries=None, max_retries_interval=None, mandatory=None)
    theirs.action("theirs")
    _insert_jobs(rows, theirs)
    for name, metadata in BACKUPS.items():
        rows.insert("backups", name, backup_metadata=metadata, status="odd", job_id=None)


def _insert_clients(rows: FaultyRows, theirs: FaultyRows) -> None:
    # Registered before clients had capabilities.
    rows.client("old", "web-1", **dict.fromkeys(CAPABILITIES))
    rows.client("bad", "bad", supported_modes='["fs"')
    rows.client("first", "twice", hostname="first")
    rows.client("second", "twice", hostname="second", updated_at="2026-02-02 00:00:00")
    rows.client("central1", "shared", hostname="here", is_central=1)
    theirs.client("central2", "shared", hostname="there", is_central=1)


def _insert_jobs(rows: FaultyRows, theirs: FaultyRows) -> None:
    for name, schedule in SCHEDULES.items():
        rows.job(name, rows.id("words"), schedule=schedule)
    rows.job("gone", client_id="nobody", session_id="no-session", description=None)
    rows.job("theirs", rows.id("nulls"), theirs.id("theirs"), "no-action")
    rows.job("trust", rows.id("words"))
    trust = {"trust_id": "no-trust", "trustor_user_id": "nobody", "job_id": rows.id("trust")}
    rows.insert("user_credentials", "trust", **trust)
