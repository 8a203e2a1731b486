"""Mutes, recovery objectives and expected hosts in GraphQL."""

from datetime import datetime
from typing import Any, Optional

import strawberry

from gateway.context import Context, ItemKey
from gateway.errors import BadInput, NotFound
from gateway.resolvers import health_settings
from gateway.resolvers.health_settings import MAX_AGE, MAX_HOSTS
from gateway.schema.fields import declare, mutation, reference
from gateway.schema.global_ids import decode
from gateway.schema.views import WrittenField

_MUTABLE = ("Job", "Client", "Series", "Session")
_WITH_OBJECTIVE = ("Client", "Series")


@strawberry.input(description="A bad health that is known.")
class MuteHealthInput:
    """An item, and why its health is known."""

    id: strawberry.ID = strawberry.field(
        description="The global id of a job, a client, a series or a session."
    )
    reason: str = strawberry.field(description="The reason, such as the number of a ticket.")
    until: datetime | None = strawberry.field(
        default=None, description="The time at which the mute ends by itself; never if absent."
    )


@strawberry.input(description="An item whose health is not to be muted any more.")
class UnmuteHealthInput:
    """An item."""

    id: strawberry.ID = strawberry.field(
        description="The global id of a job, a client, a series or a session."
    )


@strawberry.input(description="The age that a newest restore point may have.")
class SetRecoveryObjectiveInput:
    """An item, and an age."""

    id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The global id of a client or a series; absent for the whole project, whose "
        "objective holds for all clients and series without one of their own.",
    )
    max_age: int | None = strawberry.field(
        default=None,
        description=f"The seconds, from 1 to {MAX_AGE}; absent or null for no objective.",
    )


@strawberry.input(description="The hosts that should be backed up.")
class SetExpectedHostsInput:
    """The names of hosts."""

    hostnames: list[str] = strawberry.field(
        description="All names, in place of those before; they are compared exactly with those of "
        f"clients and backups. At most {MAX_HOSTS}."
    )


def _item(view: str) -> Any:
    name = view.lower()
    return declare(
        WrittenField(view, f"{name}_key"),
        Optional[reference(f"{'series' if view == 'Series' else f'{name}s'}.{view}")],
        f"The {name}, if the mutation was about one.",
    )


@strawberry.type(description="The item after the mutation, under the name of its type.")
class HealthPayload:
    """The key of the item, in one of these."""

    job_key: strawberry.Private[ItemKey | None] = None
    client_key: strawberry.Private[ItemKey | None] = None
    series_key: strawberry.Private[ItemKey | None] = None
    session_key: strawberry.Private[ItemKey | None] = None
    job = _item("Job")
    client = _item("Client")
    series = _item("Series")
    session = _item("Session")


@strawberry.type(description="The recovery objective after the mutation.")
class RecoveryObjectivePayload:
    """The key of the item, in one of these, or the project."""

    max_age: int | None = strawberry.field(description="The seconds; null for no objective.")
    client_key: strawberry.Private[ItemKey | None] = None
    series_key: strawberry.Private[ItemKey | None] = None
    client = _item("Client")
    series = _item("Series")


@strawberry.type(description="The list of hosts after the mutation.")
class ExpectedHostsPayload:
    """The number of hosts."""

    count: int = strawberry.field(description="The number of hosts that should be backed up.")


def _target(ctx: Context, text: str, *views: str) -> tuple[str, str]:
    """Return the type and the id of an item. Raises BadInput and NotFound."""
    view, (project_id, item_id) = decode(text, "id")
    if view.name not in views:
        raise BadInput(f"'id': a {view.name.lower()} can't be meant here", field="id")
    if project_id != ctx.project_id:
        raise NotFound(f"no {view.name.lower()} with the id '{text}' in this project", field="id")
    return view.name, item_id


def _key(ctx: Context, name: str, item_id: str) -> dict[str, Any]:
    return {f"{name.lower()}_key": (ctx.project_id, item_id)}


@strawberry.type
class Mutation:
    """The mutations of what a project says of its health."""

    @mutation(
        "Say that the bad health of an item is known: its state stays, but `overview` and sessions "
        "don't count it. A mute that is there already is replaced."
    )
    @staticmethod
    async def mute_health(ctx: Context, input: MuteHealthInput) -> HealthPayload | None:
        """Mute an item."""
        name, item_id = _target(ctx, input.id, *_MUTABLE)
        await health_settings.mute(ctx, name, item_id, input.reason, input.until)
        return HealthPayload(**_key(ctx, name, item_id))

    @mutation("End the mute of an item's health.")
    @staticmethod
    async def unmute_health(ctx: Context, input: UnmuteHealthInput) -> HealthPayload | None:
        """Unmute an item."""
        name, item_id = _target(ctx, input.id, *_MUTABLE)
        await health_settings.unmute(ctx, name, item_id)
        return HealthPayload(**_key(ctx, name, item_id))

    @mutation("Set how old the newest restore point may be: of a client, of a series, or of all.")
    @staticmethod
    async def set_recovery_objective(
        ctx: Context, input: SetRecoveryObjectiveInput
    ) -> RecoveryObjectivePayload | None:
        """Set an objective."""
        if input.id is None:
            await health_settings.set_objective(ctx, None, input.max_age)
            return RecoveryObjectivePayload(max_age=input.max_age)
        name, item_id = _target(ctx, input.id, *_WITH_OBJECTIVE)
        await health_settings.set_objective(ctx, (name, item_id), input.max_age)
        return RecoveryObjectivePayload(max_age=input.max_age, **_key(ctx, name, item_id))

    @mutation("Set the list of hosts that should be backed up: `coverage` tells which aren't.")
    @staticmethod
    async def set_expected_hosts(
        ctx: Context, input: SetExpectedHostsInput
    ) -> ExpectedHostsPayload | None:
        """Set the hosts."""
        count = await health_settings.set_hosts(ctx, input.hostnames)
        return ExpectedHostsPayload(count=count)
