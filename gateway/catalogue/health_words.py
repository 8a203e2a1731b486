"""The words of health: states, the reasons of states, and the coverage of hosts."""

from gateway.catalogue.vocabularies import Vocabulary


class HealthState(Vocabulary):
    """The health of an item, as far as the catalogue tells."""

    OK = "OK", "Nothing needs to be done."
    UNKNOWN = "UNKNOWN", "The catalogue doesn't tell."
    ATTENTION = "ATTENTION", "Something went wrong, and may go on or pass by itself."
    CRITICAL = "CRITICAL", "Backups are not made, or can't be restored, until somebody acts."


SEVERITY = {state: number for number, state in enumerate(HealthState)}
"""The number that a state is sorted by: the worse, the higher."""


class HealthReason(Vocabulary):
    """The reason of a state of health: the worst that is known."""

    HEALTHY = "HEALTHY", "Nothing is wrong."
    STOPPED = "STOPPED", "Somebody has stopped the job."
    FINISHED = "FINISHED", "The job has run, and is not to run again."
    DELETED = "DELETED", "It was deleted while its health was looked at."
    NEVER_RAN = "NEVER_RAN", "The job has not run yet."
    RESTORABILITY_UNKNOWN = (
        "RESTORABILITY_UNKNOWN",
        "There are backups, but the catalogue doesn't tell if they can be restored.",
    )
    CLIENT_SILENT = "CLIENT_SILENT", "The scheduler of the client has not asked for its jobs."
    NO_CLIENT = "NO_CLIENT", "The job has no client, or one that isn't registered."
    NO_JOB = "NO_JOB", "No job of the client is scheduled or running."
    NO_RESTORABLE_BACKUP = (
        "NO_RESTORABLE_BACKUP",
        "It has never produced a backup that could be restored, as far as the catalogue tells.",
    )
    NEWEST_FAILED = "NEWEST_FAILED", "The newest backup has failed, or its data was deleted."
    OVERDUE = "OVERDUE", "A run was due an hour ago or earlier, and has not begun."
    FAILING = "FAILING", "The last run has failed or is lost, or several in a row."
    JOBS = "JOBS", "The jobs of the session are in this state, the worst of them."
    NEWEST_EXPIRED = "NEWEST_EXPIRED", "A retention has removed the newest backup itself."
    NEWEST_BROKEN = "NEWEST_BROKEN", "The newest backup can't be restored."
    OBJECTIVE_MISSED = (
        "OBJECTIVE_MISSED",
        "The newest restore point is older than the recovery objective allows, or there is none.",
    )
    NEVER_RUNS_AGAIN = (
        "NEVER_RUNS_AGAIN",
        "The job is to run again and again, but is completed: its scheduler was stopped in a run.",
    )
    SCHEDULE_NEVER_RUNS = "SCHEDULE_NEVER_RUNS", "No year has a date of the job's schedule."
    SCHEDULE_UNREADABLE = (
        "SCHEDULE_UNREADABLE",
        "A scheduler that reads the job's schedule stops, and runs no other job either.",
    )


class ScheduleFault(Vocabulary):
    """A fault of the schedule of a job that a scheduler is to run."""

    UNREADABLE = "unreadable", "The scheduler stops at it."
    NEVER_RUNS = "never runs", "No year has such a date."


class HostCoverage(Vocabulary):
    """The coverage of a host that should be backed up."""

    COVERED = "COVERED", "It has a restore point that is new enough."
    STALE = "STALE", "Its newest restore point is older than it may be."
    UNPROTECTED = "UNPROTECTED", "It is known, but has no restore point."
    MISSING = "MISSING", "No client and no backup is of a host with this name."
