"""Deriving the backups of a series anew: from the chain before a change, as far as it reaches.

A change takes effect up to the next full backup after which the series stands as it stood before;
where levels follow from how many backups there were, that may be its end. Memory is bounded.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.series_tables import ForgottenBackup, Series
from gateway.catalogue.tables import NO_TIME, Backup, columns, source
from gateway.chains import removals
from gateway.chains.computing import (
    Computed,
    entry_of,
    has_cinder_backup,
    supersede_computed,
)
from gateway.chains.places import Place
from gateway.chains.policies import Policy
from gateway.chains.rules import advance, hidden
from gateway.chains.states import Entry, State, Step, Verdict
from gateway.chains.vocabularies import Restorability, RestorabilityReason
from gateway.db.rows import Row
from gateway.db.transactions import Transaction

CHUNK = 500
"""The number of backups that are read, and written, at a time."""

OWN, SERIES, FORGOTTEN = columns(Backup), columns(Series), columns(ForgottenBackup)
_DERIVED = ("chain_time", "chain_level", "level_source", "restorability", "restorability_reason")


def _of_series(*predicates: Any) -> Sequence[sa.ColumnElement[bool]]:
    return (
        OWN.project_id == sa.bindparam("project_id"),
        OWN.series == sa.bindparam("series"),
        *predicates,
    )


def _forgotten(*predicates: Any) -> Sequence[sa.ColumnElement[bool]]:
    return (
        FORGOTTEN.project_id == sa.bindparam("project_id"),
        FORGOTTEN.series == sa.bindparam("series"),
        *predicates,
    )


_TIME = sa.bindparam("time", None, type_=sa.BigInteger)
ENTRY = (
    OWN.id,
    OWN.job_id,
    OWN.calendar_time,
    OWN.status,
    OWN.level,
    OWN.policy,
    OWN.chain_state,
    *(OWN[name] for name in _DERIVED),
)
"""The columns of a backup that a derivation reads."""
_NEWEST_FIRST = (OWN.chain_time.desc(), OWN.calendar_time.desc(), OWN.id.desc())
NEWEST = (
    sa.select(*ENTRY)
    .where(*_of_series(OWN.chain_time.is_not(None)))
    .order_by(*_NEWEST_FIRST)
    .limit(1)
)
"""The newest backup of a series that has been derived."""
_BEFORE = (
    sa.select(*ENTRY)
    .where(*_of_series(OWN.chain_time <= _TIME, OWN.calendar_time < _TIME))
    .order_by(*_NEWEST_FIRST)
    .limit(1)
)
_FORGOTTEN_BEFORE = (
    sa.select(FORGOTTEN.calendar_time, FORGOTTEN.chain_state)
    .where(*_forgotten(FORGOTTEN.calendar_time < _TIME))
    .order_by(FORGOTTEN.calendar_time.desc())
    .limit(1)
)
_FORGOTTEN_SINCE = (
    sa.select(FORGOTTEN.calendar_time, FORGOTTEN.status, FORGOTTEN.policy, FORGOTTEN.chain_state)
    .where(*_forgotten(FORGOTTEN.calendar_time >= _TIME))
    .order_by(FORGOTTEN.calendar_time)
)
_AFTER = sa.tuple_(OWN.calendar_time, OWN.id) > sa.tuple_(
    sa.bindparam("after_time", None, type_=sa.BigInteger),
    sa.bindparam("after_id", None, OWN.id.type),
)
_ALL_SINCE, _CHAINS_SINCE = (
    sa.select(*ENTRY)
    .where(*_of_series(_AFTER, *of_chains))
    .order_by(OWN.calendar_time, OWN.id)
    .limit(CHUNK)
    for of_chains in ((), (OWN.chain_time >= _TIME,))
)
# Only Cinder's own backups depend on their documents.
_CINDER_BACKUPS = sa.select(OWN.id, OWN.backup_metadata).where(
    *_of_series(OWN.calendar_time.between(_TIME, sa.bindparam("until", None, sa.BigInteger)))
)
_WRITE = (
    sa.update(source(Backup))
    .where(OWN.project_id == sa.bindparam("of_project"), OWN.id == sa.bindparam("of_id"))
    .values(**{name: sa.bindparam(name) for name in (*_DERIVED, "chain_state")})
)
_WRITE_FORGOTTEN = (
    sa.update(source(ForgottenBackup))
    .where(*_forgotten(FORGOTTEN.calendar_time == _TIME))
    .values(chain_state=sa.bindparam("state"))
)
_SUPERSEDE = (
    sa.update(source(Backup))
    .where(
        *_of_series(
            OWN.chain_time == sa.bindparam("chain", None, sa.BigInteger),
            OWN.calendar_time == _TIME,
            OWN.chain_level == sa.bindparam("of_level", None, sa.BigInteger),
            OWN.restorability.in_(
                [sa.literal_column("'RESTORABLE'"), sa.literal_column("'UNKNOWN'")]
            ),
        )
    )
    .values(
        restorability=sa.bindparam("hidden"),
        restorability_reason=RestorabilityReason.SUPERSEDED.value,
    )
)
_EXPIRE = (
    sa.update(source(Backup))
    .where(
        *_of_series(
            OWN.chain_time > sa.bindparam("removed_before", None, sa.BigInteger),
            OWN.chain_time <= sa.bindparam("removed", None, sa.BigInteger),
            OWN.restorability.in_(
                [sa.literal_column(f"'{word}'") for word in ("RESTORABLE", "UNKNOWN", "BROKEN")]
            ),
            OWN.restorability_reason
            != sa.literal_column(f"'{RestorabilityReason.NO_CINDER_BACKUP_ID.value}'"),
        )
    )
    .values(
        restorability=Restorability.EXPIRED.value,
        restorability_reason=RestorabilityReason.RETENTION.value,
    )
)
_SET = (
    *("newest_time", "restorability", "is_told", "removed_time", "forgotten_time", "is_stale"),
    "removals_time",
)
_SET_SERIES = (
    sa.update(source(Series))
    .where(
        SERIES.project_id == sa.bindparam("of_project"),
        SERIES.id == sa.bindparam("of_series"),
    )
    .values(**{name: sa.bindparam(name) for name in _SET})
)


@dataclass(slots=True)
class SeriesRow:
    """A series that the transaction has locked, with what it is to be set to."""

    project_id: str
    place: Place
    newest_time: int
    restorability: str
    is_told: bool
    removed_time: int
    forgotten_time: int
    is_stale: bool
    removals_time: int

    @property
    def key(self) -> dict[str, Any]:
        """The values of the statements' parameters that name the series."""
        return {"project_id": self.project_id, "series": self.place.id}

    async def write(self, transaction: Transaction) -> None:
        """Store what has changed. Raises the driver's errors."""
        values = {name: getattr(self, name) for name in _SET}
        key = {"of_project": self.project_id, "of_series": self.place.id}
        await transaction.execute_many(_SET_SERIES, [values | key])
        transaction.tell(ChangeKind.SERIES, self.project_id, self.place.id)

    async def expire(self, transaction: Transaction, removed: int) -> None:
        """Make the backups of chains up to this time expired. Raises the driver's errors."""
        if removed > self.removed_time:
            limits = {"removed_before": self.removed_time, "removed": removed}
            await transaction.execute_many(_EXPIRE, [self.key | limits], is_told=True)
            self.removed_time = removed


