"""Restores in GraphQL: plans, and the jobs that carry them out."""

from datetime import datetime
from typing import Annotated, Optional, cast

import strawberry

from gateway.context import Context, ItemKey
from gateway.errors import BadInput
from gateway.resolvers import restores
from gateway.resolvers.restores import Plan, RestoreDraft
from gateway.schema.enums import Restorability, RestorabilityReason, RestoreWarning
from gateway.schema.fields import answered, declare, listed, mutation, reference
from gateway.schema.global_ids import decode, reader
from gateway.schema.mutations import key_of, target
from gateway.schema.scalars import JSON, BigInt
from gateway.schema.views import CLOCK, WrittenField


@strawberry.type(
    description="The restore of a series to a moment: what the agent reads, and if it succeeds."
)
class RestorePlan:
    """The attributes of a Plan."""

    at: datetime = strawberry.field(description="The moment to restore to.")
    restorability: Restorability = strawberry.field(description="The verdict on the restore.")
    restorability_reason: RestorabilityReason = strawberry.field(
        description="The reason of the verdict."
    )
    warnings: list[RestoreWarning] = strawberry.field(
        description="Things to know before, by the agent's own faults among others."
    )
    backup = declare(
        WrittenField("Backup"),
        Optional[reference("backups.Backup")],
        "The backup whose state is restored; null if there is none, or that isn't known.",
    )
    steps = listed("backups.Backup", "The backups that the agent reads, in this order.")
    bytes: BigInt | None = strawberry.field(
        description="The stored bytes that are read, of the backups of which a size is told."
    )
    restore_from_date: datetime | None = strawberry.field(
        description="The date to give the agent: after this backup's end, before the next one's "
        "start. Where there is no next one, it is the moment as of which it is asked for.",
        metadata={CLOCK: ("as_of",)},
    )
    freezer_action: JSON | None = strawberry.field(
        description="The action as `createJob` takes it; null where there is nothing to restore.",
        metadata={CLOCK: ("as_of",)},
    )


SeriesId = Annotated[strawberry.ID, strawberry.argument(description="The series' global id.")]
At = Annotated[
    datetime | None,
    strawberry.argument(description="The moment to restore to; that of `asOf` if absent."),
]
AsOf = Annotated[
    datetime | None,
    strawberry.argument(
        description="The moment as of which it is asked for, now if absent: later backups don't "
        "count, nor what they did to others. What was deleted since isn't known."
    ),
]
Path = Annotated[
    str | None,
    strawberry.argument(
        description="The path to restore files to; where they came from if absent."
    ),
]


@strawberry.input(description="A restore to make: of a backup, or of a series and a moment.")
class CreateRestoreJobInput:
    """The fields of a RestoreDraft."""

    backup: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of the backup to restore."
    )
    series: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of the series to restore, in place of a backup."
    )
    at: datetime | None = strawberry.field(
        default=None, description="The moment to restore the series to; now if absent."
    )
    client_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The id of the client to run it; that of the backup if absent.",
    )
    restore_path: str | None = strawberry.field(
        default=None,
        description="The path to restore files to; where they came from if absent.",
    )
    overwrite: bool = strawberry.field(
        default=False, description="Restore into a folder that isn't empty."
    )
    description: str | None = strawberry.field(default=None, description="The job's name.")
    is_test: bool = strawberry.field(
        default=False,
        description="True for a restore that is made to see if it succeeds: `Series.lastTestedAt`.",
    )
    accepts_unknown: bool = strawberry.field(
        default=False, description="Restore also where the verdict is UNKNOWN."
    )


@strawberry.type(description="The job that restores, and what it reads.")
class RestoreJobPayload:
    """The key of the job that was written, and the plan."""

    key: strawberry.Private[ItemKey | None]
    job = declare(
        WrittenField("Job"), Optional[reference("jobs.Job")], "The job; null after a dry run."
    )
    plan: RestorePlan = strawberry.field(description="The restore that it makes.")


DryRun = Annotated[
    bool,
    strawberry.argument(description="Write nothing, and only show the plan with its action."),
]


@strawberry.type
class Query:
    """The root fields for restores."""

    @answered(
        "The restore of a series to a moment; null if there is no such series.",
        clock=("at", "as_of"),
    )
    @staticmethod
    async def restore_plan(
        ctx: Context,
        series: SeriesId,
        at: At = None,
        as_of: AsOf = None,
        restore_path: Path = None,
    ) -> RestorePlan | None:
        """Return the plan of a restore."""
        view, (project_id, series_id) = decode(series, "series", "Series")
        its = reader(ctx, view, project_id)
        if its is None:
            return None
        plan = await restores.plan(its, series_id, at, as_of=as_of, path=restore_path)
        return _shown(plan)


@strawberry.type
class Mutation:
    """The mutations of restores."""

    @mutation(
        "Restore a backup, or a series to a moment: create a job that does it, and start it. "
        "Refused, with UNPROCESSABLE, for what can't be restored."
    )
    @staticmethod
    async def create_restore_job(
        ctx: Context,
        input: CreateRestoreJobInput,
        dry_run: DryRun = False,  # noqa: FBT002 - an argument of the schema
    ) -> RestoreJobPayload | None:
        """Create the job of a restore."""
        if (input.backup is None) == (input.series is None):
            raise BadInput("give either 'backup' or 'series'", field="backup")
        draft = RestoreDraft(
            backup_id=target(ctx, input.backup, "Backup", "backup") if input.backup else None,
            series_id=target(ctx, input.series, "Series", "series") if input.series else None,
            at=input.at,
            client_id=input.client_id,
            path=input.restore_path,
            overwrite=input.overwrite,
            description=input.description,
            is_test=input.is_test,
            accepts_unknown=input.accepts_unknown,
        )
        if dry_run:
            plan, _ = await restores.prepare(ctx, draft)
            return RestoreJobPayload(key=None, plan=cast("RestorePlan", _shown(plan)))
        plan, row = await restores.create(ctx, draft)
        return RestoreJobPayload(key=key_of(row), plan=cast("RestorePlan", _shown(plan)))


def _shown(plan: Plan | None) -> RestorePlan | None:
    """Return what a payload reads the attributes of."""
    return cast("RestorePlan | None", plan)
