"""The import: every table read in pages, translated in a thread, and written batch by batch.

While a batch is written, the next one is read. Running it again compares everything, and writes
what is missing or has changed: so it goes on where it was stopped, whatever happened meanwhile.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from gateway.catalogue.tables import Client, columns
from gateway.chains import filling
from gateway.db.database import Database
from gateway.errors import LostRace
from gateway.moving import entities, known, writing
from gateway.moving.backups import Backups
from gateway.moving.counts import RowCounts, RowResult
from gateway.moving.known import Known
from gateway.moving.layouts import TABLES, Rows, SourceValues
from gateway.moving.reports import Outcome, Reason, Remark, Report, dumped
from gateway.moving.translation import Item, Reading, Refused
from gateway.upkeep.due_times import DueTimesUpkeep

_CLIENTS = columns(Client)
_CENTRAL = sa.select(_CLIENTS.id, _CLIENTS.project_id).where(_CLIENTS.is_central)

BATCHES = {"jobs": 500}
"""The rows of a transaction, where they are fewer than a page: triggers write the runs of jobs."""

GROWTH = 500
"""The new rows of a table after which the database looks at it."""

Key = tuple[str, str | None]
"""A table and a project."""


class Progress(Protocol):
    """Is told how far the import is."""

    def begin(self, what: str, total: int | None) -> None:
        """Begin a part of so many rows; None for a number that isn't known."""

    def advance(self, count: int) -> None:
        """Note that so many rows of it are done."""

    def tell(self, text: str) -> None:
        """Say how far it is, in words."""