async def supersede(
    transaction: Transaction, series: SeriesRow, verdict: Verdict, time: int
) -> None:
    """Note that the backups of a chain's level at this time can't be chosen any more.

    Raises the driver's errors.
    """
    word = hidden(series.place.rules(is_told=series.is_told)).value
    values = {"chain": verdict.chain, "of_level": verdict.level, "time": time, "hidden": word}
    await transaction.execute_many(_SUPERSEDE, [series.key | values], is_told=True)


async def derive(
    transaction: Transaction,
    series: SeriesRow,
    since: int | None = None,
    until: int | None = None,
) -> None:
    """Derive the backups of a series that changes between these times may concern; None: all.

    Without `until`, there was one change. The series is locked, and is written. Raises the driver's
    errors.
    """
    start, state = None, State()
    if since is not None and since != NO_TIME:
        before = await _state_before(transaction, series, since)
        if before is not None:
            start = before[0]
            further = await _state_before(transaction, series, start)
            state = State() if further is None else further[1]
    await _Run(transaction, series, state, since if until is None else until).run(start)
    newest = await transaction.rows(NEWEST, series.key)
    if newest:
        series.newest_time = newest[0].calendar_time
        series.restorability = newest[0].restorability
    await series.write(transaction)


async def _state_before(
    transaction: Transaction, series: SeriesRow, time: int
) -> tuple[int, State] | None:
    """Return the chain, and the state, of the last backup before this time."""
    key = series.key | {"time": time}
    rows = await transaction.rows(_BEFORE, key)
    found = [(row.calendar_time, 0, row.chain_time, row.chain_state) for row in rows]
    if series.forgotten_time != NO_TIME:
        rows = await transaction.rows(_FORGOTTEN_BEFORE, key)
        found += [(row.calendar_time, 1, None, row.chain_state) for row in rows]
    if not found:
        return None
    at, _, chain, text = max(found, key=lambda one: one[:2])
    state = State.load(text)
    return (state.chain if chain is None else chain) or at, state


