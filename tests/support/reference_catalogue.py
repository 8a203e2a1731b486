"""The catalogue in Python: every row, and what a caller sees of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa
from graphql import GraphQLEnumType

from gateway.auth.identity import Identity
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.catalogue.vocabularies import BackupStatus, JobEvent, JobResult, JobStatus
from gateway.db.database import Database
from gateway.errors import Forbidden
from tests.support.faults import Faults
from tests.support.reference_lists import Row

_SECONDS = (
    *("time_stamp", "time_created", "time_started", "time_ended", "time_start", "time_end"),
    *("last_run_start", "last_success_start", "failing_since"),
)
_INTEGERS = (
    *("level", "max_level", "max_retries", "max_retries_interval", "timeout", "priority"),
    *("session_tag", "hold_off", "shown_pid"),
)
_WORDS: Mapping[tuple[str, str], type[StrEnum]] = {
    ("Backup", "status"): BackupStatus,
    ("Job", "event"): JobEvent,
    ("Job", "result"): JobResult,
    ("Job", "status"): JobStatus,
    ("Session", "result"): JobResult,
}
TABLES = {"Action": Action, "Backup": Backup, "Client": Client, "Job": Job, "Session": Session}


@dataclass(frozen=True)
class Catalogue:
    """Every row of the database, by the name of its type in GraphQL."""

    rows: Mapping[str, Sequence[Row]]
    uses: Sequence[tuple[Row, Row, int]]
    """The jobs and the actions that they run, with the action's place in the job."""


async def read(database: Database) -> Catalogue:
    """Return everything that lies in the database."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, table in TABLES.items():
        found = await database.rows(sa.select(table))
        keys = [column.key for column in columns(table)]
        rows[name] = [{key: getattr(row, key) for key in keys} for row in found]
    by_key = {
        (name, row["project_id"], row["id"]): row for name, own in rows.items() for row in own
    }
    uses = [
        (
            by_key["Job", link.project_id, link.job_id],
            by_key["Action", link.project_id, link.action_id],
            link.position,
        )
        for link in await database.rows(sa.select(JobAction))
    ]
    actions = defaultdict(list)
    for job, action, _ in uses:
        actions[id(job)].append(action)
    central = {row["id"]: row["project_id"] for row in rows["Client"] if row["is_central"]}
    for job in rows["Job"]:
        its = ("Client", job["project_id"], job["client_id"])
        by_others = its not in by_key and job["client_id"] in central
        schedule = orjson.loads(job["job_schedule"])
        if by_others:
            # The process is another project's.
            schedule.pop("current_pid", None)
        job["shown_pid"] = None if by_others else job["current_pid"]
        job["shown_schedule"] = orjson.dumps(schedule).decode()
        job["actions"] = actions[id(job)]
    for name, own in rows.items():
        for row in own:
            row["shown_as_null"] = {
                column for column, value in row.items() if not _is_shown(name, column, value)
            }
    return Catalogue(rows, uses)


def _is_shown(table: str, column: str, value: Any) -> bool:
    """Return False for a value that the GraphQL type of its field has no place for."""
    if column in _SECONDS:
        return _clock(value) is not None
    if column in _INTEGERS:
        return value is None or abs(value + 0.5) < 2**31
    words = _WORDS.get((table, column))
    return words is None or value in set(words)


@dataclass(frozen=True)
class Item:
    """A row in the response; `across` is True if it was read across projects."""

    type: str
    row: Row
    across: bool = False


@dataclass
class Reader:
    """The catalogue as one caller may read it; reads fail as the faults say."""

    catalogue: Catalogue
    identity: Identity
    faults: Faults = field(default_factory=Faults)

    @property
    def project(self) -> str:
        """The caller's project."""
        return self.identity.project_id or ""

    def allows(self, rule: str) -> bool:
        """Return True if the caller, who has every role, may do this."""
        return rule != self.faults.rule

    def read(self, type_: str, kind: str, *, across: bool, as_item: bool = False) -> None:
        """Pass for a read that succeeds. Raises Forbidden, and what is injected."""
        entity = f"{type_.lower()}s"
        self.faults.read(entity, kind)
        if kind == "resolve_ids" and type_ != "Client":
            # All but clients are meant by their own ids.
            self.faults.read(entity, "rows_by_key")
        rule = f"{entity}:{'get_all_projects' if across else 'get' if as_item else 'get_all'}"
        if not self.allows(rule):
            raise Forbidden(f"you are not allowed to do this: '{rule}' in project '{self.project}'")
        self.faults.statement()

    def sees(self, type_: str, row: Row, *, across: bool) -> bool:
        """Return True if the caller sees this row."""
        own = row["project_id"] == self.project
        return across or own or (type_ == "Client" and row["is_central"])

    def meant(
        self, type_: str, project: str, item_id: str, *, across: bool, as_item: bool = False
    ) -> Item | None:
        """Return the item that a project means by an id: its own, else a central client."""
        self.read(type_, "resolve_ids", across=across, as_item=as_item)
        found = [
            row
            for row in self.catalogue.rows[type_]
            if row["id"] == item_id
            and self.sees(type_, row, across=across)
            and (row["project_id"] == project or (type_ == "Client" and row["is_central"]))
        ]
        found.sort(key=lambda row: row["project_id"] != project)
        return Item(type_, found[0], across) if found else None

    def children(self, item: Item | None, type_: str) -> Sequence[Row]:
        """Return the rows of this type that belong to an item, or all that there are."""
        rows = self.catalogue.rows[type_]
        if item is None:
            return rows
        if (item.type, type_) == ("Job", "Action"):
            uses = self.catalogue.uses
            return [action | {"position": at} for job, action, at in uses if job is item.row]
        if (item.type, type_) == ("Action", "Job"):
            return [
                row for row in rows if any(_same(action, item.row) for action in row["actions"])
            ]
        own, column = item.row, f"{item.type.lower()}_id"
        project = own["project_id"] if item.across else self._served(item)
        return [row for row in rows if row["project_id"] == project and row[column] == own["id"]]

    def _served(self, item: Item) -> str:
        """Return the project that an item is shown in: a central client serves the caller's."""
        own = any(
            _same(row, {"project_id": self.project, "id": item.row["id"]})
            for row in self.catalogue.rows["Client"]
        )
        is_central = item.type == "Client" and not own
        return self.project if is_central else str(item.row["project_id"])

    def convert(self, value: Any, type_: Any) -> Any:
        """Return a column's value as GraphQL shows it in a field of this type."""
        if isinstance(value, datetime):
            return self.faults.convert("UTCDateTime", value)
        if type_.name == "DateTime":
            return _clock(self.faults.convert("Epoch", value))
        if type_.name == "Int":
            number = self.faults.convert("Int32", value)
            return number if number is None or abs(number + 0.5) < 2**31 else None
        if isinstance(type_, GraphQLEnumType) and value is not None:
            return value.upper() if value in map(str.lower, type_.values) else None
        return value


def _same(one: Row, other: Row) -> bool:
    return all(one[column] == other[column] for column in ("project_id", "id"))


def _clock(seconds: int | None) -> datetime | None:
    if seconds is None or seconds == -1:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
