"""The root of the GraphQL schema: the fields of no single entity, and the whole schema."""

from typing import Annotated, Any, Optional

import strawberry
from graphql import GraphQLSchema, Undefined
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.tools import merge_types

from gateway.context import Context
from gateway.schema import (
    actions,
    backups,
    clients,
    health_settings,
    jobs,
    overview,
    project_settings,
    restores,
    retentions,
    runs,
    series,
    sessions,
    statistics,
    subscriptions,
)
from gateway.schema.fields import Node, declare
from gateway.schema.scalars import SCALARS
from gateway.schema.views import ByGlobalIdField, ComputedField

Id = Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description="Global ids.")]


@strawberry.type(description="The caller.")
class Viewer:
    """The caller's identity."""

    project: strawberry.ID = strawberry.field(description="The id of the current project.")
    user: strawberry.ID = strawberry.field(description="The id of the user.")
    user_name: str = strawberry.field(description="The name of the user.")
    roles: list[str] = strawberry.field(description="The user's roles in the project.")
    permissions: list[str] = strawberry.field(
        description="The rules of the policy that the user passes in the project: `jobs:create`…"
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
    """The root fields of no single entity."""

    viewer = declare(ComputedField(viewer), Viewer, "The caller.", untracked=True)
    node = declare(
        ByGlobalIdField(many=False),
        Optional[Node],
        "The item with this global id; null if there is none, or it is not visible.",
        {"id": Id},
    )
    nodes = declare(
        ByGlobalIdField(many=True),
        list[Optional[Node]],
        "The items with these global ids, in the same order; null for those not visible.",
        {"ids": Ids},
    )


class Schema(strawberry.Schema):
    """The schema's types, for introspection; operations are executed by their plans."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Nullable arguments may be left out anyway: a default of null would only be noise.
        for type_ in self._schema.type_map.values():
            for field in getattr(type_, "fields", {}).values():
                for given in (field, *getattr(field, "args", {}).values()):
                    if getattr(given, "default_value", Undefined) is None:
                        given.default_value = Undefined

    @property
    def core(self) -> GraphQLSchema:
        """The schema as graphql-core has it."""
        return self._schema


class Names(NameConverter):
    """The names in GraphQL, converted once: Strawberry asks for them with each input it makes."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, str] = {}

    def apply_naming_config(self, name: str) -> str:
        """Return the name in GraphQL of something that has this one in Python."""
        if (known := self._known.get(name)) is None:
            known = self._known[name] = super().apply_naming_config(name)
        return known


def create_schema() -> Schema:
    """Return the schema."""
    entities = (backups, jobs, actions, clients, sessions)
    queries = (
        *(*entities, runs, series, restores, retentions, overview, statistics),
        project_settings,
    )
    mutations = (*entities, restores, retentions, health_settings, project_settings)
    query = strawberry.type(
        merge_types("Query", (Root, *(entity.Query for entity in queries))),
        description="Reading the catalogue.",
    )
    return Schema(
        query=query,
        mutation=strawberry.type(
            merge_types("Mutation", tuple(entity.Mutation for entity in mutations)),
            description="Changing the catalogue.",
        ),
        subscription=subscriptions.subscription(query),
        types=(
            *(backups.Backup, jobs.Job, actions.Action, clients.Client, sessions.Session),
            *(runs.Run, series.Series, series.Chain),
        ),
        config=StrawberryConfig(scalar_map=SCALARS, name_converter=Names()),
    )
