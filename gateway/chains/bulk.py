"""Deriving many series at once, each from its first backup on: in memory, with few statements.

So a catalogue that was moved in, or upgraded, is derived ten times as fast. It is for series of
which nothing is remembered but their backups, and not too many of these; others are left to
`keeping.derive_all`.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from gateway.catalogue.tables import NO_TIME
from gateway.chains import locking
from gateway.chains.batches import Batch
from gateway.chains.computing import Computed, derived_columns, entry_of, supersede_computed
from gateway.chains.derivation import SeriesRow
from gateway.chains.keeping import is_level_told
from gateway.chains.places import Place
from gateway.chains.rules import advance, expired
from gateway.chains.states import State
from gateway.db.transactions import Transaction

MAX_ROWS = 2000
"""The backups, at most, that are derived at once."""


class Given(NamedTuple):
    """A backup that is to be written, as far as its series depends on it."""

    calendar_time: int
    id: str
    status: str
    level: int | None
    policy: str | None


class Standing(NamedTuple):
    """The facts that are derived of a series as a whole."""

    newest_time: int
    restorability: str
    is_told: bool
    removed_time: int


def derive_new(
    place: Place, backups: Sequence[Given]
) -> tuple[Standing, Mapping[str, Mapping[str, Any]]] | None:
    """Return what is derived of a series that has these backups alone, and of each, by its id.

    None for series that this isn't for.
    """
    if place.media == "cindernative" or len(backups) > MAX_ROWS:
        return None
    standing, computed = _fold(place, sorted(backups))
    return standing, {
        one.row.id: derived_columns(expired(one.verdict, standing.removed_time), one.state)
        for one in computed
    }


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
        standing, computed = _fold(own.place, group, own.removed_time)
        backups += [
            (one.row.id, *values.values())
            for one in computed
            if (values := one.changes(standing.removed_time)) is not None
        ]
        told = int(standing.is_told)
        series.append(
            (key, standing.newest_time, standing.restorability, told, standing.removed_time)
        )
    await batch.derive(backups)
    await batch.stand(series)
    return [key for key, _ in groups]


def _is_simple(series: SeriesRow) -> bool:
    remembers = max(series.forgotten_time, series.removals_time) != NO_TIME
    return series.is_stale and not remembers and series.place.media != "cindernative"


def _fold(
    place: Place, rows: Sequence[Any], removed: int = NO_TIME
) -> tuple[Standing, Sequence[Computed]]:
    """Return what is derived of a series, and of its backups, in the order of their times.

    `removed` is the time up to which chains are known to have been removed.
    """
    is_told = any(is_level_told(row.level) for row in rows)
    media = place.rules(is_told=is_told)
    state, computed = State(), list[Computed]()
    for row in rows:
        step = advance(state, entry_of(row), media)
        state = step.state
        removed = max(removed, state.removed)
        if step.supersedes is not None:
            supersede_computed(step, computed, media)
        computed.append(Computed(row, step.verdict, state))
    newest = max(computed, key=_age)
    restorability = expired(newest.verdict, removed).restorability.value
    return Standing(newest.row.calendar_time, restorability, is_told, removed), computed


def _age(one: Computed) -> tuple[int, int, str]:
    return one.verdict.chain, one.row.calendar_time, one.row.id
