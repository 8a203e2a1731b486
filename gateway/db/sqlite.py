"""SQLite's connections: the statements that a new one begins with."""

from collections.abc import Sequence

from gateway.settings import Settings


def pragmas(settings: Settings, *, foreign_keys: bool = True) -> Sequence[str]:
    """Return the statements for a new connection, with or without checks of foreign keys."""
    return (
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {settings.sqlite_synchronous}",
        f"PRAGMA foreign_keys = {foreign_keys:d}",
        "PRAGMA busy_timeout = 10000",
    )
