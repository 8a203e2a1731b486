"""Runs of jobs: the history that the database keeps of what schedulers report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.history import Run
from gateway.catalogue.tables import INT64, Backup, Client, Job, columns, source
from gateway.catalogue.vocabularies import RunOutcome
from gateway.context import Context, ItemKey
from gateway.errors import BadInput
from gateway.query.filters import AnyOf, Condition, Not, Where
from gateway.query.paging import PageRequest, Sort
from gateway.query.selects import CALLER
from gateway.resolvers import rules
from gateway.resolvers.collection import Collection, collection


class Real(sa.types.UserDefinedType[float]):
    """A floating-point number, which both drivers read as one."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the name of the type, which both databases have."""
        return "DOUBLE PRECISION"


COLUMNS = columns(Run)
_BACKUPS, _CLIENTS = columns(Backup), columns(Client)

COLLECTION = Collection(
    source=source(Run),
    # Whoever may see a job may see its runs.
    rules=rules.JOBS,
    rule=rules.JOBS.list,
    key=(COLUMNS.project_id, COLUMNS.id),
    order=(Sort(COLUMNS.started_at, descending=True), Sort(COLUMNS.id, descending=True)),
    tiebreakers=(COLUMNS.id,),
    visible=COLUMNS.project_id == CALLER,
)
OF_JOB = (COLUMNS.project_id, COLUMNS.job_id)

_LATER = sa.alias(source(Run), "later")
_LAST_SECOND = sa.func.coalesce(
    COLUMNS.ended_at,
    sa.select(sa.func.min(_LATER.c.started_at) - 1)
    .where(
        _LATER.c.project_id == COLUMNS.project_id,
        _LATER.c.job_id == COLUMNS.job_id,
        _LATER.c.started_at > COLUMNS.started_at,
    )
    .correlate(source(Run))
    .scalar_subquery(),
    sa.literal_column(str(INT64 - 1)),
)
_MADE_BY_RUN = sa.and_(
    _BACKUPS.project_id == COLUMNS.project_id,
    _BACKUPS.job_id == COLUMNS.job_id,
    _BACKUPS.calendar_time.between(COLUMNS.started_at, _LAST_SECOND),
)
"""The predicate of the backups that a run made: the job's, of the time of the run.

The scheduler starts the agent, which takes the time of its backup, and waits for it: both have one
clock. Of a run whose end nobody told, the time ends when the next one begins.
"""
BACKUPS = collection(
    Backup,
    rules.BACKUPS,
    _BACKUPS.calendar_time,
    _BACKUPS.id,
    through=source(Run),
    on=_MADE_BY_RUN,
)
"""The backups of runs, by their time."""
OF_RUN = (COLUMNS.project_id, COLUMNS.id)
OF_CLIENT = (COLUMNS.project_id, COLUMNS.client_id)

OVERLAPPING = 10
"""How many runs of one job may overlap in time: a scheduler runs a job once at a time, so that two
do only where one was taken for lost."""


def _run_of_backup() -> sa.ColumnElement[str]:
    """Return the id of the newest of a backup's runs, as `_MADE_BY_RUN` has them; null for none.

    Only the last runs before the backup are looked at: so it is one look into an index, however
    many runs its job has had.
    """
    own, later = sa.alias(source(Run), "own"), sa.alias(source(Run), "later")
    begun = (
        sa.select(own.c.project_id, own.c.job_id, own.c.id, own.c.started_at, own.c.ended_at)
        .where(
            own.c.project_id == _BACKUPS.project_id,
            own.c.job_id == _BACKUPS.job_id,
            own.c.started_at <= _BACKUPS.calendar_time,
        )
        .order_by(own.c.started_at.desc())
        .limit(sa.literal_column(str(OVERLAPPING)))
        .correlate(source(Backup))
        .subquery("begun")
    )
    goes_on = sa.and_(
        begun.c.ended_at.is_(None),
        ~sa.exists()
        .where(
            later.c.project_id == begun.c.project_id,
            later.c.job_id == begun.c.job_id,
            later.c.started_at > begun.c.started_at,
            later.c.started_at <= _BACKUPS.calendar_time,
        )
        .correlate(begun, source(Backup)),
    )
    return (
        sa.select(begun.c.id)
        .where(sa.or_(begun.c.ended_at >= _BACKUPS.calendar_time, goes_on))
        .order_by(begun.c.started_at.desc())
        .limit(sa.literal_column("1"))
        .correlate(source(Backup))
        .scalar_subquery()
    )


