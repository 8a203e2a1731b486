"""freezer-api's rows as the gateway's, and remarks about those that have a fault.

A fault is no reason to lose a row: what the tables can hold is kept, even if the API would refuse
it. Only rows of which nothing can be made are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.catalogue import schedules
from gateway.catalogue.checks import is_storable, storable
from gateway.catalogue.tables import INT64, JOB_NAME_CHARACTERS
from gateway.chains.places import Place
from gateway.errors import BadInput
from gateway.moving import documents
from gateway.moving.documents import Unreadable
from gateway.moving.layouts import SourceValues
from gateway.moving.reports import Outcome, Reason, Remark

MAX_BYTES = JOB_NAME_CHARACTERS * 4
"""The longest text of an indexed column: as long as any of freezer-api's columns."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of rows that have none."""


@dataclass(slots=True)
class Item:
    """A row to be written: its columns, and of a job, the ids of its actions in their order."""

    table: str
    project_id: str
    id: str
    values: dict[str, Any]
    links: Sequence[str] = ()
    place: Place | None = None
    """The series of a backup."""


class Refused(Exception):
    """A row of which nothing can be made."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(slots=True)
class Reading:
    """A row of freezer-api that is being translated, with the remarks about it."""

    table: str
    row: SourceValues
    remarks: list[Remark] = field(default_factory=list)

    def remark(self, outcome: Outcome, reason: Reason, message: str) -> None:
        """Add a remark; those about a loss show the whole row."""
        row = self.row if outcome in {Outcome.ALTERED, Outcome.REFUSED} else None
        own_id = self.row.get("client_id", "") if self.table == "clients" else self.row["id"]
        project_id = self.row["project_id"]
        self.remarks.append(
            Remark(self.table, project_id, str(own_id), outcome, reason, message, row)
        )

    def owned(self) -> dict[str, Any]:
        """Return the columns that every row has. Raises Refused."""
        row = self.row
        project_id = row["project_id"]
        if not project_id:
            raise Refused(Reason.NO_PROJECT, "the row belongs to no project: nobody could see it")
        own_id = row["client_id"] if self.table == "clients" else row["id"]
        for name, value in (("project_id", project_id), ("id", own_id)):
            if not (value and is_storable(value) and is_short(value)):
                raise Refused(Reason.UNUSABLE_ID, f"'{name}' can't be the name of anything")
        created = moment(row["created_at"]) or EPOCH
        return {
            "project_id": project_id,
            "id": own_id,
            "user_id": self.text("user_id") or "",
            "version": 0,
            "created_at": created,
            "updated_at": moment(row["updated_at"]) or created,
        }

    def text(self, name: str) -> str | None:
        """Return a column's text, as it can be stored; None for null."""
        value = self.row[name]
        if value is None:
            return None
        if not is_storable(value):
            message = f"'{name}' has NUL or half a character: U+FFFD"
            self.remark(Outcome.ALTERED, Reason.UNUSABLE_TEXT, message)
            value = storable(value)
        return self.short(name, value)

    def short(self, name: str, value: str) -> str:
        """Return a text as it fits into an index."""
        if is_short(value):
            return value
        encoded = value.encode()
        message = f"'{name}' has {len(encoded)} bytes: lists show the first {MAX_BYTES}"
        self.remark(Outcome.ALTERED, Reason.TOO_LONG, message)
        return encoded[:MAX_BYTES].decode(errors="ignore")

    def document(self, name: str, default: str = "{}") -> dict[str, Any]:
        """Return a column's object; that of the default for an empty one. Raises Refused."""
        try:
            value, faults = documents.read_object(self.row[name] or default, f"'{name}'")
        except Unreadable as error:
            raise Refused(error.reason, error.message) from None
        for reason, message in faults:
            self.remark(Outcome.ALTERED, reason, message)
        return value

    def document_and_text(self, name: str, default: str = "{}") -> tuple[dict[str, Any], str]:
        """Return the same, and the text of it that can be stored. Raises Refused.

        Where they are the same, integers beyond 64 bits are floats in the object.
        """
        text = self.row[name] or default
        if value := documents.plain_object(text):
            return value, text
        value = self.document(name, default)
        return value, documents.dump(value)

    def number(self, name: str, default: int | None) -> int | None:
        """Return a column's integer, or the default for null."""
        value = self.row[name]
        if isinstance(value, int) and -INT64 <= value < INT64:
            return value
        if value is not None:
            self.remark(Outcome.ALTERED, Reason.NOT_A_NUMBER, f"'{name}' is {value!r}: {default}")
        return default

    def word(self, name: str, value: str | None, known: Sequence[str]) -> None:
        """Remark a word that no vocabulary has."""
        if value and value not in known:
            message = f"'{name}' is {value!r}, which no API takes; kept"
            self.remark(Outcome.KEPT, Reason.UNKNOWN_WORD, message)

    def check_schedule(self, schedule: dict[str, Any]) -> None:
        """Remark a schedule that the API would refuse: a scheduler may stop at it."""
        try:
            schedules.readable(schedule, {})
        except BadInput as error:
            self.remark(Outcome.KEPT, Reason.UNREADABLE_SCHEDULE, error.message)

    def refused(self, error: Refused) -> None:
        """Remark that nothing can be made of the row."""
        self.remark(Outcome.REFUSED, error.reason, error.message)


def is_short(text: str) -> bool:
    """Return True for a text that fits into an index."""
    # The shortest that could be too long has characters of four bytes.
    return len(text) * 4 <= MAX_BYTES or len(text.encode()) <= MAX_BYTES


def moment(value: object) -> datetime | None:
    """Return a time, which is in UTC; None for null, and for one that no calendar has."""
    if not value:
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
