"""The history of jobs' runs, which the database itself writes by triggers.

So runs are recorded whoever writes the job: this gateway, the one before, or a program of its own.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
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

# `{before}` is the process that the job had before: one of an earlier run.
RECORD = f"""
  INSERT INTO runs (
    project_id, id, job_id, client_id, session_id, session_tag, outcome, started_at, attempts, pids
  )
  SELECT NEW.project_id, {RUN_ID}, NEW.id, NEW.client_id, NEW.session_id,
    CASE WHEN NEW.session_id IS NOT NULL THEN NEW.session_tag END, 'running', NEW.time_started, 0,
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

OF_DELETED_JOB = """
  UPDATE runs SET outcome = 'lost'
  WHERE project_id = OLD.project_id AND job_id = OLD.id AND outcome = 'running';
"""

OF_NEW_JOB = "FROM runs WHERE project_id = NEW.project_id AND job_id = NEW.id"
SINCE = f"""coalesce(
        (SELECT max(started_at) {OF_NEW_JOB} AND outcome = 'success'), 0
      ) AND outcome IN ('fail', 'lost')"""
COUNT_AGAIN = f"""
  UPDATE jobs SET
    last_run_start = (SELECT max(started_at) {OF_NEW_JOB}),
    last_success_start = (SELECT max(started_at) {OF_NEW_JOB} AND outcome = 'success'),
    failures_in_a_row = (SELECT count(*) {OF_NEW_JOB} AND started_at > {SINCE}),
    failing_since = (SELECT min(started_at) {OF_NEW_JOB} AND started_at > {SINCE})
  WHERE project_id = NEW.project_id AND id = NEW.id AND EXISTS (SELECT 1 {OF_NEW_JOB});
"""
"""The counts of a job that is there again: its runs were never gone."""

OF_JOB = "project_id = NEW.project_id AND id = NEW.job_id"
IS_SINCE_SUCCESS = "(last_success_start IS NULL OR last_success_start < NEW.started_at)"
RECOUNT = """(failures_in_a_row, failing_since) = (
      SELECT count(*), min(started_at) FROM runs
      WHERE project_id = NEW.project_id AND job_id = NEW.job_id
        AND started_at > {since} AND outcome IN ('fail', 'lost')
    )"""
COUNT_BEGUN = f"""
  UPDATE jobs SET last_run_start = NEW.started_at
  WHERE {OF_JOB} AND (last_run_start IS NULL OR last_run_start < NEW.started_at);
"""
COUNT_SUCCESS = f"""
  UPDATE jobs SET last_success_start = NEW.started_at, {RECOUNT.format(since="NEW.started_at")}
  WHERE {OF_JOB} AND {IS_SINCE_SUCCESS};
"""
COUNT_FAILURE = f"""
  UPDATE jobs SET failures_in_a_row = failures_in_a_row + 1,
    failing_since = CASE WHEN failing_since < NEW.started_at THEN failing_since
      ELSE NEW.started_at END
  WHERE {OF_JOB} AND {IS_SINCE_SUCCESS};
"""
COUNT_ABORTED = f"""
  UPDATE jobs SET {RECOUNT.format(since="coalesce(jobs.last_success_start, 0)")}
  WHERE {OF_JOB} AND {IS_SINCE_SUCCESS};
"""


