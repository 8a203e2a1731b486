"""Jobs in GraphQL."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry
from strawberry import Maybe

from gateway.context import Context, ItemKey
from gateway.resolvers import actions, backups, clients, job_actions, jobs, sessions
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.jobs import COLLECTION, COLUMNS, JobDraft
from gateway.schema.actions import Action
from gateway.schema.connections import Connection, Edge, connection
from gateway.schema.enums import JobEvent, JobResult, JobStatus
from gateway.schema.fields import (
    Node,
    by_rest_id,
    column,
    embedded,
    fragment,
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
    present,
    target,
)
from gateway.schema.scalars import JSON


@fragment("When a job runs, and how far it is; null is what a schedule doesn't say.")
class JobSchedule:
    """A view over the columns that are projected from a job's schedule."""

    interval: str | None = column(
        COLUMNS.schedule_interval, "`continuous`, or a number of weeks, days, hours…"
    )
    date: str | None = column(COLUMNS.schedule_date, "The one time it runs at, ISO 8601.")
    start_date: str | None = column(COLUMNS.schedule_start_date, "When it begins to run, ISO 8601.")
    end_date: str | None = column(COLUMNS.schedule_end_date, "When it no longer runs, ISO 8601.")
    year: str | None = column(COLUMNS.schedule_year, "The year it runs in, cron-like.")
    month: str | None = column(COLUMNS.schedule_month, "The months it runs in, cron-like.")
    day: str | None = column(COLUMNS.schedule_day, "The days of the month, cron-like.")
    week: str | None = column(COLUMNS.schedule_week, "The weeks of the year, cron-like.")
    day_of_week: str | None = column(
        COLUMNS.schedule_day_of_week, "The days of the week, cron-like."
    )
    hour: str | None = column(COLUMNS.schedule_hour, "The hours, cron-like.")
    minute: str | None = column(COLUMNS.schedule_minute, "The minutes, cron-like.")
    second: str | None = column(COLUMNS.schedule_second, "The seconds, cron-like.")
    status: JobStatus | None = column(COLUMNS.status, "Where the job stands.", is_filtered=False)
    result: JobResult | None = column(COLUMNS.result, "How its last run ended.", is_filtered=False)
    event: JobEvent | None = column(COLUMNS.event, "What is asked of it.", is_filtered=False)
    time_created: datetime | None = column(COLUMNS.time_created, "When it was created.", sort=True)
    time_started: datetime | None = column(
        COLUMNS.time_started, "When its last run began.", sort=True
    )
    time_ended: datetime | None = column(COLUMNS.time_ended, "When its last run ended.", sort=True)
    current_pid: int | None = column(
        jobs.CURRENT_PID, "The process that runs it, on the client.", is_filtered=False
    )


@strawberry.type(description="An action in a job's list, and its place there.")
class JobActionEdge(Edge[Action]):
    """An edge that knows more than its cursor."""

    position: int = strawberry.field(description="The place in the job's list, from 0.")


@strawberry.type(description="A page of a job's actions, in the order they run in.")
class JobActionConnection(Connection[Action]):
    """A connection whose edges know their places in the job."""

    edges: list[JobActionEdge] = strawberry.field(  # type: ignore[assignment]  # of the same kind
        description="The actions, with their places in the job."
    )


