"""Runs by their client; and reports of runs that cost PostgreSQL less.

The function of revision 0014, but for what a report can't have changed: a run is lost only by one
that arms the job, or tells of another run than the one before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

LAST_SECOND = 253_402_300_799
MAX_PIDS = 2000
"""The characters of the processes that a run remembers."""

# What a job says of the run that began at its `time_started`.
IS_RUNNING = "coalesce(NEW.status, '') IN ('running', 'aborting')"
HAS_ENDED = f"(NOT {IS_RUNNING} AND coalesce(NEW.result, '') IN ('success', 'fail', 'aborted'))"
IS_ARMED = f"""(NOT {HAS_ENDED}
      AND coalesce(NEW.status, '') IN ('scheduled', 'completed', 'stop', 'removed'))"""
RUN_ID = "NEW.id || ':' || NEW.time_started"
IS_NEW_PID = """(coalesce(NEW.current_pid, 0) > 0
      AND pids NOT LIKE '% ' || NEW.current_pid || ' %')"""
IS_NEWER_TAG = """(NEW.session_id IS NOT NULL
      AND (session_tag IS NULL OR session_tag < NEW.session_tag))"""
ENDS = "({has_ended} AND outcome IN ('running', 'lost'))"
EARLY, LATE = 60, 3600
DUE = f"""CASE WHEN OLD.due_basis = 'observed' AND OLD.due_version = OLD.version
      AND NEW.time_started BETWEEN OLD.due_at - {EARLY} AND OLD.due_at + {LATE}
      THEN OLD.due_at END"""

INSERT = f"""
    INSERT INTO runs (
      project_id, id, job_id, client_id, session_id, session_tag, outcome, started_at, due_at,
      attempts, pids
    )
    SELECT NEW.project_id, {RUN_ID}, NEW.id, NEW.client_id, NEW.session_id,
      CASE WHEN NEW.session_id IS NOT NULL THEN NEW.session_tag END, 'running', NEW.time_started,
      {DUE}, 0,
      ' ' || coalesce(OLD.current_pid || ' ', '')
    WHERE {{tells}} AND NOT EXISTS (
      SELECT 1 FROM runs WHERE project_id = NEW.project_id AND id = {RUN_ID}
    );
"""
UPDATE = f"""
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
    WHERE project_id = NEW.project_id AND id = {RUN_ID}
      AND {{tells}} AND ({ENDS} OR {IS_NEW_PID} OR {IS_NEWER_TAG});
"""
LOSE = f"""
    UPDATE runs SET outcome = 'lost'
    WHERE project_id = NEW.project_id AND job_id = NEW.id AND outcome = 'running' AND (
      started_at < NEW.time_started OR ({IS_ARMED} AND started_at = NEW.time_started) OR EXISTS (
        SELECT 1 FROM runs later
        WHERE later.project_id = NEW.project_id AND later.job_id = NEW.id
          AND later.started_at > runs.started_at
      )
    );
"""
HEAD = "CREATE OR REPLACE FUNCTION record_run() RETURNS trigger LANGUAGE plpgsql AS $$"
FUNCTION = f"""{HEAD}
DECLARE
  has_ended boolean := {HAS_ENDED};
  is_other boolean := NEW.time_started IS DISTINCT FROM OLD.time_started;
BEGIN
  IF has_ended OR {IS_RUNNING} THEN
    {INSERT.format(tells="true")}
    is_other := is_other OR FOUND;
    {UPDATE.format(tells="true", has_ended="has_ended")}
  END IF;
  IF is_other OR {IS_ARMED} THEN
    {LOSE}
  END IF;
  RETURN NULL;
END $$"""

# As revision 0014 has it.
TELLS = f"({IS_RUNNING} OR {HAS_ENDED})"
FUNCTION_BEFORE = f"""{HEAD}
BEGIN
  {INSERT.format(tells=TELLS)}
  {UPDATE.format(tells=TELLS, has_ended=HAS_ENDED)}
  {LOSE}
  RETURN NULL;
END $$"""


def upgrade() -> None:
    """Create the index, and replace the function; `db upgrade` builds the index concurrently."""
    op.create_index("ix_runs_client", "runs", ["project_id", "client_id", "started_at", "id"])
    _replace(FUNCTION)


def downgrade() -> None:
    """Drop the index, and put the function back."""
    op.drop_index("ix_runs_client", "runs")
    _replace(FUNCTION_BEFORE)


def _replace(function: str) -> None:
    """Replace the function; SQLite's triggers have none, and stay."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text(function.replace(":", r"\:")))
