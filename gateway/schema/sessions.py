"""Sessions in GraphQL."""

from datetime import datetime

import strawberry
from strawberry import Maybe

from gateway.context import Context, ItemKey
from gateway.resolvers import jobs, sessions
from gateway.resolvers.sessions import COLLECTION, COLUMNS, Outcome, SessionDraft
from gateway.schema.connections import connection
from gateway.schema.enums import JobResult
from gateway.schema.fields import (
    Node,
    by_rest_id,
    column,
    mutation,
    node,
    written,
)
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.jobs import ScheduleInput
from gateway.schema.mutations import (
    DeleteInput,
    DeletePayload,
    given,
    key_of,
    present,
    target,
)
from gateway.schema.scalars import JSON


@node(COLLECTION, key="session_id", description="Jobs on several hosts that start together.")
class Session(Node):
    """A view over a session's row."""

    session_id: strawberry.ID = column(COLUMNS.id, "The id that REST clients know.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The project it belongs to.")
    user_id: strawberry.ID = column(COLUMNS.user_id, "Who created it.")
    description: str = column(COLUMNS.description, "Its name.", sort=True)
    status: str | None = column(COLUMNS.status, "`active`, `running` or `completed`.", sort=True)
    result: JobResult | None = column(COLUMNS.result, "How its last run ended.", sort=True)
    session_tag: int | None = column(COLUMNS.session_tag, "Counts its runs.")
    hold_off: int | None = column(
        COLUMNS.hold_off, "How long after its start jobs may join a run, in seconds."
    )
    time_started: datetime | None = column(
        COLUMNS.time_start, "When its last run began.", sort=True
    )
    time_ended: datetime | None = column(COLUMNS.time_end, "When its last run ended.", sort=True)
    schedule: JSON = column(COLUMNS.schedule, "When its jobs run, whole and as sent.")
    job_states: JSON = column(
        COLUMNS.job_states, "What each of its jobs does in the current run, by the job's id."
    )
    version: int = column(COLUMNS.version, "Counts the changes since it was created.")
    created_at: datetime = column(COLUMNS.created_at, "When it was created.", sort=True)
    updated_at: datetime = column(COLUMNS.updated_at, "When it was last changed.", sort=True)

    jobs = connection(
        "jobs.Job",
        jobs.COLLECTION,
        jobs.search,
        "Its jobs.",
        owner=jobs.OF_SESSION,
        key="session_id",
    )


SessionWhere = where_input(Session, schedule="Conditions on the schedule; all must hold.")
SessionOrder = order_input(Session)


@strawberry.input(description="A session to create; jobs are taken into it one by one.")
class CreateSessionInput:
    """A draft."""

    description: str = strawberry.field(default="", description="Its name.")
    hold_off: int = strawberry.field(
        default=30, description="How long after its start jobs may join a run, in seconds."
    )
    schedule: ScheduleInput = strawberry.field(description="When its jobs run.")


@strawberry.input(description="What to change of a session; what isn't given stays as it is.")
class UpdateSessionInput:
    """A patch."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    expected_version: int | None = strawberry.field(
        default=None, description="Change nothing if the session has another version."
    )
    description: Maybe[str] = strawberry.field(description="Its name.")
    hold_off: Maybe[int] = strawberry.field(
        description="How long after its start jobs may join a run, in seconds."
    )
    schedule: Maybe[ScheduleInput] = strawberry.field(
        description="What to change of when its jobs run; jobs that are in it keep theirs."
    )


@strawberry.input(description="A session, and a job to take into it or out of it.")
class SessionJobInput:
    """Which of both."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    job_id: strawberry.ID = strawberry.field(description="The job's global id.")


