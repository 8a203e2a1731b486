"""The upkeep of runs: those of which nobody will tell the result, and those that are too old.

A run whose time is over is lost when a process notices, within a minute, rather than by the clock
of each query: so its outcome is a column like any other, for filters, indexes and counts, and all
that is derived of it agrees.
"""

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.history import ClientHeartbeat, Run
from gateway.catalogue.tables import Client, Job, columns, source
from gateway.catalogue.vocabularies import RunOutcome
from gateway.db.database import Database
from gateway.db.revisions import UPKEEP
from gateway.db.statements import Statement
from gateway.settings import Settings

BATCH = 500
"""How many runs are changed or forgotten in one statement."""
LONGEST_FACTOR = 3
"""How many times as long as the longest run of its job a run may take, whatever the setting."""

_RUNS, _JOBS, _CLIENTS = columns(Run), columns(Job), columns(Client)
_SEEN, _REVISIONS = columns(ClientHeartbeat), columns(Revision)
_SECONDS_A_DAY = 86_400


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

    Each project of one of them gets a new revision, as by every other change of what it is shown.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def lose(self, *, knows_silence: bool, now: float | None = None) -> int:
        """Mark the runs whose time is over as lost, and return how many these are, of a batch.

        Without knowledge of silence, which a process has only after it has listened for long
        enough, only by the time that they run. Raises Unavailable.
        """
        now = time.time() if now is None else now
        silent = int(now) - self._settings.client_silent_after if knows_silence else None
        values = {
            "now": int(now),
            "late": int(now) - self._settings.run_lost_after,
            "silent": silent,
        }
        statement = self._database.statement((RunsUpkeep, "lose"), self._lose)
        return await self._change(statement, values)

    async def forget(self, *, now: float | None = None) -> int:
        """Forget a batch of old runs, and return how many these are. Raises Unavailable."""
        now = time.time() if now is None else now
        before = int(now) - self._settings.run_history_days * _SECONDS_A_DAY
        statement = self._database.statement((RunsUpkeep, "forget"), self._forget)
        return await self._change(statement, {"before": before})

    async def _change(self, statement: Statement, values: Mapping[str, Any]) -> int:
        async with self._database.write(mirror=UPKEEP) as transaction:
            rows = await transaction.run(statement, values)
            for project_id, job_id in rows:
                transaction.tell(ChangeKind.JOB, project_id, job_id)
        return len(rows)

    def _lose(self) -> Any:
        # The job is locked before its run, as by those who write jobs.
        over = (
            sa.select(_RUNS.project_id, _RUNS.id)
            .join(source(Job), sa.and_(*self._job_of_run()))
            .where(_RUNS.outcome == _word(RunOutcome.RUNNING), sa.or_(_RUNS_TOO_LONG, _IS_SILENT))
            .limit(sa.literal_column(str(BATCH)))
            .with_for_update(skip_locked=True, of=source(Job))
        )
        return self._of(over, sa.update(source(Run)).values(outcome=_word(RunOutcome.LOST))).where(
            _RUNS.outcome == _word(RunOutcome.RUNNING)
        )

    def _forget(self) -> Any:
        old = (
            sa.select(_RUNS.project_id, _RUNS.id)
            .where(
                # Every project that has ever changed: so an index finds the old ones of each.
                _RUNS.project_id.in_(sa.select(_REVISIONS.project_id)),
                _RUNS.started_at < _seconds("before"),
                _RUNS.outcome != _word(RunOutcome.RUNNING),
                ~_KEEPS,
            )
            .limit(sa.literal_column(str(BATCH)))
            .with_for_update(skip_locked=True, of=source(Run))
        )
        return self._of(old, sa.delete(source(Run)))

    @staticmethod
    def _job_of_run() -> tuple[sa.ColumnElement[bool], ...]:
        return _JOBS.project_id == _RUNS.project_id, _JOBS.id == _RUNS.job_id

    def _of(self, keys: sa.Select[Any], change: Any) -> Any:
        """Return the change of the runs of these keys; SQLite has one writer, and no such locks."""
        own = sa.tuple_(_RUNS.project_id, _RUNS.id)
        if self._database.is_sqlite:
            return change.where(own.in_(keys)).returning(_RUNS.project_id, _RUNS.job_id)
        # Of a CTE with locks, every row is locked before the change sees it.
        chosen = keys.cte("chosen")
        return change.where(
            _RUNS.project_id == chosen.c.project_id, _RUNS.id == chosen.c.id
        ).returning(_RUNS.project_id, _RUNS.job_id)


def _word(outcome: RunOutcome) -> sa.ColumnElement[str]:
    """Return an outcome as a part of the statement, which a partial index is found by."""
    return sa.literal_column(f"'{outcome.value}'", sa.String)
