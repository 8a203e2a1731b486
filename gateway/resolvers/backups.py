"""Backups: their registration by agents, their changes and their deletion."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.catalogue import checks, json_values, projections
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.tables import Backup, columns, default_of, new_row
from gateway.catalogue.vocabularies import BackupStatus
from gateway.chains import batches, keeping, locking
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.query import filters
from gateway.query.filters import Where
from gateway.resolvers import rules, writing
from gateway.resolvers.collection import collection
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Backup)
COLLECTION = collection(Backup, rules.BACKUPS, COLUMNS.backup_name, COLUMNS.sort_time, COLUMNS.id)

OF_JOB = (COLUMNS.project_id, COLUMNS.job_id)
OF_CLIENT = (COLUMNS.project_id, COLUMNS.client_id)


@dataclass
class BackupDraft:
    """A backup to register, with the agent's metadata.

    `job_id`, `client_id` and `backup_uuid` hold for keys that the metadata doesn't have.
    """

    metadata: dict[str, Any]
    status: BackupStatus = default_of(Backup, "status")
    job_id: str | None = None
    client_id: str | None = None
    backup_uuid: str | None = None


async def create(ctx: Context, draft: BackupDraft) -> Backup:
    """Register a backup under a new id, and return its row.

    Agents report the job but not the client: without one, the backup gets the job's. The policy of
    the job's action is recorded with it, so that later edits don't change its chain. Raises
    BadInput for metadata without a required key, or with a value of a wrong type.
    """
    ctx.authorize("backups:create")
    checks.mapping("metadata", draft.metadata)
    values = {
        "project_id": ctx.project_id,
        "user_id": ctx.identity.user_id,
        "user_name": ctx.identity.user_name,
        "backup_metadata": json_values.dump(draft.metadata, what="the metadata"),
        "job_id": draft.job_id or None,
        "client_id": draft.client_id or None,
        "backup_uuid": draft.backup_uuid or None,
    }
    row = new_row(Backup, values | projections.backup(draft.metadata, draft.status))
    check_lengths(row)
    client_id = row.client_id

    async def write(transaction: Transaction) -> Backup:
        row.client_id = client_id
        await keeping.register(transaction, row, draft.metadata, is_sqlite=ctx.db.is_sqlite)
        return row

    return await writing.transact(ctx, write)


async def update(
    ctx: Context,
    backup_id: str,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Backup:
    """Change a backup, and return its row: `status` replaces, `metadata` is a merge patch.

    Those of `ids` (`job_id`, `client_id`, `backup_uuid`) that are not the backup's go into the
    metadata.
    Raises NotFound, StaleVersion, and BadInput as `create` does.
    """
    ctx.authorize("backups:update")

    async def write(transaction: Transaction) -> Backup:
        series = await locking.lock(transaction, ctx.project_id, backup_id)
        row = await get_for_update(ctx, transaction, Backup, backup_id, expected_version)
        metadata = orjson.loads(row.backup_metadata)
        ids = {k: v for k, v in changes.get("ids", {}).items() if v != getattr(row, k)}
        if ids or "metadata" in changes:
            patch = ids | checks.mapping("metadata", changes.get("metadata", {}))
            metadata = json_values.merge_patch(metadata, patch)
        values = projections.backup(metadata, changes.get("status", row.status))
        values["backup_metadata"] = json_values.dump(metadata, what="the metadata")
        known = await batches.known_policy(transaction, row, values, is_sqlite=ctx.db.is_sqlite)
        change = keeping.change(row, metadata, values, known)
        await update_row(transaction, row, **values | change.columns)
        await keeping.follow(transaction, series, row, change, is_sqlite=ctx.db.is_sqlite)
        return row

    return await writing.transact(ctx, write)


async def delete(
    ctx: Context,
    backup_id: str,
    *,
    expected_version: int | None = None,
    check: Callable[[Context, Transaction, str], Awaitable[None]] | None = None,
) -> None:
    """Delete the record of a backup, not its data.

    `check` is called with its id before, when nobody else can change its series. Raises NotFound,
    StaleVersion, and what `check` raises.
    """
    ctx.authorize("backups:delete")

    async def write(transaction: Transaction) -> None:
        series = await locking.lock(transaction, ctx.project_id, backup_id)
        row = await get_for_update(ctx, transaction, Backup, backup_id, expected_version)
        if check is not None:
            await check(ctx, transaction, backup_id)
        await keeping.forget(transaction, series, row, is_sqlite=ctx.db.is_sqlite)

    await writing.transact(ctx, write)


def search(text: str) -> Where:
    """Return the condition of a free text: an id, or part of a name, host or container."""
    return filters.search(Backup, text, "id", "job_id", "backup_uuid")
