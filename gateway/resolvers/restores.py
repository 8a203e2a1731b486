"""Restores: the plan for a series and a moment, and the job that carries it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.catalogue.column_types import now
from gateway.catalogue.series_tables import Restore
from gateway.catalogue.tables import NO_TIME, Job
from gateway.chains import restoring
from gateway.chains.restoring import Member, Reading
from gateway.chains.rules import SORTED, Media
from gateway.chains.vocabularies import Restorability, RestorabilityReason, RestoreWarning
from gateway.context import Context, ItemKey
from gateway.db.transactions import Transaction
from gateway.errors import NotFound, Unprocessable
from gateway.query.filters import All, Condition, Where
from gateway.query.paging import PageRequest
from gateway.resolvers import backups, jobs, series
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.jobs import JobDraft

MAX_MEMBERS = 10_000
"""The number of a chain's backups that a plan looks at."""

_OWN = backups.COLUMNS
_COLUMNS = (
    _OWN.id,
    _OWN.calendar_time,
    _OWN.chain_time,
    _OWN.chain_level,
    _OWN.restorability,
    _OWN.restorability_reason,
    _OWN.compressed_size,
)
_SERIES = tuple(series.COLUMNS)


@dataclass(frozen=True)
class Plan:
    """The restore of a series to a moment: the backups that it reads, and the action for it."""

    at: datetime
    steps: list[ItemKey]
    """The backups that it reads, in this order."""
    key: ItemKey | None
    """The last of them, whose state is restored; None if nothing is known of it."""
    restorability: str
    restorability_reason: str
    warnings: list[str]
    bytes: int | None
    """The stored bytes that it reads, of the backups whose size is told."""
    restore_from_date: datetime | None
    freezer_action: Any
    """A JSON text; None where there is nothing to restore."""
    document: dict[str, Any] | None = None
    backup_id: str | None = None
    series_id: str = ""


async def plan(
    ctx: Context,
    series_id: str,
    at: datetime | None = None,
    *,
    path: str | None = None,
    overwrite: bool = False,
) -> Plan | None:
    """Return the plan for a series and a moment, by default now; None for an unknown series.

    It costs a few statements, whatever the series. Raises what reading raises.
    """
    moment = now() if at is None else at
    seconds = int(moment.timestamp())
    found = await series.COLLECTION.as_item.rows_by_key(ctx, [(ctx.project_id, series_id)], _SERIES)
    if not found:
        return None
    (own,) = found.values()
    (wanted,) = await _first(ctx, series.RESTORE_POINTS, series_id, _until(seconds)) or (None,)
    if wanted is None:
        nothing = Restorability.BROKEN, RestorabilityReason.MISSING_LEVEL
        return Plan(moment, [], None, *nothing, [], None, None, None, series_id=series_id)
    reading = await _reading(ctx, own, wanted, seconds)
    last = reading.steps[-1] if reading.steps else None
    if last is None:
        words = [word.value for word in reading.warnings]
        verdict = reading.restorability.value, reading.reason.value
        return Plan(moment, [], None, *verdict, words, None, None, None, series_id=series_id)
    date = await _date(ctx, series_id, last)
    action, size = await _details(ctx, reading.steps, date, path=path, overwrite=overwrite)
    return Plan(
        at=moment,
        steps=[(ctx.project_id, one.id) for one in reading.steps],
        key=(ctx.project_id, last.id),
        restorability=reading.restorability.value,
        restorability_reason=reading.reason.value,
        warnings=[word.value for word in reading.warnings],
        bytes=size,
        restore_from_date=datetime.fromtimestamp(date, UTC),
        freezer_action=orjson.Fragment(orjson.dumps(action)),
        document=action,
        backup_id=last.id,
        series_id=series_id,
    )


def _until(seconds: int) -> Where:
    return Condition(_OWN.calendar_time, "lte", seconds)


async def _first(
    ctx: Context, collection: Any, series_id: str, where: Where, *, oldest: bool = False
) -> Sequence[Any]:
    """Return the newest, or oldest, backup of a series for which a condition holds, in a list."""
    order = collection.sorted_by()
    order = tuple(sort.reversed() for sort in order) if oldest else order
    both = All((Condition(_OWN.series, "eq", series_id), where))
    page = await collection.find(ctx, PageRequest(order, first=1), both, _COLUMNS)
    return list(page.rows[:1])


async def _reading(ctx: Context, own: Any, wanted: Any, seconds: int) -> Reading:
    """Return what the agent reads where the newest backup of that time is this one."""
    storage = own.storage or ""
    alone = own.media in {"cinder", "cindernative"} or wanted.chain_level is None
    if alone:
        member = _member(wanted, level=0)
        verdict = (
            Restorability(wanted.restorability),
            RestorabilityReason(wanted.restorability_reason),
        )
        known = own.media in {"cinder", "cindernative"}
        warned = [RestoreWarning.NO_SIZE] if known and not member.has_size else []
        return Reading([member] if known else [], *verdict, warned)
    where = All(
        (
            Condition(_OWN.series, "eq", own.id),
            Condition(_OWN.chain_time, "eq", wanted.chain_time),
            Condition(_OWN.chain_level, "isNull", value=False),
        )
    )
    request = PageRequest(series.RESTORE_POINTS.sorted_by(), first=MAX_MEMBERS)
    rows = (await series.RESTORE_POINTS.find(ctx, request, where, _COLUMNS)).rows
    media = Media(own.media, storage in SORTED, storage == "local", own.is_told)
    return restoring.read([_member(row) for row in rows], seconds, media, storage)


