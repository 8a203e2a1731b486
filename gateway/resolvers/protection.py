"""The health of clients and series: if they are alive, and how old their restore points are."""

import sqlalchemy as sa

from gateway.catalogue.health_tables import RecoveryObjective
from gateway.catalogue.health_words import HealthReason, HealthState
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import NO_TIME, Backup, Client, Job, columns, source
from gateway.catalogue.vocabularies import JobStatus
from gateway.chains.vocabularies import Restorability
from gateway.query.clock import MOMENT, epoch
from gateway.query.selects import CALLER
from gateway.resolvers import clients, series
from gateway.resolvers.health import Health, Rule, constant, scalar, word
from gateway.resolvers.job_health import COULD_BE_RESTORED, MAY_BE_RESTORED, words

NEW_SECONDS = 86_400
"""The seconds after its registration in which a client needs no backup."""

_CLIENTS, _SERIES = columns(Client), columns(Series)
_BACKUPS, _JOBS, _OBJECTIVES = columns(Backup), columns(Job), columns(RecoveryObjective)
_CLIENT, _OF_SERIES = source(Client), source(Series)

# Of a central client, the caller's jobs and backups; across projects, those of its own project.
# Null for another project's whose id is also a client's of the caller's own, which has them all.
_SERVED = sa.case(
    (
        sa.or_(sa.bindparam("across", None, type_=sa.Boolean), sa.not_(_CLIENTS.is_central)),
        _CLIENTS.project_id,
    ),
    (clients.SERVED_PROJECT == CALLER, CALLER),
)
_OF_CLIENT = (_BACKUPS.project_id == _SERVED, _BACKUPS.client_id == _CLIENTS.id)
_IS_RESTORABLE = sa.and_(
    _BACKUPS.restorability == word(Restorability.RESTORABLE),
    _BACKUPS.calendar_time > constant(NO_TIME),
)
_ONE = sa.literal_column("1", sa.Integer)

NEWEST_OF_CLIENT = scalar(
    sa.select(_BACKUPS.calendar_time)
    .where(*_OF_CLIENT, _IS_RESTORABLE)
    .order_by(_BACKUPS.calendar_time.desc(), _BACKUPS.id.desc())
    .limit(_ONE),
    _CLIENT,
)
"""The time of the newest backup of a client that can be restored; null for none."""
NEWEST_OF_SERIES = sa.type_coerce(
    sa.case(
        (
            sa.and_(
                _SERIES.restorability == word(Restorability.RESTORABLE),
                _SERIES.newest_time > constant(NO_TIME),
            ),
            _SERIES.newest_time,
        ),
        else_=scalar(
            sa.select(sa.func.max(_BACKUPS.calendar_time)).where(
                _BACKUPS.project_id == _SERIES.project_id,
                _BACKUPS.series == _SERIES.id,
                _IS_RESTORABLE,
            ),
            _OF_SERIES,
        ),
    ),
    sa.BigInteger(),
)
"""The time of the newest backup of a series that can be restored; null for none."""


def _objective(
    of: sa.Table, own: sa.ColumnElement[bool], project: sa.ColumnElement[str]
) -> sa.ColumnElement[int]:
    """Return the age that is allowed for an item: its own objective, else the project's."""
    project_id = of.c.project_id
    return sa.func.coalesce(
        scalar(sa.select(_OBJECTIVES.max_age).where(_OBJECTIVES.project_id == project_id, own), of),
        scalar(
            sa.select(_OBJECTIVES.max_age).where(
                _OBJECTIVES.project_id == project,
                _OBJECTIVES.client_id.is_(None),
                _OBJECTIVES.series_id.is_(None),
            ),
            of,
        ),
        type_=sa.BigInteger,
    )


OBJECTIVE_OF_CLIENT = _objective(_CLIENT, _OBJECTIVES.client_id == _CLIENTS.id, _SERVED)
OBJECTIVE_OF_SERIES = _objective(
    _OF_SERIES, _OBJECTIVES.series_id == _SERIES.id, _SERIES.project_id
)
"""The seconds that the newest restore point may be old; null where nobody has said."""


def _has_backup(*verdicts: Restorability) -> sa.ColumnElement[bool]:
    verdict = _BACKUPS.restorability.in_(words(*verdicts))
    return sa.exists().where(*_OF_CLIENT, verdict).correlate(_CLIENT)


HAS_RESTORABLE_BACKUP = _has_backup(*COULD_BE_RESTORED)
"""The predicate of clients of which there is a backup that can be restored, or once could."""


