"""Deriving many series at once, each from its first backup on: in memory, with few statements.

So a catalogue that was moved in, or upgraded, is derived ten times as fast. It is for series of
which nothing is remembered but their backups, and not too many of these; others are left to
`keeping.derive_all`.
"""

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from gateway.catalogue.tables import NO_TIME
from gateway.chains import locking
from gateway.chains.batches import Batch
from gateway.chains.computing import Computed, entry_of, supersede_computed
from gateway.chains.derivation import SeriesRow
from gateway.chains.keeping import is_level_told
from gateway.chains.rules import advance, expired
from gateway.chains.states import State
from gateway.db.rows import Row
from gateway.db.transactions import Transaction

MAX_ROWS = 2000
"""The backups, at most, that are derived at once."""


async def derive(
    transaction: Transaction, project_id: str, ids: Sequence[str], *, is_sqlite: bool
) -> Collection[str]:
    """Derive those of these stale series that this is for, and return the ids of those that are.

    They are locked. Raises the driver's errors.
    """
    batch = Batch(transaction, project_id, is_sqlite=is_sqlite)
    locked = [locking.stored(project_id, row) for row in await batch.lock(ids)]
    simple = {series.place.id: series for series in locked if _is_simple(series)}
    rows = await batch.entries([*simple], MAX_ROWS + 1)
    groups = [(key, list(group)) for key, group in groupby(rows, attrgetter("series"))]
    if len(rows) > MAX_ROWS:
        # There may be more of the last one.
        groups.pop()
    backups: list[Sequence[Any]] = []
    series: list[Sequence[Any]] = []
    for key, group in groups:
        own = simple[key]
        own.is_told = any(is_level_told(row.level) for row in group)
        computed = _fold(own, group)
        backups += [
            (one.row.id, *values.values())
            for one in computed
            if (values := one.changes(own.removed_time)) is not None
        ]
        newest = max(computed, key=_age)
        restorability = expired(newest.verdict, own.removed_time).restorability.value
        series.append(
            (key, newest.row.calendar_time, restorability, int(own.is_told), own.removed_time)
        )
    await batch.derive(backups)
    await batch.stand(series)
    return [key for key, _ in groups]


def _is_simple(series: SeriesRow) -> bool:
    remembers = max(series.forgotten_time, series.removals_time) != NO_TIME
    return series.is_stale and not remembers and series.place.media != "cindernative"


def _fold(series: SeriesRow, rows: Sequence[Row]) -> Sequence[Computed]:
    """Return what is derived of the backups of a series, in the order of their times."""
    media = series.place.rules(is_told=series.is_told)
    state, computed = State(), list[Computed]()
    for row in rows:
        step = advance(state, entry_of(row), media)
        state = step.state
        series.removed_time = max(series.removed_time, state.removed)
        if step.supersedes is not None:
            supersede_computed(step, computed, media)
        computed.append(Computed(row, step.verdict, state))
    return computed


def _age(one: Computed) -> tuple[int, int, str]:
    return one.verdict.chain, one.row.calendar_time, one.row.id
