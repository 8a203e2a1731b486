"""Clients in GraphQL."""

from datetime import datetime
from typing import Annotated, Optional

import strawberry

from gateway.catalogue.tables import Client as Table
from gateway.catalogue.tables import default_of
from gateway.context import Context, ItemKey
from gateway.resolvers import backups, clients, jobs, protection, runs
from gateway.resolvers.clients import COLLECTION, COLUMNS, ClientDraft
from gateway.schema import health
from gateway.schema.connections import connection
from gateway.schema.fields import Node, batch, by_rest_id, column, mutation, node, written
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.mutations import DeleteInput, DeletePayload, draft_of, key_of, target
from gateway.schema.scalars import JSON

AS_OF = strawberry.argument(description="The moment that it is about; now if absent.")


@node(
    COLLECTION,
    key="client_id",
    description="A host that runs a scheduler and its agent.",
    served_project=clients.SERVED_PROJECT,
    heard_of=clients.HEARD_OF,
    **health.orders("Client"),
)
class Client(Node):
    """A view over a client's row."""

    client_id: strawberry.ID = column(COLUMNS.id, "The client's id in REST.", sort=True)
    project_id: strawberry.ID = column(
        COLUMNS.project_id, "The id of the project that registered it."
    )
    user_id: strawberry.ID = column(COLUMNS.user_id, "The id of the user who registered it.")
    uuid: strawberry.ID = column(COLUMNS.uuid, "The id of its registration.")
    hostname: str | None = column(COLUMNS.hostname, "The host's name.", sort=True)
    description: str | None = column(COLUMNS.description, "The client's description.", sort=True)
    is_central: bool = column(COLUMNS.is_central, "True if it serves every project.")
    supported_actions: JSON = column(COLUMNS.supported_actions, "The actions that it supports.")
    supported_modes: JSON = column(COLUMNS.supported_modes, "The modes that it supports.")
    supported_storages: JSON = column(COLUMNS.supported_storages, "The storages that it supports.")
    supported_engines: JSON = column(COLUMNS.supported_engines, "The engines that it supports.")
    time_zone: str | None = column(
        COLUMNS.time_zone,
        "The host's time zone, such as `Europe/Berlin`, as `setClientTimeZone` set it; null if it "
        "isn't known.",
        sort=True,
    )
    last_seen_at: datetime | None = column(
        clients.LAST_SEEN,
        "The time at which its scheduler has last asked for its jobs; null if it never has since "
        "the gateway takes note.",
        sort=clients.LAST_SEEN,
        compared=clients.LAST_SEEN,
    )
    is_silent = batch(
        clients.silence,
        "heard_of",
        bool,
        "True if its scheduler hasn't asked for its jobs for longer than the gateway's setting "
        "allows, nor has it been registered since. Conditions and orders are about the "
        "list's own `asOf`.",
        {"as_of": (Annotated[Optional[datetime], AS_OF], None)},
        by=clients.IS_SILENT,
        clock=("as_of",),
    )
    health = health.health("Client", "client_id")
    newest_restore_point_at: datetime | None = column(
        protection.NEWEST_OF_CLIENT,
        "The time of the newest backup of it that can be restored; null for none.",
        sort=protection.NEWEST_OF_CLIENT,
        compared=protection.NEWEST_OF_CLIENT,
    )
    recovery_objective: int | None = column(
        protection.OBJECTIVE_OF_CLIENT,
        "The seconds that its newest restore point may be old: its own objective, else the "
        "project's; null if there is none.",
    )
    has_restorable_backup: bool = column(
        protection.HAS_RESTORABLE_BACKUP,
        "True if there is a backup of it that can be restored, or once could.",
    )
    version: int = column(COLUMNS.version, "The number of changes since it was registered.")
    created_at: datetime = column(COLUMNS.created_at, "The time of its registration.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "The time of its last change.", sort=True)

    jobs = connection(
        "jobs.Job",
        jobs.COLLECTION,
        jobs.search,
        "The jobs that it runs; of a central client, those of the current project.",
        owner=jobs.OF_CLIENT,
        key="client_id",
        as_of=True,
        key_project="served_project",
    )
    backups = connection(
        "backups.Backup",
        backups.COLLECTION,
        backups.search,
        "The backups made of it; of a central client, those of the current project.",
        owner=backups.OF_CLIENT,
        key="client_id",
        key_project="served_project",
    )
    runs = connection(
        "runs.Run",
        runs.COLLECTION,
        runs.search,
        "The runs that it had, the newest first; of a central client, those of the current "
        "project.",
        owner=runs.OF_CLIENT,
        key="client_id",
        key_project="served_project",
    )


ClientWhere = where_input(Client, own={"health": health.FILTER})
ClientOrder = order_input(Client)


@strawberry.input(description="A host to register, or changes to a registered one.")
class RegisterClientInput:
    """The fields of a ClientDraft."""

    client_id: str = strawberry.field(
        description="The client's id: a host name, after a prefix and `_` if it has one."
    )
    is_central: bool = strawberry.field(
        default=default_of(Table, "is_central"),
        description="True if it serves every project; needs `clients:create_central`.",
    )
    hostname: str | None = strawberry.field(
        default=None, description="The host's name; only the first registration sets it."
    )
    description: str | None = strawberry.field(
        default=None, description="The client's description."
    )
    uuid: str | None = strawberry.field(
        default=None, description="The id of the registration; generated if absent."
    )
    supported_actions: list[str] | None = strawberry.field(
        default=None, description="The actions that it supports; all if absent."
    )
    supported_modes: list[str] | None = strawberry.field(
        default=None, description="The modes that it supports; all if absent."
    )
    supported_storages: list[str] | None = strawberry.field(
        default=None, description="The storages that it supports; all if absent."
    )
    supported_engines: list[str] | None = strawberry.field(
        default=None, description="The engines that it supports; all if absent."
    )


@strawberry.input(description="The time zone of a client's host.")
class SetClientTimeZoneInput:
    """A client, and its time zone."""

    id: strawberry.ID = strawberry.field(description="The client's global id.")
    time_zone: str | None = strawberry.field(
        default=None,
        description="The name of the time zone, such as `Europe/Berlin`; null for one that isn't "
        "known.",
    )
    expected_version: int | None = strawberry.field(
        default=None, description="The version that the client must have, else CONFLICT."
    )


@strawberry.type(description="The client after the mutation.")
class ClientPayload:
    """The key of the client that was written."""

    key: strawberry.Private[ItemKey]
    client = written("clients.Client", "The client.")


@strawberry.type
class Query:
    """The root fields for clients."""

    clients = connection(
        "clients.Client",
        COLLECTION,
        clients.search,
        "Clients, central ones included, by id.",
        as_of=True,
    )
    client = by_rest_id("clients.Client", COLLECTION, "clientId")


@strawberry.type
class Mutation:
    """The mutations of clients."""

    @mutation("Register a client, or change a registered one's description and capabilities.")
    @staticmethod
    async def register_client(ctx: Context, input: RegisterClientInput) -> ClientPayload | None:
        """Register a client."""
        row = await clients.create(ctx, draft_of(ClientDraft, input))
        return ClientPayload(key=key_of(row))

    @mutation(
        "Set the time zone of a client's host, by which its jobs' next runs are worked out anew. "
        "Needs `clients:create`; the scheduler doesn't hear of it."
    )
    @staticmethod
    async def set_client_time_zone(
        ctx: Context, input: SetClientTimeZoneInput
    ) -> ClientPayload | None:
        """Set a client's time zone."""
        row = await clients.set_time_zone(
            ctx,
            target(ctx, input.id, "Client"),
            input.time_zone,
            expected_version=input.expected_version,
        )
        return ClientPayload(key=key_of(row))

    @mutation("Delete a client from the catalogue; its jobs and backups stay.")
    @staticmethod
    async def delete_client(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete a client."""
        await clients.delete(ctx, target(ctx, input.id, "Client"))
        return DeletePayload(deleted_id=input.id)
