"""The books of an import: rows by table and project, and a report of those with a fault.

Every row that is read is written, unchanged, left or refused: `Books.faults` names what doesn't add
up.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson


class Entry(StrEnum):
    """The fate of a row."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    LEFT = "left"
    """The row here was changed since, and stays as it is."""
    REFUSED = "refused"


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


@dataclass
class Books:
    """Rows by table and project: those that the source counts, and what became of those read."""

    expected: dict[str, Counter[str | None]] = field(default_factory=dict)
    """By table and project; tables that aren't in it are counted as they are read."""
    deleted: Counter[str] = field(default_factory=Counter)
    """By table; these rows aren't read."""
    reports: int = 0
    """The number of action reports, which aren't read either."""
    side: str = "freezer-api"
    """The side that is read."""
    trusts: int = 0
    """The number of jobs that have one."""
    read: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    entries: dict[tuple[str, str | None], Counter[Entry]] = field(default_factory=dict)

    def note(self, table: str, project_id: str | None, entry: Entry, count: int = 1) -> None:
        """Count rows that got this entry."""
        self.entries.setdefault((table, project_id), Counter())[entry] += count

    def total(self, entry: Entry) -> int:
        """Return the number of rows that got this entry."""
        return sum(counts[entry] for counts in self.entries.values())

    def tables(self) -> Iterator[tuple[str, int, Counter[Entry]]]:
        """Yield each table with the number of rows read, and of those that got each entry."""
        names = dict.fromkeys([*self.expected, *(table for table, _ in self.read)])
        for name in names:
            entries: Counter[Entry] = Counter()
            for (table, _), counts in self.entries.items():
                if table == name:
                    entries.update(counts)
            yield name, sum(n for (table, _), n in self.read.items() if table == name), entries

    def faults(self) -> Iterator[str]:
        """Yield what doesn't add up, by table and project."""
        keys = dict.fromkeys([*self.read, *self.entries])
        keys |= dict.fromkeys((t, p) for t, counts in self.expected.items() for p in counts)
        for table, project_id in keys:
            read = self.read[table, project_id]
            found = sum(self.entries.get((table, project_id), Counter()).values())
            of = f"{table} of the project {project_id!r}"
            if table in self.expected and (there := self.expected[table][project_id]) != read:
                yield f"{of}: {self.side} has {there}, {read} were read"
            if found != read:
                yield f"{of}: {read} were read, {found} are accounted for"
