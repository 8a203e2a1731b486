"""Changes in freezer-api's tables, by the times of rows, and by ranges that are compared.

freezer-api stamps a row with its own clock, by the second, before it commits. So a pass looks some
seconds back; and what no stamp tells is found by comparing one range of ids after another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from gateway.moving import chunks
from gateway.moving.importing import Page, Reader
from gateway.moving.layouts import TABLES, Catalogue, SourceValues

OVERLAP_SECONDS = 60
"""How far a pass looks back before the one before it: for clocks that differ, and long commits."""
_STAMPS = ("updated_at", "created_at", "deleted_at")
_FORMAT = "%Y-%m-%d %H:%M:%S"

Condition = tuple[str, Sequence[Any]]
"""A predicate in SQL, with the values of its parameters."""


def since(now: str) -> str:
    """Return the time from which the next pass looks, after one that began at this time."""
    begun = datetime.strptime(now[:19], _FORMAT) - timedelta(seconds=OVERLAP_SECONDS)  # noqa: DTZ007 - as the columns
    return begun.strftime(_FORMAT)


def stamped(catalogue: Catalogue, table: str, time: str) -> Condition:
    """Return the predicate of a table's rows that have been changed since a time.

    A job changes with its list, the actions in it, and its trust.
    """
    predicate, values = own_stamps(catalogue, table, time)
    if table != "jobs":
        return predicate, values
    parts = [predicate]
    for other in ("job_actions", "user_credentials"):
        if other in catalogue.columns:
            changed, more = own_stamps(catalogue, other, time)
            parts.append(f"id IN (SELECT job_id FROM {other} WHERE {changed})")  # noqa: S608 - names of ours
            values = [*values, *more]
    if catalogue.has_links:
        changed, more = own_stamps(catalogue, "actions", time)
        actions = f"SELECT id FROM actions WHERE {changed}"  # noqa: S608 - names of ours
        parts.append(f"id IN (SELECT job_id FROM job_actions WHERE action_id IN ({actions}))")  # noqa: S608 - names of ours
        values = [*values, *more]
    return " OR ".join(parts), values


def own_stamps(catalogue: Catalogue, table: str, time: str) -> Condition:
    """Return the predicate of those of a table's rows that have been stamped since a time."""
    names = [name for name in _STAMPS if name in catalogue.columns[table]]
    return " OR ".join(f"{name} >= %s" for name in names) or "1 = 0", [time] * len(names)


@dataclass(slots=True)
class Range:
    """The rows of a table whose ids follow one, up to another, in the order of the source."""

    table: str
    after: str | None = None
    """None: from the first."""
    until: str | None = None
    """None: to the last."""
    hash: object = None
    """The hash of its rows when they were last written; None: they are to be written."""

    def condition(self) -> Condition:
        """Return the predicate of its rows."""
        bounds = [("id > %s", self.after), ("id <= %s", self.until)]
        given = [(text, value) for text, value in bounds if value is not None]
        return " AND ".join(text for text, _ in given), [value for _, value in given]


@dataclass(frozen=True, slots=True)
class Compared:
    """A range as it is there."""

    range: Range
    pages: Sequence[Page]
    gone: Sequence[SourceValues]
    """Those rows that were deleted."""
    hash: object

    @property
    def has_changed(self) -> bool:
        """True if it isn't as it was when it was last written."""
        return self.hash != self.range.hash


class Ranges:
    """The ranges of all tables, which are compared in turn, and have a page of rows each."""

    def __init__(self) -> None:
        """Begin with one for each table; they are cut as they are read."""
        self._ranges = [Range(table) for table in TABLES]
        self._at = 0
        self.rounds = 0
        """How often all of them have been compared."""

    def read(self, catalogue: Catalogue, reader: Reader) -> Compared:
        """Read the range whose turn it is, and go on to the next. Raises Unavailable."""
        one, size = self._ranges[self._at], catalogue.page_size
        pages = catalogue.pages(one.table, *one.condition())
        read: Iterable[Sequence[SourceValues]] = pages if one.until else islice(pages, 1)
        rows = [row for page in read for row in page]
        if one.until:
            ends = [rows[at - 1]["id"] for at in range(size, len(rows) - size + 1, size)]
        else:
            ends = [rows[-1]["id"]] if len(rows) == size else []
        if ends:
            bounds = [one.after, *ends, one.until]
            cut = [Range(one.table, *two) for two in pairwise(bounds)]
            self._ranges[self._at : self._at + 1] = cut
            one, rows = cut[0], rows[:size]
        self._at += 1
        if self._at == len(self._ranges):
            self._at = 0
            self.rounds += 1
        return _compared(catalogue, reader, one, rows)


def _compared(
    catalogue: Catalogue, reader: Reader, one: Range, rows: Sequence[SourceValues]
) -> Compared:
    pages = list(reader.translated(one.table, iter([rows] if rows else [])))
    of = chunks.Chunks()
    for page in pages:
        for item in page.items:
            of.add_item(item)
    refused = tuple(
        sorted((remark.id, remark.message) for page in pages for remark in page.remarks)
    )
    gone = [row for page in catalogue.gone(one.table, *one.condition()) for row in page]
    told = tuple(sorted((row["id"], str(row["deleted_at"])) for row in gone))
    return Compared(one, pages, gone, (tuple(of.hashes().items()), hash(refused), hash(told)))
