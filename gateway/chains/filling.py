"""Deriving the backups that were written before there were chains, or by a gateway of that time.

First every such backup gets its series, then each of these series is derived from its first backup
on. Both go on where they were stopped, take a bounded part of the catalogue at a time, and let
other writers pass in between.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import (
    NO_TIME,
    UNDERIVED,
    Action,
    Backup,
    JobAction,
    columns,
    source,
)
from gateway.chains import keeping, locking, policies
from gateway.chains.derivation import OWN, SERIES
from gateway.chains.places import Place, place_of
from gateway.chains.policies import Policy
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.db.transactions import Transaction
from gateway.errors import LostRace, Unavailable

BATCH = 500
"""The number of backups that get their series in one transaction."""

MAX_ATTEMPTS = 20

Report = Callable[[str, int], None]
"""Is told what has been done so far, and how many times."""

_STEPS, _ACTIONS = columns(JobAction), columns(Action)
_UNDERIVED = sa.text(f"({UNDERIVED})")
_PROJECTS = sa.select(OWN.project_id).where(_UNDERIVED).order_by(OWN.project_id, OWN.id).limit(1)
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
    .where(_UNDERIVED, OWN.project_id == sa.bindparam("project_id"))
    .order_by(OWN.id)
    .limit(BATCH)
)
_OF_JOB = (
    sa.select(_ACTIONS.freezer_action)
    .select_from(
        source(JobAction).join(
            source(Action),
            sa.and_(_ACTIONS.project_id == _STEPS.project_id, _ACTIONS.id == _STEPS.action_id),
        )
    )
    .where(
        _STEPS.project_id == sa.bindparam("project_id"),
        _STEPS.job_id == sa.bindparam("job_id"),
        _ACTIONS.action == sa.literal_column("'backup'"),
    )
)
_PUT = (
    sa.update(source(Backup))
    .where(
        OWN.project_id == sa.bindparam("of_project"),
        OWN.id == sa.bindparam("of_id"),
        # Whoever has changed it meanwhile has put it in its series.
        OWN.version == sa.bindparam("of_version"),
    )
    .values(
        series=sa.bindparam("series"),
        policy=sa.bindparam("policy"),
        derived_version=sa.bindparam("of_version"),
    )
)
_MARK = (
    sa.update(source(Series))
    .where(SERIES.project_id == sa.bindparam("of_project"), SERIES.id == sa.bindparam("of_series"))
    .values(is_stale=True)
)
_STALE = sa.select(SERIES.project_id, SERIES.id).where(SERIES.is_stale).limit(BATCH)
_STALE_IN = _STALE.where(SERIES.project_id == sa.bindparam("project_id"))


async def fill(database: Database, report: Report | None = None) -> int:
    """Derive every backup that is to be derived, and return how many series were.

    Raises Unavailable.
    """
    placed = 0
    while projects := await database.rows(_PROJECTS):
        key = {"project_id": projects[0].project_id}
        rows = await database.rows(_NEXT, key)
        await _in_transaction(database, key["project_id"], partial(_place, rows=rows))
        placed += len(rows)
        if report:
            report("backups have their series", placed)
    derived = 0
    while stale := await database.rows(_STALE):
        for row in stale:
            await _in_transaction(database, row.project_id, partial(_derive, series_id=row.id))
            derived += 1
        if report:
            report("series have been derived", derived)
    return derived


async def fill_in(transaction: Transaction, project_id: str, *, is_sqlite: bool) -> None:
    """Derive every backup of a project that is to be derived, in this transaction.

    Raises the driver's errors.
    """
    key = {"project_id": project_id}
    while rows := await transaction.rows(_NEXT, key):
        await _place(transaction, project_id, is_sqlite, rows=rows)
    while stale := await transaction.rows(_STALE_IN, key):
        for row in stale:
            await _derive(transaction, project_id, is_sqlite, series_id=row.id)


async def _in_transaction(
    database: Database, project_id: str, work: Callable[..., Awaitable[None]]
) -> None:
    """Run work in a transaction of its own, until it loses no race. Raises Unavailable."""
    for _ in range(MAX_ATTEMPTS):
        try:
            async with database.write(project_id) as transaction:
                await work(transaction, project_id, database.is_sqlite)
        except LostRace:
            continue
        return
    raise Unavailable("other writers leave no time for the chains of backups")


async def _place(
    transaction: Transaction,
    project_id: str,
    is_sqlite: bool,  # noqa: FBT001 - as every part of the work
    *,
    rows: Sequence[Row],
) -> None:
    """Give backups their series, which are to be derived then. Raises the driver's errors."""
    places: dict[str, tuple[Place, int]] = {}
    values, left = [], set()
    actions: dict[str | None, Sequence[Mapping[str, Any]]] = {None: ()}
    for row in rows:
        if row.job_id not in actions:
            key = {"project_id": project_id, "job_id": row.job_id}
            found = await transaction.rows(_OF_JOB, key)
            actions[row.job_id] = [orjson.loads(one.freezer_action) for one in found]
        metadata = orjson.loads(row.backup_metadata)
        place = place_of(row, metadata)
        newest = max(row.calendar_time, places.get(place.id, (place, NO_TIME))[1])
        places[place.id] = place, newest
        known = Policy.load(row.policy)
        if known is None and (action := policies.choose(actions[row.job_id], metadata)):
            known = policies.of_action(action)
        policy = policies.of_backup(place.media, metadata, known)
        if row.series not in {None, place.id}:
            left.add(row.series)
        key = {"of_project": project_id, "of_id": row.id, "of_version": row.version}
        values.append(key | {"series": place.id, "policy": policy and policy.dump()})
    for _, (place, newest) in sorted(places.items()):
        await locking.enter(transaction, project_id, place, newest, is_sqlite=is_sqlite)
    stale = [{"of_project": project_id, "of_series": one} for one in sorted({*places, *left})]
    await transaction.execute_many(_MARK, stale)
    await transaction.execute_many(_PUT, values)


async def _derive(
    transaction: Transaction,
    project_id: str,
    is_sqlite: bool,  # noqa: ARG001, FBT001 - as every part of the work
    *,
    series_id: str,
) -> None:
    """Derive a series from its first backup on. Raises the driver's errors."""
    series = await locking.lock_series(transaction, project_id, series_id)
    if series is not None and series.is_stale:
        series.is_stale = False
        await keeping.derive_all(transaction, series)
