"""Runs of jobs in GraphQL."""

from datetime import datetime

import strawberry

from gateway.resolvers import backups, clients, jobs, runs, sessions
from gateway.resolvers.runs import COLLECTION, COLUMNS
from gateway.schema.connections import connection
from gateway.schema.enums import RunOutcome
from gateway.schema.fields import Node, by_rest_id, column, node, to_one
from gateway.schema.filter_inputs import order_input, where_input


@node(COLLECTION, key="run_id", description="A run of a job, as its scheduler told.")
class Run(Node):
    """A view over a run's row."""

    run_id: strawberry.ID = column(
        COLUMNS.id, "The run's id: the job's, `:`, and its first second."
    )
    project_id: strawberry.ID = column(COLUMNS.project_id, "The id of its project.")
    job_id: strawberry.ID = column(COLUMNS.job_id, "The id of the job that ran.")
    client_id: strawberry.ID | None = column(COLUMNS.client_id, "The id of the client that ran it.")
    session_id: strawberry.ID | None = column(
        COLUMNS.session_id, "The id of the session that the job was in."
    )
    session_tag: int | None = column(
        COLUMNS.session_tag, "The number of the session's run, as the scheduler knew it."
    )
    outcome: RunOutcome = column(
        COLUMNS.outcome,
        "The result, as far as it is known. A run is `LOST` once its job is armed again, or "
        "deleted, or has begun another run, without its result; or if its client is silent, or it "
        "runs, for too long. Its result is believed whenever it comes.",
        sort=True,
    )
    started_at: datetime = column(
        runs.STARTED_AT,
        "The time at which it began, by the host's clock.",
        sort=COLUMNS.started_at,
    )
    ended_at: datetime | None = column(
        COLUMNS.ended_at, "The time at which it ended, by the host's clock.", sort=True
    )
    duration: int | None = column(runs.DURATION, "The seconds that it took.")
    duration_ratio: float | None = column(
        runs.DURATION_RATIO,
        f"Its duration divided by the median of the job's last {runs.USUAL_RUNS} successful runs "
        "before it.",
    )
    is_unusual: bool = column(
        runs.IS_UNUSUAL,
        f"True if it took more than {runs.UNUSUAL_FACTOR} times as long as that median, or less "
        f"than the part, and it differs by more than {runs.UNUSUAL_SECONDS} seconds; never before "
        f"there are {runs.FEWEST_RUNS} such runs.",
        is_filtered=False,
    )
    attempts: int = column(
        COLUMNS.attempts,
        "The number of processes that the agent took: one for each action, and for each retry.",
        sort=True,
    )
    delay: int | None = column(
        runs.DELAY, "The seconds by which it began late; null where the schedule doesn't tell."
    )
    host: str | None = column(
        runs.HOST,
        "The host that ran it: that of its backups, where several hosts share a client; else the "
        "client's.",
        is_filtered=False,
    )

    job = to_one("jobs.Job", jobs.COLLECTION, "job_id", "The job; null if it was deleted.")
    client = to_one(
        "clients.Client",
        clients.COLLECTION,
        "client_id",
        "The client that ran it; null if it is no longer registered.",
    )
    session = to_one(
        "sessions.Session", sessions.COLLECTION, "session_id", "The session that the job was in."
    )
    backups = connection(
        "backups.Backup",
        runs.BACKUPS,
        backups.search,
        "The backups that it made: the job's, of the time of the run.",
        owner=runs.OF_RUN,
        key="run_id",
    )


RunWhere = where_input(Run)
RunOrder = order_input(Run)


@strawberry.type
class Query:
    """The root fields for runs."""

    runs = connection("runs.Run", COLLECTION, runs.search, "Runs of jobs, the newest first.")
    run = by_rest_id(
        "runs.Run", COLLECTION, "runId", "The run with this id; null if there is none."
    )