class _Run:
    """One derivation: reads a series' backups in chunks, and writes what differs."""

    def __init__(
        self, transaction: Transaction, series: SeriesRow, state: State, until: int | None
    ) -> None:
        self.transaction, self.series, self.state, self.until = transaction, series, state, until
        self.media = series.place.rules(is_told=series.is_told)
        self.forgotten: list[Row] = []
        self.ahead = removals.Ahead()
        self.removed = series.removed_time

    async def run(self, start: int | None) -> None:
        """Derive the chains from this time on, as far as anything changes."""
        if self.series.forgotten_time != NO_TIME:
            since = NO_TIME if start is None else start
            key = self.series.key | {"time": since}
            self.forgotten = list(await self.transaction.rows(_FORGOTTEN_SINCE, key))
        if self.series.removals_time > NO_TIME and self.series.removals_time >= self.state.last:
            self.ahead = await removals.since(self.transaction, self.series.key, self.state.last)
        async for rows in self._chunks(start):
            done = await self._chunk(rows)
            if done:
                break
        else:
            await self._pass_forgotten(None, [])
            self.removed = max(self.removed, self.ahead.rest(self.state).removed)
        await self.series.expire(self.transaction, self.removed)

    async def _chunks(self, start: int | None) -> AsyncIterator[Sequence[Row]]:
        query = _ALL_SINCE if start is None else _CHAINS_SINCE
        after: dict[str, Any] = {"after_time": NO_TIME if start is None else start, "after_id": ""}
        while True:
            values = self.series.key | after | {"time": start}
            rows = await self.transaction.rows(query, values)
            if rows:
                yield rows
            if len(rows) < CHUNK:
                return
            after = {"after_time": rows[-1].calendar_time, "after_id": rows[-1].id}

    async def _chunk(self, rows: Sequence[Row]) -> bool:
        """Derive these backups and write them; return True if all after them stay as they are."""
        computed: list[Computed] = []
        in_cinder = await self._in_cinder(rows)
        is_done = False
        for row in rows:
            await self._pass_forgotten(row.calendar_time, computed)
            entry = entry_of(row, has_cinder_backup=row.id in in_cinder)
            step = self._advance(entry, row.job_id)
            if self._is_as_before(row, step.verdict, step.state):
                is_done = True
                break
            self.state = step.state
            self.removed = max(self.removed, self.state.removed)
            await self._supersede(step, computed)
            computed.append(Computed(row, step.verdict, step.state))
        await self.transaction.execute_many(_WRITE, [*self._changes(computed)], is_told=True)
        return is_done

    def _advance(self, entry: Entry, job_id: str | None) -> Step:
        """Return the effect of the next backup, after the removals before it."""
        state, removing = self.ahead.before(self.state, entry.time, job_id)
        return advance(state, entry, self.media, removing)

    def _is_as_before(self, row: Row, verdict: Verdict, state: State) -> bool:
        """Return True at a full backup after which the series stands as it stood before."""
        return (
            self.until is not None
            and row.calendar_time > self.until
            and (verdict.level == 0 or self.media.media == "cindernative")
            and row.chain_time == verdict.chain == row.calendar_time
            and row.chain_state == state.dump()
            and not self.ahead.has_begun(row.calendar_time)
        )

    async def _supersede(self, step: Step, computed: Sequence[Computed]) -> None:
        """Note what a backup supersedes, among those that are not written yet or in the table."""
        if step.supersedes is None:
            return
        if not supersede_computed(step, computed, self.media):
            await supersede(self.transaction, self.series, step.verdict, step.supersedes)

    async def _pass_forgotten(self, until: int | None, computed: Sequence[Computed]) -> None:
        """Take the forgotten backups before this time into the state; None: all."""
        while self.forgotten and (until is None or self.forgotten[0].calendar_time < until):
            row = self.forgotten.pop(0)
            policy = Policy.load(row.policy)
            entry = Entry(row.calendar_time, row.status, None, policy, is_forgotten=True)
            step = self._advance(entry, None)
            await self._supersede(step, computed)
            self.state = step.state
            if self.state.dump() != row.chain_state:
                values = {"time": row.calendar_time, "state": self.state.dump()}
                await self.transaction.execute_many(_WRITE_FORGOTTEN, [self.series.key | values])

    async def _in_cinder(self, rows: Sequence[Row]) -> frozenset[str]:
        """Return the ids of those of these backups of which Cinder's id is known."""
        if self.media.media != "cindernative":
            return frozenset()
        limits = {"time": rows[0].calendar_time, "until": rows[-1].calendar_time}
        found = await self.transaction.rows(_CINDER_BACKUPS, self.series.key | limits)
        return frozenset(
            row.id for row in found if has_cinder_backup(orjson.loads(row.backup_metadata))
        )

    def _changes(self, computed: Sequence[Computed]) -> Iterator[dict[str, Any]]:
        for one in computed:
            values = one.changes(self.series.removed_time)
            if values is not None:
                yield values | {"of_project": self.series.project_id, "of_id": one.row.id}
