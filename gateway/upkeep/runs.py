"""The upkeep of runs: those of which nobody will tell the result, and those that are too old.

A run whose time is over is lost when a process notices, within a minute, rather than by the clock
of each query: so its outcome is a column like any other, for filters, indexes and counts, and all
that is derived of it agrees.
"""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.history import ClientHeartbeat, Run
from gateway.catalogue.tables import Client, Job, columns, source
from gateway.catalogue.vocabularies import RunOutcome
from gateway.db.database import Database
from gateway.settings import Settings

BATCH = 500
"""How many runs are changed or forgotten in one statement."""
LONGEST_FACTOR = 3
"""How many times as long as the longest run of its job a run may take, whatever the setting."""

_RUNS, _JOBS, _CLIENTS = columns(Run), columns(Job), columns(Client)
_SEEN, _REVISIONS = columns(ClientHeartbeat), columns(Revision)
_SECONDS_A_DAY = 86_400
_OF_PROJECT = sa.bindparam("of_project", type_=_RUNS.project_id.type)


def _seconds(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, None, type_=sa.BigInteger)


_ENDED = sa.alias(source(Run), "ended")
_LONGEST = sa.func.coalesce(
    sa.select(sa.func.max(_ENDED.c.ended_at - _ENDED.c.started_at))
    .where(
        _ENDED.c.project_id == _RUNS.project_id,
        _ENDED.c.job_id == _RUNS.job_id,
        _ENDED.c.ended_at.is_not(None),
    )
    .correlate(source(Run))
    .scalar_subquery(),
    sa.literal_column("0"),
)
_RUNS_TOO_LONG = sa.and_(
    _RUNS.started_at < _seconds("late"),
    _RUNS.started_at < _seconds("now") - _LONGEST * sa.literal_column(str(LONGEST_FACTOR)),
)


def _polls(silent: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the predicate that a client that may have the run has polled, silent or not."""
    return (
        sa.exists()
        .where(
            _SEEN.client_id == _RUNS.client_id,
            silent,
            _CLIENTS.project_id == _SEEN.project_id,
            _CLIENTS.id == _SEEN.client_id,
            sa.or_(_CLIENTS.project_id == _RUNS.project_id, _CLIENTS.is_central),
        )
        .correlate(source(Run))
    )


_IS_SILENT = sa.and_(
    _seconds("silent").is_not(None),
    _RUNS.started_at < _seconds("silent"),
    _polls(_SEEN.seen_at < _seconds("silent")),
    ~_polls(_SEEN.seen_at >= _seconds("silent")),
)
"""The predicate that no scheduler that may have the run has polled lately, though one has once."""

_KEEPS = (
    sa.exists()
    .where(
        _JOBS.project_id == _RUNS.project_id,
        _JOBS.id == _RUNS.job_id,
        sa.or_(
            _JOBS.last_run_start == _RUNS.started_at,
            _JOBS.last_success_start == _RUNS.started_at,
        ),
    )
    .correlate(source(Run))
)


class RunsUpkeep:
    """Marks runs that are lost, and forgets old ones, in all projects and in small steps.

    One statement finds the projects, mostly none; each of them has a transaction, which renews its
    revision: answers that show runs are kept as long as that holds.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def lose(self, *, knows_silence: bool, now: float | None = None) -> int:
        """Mark the runs whose time is over as lost, a batch of each project; return their number.

        Without knowledge of silence, which a process has only after it has listened for long
        enough, only by the time that they run. Raises Unavailable and LostRace.
        """
        now = time.time() if now is None else now
        silent = int(now) - self._settings.client_silent_after if knows_silence else None
        values = {
            "now": int(now),
            "late": int(now) - self._settings.run_lost_after,
            "silent": silent,
        }
        return await self._change(*self._losing, values)

    async def forget(self, *, now: float | None = None) -> int:
        """Forget a batch of old runs of each project, and return how many these are.

        Raises Unavailable and LostRace.
        """
        now = time.time() if now is None else now
        before = int(now) - self._settings.run_history_days * _SECONDS_A_DAY
        return await self._change(*self._forgetting, {"before": before})

    async def _change(
        self, projects: sa.Select[Any], change: Any, values: Mapping[str, int | None]
    ) -> int:
        """Change runs of each project that there are any of, and return the runs' number."""
        count = 0
        for (project_id,) in await self._database.rows(projects, values):
            async with self._database.write(project_id) as transaction:
                own = {**values, "of_project": project_id}
                count += len(await transaction.rows(change, own))
        return count

    @cached_property
    def _losing(self) -> tuple[sa.Select[Any], Any]:
        """The statements that find projects with lost runs, and that mark those of one."""
        is_over = (
            _RUNS.outcome == _word(RunOutcome.RUNNING),
            sa.or_(_RUNS_TOO_LONG, _IS_SILENT),
        )
        projects = sa.select(_RUNS.project_id).distinct().where(*is_over)
        # The job is locked before its run, as by those who write jobs.
        over = (
            sa.select(_RUNS.project_id, _RUNS.id)
            .join(source(Job), sa.and_(*self._job_of_run()))
            .where(_RUNS.project_id == _OF_PROJECT, *is_over)
            .limit(sa.literal_column(str(BATCH)))
            .with_for_update(skip_locked=True, of=source(Job))
        )
        lost = sa.update(source(Run)).values(outcome=_word(RunOutcome.LOST))
        is_running = _RUNS.outcome == _word(RunOutcome.RUNNING)
        return projects.limit(sa.literal_column(str(BATCH))), self._of(over, lost).where(is_running)

    @cached_property
    def _forgetting(self) -> tuple[sa.Select[Any], Any]:
        """The statements that find projects with old runs, and that forget those of one."""
        is_old = (
            _RUNS.started_at < _seconds("before"),
            _RUNS.outcome != _word(RunOutcome.RUNNING),
            ~_KEEPS,
        )
        # Of every project that has ever changed: so an index finds the old ones of each.
        has_old = sa.exists().where(_RUNS.project_id == _REVISIONS.project_id, *is_old)
        projects = sa.select(_REVISIONS.project_id).where(has_old.correlate(source(Revision)))
        old = (
            sa.select(_RUNS.project_id, _RUNS.id)
            .where(_RUNS.project_id == _OF_PROJECT, *is_old)
            .limit(sa.literal_column(str(BATCH)))
            .with_for_update(skip_locked=True, of=source(Run))
        )
        return projects, self._of(old, sa.delete(source(Run)))

    @staticmethod
    def _job_of_run() -> tuple[sa.ColumnElement[bool], ...]:
        return _JOBS.project_id == _RUNS.project_id, _JOBS.id == _RUNS.job_id

    def _of(self, keys: sa.Select[Any], change: Any) -> Any:
        """Return the change of the runs of these keys; SQLite has one writer, and no such locks."""
        own = sa.tuple_(_RUNS.project_id, _RUNS.id)
        if self._database.is_sqlite:
            return change.where(own.in_(keys)).returning(_RUNS.id)
        # Of a CTE with locks, every row is locked before the change sees it.
        chosen = keys.cte("chosen")
        return change.where(
            _RUNS.project_id == chosen.c.project_id, _RUNS.id == chosen.c.id
        ).returning(_RUNS.id)


def _word(outcome: RunOutcome) -> sa.ColumnElement[str]:
    """Return an outcome as a part of the statement, which a partial index is found by."""
    return sa.literal_column(f"'{outcome.value}'", sa.String)
