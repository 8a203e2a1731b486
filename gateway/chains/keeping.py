"""Keeping chains with the backups: what is derived is written in the row's own transaction.

A series' row is locked before its backups, by whoever writes one of them. So appends to one series
wait for one another, and each continues from what the last one has left.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.change_words import ChangeKind, ChangeOperation
from gateway.catalogue.derivations import calendar_time
from gateway.catalogue.series_tables import ForgottenBackup, Removal
from gateway.catalogue.series_tables import Series as Table
from gateway.catalogue.tables import (
    NO_TIME,
    Action,
    Backup,
    Job,
    JobAction,
    columns,
    set_columns,
    source,
)
from gateway.catalogue.vocabularies import BackupStatus
from gateway.chains import locking, policies, removals
from gateway.chains.computing import derived_columns, has_cinder_backup
from gateway.chains.derivation import (
    FORGOTTEN,
    NEWEST,
    OWN,
    SERIES,
    SeriesRow,
    derive,
    supersede,
)
from gateway.chains.places import Place, place_of
from gateway.chains.policies import NEVER_INCREMENTAL, Policy
from gateway.chains.rules import advance, expired
from gateway.chains.states import Entry, State
from gateway.chains.vocabularies import Restorability
from gateway.db.rows import Row
from gateway.db.transactions import Transaction

Document = Mapping[str, Any]

MAX_LEVEL = 100_000
"""No agent makes chains of so many levels: a level beyond isn't one."""
_JOBS, _STEPS, _ACTIONS = columns(Job), columns(JobAction), columns(Action)
_STEP = sa.and_(_STEPS.project_id == _JOBS.project_id, _STEPS.job_id == _JOBS.id)
_BACKING_UP = sa.and_(
    _ACTIONS.project_id == _STEPS.project_id,
    _ACTIONS.id == _STEPS.action_id,
    _ACTIONS.action == sa.literal_column("'backup'"),
)
_OF_JOB = sa.and_(
    _JOBS.project_id == sa.bindparam("project_id"), _JOBS.id == sa.bindparam("job_id")
)
_NEWEST = NEWEST.with_only_columns(OWN.calendar_time, OWN.chain_state).subquery("newest")
_BEFORE_IT = sa.select(
    _NEWEST.c.calendar_time, _NEWEST.c.chain_state, _JOBS.client_id, _ACTIONS.freezer_action
).select_from(
    sa.select(sa.literal_column("1").label("one"))
    .subquery("one")
    .outerjoin(_NEWEST, sa.true())
    .outerjoin(source(Job), _OF_JOB)
    .outerjoin(source(JobAction), _STEP)
    .outerjoin(source(Action), _BACKING_UP)
)
"""The newest backup of a series and a job's client, for each of the job's actions that backs up.

One statement, since most of a registration's cost is the number of its statements.
"""
_HELD = frozenset({BackupStatus.AVAILABLE, BackupStatus.DELETING, BackupStatus.DELETED})
"""The statuses of backups that have, or had, a level in the storage."""
_FORGET = {
    is_sqlite: insert(source(ForgottenBackup)).on_conflict_do_nothing()
    for is_sqlite, insert in ((True, sqlite.insert), (False, postgresql.insert))
}
_OF_SERIES = (
    OWN.project_id == sa.bindparam("project_id"),
    OWN.series == sa.bindparam("series"),
)
_TOLD = (
    sa.select(OWN.id)
    .where(*_OF_SERIES, OWN.level > 0, OWN.level < sa.literal_column(str(MAX_LEVEL)))
    .limit(1)
)
_ANY = sa.select(OWN.id).where(*_OF_SERIES).limit(1)
_OF_FORGOTTEN = (
    FORGOTTEN.project_id == sa.bindparam("project_id"),
    FORGOTTEN.series == sa.bindparam("series"),
)
_REMEMBER = sa.delete(source(ForgottenBackup)).where(
    *_OF_FORGOTTEN, FORGOTTEN.calendar_time == sa.bindparam("time", None, sa.BigInteger)
)
_CLEAR = sa.delete(source(ForgottenBackup)).where(*_OF_FORGOTTEN)
_CLEAR_BEFORE = _CLEAR.where(FORGOTTEN.calendar_time < sa.bindparam("time", None, sa.BigInteger))
_EXPIRED = sa.select(OWN.id, OWN.version).where(
    *_OF_SERIES, OWN.restorability == sa.literal_column("'EXPIRED'")
)
_DELETE = sa.delete(source(Backup)).where(
    OWN.project_id == sa.bindparam("project_id"), OWN.id == sa.bindparam("id")
)
_OLDEST = (
    sa.select(OWN.calendar_time, OWN.chain_time, OWN.chain_level)
    .where(*_OF_SERIES, OWN.chain_time.is_not(None))
    .order_by(OWN.chain_time, OWN.calendar_time, OWN.id)
    .limit(1)
)
_DROP = sa.delete(source(Table)).where(
    SERIES.project_id == sa.bindparam("project_id"), SERIES.id == sa.bindparam("series")
)