@node(COLLECTION, key="job_id", description="When and where a list of actions runs.")
class Job(Node):
    """A view over a job's row."""

    job_id: strawberry.ID = column(COLUMNS.id, "The id that REST clients know.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The project it belongs to.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "Who created it.")
    description: str = column(COLUMNS.description, "Its name; may be empty.", sort=True)
    status: JobStatus | None = column(COLUMNS.status, "Where it stands.", sort=True)
    result: JobResult | None = column(COLUMNS.result, "How its last run ended.", sort=True)
    event: JobEvent | None = column(
        COLUMNS.event, "What its scheduler is asked to do, and hasn't done yet.", sort=True
    )
    client_id: strawberry.ID | None = column(COLUMNS.client_id, "The id of the client it runs on.")
    session_id: strawberry.ID | None = column(COLUMNS.session_id, "The id of its session.")
    session_tag: int | None = column(COLUMNS.session_tag, "The session's run that it last joined.")
    schedule = embedded(JobSchedule, "When it runs, and how far it is.")
    schedule_document: JSON = column(jobs.SCHEDULE, "The schedule, whole and as sent.")
    version: int = column(COLUMNS.version, "Counts the changes since it was created.")
    created_at: datetime = column(COLUMNS.created_at, "When it was created.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "When it was last changed.", sort=True)

    actions = connection(
        "actions.Action",
        job_actions.COLLECTION,
        actions.search,
        "What it does, in this order.",
        owner=job_actions.OF_JOB,
        key="job_id",
        connection_type=JobActionConnection,
        extra=(job_actions.COLUMNS.position,),
    )
    backups = connection(
        "backups.Backup",
        backups.COLLECTION,
        backups.search,
        "The backups that it made.",
        owner=backups.OF_JOB,
        key="job_id",
    )
    client = to_one(
        "clients.Client",
        clients.COLLECTION,
        "client_id",
        "The client it runs on, if it is still registered.",
    )
    session = to_one(
        "sessions.Session", sessions.COLLECTION, "session_id", "The session it belongs to."
    )


JobScheduleWhere = where_input(JobSchedule)
JobWhere = where_input(
    Job, schedule_document="Conditions on the schedule's document; all must hold."
)
JobOrder = order_input(Job)


@strawberry.input(description="When a job runs; in an update, null takes a part of it away.")
class ScheduleInput:
    """A schedule to write; the agent's documentation says how its parts go together."""

    interval: Maybe[str | None] = strawberry.field(
        description="`continuous`, or `N weeks`, `days`, `hours`, `minutes` or `seconds`."
    )
    date: Maybe[str | None] = strawberry.field(description="The one time, ISO 8601.")
    start_date: Maybe[str | None] = strawberry.field(description="When to begin, ISO 8601.")
    end_date: Maybe[str | None] = strawberry.field(description="When to end, ISO 8601.")
    year: Maybe[str | None] = strawberry.field(description="The year, of four digits.")
    month: Maybe[str | None] = strawberry.field(description="The months, cron-like.")
    day: Maybe[str | None] = strawberry.field(description="The days of the month, cron-like.")
    week: Maybe[str | None] = strawberry.field(description="The weeks of the year, cron-like.")
    day_of_week: Maybe[str | None] = strawberry.field(description="The weekdays, cron-like.")
    hour: Maybe[str | None] = strawberry.field(description="The hours, cron-like.")
    minute: Maybe[str | None] = strawberry.field(description="The minutes, cron-like.")
    second: Maybe[str | None] = strawberry.field(description="The seconds, cron-like.")
    status: Maybe[JobStatus | None] = strawberry.field(description="Where the job stands.")
    result: Maybe[JobResult | None] = strawberry.field(description="How its last run ended.")
    event: Maybe[JobEvent | None] = strawberry.field(description="What is asked of it.")

    def document(self) -> dict[str, Any]:
        """The part of a v2 schedule that is given."""
        return {
            key: value.value if isinstance(value, Enum) else value
            for name, value in given(self, *SCHEDULE_KEYS).items()
            for key in (SCHEDULE_KEYS[name],)
        }


SCHEDULE_KEYS = {
    name: name if name in {"status", "result", "event"} else f"schedule_{name}"
    for name in ScheduleInput.__annotations__
}
"""A schedule's input fields, and the keys of the v2 document."""


@strawberry.input(description="A job to create.")
class CreateJobInput:
    """A draft, with its schedule typed."""

    actions: list[ActionDraft] = strawberry.field(description="What it does, in this order.")
    description: str = strawberry.field(default="", description="Its name, 64 bytes at most.")
    client_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The id of the client to run it; without it the project's only client, if "
        "there is just one.",
    )
    schedule: ScheduleInput | None = strawberry.field(
        default=None, description="When it runs; once without it."
    )
    job_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id for REST clients; a fresh one without it."
    )


