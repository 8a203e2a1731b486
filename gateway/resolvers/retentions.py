"""Retentions: what they leave of a series at a moment, and the end of what they have removed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gateway.catalogue.column_types import now
from gateway.catalogue.tables import NO_TIME
from gateway.chains import cinder, keeping, locking
from gateway.chains.policies import Policy
from gateway.chains.rules import next_level
from gateway.chains.states import SORTED, State
from gateway.chains.vocabularies import Restorability, RetentionWarning
from gateway.context import Context, ItemKey
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, NotFound
from gateway.query.filters import All, Condition, Where
from gateway.query.paging import PageRequest
from gateway.resolvers import backups, past, series, writing
from gateway.resolvers.collection import Collection

SHOWN = 100
"""The number of chains, or backups, that an answer lists; it counts all of them."""

MAX_DAYS = 1_000_000
"""The longest time that a retention keeps backups."""

_OWN = backups.COLUMNS
_FACTS = (series.COLUMNS.storage, series.COLUMNS.media)
_KEY = (_OWN.project_id, _OWN.id, _OWN.calendar_time)
_NEWEST = (*_KEY, _OWN.policy, _OWN.chain_state)


@dataclass(frozen=True)
class Setting:
    """A retention that one thinks of: each value replaces that of the newest backup's policy."""

    remove_older_than: float | None = None
    """Days."""
    remove_before_date: datetime | None = None
    incremental: bool | None = None
    max_level: int | None = None
    always_level: int | None = None
    restart_always_level: float | None = None
    """Days."""


@dataclass(frozen=True)
class Retention:
    """The effect of a retention that runs at a moment."""

    at: datetime
    cutoff: datetime | None
    removed: list[ItemKey]
    removed_count: int
    kept: list[ItemKey]
    kept_count: int
    key: ItemKey | None
    """The oldest backup that it leaves."""
    next_level: int | None
    warnings: list[str]


async def preview(
    ctx: Context, series_id: str, at: datetime | None, setting: Setting
) -> Retention | None:
    """Return what a retention at a moment leaves of a series; None for an unknown series.

    At a moment of the past, it is what was left then: later backups don't count. Raises BadInput
    for a negative number of days.
    """
    _check(setting)
    moment = now() if at is None else at
    found = await series.COLLECTION.as_item.rows_by_key(
        ctx, [(ctx.project_id, series_id)], (series.COLUMNS.id, *_FACTS)
    )
    if not found:
        return None
    (own,) = found.values()
    seconds = int(moment.timestamp())
    then = await past.of_series(ctx, series_id, seconds)
    held = All((then.counted, then.held))
    (newest,) = await _first(ctx, series.NEWEST_FIRST, held, _NEWEST) or (None,)
    policy = _policy(None if newest is None else newest.policy, setting)
    cutoff = policy.removed_at(seconds)
    state = State.load(None if newest is None else newest.chain_state)
    if own.media == "cindernative":
        cutoff = cinder.removed(state, cutoff)
    there = All((then.counted, then.not_removed))
    stays = Condition(_OWN.chain_time, "gt", cutoff)
    removed = await _chains(ctx, All((there, Condition(_OWN.chain_time, "lte", cutoff))))
    kept = await _chains(ctx, All((there, stays)))
    oldest = await _first(ctx, series.NEWEST_FIRST, All((held, stays)), _KEY, oldest=True)
    left = State() if state.chain is not None and state.chain <= cutoff else state
    return Retention(
        at=moment,
        cutoff=datetime.fromtimestamp(cutoff, UTC) if cutoff != NO_TIME else None,
        removed=removed[0],
        removed_count=removed[1],
        kept=kept[0],
        kept_count=kept[1],
        key=(oldest[0].project_id, oldest[0].id) if oldest else None,
        next_level=next_level(policy, left, seconds, is_sorted=own.storage in SORTED),
        warnings=[word.value for word in _warnings(state, left, policy, newest)],
    )


def _check(setting: Setting) -> None:
    for name in ("remove_older_than", "restart_always_level"):
        days = getattr(setting, name)
        if days is not None and not 0 <= days <= MAX_DAYS:
            field = {"remove_older_than": "removeOlderThan"}.get(name, "restartAlwaysLevel")
            raise BadInput(f"'{field}' must be between 0 and {MAX_DAYS}, not {days}", field=field)


def _policy(stored: str | None, setting: Setting) -> Policy:
    policy = Policy.load(stored) or Policy()
    given: dict[str, Any] = {
        name: value
        for name in ("incremental", "max_level", "always_level", "restart_always_level")
        if (value := getattr(setting, name)) is not None
    }
    if setting.remove_older_than is not None or setting.remove_before_date is not None:
        before = setting.remove_before_date
        given["remove_older_than"] = setting.remove_older_than
        given["remove_before"] = None if before is None else int(before.timestamp())
    return replace(policy, **given)


def _warnings(state: State, left: State, policy: Policy, newest: Any) -> list[RetentionWarning]:
    warnings = {
        RetentionWarning.NEWEST_CHAIN_EXPIRES: left is not state,
        RetentionWarning.LEVELS_UNKNOWN: newest is not None and state.level is None,
        RetentionWarning.NEVER_RESTARTS: bool(policy.restart_always_level and policy.always_level),
    }
    return [warning for warning, holds in warnings.items() if holds]


async def _first(
    ctx: Context, collection: Collection, where: Where, columns: Any, *, oldest: bool = False
) -> Sequence[Any]:
    order = collection.sorted_by()
    order = tuple(sort.reversed() for sort in order) if oldest else order
    return list((await collection.find(ctx, PageRequest(order, first=1), where, columns)).rows[:1])


async def _chains(ctx: Context, where: Where) -> tuple[list[ItemKey], int]:
    """Return the first chains of a condition, the newest first, and the number of all."""
    request = PageRequest(series.CHAINS.sorted_by(), first=SHOWN)
    rows = (await series.CHAINS.find(ctx, request, where, _KEY)).rows
    count = await series.CHAINS.count(ctx, where) if len(rows) == SHOWN else len(rows)
    return [(row.project_id, row.id) for row in rows], count


async def expired(ctx: Context, series_id: str) -> tuple[list[ItemKey], int]:
    """Return the first backups of a series whose data a retention has removed, and their number."""
    where = All(
        (
            Condition(_OWN.series, "eq", series_id),
            Condition(_OWN.restorability, "eq", Restorability.EXPIRED.value),
        )
    )
    request = PageRequest(backups.COLLECTION.sorted_by(), first=SHOWN)
    rows = (await backups.COLLECTION.find(ctx, request, where, _KEY)).rows
    count = await backups.COLLECTION.count(ctx, where) if len(rows) == SHOWN else len(rows)
    return [(row.project_id, row.id) for row in rows], count


async def delete_expired(ctx: Context, series_id: str) -> int:
    """Delete the records of a series' backups whose data a retention has removed.

    Returns their number. Raises NotFound for an unknown series.
    """
    ctx.authorize("backups:delete")

    async def write(transaction: Transaction) -> tuple[int]:
        own = await locking.lock_series(transaction, ctx.project_id, series_id)
        if own is None:
            raise NotFound(f"no series with the id '{series_id}' in this project", field="series")
        return (await keeping.delete_expired(transaction, own),)

    (count,) = await writing.transact(ctx, write)
    return count