def _has_job(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    of_client = (_JOBS.project_id == _SERVED, _JOBS.client_id == _CLIENTS.id)
    return sa.exists().where(*of_client, condition).correlate(_CLIENT)


_HAS_AWAITED_JOB = _has_job(_JOBS.due_at.is_not(None))
_HAS_JOB = _has_job(
    sa.or_(
        _JOBS.due_at.is_not(None),
        _JOBS.status.in_(words(JobStatus.SCHEDULED, JobStatus.RUNNING)),
    )
)
_CREATED = epoch(_CLIENTS.created_at)
_IS_NEW = MOMENT - constant(NEW_SECONDS) < _CREATED
_SILENT = (HealthReason.CLIENT_SILENT, clients.IS_SILENT)
_SINCE_SILENT = clients.HEARD_OF + clients.SILENT_AFTER
_MISSED_BY_CLIENT = (
    sa.func.coalesce(NEWEST_OF_CLIENT, _CREATED, type_=sa.BigInteger) + OBJECTIVE_OF_CLIENT
)

OF_CLIENTS = Health(
    clients.COLLECTION,
    "client_id",
    [
        Rule(
            HealthState.CRITICAL,
            HealthReason.OBJECTIVE_MISSED,
            # Without an objective, nothing is looked for.
            sa.case(
                (OBJECTIVE_OF_CLIENT.is_(None), sa.false()),
                else_=MOMENT > _MISSED_BY_CLIENT,
            ),
            _MISSED_BY_CLIENT,
            OBJECTIVE_OF_CLIENT,
            NEWEST_OF_CLIENT,
        ),
        Rule(
            HealthState.CRITICAL,
            _SILENT[0],
            sa.and_(_SILENT[1], _HAS_AWAITED_JOB),
            _SINCE_SILENT,
            at=clients.HEARD_OF,
        ),
        Rule(HealthState.ATTENTION, *_SILENT, _SINCE_SILENT, at=clients.HEARD_OF),
        Rule(HealthState.ATTENTION, HealthReason.NO_JOB, sa.not_(_HAS_JOB)),
        Rule(
            HealthState.ATTENTION,
            HealthReason.NO_RESTORABLE_BACKUP,
            sa.and_(sa.not_(_IS_NEW), sa.not_(_has_backup(*MAY_BE_RESTORED))),
            _CREATED,
        ),
        Rule(
            HealthState.UNKNOWN,
            HealthReason.RESTORABILITY_UNKNOWN,
            sa.and_(
                sa.not_(_IS_NEW),
                sa.not_(_has_backup(*COULD_BE_RESTORED, Restorability.IN_PROGRESS)),
            ),
        ),
        Rule(HealthState.OK, HealthReason.HEALTHY, sa.true()),
    ],
)
"""The health of clients; their jobs have a health of their own."""


def _newest_is(*verdicts: Restorability) -> sa.ColumnElement[bool]:
    return _SERIES.restorability.in_(words(*verdicts))


_MISSED_BY_SERIES = NEWEST_OF_SERIES + OBJECTIVE_OF_SERIES
_AT = {"since": _SERIES.newest_time, "at": _SERIES.newest_time}

OF_SERIES = Health(
    series.COLLECTION,
    "series_id",
    [
        Rule(
            HealthState.CRITICAL,
            HealthReason.OBJECTIVE_MISSED,
            sa.case(
                (OBJECTIVE_OF_SERIES.is_(None), sa.false()),
                (NEWEST_OF_SERIES.is_(None), sa.not_(_newest_is(Restorability.IN_PROGRESS))),
                else_=MOMENT > _MISSED_BY_SERIES,
            ),
            _MISSED_BY_SERIES,
            OBJECTIVE_OF_SERIES,
            NEWEST_OF_SERIES,
        ),
        Rule(
            HealthState.CRITICAL,
            HealthReason.NEWEST_BROKEN,
            _newest_is(Restorability.BROKEN),
            **_AT,
        ),
        Rule(
            HealthState.CRITICAL,
            HealthReason.NEWEST_EXPIRED,
            _newest_is(Restorability.EXPIRED),
            **_AT,
        ),
        Rule(
            HealthState.ATTENTION,
            HealthReason.NEWEST_FAILED,
            _newest_is(Restorability.FAILED),
            **_AT,
        ),
        Rule(
            HealthState.UNKNOWN,
            HealthReason.RESTORABILITY_UNKNOWN,
            _newest_is(Restorability.UNKNOWN),
            **_AT,
        ),
        Rule(HealthState.OK, HealthReason.HEALTHY, sa.true(), **_AT),
    ],
)
"""The health of series."""
