"""The way back: the gateway's catalogue written into freezer-api's tables, page by page.

Everything is compared first, so that running it again writes only what has changed meanwhile: so it
goes on where it was stopped. Rows that only freezer-api has are left alone, or marked as deleted,
as the operator says.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue.tables import Client, columns, source
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.errors import BadInput
from gateway.moving import reading, returning
from gateway.moving.counts import RowCounts, RowResult
from gateway.moving.importing import Progress
from gateway.moving.layouts import TABLES
from gateway.moving.reading import PAGE, Linked
from gateway.moving.reports import Outcome, Reason, Remark, Report
from gateway.moving.returning import Limits
from gateway.moving.storing import Fate, Returned, Store
from gateway.moving.targets import NotTaken, Target
from gateway.moving.writing import KINDS, listed

Key = tuple[str, str]
"""A project and an id in it."""


class Others(StrEnum):
    """The fate of rows that only freezer-api has."""

    REFUSE = "refuse"
    """Write nothing if there are any."""
    KEEP = "keep"
    DELETE = "delete"
    """Mark them as deleted, as freezer-api does."""


def _known(table: str, *, is_sqlite: bool) -> sa.Select[Any]:
    """Return the query of those of freezer-api's ids that a project here has."""
    kind = KINDS[table].table
    own = columns(kind)
    there = columns(Client).uuid if kind is Client else own.id
    return (
        sa.select(there.label("there"))
        .select_from(source(kind))
        .where(own.project_id == sa.bindparam("project_id"), there.in_(listed(is_sqlite)))
    )


_KNOWN = {
    is_sqlite: {table: _known(table, is_sqlite=is_sqlite) for table in TABLES}
    for is_sqlite in (True, False)
}


