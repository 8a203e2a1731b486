"""The words of v2: states, results, events, and what actions and clients know."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands, as its scheduler reports it."""

    COMPLETED = "completed"
    STOP = "stop"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    ABORTING = "aborting"
    REMOVED = "removed"


class JobResult(StrEnum):
    """How a job's last run ended."""

    SUCCESS = "success"
    FAIL = "fail"
    ABORTED = "aborted"


class JobEvent(StrEnum):
    """What a job's scheduler has been asked to do, and hasn't done yet."""

    START = "start"
    STOP = "stop"
    ABORT = "abort"
    REMOVE = "remove"


class BackupStatus(StrEnum):
    """What has become of a backup's data."""

    CREATING = "creating"
    AVAILABLE = "available"
    ERROR = "error"
    DELETING = "deleting"
    DELETED = "deleted"


ACTIONS = ("backup", "restore", "info", "admin", "exec")
MODES = ("fs", "mongo", "mysql", "sqlserver", "cinder", "glance", "cindernative", "nova")
STORAGES = ("local", "swift", "ssh", "s3", "ftp", "ftps")
ENGINES = ("tar", "rsync", "rsyncv2", "nova", "osbrick", "glance")
