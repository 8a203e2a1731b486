"""Series as the rules of chains see them: their backups, and what a storage holds at a moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Self

import orjson

from gateway.catalogue.tables import NO_TIME
from gateway.catalogue.vocabularies import BackupStatus
from gateway.chains.policies import Policy
from gateway.chains.vocabularies import LevelSource, Restorability, RestorabilityReason

SORTED = frozenset({"ssh", "ftp", "ftps"})
"""The storages whose listings the agent sorts; those of the others have no order."""
NEVER = NO_TIME
"""A time before all others."""


class Media(NamedTuple):
    """The facts of a series that its rules depend on."""

    media: str
    """The agent's `backup_media`: `fs`, `nova`, `cinder`, `glance` and others of Cinder."""
    is_sorted: bool
    """True if the agent sorts the listings of its storage."""
    is_local: bool
    is_told: bool
    """True if the agent tells levels: one of the series is not 0."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A backup of a series, as far as the rules depend on it."""

    time: int
    """The agent's time stamp, or `NO_TIME`."""
    status: str
    reported: int | None = None
    policy: Policy | None = None
    """The policy by which the agent chose its level; None: unknown."""
    has_cinder_backup: bool = False
    is_forgotten: bool = False
    """True for one that was deleted from the catalogue, whose data may exist."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one backup, and its place in its chain."""

    chain: int
    """The time of its chain's full backup; that of its own, or of the chain before, if unknown."""
    level: int | None
    source: LevelSource | None
    restorability: Restorability
    reason: RestorabilityReason


@dataclass(frozen=True, slots=True)
class State:
    """The part of a storage that holds a series, at a moment, as far as the catalogue tells."""

    chain: int | None = None
    """The time of the newest full backup; None for an empty storage."""
    level: int | None = None
    """The highest level of the newest chain; None: unknown."""
    since: int = NEVER
    """The time of the first backup of this level in the chain."""
    last: int = NEVER
    """The time of the newest backup that counts."""
    removed: int = NEVER
    """Chains whose full backup is of this time, or before, have been removed."""
    broken_above: int | None = None
    """The level above which the chain's backups need something whose data was deleted."""
    doubted_above: int | None = None
    """The level above which nobody knows what the chain's backups need, for this reason:"""
    doubt: RestorabilityReason | None = None
    levels: tuple[tuple[int, int], ...] = ()
    """The told levels that are there, each with the time of its newest backup.

    Of what Cinder holds, which has no levels, see `cinder`.
    """

    def dump(self) -> str:
        """Return the state as JSON, the same text for the same state."""
        return orjson.dumps(_VALUES(self)).decode()

    @classmethod
    def load(cls, text: str | None) -> Self:
        """Return the state of what `dump` returned; the state of no backup for None."""
        if text is None:
            return cls()
        values: dict[str, Any] = dict(zip(cls.__slots__, orjson.loads(text), strict=True))
        values["doubt"] = values["doubt"] and RestorabilityReason(values["doubt"])
        values["levels"] = tuple((level, at) for level, at in values["levels"])
        return cls(**values)


_VALUES = attrgetter(*State.__slots__)


FIXED: Mapping[str, tuple[Restorability, RestorabilityReason]] = {
    BackupStatus.CREATING: (Restorability.IN_PROGRESS, RestorabilityReason.CREATING),
    BackupStatus.ERROR: (Restorability.FAILED, RestorabilityReason.HAS_FAILED),
    BackupStatus.DELETING: (Restorability.FAILED, RestorabilityReason.DATA_DELETED),
    BackupStatus.DELETED: (Restorability.FAILED, RestorabilityReason.DATA_DELETED),
}
"""The verdicts on backups that aren't available, by their status."""


class Step(NamedTuple):
    """The effect of one more backup."""

    state: State
    verdict: Verdict
    supersedes: int | None = None
    """The time of the backup of the same chain and level that can't be chosen any more."""
