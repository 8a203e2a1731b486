"""The mirror: follows freezer-api's database, pass by pass, until it is ended.

A pass sees one snapshot. It writes what the times of rows tell has changed, deletes what was
deleted, and compares some ranges, for what no time tells.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from gateway.catalogue.checks import is_storable
from gateway.db.database import Database
from gateway.errors import BadInput, LostRace, Unavailable
from gateway.moving import changes, mirrors, removing
from gateway.moving.changes import Ranges
from gateway.moving.counts import RowCounts, RowResult
from gateway.moving.importing import Import, Page, Progress, Reader, ahead, opened_reader
from gateway.moving.layouts import TABLES, Catalogue, SourceValues
from gateway.moving.reports import Outcome, Reason, Remark, Report
from gateway.moving.sources import Source
from gateway.moving.translation import moment

log = structlog.get_logger(__name__)

_REFERRED_TO = ("clients", "sessions", "actions", "jobs")
"""The tables of which the reader knows the rows."""


class NewRemarks(Report):
    """A report with each remark once, however often the row is read."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.path)
        self._told: set[int] = set()

    def add(self, remarks: Sequence[Remark]) -> None:
        """Write those remarks that are new. Raises OSError."""
        new = []
        for remark in remarks:
            key = hash((remark.table, remark.project_id, remark.id, remark.message))
            if key not in self._told:
                self._told.add(key)
                new.append(remark)
        super().add(new)


class Unseen:
    """The progress of a pass, which takes no time that is worth a bar."""

    def begin(self, what: str, total: int | None) -> None:
        """Show nothing."""

    def advance(self, count: int) -> None:
        """Show nothing."""

    def tell(self, text: str) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Passed:
    """The work of a pass."""

    written: int
    """The number of rows that were inserted, updated or deleted."""
    by_comparing: int
    """Those of them that no time told of."""
    lag: float
    """The seconds from its snapshot to its end: how far the mirror is behind then, at most."""
    rounds: int
    """How often everything has been compared."""


