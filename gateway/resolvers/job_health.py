"""The health of jobs, and of sessions: that of their worst job."""

from typing import Any

import sqlalchemy as sa

from gateway.catalogue.health_words import SEVERITY, HealthReason, HealthState, ScheduleFault
from gateway.catalogue.tables import (
    Action,
    Backup,
    Client,
    Job,
    JobAction,
    Session,
    columns,
    source,
)
from gateway.catalogue.timetables import CRON, GRACE
from gateway.catalogue.vocabularies import JobEvent, JobStatus
from gateway.chains.vocabularies import Restorability
from gateway.query.clock import MOMENT, epoch
from gateway.resolvers import clients, jobs, sessions
from gateway.resolvers.health import NULL, Health, Rule, constant, scalar, word

CRITICAL_FAILURES = 3
"""How many failures in a row are critical."""
CRITICAL_OVERDUE = 86_400
"""The seconds after which a job that is overdue is critical."""

_JOBS, _ACTIONS, _LINKS = columns(Job), columns(Action), columns(JobAction)
_BACKUPS, _CLIENTS = columns(Backup), columns(Client)
_JOB = source(Job)


def words(*given: str) -> list[sa.ColumnElement[Any]]:
    """Return words as parts of the statement's text."""
    return [word(one) for one in given]