def upgrade() -> None:
    """Create the table and the columns, and have the database write them; 0008 fills them in."""
    op.create_table(
        "runs",
        _text("project_id"),
        _text("id"),
        _text("job_id"),
        _text("client_id", null=True),
        _text("session_id", null=True),
        _number("session_tag", null=True),
        _text("outcome"),
        _number("started_at"),
        _number("ended_at", null=True),
        _number("due_at", null=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        _text("pids"),
        sa.PrimaryKeyConstraint("project_id", "id"),
    )
    op.create_index("ix_runs_time", "runs", ["project_id", "started_at", "id"])
    op.create_index("ix_runs_job", "runs", ["project_id", "job_id", "started_at", "id"])
    op.create_index("ix_runs_outcome", "runs", ["project_id", "outcome", "started_at", "id"])
    is_running = sa.text("outcome = 'running'")
    op.create_index(
        "ix_runs_running",
        "runs",
        ["project_id", "job_id", "started_at"],
        sqlite_where=is_running,
        postgresql_where=is_running,
    )
    op.add_column("jobs", _number("last_run_start", null=True))
    op.add_column("jobs", _number("last_success_start", null=True))
    op.add_column(
        "jobs",
        sa.Column("failures_in_a_row", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
    op.add_column("jobs", _number("failing_since", null=True))
    op.create_index("ix_jobs_failures", "jobs", ["project_id", "failures_in_a_row", "id"])
    statements = _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE
    for statement in statements:
        op.execute(sa.text(statement.replace(":", r"\:")))


def downgrade() -> None:
    """Drop the history, and what was derived of it."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for name, table in {**_ON_JOBS, **_ON_RUNS}.items():
        op.execute(f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if is_postgresql else ""))
    op.drop_table("runs")
    if is_postgresql:
        for name in ("record_run", "lose_runs", "count_again", "count_run"):
            op.execute(f"DROP FUNCTION {name}()")
    op.drop_index("ix_jobs_failures", "jobs")
    for name in ("last_run_start", "last_success_start", "failures_in_a_row", "failing_since"):
        op.drop_column("jobs", name)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, TEXT, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=null)


_ON_JOBS = dict.fromkeys(
    ("count_again", "record_run_of_insert", "record_run_of_update", "lose_runs"), "jobs"
)
_ON_RUNS = dict.fromkeys(
    (
        *("count_begun", "count_success", "count_failure"),
        *("count_later_success", "count_later_failure", "count_aborted"),
    ),
    "runs",
)

_FAILED = "('fail', 'lost')"


def _sqlite(name: str, event: str, when: str, body: str) -> str:
    return f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {when} BEGIN {body} END"


_SQLITE = (
    _sqlite(
        "record_run_of_insert",
        "INSERT ON jobs",
        f"WHEN {HAS_RUN}",
        RECORD.format(before="NULL"),
    ),
    _sqlite(
        "record_run_of_update",
        f"UPDATE OF {COLUMNS} ON jobs",
        f"WHEN {HAS_RUN} AND ({CHANGED.replace('IS DISTINCT FROM', 'IS NOT')})",
        RECORD.format(before="OLD.current_pid"),
    ),
    _sqlite("lose_runs", "DELETE ON jobs", "", OF_DELETED_JOB),
    _sqlite("count_again", "INSERT ON jobs", "", COUNT_AGAIN),
    _sqlite("count_begun", "INSERT ON runs", "", COUNT_BEGUN),
    _sqlite("count_success", "INSERT ON runs", "WHEN NEW.outcome = 'success'", COUNT_SUCCESS),
    _sqlite("count_failure", "INSERT ON runs", f"WHEN NEW.outcome IN {_FAILED}", COUNT_FAILURE),
    _sqlite(
        "count_later_success",
        "UPDATE OF outcome ON runs",
        "WHEN NEW.outcome = 'success' AND OLD.outcome <> 'success'",
        COUNT_SUCCESS,
    ),
    _sqlite(
        "count_later_failure",
        "UPDATE OF outcome ON runs",
        f"WHEN NEW.outcome IN {_FAILED} AND OLD.outcome NOT IN {_FAILED}",
        COUNT_FAILURE,
    ),
    _sqlite(
        "count_aborted",
        "UPDATE OF outcome ON runs",
        "WHEN NEW.outcome = 'aborted' AND OLD.outcome = 'lost'",
        COUNT_ABORTED,
    ),
)


def _function(name: str, body: str) -> str:
    return f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {body} RETURN NULL; END $$"""


def _trigger(name: str, event: str, when: str, function: str) -> str:
    return f"""CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {when}
EXECUTE FUNCTION {function}()"""


_POSTGRESQL = (
    _function("record_run", RECORD.format(before="OLD.current_pid")),
    _function("lose_runs", OF_DELETED_JOB),
    _function("count_again", COUNT_AGAIN),
    _function(
        "count_run",
        f"""
  IF TG_OP = 'INSERT' THEN {COUNT_BEGUN} END IF;
  IF NEW.outcome = 'success' THEN {COUNT_SUCCESS}
  ELSIF NEW.outcome IN {_FAILED} THEN
    IF TG_OP = 'INSERT' OR coalesce(OLD.outcome, '') NOT IN {_FAILED} THEN {COUNT_FAILURE} END IF;
  ELSIF NEW.outcome = 'aborted' AND OLD.outcome = 'lost' THEN {COUNT_ABORTED}
  END IF;
""",
    ),
    _trigger("record_run_of_insert", "INSERT ON jobs", f"WHEN ({HAS_RUN})", "record_run"),
    _trigger(
        "record_run_of_update",
        f"UPDATE OF {COLUMNS} ON jobs",
        f"WHEN ({HAS_RUN} AND ({CHANGED}))",
        "record_run",
    ),
    _trigger("lose_runs", "DELETE ON jobs", "", "lose_runs"),
    _trigger("count_again", "INSERT ON jobs", "", "count_again"),
    _trigger("count_begun", "INSERT ON runs", "", "count_run"),
    _trigger(
        "count_later_success",
        "UPDATE OF outcome ON runs",
        "WHEN (NEW.outcome IS DISTINCT FROM OLD.outcome)",
        "count_run",
    ),
)
