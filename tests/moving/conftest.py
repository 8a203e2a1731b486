"""freezer-api's tables, and the import of them into a database of each kind."""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.db.database import Database
from gateway.moving.counts import RowCounts
from gateway.moving.following import Mirror
from gateway.moving.importing import Import
from gateway.moving.layouts import Catalogue
from gateway.moving.reports import Report
from gateway.moving.sources import open_source
from tests.support.freezer_tables import FreezerTables


class Silent:
    """Progress that nobody looks at."""

    def begin(self, what: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""

    def tell(self, text: str) -> None:
        """Say nothing."""


@dataclass
class Imported:
    """The end of an import: its counts, and the lines of its report."""

    counts: RowCounts
    report: Sequence[dict[str, Any]]

    def told(self) -> set[tuple[str, str, str]]:
        """Return the id, the outcome and the reason of each line."""
        return {(line["id"], line["outcome"], line["reason"]) for line in self.report}


Move = Callable[..., Awaitable[Imported]]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[FreezerTables]:
    """Return freezer-api's tables, empty."""
    made = FreezerTables(tmp_path / "freezer.db")
    yield made
    made.close()


@pytest.fixture
def move(database: Database, tables: FreezerTables, tmp_path: Path) -> Move:
    """Return a function that imports these tables, and checks that the counts add up."""

    async def imported(
        *, projects: Sequence[str] = (), page_size: int = 3, is_trial: bool = False
    ) -> Imported:
        path = tmp_path / "report.jsonl"
        path.unlink(missing_ok=True)
        source = open_source(tables.url)
        try:
            catalogue = Catalogue(source, projects, page_size)
            work = Import(catalogue, database, Report(path), Silent(), is_trial=is_trial)
            counts = await work.run()
        finally:
            source.close()
        assert list(counts.faults()) == []
        lines = path.read_text().splitlines() if path.exists() else []
        return Imported(counts, [json.loads(line) for line in lines])

    return imported


@pytest.fixture
def mirror(database: Database, tables: FreezerTables, tmp_path: Path) -> Mirror:
    """Return a mirror of these tables, which has not begun."""
    report = Report(tmp_path / "mirror.jsonl")
    opened = partial(open_source, tables.url)
    return Mirror(opened, database, report, Silent(), page_size=3, comparing_seconds=600)