@strawberry.input(description="A job's scheduler asks whether it may start with its session.")
class StartSessionInput:
    """Who asks."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    job_id: strawberry.ID = strawberry.field(description="The job's global id.")
    current_tag: int = strawberry.field(description="The run that the job last took part in.")


@strawberry.input(description="A job's scheduler tells how its part of a session's run ended.")
class EndSessionInput:
    """Who tells."""

    id: strawberry.ID = strawberry.field(description="The session's global id.")
    job_id: strawberry.ID = strawberry.field(description="The job's global id.")
    result: JobResult = strawberry.field(description="How it ended.")


@strawberry.type(description="The session as it is now.")
class SessionPayload:
    """What a mutation wrote."""

    key: strawberry.Private[ItemKey]
    session = written("sessions.Session", "The session.")


@strawberry.type(description="What became of a scheduler's wish.")
class SessionActionPayload:
    """The session, and whether the job may go on."""

    key: strawberry.Private[ItemKey]
    outcome: str = strawberry.field(
        description="`success`, `hold-off` (wait for the next run) or `out-of-sync`."
    )
    session_tag: int = strawberry.field(description="The session's current run.")
    session = written("sessions.Session", "The session.")


@strawberry.type
class Query:
    """What can be asked."""

    sessions = connection(
        "sessions.Session", COLLECTION, sessions.search, "Sessions, by description."
    )
    session = by_rest_id("sessions.Session", COLLECTION, "sessionId")


@strawberry.type
class Mutation:
    """What can be changed."""

    @mutation("Create a session.")
    @staticmethod
    async def create_session(ctx: Context, input: CreateSessionInput) -> SessionPayload | None:
        """Create."""
        draft = SessionDraft(
            schedule=present(input.schedule.document()),
            description=input.description,
            hold_off=input.hold_off,
        )
        return SessionPayload(key=key_of(await sessions.create(ctx, draft)))

    @mutation("Change what is given of a session.")
    @staticmethod
    async def update_session(ctx: Context, input: UpdateSessionInput) -> SessionPayload | None:
        """Patch."""
        changes = given(input, "description", "hold_off", "schedule")
        if "schedule" in changes:
            changes["schedule"] = changes["schedule"].document()
        row = await sessions.update(
            ctx,
            target(ctx, input.id, "Session"),
            changes,
            expected_version=input.expected_version,
        )
        return SessionPayload(key=key_of(row))

    @mutation("Delete a session; its jobs are free again.")
    @staticmethod
    async def delete_session(ctx: Context, input: DeleteInput) -> DeletePayload | None:
        """Delete."""
        await sessions.delete(ctx, target(ctx, input.id, "Session"))
        return DeletePayload(deleted_id=input.id)

    @mutation("Take a job into a session; it gets the session's schedule.")
    @staticmethod
    async def add_job_to_session(ctx: Context, input: SessionJobInput) -> SessionPayload | None:
        """Add."""
        session_id, job_id = _both(ctx, input)
        await sessions.add_job(ctx, session_id, job_id)
        return SessionPayload(key=(ctx.project_id, session_id))

    @mutation("Take a job out of a session, and ask its scheduler to stop it.")
    @staticmethod
    async def remove_job_from_session(
        ctx: Context, input: SessionJobInput
    ) -> SessionPayload | None:
        """Remove."""
        session_id, job_id = _both(ctx, input)
        await sessions.remove_job(ctx, session_id, job_id)
        return SessionPayload(key=(ctx.project_id, session_id))

    @mutation("Start a job with its session: each run starts exactly once.")
    @staticmethod
    async def start_session(ctx: Context, input: StartSessionInput) -> SessionActionPayload | None:
        """Start, or join."""
        session_id, job_id = _both(ctx, input)
        outcome = await sessions.start(ctx, session_id, job_id, input.current_tag)
        return _acted(ctx, session_id, outcome)

    @mutation("Record how a job's part of a session's run ended.")
    @staticmethod
    async def end_session(ctx: Context, input: EndSessionInput) -> SessionActionPayload | None:
        """End."""
        session_id, job_id = _both(ctx, input)
        outcome = await sessions.end(ctx, session_id, job_id, input.result.value)
        return _acted(ctx, session_id, outcome)


def _both(ctx: Context, input: SessionJobInput | StartSessionInput | EndSessionInput) -> ItemKey:
    return (
        target(ctx, input.id, "Session"),
        target(ctx, input.job_id, "Job", field="jobId"),
    )


def _acted(ctx: Context, session_id: str, outcome: Outcome) -> SessionActionPayload:
    return SessionActionPayload(
        key=(ctx.project_id, session_id),
        outcome=outcome.result,
        session_tag=outcome.session_tag,
    )
