"""Sessions in GraphQL."""

from datetime import datetime

import strawberry

from gateway.resolvers import jobs, sessions
from gateway.resolvers.sessions import COLUMNS, LISTING
from gateway.schema.connections import connection
from gateway.schema.enums import JobResult
from gateway.schema.nodes import Node, by_rest_id, leaf, node
from gateway.schema.scalars import JSON
from gateway.schema.wheres import order_of, where_of


@node(LISTING, key="session_id", description="Jobs on several hosts that start together.")
class Session(Node):
    """A view over a session's row."""

    session_id: strawberry.ID = leaf(COLUMNS.id, "The id that REST clients know.")
    project_id: strawberry.ID = leaf(COLUMNS.project_id, "The project it belongs to.")
    user_id: strawberry.ID = leaf(COLUMNS.user_id, "Who created it.")
    description: str = leaf(COLUMNS.description, "Its name.", sort=True)
    status: str | None = leaf(COLUMNS.status, "`active`, `running` or `completed`.", sort=True)
    result: JobResult | None = leaf(COLUMNS.result, "How its last run ended.", sort=True)
    session_tag: int | None = leaf(COLUMNS.session_tag, "Counts its runs.")
    hold_off: int | None = leaf(
        COLUMNS.hold_off, "How long after its start jobs may join a run, in seconds."
    )
    time_started: datetime | None = leaf(COLUMNS.time_start, "When its last run began.", sort=True)
    time_ended: datetime | None = leaf(COLUMNS.time_end, "When its last run ended.", sort=True)
    schedule: JSON = leaf(COLUMNS.schedule, "When its jobs run, whole and as sent.")
    version: int = leaf(COLUMNS.version, "Counts the changes since it was created.")
    created_at: datetime = leaf(COLUMNS.created_at, "When it was created.", sort=True)
    updated_at: datetime = leaf(COLUMNS.updated_at, "When it was last changed.", sort=True)

    jobs = connection(
        "Job", jobs.LISTING, jobs.search, "Its jobs.", owner=jobs.OF_SESSION, key="session_id"
    )


SessionWhere = where_of(Session, schedule="Conditions on the schedule; all must hold.")
SessionOrder = order_of(Session)


@strawberry.type
class Query:
    """What can be asked."""

    sessions = connection("Session", LISTING, sessions.search, "Sessions, by description.")
    session = by_rest_id("Session", LISTING.get, "sessionId")
