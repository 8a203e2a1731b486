"""Backups in GraphQL."""

from datetime import datetime
from typing import Annotated, cast

import strawberry
from strawberry import Maybe

from gateway.catalogue.tables import Backup as Table
from gateway.catalogue.tables import default_of
from gateway.context import Context, ItemKey
from gateway.resolvers import backups, clients, impact, jobs, runs, series
from gateway.resolvers.backups import COLLECTION, COLUMNS, BackupDraft
from gateway.schema.connections import connection
from gateway.schema.enums import (
    BackupStatus,
    LevelSource,
    Restorability,
    RestorabilityReason,
)
from gateway.schema.fields import (
    Node,
    answered,
    by_rest_id,
    column,
    mutation,
    node,
    to_one,
    written,
)
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.global_ids import decode, in_other_project
from gateway.schema.mutations import (
    DeleteInput,
    DeletePayload,
    DeletionImpact,
    draft_of,
    given,
    key_of,
    target,
)
from gateway.schema.scalars import JSON, BigInt


@node(
    COLLECTION,
    key="backup_id",
    description="One backup, as the agent reported it.",
    in_series=COLUMNS.series,
    made_by_run=runs.ID_OF_BACKUP,
)
class Backup(Node):
    """A view over a backup's row."""

    backup_id: strawberry.ID = column(COLUMNS.id, "The backup's id in REST.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The id of its project.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "The id of the user who registered it.")
    user_name: str | None = column(COLUMNS.user_name, "The name of the user who registered it.")
    status: BackupStatus | None = column(
        COLUMNS.status, "The state of the backup's data.", sort=True
    )
    backup_name: str = column(COLUMNS.backup_name, "The name that its series shares.", sort=True)
    hostname: str | None = column(COLUMNS.hostname, "The host that was backed up.", sort=True)
    container: str | None = column(
        COLUMNS.container, "The container or folder that holds the data.", sort=True
    )
    action: str | None = column(COLUMNS.action, "The agent's operation: `backup`.")
    mode: str | None = column(
        COLUMNS.mode, "The kind of data: `fs`, `mysql`, `mongo`, `cinder`, `nova`…", sort=True
    )
    storage: str | None = column(
        COLUMNS.storage, "The storage of the data: `swift`, `local`, `s3`, `ssh`…", sort=True
    )
    engine: str | None = column(COLUMNS.engine, "The backup engine: `tar`, `rsync`…")
    level: int | None = column(
        COLUMNS.level, "0 for a full backup, then the place in the incremental chain.", sort=True
    )
    max_level: int | None = column(
        COLUMNS.max_level, "The level after which the next backup is a full one."
    )
    time_stamp: datetime | None = column(
        COLUMNS.time_stamp,
        "The time at which it was made, by the agent's clock.",
        sort=COLUMNS.calendar_time,
        compared=COLUMNS.calendar_time,
    )
    compressed_size: BigInt | None = column(
        COLUMNS.compressed_size, "The size of the stored data, in bytes.", sort=True
    )
    uncompressed_size: BigInt | None = column(
        COLUMNS.uncompressed_size, "The size of the original data, in bytes.", sort=True
    )
    backup_uuid: strawberry.ID | None = column(COLUMNS.backup_uuid, "The agent's own id for it.")
    job_id: strawberry.ID | None = column(COLUMNS.job_id, "The id of the job that made it.")
    client_id: strawberry.ID | None = column(
        COLUMNS.client_id, "The id of the client that was backed up."
    )
    metadata: JSON = column(COLUMNS.backup_metadata, "The agent's whole metadata, as sent.")
    version: int = column(COLUMNS.version, "The number of changes since it was registered.")
    created_at: datetime = column(COLUMNS.created_at, "The time of its registration.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "The time of its last change.", sort=True)

    restorability: Restorability = column(
        COLUMNS.restorability, "The verdict on its restore, by the agent's own rules.", sort=True
    )
    restorability_reason: RestorabilityReason = column(
        COLUMNS.restorability_reason, "The reason of the verdict.", sort=True
    )
    chain_level: int | None = column(
        COLUMNS.chain_level,
        "Its level in its chain, from 0, as the agent chose it; null if that isn't known. Agents "
        "of release 19 report 0 as every backup's `level`.",
        sort=True,
    )
    level_source: LevelSource | None = column(
        COLUMNS.level_source, "The source of `chainLevel`: the agent's report, or its rule."
    )

    series_id: strawberry.ID | None = column(
        COLUMNS.series, "The id of its series; null if it has not been worked out yet.", sort=True
    )

    chain = to_one(
        "series.Chain",
        series.CHAIN_OF,
        "backup_id",
        "The full backup that it needs, with all others that do; null if that isn't known.",
    )
    requires = connection(
        "backups.Backup",
        series.REQUIRED,
        backups.search,
        "The backups that its restore reads before it, in this order.",
        owner=series.OF_OTHER,
        key="backup_id",
    )
    dependents = connection(
        "backups.Backup",
        series.DEPENDENT,
        backups.search,
        "The backups that can't be restored without it.",
        owner=series.OF_OTHER,
        key="backup_id",
    )
    job = to_one(
        "jobs.Job", jobs.COLLECTION, "job_id", "The job that made it; null if it was deleted."
    )
    client = to_one(
        "clients.Client",
        clients.COLLECTION,
        "client_id",
        "The client that was backed up; null if it is no longer registered.",
    )
    run = to_one(
        "runs.Run",
        runs.COLLECTION,
        "made_by_run",
        "The run that made it: the one of its job in whose time it was made; null if none is "
        "known, or its job isn't.",
    )
    series = to_one(
        "series.Series",
        series.COLLECTION,
        "in_series",
        "The backups that it stands among: one restore chooses from them. Null if it has not been "
        "worked out yet.",
    )


BackupWhere = where_input(Backup, metadata="Conditions on the metadata; all must hold.")
BackupOrder = order_input(Backup)


@strawberry.input(description="A backup to register.")
class RegisterBackupInput:
    """The fields of a BackupDraft."""

    metadata: JSON = strawberry.field(
        description="The agent's metadata; `backup_name`, `container` and `hostname` are required."
    )
    status: BackupStatus = strawberry.field(
        default=default_of(Table, "status"),
        description="The state of its data. A backup that is `CREATING` needs only a name.",
    )
    job_id: str | None = strawberry.field(
        default=None, description="The id of the job that made it, if the metadata has none."
    )
    client_id: str | None = strawberry.field(
        default=None,
        description="The id of the client that was backed up, if the metadata has none.",
    )
    backup_uuid: str | None = strawberry.field(
        default=None, description="The agent's own id for it, if the metadata has none."
    )


@strawberry.input(description="Changes to a backup; fields that are absent stay as they are.")
class UpdateBackupInput:
    """A patch of a backup."""

    id: strawberry.ID = strawberry.field(description="The backup's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="The version that the backup must have, else CONFLICT."
    )
    status: Maybe[BackupStatus | None] = strawberry.field(description="The state of its data.")
    metadata: Maybe[JSON | None] = strawberry.field(
        description="A merge patch of the metadata (RFC 7396): null removes a key."
    )


@strawberry.type(description="The backup after the mutation.")
class BackupPayload:
    """The key of the backup that was written."""

    key: strawberry.Private[ItemKey]
    backup = written("backups.Backup", "The backup.")


BackupIds = Annotated[
    list[strawberry.ID],
    strawberry.argument(description=f"Global ids of backups, at most {impact.MAX_IDS}."),
]
DryRun = Annotated[
    bool,
    strawberry.argument(description="Delete nothing, and only show the `impact` of it."),
]
Guard = Annotated[
    bool,
    strawberry.argument(
        description="Refuse, with CONFLICT, a deletion that another restore point needs."
    ),
]


@strawberry.type
class Query:
    """The root fields for backups."""

    backups = connection("backups.Backup", COLLECTION, backups.search, "Backups, by name and time.")
    backup = by_rest_id("backups.Backup", COLLECTION, "backupId")

    @answered("The cost of a deletion of these backups; unknown ones cost nothing.")
    @staticmethod
    async def deletion_impact(ctx: Context, ids: BackupIds) -> DeletionImpact | None:
        """Return what a deletion costs."""
        found = [decode(one, "ids", "Backup") for one in ids]
        own = [key for _, key in found if key[0] == ctx.project_id]
        others = [key for view, key in found if in_other_project(ctx, view, key[0])]
        return cast("DeletionImpact", await impact.of_deletion(ctx, own, others))


@strawberry.type
class Mutation:
    """The mutations of backups."""

    @mutation("Register a backup that an agent made.")
    @staticmethod
    async def register_backup(ctx: Context, input: RegisterBackupInput) -> BackupPayload | None:
        """Register a backup."""
        row = await backups.create(ctx, draft_of(BackupDraft, input))
        return BackupPayload(key=key_of(row))

    @mutation("Change a backup.")
    @staticmethod
    async def update_backup(ctx: Context, input: UpdateBackupInput) -> BackupPayload | None:
        """Patch a backup."""
        row = await backups.update(
            ctx,
            target(ctx, input.id, "Backup"),
            given(input, "status", "metadata"),
            expected_version=input.expected_version,
        )
        return BackupPayload(key=key_of(row))

    @mutation("Delete a backup from the catalogue; its data stays in its storage.")
    @staticmethod
    async def delete_backup(
        ctx: Context,
        input: DeleteInput,
        dry_run: DryRun = False,  # noqa: FBT002 - an argument of the schema
        guard: Guard = False,  # noqa: FBT002 - as above
    ) -> DeletePayload | None:
        """Delete a backup, or tell what that would cost."""
        backup_id = target(ctx, input.id, "Backup")
        cost = await impact.of_deletion(ctx, [(ctx.project_id, backup_id)]) if dry_run else None
        if not dry_run:
            check = impact.check if guard else None
            await backups.delete(ctx, backup_id, check=check)
        return DeletePayload(deleted_id=input.id, impact=cast("DeletionImpact | None", cost))