@dataclass
class Return:
    """An export into freezer-api's database; it may be run again, and then goes on."""

    database: Database
    target: Target
    report: Report
    progress: Progress
    projects: Sequence[str] = ()
    """The projects to export; all for none given."""
    others: Others = Others.REFUSE
    is_trial: bool = False
    """True to write nothing but the report."""
    counts: RowCounts = field(default_factory=partial(RowCounts, side="the gateway"))
    only_there: Counter[str] = field(default_factory=Counter)
    """The rows that only freezer-api has, by table."""
    _refused: set[Key] = field(default_factory=set)
    """The actions that freezer-api's database doesn't take."""

    async def run(self) -> RowCounts:
        """Do it, and return the counts.

        Raises BadInput for a database with rows of its own, Unavailable, and OSError for the
        report.
        """
        limits = await asyncio.to_thread(self.target.limits)
        store = Store(self.target, limits, is_trial=self.is_trial)
        for table in TABLES:
            counts = await reading.counts(self.database, table, self.projects)
            self.counts.expected[table] = counts
        await self._see_others()
        for table in TABLES:
            self.progress.begin(table, self.counts.expected[table].total())
            for project_id in self.counts.expected[table]:
                await self._write(store, limits, table, str(project_id))
        if self.others is Others.DELETE and not self.is_trial:
            await self._each_other(partial(self._delete, store))
        return self.counts

    async def _see_others(self) -> None:
        """Count the rows that only freezer-api has. Raises BadInput if they forbid the export."""

        async def count(table: str, others: Sequence[Sequence[str]]) -> None:
            self.only_there[table] += len(others)
            if self.others is not Others.REFUSE:
                outcome = Outcome.KEPT if self.others is Others.KEEP else Outcome.DELETED
                message = "only freezer-api has it"
                self.report.add(
                    [
                        Remark(table, project_id, own_id, outcome, Reason.NOT_HERE, message)
                        for own_id, project_id in others
                    ]
                )

        await self._each_other(count)
        if self.others is Others.REFUSE and self.only_there.total():
            counts = ", ".join(f"{count:,} {table}" for table, count in self.only_there.items())
            raise BadInput(
                f"{self.target.name} has rows that the gateway doesn't have: {counts}. Say with "
                "--others what becomes of them: 'keep' leaves them, 'delete' marks them as deleted"
            )

    async def _each_other(self, use: Callable[[str, Sequence[Sequence[str]]], Any]) -> None:
        """Have pages used of those rows of freezer-api's that the gateway doesn't have."""
        for table in TABLES:
            async for rows in self._there(table):
                known: set[Key] = set()
                for project_id in {row[1] for row in rows if row[1]}:
                    ids = [row[0] for row in rows if row[1] == project_id]
                    values = {"project_id": project_id, "ids": orjson.dumps(ids).decode()}
                    query = _KNOWN[self.database.is_sqlite][table]
                    known |= {
                        (project_id, row.there) for row in await self.database.rows(query, values)
                    }
                if others := [row for row in rows if (row[1], row[0]) not in known]:
                    await use(table, others)

    async def _there(self, table: str) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """Yield the ids and projects of freezer-api's rows, in pages."""
        condition, given = "deleted = 0", list(self.projects)
        if given:
            condition += f" AND project_id IN ({', '.join(['%s'] * len(given))})"
        after: list[str] = []
        while True:
            further = " AND id > %s" if after else ""
            query = (
                f"SELECT id, project_id FROM {table} WHERE {condition}{further} "  # noqa: S608 - names of ours
                f"ORDER BY id LIMIT {PAGE}"
            )
            rows = await asyncio.to_thread(self.target.rows, query, [*given, *after])
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            after = [rows[-1][0]]

    async def _delete(self, store: Store, table: str, others: Sequence[Sequence[str]]) -> None:
        time = returning.moment(datetime.now(UTC))
        try:
            await asyncio.to_thread(store.delete, table, [row[0] for row in others], time)
        except NotTaken as error:
            raise BadInput(f"{table}: freezer-api's database says: {error}") from None

    async def _write(self, store: Store, limits: Limits, table: str, project_id: str) -> None:
        async for rows, linked in reading.pages(self.database, table, project_id):
            made = [self._returned(table, row, limits, linked) for row in rows]
            fates = await asyncio.to_thread(store.page, table, made)
            self._note(table, rows, made, fates, linked)
            self.progress.advance(len(rows))

    def _returned(self, table: str, row: Row, limits: Limits, linked: Linked) -> Returned:
        values = returning.TRANSLATE[table](row, limits)
        if table != "jobs":
            return Returned(values)
        actions = [
            one for one in linked.get(row.id, ()) if (row.project_id, one) not in self._refused
        ]
        return Returned(values, actions, returning.trust(row))

    def _note(
        self,
        table: str,
        rows: Sequence[Row],
        made: Sequence[Returned],
        fates: Sequence[Fate],
        linked: Linked,
    ) -> None:
        """Count a page, and report what has a fault."""
        remarks: list[Remark] = []
        for row, one, fate in zip(rows, made, fates, strict=True):
            key = table, row.project_id
            self.counts.read[key] += 1
            self.counts.add(*key, fate.result)
            if fate.reason is not None:
                outcome = Outcome(fate.result.value)
                told = one.values if fate.result is RowResult.REFUSED else None
                remarks.append(Remark(*key, row.id, outcome, fate.reason, fate.message, told))
            if table == "actions":
                remarks += self._note_action(row, one, fate)
            if table == "jobs":
                remarks += self._note_links(row, one, fate, linked.get(row.id, ()))
        self.report.add(remarks)

    def _note_action(self, row: Row, one: Returned, fate: Fate) -> Sequence[Remark]:
        if fate.result is RowResult.REFUSED:
            self._refused.add((row.project_id, row.id))
            return ()
        keys = returning.unlike(row, one.values)
        if not keys:
            return ()
        message = f"freezer-api's columns don't hold what its document has: {', '.join(keys)}"
        return [
            Remark(
                "actions",
                row.project_id,
                row.id,
                Outcome.ALTERED,
                Reason.NO_PLACE,
                message,
                one.values,
            )
        ]

    def _note_links(
        self, row: Row, one: Returned, fate: Fate, linked: Sequence[str]
    ) -> Sequence[Remark]:
        key = "job_actions", row.project_id
        self.counts.read[key] += len(linked)
        self.counts.add(*key, fate.result, len(one.links))
        lost = [action_id for action_id in linked if (row.project_id, action_id) in self._refused]
        self.counts.add(*key, RowResult.REFUSED, len(lost))
        message = "its action isn't taken by freezer-api's database"
        return [
            Remark(*key, f"{row.id}:{action_id}", Outcome.REFUSED, Reason.NO_ACTION, message)
            for action_id in lost
        ]