def _exists(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(*conditions).correlate(_JOB)


_is_given = _JOBS.event.is_not(None)
_IS_STOPPED = sa.or_(
    sa.and_(_JOBS.status.is_not(None), _JOBS.status.in_(words(JobStatus.STOP, JobStatus.REMOVED))),
    sa.and_(_is_given, _JOBS.event.in_(words(JobEvent.STOP, JobEvent.ABORT, JobEvent.REMOVE))),
)
_IS_STARTED = sa.and_(_is_given, _JOBS.event == word(JobEvent.START))
_IS_AWAITED = sa.and_(
    sa.not_(sa.func.coalesce(_IS_STOPPED, sa.false())),
    sa.or_(
        _IS_STARTED,
        _JOBS.status.is_(None),
        _JOBS.status.in_(words(JobStatus.SCHEDULED, JobStatus.RUNNING)),
    ),
)
"""The predicate of jobs that a scheduler runs, or is to run."""
_IS_COMPLETED = sa.and_(_JOBS.status == word(JobStatus.COMPLETED), _JOBS.event.is_(None))
_RECURS = sa.and_(
    _JOBS.schedule_date.is_(None),
    _JOBS.schedule_end_date.is_(None),
    sa.or_(
        _JOBS.schedule_interval.is_not(None),
        *(_JOBS[f"schedule_{name}"].is_not(None) for name in CRON),
    ),
)
"""The predicate of jobs that are to run again and again, without an end."""
_ENDED = sa.case((_JOBS.time_ended > constant(0), _JOBS.time_ended), else_=epoch(_JOBS.updated_at))

IS_OVERDUE = sa.and_(_JOBS.due_at.is_not(None), _JOBS.due_at < MOMENT - constant(GRACE))
IS_FAILING = _JOBS.failures_in_a_row >= sa.literal_column("1", sa.Integer)

# Not by EXISTS: PostgreSQL would read the actions of all projects first, for the few jobs that are
# asked about.
_SAVES = (
    sa.select(sa.literal_column("1"))
    .where(
        _LINKS.project_id == _JOBS.project_id,
        _LINKS.job_id == _JOBS.id,
        _ACTIONS.project_id == _LINKS.project_id,
        _ACTIONS.id == _LINKS.action_id,
        _ACTIONS.action == word("backup"),
    )
    .limit(sa.literal_column("1"))
    .correlate(_JOB)
    .scalar_subquery()
    .is_not(None)
)
COULD_BE_RESTORED = (Restorability.RESTORABLE, Restorability.EXPIRED, Restorability.BROKEN)
"""The verdicts on backups that can be restored, or could once."""
MAY_BE_RESTORED = (*COULD_BE_RESTORED, Restorability.UNKNOWN, Restorability.IN_PROGRESS)


def _has_backup(*verdicts: Restorability) -> sa.ColumnElement[bool]:
    return _exists(
        _BACKUPS.project_id == _JOBS.project_id,
        _BACKUPS.job_id == _JOBS.id,
        _BACKUPS.restorability.in_(words(*verdicts)),
    )


HAS_RESTORABLE_BACKUP = _has_backup(*COULD_BE_RESTORED)
"""The predicate of jobs that have ever produced a backup that can be restored, or could."""


def _has_saved_without(*verdicts: Restorability) -> sa.ColumnElement[bool]:
    """Return the predicate of jobs that have saved, but have no backup of these verdicts.

    In this order: of nearly all jobs, the first backup answers it.
    """
    return sa.and_(_JOBS.last_success_start.is_not(None), sa.not_(_has_backup(*verdicts)), _SAVES)


def _of_client(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the predicate that the own or a central client of the job is so."""
    own = (_CLIENTS.project_id == _JOBS.project_id, _CLIENTS.id == _JOBS.client_id)
    central = (_CLIENTS.id == _JOBS.client_id, _CLIENTS.is_central)
    # Two look-ups by an index each.
    return sa.or_(_exists(*own, *conditions), _exists(*central, *conditions))


_LAST_HEARD = scalar(
    sa.select(sa.func.max(clients.HEARD_OF)).where(
        _CLIENTS.id == _JOBS.client_id,
        sa.or_(_CLIENTS.project_id == _JOBS.project_id, _CLIENTS.is_central),
    ),
    _JOB,
)

_FAILING: dict[str, Any] = {
    "reason": HealthReason.FAILING,
    "since": _JOBS.failing_since,
    "number": _JOBS.failures_in_a_row,
    "at": _JOBS.last_success_start,
    "found_by": IS_FAILING,
}
_OVERDUE: dict[str, Any] = {
    "reason": HealthReason.OVERDUE,
    "since": _JOBS.due_at + constant(GRACE),
    "at": _JOBS.due_at,
    "found_by": IS_OVERDUE,
}
_UPDATED, _CREATED = epoch(_JOBS.updated_at), epoch(_JOBS.created_at)
_CRITICAL, _ATTENTION = HealthState.CRITICAL, HealthState.ATTENTION
_UNKNOWN, _OK = HealthState.UNKNOWN, HealthState.OK

OF_JOBS = Health(
    jobs.COLLECTION,
    "job_id",
    [
        Rule(
            _CRITICAL,
            HealthReason.SCHEDULE_UNREADABLE,
            _JOBS.due_fault == word(ScheduleFault.UNREADABLE),
            _UPDATED,
        ),
        Rule(
            _CRITICAL,
            HealthReason.SCHEDULE_NEVER_RUNS,
            _JOBS.due_fault == word(ScheduleFault.NEVER_RUNS),
            _UPDATED,
        ),
        Rule(
            _CRITICAL,
            HealthReason.NEVER_RUNS_AGAIN,
            sa.and_(_IS_COMPLETED, _RECURS),
            _ENDED,
        ),
        Rule(
            _CRITICAL,
            when=_JOBS.failures_in_a_row >= sa.literal_column(str(CRITICAL_FAILURES), sa.Integer),
            **_FAILING,
        ),
        Rule(
            _CRITICAL,
            when=_JOBS.due_at < MOMENT - constant(GRACE + CRITICAL_OVERDUE),
            **_OVERDUE,
        ),
        Rule(_ATTENTION, when=IS_FAILING, **_FAILING),
        Rule(_ATTENTION, when=IS_OVERDUE, **_OVERDUE),
        Rule(
            _ATTENTION,
            HealthReason.NO_CLIENT,
            sa.and_(_IS_AWAITED, sa.not_(_of_client())),
            _UPDATED,
        ),
        Rule(
            _ATTENTION,
            HealthReason.CLIENT_SILENT,
            sa.and_(_JOBS.due_at.is_not(None), sa.not_(_of_client(sa.not_(clients.IS_SILENT)))),
            _LAST_HEARD + clients.SILENT_AFTER,
            at=_LAST_HEARD,
        ),
        Rule(
            _ATTENTION,
            HealthReason.NO_RESTORABLE_BACKUP,
            _has_saved_without(*MAY_BE_RESTORED),
            _JOBS.last_success_start,
        ),
        Rule(
            _UNKNOWN,
            HealthReason.NEVER_RAN,
            sa.and_(_IS_AWAITED, _JOBS.last_run_start.is_(None)),
            _CREATED,
        ),
        Rule(
            _UNKNOWN,
            HealthReason.RESTORABILITY_UNKNOWN,
            _has_saved_without(*COULD_BE_RESTORED, Restorability.IN_PROGRESS),
            _JOBS.last_success_start,
        ),
        Rule(_OK, HealthReason.STOPPED, _IS_STOPPED, _UPDATED),
        Rule(_OK, HealthReason.FINISHED, _IS_COMPLETED, _ENDED),
        Rule(_OK, HealthReason.HEALTHY, sa.true(), _JOBS.last_success_start),
    ],
)
"""The health of jobs."""

_SESSIONS = columns(Session)
_IN_SESSION = (
    _JOBS.project_id == _SESSIONS.project_id,
    _JOBS.session_id == _SESSIONS.id,
)
_WORST = scalar(sa.select(sa.func.max(OF_JOBS.counted)).where(*_IN_SESSION), source(Session))


def _worst(state: HealthState) -> Rule:
    severity = constant(SEVERITY[state])
    of_state = sa.and_(*_IN_SESSION, OF_JOBS.counted == severity)
    return Rule(
        state,
        HealthReason.JOBS,
        severity == _WORST,
        scalar(sa.select(sa.func.min(OF_JOBS.since)).where(of_state), source(Session)),
        scalar(sa.select(sa.func.count()).where(of_state), source(Session)),
        NULL,
    )


OF_SESSIONS = Health(
    sessions.COLLECTION,
    "session_id",
    [
        *(_worst(state) for state in (_CRITICAL, _ATTENTION, _UNKNOWN)),
        Rule(_OK, HealthReason.HEALTHY, sa.true()),
    ],
)
"""The health of sessions: of their jobs, but for those whose health is muted."""
