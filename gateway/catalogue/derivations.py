"""The columns derived from others of the same row, whoever writes it: times and folded names."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import SQLModel

from gateway.catalogue.tables import (
    FIRST_SECOND,
    LAST_SECOND,
    NO_TIME,
    NOT_YET,
    Action,
    Backup,
    Client,
    Job,
    Session,
)

NAMES: Mapping[type[SQLModel], tuple[str, ...]] = {
    Action: ("backup_name", "container", "path_to_backup"),
    Backup: ("backup_name", "hostname", "container", "client_id"),
    Client: ("id", "hostname", "description"),
    Job: ("description", "client_id"),
    Session: ("description",),
}
"""The columns of each table that a free text is looked for in, in any case."""

_SEPARATOR = "\x1f"
_OTHER_SEPARATOR = "\x1e"


def derived(table: type[SQLModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the derived columns of a row of these values; {} for a table that has none."""
    columns: dict[str, Any] = {}
    if table in NAMES:
        columns["folded"] = _folded([values.get(name) for name in NAMES[table]])
    if table is Backup:
        columns["calendar_time"] = calendar_time(values.get("time_stamp"))
    return columns


def calendar_time(seconds: int | None) -> int:
    """Return epoch seconds, or `NO_TIME` for none, for `NOT_YET`, and for those of no calendar."""
    if seconds is None or seconds == NOT_YET or not FIRST_SECOND <= seconds <= LAST_SECOND:
        return NO_TIME
    return seconds


def fold(text: str) -> str:
    """Return a text as it is found whatever its case, by Unicode's full case folding."""
    return text.replace(_SEPARATOR, _OTHER_SEPARATOR).casefold()


def _folded(names: list[str | None]) -> str | None:
    """Return the folded names, separated by a character that none has.

    None for names of ASCII alone: databases themselves fold these, and they are nearly all.
    """
    given = [name for name in names if name]
    if "".join(given).isascii():
        return None
    return _SEPARATOR.join(map(fold, given))
