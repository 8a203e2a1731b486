"""The words of the change log: the kinds of items that change, and what happens to them."""

from collections.abc import Mapping

from gateway.catalogue.vocabularies import Vocabulary


class ChangeKind(Vocabulary):
    """The kind of an item that has changed."""

    BACKUP = "BACKUP", "A backup."
    JOB = "JOB", "A job; its list of actions, its next run and its runs change with it."
    ACTION = "ACTION", "An action."
    CLIENT = "CLIENT", "A client, also a central one of another project."
    SESSION = "SESSION", "A session."
    SERIES = (
        "SERIES",
        "A series, by its backups: what can be restored of the others may have changed as well.",
    )
    SETTINGS = (
        "SETTINGS",
        "Mutes, recovery objectives, expected hosts or the project's time zone, without an id.",
    )


class ChangeOperation(Vocabulary):
    """A way in which an item changes."""

    CREATED = "CREATED", "The item is new."
    UPDATED = "UPDATED", "The item has changed, or something that is shown of it."
    DELETED = "DELETED", "The item is gone."


KIND_OF_TABLE: Mapping[str, ChangeKind] = {
    "backups": ChangeKind.BACKUP,
    "jobs": ChangeKind.JOB,
    "actions": ChangeKind.ACTION,
    "clients": ChangeKind.CLIENT,
    "sessions": ChangeKind.SESSION,
}
"""The kinds of items whose changes a transaction notes by itself, by the names of their tables."""
SETTINGS_TABLES = frozenset(
    {"health_mutes", "recovery_objectives", "expected_hosts", "project_settings"}
)
"""The tables whose rows are the settings of a project."""
