"""The health of an item in words: a sentence, and what to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.catalogue.health_words import HealthReason, HealthState


@dataclass(frozen=True, slots=True)
class Facts:
    """The health of an item: its state and reason, and what the text of these tells."""

    state: str
    reason: str
    since: datetime | None
    number: int | None
    at: datetime | None
    is_muted: bool
    mute_reason: str | None
    muted_by: str | None
    muted_at: datetime | None
    muted_until: datetime | None

    @property
    def message(self) -> str:
        """The reason in a sentence, with the item's own numbers."""
        return _MESSAGES[self.reason](self)

    @property
    def remedy(self) -> str | None:
        """The thing to do about it; None where nothing is to be done."""
        return _REMEDIES.get(self.reason)


GONE = Facts(
    *(HealthState.UNKNOWN.value, HealthReason.DELETED.value, None, None, None),
    *(False, None, None, None, None),
)
"""The health of an item that was deleted while it was looked at."""


def written(moment: datetime | None) -> str:
    """Return a moment as it stands in a text."""
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def duration(seconds: int) -> str:
    """Return a number of seconds in the largest unit of which it is a whole number."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds and seconds % length == 0:
            return _counted(seconds // length, unit)
    return _counted(seconds, "second")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _failing(facts: Facts) -> str:
    number = facts.number or 1
    last = f"the last success began at {written(facts.at)}" if facts.at else "none has succeeded"
    which = "The last run has" if number == 1 else f"The last {number} runs have"
    return f"{which} failed or got lost; {last}."


def _missed(facts: Facts) -> str:
    allowed = f"it may be {duration(facts.number or 0)} old"
    if facts.at is None:
        return f"There is no restore point; {allowed}."
    return f"The newest restore point is of {written(facts.at)}; {allowed}."


def _silent(facts: Facts) -> str:
    return f"The client's scheduler was last heard of at {written(facts.at)}."


def _jobs(facts: Facts) -> str:
    number = facts.number or 0
    return f"{_counted(number, 'job')} of it {'is' if number == 1 else 'are'} in this state."


def _same(text: str) -> Callable[[Facts], str]:
    return lambda _: text


_MESSAGES: Mapping[str, Callable[[Facts], str]] = {
    HealthReason.SCHEDULE_UNREADABLE: _same(
        "Its schedule can't be read: a scheduler that asks for it stops, with all its other jobs."
    ),
    HealthReason.SCHEDULE_NEVER_RUNS: _same("No year has a date of its schedule: it never runs."),
    HealthReason.NEVER_RUNS_AGAIN: lambda facts: (
        "It has a schedule to run again and again, but is completed since "
        f"{written(facts.since)}: it never runs again by itself."
    ),
    HealthReason.FAILING: _failing,
    HealthReason.OVERDUE: lambda facts: (
        f"The run that was due at {written(facts.at)} has not begun, and was dropped."
    ),
    HealthReason.NO_RESTORABLE_BACKUP: _same(
        "No backup of it in the catalogue can be restored, or ever could."
    ),
    HealthReason.NO_CLIENT: _same("It has no client that is registered: nobody runs it."),
    HealthReason.CLIENT_SILENT: _silent,
    HealthReason.NO_JOB: _same("No job of it is scheduled or running: nothing will be backed up."),
    HealthReason.OBJECTIVE_MISSED: _missed,
    HealthReason.NEWEST_BROKEN: lambda facts: (
        f"The newest backup, of {written(facts.at)}, can't be restored."
    ),
    HealthReason.NEWEST_EXPIRED: lambda facts: (
        f"A retention has removed the newest backup, of {written(facts.at)}: nothing is left."
    ),
    HealthReason.NEWEST_FAILED: lambda facts: (
        f"The newest backup, of {written(facts.at)}, has failed or was deleted."
    ),
    HealthReason.JOBS: _jobs,
    HealthReason.RESTORABILITY_UNKNOWN: _same(
        "It has backups, but the catalogue doesn't tell if they can be restored."
    ),
    HealthReason.NEVER_RAN: _same("It has not run yet."),
    HealthReason.DELETED: _same("It was deleted a moment ago."),
    HealthReason.STOPPED: _same("Somebody has stopped it, or asked for that."),
    HealthReason.FINISHED: _same("It has run, and is not to run again."),
    HealthReason.HEALTHY: _same("Nothing is wrong."),
}

_REMEDIES: Mapping[str, str] = {
    HealthReason.SCHEDULE_UNREADABLE: (
        "Change the schedule; `scheduleMeaning.warnings` says what is wrong. Then start the "
        "scheduler again."
    ),
    HealthReason.SCHEDULE_NEVER_RUNS: "Change the schedule.",
    HealthReason.NEVER_RUNS_AGAIN: (
        "Start the job: schedulers don't ask for completed jobs, and one that is stopped during a "
        "run leaves the job so. If it was meant to end, delete it, or mute this."
    ),
    HealthReason.FAILING: "Look at the log of the agent on its host, and start the job.",
    HealthReason.OVERDUE: (
        "See that the scheduler runs, and that no other job keeps it busy: it drops runs that "
        "can't begin within an hour."
    ),
    HealthReason.NO_RESTORABLE_BACKUP: (
        "Look at the log of the agent: a backup whose registration fails is in the storage, but "
        "not in the catalogue. A client without jobs needs one."
    ),
    HealthReason.NO_CLIENT: "Give it a client, or register its client.",
    HealthReason.CLIENT_SILENT: "Start the scheduler on the host, and see that it gets here.",
    HealthReason.NO_JOB: "Create a job for it, start one, or delete the client.",
    HealthReason.OBJECTIVE_MISSED: "Start the job that makes these backups; see why it didn't run.",
    HealthReason.NEWEST_BROKEN: "Make a full backup; `restorabilityReason` says what is missing.",
    HealthReason.NEWEST_EXPIRED: (
        "Change the job's `remove_older_than`: 0 and false remove every backup, the new one "
        "included. Then make a backup."
    ),
    HealthReason.NEWEST_FAILED: "Look at the log of the agent, and make a backup.",
    HealthReason.JOBS: "Look at the session's jobs by their health.",
    HealthReason.RESTORABILITY_UNKNOWN: (
        "`restorabilityReason` of the newest backup says why; a full backup settles most."
    ),
    HealthReason.NEVER_RAN: "Wait for its first run, or start it.",
}
