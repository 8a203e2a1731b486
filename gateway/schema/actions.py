"""Actions in GraphQL."""

from datetime import datetime

import strawberry
from strawberry import Maybe

from gateway.context import ItemKey
from gateway.resolvers import actions, job_actions, jobs
from gateway.resolvers.actions import COLLECTION, COLUMNS, ActionDraft
from gateway.schema.connections import connection
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
from gateway.schema.nodes import Info, Node, by_rest_id, leaf, node
from gateway.schema.scalars import JSON


@node(COLLECTION, key="action_id", description="One thing for an agent to do.")
class Action(Node):
    """A view over an action's row."""

    action_id: strawberry.ID = leaf(COLUMNS.id, "The id that REST clients know.")
    project_id: strawberry.ID = leaf(COLUMNS.project_id, "The project it belongs to.")
    user_id: strawberry.ID = leaf(COLUMNS.user_id, "Who created it.")
    action: str | None = leaf(
        COLUMNS.action, "What is done: `backup`, `restore`, `admin`, `info`, `exec`.", sort=True
    )
    mode: str | None = leaf(
        COLUMNS.mode, "What it is done to: `fs`, `mysql`, `mongo`, `cinder`, `nova`…", sort=True
    )
    storage: str | None = leaf(COLUMNS.storage, "Where backups go: `swift`, `local`…", sort=True)
    engine: str | None = leaf(COLUMNS.engine, "What writes them: `tar`, `rsync`…")
    backup_name: str | None = leaf(COLUMNS.backup_name, "The name of the backups.", sort=True)
    container: str | None = leaf(COLUMNS.container, "The container or folder of the backups.")
    path_to_backup: str | None = leaf(COLUMNS.path_to_backup, "The path that is backed up.")
    max_retries: int | None = leaf(COLUMNS.max_retries, "How often it is tried.")
    max_retries_interval: int | None = leaf(
        COLUMNS.max_retries_interval, "The pause between two tries, in seconds."
    )
    mandatory: bool = leaf(COLUMNS.mandatory, "Whether the job stops when it fails.")
    timeout: int | None = leaf(COLUMNS.timeout, "How long it may take, in seconds.")
    priority: int | None = leaf(COLUMNS.priority, "The priority of the agent's process.")
    freezer_action: JSON = leaf(COLUMNS.freezer_action, "The definition, whole and as sent.")
    version: int = leaf(COLUMNS.version, "Counts the changes since it was created.")
    created_at: datetime = leaf(COLUMNS.created_at, "When it was created.", sort=True)
    updated_at: datetime = leaf(COLUMNS.updated_at, "When it was last changed.", sort=True)

    jobs = connection(
        "Job",
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
    action = written("Action", "The action.")


@strawberry.type
class Query:
    """What can be asked."""

    actions = connection("Action", COLLECTION, actions.search, "Actions, by id.")
    action = by_rest_id("Action", COLLECTION, "actionId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @strawberry.mutation(description="Create an action that jobs may run.")
    async def create_action(self, info: Info, input: ActionDraft) -> ActionPayload | None:
        """Create."""
        return ActionPayload(key=key_of(await actions.create(info.context, input)))

    @strawberry.mutation(
        description="Change what is given of an action, in every job that runs it."
    )
    async def update_action(self, info: Info, input: UpdateActionInput) -> ActionPayload | None:
        """Patch."""
        row = await actions.update(
            info.context,
            target(info.context, input.id, "Action"),
            given(input, "freezer_action", "max_retries", "max_retries_interval", "mandatory"),
            expected_version=input.expected_version,
        )
        return ActionPayload(key=key_of(row))

    @strawberry.mutation(description="Delete an action, and take it out of the jobs that run it.")
    async def delete_action(self, info: Info, input: DeleteInput) -> DeletePayload | None:
        """Delete."""
        await actions.delete(info.context, target(info.context, input.id, "Action"))
        return DeletePayload(deleted_id=input.id)
