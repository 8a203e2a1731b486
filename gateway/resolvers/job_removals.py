"""The removals of a job whose run has succeeded: those of its `admin` and `restore` actions.

Those that ride on a backup are the backup's own, and known when it is registered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue.column_types import now
from gateway.catalogue.series_tables import Removal
from gateway.catalogue.tables import Action, Client, Job, JobAction, columns, source
from gateway.catalogue.vocabularies import JobResult, JobStatus
from gateway.chains import keeping, locking, places, policies
from gateway.chains.policies import DAY
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.query.selects import CALLER
from gateway.resolvers.writing import check_found

_JOBS, _STEPS, _ACTIONS = columns(Job), columns(JobAction), columns(Action)
_CLIENTS = columns(Client)
_NONE = frozenset({"cindernative", "glance"})
"""The media of which nothing has expired: of Cinder's own, the agent deletes the records itself; of
images, it looks for chains in the wrong folder."""
_RUNNING = frozenset({JobStatus.RUNNING, JobStatus.ABORTING})
_REPORTED = frozenset({"result", "status", "time_started", "time_ended"})
_ACTION = sa.and_(_ACTIONS.project_id == _STEPS.project_id, _ACTIONS.id == _STEPS.action_id)
_MAY_REMOVE = (
    sa.exists()
    .where(
        _STEPS.project_id == _JOBS.project_id,
        _STEPS.job_id == _JOBS.id,
        _ACTION,
        _ACTIONS.action.in_([sa.literal_column("'admin'"), sa.literal_column("'restore'")]),
        # Most restores remove nothing.
        sa.cast(_ACTIONS.freezer_action, sa.Text).like(sa.literal_column("""'%"remove_%'""")),
    )
    .correlate(source(Job))
    .label("may_remove")
)
_FOR_UPDATE = (
    sa.select(source(Job), _MAY_REMOVE)
    .where(_JOBS.project_id == CALLER, _JOBS.id == sa.bindparam("id"))
    .with_for_update(of=source(Job))
)
"""Locks a job, and tells by the way if one of its actions may remove anything."""
_OF_JOB = (
    sa.select(_STEPS.position, _ACTIONS.freezer_action)
    .select_from(source(JobAction).join(source(Action), _ACTION))
    .where(_STEPS.project_id == CALLER, _STEPS.job_id == sa.bindparam("job_id"))
    .order_by(_STEPS.position)
)
_HOSTNAME = (
    sa.select(_CLIENTS.hostname)
    .where(
        _CLIENTS.id == sa.bindparam("client_id"),
        sa.or_(_CLIENTS.project_id == CALLER, _CLIENTS.is_central),
    )
    .order_by(_CLIENTS.project_id != CALLER)
    .limit(1)
)
"""The host of the client of an id: the project's own, else a central one."""


def may_report(changes: Mapping[str, Any]) -> bool:
    """Return True if changes of a job may tell that its run has succeeded."""
    schedule = changes.get("schedule") or {}
    tells = not _REPORTED.isdisjoint(schedule)
    return tells and schedule.get("result", JobResult.SUCCESS) == JobResult.SUCCESS


async def get_for_update(
    ctx: Context, transaction: Transaction, job_id: str, expected_version: int | None
) -> tuple[Job, bool]:
    """Lock a job, and return it, and whether its actions may remove anything, in one statement.

    Raises NotFound, and StaleVersion if its version is not the expected one.
    """
    rows = await transaction.rows(_FOR_UPDATE, {"project_id": ctx.project_id, "id": job_id})
    found = [Job(**{name: getattr(row, name) for name in _JOBS.keys()}) for row in rows]  # noqa: SIM118 - columns
    job = check_found(Job, job_id, found, expected_version)
    return job, bool(rows[0].may_remove)


def succeeded(job: Job) -> int | None:
    """Return when the run began that a job reports as its last, if it has ended with success.

    A host whose clock is more than a day ahead tells nothing: all that it saves would be removed.
    """
    if job.result != JobResult.SUCCESS or job.status in _RUNNING:
        return None
    began, ended = job.time_started or 0, job.time_ended or 0
    return began if 0 < began <= ended <= now().timestamp() + DAY else None


async def apply(ctx: Context, transaction: Transaction, job: Job) -> None:
    """Make expired what the actions of a job have removed, whose run has succeeded.

    Raises the driver's errors.
    """
    rows = await transaction.rows(_OF_JOB, {"project_id": ctx.project_id, "job_id": job.id})
    actions = [(row.position, orjson.loads(row.freezer_action)) for row in rows]
    removing = [
        (position, action, policy)
        for position, action in actions
        if action.get("action") in {"admin", "restore"} and (policy := policies.of_removal(action))
    ]
    if not removing:
        return
    client_key = {"project_id": ctx.project_id, "client_id": job.client_id}
    hostname = await transaction.scalar(_HOSTNAME, client_key) or ""
    saving = [
        (position, places.of_action(action, hostname))
        for position, action in actions
        if action.get("action", "backup") == "backup"
    ]
    found: dict[tuple[str, int], Removal] = {}
    for position, action, policy in removing:
        for place in places.of_action(action, hostname):
            if place.media in _NONE or not (place.hostname or place.media == "cinder"):
                # Without a host, nobody knows whose backups these are.
                continue
            own = [at < position for at, saved in saving if place in saved]
            found[place.id, position] = Removal(
                project_id=ctx.project_id,
                series=place.id,
                ended_at=job.time_ended or 0,
                job_id=job.id,
                position=position,
                began_at=job.time_started or 0,
                policy=policy.dump(),
                own_came_first=own[0] if len(set(own)) == 1 else None,
            )
    await _remove(ctx, transaction, [found[key] for key in sorted(found)])


async def _remove(ctx: Context, transaction: Transaction, removals: Sequence[Removal]) -> None:
    """Note removals, which are in the order in which series are locked."""
    for removal in removals:
        series = await locking.lock_series(transaction, ctx.project_id, removal.series)
        if series is not None:
            await keeping.remove(transaction, series, removal, is_sqlite=ctx.db.is_sqlite)
