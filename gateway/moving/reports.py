"""The report: a line of each row that has a fault, with the reason and what became of it."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson


class Outcome(StrEnum):
    """The fate of a row that is reported."""

    KEPT = "kept"
    """As it is, whatever is wrong with it."""
    ALTERED = "altered"
    """Kept, but for a value that the catalogue can't hold."""
    LEFT = "left"
    REFUSED = "refused"
    DELETED = "deleted"
    """In freezer-api's database, by an export that was told to."""


class Reason(StrEnum):
    """The fault of a row."""

    NO_PROJECT = "no-project"
    NOT_JSON = "not-json"
    NOT_AN_OBJECT = "not-an-object"
    TOO_DEEP = "too-deep"
    UNUSABLE_ID = "unusable-id"
    DUPLICATE = "duplicate"
    CENTRAL_TAKEN = "central-taken"
    NOT_A_NUMBER = "not-a-number"
    UNUSABLE_TEXT = "unusable-text"
    TOO_LONG = "too-long"
    NO_VALUE = "no-value"
    UNKNOWN_WORD = "unknown-word"
    UNREADABLE_SCHEDULE = "unreadable-schedule"
    NO_CLIENT = "no-client"
    NO_SESSION = "no-session"
    NO_ACTION = "no-action"
    NO_JOB = "no-job"
    CHANGED_HERE = "changed-here"
    CHANGED_THERE = "changed-there"
    ID_TAKEN = "id-taken"
    NO_PLACE = "no-place"
    NOT_HERE = "not-here"
    NOT_TAKEN = "not-taken"


@dataclass(frozen=True, slots=True)
class Remark:
    """A line of the report."""

    table: str
    project_id: str | None
    id: str
    outcome: Outcome
    reason: Reason
    message: str
    row: Mapping[str, Any] | None = None
    """The row as it was read, if it is refused or altered."""

    def dump(self) -> bytes:
        """Return the line, as JSON."""
        return dumped({name: getattr(self, name) for name in self.__slots__})


def dumped(line: Mapping[str, Any]) -> bytes:
    """Return a line as JSON, whatever is in the row that it has."""
    try:
        return orjson.dumps(line, default=str)
    except TypeError:
        # A text that isn't UTF-8.
        return orjson.dumps(_printable(line))


def _printable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_printable(key): _printable(one) for key, one in value.items()}
    if isinstance(value, str):
        return str(value).encode(errors="backslashreplace").decode()
    return value if value is None or isinstance(value, (int, float)) else str(value)


class Report:
    """The file of remarks, which is made with the first of them; `-` is standard output."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[tuple[Outcome, Reason]] = Counter()

    def add(self, remarks: Sequence[Remark]) -> None:
        """Write remarks. Raises OSError."""
        if not remarks:
            return
        lines = b"".join(remark.dump() + b"\n" for remark in remarks)
        if str(self.path) == "-":
            sys.stdout.write(lines.decode())
        else:
            with self.path.open("ab" if self.counts else "wb") as file:
                file.write(lines)
        self.counts.update((remark.outcome, remark.reason) for remark in remarks)
