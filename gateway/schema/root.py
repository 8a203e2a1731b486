"""The GraphQL schema: its root, and how errors are shown."""

import asyncio
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError, Undefined
from strawberry.extensions import MaxTokensLimiter, ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types import ExecutionContext

from gateway.context import Context
from gateway.schema import actions, backups, clients, errors, jobs, sessions
from gateway.schema.execution.limits import Limits
from gateway.schema.nodes import Info, Node
from gateway.schema.scalars import SCALARS
from gateway.schema.views import SPEC, ByGlobalId, Told, fetch, lies_across, parse_id
from gateway.settings import Settings

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


def introduced(ctx: Context) -> Viewer:
    """The caller."""
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

    @strawberry.field(description="Who is asking.", metadata={SPEC: Told(introduced)})
    def viewer(self, info: Info) -> Viewer:
        """Introduce the caller."""
        return introduced(info.context)

    @strawberry.field(
        description="The item of a global id; null if you can't see one.",
        metadata={SPEC: ByGlobalId(many=False)},
    )
    async def node(self, info: Info, id: Id) -> Node | None:
        """Look one up."""
        view, key = parse_id(id, "id")
        across = lies_across(info.context, view, key[0])
        found: Any = await fetch(info, view, key, across=across)
        return found  # type: ignore[no-any-return]  # a row in place of a view

    @strawberry.field(
        description="The items of global ids, in their order; null where none is.",
        metadata={SPEC: ByGlobalId(many=True)},
    )
    async def nodes(self, info: Info, ids: Ids) -> list[Node | None]:
        """Look many up, those of a type together."""
        found = [parse_id(text, "ids") for text in ids]
        rows: Any = await asyncio.gather(
            *(
                fetch(info, view, key, across=lies_across(info.context, view, key[0]))
                for view, key in found
            )
        )
        return rows  # type: ignore[no-any-return]  # rows in place of views


class Schema(strawberry.Schema):
    """The schema, with the gateway's limits and its way to show errors."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What may be left out is nullable; a default of null besides would only be noise.
        for type_ in self._schema.type_map.values():
            for field in getattr(type_, "fields", {}).values():
                for given in (field, *getattr(field, "args", {}).values()):
                    if getattr(given, "default_value", Undefined) is None:
                        given.default_value = Undefined

    def process_errors(
        self,
        errors_: list[GraphQLError],
        execution_context: ExecutionContext | None = None,  # noqa: ARG002 - Strawberry's
    ) -> None:
        """Show each error, rather than log it: most are the caller's."""
        for error in errors_:
            errors.show(error)


def create_schema(settings: Settings) -> Schema:
    """Make the schema, guarded by the limits of the settings."""
    entities = (backups, jobs, actions, clients, sessions)
    described = strawberry.type
    return Schema(
        query=described(
            merge_types("Query", (Root, *(entity.Query for entity in entities))),
            description="What the catalogue can be asked.",
        ),
        mutation=described(
            merge_types("Mutation", tuple(e.Mutation for e in entities if hasattr(e, "Mutation"))),
            description="What the catalogue can be told.",
        ),
        types=(backups.Backup, jobs.Job, actions.Action, clients.Client, sessions.Session),
        extensions=[
            lambda: MaxTokensLimiter(settings.graphql_max_tokens),
            lambda: Limits(settings),
            lambda: ParserCache(maxsize=256),
            lambda: ValidationCache(maxsize=256),
        ],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
