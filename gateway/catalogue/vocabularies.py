"""The vocabularies of v2, each word with its meaning, and the capabilities made of them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self


class Vocabulary(StrEnum):
    """A closed list of words; a member's second value is its `description`."""

    _value_: str
    description: str

    def __new__(cls, word: str, description: str = "") -> Self:
        """Return the member for a word; the description may be left out to look a word up."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.description = description
        return member


class JobStatus(Vocabulary):
    """The state of a job, as its scheduler reports it."""

    COMPLETED = "completed", "The job has run, and won't run again."
    STOP = "stop", "The job is not scheduled."
    SCHEDULED = "scheduled", "The job waits for its next run."
    RUNNING = "running", "The job is running."
    ABORTING = "aborting", "The current run is being aborted."
    REMOVED = "removed", "The scheduler has removed the job."


class JobResult(Vocabulary):
    """The result of a run."""

    SUCCESS = "success", "Every action succeeded."
    FAIL = "fail", "At least one action failed."
    ABORTED = "aborted", "The run was aborted."


class RunOutcome(Vocabulary):
    """The outcome of a run, as far as it is known."""

    RUNNING = "running", "The run has not ended."
    SUCCESS = "success", "Every action succeeded."
    FAIL = "fail", "At least one action failed."
    ABORTED = "aborted", "The run was aborted."
    LOST = "lost", "The run has ended, or no longer matters, and nobody told its result."


class JobEvent(Vocabulary):
    """A request to a job's scheduler, which it has not carried out yet."""

    START = "start", "Schedule the job."
    STOP = "stop", "Take the job off the schedule."
    ABORT = "abort", "Abort the current run."
    REMOVE = "remove", "Remove the job from the scheduler."


class ScheduleTrigger(Vocabulary):
    """The kind of a schedule: the thing that makes a job's runs begin."""

    ONCE = "once", "A date: the job runs once."
    INTERVAL = "interval", "An interval, counted from the moment at which a scheduler arms the job."
    CRON = "cron", "Fields of the calendar, in the time zone of the host."
    AT_ONCE = "at once", "Nothing: the job runs two seconds after a scheduler arms it."
    SESSION = "session", "The schedule of the job's session, which the job has been given."


class NextRunBasis(Vocabulary):
    """The knowledge that a next run is worked out from."""

    OBSERVED = (
        "observed",
        "The scheduler's last report, and a time zone that is known wherever it matters.",
    )
    ESTIMATED = (
        "estimated",
        "The schedule alone, or a host whose time zone isn't known: UTC is assumed.",
    )


class ScheduleWarningCode(Vocabulary):
    """A warning of something that a job surely does, and one may not expect."""

    NEVER_RUNS = "never runs", "No year has such a date: the job never runs."
    PHASE_RESETS = (
        "phase resets",
        "The interval begins anew whenever the scheduler is restarted or the schedule changes.",
    )
    RUNS_AT_RESTART = (
        "runs at restart",
        "The job also runs two seconds after each restart of the scheduler.",
    )
    TIME_ZONE_UNKNOWN = (
        "time zone unknown",
        "The host's time zone decides when the job runs, and isn't known: UTC is assumed.",
    )
    HOUR_LEFT_OUT = (
        "hour left out",
        "A run falls into the hour that is left out when clocks are put forward: it is late.",
    )
    HOUR_REPEATED = (
        "hour repeated",
        "A run falls into the hour that is repeated when clocks are put back: it begins twice.",
    )
    DATE_PASSED = (
        "date passed",
        "The date is more than an hour ago: a scheduler that arms the job now drops the run.",
    )
    ENDED = "ended", "The end date has passed, or comes before the next run: there is none."
    END_IGNORED = (
        "end ignored",
        "The scheduler ignores the end date: it has no start date, or is before it.",
    )
    UNREADABLE = "unreadable", "The scheduler can't read the schedule, and stops at it."
    NEVER_RESTARTS = (
        "never restarts",
        "Each backup comes before the days of `restart_always_level` have passed: no chain ends.",
    )
    REMOVES_EVERYTHING = (
        "removes everything",
        "This `remove_older_than` is 0 days: each run removes all backups, its own as well.",
    )
    NOT_REGISTERED = (
        "not registered",
        "The agent fails at this `remove_before_date` after each backup, and registers none.",
    )
    FAILS_AT_INCREMENTS = (
        "fails at increments",
        "The agent fails at this `restart_always_level` once there is a backup: it makes no other.",
    )


class BackupStatus(Vocabulary):
    """The state of a backup's data."""

    CREATING = "creating", "The data is being written."
    AVAILABLE = "available", "The data is complete."
    ERROR = "error", "Writing the data failed."
    DELETING = "deleting", "The data is being deleted."
    DELETED = "deleted", "The data has been deleted."


class SessionStatus(Vocabulary):
    """The state of a session's current run, as the gateway sets it."""

    ACTIVE = "active", "The session has not run yet."
    RUNNING = "running", "At least one job of the run has not ended."
    COMPLETED = "completed", "Every job of the run has ended."


SESSION_STATUSES = (SessionStatus.ACTIVE.value, *(status.value for status in JobStatus))
"""The statuses that v2 lets a client give a session: also those of a job."""


class SessionOutcome(Vocabulary):
    """The answer to a job that asks to start, or reports its end, with its session."""

    SUCCESS = "success", "The job's part of the run has begun, or has ended."
    HOLD_OFF = "hold-off", "The job has run already; it may start with the next run."
    OUT_OF_SYNC = "out-of-sync", "The job's tag doesn't belong to the current run."


CONTINUOUS = "continuous"
"""The schedule interval of a job that begins again as soon as it has ended."""
INTERVAL_UNITS = ("weeks", "days", "hours", "minutes", "seconds")
"""The units of any other schedule interval."""

ACTIONS = ("backup", "restore", "info", "admin", "exec")
MODES = ("fs", "mongo", "mysql", "sqlserver", "cinder", "glance", "cindernative", "nova")
STORAGES = ("local", "swift", "ssh", "s3", "ftp", "ftps")
ENGINES = ("tar", "rsync", "rsyncv2", "nova", "osbrick", "glance")

CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "supported_actions": ACTIONS,
    "supported_modes": MODES,
    "supported_storages": STORAGES,
    "supported_engines": ENGINES,
}
"""The words that the gateway knows of each column of a client's capabilities."""

CLOSED_CAPABILITIES = frozenset({"supported_actions", "supported_modes"})
"""The capabilities that take no other words: agents newer than the gateway add storages."""

CAPABILITY_OF: Mapping[str, str] = {
    "action": "supported_actions",
    "mode": "supported_modes",
    "storage": "supported_storages",
    "engine": "supported_engines",
}
"""The capability that a client needs for the word in each of these columns of an action."""