def _member(row: Any, level: int | None = None) -> Member:
    return Member(
        row.id,
        row.calendar_time,
        row.chain_level if level is None else level,
        row.restorability,
        row.restorability_reason,
        row.compressed_size is not None,
    )


async def _date(ctx: Context, series_id: str, last: Member) -> int:
    """Return a time by which the agent chooses a backup: before the next one, if there is one."""
    after = Condition(_OWN.calendar_time, "gt", last.time)
    for row in await _first(ctx, series.RESTORE_POINTS, series_id, after, oldest=True):
        return max(last.time, int(row.calendar_time) - 1)
    return max(last.time, int(now().timestamp()))


async def _details(
    ctx: Context, steps: Sequence[Member], date: int, *, path: str | None, overwrite: bool
) -> tuple[dict[str, Any], int | None]:
    """Return the action that restores the last of these backups, and the bytes of all."""
    keys = [(ctx.project_id, one.id) for one in steps]
    names = ("id", "mode", "backup_name", "hostname", "container", "storage", "engine")
    columns = (*(_OWN[name] for name in names), _OWN.backup_metadata, _OWN.compressed_size)
    rows = await backups.COLLECTION.rows_by_key(ctx, keys, columns)
    row = rows.get(keys[-1])
    if row is None:
        raise NotFound("a backup was deleted meanwhile")
    metadata = orjson.loads(row.backup_metadata)
    made = restoring.action(row, metadata, date, path=path, overwrite=overwrite)
    sizes = [one.compressed_size for one in rows.values() if one.compressed_size is not None]
    return made, sum(sizes) if sizes else None


@dataclass
class RestoreDraft:
    """A restore to make: of a backup, or of a series and a moment."""

    backup_id: str | None = None
    series_id: str | None = None
    at: datetime | None = None
    client_id: str | None = None
    path: str | None = None
    overwrite: bool = False
    description: str | None = None
    is_test: bool = False
    accepts_unknown: bool = False


async def prepare(ctx: Context, draft: RestoreDraft) -> tuple[Plan, JobDraft]:
    """Return the plan of a restore, and the job that carries it out, without storing it.

    Raises NotFound for an unknown backup or series, and Unprocessable for one that can't be
    restored, or, unless the draft accepts that, for one of which it isn't known.
    """
    ctx.authorize("jobs:create")
    series_id, at, backup = draft.series_id, draft.at, None
    client_id = draft.client_id
    if draft.backup_id is not None:
        columns = (_OWN.id, _OWN.series, _OWN.calendar_time, _OWN.client_id)
        backup = await backups.COLLECTION.get(ctx, draft.backup_id, columns)
        if backup is None or backup.series is None:
            raise NotFound(f"no backup with the id '{draft.backup_id}' in a series", field="backup")
        if backup.calendar_time == NO_TIME:
            raise Unprocessable(
                f"the backup '{draft.backup_id}' has no time by which an agent could choose it",
                field="backup",
            )
        series_id = backup.series
        at = datetime.fromtimestamp(backup.calendar_time, UTC)
    made = await plan(ctx, series_id or "", at, path=draft.path, overwrite=draft.overwrite)
    if made is None:
        raise NotFound(f"no series with the id '{series_id}'", field="series")
    _check(made, draft)
    if client_id is None and made.backup_id is not None:
        own = await backups.COLLECTION.get(ctx, made.backup_id, (_OWN.id, _OWN.client_id))
        client_id = own.client_id if own else None
    action = made.document or {}
    name = draft.description or f"restore {action.get('backup_name')}"
    return made, JobDraft(
        [ActionDraft(action)],
        description=name,
        client_id=client_id,
        schedule={"event": "start"},
    )


def _check(made: Plan, draft: RestoreDraft) -> None:
    """Check that a plan may be carried out. Raises Unprocessable."""
    if draft.backup_id is not None and made.backup_id not in {None, draft.backup_id}:
        raise Unprocessable(
            f"the agent can't choose the backup '{draft.backup_id}': it would restore "
            f"'{made.backup_id}'",
            field="backup",
        )
    word = made.restorability
    may = {Restorability.RESTORABLE.value}
    may |= {Restorability.UNKNOWN.value} if draft.accepts_unknown else set()
    if word not in may or made.freezer_action is None:
        reason = RestorabilityReason(made.restorability_reason)
        raise Unprocessable(
            f"this can't be restored for sure, it is {word}: {reason.description}",
            field="series" if draft.backup_id is None else "backup",
        )


async def create(ctx: Context, draft: RestoreDraft) -> tuple[Plan, Job]:
    """Create the job of a restore, which starts at once, and return it with the plan.

    Raises what `prepare` and the creation of a job raise.
    """
    made, job = await prepare(ctx, draft)

    async def note(transaction: Transaction, row: Job) -> None:
        await transaction.insert(
            Restore(
                project_id=ctx.project_id,
                job_id=row.id,
                series=made.series_id,
                backup_id=made.backup_id or "",
                is_test=draft.is_test,
            )
        )

    return made, await jobs.create(ctx, job, note)