async def register(
    transaction: Transaction, row: Backup, metadata: Document, *, is_sqlite: bool
) -> None:
    """Insert a new backup, with all that is derived of it and of others by it.

    Without a client it gets its job's. The policy is that of the job's action which made it. Raises
    the driver's errors.
    """
    place, time = place_of(row, metadata), calendar_time(row.time_stamp)
    series = await locking.enter(transaction, row.project_id, place, time, is_sqlite=is_sqlite)
    # The series is locked: nobody adds a newer one.
    found = await transaction.rows(_BEFORE_IT, series.key | {"job_id": row.job_id})
    actions = [orjson.loads(one.freezer_action) for one in found if one.freezer_action]
    action = policies.choose(actions, metadata)
    known = None if action is None else policies.of_action(action)
    policy = policies.of_backup(place.media, metadata, known)
    own = {
        "client_id": row.client_id or found[0].client_id,
        "series": place.id,
        "policy": None if policy is None else policy.dump(),
        "derived_version": row.version,
    }
    set_columns(row, own)
    entry = Entry(time, row.status, row.level, policy, has_cinder_backup(metadata))
    if not series.is_stale and await _append(transaction, series, row, entry, found[0]):
        return
    row.chain_time = entry.time
    await transaction.insert(row)
    await _settle(transaction, series, entry, entry.time)


async def _append(
    transaction: Transaction, series: SeriesRow, row: Backup, entry: Entry, newest: Row
) -> bool:
    """Insert a backup that is newer than the newest, or has no time; else return False.

    For most backups it costs nothing else.
    """
    state, media = State(), series.place.rules(is_told=series.is_told)
    in_chain = entry.time != NO_TIME
    if in_chain:
        last = NO_TIME if newest.calendar_time is None else newest.calendar_time
        is_newest = entry.time > max(last, series.forgotten_time, series.removals_time)
        if not is_newest or series.forgotten_time > last or _begins_to_tell(series, entry):
            return False
        state = State.load(newest.chain_state)
        if series.removals_time >= last > NO_TIME:
            state = (await removals.since(transaction, series.key, last)).rest(state)
    step = advance(state, entry, media)
    if step.supersedes is not None:
        await supersede(transaction, series, step.verdict, step.supersedes)
    before = replace(series)
    if in_chain:
        await series.expire(transaction, step.state.removed)
    verdict = expired(step.verdict, series.removed_time)
    set_columns(row, derived_columns(verdict, step.state))
    await transaction.insert(row)
    if series.newest_time <= entry.time:
        series.restorability = verdict.restorability.value
    if series != before:
        await series.write(transaction)
    return True


