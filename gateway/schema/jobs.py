"""Jobs in GraphQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Optional

import strawberry
from strawberry import Maybe

from gateway.catalogue.tables import JOB_NAME_CHARACTERS, default_of
from gateway.catalogue.tables import Job as Table
from gateway.context import Context, ItemKey
from gateway.resolvers import (
    actions,
    backups,
    clients,
    job_actions,
    job_columns,
    job_health,
    jobs,
    runs,
    sessions,
)
from gateway.resolvers.jobs import COLLECTION, COLUMNS, JobDraft
from gateway.schema import health, next_runs
from gateway.schema.actions import Action, ActionInput
from gateway.schema.connections import Connection, Edge, connection
from gateway.schema.enums import JobEvent, JobResult, JobStatus, NextRunBasis
from gateway.schema.fields import (
    Node,
    batch,
    by_rest_id,
    column,
    embedded,
    hidden,
    mutation,
    node,
    to_one,
    written,
)
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.mutations import (
    DeleteInput,
    DeletePayload,
    given,
    key_of,
    target,
    without_nulls,
)
from gateway.schema.scalars import JSON
from gateway.schema.schedules import JobSchedule, JobScheduleWhere, ScheduleInput

__all__ = ["Job", "JobOrder", "JobScheduleWhere", "JobWhere", "Mutation", "Query"]

NAME = (
    f"The job's name, at most {jobs.DOCUMENTED_NAME_BYTES} bytes of UTF-8, or "
    f"{JOB_NAME_CHARACTERS} characters where the gateway speaks freezer-api 19's dialect."
)


@strawberry.type(description="An action in a job's list, with its position.")
class JobActionEdge(Edge[Action]):
    """An edge with one field more."""

    position: int = strawberry.field(description="The position in the job's list, from 0.")


@strawberry.type(description="A page of a job's actions, in the order in which they run.")
class JobActionConnection(Connection[Action]):
    """A connection whose edges have positions."""

    edges: list[JobActionEdge] = strawberry.field(  # type: ignore[assignment]  # of the same kind
        description="The actions, with their positions in the job."
    )


@strawberry.type(description="The durations of a job's last successful runs, in seconds.")
class RunDurations:
    """The attributes of Durations."""

    count: int = strawberry.field(description="The number of runs that they are of.")
    median: int | None = strawberry.field(description="Half of them took no longer.")
    p95: int | None = strawberry.field(description="19 of 20 took no longer.")
    longest: int | None = strawberry.field(description="The longest of them.")


def _last(about: str) -> Mapping[str, Any]:
    """Return the argument that says how many runs are looked at."""
    description = f"{about}; from 1 to {runs.MAX_LAST}."
    return {"last": (Annotated[int, strawberry.argument(description=description)], 20)}


@node(
    COLLECTION,
    key="job_id",
    description="A list of actions that a client runs on a schedule.",
    next_run_at=hidden(COLUMNS.due_at, datetime, sort=True),
    next_run_basis=hidden(COLUMNS.due_basis, NextRunBasis),
    due_zone=COLUMNS.due_zone,
    stored_schedule=COLUMNS.job_schedule,
    stored_actions=job_columns.ACTIONS,
    last_run_id=job_columns.LAST_RUN_ID,
    last_success_id=job_columns.LAST_SUCCESS_ID,
    last_run_is_unusual=hidden(runs.LAST_IS_UNUSUAL, bool),
    **health.orders("Job"),
)
class Job(Node):
    """A view over a job's row."""

    job_id: strawberry.ID = column(COLUMNS.id, "The job's id in REST.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The id of its project.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "The id of the user who created it.")
    description: str = column(COLUMNS.description, "The job's name; may be empty.", sort=True)
    status: JobStatus | None = column(
        COLUMNS.status, "The state of the job, as its scheduler reports it.", sort=True
    )
    result: JobResult | None = column(COLUMNS.result, "The result of the last run.", sort=True)
    event: JobEvent | None = column(
        COLUMNS.event, "The request that the scheduler has not carried out yet.", sort=True
    )
    client_id: strawberry.ID | None = column(
        COLUMNS.client_id, "The id of the client that runs it."
    )
    session_id: strawberry.ID | None = column(COLUMNS.session_id, "The id of its session.")
    session_tag: int | None = column(
        COLUMNS.session_tag, "The number of the session's run that the job joined last."
    )
    schedule = embedded(JobSchedule, "The schedule, and the state of the job's runs.")
    next_run = next_runs.NEXT_RUN
    schedule_meaning = next_runs.MEANING
    health = health.health("Job", "job_id")
    has_restorable_backup: bool = column(
        job_health.HAS_RESTORABLE_BACKUP,
        "True if there is a backup of it that can be restored, or once could.",
    )
    last_run_at: datetime | None = column(
        COLUMNS.last_run_start, "The time at which its last run began.", sort=True
    )
    last_success_at: datetime | None = column(
        COLUMNS.last_success_start, "The time at which its last successful run began.", sort=True
    )
    failures_in_a_row: int = column(
        COLUMNS.failures_in_a_row,
        "How many runs since the last successful one have failed or are lost; aborted ones don't "
        "count.",
        sort=True,
    )
    failing_since: datetime | None = column(
        COLUMNS.failing_since,
        "The time at which the first of these runs began; null for none.",
        sort=True,
    )
    success_rate = batch(
        runs.success_rates,
        "job_id",
        Optional[float],
        "The share of its last runs that succeeded, from 0 to 1; null if none has ended.",
        _last("How many runs that have ended, or are lost, are looked at"),
    )
    durations = batch(
        runs.durations,
        "job_id",
        Optional[RunDurations],
        "How long its last successful runs took.",
        _last("How many successful runs are looked at"),
    )
    schedule_document: JSON = column(job_columns.SCHEDULE, "The whole schedule, as sent.")
    version: int = column(COLUMNS.version, "The number of changes since it was created.")
    created_at: datetime = column(COLUMNS.created_at, "The time of its creation.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "The time of its last change.", sort=True)

    actions = connection(
        "actions.Action",
        job_actions.COLLECTION,
        actions.search,
        "The job's actions, in the order in which they run.",
        owner=job_actions.OF_JOB,
        key="job_id",
        connection_type=JobActionConnection,
        extra=(job_actions.COLUMNS.position,),
    )
    backups = connection(
        "backups.Backup",
        backups.COLLECTION,
        backups.search,
        "The backups that the job made.",
        owner=backups.OF_JOB,
        key="job_id",
    )
    last_run = to_one("runs.Run", runs.COLLECTION, "last_run_id", "The job's last run.")
    last_success = to_one(
        "runs.Run", runs.COLLECTION, "last_success_id", "The job's last successful run."
    )
    runs = connection(
        "runs.Run",
        runs.COLLECTION,
        runs.search,
        "The job's runs, the newest first.",
        owner=runs.OF_JOB,
        key="job_id",
    )
    client = to_one(
        "clients.Client",
        clients.COLLECTION,
        "client_id",
        "The client that runs it; null if it is no longer registered.",
    )
    session = to_one("sessions.Session", sessions.COLLECTION, "session_id", "The job's session.")


JobWhere = where_input(
    Job,
    hidden={
        "next_run_at": "A condition on the time of the next run; null for jobs that have none.",
        "next_run_basis": "A condition on the basis of the next run.",
        "last_run_is_unusual": "A condition on the last run's `isUnusual`; false for jobs that "
        "have none.",
    },
    own={
        "is_overdue": (next_runs.OverdueFilter, "A condition on the next run being overdue."),
        "health": health.FILTER,
    },
    schedule_document="Conditions on the schedule's document; all must hold.",
)
JobOrder = order_input(Job)


@strawberry.input(description="A job to create.")
class CreateJobInput:
    """The fields of a JobDraft, with a typed schedule."""

    actions: list[ActionInput] = strawberry.field(
        description="The job's actions, in the order in which they run."
    )
    description: str = strawberry.field(default=default_of(Table, "description"), description=NAME)
    client_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The id of the client to run it. If absent, the project's only client runs it, "
        "if there is just one.",
    )
    schedule: ScheduleInput | None = strawberry.field(
        default=None, description="The schedule; a job without one runs once."
    )
    job_id: strawberry.ID | None = strawberry.field(
        default=None, description="The job's id in REST; generated if absent."
    )


@strawberry.input(description="Changes to a job; fields that are absent stay as they are.")
class UpdateJobInput:
    """A patch of a job."""

    id: strawberry.ID = strawberry.field(description="The job's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="The version that the job must have, else CONFLICT."
    )
    description: Maybe[str | None] = strawberry.field(description=f"{NAME} Null clears it.")
    client_id: Maybe[strawberry.ID | None] = strawberry.field(
        description="The id of the client to run it; null for none."
    )
    schedule: Maybe[ScheduleInput | None] = strawberry.field(
        description="Changes to the schedule; keys that are absent stay as they are."
    )
    actions: Maybe[list[ActionInput] | None] = strawberry.field(
        description="The job's actions, in place of all that it had."
    )


@strawberry.input(description="The job whose scheduler gets the request.")
class JobEventInput:
    """The input of every request to a scheduler."""

    id: strawberry.ID = strawberry.field(description="The job's global id.")


@strawberry.type(description="The job after the mutation.")
class JobPayload:
    """The key of the job that was written."""

    key: strawberry.Private[ItemKey]
    job = written("jobs.Job", "The job.")


@strawberry.type(description="The job after the request, and the effect of the request.")
class JobEventPayload:
    """The key of the job, and the outcome."""

    key: strawberry.Private[ItemKey]
    requested: bool = strawberry.field(description="False if the same event was already pending.")
    job = written("jobs.Job", "The job.")


@strawberry.type
class Query:
    """The root fields for jobs."""

    jobs = connection("jobs.Job", COLLECTION, jobs.search, "Jobs, by description.", as_of=True)
    job = by_rest_id("jobs.Job", COLLECTION, "jobId")


@strawberry.type
class Mutation:
    """The mutations of jobs."""

    @mutation("Create a job, and those of its actions that don't exist yet.")
    @staticmethod
    async def create_job(ctx: Context, input: CreateJobInput) -> JobPayload | None:
        """Create a job."""
        draft = JobDraft(
            actions=[action.draft() for action in input.actions],
            description=input.description,
            client_id=input.client_id,
            schedule=without_nulls(input.schedule.document()) if input.schedule else {},
            job_id=input.job_id,
        )
        return JobPayload(key=key_of(await jobs.create(ctx, draft)))

    @mutation("Change a job.")
    @staticmethod
    async def update_job(ctx: Context, input: UpdateJobInput) -> JobPayload | None:
        """Patch a job."""
        clearable = ("description", "client_id")
        changes = given(input, *clearable, "schedule", "actions", clearable=clearable)
        if "schedule" in changes:
            changes["schedule"] = changes["schedule"].document()
        if "actions" in changes:
            changes["actions"] = [action.draft() for action in changes["actions"]]
        if changes.get("description", "") is None:
            changes["description"] = default_of(Table, "description")
        row = await jobs.update(
            ctx,
            target(ctx, input.id, "Job"),
            changes,
            expected_version=input.expected_version,
        )
        return JobPayload(key=key_of(row))

    @mutation("Delete a job; its actions and its backups stay.")
    @staticmethod
    async def delete_job(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete a job."""
        await jobs.delete(ctx, target(ctx, input.id, "Job"))
        return DeletePayload(deleted_id=input.id)

    @mutation("Ask the job's scheduler to start it.")
    @staticmethod
    async def start_job(ctx: Context, input: JobEventInput) -> JobEventPayload | None:
        """Request a start."""
        return await _request(ctx, input, JobEvent.START)

    @mutation("Ask the job's scheduler to take it off the schedule.")
    @staticmethod
    async def stop_job(ctx: Context, input: JobEventInput) -> JobEventPayload | None:
        """Request a stop."""
        return await _request(ctx, input, JobEvent.STOP)

    @mutation("Ask the job's scheduler to abort the current run.")
    @staticmethod
    async def abort_job(ctx: Context, input: JobEventInput) -> JobEventPayload | None:
        """Request an abort."""
        return await _request(ctx, input, JobEvent.ABORT)


async def _request(ctx: Context, input: JobEventInput, event: JobEvent) -> JobEventPayload:
    job_id = target(ctx, input.id, "Job")
    requested = await jobs.request(ctx, job_id, event)
    return JobEventPayload(key=(ctx.project_id, job_id), requested=requested)
