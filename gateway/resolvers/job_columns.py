"""Columns of jobs that are worked out in SQL: the process, the schedule, and the ids of runs."""

import sqlalchemy as sa

from gateway.catalogue.column_types import JSONText
from gateway.catalogue.tables import Action, Job, JobAction, columns, source
from gateway.query.filters import without_key
from gateway.query.json_lists import json_texts
from gateway.resolvers import clients

COLUMNS = columns(Job)

# Correlated by name: in a subquery of a document filter, on SQLite, they would otherwise be about
# any job.
_RUN_BY_OTHER_PROJECT = sa.and_(
    sa.exists()
    .where(
        clients.COLUMNS.id == COLUMNS.client_id,
        clients.COLUMNS.is_central,
        clients.COLUMNS.project_id != COLUMNS.project_id,
    )
    .correlate(source(Job)),
    ~sa.exists()
    .where(
        clients.COLUMNS.id == COLUMNS.client_id,
        clients.COLUMNS.project_id == COLUMNS.project_id,
    )
    .correlate(source(Job)),
)
"""The predicate of jobs run by another project's central client, whose processes are hidden."""

CURRENT_PID = sa.case((_RUN_BY_OTHER_PROJECT, None), else_=COLUMNS.current_pid)
"""The process that runs the job, or null if it is another project's."""
SCHEDULE = sa.type_coerce(
    sa.case(
        (_RUN_BY_OTHER_PROJECT, without_key(COLUMNS.job_schedule, "current_pid")),
        else_=COLUMNS.job_schedule,
    ),
    JSONText(),
)
"""The schedule's document, without the process if it is another project's."""

_ACTIONS, _LINKS = columns(Action), columns(JobAction)
ACTIONS = sa.type_coerce(
    sa.select(json_texts(_ACTIONS.freezer_action))
    .where(
        _LINKS.project_id == COLUMNS.project_id,
        _LINKS.job_id == COLUMNS.id,
        _ACTIONS.project_id == _LINKS.project_id,
        _ACTIONS.id == _LINKS.action_id,
    )
    .correlate(source(Job))
    .scalar_subquery(),
    JSONText(),
)
"""The documents of the job's actions, in no particular order, as texts in a list of JSON."""

LAST_RUN_ID, LAST_SUCCESS_ID = (
    COLUMNS.id.concat(sa.literal_column("':'")).concat(sa.cast(start, sa.Text))
    for start in (COLUMNS.last_run_start, COLUMNS.last_success_start)
)
"""The ids of these runs, as `catalogue/history.py` has them."""
