"""When runs were due, as their jobs had it before they began; and what projects set for themselves.

The statements about a run are those of revision 0008, but for `due_at`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")

LAST_SECOND = 253_402_300_799
MAX_PIDS = 2000
"""The characters of the processes that a run remembers."""
COLUMNS = "status, result, time_started, time_ended, current_pid, session_id, session_tag"
"""The columns of a job that tell of its runs."""
HAS_RUN = f"NEW.time_started BETWEEN 1 AND {LAST_SECOND}"
CHANGED = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in COLUMNS.split(", "))

# What a job says of the run that began at its `time_started`.
IS_RUNNING = "coalesce(NEW.status, '') IN ('running', 'aborting')"
# The scheduler also tells when; what only changes a status over GraphQL can't.
HAS_ENDED = f"(NOT {IS_RUNNING} AND coalesce(NEW.result, '') IN ('success', 'fail', 'aborted'))"
IS_ARMED = f"""(NOT {HAS_ENDED}
      AND coalesce(NEW.status, '') IN ('scheduled', 'completed', 'stop', 'removed'))"""
RUN_ID = "NEW.id || ':' || NEW.time_started"
IS_NEW_PID = """(coalesce(NEW.current_pid, 0) > 0
      AND pids NOT LIKE '% ' || NEW.current_pid || ' %')"""
IS_NEWER_TAG = """(NEW.session_id IS NOT NULL
      AND (session_tag IS NULL OR session_tag < NEW.session_tag))"""
ENDS = f"({HAS_ENDED} AND outcome IN ('running', 'lost'))"

# `{before}` is the process that the job had before: one of an earlier run; `{due}` the time at
# which this one was due.
RECORD = f"""
  INSERT INTO runs (
    project_id, id, job_id, client_id, session_id, session_tag, outcome, started_at, due_at,
    attempts, pids
  )
  SELECT NEW.project_id, {RUN_ID}, NEW.id, NEW.client_id, NEW.session_id,
    CASE WHEN NEW.session_id IS NOT NULL THEN NEW.session_tag END, 'running', NEW.time_started,
    {{due}}, 0,
    ' ' || coalesce({{before}} || ' ', '')
  WHERE ({IS_RUNNING} OR {HAS_ENDED}) AND NOT EXISTS (
    SELECT 1 FROM runs WHERE project_id = NEW.project_id AND id = {RUN_ID}
  );
  UPDATE runs SET
    session_id = coalesce(session_id, NEW.session_id),
    session_tag = CASE WHEN {IS_NEWER_TAG} THEN NEW.session_tag ELSE session_tag END,
    attempts = attempts + CASE WHEN {IS_NEW_PID} THEN 1 ELSE 0 END,
    pids = CASE WHEN {IS_NEW_PID} THEN substr(
      pids || NEW.current_pid || ' ',
      CASE WHEN length(pids) > {MAX_PIDS} THEN length(pids) - {MAX_PIDS} ELSE 1 END
    ) ELSE pids END,
    ended_at = CASE WHEN {ENDS} AND NEW.time_ended BETWEEN 1 AND {LAST_SECOND}
      THEN NEW.time_ended ELSE ended_at END,
    outcome = CASE WHEN {ENDS} THEN NEW.result ELSE outcome END
  WHERE project_id = NEW.project_id AND id = {RUN_ID} AND ({IS_RUNNING} OR {HAS_ENDED})
    AND ({ENDS} OR {IS_NEW_PID} OR {IS_NEWER_TAG});
  UPDATE runs SET outcome = 'lost'
  WHERE project_id = NEW.project_id AND job_id = NEW.id AND outcome = 'running' AND (
    started_at < NEW.time_started OR ({IS_ARMED} AND started_at = NEW.time_started) OR EXISTS (
      SELECT 1 FROM runs later
      WHERE later.project_id = NEW.project_id AND later.job_id = NEW.id
        AND later.started_at > runs.started_at
    )
  );
"""
"""The statements about a job's run; in whatever order its writes arrive, the run is the same."""

EARLY, LATE = 60, 3600
"""How many seconds before it is due a run may begin by another clock, and after it: a scheduler
drops it later."""
DUE = f"""CASE WHEN OLD.due_basis = 'observed' AND OLD.due_version = OLD.version
      AND NEW.time_started BETWEEN OLD.due_at - {EARLY} AND OLD.due_at + {LATE}
      THEN OLD.due_at END"""
"""The time at which a run that a write of its job tells of was due; null where nothing tells."""


def upgrade() -> None:
    """Have the database note when runs are due, and create the table; the gateway before goes on.

    Runs recorded before have no such time.
    """
    _record(DUE)
    op.create_table(
        "project_settings",
        sa.Column("project_id", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("project_id"),
    )


def downgrade() -> None:
    """Drop the table, and note the times no more."""
    op.drop_table("project_settings")
    _record("NULL")


def _record(due: str) -> None:
    """Replace the trigger of jobs that are updated: one that is new says of no time before."""
    if op.get_bind().dialect.name == "postgresql":
        body = RECORD.format(before="OLD.current_pid", due=due)
        statements = [
            f"""CREATE OR REPLACE FUNCTION record_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {body} RETURN NULL; END $$"""
        ]
    else:
        body = RECORD.format(before="OLD.current_pid", due=due)
        changed = CHANGED.replace("IS DISTINCT FROM", "IS NOT")
        statements = [
            "DROP TRIGGER record_run_of_update",
            f"""CREATE TRIGGER record_run_of_update AFTER UPDATE OF {COLUMNS} ON jobs
FOR EACH ROW WHEN {HAS_RUN} AND ({changed}) BEGIN {body} END""",
        ]
    for statement in statements:
        op.execute(sa.text(statement.replace(":", r"\:")))
