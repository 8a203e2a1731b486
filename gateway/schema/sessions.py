"""Sessions in GraphQL."""

from datetime import datetime

import strawberry
from graphql import GRAPHQL_MAX_INT
from strawberry import Maybe

from gateway.catalogue.tables import Session as Table
from gateway.catalogue.tables import default_of
from gateway.context import Context, ItemKey
from gateway.resolvers import due_times, jobs, sessions
from gateway.resolvers.sessions import COLLECTION, COLUMNS, Outcome, SessionDraft
from gateway.schema import health, next_runs
from gateway.schema.connections import connection
from gateway.schema.enums import JobResult
from gateway.schema.fields import Node, by_rest_id, column, mutation, node, written
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
from gateway.schema.schedules import ScheduleInput

HOLD_OFF = "The time after its start in which jobs may join a run, in seconds."


@node(
    COLLECTION,
    key="session_id",
    description="Jobs on several hosts that start together.",
    first_due=due_times.NEXT_OF_SESSION,
    **health.orders("Session"),
)
class Session(Node):
    """A view over a session's row."""

    session_id: strawberry.ID = column(COLUMNS.id, "The session's id in REST.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The id of its project.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "The id of the user who created it.")
    description: str = column(COLUMNS.description, "The session's name.", sort=True)
    status: str | None = column(
        COLUMNS.status, "The state of the session: `active`, `running` or `completed`.", sort=True
    )
    result: JobResult | None = column(COLUMNS.result, "The result of the last run.", sort=True)
    session_tag: int | None = column(COLUMNS.session_tag, "The number of the last run.")
    hold_off: int | None = column(COLUMNS.hold_off, HOLD_OFF)
    time_started: datetime | None = column(
        COLUMNS.time_start, "The time at which the last run began.", sort=True
    )
    time_ended: datetime | None = column(
        COLUMNS.time_end, "The time at which the last run ended.", sort=True
    )
    schedule: JSON = column(COLUMNS.schedule, "The whole schedule of its jobs, as sent.")
    job_states: JSON = column(
        COLUMNS.job_states, "The state of each of its jobs in the current run, by the job's id."
    )
    next_run = next_runs.NEXT_RUN_OF_SESSION
    health = health.health("Session", "session_id")
    version: int = column(COLUMNS.version, "The number of changes since it was created.")
    created_at: datetime = column(COLUMNS.created_at, "The time of its creation.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "The time of its last change.", sort=True)

    jobs = connection(
        "jobs.Job",
        jobs.COLLECTION,
        jobs.search,
        "The session's jobs.",
        owner=jobs.OF_SESSION,
        key="session_id",
        as_of=True,
    )


SessionWhere = where_input(
    Session, own={"health": health.FILTER}, schedule="Conditions on the schedule; all must hold."
)
SessionOrder = order_input(Session)


@strawberry.input(description="A session to create; jobs are added to it one by one.")
class CreateSessionInput:
    """The fields of a SessionDraft, with a typed schedule."""

    description: str = strawberry.field(
        default=default_of(Table, "description"), description="The session's name."
    )
    hold_off: int = strawberry.field(default=default_of(Table, "hold_off"), description=HOLD_OFF)
    schedule: ScheduleInput = strawberry.field(description="The schedule of its jobs.")


@strawberry.input(description="Changes to a session; fields that are absent stay as they are.")
class UpdateSessionInput:
    """A patch of a session."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="The version that the session must have, else CONFLICT."
    )
    description: Maybe[str | None] = strawberry.field(
        description="The session's name. Null clears it."
    )
    hold_off: Maybe[int | None] = strawberry.field(description=HOLD_OFF)
    schedule: Maybe[ScheduleInput | None] = strawberry.field(
        description="Changes to the schedule; jobs that are in the session already keep theirs."
    )


@strawberry.input(description="A session, and a job to add to it or to remove from it.")
class SessionJobInput:
    """The input of both."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    job_id: strawberry.ID = strawberry.field(description="The job's global id.")


@strawberry.input(description="A job whose scheduler asks to start it with its session.")
class StartSessionInput:
    """A scheduler's request."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    job_id: strawberry.ID = strawberry.field(description="The job's global id.")
    current_tag: int = strawberry.field(
        description="The number of the session's run that the job took part in last."
    )


@strawberry.input(description="The end of a job's part in a session's run, from its scheduler.")
class EndSessionInput:
    """A scheduler's report."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    job_id: strawberry.ID = strawberry.field(description="The job's global id.")
    result: JobResult = strawberry.field(description="The result of the job.")


@strawberry.type(description="The session after the mutation.")
class SessionPayload:
    """The key of the session that was written."""

    key: strawberry.Private[ItemKey]
    session = written("sessions.Session", "The session.")


@strawberry.type(description="The answer to a job's scheduler.")
class SessionActionPayload:
    """The key of the session, and the answer."""

    key: strawberry.Private[ItemKey]
    outcome: str = strawberry.field(
        description="`success`, `hold-off` (wait for the next run) or `out-of-sync`."
    )
    session_tag: int = strawberry.field(description="The number of the current run.")
    session = written("sessions.Session", "The session.")


@strawberry.type
class Query:
    """The root fields for sessions."""

    sessions = connection(
        "sessions.Session",
        COLLECTION,
        sessions.search,
        "Sessions, by description.",
        as_of=True,
    )
    session = by_rest_id("sessions.Session", COLLECTION, "sessionId")


@strawberry.type
class Mutation:
    """The mutations of sessions."""

    @mutation("Create a session.")
    @staticmethod
    async def create_session(ctx: Context, input: CreateSessionInput) -> SessionPayload | None:
        """Create a session."""
        draft = SessionDraft(
            schedule=without_nulls(input.schedule.document()),
            description=input.description,
            hold_off=input.hold_off,
        )
        return SessionPayload(key=key_of(await sessions.create(ctx, draft)))

    @mutation("Change a session.")
    @staticmethod
    async def update_session(ctx: Context, input: UpdateSessionInput) -> SessionPayload | None:
        """Patch a session."""
        changes = given(input, "description", "hold_off", "schedule", clearable=("description",))
        if changes.get("description", "") is None:
            changes["description"] = default_of(Table, "description")
        if "schedule" in changes:
            changes["schedule"] = changes["schedule"].document()
        row = await sessions.update(
            ctx,
            target(ctx, input.id, "Session"),
            changes,
            expected_version=input.expected_version,
        )
        return SessionPayload(key=key_of(row))

    @mutation("Delete a session; its jobs stay, without one.")
    @staticmethod
    async def delete_session(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete a session."""
        await sessions.delete(ctx, target(ctx, input.id, "Session"))
        return DeletePayload(deleted_id=input.id)

    @mutation("Add a job to a session, whose schedule it gets.")
    @staticmethod
    async def add_job_to_session(ctx: Context, input: SessionJobInput) -> SessionPayload | None:
        """Add a job."""
        session_id, job_id = _both(ctx, input)
        await sessions.add_job(ctx, session_id, job_id)
        return SessionPayload(key=(ctx.project_id, session_id))

    @mutation("Remove a job from a session, and ask its scheduler to stop it.")
    @staticmethod
    async def remove_job_from_session(
        ctx: Context, input: SessionJobInput
    ) -> SessionPayload | None:
        """Remove a job."""
        session_id, job_id = _both(ctx, input)
        await sessions.remove_job(ctx, session_id, job_id)
        return SessionPayload(key=(ctx.project_id, session_id))

    @mutation("Start a job with its session. Each run of a session starts exactly once.")
    @staticmethod
    async def start_session(ctx: Context, input: StartSessionInput) -> SessionActionPayload | None:
        """Start a run, or join it."""
        session_id, job_id = _both(ctx, input)
        outcome = await sessions.start(
            ctx, session_id, job_id, input.current_tag, last_tag=GRAPHQL_MAX_INT
        )
        return _payload(ctx, session_id, outcome)

    @mutation("Record the end of a job's part in a session's run.")
    @staticmethod
    async def end_session(ctx: Context, input: EndSessionInput) -> SessionActionPayload | None:
        """End a job's part."""
        session_id, job_id = _both(ctx, input)
        outcome = await sessions.end(
            ctx, session_id, job_id, input.result.value, last_tag=GRAPHQL_MAX_INT
        )
        return _payload(ctx, session_id, outcome)


def _both(ctx: Context, input: SessionJobInput | StartSessionInput | EndSessionInput) -> ItemKey:
    return (
        target(ctx, input.id, "Session"),
        target(ctx, input.job_id, "Job", field="jobId"),
    )


def _payload(ctx: Context, session_id: str, outcome: Outcome) -> SessionActionPayload:
    return SessionActionPayload(
        key=(ctx.project_id, session_id),
        outcome=outcome.result,
        session_tag=outcome.session_tag,
    )
