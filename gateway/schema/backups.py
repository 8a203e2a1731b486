"""Backups in GraphQL."""

from datetime import datetime

import strawberry
from strawberry import Maybe

from gateway.context import ItemKey
from gateway.resolvers import backups, clients, jobs
from gateway.resolvers.backups import COLLECTION, COLUMNS, BackupDraft
from gateway.schema.connections import connection
from gateway.schema.enums import BackupStatus
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.mutations import (
    DeleteInput,
    DeletePayload,
    given,
    input_of,
    key_of,
    target,
    written,
)
from gateway.schema.nodes import Info, Node, by_rest_id, leaf, node, one
from gateway.schema.scalars import JSON, BigInt


@node(COLLECTION, key="backup_id", description="What an agent wrote, once.")
class Backup(Node):
    """A view over a backup's row."""

    backup_id: strawberry.ID = leaf(COLUMNS.id, "The id that REST clients know.")
    project_id: strawberry.ID = leaf(COLUMNS.project_id, "The project it belongs to.")
    user_id: strawberry.ID = leaf(COLUMNS.user_id, "Who registered it.")
    user_name: str | None = leaf(COLUMNS.user_name, "The name of who registered it.")
    status: BackupStatus | None = leaf(COLUMNS.status, "What has become of its data.", sort=True)
    backup_name: str = leaf(COLUMNS.backup_name, "The name that its series shares.", sort=True)
    hostname: str | None = leaf(COLUMNS.hostname, "The host that was backed up.", sort=True)
    container: str | None = leaf(COLUMNS.container, "The container or folder it is in.", sort=True)
    action: str | None = leaf(COLUMNS.action, "What the agent did: `backup`.")
    mode: str | None = leaf(
        COLUMNS.mode, "What was backed up: `fs`, `mysql`, `mongo`, `cinder`, `nova`…", sort=True
    )
    storage: str | None = leaf(
        COLUMNS.storage, "Where it went: `swift`, `local`, `s3`, `ssh`…", sort=True
    )
    engine: str | None = leaf(COLUMNS.engine, "What wrote it: `tar`, `rsync`…")
    level: int | None = leaf(
        COLUMNS.level, "0 for a full backup, then the place in the incremental chain.", sort=True
    )
    max_level: int | None = leaf(COLUMNS.max_level, "The level after which a full one follows.")
    time_stamp: datetime | None = leaf(
        COLUMNS.time_stamp, "When it was made, by the agent's clock.", sort=COLUMNS.sort_time
    )
    compressed_size: BigInt | None = leaf(
        COLUMNS.compressed_size, "Its size as stored, in bytes.", sort=True
    )
    uncompressed_size: BigInt | None = leaf(
        COLUMNS.uncompressed_size, "The size of what was backed up, in bytes.", sort=True
    )
    backup_uuid: strawberry.ID | None = leaf(COLUMNS.backup_uuid, "The agent's own id of it.")
    job_id: strawberry.ID | None = leaf(COLUMNS.job_id, "The id of the job that made it.")
    client_id: strawberry.ID | None = leaf(COLUMNS.client_id, "The id of the client it is of.")
    metadata: JSON = leaf(COLUMNS.backup_metadata, "The agent's metadata, whole and as sent.")
    version: int = leaf(COLUMNS.version, "Counts the changes since it was registered.")
    created_at: datetime = leaf(COLUMNS.created_at, "When it was registered.", sort=True)
    updated_at: datetime = leaf(COLUMNS.updated_at, "When it was last changed.", sort=True)

    job = one("Job", jobs.COLLECTION, "job_id", "The job that made it, if it still exists.")
    client = one(
        "Client", clients.COLLECTION, "client_id", "The client it is of, if it is still registered."
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
    backup = written("Backup", "The backup.")


@strawberry.type
class Query:
    """What can be asked."""

    backups = connection(
        "Backup", COLLECTION, backups.search, "Backups, by name and time unless ordered otherwise."
    )
    backup = by_rest_id("Backup", COLLECTION, "backupId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @strawberry.mutation(description="Register a backup that an agent wrote.")
    async def register_backup(self, info: Info, input: BackupDraft) -> BackupPayload | None:
        """Register."""
        return BackupPayload(key=key_of(await backups.create(info.context, input)))

    @strawberry.mutation(description="Change what is given of a backup.")
    async def update_backup(self, info: Info, input: UpdateBackupInput) -> BackupPayload | None:
        """Patch."""
        row = await backups.update(
            info.context,
            target(info.context, input.id, "Backup"),
            given(input, "status", "metadata"),
            expected_version=input.expected_version,
        )
        return BackupPayload(key=key_of(row))

    @strawberry.mutation(description="Forget a backup; its data is the agent's affair.")
    async def delete_backup(self, info: Info, input: DeleteInput) -> DeletePayload | None:
        """Delete."""
        await backups.delete(info.context, target(info.context, input.id, "Backup"))
        return DeletePayload(deleted_id=input.id)
