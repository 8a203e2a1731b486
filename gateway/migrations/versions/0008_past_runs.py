"""The last run of each job that had one before runs were recorded."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LAST_SECOND = 253_402_300_799
# A batch is one statement: statements have a time limit.
BATCH = 1000

_KEYS = "SELECT project_id, id FROM jobs {after} ORDER BY project_id, id LIMIT 1 OFFSET {offset}"
# As revision 0007 has it of a job that is inserted; the database then counts the runs.
_FILL = f"""
INSERT INTO runs (
  project_id, id, job_id, client_id, session_id, session_tag, outcome, started_at, ended_at,
  attempts, pids
)
SELECT project_id, id || ':' || time_started, id, client_id, session_id,
  CASE WHEN session_id IS NOT NULL THEN session_tag END,
  CASE WHEN is_running THEN 'running' ELSE result END, time_started,
  CASE WHEN NOT is_running AND time_ended BETWEEN 1 AND {LAST_SECOND} THEN time_ended END,
  CASE WHEN current_pid > 0 THEN 1 ELSE 0 END,
  CASE WHEN current_pid > 0 THEN ' ' || current_pid || ' ' ELSE ' ' END
FROM (
  SELECT jobs.*, coalesce(status, '') IN ('running', 'aborting') AS is_running FROM jobs
  WHERE time_started BETWEEN 1 AND {LAST_SECOND} {{among}}
) AS job
WHERE (
  is_running OR (result IN ('success', 'fail', 'aborted'))
) AND NOT EXISTS (
  SELECT 1 FROM runs
  WHERE runs.project_id = job.project_id AND runs.id = job.id || ':' || job.time_started
)
"""
_AFTER = "(project_id, id) > (:after_project, :after_id)"
_UNTIL = "(project_id, id) <= (:until_project, :until_id)"


def upgrade() -> None:
    """Record the runs that revision 0007 found in the jobs, in batches."""
    connection = op.get_bind()
    types = [
        sa.bindparam(f"{end}_{part}", type_=sa.Text())
        for end in ("after", "until")
        for part in ("project", "id")
    ]
    by_name = {parameter.key: parameter for parameter in types}

    def run(query: str, values: dict[str, str]) -> sa.CursorResult[Any]:
        statement = sa.text(query.replace("':'", r"'\:'"))
        return connection.execute(statement.bindparams(*(by_name[name] for name in values)), values)

    after: dict[str, str] = {}
    while True:
        condition = f"WHERE {_AFTER}" if after else ""
        last: Any = run(_KEYS.format(after=condition, offset=BATCH - 1), after).first()
        until = {} if last is None else {"until_project": last[0], "until_id": last[1]}
        among = [part for part, given in ((_AFTER, after), (_UNTIL, until)) if given]
        run(_FILL.format(among="".join(f"AND {part} " for part in among)), after | until)
        if last is None:
            return
        after = {"after_project": last[0], "after_id": last[1]}


def downgrade() -> None:
    """Leave the runs: they go with their table."""
