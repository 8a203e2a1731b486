"""The truth table: each verdict on a backup's restore, by what its series is."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.chains.policies import Policy
from gateway.chains.states import NEVER, Entry, Media
from gateway.chains.vocabularies import LevelSource
from gateway.chains.vocabularies import Restorability as Word
from gateway.chains.vocabularies import RestorabilityReason as Why
from tests.support.folding import fold

DAY = 86_400
FULL = Policy()
ENDLESS = Policy(incremental=True)


def media(name: str = "fs", storage: str = "local", *, told: bool = False) -> Media:
    return Media(name, storage in {"ssh", "ftp", "ftps"}, storage == "local", told)


def days(policy: Policy | None, *statuses: Any, told: Sequence[int] = ()) -> list[Entry]:
    """Return a backup a day: of these statuses, or as many as a number says."""
    if statuses and isinstance(statuses[0], int):
        statuses = ("available",) * statuses[0]
    levels = list(told) or [0] * len(statuses)
    return [
        Entry(day * DAY, status, level, policy)
        for day, (status, level) in enumerate(zip(statuses, levels, strict=True), 1)
    ]


def verdicts(entries: Sequence[Entry], of: Media) -> list[tuple[int | None, Word, Why]]:
    return [(one.level, one.restorability, one.reason) for one in fold(entries, of)]


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        ("creating", Word.IN_PROGRESS, Why.CREATING),
        ("error", Word.FAILED, Why.HAS_FAILED),
        ("deleting", Word.FAILED, Why.DATA_DELETED),
        ("deleted", Word.FAILED, Why.DATA_DELETED),
    ],
)
@pytest.mark.parametrize("kind", ["fs", "nova", "cindernative"])
@pytest.mark.parametrize("policy", [None, FULL, ENDLESS])
def test_a_backup_that_is_not_available(
    status: str, verdict: Word, reason: Why, kind: str, policy: Policy | None
) -> None:
    for told in (False, True):
        (found,) = fold(days(policy, status), media(kind, told=told))
        assert (found.restorability, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (True, (None, Word.RESTORABLE, Why.CINDER_BACKUP)),
        (False, (None, Word.UNKNOWN, Why.NO_CINDER_BACKUP_ID)),
    ],
)
def test_a_backup_that_cinder_holds(known: Any, verdict: Any) -> None:
    entry = Entry(DAY, "available", 0, None, has_cinder_backup=known)
    assert verdicts([entry], media("cindernative")) == [verdict]


@pytest.mark.parametrize("storage", ["local", "swift", "s3", "ssh"])
@pytest.mark.parametrize("policy", [None, FULL, Policy(incremental=True, max_level=2)])
def test_told_levels_of_which_all_are_there(storage: str, policy: Policy | None) -> None:
    entries = days(policy, 4, told=[0, 1, 2, 0])
    good = [(level, Word.RESTORABLE, Why.LEVELS_REPORTED) for level in (0, 1, 2, 0)]
    assert verdicts(entries, media(storage=storage, told=True)) == good


def test_told_levels_of_which_one_is_missing() -> None:
    entries = days(None, 3, told=[0, 2, 0])
    found = verdicts(entries, media(told=True))
    assert found[1] == (2, Word.BROKEN, Why.MISSING_LEVEL)
    assert found[2] == (0, Word.RESTORABLE, Why.LEVELS_REPORTED)


def test_told_levels_of_which_one_has_failed() -> None:
    entries = days(None, "available", "error", "available", told=[0, 1, 2])
    assert verdicts(entries, media(told=True))[2] == (2, Word.BROKEN, Why.MISSING_LEVEL)


def test_a_told_level_that_failed_and_was_made_again() -> None:
    entries = days(None, "available", "error", "available", "available", told=[0, 1, 1, 2])
    found = verdicts(entries, media(told=True))
    assert [one for _, one, _ in found] == [
        Word.RESTORABLE,
        Word.FAILED,
        Word.RESTORABLE,
        Word.RESTORABLE,
    ]


def test_a_told_level_twice_hides_the_earlier_one() -> None:
    entries = days(None, 4, told=[0, 1, 2, 2])
    found = verdicts(entries, media(told=True, storage="ssh"))
    assert found[2] == (2, Word.BROKEN, Why.SUPERSEDED)
    assert found[3] == (2, Word.RESTORABLE, Why.SAME_LEVEL_TWICE)
    found = verdicts(entries, media(told=True))
    assert found[3] == (2, Word.UNKNOWN, Why.LISTING_ORDER)


@pytest.mark.parametrize("storage", ["local", "ssh"])
def test_full_backups_only(storage: str) -> None:
    good = (0, Word.RESTORABLE, Why.FULL_BACKUP)
    assert verdicts(days(FULL, 3), media(storage=storage)) == [good] * 3


@pytest.mark.parametrize("storage", ["local", "swift", "ssh"])
def test_a_maximum_level_that_is_whole(storage: str) -> None:
    policy = Policy(incremental=True, max_level=2)
    found = verdicts(days(policy, 5), media(storage=storage))
    assert found == [(level, Word.RESTORABLE, Why.LEVELS_DERIVED) for level in (0, 1, 2, 0, 1)]


def test_a_maximum_level_after_a_failure() -> None:
    policy = Policy(incremental=True, max_level=2)
    statuses = ["available", "available", "error", "available", "available"]
    found = verdicts(days(policy, *statuses), media())
    assert found[2:] == [
        (None, Word.FAILED, Why.HAS_FAILED),
        (2, Word.UNKNOWN, Why.FAILED_BEFORE),
        (0, Word.RESTORABLE, Why.LEVELS_DERIVED),
    ]


def test_a_maximum_level_without_a_backup_that_the_catalogue_forgot() -> None:
    policy = Policy(incremental=True, max_level=3)
    entries = days(policy, 5)
    entries[1] = Entry(entries[1].time, "available", 0, policy, is_forgotten=True)
    found = verdicts(entries, media())
    assert [level for level, _, _ in found] == [0, 1, 2, 3, 0]
    assert found[2] == (2, Word.UNKNOWN, Why.REQUIRED_FORGOTTEN)
    assert found[4] == (0, Word.RESTORABLE, Why.LEVELS_DERIVED)


def test_a_maximum_level_without_data_that_was_deleted() -> None:
    policy = Policy(incremental=True, max_level=3)
    entries = days(policy, "available", "deleted", "available")
    assert verdicts(entries, media())[2] == (2, Word.BROKEN, Why.REQUIRED_DELETED)


ALWAYS = Policy(incremental=True, always_level=2)


@pytest.mark.parametrize(
    ("storage", "newest"),
    [
        ("ssh", (2, Word.RESTORABLE, Why.SAME_LEVEL_TWICE)),
        ("ftp", (2, Word.RESTORABLE, Why.SAME_LEVEL_TWICE)),
        ("local", (2, Word.UNKNOWN, Why.LISTING_ORDER)),
        ("swift", (2, Word.UNKNOWN, Why.LISTING_ORDER)),
        ("s3", (2, Word.UNKNOWN, Why.LISTING_ORDER)),
    ],
)
def test_a_level_that_is_always_made(storage: str, newest: Any) -> None:
    found = verdicts(days(ALWAYS, 8), media(storage=storage))
    assert [level for level, _, _ in found] == [0, 1, 2, 2, 2, 2, 2, 2]
    assert found[:2] == [(level, Word.RESTORABLE, Why.LEVELS_DERIVED) for level in (0, 1)]
    hidden = Word.BROKEN if newest[1] is Word.RESTORABLE else Word.UNKNOWN
    assert found[2:7] == [(2, hidden, Why.SUPERSEDED)] * 5
    assert found[7] == newest


def test_a_restart_after_more_days_than_pass_never_comes() -> None:
    policy = Policy(incremental=True, always_level=2, restart_always_level=3)
    found = verdicts(days(policy, 8), media(storage="ssh"))
    assert [level for level, _, _ in found] == [0, 1, 2, 2, 2, 2, 2, 2]


def test_a_restart_that_depends_on_the_listing() -> None:
    policy = Policy(incremental=True, always_level=1, restart_always_level=2)
    found = verdicts(days(policy, 5), media())
    assert found[3:] == [
        (1, Word.UNKNOWN, Why.LISTING_ORDER),
        (None, Word.UNKNOWN, Why.LISTING_ORDER),
    ]


def test_a_restart_after_a_pause() -> None:
    policy = Policy(incremental=True, restart_always_level=2)
    entries = [*days(policy, 2), Entry(5 * DAY, "available", 0, policy)]
    found = verdicts(entries, media())
    assert [level for level, _, _ in found] == [0, 1, 0]


@pytest.mark.parametrize("storage", ["local", "ssh"])
def test_a_policy_that_nobody_knows(storage: str) -> None:
    found = verdicts(days(None, 2), media(storage=storage))
    assert found == [(None, Word.UNKNOWN, Why.POLICY_UNKNOWN)] * 2


def test_levels_are_known_again_after_a_full_backup() -> None:
    entries = [
        Entry(DAY, "available", 0, None),
        Entry(2 * DAY, "available", 0, ENDLESS),
        Entry(3 * DAY, "available", 0, FULL),
        Entry(4 * DAY, "available", 0, ENDLESS),
    ]
    assert verdicts(entries, media()) == [
        (None, Word.UNKNOWN, Why.POLICY_UNKNOWN),
        (None, Word.UNKNOWN, Why.LEVEL_UNKNOWN),
        (0, Word.RESTORABLE, Why.FULL_BACKUP),
        (1, Word.RESTORABLE, Why.LEVELS_DERIVED),
    ]


def test_a_retention_removes_chains_by_their_full_backups() -> None:
    policy = Policy(incremental=True, max_level=2, remove_older_than=4)
    found = fold(days(policy, 8), media())
    assert [one.restorability for one in found] == [Word.EXPIRED] * 6 + [Word.RESTORABLE] * 2
    assert {one.reason for one in found[:6]} == {Why.RETENTION}


def test_a_retention_that_removes_everything_begins_a_chain() -> None:
    entries = days(Policy(incremental=True, remove_older_than=0), 3)
    assert [one.level for one in fold(entries, media())] == [0, 0, 0]
    assert {one.restorability for one in fold(entries, media())} == {Word.EXPIRED}


def test_a_failed_backup_has_nothing_that_a_retention_could_remove() -> None:
    policy = Policy(remove_older_than=1)
    found = fold(days(policy, "error", "available", "available", "available"), media())
    assert found[0].restorability is Word.FAILED


def test_a_backup_without_a_time() -> None:
    found = fold([Entry(-62_135_596_801, "available", 0, FULL)], media())
    assert [one.reason for one in found] == [Why.NO_TIME]


def test_a_backup_that_was_registered_twice() -> None:
    policy = Policy(incremental=True, max_level=2)
    entries = days(policy, 2)
    found = verdicts(
        [entries[0], entries[1], entries[1], Entry(9 * DAY, "available", 0, policy)], media()
    )
    assert [level for level, _, _ in found] == [0, 1, 1, 2]
    assert {one for _, one, _ in found} == {Word.RESTORABLE}


@pytest.mark.parametrize(
    ("storage", "later"),
    [
        ("local", (0, Word.UNKNOWN, Why.LISTING_ORDER)),
        ("swift", (0, Word.RESTORABLE, Why.FULL_BACKUP)),
    ],
)
def test_volumes_in_a_folder_whose_listing_has_no_order(storage: str, later: Any) -> None:
    found = verdicts(days(FULL, 2), media("cinder", storage))
    assert found == [(0, Word.RESTORABLE, Why.FULL_BACKUP), later]


# The whole table: levels told or derived, by each kind of policy or none that is known, on storages
# whose listings are sorted or not, with a retention that was seen or none. Five daily backups each.

R, U, B, E = Word.RESTORABLE, Word.UNKNOWN, Word.BROKEN, Word.EXPIRED
TOLD_LEVELS = {"always_level": [0, 1, 2, 2, 2], "endless": [0, 1, 2, 3, 4]}
POLICIES = {
    "unknown": None,
    "full": FULL,
    "max_level": Policy(incremental=True, max_level=2),
    "endless": ENDLESS,
    "always_level": ALWAYS,
}
REPORTED, DERIVED = [Why.LEVELS_REPORTED] * 5, [Why.LEVELS_DERIVED] * 5
TWICE = [Why.SUPERSEDED, Why.SUPERSEDED, Why.SAME_LEVEL_TWICE]
UNSORTED = [Why.SUPERSEDED, Why.SUPERSEDED, Why.LISTING_ORDER]
# The levels, verdicts and reasons, and the number of backups in the chain of the first one.
CELLS: dict[tuple[bool, str, bool], tuple[list[int | None], list[Word], list[Why], int]] = {}
for _is_sorted, _hidden, _last, _twice in ((True, B, R, TWICE), (False, U, U, UNSORTED)):
    _words = [R, R, _hidden, _hidden, _last]
    CELLS |= {
        (True, "unknown", _is_sorted): ([0, 1, 2, 0, 1], [R] * 5, REPORTED, 3),
        (True, "full", _is_sorted): ([0, 1, 2, 0, 1], [R] * 5, REPORTED, 3),
        (True, "max_level", _is_sorted): ([0, 1, 2, 0, 1], [R] * 5, REPORTED, 3),
        (True, "endless", _is_sorted): ([0, 1, 2, 3, 4], [R] * 5, REPORTED, 5),
        (True, "always_level", _is_sorted): ([0, 1, 2, 2, 2], _words, REPORTED[:2] + _twice, 5),
        # Each may be a full one: of the first, a retention surely has removed the data.
        (False, "unknown", _is_sorted): ([None] * 5, [U] * 5, [Why.POLICY_UNKNOWN] * 5, 1),
        (False, "full", _is_sorted): ([0] * 5, [R] * 5, [Why.FULL_BACKUP] * 5, 1),
        (False, "max_level", _is_sorted): ([0, 1, 2, 0, 1], [R] * 5, DERIVED, 3),
        (False, "endless", _is_sorted): ([0, 1, 2, 3, 4], [R] * 5, DERIVED, 5),
        (False, "always_level", _is_sorted): ([0, 1, 2, 2, 2], _words, DERIVED[:2] + _twice, 5),
    }


@pytest.mark.parametrize("retention", ["none", "of an admin action", "of the backups"])
@pytest.mark.parametrize("storage", ["ssh", "ftp", "local", "swift", "s3"])
@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("told", [True, False])
def test_the_truth_table(told: Any, name: str, storage: str, retention: str) -> None:
    of, policy = media(storage=storage, told=told), POLICIES[name]
    levels, words, reasons, first = CELLS[told, name, of.is_sorted]
    removals = [(NEVER, NEVER)] * 5
    if retention == "of an admin action":
        removals.append((DAY, NEVER))
    elif retention == "of the backups" and policy is not None:
        policy = replace(policy, remove_older_than=3.5)
    elif retention == "of the backups":
        # Nobody knows of it, where the policy isn't known.
        first = 0
    if retention != "none":
        words = [E] * first + words[first:]
        reasons = [Why.RETENTION] * first + reasons[first:]
    entries = days(policy, 5, told=TOLD_LEVELS.get(name, [0, 1, 2, 0, 1]) if told else ())
    found = fold(entries, of, removals)
    assert [one.level for one in found] == levels
    assert [one.restorability for one in found] == words
    assert [one.reason for one in found] == reasons
    if retention == "none":
        source = LevelSource.REPORTED if told else LevelSource.DERIVED
        assert {one.source for one in found} == {None if levels[0] is None else source}
