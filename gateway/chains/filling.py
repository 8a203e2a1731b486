"""Deriving the backups that were written before there were chains, or by a gateway of that time.

First every such backup gets its series, then each of these series is derived from its first backup
on. Both go on where they were stopped, take a bounded part of the catalogue at a time, and let
other writers pass in between.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import orjson
import sqlalchemy as sa

from gateway.catalogue.tables import NO_TIME, UNDERIVED
from gateway.chains import bulk, keeping, locking, policies
from gateway.chains.batches import Batch
from gateway.chains.derivation import OWN, SERIES
from gateway.chains.places import Place, place_of
from gateway.chains.policies import Policy
from gateway.db.database import Database
from gateway.db.revisions import UPKEEP
from gateway.db.rows import Row
from gateway.db.transactions import Transaction
from gateway.errors import LostRace, Unavailable

BATCH = 500
"""The number of backups that get their series in one transaction, or of series read at a time."""
AT_ONCE = 200
"""The number of series that are derived at once."""
SECONDS = 0.1
"""The time after which a transaction derives no other series: somebody may wait for one."""
REPORT_SECONDS = 2
"""The time between two reports."""
MAX_ATTEMPTS = 20

Report = Callable[[str], None]
"""Is told what has been done so far."""

_UNDERIVED = sa.text(f"({UNDERIVED})")
_LAST = sa.tuple_(sa.bindparam("last_project"), sa.bindparam("last_id"))
_IS_STALE = sa.text("(is_stale)")
_COUNT = sa.select(sa.func.count()).select_from(OWN.id.table).where(_UNDERIVED)
# Each begins where the last one ended: what was done is still in the index, until a vacuum.
_PROJECT = (
    sa.select(OWN.project_id)
    .where(_UNDERIVED, sa.tuple_(OWN.project_id, OWN.id) > _LAST)
    .order_by(OWN.project_id, OWN.id)
    .limit(1)
)
_NEXT = (
    sa.select(
        OWN.id,
        OWN.version,
        OWN.series,
        OWN.policy,
        OWN.calendar_time,
        OWN.job_id,
        *(OWN[name] for name in ("backup_name", "hostname", "container", "storage", "engine")),
        OWN.mode,
        OWN.level,
        OWN.backup_metadata,
    )
    .where(
        _UNDERIVED, OWN.project_id == sa.bindparam("project_id"), OWN.id > sa.bindparam("last_id")
    )
    .order_by(OWN.id)
    .limit(BATCH)
)
_COUNT_STALE = sa.select(sa.func.count()).select_from(SERIES.id.table).where(_IS_STALE)
_STALE = (
    sa.select(SERIES.project_id, SERIES.id)
    .where(_IS_STALE, sa.tuple_(SERIES.project_id, SERIES.id) > _LAST)
    .order_by(SERIES.project_id, SERIES.id)
    .limit(BATCH)
)
_STALE_IN = (
    sa.select(SERIES.id)
    .where(_IS_STALE, SERIES.project_id == sa.bindparam("project_id"))
    .limit(BATCH)
)
_START = {"last_project": "", "last_id": ""}


@dataclass
class _Progress:
    """Reports what has been done, at most once in a while, and in the end."""

    report: Report
    what: str
    total: int
    done: int = 0
    at: float = field(default_factory=time.monotonic)

    def add(self, number: int) -> None:
        """Note that so many more are done."""
        self.done += number
        if time.monotonic() > self.at + REPORT_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Report, if there was anything to do."""
        self.at = time.monotonic()
        if self.done:
            self.report(f"{self.done:,} of {max(self.done, self.total):,} {self.what}")


async def fill(database: Database, report: Report = lambda _: None) -> int:
    """Derive every backup that is to be derived, and return how many series were.

    Raises Unavailable.
    """
    if await database.rows(_PROJECT, _START):
        total = await database.scalar(_COUNT)
        await _place_all(database, _Progress(report, "backups have their series", total))
    if not await database.rows(_STALE, _START):
        return 0
    total = await database.scalar(_COUNT_STALE)
    return await _derive_all(database, _Progress(report, "series have been derived", total))


