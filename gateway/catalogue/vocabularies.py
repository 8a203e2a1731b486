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
