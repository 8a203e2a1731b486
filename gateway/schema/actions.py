"""Actions in GraphQL."""

from datetime import datetime

import strawberry
from strawberry import Maybe

from gateway.catalogue.tables import Action as Table
from gateway.catalogue.tables import default_of
from gateway.context import Context, ItemKey
from gateway.resolvers import actions, job_actions, jobs
from gateway.resolvers.actions import COLLECTION, COLUMNS, ActionDraft
from gateway.schema.connections import connection
from gateway.schema.fields import Node, by_rest_id, column, mutation, node, written
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.mutations import (
    DeleteInput,
    DeletePayload,
    draft_of,
    given,
    key_of,
    target,
)
from gateway.schema.scalars import JSON

MAX_RETRIES, MAX_RETRIES_INTERVAL = (
    default_of(Table, name) for name in ("max_retries", "max_retries_interval")
)


@node(COLLECTION, key="action_id", description="One operation of the agent, such as a backup.")
class Action(Node):
    """A view over an action's row."""

    action_id: strawberry.ID = column(COLUMNS.id, "The action's id in REST.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The id of its project.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "The id of the user who created it.")
    action: str | None = column(
        COLUMNS.action, "The operation: `backup`, `restore`, `admin`, `info` or `exec`.", sort=True
    )
    mode: str | None = column(
        COLUMNS.mode, "The kind of data: `fs`, `mysql`, `mongo`, `cinder`, `nova`…", sort=True
    )
    storage: str | None = column(
        COLUMNS.storage, "The storage of the backups: `swift`, `local`…", sort=True
    )
    engine: str | None = column(COLUMNS.engine, "The backup engine: `tar`, `rsync`…")
    backup_name: str | None = column(COLUMNS.backup_name, "The name of the backups.", sort=True)
    container: str | None = column(COLUMNS.container, "The container or folder of the backups.")
    path_to_backup: str | None = column(COLUMNS.path_to_backup, "The path that is backed up.")
    max_retries: int | None = column(COLUMNS.max_retries, "The number of attempts.")
    max_retries_interval: int | None = column(
        COLUMNS.max_retries_interval, "The pause between two attempts, in seconds."
    )
    mandatory: bool = column(COLUMNS.mandatory, "True if the job stops when this action fails.")
    timeout: int | None = column(COLUMNS.timeout, "The time limit of an attempt, in seconds.")
    priority: int | None = column(COLUMNS.priority, "The priority of the agent's process.")
    freezer_action: JSON = column(
        COLUMNS.freezer_action, "The whole definition, as sent: the agent's options by name."
    )
    version: int = column(COLUMNS.version, "The number of changes since it was created.")
    created_at: datetime = column(COLUMNS.created_at, "The time of its creation.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "The time of its last change.", sort=True)

    jobs = connection(
        "jobs.Job",
        job_actions.USES,
        jobs.search,
        "The jobs that run it.",
        owner=job_actions.OF_ACTION,
        key="action_id",
        as_of=True,
    )


ActionWhere = where_input(
    Action, freezer_action="Conditions on the definition's document; all must hold."
)
ActionOrder = order_input(Action)


@strawberry.input(
    description="An action to create. In a job, an id alone refers to an action that exists."
)
class ActionInput:
    """The fields of an ActionDraft."""

    freezer_action: JSON | None = strawberry.field(
        default=None,
        description="The definition: the agent's options by name. Required for a new action.",
    )
    action_id: str | None = strawberry.field(
        default=None, description="The action's id in REST; generated if absent."
    )
    max_retries: int | None = strawberry.field(
        default=None, description=f"The number of attempts; {MAX_RETRIES} if absent."
    )
    max_retries_interval: int | None = strawberry.field(
        default=None,
        description="The pause between two attempts, in seconds; "
        f"{MAX_RETRIES_INTERVAL} if absent.",
    )
    mandatory: bool | None = strawberry.field(
        default=None,
        description="True to stop the job when this action fails; false if absent.",
    )

    def draft(self) -> ActionDraft:
        """Return the draft of the action."""
        return draft_of(ActionDraft, self)


@strawberry.input(description="Changes to an action; fields that are absent stay as they are.")
class UpdateActionInput:
    """A patch of an action."""

    id: strawberry.ID = strawberry.field(description="The action's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="The version that the action must have, else CONFLICT."
    )
    freezer_action: Maybe[JSON | None] = strawberry.field(
        description="A merge patch of the definition (RFC 7396): null removes a key."
    )
    max_retries: Maybe[int | None] = strawberry.field(description="The number of attempts.")
    max_retries_interval: Maybe[int | None] = strawberry.field(
        description="The pause between two attempts, in seconds."
    )
    mandatory: Maybe[bool | None] = strawberry.field(
        description="True to stop the job when this action fails."
    )


@strawberry.type(description="The action after the mutation.")
class ActionPayload:
    """The key of the action that was written."""

    key: strawberry.Private[ItemKey]
    action = written("actions.Action", "The action.")


@strawberry.type
class Query:
    """The root fields for actions."""

    actions = connection("actions.Action", COLLECTION, actions.search, "Actions, by id.")
    action = by_rest_id("actions.Action", COLLECTION, "actionId")


@strawberry.type
class Mutation:
    """The mutations of actions."""

    @mutation("Create an action that jobs may run.")
    @staticmethod
    async def create_action(ctx: Context, input: ActionInput) -> ActionPayload | None:
        """Create an action."""
        return ActionPayload(key=key_of(await actions.create(ctx, input.draft())))

    @mutation("Change an action, in every job that runs it.")
    @staticmethod
    async def update_action(ctx: Context, input: UpdateActionInput) -> ActionPayload | None:
        """Patch an action."""
        row = await actions.update(
            ctx,
            target(ctx, input.id, "Action"),
            given(input, "freezer_action", "max_retries", "max_retries_interval", "mandatory"),
            expected_version=input.expected_version,
        )
        return ActionPayload(key=key_of(row))

    @mutation("Delete an action, and remove it from the jobs that run it.")
    @staticmethod
    async def delete_action(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete an action."""
        await actions.delete(ctx, target(ctx, input.id, "Action"))
        return DeletePayload(deleted_id=input.id)
