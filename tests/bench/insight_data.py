"""Series of the catalogue's backups, and runs of its jobs, as the gateway itself keeps them."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from heapq import nsmallest
from itertools import count, islice

from gateway.catalogue import projections
from gateway.catalogue.tables import Backup
from gateway.catalogue.vocabularies import BackupStatus, RunOutcome
from gateway.chains.derivation import derived_columns
from gateway.chains.places import Place, place_of
from gateway.chains.policies import of_action, of_backup
from gateway.chains.rules import advance
from gateway.chains.states import Entry, State

from .catalogue import BACKUPS_PER_JOB, DAY, FIRST_NIGHT, LEVELS, SOURCES, Catalogue, Values

SERIES, POINTS = 100, 3
"""The number of series that are asked for, and of the restore points of each."""
BROKEN = 10
"""The number of broken restore points that are asked for."""
_FAILED_RUN = BACKUPS_PER_JOB - 2
"""The run of every tenth job that failed, which breaks the newest backup."""
RUNNING_SHARE = 10
"""One job in so many has runs."""
NIGHTS = 300
"""The number of runs of each of these: one a night."""
_FAIL_SHARE, _LAST_FAIL_SHARE = 50, 40
"""One run in so many has failed, and the last run of one job in so many."""
_SECONDS = 900


def is_broken(job: int) -> bool:
    """Return True for a job of which the newest backup can't be restored."""
    return job % 10 == 4


def status(number: int) -> BackupStatus:
    """Return the status of a backup."""
    job, run = divmod(number, BACKUPS_PER_JOB)
    has_failed = run == _FAILED_RUN and is_broken(job)
    return BackupStatus.ERROR if has_failed else BackupStatus.AVAILABLE


def derived(catalogue: Catalogue, number: int) -> Values:
    """Return the columns of a backup that are derived of its series."""
    job, run = divmod(number, BACKUPS_PER_JOB)
    own = _derived(job % len(SOURCES), is_failing=is_broken(job))[run]
    return own | {"series": _place(catalogue, job).id}


def series(catalogue: Catalogue) -> Iterator[Values]:
    """Yield the series of each job's backups."""
    for job in range(catalogue.jobs):
        own = _place(catalogue, job)
        newest = _derived(job % len(SOURCES), is_failing=is_broken(job))[-1]
        yield {name: getattr(own, name) or None for name in ("id", *_PLACE)} | {
            "newest_time": FIRST_NIGHT + (BACKUPS_PER_JOB - 1) * DAY,
            "restorability": newest["restorability"],
            "is_told": True,
        }


_PLACE = (
    *("media", "storage", "target", "container"),
    *("engine", "hostname", "backup_name", "resource"),
)


@lru_cache(maxsize=4)
def _place(catalogue: Catalogue, job: int) -> Place:
    metadata = catalogue.backup(job * BACKUPS_PER_JOB)["metadata"]
    return place_of(Backup(**projections.backup(metadata, "available")), metadata)


@lru_cache
def _derived(source: int, *, is_failing: bool) -> Sequence[Values]:
    """Return the derived columns of a job's backups, which all jobs of a kind have in common."""
    kinds = (one for one in count(source, len(SOURCES)) if is_broken(one) == is_failing)
    job = next(kinds)
    catalogue, state, rows = Catalogue("p", "u", job + 1), State(), []
    own = _place(catalogue, job)
    known = of_action(catalogue.action(job, 0)["freezer_action"])
    for run in range(BACKUPS_PER_JOB):
        number = job * BACKUPS_PER_JOB + run
        metadata = catalogue.backup(number)["metadata"]
        policy = of_backup(own.media, metadata, known)
        level = metadata["curr_backup_level"]
        entry = Entry(metadata["time_stamp"], status(number), level, policy)
        step = advance(state, entry, own.rules(is_told=True))
        state = step.state
        columns = derived_columns(step.verdict, state)
        rows.append(columns | {"policy": policy and policy.dump(), "derived_version": 0})
    return rows


def runs(catalogue: Catalogue) -> Iterator[Values]:
    """Yield the runs of every tenth job, night by night."""
    for night in range(NIGHTS):
        for job in range(0, catalogue.jobs, RUNNING_SHARE):
            identifier, begun = catalogue.identifier("job", job), _begun(job, night)
            yield {
                "id": f"{identifier}:{begun}",
                "job_id": identifier,
                "client_id": catalogue.client_of(job),
                "outcome": RunOutcome.FAIL if _fails(job, night) else RunOutcome.SUCCESS,
                "started_at": begun,
                "ended_at": begun + _SECONDS + (job * 7 + night) % 300,
                "attempts": 1,
            }


def of_job(job: int) -> Values:
    """Return the columns of a job that follow from its runs; none of a job that has none."""
    if job % RUNNING_SHARE:
        return {}
    nights = range(NIGHTS - 1, -1, -1)
    success = next(night for night in nights if not _fails(job, night))
    failures = NIGHTS - 1 - success
    return {
        "last_run_start": _begun(job, NIGHTS - 1),
        "last_success_start": _begun(job, success),
        "failures_in_a_row": failures,
        "failing_since": _begun(job, success + 1) if failures else None,
    }


def _begun(job: int, night: int) -> int:
    return FIRST_NIGHT + night * DAY + job % DAY


def _fails(job: int, night: int) -> bool:
    if night >= NIGHTS - 2:
        return job // RUNNING_SHARE % _LAST_FAIL_SHARE == 0
    return (job // RUNNING_SHARE * 13 + night) % _FAIL_SHARE == 0


def points(catalogue: Catalogue) -> Iterator[int]:
    """Yield the numbers of the newest restore points of the first series."""
    hosts = ((catalogue.client_of(job).partition("_")[2], job) for job in range(catalogue.jobs))
    for _, job in nsmallest(SERIES, hosts):
        numbers = (job * BACKUPS_PER_JOB + run for run in reversed(range(BACKUPS_PER_JOB)))
        available = (number for number in numbers if status(number) == BackupStatus.AVAILABLE)
        yield from islice(available, POINTS)


def broken(catalogue: Catalogue) -> Iterator[int]:
    """Yield the numbers of the first broken restore points."""
    jobs = islice(filter(is_broken, range(catalogue.jobs)), BROKEN)
    yield from (job * BACKUPS_PER_JOB + BACKUPS_PER_JOB - 1 for job in jobs)


def needing(job: int) -> Iterator[int]:
    """Yield the numbers of the backups that need the first one of a job."""
    yield from range(job * BACKUPS_PER_JOB + 1, job * BACKUPS_PER_JOB + LEVELS)
