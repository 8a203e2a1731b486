"""Actions in GraphQL."""

from datetime import datetime

import strawberry
from strawberry import Maybe

from gateway.context import Context, ItemKey
from gateway.resolvers import actions, job_actions, jobs
from gateway.resolvers.actions import COLLECTION, COLUMNS, ActionDraft
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
from gateway.schema.mutations import (
    DeleteInput,
    DeletePayload,
    given,
    input_of,
    key_of,
    target,
)
from gateway.schema.scalars import JSON


@node(COLLECTION, key="action_id", description="One thing for an agent to do.")
class Action(Node):
    """A view over an action's row."""

    action_id: strawberry.ID = column(COLUMNS.id, "The id that REST clients know.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The project it belongs to.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "Who created it.")
    action: str | None = column(
        COLUMNS.action, "What is done: `backup`, `restore`, `admin`, `info`, `exec`.", sort=True
    )
    mode: str | None = column(
        COLUMNS.mode, "What it is done to: `fs`, `mysql`, `mongo`, `cinder`, `nova`…", sort=True
    )
    storage: str | None = column(COLUMNS.storage, "Where backups go: `swift`, `local`…", sort=True)
    engine: str | None = column(COLUMNS.engine, "What writes them: `tar`, `rsync`…")
    backup_name: str | None = column(COLUMNS.backup_name, "The name of the backups.", sort=True)
    container: str | None = column(COLUMNS.container, "The container or folder of the backups.")
    path_to_backup: str | None = column(COLUMNS.path_to_backup, "The path that is backed up.")
    max_retries: int | None = column(COLUMNS.max_retries, "How often it is tried.")
    max_retries_interval: int | None = column(
        COLUMNS.max_retries_interval, "The pause between two tries, in seconds."
    )
    mandatory: bool = column(COLUMNS.mandatory, "Whether the job stops when it fails.")
    timeout: int | None = column(COLUMNS.timeout, "How long it may take, in seconds.")
    priority: int | None = column(COLUMNS.priority, "The priority of the agent's process.")
    freezer_action: JSON = column(COLUMNS.freezer_action, "The definition, whole and as sent.")
    version: int = column(COLUMNS.version, "Counts the changes since it was created.")
    created_at: datetime = column(COLUMNS.created_at, "When it was created.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "When it was last changed.", sort=True)

    jobs = connection(
        "jobs.Job",
        job_actions.USES,
        jobs.search,
        "The jobs that run it.",
        owner=job_actions.OF_ACTION,
        key="action_id",
    )


ActionWhere = where_input(Action, freezer_action="Conditions on the definition; all must hold.")
ActionOrder = order_input(Action)

input_of(
    ActionDraft,
    "ActionInput",
    "An action to create; in a job also, with nothing but its id, one that exists.",
    freezer_action="The definition, with the agent's options as keys; needed for a new action.",
    action_id="The id that REST clients know; a fresh one without it.",
    max_retries="How often it is tried; 5 times without it.",
    max_retries_interval="The pause between two tries, in seconds; 6 without it.",
    mandatory="Whether the job stops when it fails; no without it.",
)


@strawberry.input(description="What to change of an action; what isn't given stays as it is.")
class UpdateActionInput:
    """A patch."""

    id: strawberry.ID = strawberry.field(description="The action's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="Change nothing if the action has another version."
    )
    freezer_action: Maybe[JSON] = strawberry.field(
        description="A merge patch of the definition (RFC 7396): null removes a key."
    )
    max_retries: Maybe[int] = strawberry.field(description="How often it is tried.")
    max_retries_interval: Maybe[int] = strawberry.field(
        description="The pause between two tries, in seconds."
    )
    mandatory: Maybe[bool] = strawberry.field(description="Whether the job stops when it fails.")


@strawberry.type(description="The action as it is now.")
class ActionPayload:
    """What a mutation wrote."""

    key: strawberry.Private[ItemKey]
    action = written("actions.Action", "The action.")


@strawberry.type
class Query:
    """What can be asked."""

    actions = connection("actions.Action", COLLECTION, actions.search, "Actions, by id.")
    action = by_rest_id("actions.Action", COLLECTION, "actionId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @mutation("Create an action that jobs may run.")
    @staticmethod
    async def create_action(ctx: Context, input: ActionDraft) -> ActionPayload | None:
        """Create."""
        return ActionPayload(key=key_of(await actions.create(ctx, input)))

    @mutation("Change what is given of an action, in every job that runs it.")
    @staticmethod
    async def update_action(ctx: Context, input: UpdateActionInput) -> ActionPayload | None:
        """Patch."""
        row = await actions.update(
            ctx,
            target(ctx, input.id, "Action"),
            given(input, "freezer_action", "max_retries", "max_retries_interval", "mandatory"),
            expected_version=input.expected_version,
        )
        return ActionPayload(key=key_of(row))

    @mutation("Delete an action, and take it out of the jobs that run it.")
    @staticmethod
    async def delete_action(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete."""
        await actions.delete(ctx, target(ctx, input.id, "Action"))
        return DeletePayload(deleted_id=input.id)
