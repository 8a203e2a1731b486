"""Backups in GraphQL."""

from datetime import datetime

import strawberry
from strawberry import Maybe

from gateway.context import Context, ItemKey
from gateway.resolvers import backups, clients, jobs
from gateway.resolvers.backups import COLLECTION, COLUMNS, BackupDraft
from gateway.schema.connections import connection
from gateway.schema.enums import BackupStatus
from gateway.schema.fields import (
    Node,
    by_rest_id,
    column,
    mutation,
    node,
    to_one,
    written,
)
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.mutations import (
    DeleteInput,
    DeletePayload,
    given,
    input_of,
    key_of,
    target,
)
from gateway.schema.scalars import JSON, BigInt


@node(COLLECTION, key="backup_id", description="What an agent wrote, once.")
class Backup(Node):
    """A view over a backup's row."""

    backup_id: strawberry.ID = column(COLUMNS.id, "The id that REST clients know.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The project it belongs to.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "Who registered it.")
    user_name: str | None = column(COLUMNS.user_name, "The name of who registered it.")
    status: BackupStatus | None = column(COLUMNS.status, "What has become of its data.", sort=True)
    backup_name: str = column(COLUMNS.backup_name, "The name that its series shares.", sort=True)
    hostname: str | None = column(COLUMNS.hostname, "The host that was backed up.", sort=True)
    container: str | None = column(
        COLUMNS.container, "The container or folder it is in.", sort=True
    )
    action: str | None = column(COLUMNS.action, "What the agent did: `backup`.")
    mode: str | None = column(
        COLUMNS.mode, "What was backed up: `fs`, `mysql`, `mongo`, `cinder`, `nova`…", sort=True
    )
    storage: str | None = column(
        COLUMNS.storage, "Where it went: `swift`, `local`, `s3`, `ssh`…", sort=True
    )
    engine: str | None = column(COLUMNS.engine, "What wrote it: `tar`, `rsync`…")
    level: int | None = column(
        COLUMNS.level, "0 for a full backup, then the place in the incremental chain.", sort=True
    )
    max_level: int | None = column(COLUMNS.max_level, "The level after which a full one follows.")
    time_stamp: datetime | None = column(
        COLUMNS.time_stamp, "When it was made, by the agent's clock.", sort=COLUMNS.sort_time
    )
    compressed_size: BigInt | None = column(
        COLUMNS.compressed_size, "Its size as stored, in bytes.", sort=True
    )
    uncompressed_size: BigInt | None = column(
        COLUMNS.uncompressed_size, "The size of what was backed up, in bytes.", sort=True
    )
    backup_uuid: strawberry.ID | None = column(COLUMNS.backup_uuid, "The agent's own id of it.")
    job_id: strawberry.ID | None = column(COLUMNS.job_id, "The id of the job that made it.")
    client_id: strawberry.ID | None = column(COLUMNS.client_id, "The id of the client it is of.")
    metadata: JSON = column(COLUMNS.backup_metadata, "The agent's metadata, whole and as sent.")
    version: int = column(COLUMNS.version, "Counts the changes since it was registered.")
    created_at: datetime = column(COLUMNS.created_at, "When it was registered.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "When it was last changed.", sort=True)

    job = to_one("jobs.Job", jobs.COLLECTION, "job_id", "The job that made it, if it still exists.")
    client = to_one(
        "clients.Client",
        clients.COLLECTION,
        "client_id",
        "The client it is of, if it is still registered.",
    )


BackupWhere = where_input(Backup, metadata="Conditions on the metadata; all must hold.")
BackupOrder = order_input(Backup)

input_of(
    BackupDraft,
    "RegisterBackupInput",
    "A backup to register.",
    metadata="What is known of it: `backup_name`, `container` and `hostname` at least.",
    status="What has become of its data; a backup that is `CREATING` needs only a name.",
    job_id="The id of the job that made it, where the metadata doesn't say.",
    client_id="The id of the client it is of, where the metadata doesn't say.",
    backup_uuid="The agent's own id of it, where the metadata doesn't say.",
)


@strawberry.input(description="What to change of a backup; what isn't given stays as it is.")
class UpdateBackupInput:
    """A patch."""

    id: strawberry.ID = strawberry.field(description="The backup's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="Change nothing if the backup has another version."
    )
    status: Maybe[BackupStatus] = strawberry.field(description="What has become of its data.")
    metadata: Maybe[JSON] = strawberry.field(
        description="A merge patch of the metadata (RFC 7396): null removes a key."
    )


@strawberry.type(description="The backup as it is now.")
class BackupPayload:
    """What a mutation wrote."""

    key: strawberry.Private[ItemKey]
    backup = written("backups.Backup", "The backup.")


@strawberry.type
class Query:
    """What can be asked."""

    backups = connection(
        "backups.Backup",
        COLLECTION,
        backups.search,
        "Backups, by name and time unless ordered otherwise.",
    )
    backup = by_rest_id("backups.Backup", COLLECTION, "backupId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @mutation("Register a backup that an agent wrote.")
    @staticmethod
    async def register_backup(ctx: Context, input: BackupDraft) -> BackupPayload | None:
        """Register."""
        return BackupPayload(key=key_of(await backups.create(ctx, input)))

    @mutation("Change what is given of a backup.")
    @staticmethod
    async def update_backup(ctx: Context, input: UpdateBackupInput) -> BackupPayload | None:
        """Patch."""
        row = await backups.update(
            ctx,
            target(ctx, input.id, "Backup"),
            given(input, "status", "metadata"),
            expected_version=input.expected_version,
        )
        return BackupPayload(key=key_of(row))

    @mutation("Forget a backup; its data is the agent's affair.")
    @staticmethod
    async def delete_backup(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete."""
        await backups.delete(ctx, target(ctx, input.id, "Backup"))
        return DeletePayload(deleted_id=input.id)