@strawberry.input(description="What to change of a job; what isn't given stays as it is.")
class UpdateJobInput:
    """A patch."""

    id: strawberry.ID = strawberry.field(description="The job's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="Change nothing if the job has another version."
    )
    description: Maybe[str | None] = strawberry.field(description="Its name, 64 bytes at most.")
    client_id: Maybe[strawberry.ID | None] = strawberry.field(
        description="The id of the client to run it; null for none."
    )
    schedule: Maybe[ScheduleInput] = strawberry.field(description="What to change of when it runs.")
    actions: Maybe[list[ActionDraft]] = strawberry.field(
        description="What it does, in this order; replaces all that it did."
    )


@strawberry.input(description="A job whose scheduler to ask something of.")
class JobEventInput:
    """Which job."""

    id: strawberry.ID = strawberry.field(description="The job's global id.")


@strawberry.type(description="The job as it is now.")
class JobPayload:
    """What a mutation wrote."""

    key: strawberry.Private[ItemKey]
    job = written("jobs.Job", "The job.")


@strawberry.type(description="The job, and whether anything new was asked of its scheduler.")
class JobEventPayload:
    """What became of a request."""

    key: strawberry.Private[ItemKey]
    requested: bool = strawberry.field(description="No where the same had been asked already.")
    job = written("jobs.Job", "The job.")


@strawberry.type
class Query:
    """What can be asked."""

    jobs = connection(
        "jobs.Job", COLLECTION, jobs.search, "Jobs, by description unless ordered otherwise."
    )
    job = by_rest_id("jobs.Job", COLLECTION, "jobId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @mutation("Create a job, and those of its actions that don't exist yet.")
    @staticmethod
    async def create_job(ctx: Context, input: CreateJobInput) -> JobPayload | None:
        """Create."""
        draft = JobDraft(
            actions=input.actions,
            description=input.description,
            client_id=input.client_id,
            schedule=present(input.schedule.document()) if input.schedule else {},
            job_id=input.job_id,
        )
        return JobPayload(key=key_of(await jobs.create(ctx, draft)))

    @mutation("Change what is given of a job.")
    @staticmethod
    async def update_job(ctx: Context, input: UpdateJobInput) -> JobPayload | None:
        """Patch."""
        changes = given(input, "description", "client_id", "schedule", "actions")
        if "schedule" in changes:
            changes["schedule"] = changes["schedule"].document()
        if changes.get("description", "") is None:
            changes["description"] = ""
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
        """Delete."""
        await jobs.delete(ctx, target(ctx, input.id, "Job"))
        return DeletePayload(deleted_id=input.id)

    @mutation("Ask a job's scheduler to start it.")
    @staticmethod
    async def start_job(ctx: Context, input: JobEventInput) -> JobEventPayload | None:
        """Request a start."""
        return await _request(ctx, input, JobEvent.START)

    @mutation("Ask a job's scheduler to take it off the schedule.")
    @staticmethod
    async def stop_job(ctx: Context, input: JobEventInput) -> JobEventPayload | None:
        """Request a stop."""
        return await _request(ctx, input, JobEvent.STOP)

    @mutation("Ask a job's scheduler to end the run that is under way.")
    @staticmethod
    async def abort_job(ctx: Context, input: JobEventInput) -> JobEventPayload | None:
        """Request an abort."""
        return await _request(ctx, input, JobEvent.ABORT)


async def _request(ctx: Context, input: JobEventInput, event: JobEvent) -> JobEventPayload:
    job_id = target(ctx, input.id, "Job")
    requested = await jobs.request(ctx, job_id, event)
    return JobEventPayload(key=(ctx.project_id, job_id), requested=requested)
