"""A plain model of freezer-agent 19: the levels of its backups, what restores read, what goes.

The gateway's answers are compared with it, and it with freezer's own classes
(tests/compat/test_agent_rules.py). Everywhere, a time is in seconds since 1970, by the clock of the
host: of the folder in the storage, which is somewhat later than the `time_stamp` of the catalogue.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

DAY = 86400

SORTED_STORAGES = frozenset({"ssh", "ftp", "ftps"})
"""Whose listings the agent sorts by name: of a level's backups the newest is the last.

A local folder is listed as its file system does (`os.listdir`), swift and s3 return a set of names,
whose order is another one in each process.
"""


@dataclass(frozen=True, order=True)
class Link:
    """A backup in its chain: `<level zero>/<level>_<time>` in the storage."""

    chain: int
    """The time of the chain's level zero, which is the chain's name."""
    time: int
    level: int
    base: int | None = None
    """The time of the backup that it has the changes since; None: it is a full one."""

    @property
    def name(self) -> str:
        """How its folder is called in that of its chain."""
        return f"{self.level}_{self.time}"


@dataclass(frozen=True)
class Policy:
    """The options of an action that decide about the next level.

    0, False and None are the same to the agent: not given.
    """

    incremental: bool = False
    max_level: int | None = None
    always_level: int | None = None
    restart_always_level: float | None = None
    """Days."""


Folder = Mapping[int, Sequence[Link]]
"""A series in the storage: its chains by the times of their level zeros."""

Pick = Callable[[Sequence[Link]], dict[int, Link]]
"""Which backup the agent sees at each level of a chain: that which the storage lists last."""


class FailureError(Exception):
    """The agent ends with this exception."""

    def __init__(self, name: str) -> None:
        """Take the name of the exception's class."""
        super().__init__(name)
        self.name = name


NO_CHAIN = "IndexError"
"""No chain is as old as that."""
EMPTY_CHAIN = "ValueError"
"""The newest chain has no backup, or none as old: `max()` of nothing."""
MISSING_LEVEL = "KeyError"
"""A level below the highest is missing."""


@dataclass(frozen=True)
class Restore:
    """What a restore reads, in this order, and the exception in which it ends then."""

    steps: tuple[Link, ...]
    failure: str | None = None

    @property
    def shown(self) -> Link | None:
        """The backup whose data are there afterwards; None: it failed, or they are a mixture.

        They are a mixture when a step has the changes since another backup than the one before.
        """
        if self.failure is not None:
            return None
        bases = [None, *(step.time for step in self.steps)]
        if any(step.base != base for step, base in zip(self.steps, bases, strict=False)):
            return None
        return self.steps[-1]


def folder(links: Iterable[Link]) -> dict[int, list[Link]]:
    """Return the series of these backups."""
    chains: dict[int, list[Link]] = {}
    for link in links:
        chains.setdefault(link.chain, []).append(link)
    return chains


def by_name(links: Sequence[Link]) -> dict[int, Link]:
    """Pick what a sorted listing shows: the newest backup of each level."""
    return {link.level: link for link in sorted(links, key=lambda link: link.name)}


def every_pick(links: Sequence[Link]) -> Iterator[Pick]:
    """Yield every way in which an unsorted listing may show a chain."""
    levels: dict[int, list[Link]] = {}
    for link in links:
        levels.setdefault(link.level, []).append(link)
    for chosen in product(*levels.values()):
        yield lambda _, chosen=chosen: {link.level: link for link in chosen}  # type: ignore[misc]


def next_link(series: Folder, policy: Policy, now: int, pick: Pick = by_name) -> Link:
    """Return the backup that the agent makes next (`Storage.previous_backup`).

    The time of the last of the highest level decides about a restart, so daily backups never
    restart after three days. Raises `FailureError` where the agent fails before it has written any.
    """
    full = Link(now, now, 0)
    if not policy.incremental:
        return full
    try:
        levels = newest_chain(series, None, pick)
    except FailureError as failure:
        if failure.name == NO_CHAIN:
            return full
        raise
    highest = max(levels)
    previous = levels[highest]
    if policy.max_level and policy.max_level <= highest:
        return full
    if policy.always_level and highest > policy.always_level:
        return full
    days = policy.restart_always_level
    if days and now > previous.time + days * DAY:
        return full
    if policy.always_level and highest == policy.always_level:
        if highest - 1 not in levels:
            raise FailureError(MISSING_LEVEL)
        previous = levels[highest - 1]
    return Link(previous.chain, now, previous.level + 1, previous.time)


def restore(series: Folder, date: int | None, pick: Pick = by_name) -> Restore:
    """Return what a restore with this `restore_from_date` does (`BackupEngine.restore`).

    Without a date, or with 1970-01-01T00:00:00, it is a restore of the newest.
    """
    try:
        levels = newest_chain(series, date, pick)
    except FailureError as failure:
        return Restore((), failure.name)
    steps: list[Link] = []
    for level in range(max(levels) + 1):
        if level not in levels:
            return Restore(tuple(steps), MISSING_LEVEL)
        steps.append(levels[level])
    return Restore(tuple(steps))


def newest_chain(series: Folder, date: int | None, pick: Pick) -> dict[int, Link]:
    """Return the levels of the newest chain as the agent sees them.

    It forgets what is newer than the date only after it has chosen one backup of each level.
    Raises `FailureError` where there is none.
    """
    zeros = [zero for zero in series if not date or zero <= date]
    if not zeros:
        raise FailureError(NO_CHAIN)
    levels = pick(series[max(zeros)])
    found = {level: link for level, link in levels.items() if not date or link.time <= date}
    if not found:
        raise FailureError(EMPTY_CHAIN)
    return found


def possible_links(series: Folder, policy: Policy, now: int, storage: str) -> set[Link | str]:
    """Return every backup that the agent may make next; of a failure, the exception's name."""
    found: set[Link | str] = set()
    for pick in _picks(series, None, storage):
        try:
            found.add(next_link(series, policy, now, pick))
        except FailureError as failure:
            found.add(failure.name)
    return found


def possible_restores(series: Folder, date: int | None, storage: str) -> set[Restore]:
    """Return everything that a restore may do; it is one where the storage lists by name."""
    return {restore(series, date, pick) for pick in _picks(series, date, storage)}


def verdict(series: Folder, link: Link, storage: str) -> str:
    """Return if this backup can be chosen: `RESTORABLE`, `BROKEN`, or `UNKNOWN`: sometimes.

    That is, with a `restore_from_date` after its end and before the next one's.
    """
    shown = {found.shown for found in possible_restores(series, link.time, storage)}
    if shown == {link}:
        return "RESTORABLE"
    return "UNKNOWN" if link in shown else "BROKEN"


def cutoff(now: float, *, older_than: float | None = None, before: int | None = None) -> int:
    """Return up to when level zeros go: by `remove_before_date`, or by days before now."""
    if before is not None:
        return before
    assert older_than is not None
    return math.floor(now - older_than * DAY)


def left(series: Folder, until: int) -> dict[int, Sequence[Link]]:
    """Return what a removal leaves (`Storage.remove_older_than`).

    A chain goes whole when its level zero is that old, however new its last backup is. A cutoff of
    0, 1970-01-01T00:00:00, is none: everything goes.
    """
    return {zero: links for zero, links in series.items() if until and zero > until}


def _picks(series: Folder, date: int | None, storage: str) -> list[Pick]:
    zeros = [zero for zero in series if not date or zero <= date]
    if storage in SORTED_STORAGES or not zeros:
        return [by_name]
    return list(every_pick(series[max(zeros)]))
