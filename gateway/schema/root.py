"""The root of the GraphQL schema: what isn't about one kind of item, and the schema as a whole."""

from typing import Annotated, Any, Optional

import strawberry
from graphql import GraphQLSchema, Undefined
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from gateway.context import Context
from gateway.schema import actions, backups, clients, jobs, sessions
from gateway.schema.fields import Node, declare
from gateway.schema.scalars import SCALARS
from gateway.schema.views import ByGlobalIdField, ComputedField

Id = Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description="Global ids.")]


@strawberry.type(description="Who is asking.")
class Viewer:
    """The caller's identity."""

    project: strawberry.ID = strawberry.field(description="The id of the project they work on.")
    user: strawberry.ID = strawberry.field(description="Their id.")
    user_name: str = strawberry.field(description="Their name.")
    roles: list[str] = strawberry.field(description="Their roles in the project.")
    permissions: list[str] = strawberry.field(
        description="What they may do in the project, as rules of the policy: `jobs:create`…"
    )


def viewer(ctx: Context) -> Viewer:
    """Return the caller."""
    identity = ctx.identity
    return Viewer(
        project=strawberry.ID(ctx.project_id),
        user=strawberry.ID(identity.user_id),
        user_name=identity.user_name,
        roles=sorted(identity.roles),
        permissions=ctx.policy.permissions(identity, ctx.project_id),
    )


@strawberry.type
class Root:
    """What isn't about one kind of item."""

    viewer = declare(ComputedField(viewer), Viewer, "Who is asking.")
    node = declare(
        ByGlobalIdField(many=False),
        Optional[Node],
        "The item of a global id; null if you can't see one.",
        {"id": Id},
    )
    nodes = declare(
        ByGlobalIdField(many=True),
        list[Optional[Node]],
        "The items of global ids, in their order; null where none is.",
        {"ids": Ids},
    )


class Schema(strawberry.Schema):
    """The schema: its types, and what introspection says of them; operations are planned."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What may be left out is nullable; a default of null besides would only be noise.
        for type_ in self._schema.type_map.values():
            for field in getattr(type_, "fields", {}).values():
                for given in (field, *getattr(field, "args", {}).values()):
                    if getattr(given, "default_value", Undefined) is None:
                        given.default_value = Undefined

    @property
    def core(self) -> GraphQLSchema:
        """The schema as graphql-core has it."""
        return self._schema


def create_schema() -> Schema:
    """Return the schema."""
    entities = (backups, jobs, actions, clients, sessions)
    return Schema(
        query=strawberry.type(
            merge_types("Query", (Root, *(entity.Query for entity in entities))),
            description="What the catalogue can be asked.",
        ),
        mutation=strawberry.type(
            merge_types("Mutation", tuple(entity.Mutation for entity in entities)),
            description="What the catalogue can be told.",
        ),
        types=(backups.Backup, jobs.Job, actions.Action, clients.Client, sessions.Session),
        config=StrawberryConfig(scalar_map=SCALARS),
    )
