"""Clients in GraphQL."""

from datetime import datetime

import strawberry

from gateway.context import Context, ItemKey
from gateway.resolvers import backups, clients, jobs
from gateway.resolvers.clients import COLLECTION, COLUMNS, ClientDraft
from gateway.schema.connections import connection
from gateway.schema.fields import (
    Node,
    by_rest_id,
    column,
    mutation,
    node,
    written,
)
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.mutations import DeleteInput, DeletePayload, input_of, key_of, target
from gateway.schema.scalars import JSON


@node(COLLECTION, key="client_id", description="A host that runs a scheduler and its agent.")
class Client(Node):
    """A view over a client's row."""

    client_id: strawberry.ID = column(COLUMNS.id, "The id that REST clients know.", sort=True)
    project_id: strawberry.ID = column(COLUMNS.project_id, "The project that registered it.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "Who registered it.")
    uuid: strawberry.ID = column(COLUMNS.uuid, "An id of the registration.")
    hostname: str | None = column(COLUMNS.hostname, "The host's name.", sort=True)
    description: str | None = column(COLUMNS.description, "What it is for.", sort=True)
    is_central: bool = column(COLUMNS.is_central, "Whether it serves every project.")
    supported_actions: JSON = column(COLUMNS.supported_actions, "The actions that it can do.")
    supported_modes: JSON = column(COLUMNS.supported_modes, "The modes that it can do them in.")
    supported_storages: JSON = column(COLUMNS.supported_storages, "The storages that it can use.")
    supported_engines: JSON = column(COLUMNS.supported_engines, "The engines that it has.")
    version: int = column(COLUMNS.version, "Counts the changes since it was registered.")
    created_at: datetime = column(COLUMNS.created_at, "When it was registered.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "When it was last changed.", sort=True)

    jobs = connection(
        "jobs.Job", jobs.COLLECTION, jobs.search, "Its jobs.", owner=jobs.OF_CLIENT, key="client_id"
    )
    backups = connection(
        "backups.Backup",
        backups.COLLECTION,
        backups.search,
        "The backups made of it.",
        owner=backups.OF_CLIENT,
        key="client_id",
    )


ClientWhere = where_input(Client)
ClientOrder = order_input(Client)

input_of(
    ClientDraft,
    "RegisterClientInput",
    "A host to register, or what has changed of one.",
    client_id="Its id: a host name, after a prefix and `_` where it has one.",
    is_central="Whether it serves every project; for those who may.",
    hostname="The host's name; it stays as it was first registered.",
    description="What it is for.",
    uuid="An id of the registration; a fresh one without it.",
    supported_actions="The actions that it can do; all without it.",
    supported_modes="The modes that it can do them in; all without it.",
    supported_storages="The storages that it can use; all without it.",
    supported_engines="The engines that it has; all without it.",
)


@strawberry.type(description="The client as it is now.")
class ClientPayload:
    """What a mutation wrote."""

    key: strawberry.Private[ItemKey]
    client = written("clients.Client", "The client.")


@strawberry.type
class Query:
    """What can be asked."""

    clients = connection(
        "clients.Client", COLLECTION, clients.search, "Clients, the central ones included, by id."
    )
    client = by_rest_id("clients.Client", COLLECTION, "clientId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @mutation("Register a client; again, to change its description and what it can do.")
    @staticmethod
    async def register_client(ctx: Context, input: ClientDraft) -> ClientPayload | None:
        """Register."""
        return ClientPayload(key=key_of(await clients.create(ctx, input)))

    @mutation("Forget a client; its jobs and backups stay.")
    @staticmethod
    async def delete_client(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete."""
        await clients.delete(ctx, target(ctx, input.id, "Client"))
        return DeletePayload(deleted_id=input.id)