ID_OF_BACKUP = _run_of_backup()
"""The id of the run that made a backup."""

STARTED_AT = sa.type_coerce(COLUMNS.started_at, COLUMNS.started_at.type)
"""The column, of which every value is in the calendar: sorted by as it is, by its index."""
DURATION = sa.case(
    (COLUMNS.ended_at < COLUMNS.started_at, sa.literal_column("0")),
    else_=COLUMNS.ended_at - COLUMNS.started_at,
)
"""The seconds that a run took; a host's clock may have been put back."""
DELAY = sa.case(
    (COLUMNS.due_at > COLUMNS.started_at, sa.literal_column("0")),
    else_=COLUMNS.started_at - COLUMNS.due_at,
)
"""The seconds by which a run began late; null where nothing tells when it should have.

By its host's clock, which may be some seconds behind the gateway's.
"""

HOST = sa.func.coalesce(
    sa.select(_BACKUPS.hostname)
    .where(_MADE_BY_RUN, _BACKUPS.hostname.is_not(None))
    .order_by(_BACKUPS.calendar_time, _BACKUPS.id)
    .limit(sa.literal_column("1"))
    .correlate(source(Run))
    .scalar_subquery(),
    *(
        sa.select(_CLIENTS.hostname)
        .where(_CLIENTS.id == COLUMNS.client_id, which)
        .correlate(source(Run))
        .scalar_subquery()
        for which in (_CLIENTS.project_id == COLUMNS.project_id, _CLIENTS.is_central)
    ),
)
"""The host that its backups are of, of several that share one client; else the client's."""

USUAL_RUNS = 21
"""How many successful runs before a run tell how long it usually takes."""
FEWEST_RUNS = 5
"""How many there must be before a run can be unusual."""
UNUSUAL_FACTOR, UNUSUAL_SECONDS = 2, 60
"""How much longer or shorter than usual, and by how many seconds, is unusual."""


def _usual() -> sa.FromClause:
    """Return the usual runs before a run: each `duration`, its `place`, and their `number`."""
    prior = sa.alias(source(Run), "prior")
    duration = sa.case(
        (prior.c.ended_at < prior.c.started_at, sa.literal_column("0")),
        else_=prior.c.ended_at - prior.c.started_at,
    )
    usual = (
        sa.select(duration.label("duration"))
        .where(
            prior.c.project_id == COLUMNS.project_id,
            prior.c.job_id == COLUMNS.job_id,
            prior.c.started_at < COLUMNS.started_at,
            prior.c.outcome == sa.literal_column(f"'{RunOutcome.SUCCESS}'"),
            prior.c.ended_at.is_not(None),
        )
        .order_by(prior.c.started_at.desc())
        .limit(sa.literal_column(str(USUAL_RUNS)))
        .correlate(source(Run))
        .subquery("usual")
    )
    return sa.select(
        usual.c.duration,
        sa.func.row_number().over(order_by=usual.c.duration).label("place"),
        sa.func.count().over().label("number"),
    ).subquery("ranked")


_RANKED = _usual()
_TWO = sa.literal_column("2", sa.Integer)
_IN_THE_MIDDLE = sa.or_(
    _RANKED.c.place == (_RANKED.c.number + 1) // _TWO,
    _RANKED.c.place == (_RANKED.c.number + 2) // _TWO,
)
_MEDIAN = sa.func.avg(_RANKED.c.duration)
DURATION_RATIO = sa.cast(
    sa.cast(DURATION, Real())
    / sa.func.nullif(
        sa.select(sa.cast(_MEDIAN, Real())).where(_IN_THE_MIDDLE).scalar_subquery(),
        sa.literal_column("0"),
    ),
    Real(),
)
"""A run's duration, divided by the median of those of the usual runs before it."""
IS_UNUSUAL = sa.func.coalesce(
    sa.select(
        sa.and_(
            sa.func.max(_RANKED.c.number) >= sa.literal_column(str(FEWEST_RUNS)),
            sa.or_(
                _MEDIAN * sa.literal_column(str(UNUSUAL_FACTOR)) < DURATION,
                DURATION * sa.literal_column(str(UNUSUAL_FACTOR)) < _MEDIAN,
            ),
            sa.func.abs(DURATION - _MEDIAN) > sa.literal_column(str(UNUSUAL_SECONDS)),
        )
    )
    .where(_IN_THE_MIDDLE)
    .scalar_subquery(),
    sa.false(),
)
"""True for a run that took much longer or shorter than the usual runs before it."""

