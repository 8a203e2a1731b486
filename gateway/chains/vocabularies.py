"""The words of restorability: verdicts, their reasons, and the sources of levels."""

from gateway.catalogue.vocabularies import Vocabulary


class Restorability(Vocabulary):
    """The verdict on the restore of a backup, by the rules of freezer-agent."""

    RESTORABLE = "RESTORABLE", "All that its restore reads is in the catalogue and available."
    BROKEN = "BROKEN", "The agent can't restore it: something that it needs is gone or hidden."
    IN_PROGRESS = "IN_PROGRESS", "Its data is being written."
    FAILED = "FAILED", "It has no data: it failed, or its data was deleted."
    EXPIRED = "EXPIRED", "A retention that ran has removed its data, by the agent's rule."
    UNKNOWN = "UNKNOWN", "The catalogue doesn't tell; the reason says why."


class RestorabilityReason(Vocabulary):
    """The reason of a verdict on a backup's restore."""

    LEVELS_REPORTED = "LEVELS_REPORTED", "The agent has told the levels of its chain."
    FULL_BACKUP = "FULL_BACKUP", "Its job makes full backups only."
    LEVELS_DERIVED = "LEVELS_DERIVED", "Levels were worked out by the agent's rule."
    SAME_LEVEL_TWICE = (
        "SAME_LEVEL_TWICE",
        "Another backup of its chain has its level; the agent restores the later one.",
    )
    CINDER_BACKUP = "CINDER_BACKUP", "Cinder holds it, under an id that is known."
    LISTING_ORDER = (
        "LISTING_ORDER",
        "Its restore depends on the order in which the storage happens to list backups.",
    )
    SUPERSEDED = (
        "SUPERSEDED",
        "A later backup of its chain has its level; the agent sees one of them.",
    )
    MISSING_LEVEL = "MISSING_LEVEL", "A level below its own is missing from its chain, or failed."
    REQUIRED_DELETED = "REQUIRED_DELETED", "The data of a backup that it requires was deleted."
    REQUIRED_FORGOTTEN = (
        "REQUIRED_FORGOTTEN",
        "A backup that it requires was deleted from the catalogue; its data may still exist.",
    )
    FAILED_BEFORE = (
        "FAILED_BEFORE",
        "A backup before it in its chain failed: one that failed late may have left a level.",
    )
    POLICY_UNKNOWN = (
        "POLICY_UNKNOWN",
        "Levels aren't known: none is told, and nothing tells how they were chosen.",
    )
    LEVEL_UNKNOWN = "LEVEL_UNKNOWN", "Levels aren't known, since those before it aren't."
    VOLUMES_MIXED = (
        "VOLUMES_MIXED",
        "It reads backups of several volumes, which have one folder, since they have one name.",
    )
    REMOVED_MEANWHILE = (
        "REMOVED_MEANWHILE",
        "A retention ran meanwhile, which has removed its chain before it was made, or after.",
    )
    LEVEL_IMPOSSIBLE = "LEVEL_IMPOSSIBLE", "The agent can't have made a backup of this level here."
    NO_CINDER_BACKUP_ID = "NO_CINDER_BACKUP_ID", "The agent hasn't told Cinder's id of it."
    NO_TIME = "NO_TIME", "It has no time, so that no restore can choose it."
    CREATING = "CREATING", "Its status is `creating`."
    HAS_FAILED = "HAS_FAILED", "Its status is `error`."
    DATA_DELETED = "DATA_DELETED", "Its status is `deleting` or `deleted`."
    RETENTION = "RETENTION", "A retention has removed its chain, by the agent's rule."
    NOT_DERIVED = "NOT_DERIVED", "It has not been worked out yet."


class LevelSource(Vocabulary):
    """The source of a backup's level. Agents of release 19 report every level as 0."""

    REPORTED = "REPORTED", "The agent reported it."
    DERIVED = "DERIVED", "It follows from the agent's rule and the job's policy."


class ChainState(Vocabulary):
    """The state of a full backup and those that need it."""

    COMPLETE = "COMPLETE", "Each of its backups can be restored, but those that another one hides."
    INCOMPLETE = "INCOMPLETE", "Some of its backups have lost what they need."
    EXPIRED = "EXPIRED", "A retention that ran has removed it, by the agent's rule."
    UNKNOWN = "UNKNOWN", "The catalogue doesn't tell of some of its backups."


class RestoreWarning(Vocabulary):
    """A thing to know before a restore, by the agent's own faults among others."""

    LEVELS_DERIVED = "LEVELS_DERIVED", "Levels were worked out by the agent's rule: none is told."
    SAME_LEVEL_TWICE = (
        "SAME_LEVEL_TWICE",
        "The chain has a level twice; the agent chooses one before it looks at the date.",
    )
    OLDER_BACKUP_READ = (
        "OLDER_BACKUP_READ",
        "A newer backup is of that time, but the agent restores this one, without a word.",
    )
    FTP_NEVER_ENDS = (
        "FTP_NEVER_ENDS",
        "A restore from FTP by an agent of release 19 doesn't end.",
    )
    STORAGE_ELSEWHERE = (
        "STORAGE_ELSEWHERE",
        "The storage is local, and the client that is to restore is not on the backup's host.",
    )
    NO_SIZE = "NO_SIZE", "Agents told no size of some of the backups that are read."


class RetentionWarning(Vocabulary):
    """A thing to know of a retention."""

    NEWEST_CHAIN_EXPIRES = "NEWEST_CHAIN_EXPIRES", "It removes the newest chain, and so everything."
    LEVELS_UNKNOWN = (
        "LEVELS_UNKNOWN",
        "Levels of some backups aren't known, and so which of them go with their full backups.",
    )
    NEVER_RESTARTS = (
        "NEVER_RESTARTS",
        "The days of `restart_always_level` count from the newest backup: they never pass.",
    )
