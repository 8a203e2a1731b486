"""The settings of a project in GraphQL."""

import strawberry

from gateway.context import Context
from gateway.resolvers import project_settings
from gateway.schema.fields import answered, mutation


@strawberry.type(description="The settings that the current project has made for itself.")
class ProjectSettings:
    """The settings of a project."""

    time_zone: str | None = strawberry.field(
        description="The time zone of hosts whose clients have none set, such as `Europe/Berlin`; "
        "null if it isn't known: then the gateway's own setting counts."
    )


@strawberry.input(description="The time zone of a project's hosts.")
class SetProjectTimeZoneInput:
    """A time zone."""

    time_zone: str | None = strawberry.field(
        default=None,
        description="The name of the time zone, such as `Europe/Berlin`; null for one that isn't "
        "known.",
    )


@strawberry.type(description="The settings of the project after the mutation.")
class ProjectSettingsPayload:
    """The settings."""

    project_settings: ProjectSettings = strawberry.field(description="The settings.")


@strawberry.type
class Query:
    """The root field for a project's settings."""

    @answered("The settings that the current project has made for itself.")
    @staticmethod
    async def project_settings(ctx: Context) -> ProjectSettings:
        """Return the settings."""
        return ProjectSettings(time_zone=await project_settings.time_zone(ctx))


@strawberry.type
class Mutation:
    """The mutations of a project's settings."""

    @mutation(
        "Set the time zone of the project's hosts, for jobs whose client has none set; their next "
        "runs are worked out anew. Needs `clients:create`; no scheduler hears of it."
    )
    @staticmethod
    async def set_project_time_zone(
        ctx: Context, input: SetProjectTimeZoneInput
    ) -> ProjectSettingsPayload | None:
        """Set a project's time zone."""
        kept = await project_settings.set_time_zone(ctx, input.time_zone)
        return ProjectSettingsPayload(project_settings=ProjectSettings(time_zone=kept))
