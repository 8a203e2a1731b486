"""Clients in GraphQL."""

from datetime import datetime

import strawberry

from gateway.context import ItemKey
from gateway.resolvers import backups, clients, jobs
from gateway.resolvers.clients import COLLECTION, COLUMNS, ClientDraft
from gateway.schema.connections import connection
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.mutations import DeleteInput, DeletePayload, input_of, key_of, target, written
from gateway.schema.nodes import Info, Node, by_rest_id, leaf, node
from gateway.schema.scalars import JSON


@node(COLLECTION, key="client_id", description="A host that runs a scheduler and its agent.")
class Client(Node):
    """A view over a client's row."""

    client_id: strawberry.ID = leaf(COLUMNS.id, "The id that REST clients know.", sort=True)
    project_id: strawberry.ID = leaf(COLUMNS.project_id, "The project that registered it.")
    user_id: strawberry.ID = leaf(COLUMNS.user_id, "Who registered it.")
    uuid: strawberry.ID = leaf(COLUMNS.uuid, "An id of the registration.")
    hostname: str | None = leaf(COLUMNS.hostname, "The host's name.", sort=True)
    description: str | None = leaf(COLUMNS.description, "What it is for.", sort=True)
    is_central: bool = leaf(COLUMNS.is_central, "Whether it serves every project.")
    supported_actions: JSON = leaf(COLUMNS.supported_actions, "The actions that it can do.")
    supported_modes: JSON = leaf(COLUMNS.supported_modes, "The modes that it can do them in.")
    supported_storages: JSON = leaf(COLUMNS.supported_storages, "The storages that it can use.")
    supported_engines: JSON = leaf(COLUMNS.supported_engines, "The engines that it has.")
    version: int = leaf(COLUMNS.version, "Counts the changes since it was registered.")
    created_at: datetime = leaf(COLUMNS.created_at, "When it was registered.", sort=True)
    updated_at: datetime = leaf(COLUMNS.updated_at, "When it was last changed.", sort=True)

    jobs = connection(
        "Job", jobs.COLLECTION, jobs.search, "Its jobs.", owner=jobs.OF_CLIENT, key="client_id"
    )
    backups = connection(
        "Backup",
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
    client = written("Client", "The client.")


@strawberry.type
class Query:
    """What can be asked."""

    clients = connection(
        "Client", COLLECTION, clients.search, "Clients, the central ones included, by id."
    )
    client = by_rest_id("Client", COLLECTION, "clientId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @strawberry.mutation(
        description="Register a client; again, to change its description and what it can do."
    )
    async def register_client(self, info: Info, input: ClientDraft) -> ClientPayload | None:
        """Register."""
        return ClientPayload(key=key_of(await clients.create(info.context, input)))

    @strawberry.mutation(description="Forget a client; its jobs and backups stay.")
    async def delete_client(self, info: Info, input: DeleteInput) -> DeletePayload | None:
        """Delete."""
        await clients.delete(info.context, target(info.context, input.id, "Client"))
        return DeletePayload(deleted_id=input.id)