async def derive_all(transaction: Transaction, series: SeriesRow) -> None:
    """Derive a series from its first backup on; drop one that has none.

    Raises the driver's errors.
    """
    if await transaction.rows(_ANY, series.key):
        series.is_told = bool(await transaction.rows(_TOLD, series.key))
        await derive(transaction, series)
    else:
        await _drop(transaction, series)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a backup: what the rules saw of it before, and will see of it then."""

    place: Place
    before: Entry
    entry: Entry
    columns: dict[str, Any]
    """The columns to be written with it."""
    is_due: bool
    """True if its series is to be derived."""


def change(
    row: Backup, metadata: Document, values: Mapping[str, Any], known: Policy | None
) -> Change:
    """Return the change of a stored backup to this metadata, and these values of columns.

    `known` is the policy that it was made by, as far as that is known without the metadata.
    """
    after = SimpleNamespace(**{**vars(row), **values})
    place = place_of(after, metadata)
    policy = policies.of_backup(place.media, metadata, known)
    columns = {
        "series": place.id,
        "policy": None if policy is None else policy.dump(),
        "derived_version": row.version + 1,
    }
    before = _entry(row, Policy.load(row.policy), orjson.loads(row.backup_metadata))
    entry = _entry(after, policy, metadata)
    if place.id != row.series or entry.time != before.time:
        columns["chain_time"] = entry.time
    is_due = before != entry or row.derived_version != row.version
    return Change(place, before, entry, columns, is_due)


async def follow(
    transaction: Transaction,
    series: SeriesRow | None,
    row: Backup,
    made: Change,
    *,
    is_sqlite: bool,
) -> None:
    """Derive what a change of a backup, which has been written, means for its series.

    Raises the driver's errors.
    """
    before, entry = made.before, made.entry
    if series is not None and series.place.id == made.place.id:
        if made.is_due:
            since, until = sorted((before.time, entry.time))
            await _settle(transaction, series, entry, since, until)
        return
    new = await locking.enter(
        transaction, row.project_id, made.place, entry.time, is_sqlite=is_sqlite
    )
    await _settle(transaction, new, entry, entry.time)
    if series is not None:
        await _leave(transaction, series, before)


async def forget(
    transaction: Transaction, series: SeriesRow | None, row: Backup, *, is_sqlite: bool
) -> None:
    """Delete a backup, and remember of it what others of its chain depend on.

    Raises the driver's errors.
    """
    await transaction.delete(row)
    if series is None:
        return
    policy = Policy.load(row.policy)
    entry = _entry(row, policy, {})
    holds_data = row.status in _HELD and row.restorability != Restorability.EXPIRED
    may_be_needed = series.place.media not in NEVER_INCREMENTAL | {"cindernative"}
    if holds_data and may_be_needed and not series.is_told and entry.time != NO_TIME:
        values = {
            "project_id": row.project_id,
            "series": series.place.id,
            "calendar_time": entry.time,
            "status": row.status,
            "policy": row.policy,
            "chain_state": row.chain_state,
        }
        await transaction.execute_many(_FORGET[is_sqlite], [values])
        series.forgotten_time = max(series.forgotten_time, entry.time)
    await _leave(transaction, series, entry)


async def remove(
    transaction: Transaction, series: SeriesRow, removal: Removal, *, is_sqlite: bool
) -> None:
    """Note a removal that ran between two times, and make expired what it has removed.

    Nothing changes by one that is known already. The series is locked. Raises the driver's errors.
    """
    if not await removals.insert(transaction, removal, is_sqlite=is_sqlite):
        return
    series.removals_time = max(series.removals_time, removal.ended_at)
    if series.is_stale:
        await series.write(transaction)
        return
    newest = await transaction.rows(NEWEST, series.key)
    if newest and removal.began_at <= max(newest[0].calendar_time, series.forgotten_time):
        await derive(transaction, series, removal.began_at, removal.ended_at)
        return
    policy = Policy.load(removal.policy) or Policy()
    await series.expire(transaction, policy.removed_at(removal.began_at))
    for row in await transaction.rows(NEWEST, series.key):
        series.restorability = row.restorability
    await series.write(transaction)


async def delete_expired(transaction: Transaction, series: SeriesRow) -> int:
    """Delete the backups of a series whose data a retention has removed; return their number.

    Nothing that is left needs them. Raises the driver's errors.
    """
    rows = await transaction.rows(_EXPIRED, series.key)
    keys = [{"project_id": series.project_id, "id": row.id} for row in rows]
    await transaction.execute_many(_DELETE, keys, is_told=True)
    for row in rows:
        transaction.tell(
            ChangeKind.BACKUP, series.project_id, row.id, ChangeOperation.DELETED, row.version
        )
    if rows and await transaction.rows(_ANY, series.key):
        await _tidy(transaction, series)
    elif rows:
        await _drop(transaction, series)
    return len(rows)


async def _leave(transaction: Transaction, series: SeriesRow, entry: Entry) -> None:
    """Derive a series that a backup has left; drop it if that was the last one."""
    if not await transaction.rows(_ANY, series.key):
        await _drop(transaction, series)
        return
    since: int | None = entry.time
    if series.is_told and _is_told(entry) and not await transaction.rows(_TOLD, series.key):
        series.is_told, since = False, None
    if not series.is_stale and (entry.time != NO_TIME or since is None):
        await derive(transaction, series, since)
    if max(series.forgotten_time, series.removals_time) != NO_TIME:
        await _tidy(transaction, series)


async def _drop(transaction: Transaction, series: SeriesRow) -> None:
    await transaction.execute_many(_CLEAR, [series.key])
    if series.removals_time != NO_TIME:
        await removals.clear(transaction, series.key)
    await transaction.execute_many(_DROP, [series.key])
    transaction.tell(ChangeKind.SERIES, series.project_id, series.place.id, ChangeOperation.DELETED)


async def _tidy(transaction: Transaction, series: SeriesRow) -> None:
    """Drop what is remembered of the time before the first backup, if that needs no other."""
    for oldest in await transaction.rows(_OLDEST, series.key):
        if oldest.chain_level == 0:
            before = {"time": oldest.calendar_time}
            await transaction.execute_many(_CLEAR_BEFORE, [series.key | before])
            if series.removals_time != NO_TIME:
                await removals.clear(transaction, series.key, oldest.calendar_time)


async def _settle(
    transaction: Transaction,
    series: SeriesRow,
    entry: Entry,
    since: int,
    until: int | None = None,
) -> None:
    """Derive a series of which a backup was added or changed, between these times."""
    if series.is_stale:
        return
    if entry.status == BackupStatus.AVAILABLE and series.forgotten_time >= entry.time:
        await transaction.execute_many(_REMEMBER, [series.key | {"time": entry.time}])
    if _begins_to_tell(series, entry):
        series.is_told = True
        await derive(transaction, series, None)
    elif series.is_told and not await transaction.rows(_TOLD, series.key):
        series.is_told = False
        await derive(transaction, series, None)
    else:
        await derive(transaction, series, since, until)


def _begins_to_tell(series: SeriesRow, entry: Entry) -> bool:
    return not series.is_told and _is_told(entry)


def _is_told(entry: Entry) -> bool:
    """Return True if a backup tells its level: agents of release 19 report each as 0."""
    return is_level_told(entry.reported)


def is_level_told(reported: int | None) -> bool:
    """Return True for a level that tells that the agent tells them."""
    return reported is not None and 0 < reported < MAX_LEVEL


def _entry(row: Any, policy: Policy | None, metadata: Document) -> Entry:
    time = calendar_time(row.time_stamp)
    return Entry(time, row.status, row.level, policy, has_cinder_backup(metadata))
