"""Restores: the plan for a series and a moment, and the job that carries it out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.catalogue.column_types import now
from gateway.catalogue.series_tables import Restore
from gateway.catalogue.tables import NO_TIME, Job
from gateway.chains import restoring
from gateway.chains.restoring import Member, Reading
from gateway.chains.states import SORTED, Media
from gateway.chains.vocabularies import Restorability, RestorabilityReason, RestoreWarning
from gateway.context import Context, ItemKey
from gateway.db.transactions import Transaction
from gateway.errors import NotFound, Unprocessable
from gateway.query.filters import All, Condition, Where
from gateway.query.paging import PageRequest
from gateway.resolvers import backups, job_actions, jobs, past, series
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.collection import Columns
from gateway.resolvers.jobs import JobDraft
from gateway.resolvers.past import Judged, Past

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
_PAST_COLUMNS = (*past.COLUMNS, _OWN.compressed_size)
_SERIES = tuple(series.COLUMNS)
_VOLUME = "cinderbrick_vol_id"


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


async def plan(  # noqa: PLR0913 - all that a restore is made of
    ctx: Context,
    series_id: str,
    at: datetime | None = None,
    *,
    as_of: datetime | None = None,
    path: str | None = None,
    overwrite: bool = False,
) -> Plan | None:
    """Return the plan for a series and a moment, by default now; None for an unknown series.

    With `as_of`, it is the plan that was to be made then. It costs a few statements, whatever the
    series. Raises what reading raises.
    """
    moment = at or as_of or now()
    seconds = int(moment.timestamp())
    found = await series.COLLECTION.as_item.rows_by_key(ctx, [(ctx.project_id, series_id)], _SERIES)
    if not found:
        return None
    (own,) = found.values()
    then = None if as_of is None else await past.of_series(ctx, series_id, _seconds(as_of))
    wanted = await _wanted(ctx, series_id, seconds, then)
    if wanted is None:
        nothing = Restorability.BROKEN, RestorabilityReason.MISSING_LEVEL
        return Plan(moment, [], None, *nothing, [], None, None, None, series_id=series_id)
    reading = await _reading(ctx, own, wanted, seconds, then)
    last = reading.steps[-1] if reading.steps else None
    if last is None:
        words = [word.value for word in reading.warnings]
        verdict = reading.restorability.value, reading.reason.value
        return Plan(moment, [], None, *verdict, words, None, None, None, series_id=series_id)
    date = await _date(ctx, series_id, last, then)
    details = await _details(ctx, reading.steps, date, path=path, overwrite=overwrite)
    verdict = reading.restorability, reading.reason
    if details.is_mixed:
        verdict = Restorability.BROKEN, RestorabilityReason.VOLUMES_MIXED
    return Plan(
        at=moment,
        steps=[(ctx.project_id, one.id) for one in reading.steps],
        key=(ctx.project_id, last.id),
        restorability=verdict[0].value,
        restorability_reason=verdict[1].value,
        warnings=[word.value for word in reading.warnings],
        bytes=details.size,
        restore_from_date=datetime.fromtimestamp(date, UTC),
        freezer_action=orjson.Fragment(orjson.dumps(details.action)),
        document=details.action,
        backup_id=last.id,
        series_id=series_id,
    )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


async def _wanted(ctx: Context, series_id: str, seconds: int, then: Past | None) -> Any:
    """Return the newest backup of a series until a moment of which there are data, or None."""
    until = Condition(_OWN.calendar_time, "lte", seconds)
    if then is None:
        found = await _first(ctx, series.RESTORE_POINTS, series_id, until)
    else:
        where = All((until, then.counted, then.held))
        found = await _first(ctx, series.NEWEST_FIRST, series_id, where, _PAST_COLUMNS)
    return found[0] if found else None


async def _first(  # noqa: PLR0913 - as those of a collection
    ctx: Context,
    collection: Any,
    series_id: str,
    where: Where,
    select: Columns = _COLUMNS,
    *,
    oldest: bool = False,
) -> Sequence[Any]:
    """Return the newest, or oldest, backup of a series for which a condition holds, in a list."""
    order = collection.sorted_by()
    order = tuple(sort.reversed() for sort in order) if oldest else order
    both = All((Condition(_OWN.series, "eq", series_id), where))
    page = await collection.find(ctx, PageRequest(order, first=1), both, select)
    return list(page.rows[:1])


async def _reading(ctx: Context, own: Any, wanted: Any, seconds: int, then: Past | None) -> Reading:
    """Return what the agent reads where the newest backup of that time is this one."""
    storage = own.storage or ""
    media = Media(own.media, storage in SORTED, storage == "local", own.is_told)
    alone = own.media in {"cinder", "cindernative"} or wanted.chain_level is None
    if alone:
        (judged,) = _judged([wanted], media, then)
        member = _member(judged, level=0)
        verdict = judged.restorability, judged.reason
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
    collection = series.RESTORE_POINTS if then is None else series.NEWEST_FIRST
    request = PageRequest(collection.sorted_by(), first=MAX_MEMBERS)
    select = _COLUMNS if then is None else _PAST_COLUMNS
    rows = (await collection.find(ctx, request, where, select)).rows
    members = [_member(judged) for judged in _judged(rows, media, then)]
    return restoring.read(members, seconds, media, storage)


def _judged(rows: Sequence[Any], media: Media, then: Past | None) -> Iterable[Judged]:
    """Return the backups of a chain, with the verdicts of today or of then."""
    if then is not None:
        return then.judged(rows, media)
    return [
        Judged(row, Restorability(row.restorability), RestorabilityReason(row.restorability_reason))
        for row in rows
    ]


def _member(judged: Judged, level: int | None = None) -> Member:
    row = judged.row
    return Member(
        row.id,
        row.calendar_time,
        row.chain_level if level is None else level,
        judged.restorability,
        judged.reason,
        row.compressed_size is not None,
    )


async def _date(ctx: Context, series_id: str, last: Member, then: Past | None) -> int:
    """Return a time by which the agent chooses a backup: before the next one, if there is one."""
    after: Where = Condition(_OWN.calendar_time, "gt", last.time)
    if then is not None:
        later = All((after, then.counted))
        for row in await _first(ctx, series.NEWEST_FIRST, series_id, later, oldest=True):
            return max(last.time, int(row.calendar_time) - 1)
        return max(last.time, then.moment)
    for row in await _first(ctx, series.RESTORE_POINTS, series_id, after, oldest=True):
        return max(last.time, int(row.calendar_time) - 1)
    return max(last.time, int(now().timestamp()))


@dataclass(frozen=True, slots=True)
class _Details:
    """The action that restores a backup, and what is told of all that it reads."""

    action: dict[str, Any]
    size: int | None
    is_mixed: bool
    """True if it reads backups of several volumes."""


async def _details(
    ctx: Context, steps: Sequence[Member], date: int, *, path: str | None, overwrite: bool
) -> _Details:
    """Return the details of a restore that reads these backups, the last one last."""
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
    volumes = {orjson.loads(one.backup_metadata).get(_VOLUME) or "" for one in rows.values()}
    return _Details(made, sum(sizes) if sizes else None, len(volumes) > 1)


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
    restored, or, unless the draft accepts that, for one of which it isn't known; for a client that
    isn't registered, or doesn't support what the restore needs; and for none.
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
    actions = [ActionDraft(action)]
    client_id = client_id or await jobs.only_client(ctx)
    if client_id is None:
        raise Unprocessable("no client is told to restore it: give 'clientId'", field="client_id")
    hostname = await job_actions.check_drafts(ctx, client_id, actions)
    if action.get("storage") == "local" and hostname not in {None, action.get("hostname")}:
        made = replace(made, warnings=[*made.warnings, RestoreWarning.STORAGE_ELSEWHERE.value])
    job = JobDraft(actions, description=name, client_id=client_id, schedule={"event": "start"})
    return made, job


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