@dataclass
class Mirror:
    """A mirror of a catalogue, whose projects take no other writer."""

    open_source: Callable[[], Source]
    database: Database
    report: Report
    progress: Progress
    projects: Sequence[str] = ()
    """The projects to follow; all that freezer-api has for none given."""
    time_zone: str | None = None
    """The time zone of hosts of which none is known."""
    page_size: int = 5000
    comparing_seconds: float = 1
    """How long a pass compares ranges; one at least."""
    marked: set[str] = field(default_factory=set)
    """The projects that take no other writer."""
    address: str = ""
    keystone_user: str | None = None
    """The user as which freezer-api logs in to Keystone, where that is known."""
    _since: str = ""
    _reader: Reader | None = None
    _ranges: Ranges = field(default_factory=Ranges)
    _changed: Counter[str] = field(default_factory=Counter)
    _left: dict[str, set[tuple[str, str]]] | None = None
    """The rows that were changed here before it began; from then on, nobody else changes any."""

    def __post_init__(self) -> None:
        """Report each fault once."""
        self.report = NewRemarks(self.report)

    async def begin(self) -> RowCounts:
        """Keep other writers out, import everything, and return the counts of it.

        Raises Unavailable, BadInput for a project that mirrors another source, and OSError for the
        report.
        """
        self.marked, self._left, self._ranges = set(), None, Ranges()
        async with _opened(self.open_source) as source:
            now = await asyncio.to_thread(source.now)
            catalogue = Catalogue(source, self.projects, self.page_size)
            self.address, self.keystone_user = source.address, source.keystone_user
            by_table = [
                await asyncio.to_thread(catalogue.count, table, deleted=deleted)
                for table in TABLES
                for deleted in (False, True)
            ]
            found = {project for count in by_table for project in count if project}
            await self._mark({project for project in found if is_storable(project)})
            work = self.importing(catalogue, self.progress)
            counts = await work.run()
            self._reader, left = work.reader, work.left
            for table in reversed([*TABLES]):
                for rows in catalogue.gone(table):
                    left.setdefault(table, set()).update(await self._remove(catalogue, table, rows))
            self._left = left
            self._since = changes.since(now)
        return counts

    async def follow(self) -> Passed | None:
        """Do a pass, and return what it has done; None if the projects were freed meanwhile.

        Raises Unavailable, and OSError for the report.
        """
        if not await self.is_held():
            return None
        began = time.monotonic()
        self._changed.clear()
        async with _opened(self.open_source) as source:
            catalogue = Catalogue(source, self.projects, self.page_size)
            now = await asyncio.to_thread(source.now)
            before = self._reader.known if self._reader else None
            losers = dict(before.losers) if before else {}
            self._reader = await opened_reader(catalogue, self.database, before)
            work = self.importing(catalogue)
            await self._forget(catalogue, self._reader)
            for table in TABLES:
                condition = changes.stamped(catalogue, table, self._since)
                if table == "clients" and losers != self._reader.known.losers:
                    # Others are taken in the place of duplicates, which didn't change themselves.
                    condition = "", ()
                rows = catalogue.pages(table, *condition)
                await self._write(work, table, self._reader.translated(table, rows))
            for table in reversed([*TABLES]):
                gone = catalogue.gone(table, *changes.own_stamps(catalogue, table, self._since))
                for page in gone:
                    await self._remove(catalogue, table, page)
            by_time = self._written(work)
            await self._compare(work, catalogue, self._reader)
            if written := self._written(work):
                await work.derive()
            self._since = changes.since(now)
        lag = time.monotonic() - began
        return Passed(written, written - by_time, lag, self._ranges.rounds)

    async def is_held(self) -> bool:
        """Return True if the projects take no other writer. Raises Unavailable."""
        held = await mirrors.marked(self.database)
        return all(held.get(project) == self.address for project in self.marked)

    def importing(self, catalogue: Catalogue, progress: Progress | None = None) -> Import:
        """Return the import of a snapshot, by which the mirror writes."""
        return Import(
            catalogue,
            self.database,
            self.report,
            progress or Unseen(),
            time_zone=self.time_zone,
            mirror=self.address,
            may_leave=self._left,
        )

    def _written(self, work: Import) -> int:
        counts = work.counts
        written = counts.total(RowResult.INSERTED) + counts.total(RowResult.UPDATED)
        return written + self._changed.total()

    async def _mark(self, projects: set[str]) -> None:
        if new := projects - self.marked:
            await mirrors.mark(self.database, new, self.address)
            self.marked |= new

    async def _write(self, work: Import, table: str, pages: Iterator[Page]) -> None:
        async for page in ahead(pages):
            await self._mark({item.project_id for item in page.items})
            await work.write(table, page)

    async def _compare(self, work: Import, catalogue: Catalogue, reader: Reader) -> None:
        """Compare ranges, as many as there is time for, and write those that have changed."""
        ends, rounds = time.monotonic() + self.comparing_seconds, self._ranges.rounds
        while True:
            found = await asyncio.to_thread(self._ranges.read, catalogue, reader)
            if found.has_changed:
                await self._write(work, found.range.table, iter(found.pages))
                await self._remove(catalogue, found.range.table, found.gone)
                # Not before: what was cut off is to be written again.
                found.range.hash = found.hash
            if self._ranges.rounds > rounds or time.monotonic() > ends:
                return

    async def _forget(self, catalogue: Catalogue, reader: Reader) -> None:
        """Let the reader know nothing of what was deleted, so that nothing refers to it."""
        for table in _REFERRED_TO:
            condition = changes.own_stamps(catalogue, table, self._since)
            for rows in catalogue.gone(table, *condition):
                for key in _keys(table, rows):
                    reader.known.forget(table, key)

    async def _remove(
        self, catalogue: Catalogue, table: str, rows: Sequence[SourceValues]
    ) -> Sequence[tuple[str, str]]:
        """Delete what was deleted there, and return the projects and ids of what stays."""
        keys = _keys(table, rows)
        if table == "clients" and keys:
            # Of a client that is registered again, the former row stays.
            for row in await asyncio.to_thread(catalogue.standing):
                keys.pop((row[1], row[2]), None)
        times = {key: moment(row["deleted_at"] or row["updated_at"]) for key, row in keys.items()}
        left = None if self._left is None else self._left.get(table, ())
        results = await removing.remove(self.database, table, times, self.address, left)
        self._changed[table] += sum(result is RowResult.UPDATED for result in results.values())
        message = "it was deleted there, and changed here since: it stays"
        stay = [key for key, result in results.items() if result is RowResult.LEFT]
        self.report.add(
            [Remark(table, *key, Outcome.LEFT, Reason.CHANGED_HERE, message) for key in stay]
        )
        return stay


def _keys(table: str, rows: Sequence[SourceValues]) -> dict[tuple[str, str], SourceValues]:
    """Return rows by their projects and ids, as they are here."""
    name = "client_id" if table == "clients" else "id"
    return {(row["project_id"], row[name]): row for row in rows if row["project_id"]}


@asynccontextmanager
async def _opened(open_source: Callable[[], Source]) -> AsyncIterator[Source]:
    """Open a snapshot for a block. Raises Unavailable."""
    source = await asyncio.to_thread(open_source)
    try:
        yield source
    finally:
        await asyncio.to_thread(source.close)


async def forever(mirror: Mirror, every: float, show: Callable[[Passed], None]) -> None:
    """Follow, pass by pass, until the projects are freed, and wait for databases that are away.

    `show` is told of each pass. Raises BadInput for what is no database of freezer-api any more,
    and OSError for the report.
    """
    is_waiting = False
    while True:
        try:
            passed = await mirror.follow()
        except (Unavailable, LostRace) as error:
            if not is_waiting:
                log.warning("the mirror waits", reason=error.message)
            is_waiting = True
        except BadInput:
            if await mirror.is_held():
                raise
            return
        else:
            is_waiting = False
            if passed is None:
                return
            show(passed)
        await asyncio.sleep(every)
