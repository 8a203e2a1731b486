"""The overview of a project: what needs somebody, counted in a constant number of statements."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.health_words import SEVERITY, HealthReason, HealthState
from gateway.catalogue.tables import FIRST_SECOND, Job, columns
from gateway.catalogue.vocabularies import JobStatus
from gateway.context import Context
from gateway.query.filters import All, Condition
from gateway.resolvers import clients, coverage, job_health, protection, runs
from gateway.resolvers.collection import Column
from gateway.resolvers.coverage import Coverage
from gateway.resolvers.health import Health, moment_of, seconds_of, word

RECENT_SECONDS = 86_400
"""The time before the moment of an overview whose runs it counts, if nobody says."""

_JOBS = columns(Job)
_STATES = {number: state for state, number in SEVERITY.items()}
_SENTENCES = {
    HealthState.CRITICAL: ("{} are critical.", "{} is critical."),
    HealthState.ATTENTION: ("{} need attention.", "{} needs attention."),
    HealthState.UNKNOWN: ("Too little is known of {}.", "Too little is known of {}."),
}
"""The sentences about several items in a state, and about one."""


@dataclass
class Counts:
    """How many items of a kind are in each state; those that are muted count apart."""

    ok: int = 0
    unknown: int = 0
    attention: int = 0
    critical: int = 0
    muted: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    """How many of those that aren't muted have each of the flags that were asked for."""
    since: dict[HealthState, int] = field(default_factory=dict)
    """The earliest second of each state."""

    @property
    def total(self) -> int:
        """The number of all."""
        return self.ok + self.unknown + self.attention + self.critical + self.muted


@dataclass(frozen=True)
class Overview:
    """The things that need somebody in a project, or in all."""

    as_of: datetime
    since: datetime
    state: HealthState
    state_since: datetime | None
    message: str
    jobs: Counts
    clients: Counts
    series: Counts
    sessions: Counts
    outcomes: Mapping[str, int]
    hosts: Coverage | None
    """None for all projects."""


def _reason(health: Health, reason: HealthReason) -> Column:
    """Return the predicate that one of the rules with a reason would hold by itself."""
    return sa.or_(*(rule.when for rule in health.rules if rule.reason is reason))


class _Counting:
    """Counts the items of a kind by their health, and by flags, in one statement."""

    def __init__(self, health: Health, **flags: Column) -> None:
        self.health = health
        self.flags = tuple(flags)
        self.select: tuple[Column, ...] = (
            health.severity.label("severity"),
            health.is_muted.label("is_muted"),
            health.since.label("since"),
            *(
                sa.case((flag, sa.literal_column("1")), else_=sa.literal_column("0")).label(name)
                for name, flag in flags.items()
            ),
        )

        # A bound method is another one each time, and statements are found again by their form.
        self.form = self._grouped

    def _grouped(self, query: sa.Select[Any], _page_request: None, _keys: Any) -> sa.Select[Any]:
        """Select the numbers of a list's items, grouped by their health."""
        items = query.subquery("items")
        flags = (sa.cast(sa.func.sum(items.c[name]), sa.BigInteger) for name in self.flags)
        return sa.select(
            items.c.severity, items.c.is_muted, sa.func.count(), sa.func.min(items.c.since), *flags
        ).group_by(items.c.severity, items.c.is_muted)

    async def counted(self, ctx: Context, as_of: datetime | None, *, all_projects: bool) -> Counts:
        """Return the numbers. Raises Forbidden and Unavailable."""
        collection = self.health.collection
        collection = collection.all_projects if all_projects else collection
        collection = collection if as_of is None else collection.as_of(as_of)
        rows = await collection.rows(ctx, self.form, self.select)
        counts = Counts(flags=dict.fromkeys(self.flags, 0))
        for severity, is_muted, number, since, *flags in rows:
            if is_muted:
                counts.muted += number
                continue
            state = _STATES[severity]
            name = state.name.lower()
            setattr(counts, name, getattr(counts, name) + number)
            if since is not None:
                counts.since[state] = since
            for flag, found in zip(self.flags, flags, strict=True):
                counts.flags[flag] += found
        return counts


