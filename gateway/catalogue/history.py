"""The tables of what has happened: the runs of jobs, and the polls of clients.

The database itself writes runs, by the triggers of revision 0008 and later ones, as jobs are
written. A row of `runs` is what the writes of its job say of the run that began at their
`time_started`, in whatever order they arrive, twice, or not at all:

- It is there from the first of them that says that the job runs, or has run.
- It ends with the first result. Until then it is running, or lost: once the job is armed again,
  or deleted, or has begun a later run, or `gateway/upkeep/` has waited for too long.
- The result of a lost run may still come, and is believed.

The columns of a job that are named in `OF_JOB` follow its runs.
"""

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.column_types import bigint, text
from gateway.catalogue.tables import ID_BYTES
from gateway.catalogue.vocabularies import RunOutcome

RUN_ID_BYTES = ID_BYTES + 13
"""The id of a run is that of its job, a colon and its first second."""
PIDS_BYTES = 2048

OF_JOB = frozenset({"last_run_start", "last_success_start", "failures_in_a_row", "failing_since"})
"""The columns of a job that follow its runs."""


class Run(SQLModel, table=True):
    """A run of a job, as its scheduler told."""

    __tablename__ = "runs"
    __table_args__ = (
        sa.Index("ix_runs_time", "project_id", "started_at", "id"),
        sa.Index("ix_runs_job", "project_id", "job_id", "started_at", "id"),
        sa.Index("ix_runs_client", "project_id", "client_id", "started_at", "id"),
        sa.Index("ix_runs_outcome", "project_id", "outcome", "started_at", "id"),
        sa.Index(
            "ix_runs_running",
            "project_id",
            "job_id",
            "started_at",
            sqlite_where=sa.text("outcome = 'running'"),
            postgresql_where=sa.text("outcome = 'running'"),
        ),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(RUN_ID_BYTES, primary_key=True)
    job_id: str = text(ID_BYTES)
    client_id: str | None = text(ID_BYTES, default=None)
    session_id: str | None = text(ID_BYTES, default=None)
    session_tag: int | None = bigint(default=None)
    outcome: str = text(ID_BYTES, default=RunOutcome.RUNNING)
    started_at: int = bigint()
    """Epoch seconds by the clock of the host, as all times of a run."""
    ended_at: int | None = bigint(default=None)
    due_at: int | None = bigint(default=None)
    """When its schedule would have had it begin; null where nothing tells."""
    attempts: int = 0
    """The number of processes of the agent."""
    pids: str = text(PIDS_BYTES, default=" ")
    """The processes that are counted, and before them the one that the job had before; each
    between blanks."""


class ClientHeartbeat(SQLModel, table=True):
    """When a client's scheduler has last asked for its jobs: see `gateway/upkeep/heartbeats.py`.

    Beside the client's row, which it would otherwise change once a minute.
    """

    __tablename__ = "client_heartbeats"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["project_id", "client_id"], ["clients.project_id", "clients.id"], ondelete="CASCADE"
        ),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    client_id: str = text(ID_BYTES, primary_key=True)
    seen_at: int = bigint()
    """Epoch seconds by the gateway's clock."""
