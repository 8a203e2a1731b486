"""Rows counted: by table and project, those that were read, and what became of them.

Every row that is read is written, unchanged, left or refused: `RowCounts.faults` names what doesn't
add up.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class RowResult(StrEnum):
    """The result of a row."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    LEFT = "left"
    """The row here was changed since, and stays as it is."""
    REFUSED = "refused"


@dataclass
class RowCounts:
    """Rows by table and project: those that the source counts, and what became of those read."""

    expected: dict[str, Counter[str | None]] = field(default_factory=dict)
    """By table and project; tables that aren't in it are counted as they are read."""
    deleted: Counter[str] = field(default_factory=Counter)
    """By table; these rows aren't read."""
    reports: int = 0
    """The number of action reports, which aren't read either."""
    side: str = "freezer-api"
    """The side that is read."""
    trusts: Counter[str] = field(default_factory=Counter)
    """The number of jobs by their trusts in Keystone, of those that have one."""
    read: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    results: dict[tuple[str, str | None], Counter[RowResult]] = field(default_factory=dict)

    def add(self, table: str, project_id: str | None, result: RowResult, count: int = 1) -> None:
        """Count rows that got this result."""
        self.results.setdefault((table, project_id), Counter())[result] += count

    def total(self, result: RowResult) -> int:
        """Return the number of rows that got this result."""
        return sum(counts[result] for counts in self.results.values())

    def tables(self) -> Iterator[tuple[str, int, Counter[RowResult]]]:
        """Yield each table with the number of rows read, and of those that got each result."""
        names = dict.fromkeys([*self.expected, *(table for table, _ in self.read)])
        for name in names:
            results: Counter[RowResult] = Counter()
            for (table, _), counts in self.results.items():
                if table == name:
                    results.update(counts)
            yield name, sum(n for (table, _), n in self.read.items() if table == name), results

    def faults(self) -> Iterator[str]:
        """Yield what doesn't add up, by table and project."""
        keys = dict.fromkeys([*self.read, *self.results])
        keys |= dict.fromkeys((t, p) for t, counts in self.expected.items() for p in counts)
        for table, project_id in keys:
            read = self.read[table, project_id]
            found = sum(self.results.get((table, project_id), Counter()).values())
            of = f"{table} of the project {project_id!r}"
            if table in self.expected and (there := self.expected[table][project_id]) != read:
                yield f"{of}: {self.side} has {there}, {read} were read"
            if found != read:
                yield f"{of}: {read} were read, {found} are accounted for"