_JOBS = columns(Job)
LAST_IS_UNUSUAL = sa.func.coalesce(
    sa.select(IS_UNUSUAL)
    .where(
        COLUMNS.project_id == _JOBS.project_id,
        COLUMNS.job_id == _JOBS.id,
        COLUMNS.started_at == _JOBS.last_run_start,
    )
    .correlate(source(Job))
    .scalar_subquery(),
    sa.false(),
)
"""True for a job whose last run is unusual: for each, a look at that run and the usual ones."""

_SHOWN_OF_LAST = (
    COLUMNS.outcome,
    DURATION.label("duration"),
    # By which a page is sorted.
    COLUMNS.started_at,
    COLUMNS.id,
)
MAX_LAST = 100
"""How many runs of a job may be counted together."""


@dataclass(frozen=True)
class Durations:
    """The durations of some runs of a job, in seconds."""

    count: int
    median: int | None = None
    p95: int | None = None
    longest: int | None = None


async def success_rates(
    ctx: Context, keys: Sequence[ItemKey], last: int, *, all_projects: bool
) -> Mapping[ItemKey, float | None]:
    """Return the share of each job's last runs that succeeded, of those with a known outcome.

    Raises BadInput, Forbidden and Unavailable.
    """
    known = Not(_has_outcome(RunOutcome.RUNNING))
    found = await _last(ctx, keys, last, known, all_projects=all_projects)
    rates: dict[ItemKey, float | None] = {}
    for key, rows in found.items():
        successes = sum(row[2] == RunOutcome.SUCCESS for row in rows)
        rates[key] = successes / len(rows) if rows else None
    return rates


async def durations(
    ctx: Context, keys: Sequence[ItemKey], last: int, *, all_projects: bool
) -> Mapping[ItemKey, Durations]:
    """Return the durations of each job's last runs that succeeded.

    Raises BadInput, Forbidden and Unavailable.
    """
    succeeded = _has_outcome(RunOutcome.SUCCESS)
    found = await _last(ctx, keys, last, succeeded, all_projects=all_projects)
    return {
        key: _durations(sorted(row[3] for row in rows if row[3] is not None))
        for key, rows in found.items()
    }


def _durations(seconds: Sequence[int]) -> Durations:
    if not seconds:
        return Durations(0)
    nearest_rank = math.ceil(0.95 * len(seconds)) - 1
    return Durations(len(seconds), median_low(seconds), seconds[nearest_rank], seconds[-1])


async def _last(
    ctx: Context, keys: Sequence[ItemKey], last: int, where: Where, *, all_projects: bool
) -> Mapping[ItemKey, Sequence[Any]]:
    """Return the last runs of each job that meet a condition: their outcomes and durations."""
    if not 1 <= last <= MAX_LAST:
        raise BadInput(f"'last' must be between 1 and {MAX_LAST}, not {last}", field="last")
    runs = COLLECTION.all_projects if all_projects else COLLECTION
    page = PageRequest(COLLECTION.order, first=last)
    pages = await runs.pages_by_parent(ctx, keys, OF_JOB, page, where, _SHOWN_OF_LAST)
    return {key: page.rows for key, page in pages.items()}


def _has_outcome(outcome: RunOutcome) -> Where:
    return Condition(COLUMNS.outcome, "eq", outcome.value)


def search(text: str) -> Where:
    """Return the condition of a free text: the id of a run, a job, a client or a session."""
    names = (COLUMNS.id, COLUMNS.job_id, COLUMNS.client_id, COLUMNS.session_id)
    return AnyOf(tuple(Condition(name, "eq", text) for name in names))