@dataclass(slots=True)
class Page:
    """A page that has been read: what it counts, what is to be written, and what is reported."""

    read: int = 0
    counts: dict[Key, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    refused: dict[Key, int] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def add(self, reading: Reading, translate: Callable[[Reading], Item]) -> Item | None:
        """Translate a row, and return it; None for one that is refused."""
        key = reading.table, reading.row["project_id"]
        self.counts[key] = self.counts.get(key, 0) + 1
        item = None
        try:
            item = translate(reading)
            self.items.append(item)
        except Refused as error:
            reading.refused(error)
            self.refused[key] = self.refused.get(key, 0) + 1
        self.remarks += reading.remarks
        return item

    def refuse_link(self, row: SourceValues, action_id: str, reason: Reason, message: str) -> None:
        """Report that an action isn't put into a job's list."""
        key = "job_actions", row["project_id"]
        self.refused[key] = self.refused.get(key, 0) + 1
        link = {"job_id": row["id"], "action_id": action_id}
        self.remarks.append(
            Remark(*key, f"{row['id']}:{action_id}", Outcome.REFUSED, reason, message, link)
        )

    def count_links(self, row: SourceValues, count: int) -> None:
        """Count the actions in a job's list."""
        key = "job_actions", row["project_id"]
        self.counts[key] = self.counts.get(key, 0) + count


@dataclass
class Import:
    """An import of a catalogue into the gateway's."""

    catalogue: Rows
    database: Database
    report: Report
    progress: Progress
    is_trial: bool = False
    """True to write nothing but the report."""
    time_zone: str | None = None
    """The time zone of hosts of which none is known."""
    deleted_to: Path | None = None
    """The file for rows that were deleted; None: they are only counted."""
    mirror: str | None = None
    """The address of the source, for the mirror of it."""
    may_leave: Mapping[str, Collection[tuple[str, str]]] | None = None
    """The rows, by table, that are left if they are newer here; None for all."""
    left: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """The rows that were left, by table."""
    counts: RowCounts = field(default_factory=RowCounts)
    reader: "Reader" = field(init=False)
    """The reader that `run` has read with."""
    _grown: Counter[str] = field(default_factory=Counter)
    """The rows that were inserted, by table."""
    _seen: Counter[str] = field(default_factory=Counter)
    """Their number when the database looked at the table last."""

    async def run(self) -> RowCounts:
        """Do it, and return the counts. Raises Unavailable, and OSError for the files."""
        await asyncio.to_thread(self._count)
        if self.deleted_to is not None:
            await asyncio.to_thread(self._write_deleted, self.deleted_to)
        self.reader = reader = await opened_reader(self.catalogue, self.database)
        for table in TABLES:
            self.progress.begin(table, self.counts.expected[table].total())
            rows = self.catalogue.backups() if table == "backups" else self.catalogue.pages(table)
            async for page in ahead(reader.translated(table, rows)):
                await self.write(table, page)
            if table == "jobs" and self.mirror is None:
                # Nothing refers to them any more.
                reader.known.actions.clear()
        if not self.is_trial:
            await self.derive()
        return self.counts

    def _count(self) -> None:
        for table in TABLES:
            self.counts.expected[table] = self.catalogue.count(table)
            self.counts.deleted[table] = self.catalogue.count(table, deleted=True).total()
        self.counts.reports = self.catalogue.reports()

    def _write_deleted(self, path: Path) -> None:
        """Write the rows that were deleted to a file, as lines of JSON."""
        with path.open("wb") as file:
            for table in TABLES:
                for rows in self.catalogue.deleted(table):
                    file.writelines(dumped({"table": table, "row": row}) + b"\n" for row in rows)

    async def write(self, table: str, page: Page) -> None:
        """Write a page, and then count it. Raises Unavailable, and OSError."""
        found: Counter[tuple[str, str, RowResult]] = Counter()
        for kind in ("inline_actions", table):
            items = [item for item in page.items if item.table == kind]
            size = BATCHES.get(kind, len(items)) or 1
            for at in range(0, len(items), size):
                batch = items[at : at + size]
                written = await writing.write(
                    self.database,
                    kind,
                    batch,
                    is_trial=self.is_trial,
                    mirror=self.mirror,
                    left=None if self.may_leave is None else self.may_leave.get(kind, ()),
                )
                for item in batch:
                    self._count_result(page, item, written[item.project_id, item.id], found)
                if not self.is_trial:
                    await self._look_at(
                        kind, sum(one is RowResult.INSERTED for one in written.values())
                    )
        for (kind, project_id), count in page.counts.items():
            self.counts.read[kind, project_id] += count
        for (kind, project_id), count in page.refused.items():
            self.counts.add(kind, project_id, RowResult.REFUSED, count)
        for (kind, project_id, result), count in found.items():
            self.counts.add(kind, project_id, result, count)
        self.report.add(page.remarks)
        self.progress.advance(page.read)

    async def _look_at(self, kind: str, inserted: int) -> None:
        """Have the database look at a table again whenever what is imported of it has doubled."""
        self._grown[kind] += inserted
        if self._grown[kind] >= max(GROWTH, 2 * self._seen[kind]):
            self._seen[kind] = self._grown[kind]
            await writing.gather_statistics(self.database, kind)

    def _count_result(
        self, page: Page, item: Item, result: RowResult, found: Counter[tuple[str, str, RowResult]]
    ) -> None:
        """Count what became of a row, and report one that was left."""
        found[item.table, item.project_id, result] += 1
        if item.table == "jobs":
            if trust := item.values["trust_id"]:
                self.counts.trusts[trust] += 1
            if item.links:
                found["job_actions", item.project_id, result] += len(item.links)
        if result is RowResult.LEFT:
            page.remarks.append(_left(item))
            self.left.setdefault(item.table, set()).add((item.project_id, item.id))

    async def derive(self) -> None:
        """Derive what follows from the rows: the chains of backups, and the next runs of jobs.

        Raises Unavailable.
        """
        self.progress.begin("next runs", None)
        # Gateways look for jobs without one as well, every ten minutes.
        with suppress(LostRace):
            self.progress.advance(await DueTimesUpkeep(self.database, self.time_zone).renew())
        self.progress.begin("series", None)
        self.progress.advance(await filling.fill(self.database, self.progress.tell))


async def opened_reader(catalogue: Rows, database: Database, rows: Known | None = None) -> "Reader":
    """Return a reader that knows of duplicates there, and of central clients here.

    `rows` is what an earlier one knows. Raises Unavailable.
    """
    standing = await asyncio.to_thread(catalogue.standing)
    central = {row.id: row.project_id for row in await database.rows(_CENTRAL)}
    if rows is None:
        rows = Known(central)
    rows.renew(central, known.duplicates(standing))
    return Reader(catalogue, rows)


class Reader:
    """Reads the tables in their order, and remembers what later ones refer to."""

    def __init__(self, catalogue: Rows, rows: Known) -> None:
        """Begin; `rows` is what is known before."""
        self._catalogue = catalogue
        self.known = self._known = rows
        self._backups = Backups(rows)
        self._translate: Mapping[str, Callable[[Reading], Item]] = {
            "clients": lambda reading: entities.client(reading, rows),
            "sessions": lambda reading: entities.session(reading, rows),
            "actions": lambda reading: entities.action(reading, rows),
            "backups": self._backups.translate,
        }

    def pages(self, table: str) -> Iterator[Page]:
        """Yield the pages of a table, translated. Raises Unavailable."""
        return self.translated(table, self._catalogue.pages(table))

    def translated(self, table: str, pages: Iterator[Sequence[SourceValues]]) -> Iterator[Page]:
        """Yield pages of a table's rows, translated. Raises Unavailable."""
        for rows in pages:
            page = Page(read=len(rows))
            if table == "jobs":
                self._add_jobs(page, rows)
            else:
                translate = self._translate[table]
                for row in rows:
                    page.add(Reading(table, row), translate)
            yield page

    def _add_jobs(self, page: Page, rows: Sequence[SourceValues]) -> None:
        job_ids = [row["id"] for row in rows]
        credentials = self._catalogue.credentials(job_ids)
        linked: dict[str, list[str]] = {}
        if self._catalogue.has_links:
            for job_id, action_id in self._catalogue.links(job_ids):
                linked.setdefault(job_id, []).append(action_id)
        for row in rows:
            self._add_job(page, row, linked.get(row["id"], []), credentials.get(row["id"]))

    def _add_job(
        self,
        page: Page,
        row: SourceValues,
        linked: Sequence[str],
        credentials: tuple[str, str] | None,
    ) -> None:
        """Add a job, after the actions that only its own list has."""
        made: list[Item] = []
        refused: list[tuple[str, Reason, str]] = []

        def refuse(_: SourceValues, action_id: str, reason: Reason, message: str) -> None:
            refused.append((action_id, reason, message))

        def translate(reading: Reading) -> Item:
            if self._catalogue.has_links:
                actions = list(entities.links(row, linked, self._known, refuse))
            else:
                found = list(entities.inline_actions(reading, self._known, refuse))
                actions = [action_id for action_id, _ in found]
                made.extend(item for _, item in found if item is not None)
            return entities.job(reading, self._known, actions, credentials)

        item = page.add(Reading("jobs", row), translate)
        for one in made:
            key = one.table, one.project_id
            page.counts[key] = page.counts.get(key, 0) + 1
            page.items.append(one)
        if item is None and self._catalogue.has_links:
            told = {action_id for action_id, *_ in refused}
            refused += [
                (action_id, Reason.NO_JOB, "its job is refused")
                for action_id in linked
                if action_id not in told
            ]
        page.count_links(row, len(refused) + (len(item.links) if item else 0))
        for action_id, reason, message in refused:
            page.refuse_link(row, action_id, reason, message)


def _left(item: Item) -> Remark:
    message = "it was changed here after the last change there, and stays as it is here"
    return Remark(item.table, item.project_id, item.id, Outcome.LEFT, Reason.CHANGED_HERE, message)


async def ahead(pages: Iterator[Page]) -> AsyncIterator[Page]:
    """Yield pages, each read in a thread while the one before it is used."""
    coming = asyncio.create_task(asyncio.to_thread(next, pages, None))
    try:
        while (page := await coming) is not None:
            coming = asyncio.create_task(asyncio.to_thread(next, pages, None))
            yield page
    finally:
        # Nobody else may use the source before the thread has left it.
        await asyncio.gather(coming, return_exceptions=True)
