"""The policy by which the agent chooses the level of a backup, and removes old ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import orjson

from gateway.catalogue.tables import NO_TIME

Document = Mapping[str, Any]

NEVER_INCREMENTAL = frozenset({"nova", "glance", "cinder"})
"""The media of which the agent refuses incremental backups, or makes none."""
_FALSE = frozenset({"", "false", "no", "0", "off", "none", "null"})
DAY = 86_400
_MAX_DAYS = 1_000_000
_REMOVAL = ("remove_older_than", "remove_before_date", "remove_from_date")


@dataclass(frozen=True, slots=True)
class Policy:
    """The options of the agent that decide on levels and removals."""

    incremental: bool = False
    max_level: int = 0
    """0 for none, as in the agent; below it, every backup is a full one."""
    always_level: int = 0
    restart_always_level: float = 0
    """Days."""
    remove_older_than: float | None = None
    """Days; 0 removes everything."""
    remove_before: int | None = None
    """Epoch seconds; 0 removes everything."""

    def dump(self) -> str:
        """Return the policy as JSON, without what says nothing."""
        given = {
            key: value
            for key, value in zip(_KEYS, _VALUES(self), strict=True)
            if value or (key in {"remove_older_than", "remove_before"} and value is not None)
        }
        return orjson.dumps(given).decode()

    @staticmethod
    @lru_cache(maxsize=1024)
    def load(text: str | None) -> "Policy | None":
        """Return the policy of what `dump` returned; None for None."""
        return None if text is None else Policy(**orjson.loads(text))

    def removed_at(self, time: int) -> int:
        """Return the time up to which full backups are removed when the agent runs at a time.

        Nothing later than the run itself can be removed by it.
        """
        removed = NO_TIME
        if self.remove_older_than is not None:
            removed = math.floor(time - self.remove_older_than * DAY)
        elif self.remove_before is not None:
            # The agent takes the first second of 1970 for no limit: everything goes.
            removed = min(time, self.remove_before or time)
        return removed


_KEYS = tuple(Policy.__slots__)
_VALUES = attrgetter(*_KEYS)


def of_backup(media: str, metadata: Document, known: Policy | None) -> Policy | None:
    """Return the policy that a backup was made by; None if nothing tells.

    `known` is that of the action that made it. What the metadata says counts more: it is what the
    agent ran with.
    """
    if media in NEVER_INCREMENTAL:
        return replace(known or Policy(), incremental=False)
    keys = ("max_level", "always_level")
    levels: dict[str, Any] = {key: level for key in keys if (level := _whole(metadata.get(key)))}
    if levels and str(metadata.get("mode") or "fs") == "fs":
        # Of files, the agent refuses these options without the third.
        return replace(known or Policy(), incremental=True, **levels)
    return None if known is None else replace(known, **levels)


def of_action(action: Document) -> Policy:
    """Return the policy of a `freezer_action`, as freezer-agent 19 reads its keys."""
    before = action.get("remove_before_date") or action.get("remove_from_date")
    return Policy(
        incremental=_truth(action.get("incremental")),
        max_level=_whole(action.get("max_level")),
        always_level=_whole(action.get("always_level")),
        restart_always_level=_days(action.get("restart_always_level")) or 0,
        remove_older_than=_days_to_remove(action.get("remove_older_than")),
        remove_before=_seconds(before),
    )


def of_removal(action: Document) -> Policy | None:
    """Return the policy of an `admin` or `restore` action that has run, if it removes old chains.

    With several of the options it can't have run: the agent refuses them.
    """
    given = [key for key in _REMOVAL if action.get(key) is not None]
    if action.get("remove_older_than") == "":
        given.remove("remove_older_than")
    if len(given) != 1:
        return None
    policy = of_action(action)
    removes = policy.remove_older_than is not None or policy.remove_before is not None
    return (
        Policy(remove_older_than=policy.remove_older_than, remove_before=policy.remove_before)
        if removes
        else None
    )


def choose(actions: Sequence[Document], metadata: Document) -> Document | None:
    """Return which of a job's backup actions made a backup; None if several may have."""
    for keys in ((), ("backup_name",), ("backup_name", "container"), ("path_to_backup",)):
        found = [one for one in actions if all(_text(one, k) == _text(metadata, k) for k in keys)]
        if len(found) == 1:
            return found[0]
    return None


def _text(document: Document, key: str) -> str:
    return str(document.get(key) or "")


def _truth(value: object) -> bool:
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) <= _MAX_DAYS else None


def _whole(value: object) -> int:
    number = _number(value)
    return 0 if number is None else int(number)


def _days_to_remove(value: object) -> float | None:
    """Return the days of `remove_older_than`; for the agent, false is none at all: 0 days."""
    word = str(value).lower() if isinstance(value, (bool, str)) else ""
    if word in {"false", "none", "true"}:
        return float(word == "true")
    return _days(value)


def _days(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _seconds(value: object) -> int | None:
    """Return the epoch seconds of a date, which without an offset is in UTC, as in the agent."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    try:
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (OverflowError, ValueError):
        return None
