"""Retentions in GraphQL: what they leave, and the end of what they have removed."""

from datetime import datetime
from typing import Annotated, Optional, cast

import strawberry

from gateway.context import Context, ItemKey
from gateway.resolvers import retentions
from gateway.resolvers.retentions import SHOWN, Setting
from gateway.schema.enums import RetentionWarning
from gateway.schema.fields import answered, declare, listed, mutation, reference
from gateway.schema.global_ids import decode, reader
from gateway.schema.mutations import target
from gateway.schema.views import WrittenField


@strawberry.type(
    description="The effect of a retention that runs at a moment, as the agent decides it: chains "
    "go whole, by the time of their full backups."
)
class RetentionPreview:
    """The attributes of a Retention."""

    at: datetime = strawberry.field(description="The moment.")
    cutoff: datetime | None = strawberry.field(
        description="The time up to which full backups go, with all that need them; null: none."
    )
    removed = listed("series.Chain", f"The chains that go, the newest first; at most {SHOWN}.")
    removed_count: int = strawberry.field(description="The number of chains that go.")
    kept = listed("series.Chain", f"The chains that stay, the newest first; at most {SHOWN}.")
    kept_count: int = strawberry.field(description="The number of chains that stay.")
    oldest = declare(
        WrittenField("Backup"),
        Optional[reference("backups.Backup")],
        "The oldest backup that stays; null if none does.",
    )
    next_level: int | None = strawberry.field(
        description="The level of a backup that is made after it; null if it depends on the order "
        "in which the storage lists backups, or on levels that aren't known."
    )
    warnings: list[RetentionWarning] = strawberry.field(description="Things to know of it.")


@strawberry.input(
    description="A retention, and a policy, that one thinks of; in place of what is absent stands "
    "that of the newest backup."
)
class RetentionInput:
    """The fields of a Setting."""

    remove_older_than: float | None = strawberry.field(
        default=None, description="The days after which full backups go."
    )
    remove_before_date: datetime | None = strawberry.field(
        default=None, description="The time up to which full backups go."
    )
    incremental: bool | None = strawberry.field(
        default=None, description="False for full backups only."
    )
    max_level: int | None = strawberry.field(
        default=None, description="The level after which the next backup is a full one; 0: none."
    )
    always_level: int | None = strawberry.field(
        default=None, description="The level that is made again and again; 0: none."
    )
    restart_always_level: float | None = strawberry.field(
        default=None, description="The days after which the next backup is a full one; 0: none."
    )


@strawberry.input(description="A series to tidy.")
class DeleteExpiredBackupsInput:
    """The series whose expired backups go."""

    series: strawberry.ID = strawberry.field(description="The series' global id.")


@strawberry.type(description="The expired backups of a series.")
class DeleteExpiredBackupsPayload:
    """The number of backups that were, or would be, deleted."""

    expired_keys: strawberry.Private[list[ItemKey]]
    count: int = strawberry.field(
        description="The number of backups that were deleted, or would be after a dry run."
    )
    expired = listed(
        "backups.Backup",
        f"After a dry run, the backups that would go; at most {SHOWN}.",
        keys="expired_keys",
    )


SeriesId = Annotated[strawberry.ID, strawberry.argument(description="The series' global id.")]
At = Annotated[
    datetime | None,
    strawberry.argument(
        description="The moment at which it runs, now if absent; of the past, as of then."
    ),
]
Given = Annotated[
    RetentionInput | None,
    strawberry.argument(description="The retention; that of the newest backup if absent."),
]
DryRun = Annotated[
    bool, strawberry.argument(description="Delete nothing, and only show what would go.")
]


@strawberry.type
class Query:
    """The root fields for retentions."""

    @answered(
        "The effect of a retention on a series; null if there is no such series.", clock=("at",)
    )
    @staticmethod
    async def retention(
        ctx: Context, series: SeriesId, at: At = None, setting: Given = None
    ) -> RetentionPreview | None:
        """Return what a retention leaves."""
        view, (project_id, series_id) = decode(series, "series", "Series")
        its = reader(ctx, view, project_id)
        if its is None:
            return None
        wanted = Setting() if setting is None else Setting(**vars(setting))
        return cast("RetentionPreview | None", await retentions.preview(its, series_id, at, wanted))


@strawberry.type
class Mutation:
    """The mutations of retentions."""

    @mutation(
        "Delete the backups of a series from the catalogue whose data a retention has removed."
    )
    @staticmethod
    async def delete_expired_backups(
        ctx: Context,
        input: DeleteExpiredBackupsInput,
        dry_run: DryRun = False,  # noqa: FBT002 - an argument of the schema
    ) -> DeleteExpiredBackupsPayload | None:
        """Delete what has expired, or show it."""
        series_id = target(ctx, input.series, "Series", "series")
        if dry_run:
            shown, count = await retentions.expired(ctx, series_id)
            return DeleteExpiredBackupsPayload(expired_keys=shown, count=count)
        count = await retentions.delete_expired(ctx, series_id)
        return DeleteExpiredBackupsPayload(expired_keys=[], count=count)