_OF_JOBS = _Counting(
    job_health.OF_JOBS,
    failing=job_health.IS_FAILING,
    overdue=job_health.IS_OVERDUE,
    running=_JOBS.status == word(JobStatus.RUNNING),
    never_restorable=_reason(job_health.OF_JOBS, HealthReason.NO_RESTORABLE_BACKUP),
)
_OF_CLIENTS = _Counting(
    protection.OF_CLIENTS,
    silent=clients.IS_SILENT,
    never_restorable=sa.not_(protection.HAS_RESTORABLE_BACKUP),
    missed=_reason(protection.OF_CLIENTS, HealthReason.OBJECTIVE_MISSED),
)
_OF_SERIES = _Counting(
    protection.OF_SERIES,
    broken=_reason(protection.OF_SERIES, HealthReason.NEWEST_BROKEN),
    missed=_reason(protection.OF_SERIES, HealthReason.OBJECTIVE_MISSED),
)
_OF_SESSIONS = _Counting(job_health.OF_SESSIONS)

_OUTCOMES = (runs.COLUMNS.outcome, runs.COLUMNS.started_at)


def _by_outcome(query: sa.Select[Any], _page_request: None, _keys: Any) -> sa.Select[Any]:
    found = query.subquery("found")
    return sa.select(found.c.outcome, sa.func.count()).group_by(found.c.outcome)


async def of_project(
    ctx: Context,
    as_of: datetime | None = None,
    since: datetime | None = None,
    *,
    all_projects: bool = False,
) -> Overview:
    """Return the overview as of a moment, by default of now, with the runs that began since.

    Raises Forbidden and Unavailable.
    """
    moment = None if as_of is None else seconds_of(as_of)
    now = int(time.time()) if moment is None else moment
    begin = max(now - RECENT_SECONDS, FIRST_SECOND) if since is None else seconds_of(since)
    # One after the other: an overview must not take several connections.
    found = [
        await one.counted(ctx, as_of, all_projects=all_projects)
        for one in (_OF_JOBS, _OF_CLIENTS, _OF_SERIES, _OF_SESSIONS)
    ]
    outcomes = await _outcomes(ctx, begin, moment, all_projects=all_projects)
    hosts = None if all_projects else await coverage.of_hosts(ctx, as_of=as_of)
    state, since_then, message = _summary(found, hosts)
    return Overview(
        as_of=as_of or datetime.fromtimestamp(now, UTC),
        since=since or datetime.fromtimestamp(begin, UTC),
        state=state,
        state_since=moment_of(since_then),
        message=message,
        jobs=found[0],
        clients=found[1],
        series=found[2],
        sessions=found[3],
        outcomes=outcomes,
        hosts=hosts,
    )


async def _outcomes(
    ctx: Context, begin: int, end: int | None, *, all_projects: bool
) -> Mapping[str, int]:
    collection = runs.COLLECTION.all_projects if all_projects else runs.COLLECTION
    where = [Condition(runs.COLUMNS.started_at, "gte", begin)]
    if end is not None:
        where.append(Condition(runs.COLUMNS.started_at, "lte", end))
    rows = await collection.rows(ctx, _by_outcome, _OUTCOMES, All(tuple(where)))
    return {row[0]: row[1] for row in rows}


def _summary(
    found: Sequence[Counts], hosts: Coverage | None
) -> tuple[HealthState, int | None, str]:
    """Return the worst state, since when it is so, and a sentence of how many are in it."""
    names = ("job", "client", "series", "session")
    uncovered = 0 if hosts is None else hosts.uncovered
    for state in _SENTENCES:
        numbers = [getattr(counts, state.name.lower()) for counts in found]
        parts = [
            f"{number} {name if number == 1 or name == 'series' else f'{name}s'}"
            for number, name in zip(numbers, names, strict=True)
            if number
        ]
        if state is HealthState.CRITICAL and uncovered:
            parts.append(f"{uncovered} expected host{'' if uncovered == 1 else 's'}")
        if parts:
            seconds = [counts.since[state] for counts in found if state in counts.since]
            is_one = len(parts) == 1 and parts[0].startswith("1 ")
            listed = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
            return state, min(seconds, default=None), _SENTENCES[state][is_one].format(listed)
    return HealthState.OK, None, "Nothing is wrong."