async def _place_all(database: Database, progress: _Progress) -> None:
    last = _START
    while True:
        projects = await database.rows(_PROJECT, last)
        if not projects and last is _START:
            progress.tell()
            return
        if not projects:
            # Others may have written meanwhile.
            last = _START
            continue
        project_id = projects[0].project_id
        last_id = last["last_id"] if project_id == last["last_project"] else ""
        rows = await database.rows(_NEXT, {"project_id": project_id, "last_id": last_id})
        if rows:
            await _in_transaction(database, project_id, partial(_place, rows=rows))
            progress.add(len(rows))
        last = {"last_project": project_id, "last_id": rows[-1].id if rows else last_id}


async def _derive_all(database: Database, progress: _Progress) -> int:
    last = _START
    while True:
        stale = await database.rows(_STALE, last)
        if not stale and last is _START:
            progress.tell()
            return progress.done
        if not stale:
            last = _START
            continue
        project_id = stale[0].project_id
        ids = [row.id for row in stale if row.project_id == project_id]
        done = await _in_transaction(database, project_id, partial(_derive_some, ids=ids))
        progress.add(done)
        last = {"last_project": project_id, "last_id": ids[done - 1]}


async def fill_in(transaction: Transaction, project_id: str, *, is_sqlite: bool) -> None:
    """Derive every backup of a project that is to be derived, in this transaction.

    Raises the driver's errors.
    """
    key = {"project_id": project_id, "last_id": ""}
    while rows := await transaction.rows(_NEXT, key):
        await _place(transaction, project_id, is_sqlite, rows=rows)
    while stale := await transaction.rows(_STALE_IN, key):
        for row in stale:
            await _derive(transaction, project_id, row.id)


async def _in_transaction(
    database: Database, project_id: str, work: Callable[..., Awaitable[int]]
) -> int:
    """Run work in a transaction of its own, until it loses no race; return what it returns.

    Raises Unavailable.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            async with database.write(project_id, mirror=UPKEEP) as transaction:
                done = await work(transaction, project_id, database.is_sqlite)
        except LostRace:
            continue
        return done
    raise Unavailable("other writers leave no time for the chains of backups")


async def _place(
    transaction: Transaction,
    project_id: str,
    is_sqlite: bool,  # noqa: FBT001 - as every part of the work
    *,
    rows: Sequence[Row],
) -> int:
    """Give backups their series, which are to be derived then. Raises the driver's errors."""
    batch = Batch(transaction, project_id, is_sqlite=is_sqlite)
    actions = await batch.actions(row.job_id for row in rows if row.job_id is not None)
    places: dict[str, tuple[Place, int]] = {}
    put, left = [], set()
    for row in rows:
        metadata = orjson.loads(row.backup_metadata)
        place = place_of(row, metadata)
        newest = max(row.calendar_time, places.get(place.id, (place, NO_TIME))[1])
        places[place.id] = place, newest
        known = Policy.load(row.policy)
        if known is None and (action := policies.choose(actions.get(row.job_id, ()), metadata)):
            known = policies.of_action(action)
        policy = policies.of_backup(place.media, metadata, known)
        if row.series not in {None, place.id}:
            left.add(row.series)
        put.append((row.id, row.version, place.id, None if policy is None else policy.dump()))
    await batch.enter(places.values())
    await batch.mark(left)
    await batch.put(put)
    return len(rows)


async def _derive_some(
    transaction: Transaction,
    project_id: str,
    is_sqlite: bool,  # noqa: FBT001 - as every part of the work
    *,
    ids: Sequence[str],
) -> int:
    """Derive the first of these series, as many as there is time for; return their number.

    Raises the driver's errors.
    """
    ends = time.monotonic() + SECONDS
    some = ids[:AT_ONCE]
    derived = set(await bulk.derive(transaction, project_id, some, is_sqlite=is_sqlite))
    for done, series_id in enumerate(some):
        if series_id in derived:
            continue
        if done and time.monotonic() > ends:
            return done
        await _derive(transaction, project_id, series_id)
    return len(some)


async def _derive(transaction: Transaction, project_id: str, series_id: str) -> None:
    """Derive a series from its first backup on. Raises the driver's errors."""
    series = await locking.lock_series(transaction, project_id, series_id)
    if series is not None and series.is_stale:
        series.is_stale = False
        await keeping.derive_all(transaction, series)
