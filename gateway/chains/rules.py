"""freezer-agent's rules as a fold: from a series' backups, in the order of time, to verdicts.

The agent chooses the level of a backup by what the storage lists (`Storage.previous_backup`), and
restores by what it lists then (`get_latest_level_zero_increments`, `BackupEngine.restore`). `State`
is what the storage holds of a series at a moment, as far as the catalogue tells; `advance` is the
next backup.
"""

from dataclasses import replace

from gateway.catalogue.tables import NO_TIME
from gateway.catalogue.vocabularies import BackupStatus
from gateway.chains import cinder
from gateway.chains.policies import Policy
from gateway.chains.states import FIXED, NEVER, Entry, Media, State, Step, Verdict
from gateway.chains.vocabularies import LevelSource, Restorability, RestorabilityReason

Reason = RestorabilityReason

DAY = 86_400


def advance(state: State, entry: Entry, media: Media, removing: int = NEVER) -> Step:
    """Return what a series is after its next backup, which is later than all before.

    Chains up to the time `removing` have been removed before it or after it, nobody knows which.
    """
    if entry.time == NO_TIME:
        return Step(state, _verdict(NO_TIME, None, Restorability.UNKNOWN, Reason.NO_TIME))
    if state.chain is not None and state.removed >= state.chain:
        state = State(removed=state.removed)
    if media.media == "cindernative":
        return cinder.advance(state, entry)
    if entry.status == BackupStatus.CREATING:
        return Step(state, _unfinished(state, entry, Restorability.IN_PROGRESS, Reason.CREATING))
    if entry.status == BackupStatus.ERROR:
        failed = _unfinished(state, entry, Restorability.FAILED, Reason.HAS_FAILED)
        return Step(_doubting(state, Reason.FAILED_BEFORE, media), failed)
    if media.is_told:
        step = _told(state, entry, media)
    elif _is_in_doubt(state, entry, removing):
        step = _unknown(state, entry, Reason.REMOVED_MEANWHILE)
    else:
        step = _derived(state, entry, media)
    until = removed_by(entry)
    if until <= step.state.removed:
        return step
    return step._replace(state=after_removal(step.state, until))


def _is_in_doubt(state: State, entry: Entry, removing: int) -> bool:
    is_next = state.chain is not None and state.chain <= removing and entry.time != state.last
    return is_next and entry.policy is not None and entry.policy.incremental


def removed_by(entry: Entry) -> int:
    """Return the time up to which full backups' chains were removed with this backup."""
    if entry.policy is None or entry.status != BackupStatus.AVAILABLE:
        return NEVER
    return entry.policy.removed_at(entry.time)


def after_removal(state: State, until: int) -> State:
    """Return the state after chains up to this time have been removed."""
    return replace(state, removed=until) if until > state.removed else state


def _verdict(
    chain: int,
    level: int | None,
    restorability: Restorability,
    reason: Reason,
    source: LevelSource | None = None,
) -> Verdict:
    return Verdict(chain, level, source, restorability, reason)


def _unfinished(
    state: State, entry: Entry, restorability: Restorability, reason: Reason
) -> Verdict:
    """Return the verdict on a backup that takes no level: the agent has left no metadata of it."""
    chain = entry.time if state.chain is None else state.chain
    return _verdict(chain, None, restorability, reason)


def _doubting(state: State, reason: Reason, media: Media) -> State:
    """Return the state after a backup that failed, but might have left a level."""
    if media.is_told or state.level is None or state.doubted_above is not None:
        return state
    return replace(state, doubted_above=state.level, doubt=reason)


# Where levels aren't told


def next_level(policy: Policy, state: State, now: int, *, is_sorted: bool) -> int | None:
    """Return the level that the agent gives a backup now; None if that depends on an order.

    This is `Storage.previous_backup` of freezer 19.
    """
    if not policy.incremental or state.chain is None:
        return 0
    restart = policy.restart_always_level
    newest_restarts = bool(restart) and now > state.last + restart * DAY
    highest = state.level
    if highest is None:
        return 0 if newest_restarts else None
    is_full = policy.max_level and policy.max_level <= highest
    is_beyond = policy.always_level and highest > policy.always_level
    if is_full or is_beyond or newest_restarts:
        return 0
    if restart and not is_sorted and now > state.since + restart * DAY:
        # Any of the backups of the highest level may be the one whose age decides.
        return None
    return highest if policy.always_level == highest and highest else highest + 1


def _derived(state: State, entry: Entry, media: Media) -> Step:
    policy = entry.policy
    if entry.time == state.last and state.chain is not None:
        return _again(state, entry, media)
    if policy is None:
        return _unknown(state, entry, Reason.POLICY_UNKNOWN)
    level = next_level(policy, state, entry.time, is_sorted=media.is_sorted)
    if level is None:
        known = state.level is not None
        return _unknown(state, entry, Reason.LISTING_ORDER if known else Reason.LEVEL_UNKNOWN)
    if level == 0:
        earlier = state.chain is not None
        after = State(entry.time, 0, entry.time, entry.time, state.removed)
        if media.media == "cinder" and media.is_local and earlier:
            # The agent takes the last of a listing that it doesn't sort.
            after = replace(after, doubted_above=-1, doubt=Reason.LISTING_ORDER)
        return Step(_marked(after, entry), _judged(after, entry, media))
    after = replace(state, level=level, last=entry.time)
    if level != state.level:
        if not media.is_sorted and state.since != state.last and after.doubted_above is None:
            # Based on any of several backups of the level below.
            after = replace(after, doubted_above=level - 1, doubt=Reason.LISTING_ORDER)
        after = replace(after, since=entry.time)
    supersedes = state.last if level == state.level else None
    return Step(_marked(after, entry), _judged(after, entry, media), supersedes)


def _again(state: State, entry: Entry, media: Media) -> Step:
    """Return the effect of a backup that was registered a second time."""
    if state.level is None:
        chain = entry.time if state.chain is None else state.chain
        fixed = FIXED.get(entry.status, (Restorability.UNKNOWN, Reason.LEVEL_UNKNOWN))
        return Step(state, _verdict(chain, None, *fixed))
    return Step(state, _judged(state, entry, media))


def _unknown(state: State, entry: Entry, reason: Reason) -> Step:
    after = State(entry.time, None, entry.time, entry.time, state.removed)
    fixed = FIXED.get(entry.status, (Restorability.UNKNOWN, reason))
    return Step(after, _verdict(entry.time, None, *fixed))


def _marked(state: State, entry: Entry) -> State:
    """Return the state with what it means for later backups that this one isn't available."""
    level = state.level or 0
    if entry.status != BackupStatus.AVAILABLE:
        return state if state.broken_above is not None else replace(state, broken_above=level)
    if entry.is_forgotten and (state.doubted_above is None or state.doubted_above > level):
        return replace(state, doubted_above=level, doubt=Reason.REQUIRED_FORGOTTEN)
    return state


def _judged(state: State, entry: Entry, media: Media) -> Verdict:
    """Return the verdict on the newest backup of a chain, which has the state's level."""
    level, chain = state.level or 0, state.chain or 0
    if entry.status in FIXED:
        verdict = FIXED[entry.status]
    elif state.broken_above is not None and level > state.broken_above:
        verdict = Restorability.BROKEN, Reason.REQUIRED_DELETED
    elif state.doubted_above is not None and level > state.doubted_above and state.doubt:
        verdict = Restorability.UNKNOWN, state.doubt
    elif state.since != state.last:
        verdict = (
            (Restorability.RESTORABLE, Reason.SAME_LEVEL_TWICE)
            if media.is_sorted
            else (Restorability.UNKNOWN, Reason.LISTING_ORDER)
        )
    elif level == 0 and entry.policy is not None and not entry.policy.incremental:
        verdict = Restorability.RESTORABLE, Reason.FULL_BACKUP
    else:
        verdict = Restorability.RESTORABLE, Reason.LEVELS_DERIVED
    return _verdict(chain, level, *verdict, LevelSource.DERIVED)


# Where levels are told


def _told(state: State, entry: Entry, media: Media) -> Step:
    level = entry.reported
    if level is None or entry.is_forgotten or entry.status in FIXED:
        return _told_nothing(state, entry)
    chain = entry.time if state.chain is None else state.chain
    source = LevelSource.REPORTED
    if level == 0 and entry.time != state.last:
        chain = entry.time
        state = State(removed=state.removed)
    there = dict(state.levels)
    if level and max(there, default=0) > level:
        impossible = Restorability.UNKNOWN, Reason.LEVEL_IMPOSSIBLE
        return Step(state, _verdict(chain, level, *impossible, source))
    again = there.get(level, entry.time) != entry.time
    supersedes = there[level] if again else None
    there[level] = entry.time
    # As `replace` would return it, in a third of the time.
    after = State(
        chain,
        max(there),
        state.since,
        entry.time,
        state.removed,
        state.broken_above,
        state.doubted_above,
        state.doubt,
        tuple(sorted(there.items())),
    )
    if again and not media.is_sorted and after.doubted_above is None:
        after = replace(after, doubted_above=level - 1, doubt=Reason.LISTING_ORDER)
    verdict = _judged_told(after, level, again=again)
    return Step(after, _verdict(chain, level, *verdict, source), supersedes)


def _judged_told(state: State, level: int, *, again: bool) -> tuple[Restorability, Reason]:
    """Return the verdict on the newest backup of a chain, `again` if its level was there before."""
    there = dict(state.levels)
    if any(below not in there for below in range(level)):
        return Restorability.BROKEN, Reason.MISSING_LEVEL
    if state.doubted_above is not None and level > state.doubted_above and state.doubt:
        return Restorability.UNKNOWN, state.doubt
    reason = Reason.SAME_LEVEL_TWICE if again else Reason.LEVELS_REPORTED
    return Restorability.RESTORABLE, reason


def _told_nothing(state: State, entry: Entry) -> Step:
    """Return the effect of a backup without data, or without a level."""
    chain, level, source = state.chain, entry.reported, LevelSource.REPORTED
    if level == 0 and entry.status in FIXED:
        # A full backup without data begins a chain without one.
        state = State(entry.time, None, entry.time, entry.time, state.removed)
        chain = entry.time
    fixed = FIXED.get(entry.status, (Restorability.UNKNOWN, Reason.LEVEL_UNKNOWN))
    chain = entry.time if chain is None else chain
    if level is None or entry.is_forgotten:
        return Step(state, _verdict(chain, None, *fixed))
    return Step(state, _verdict(chain, level, *fixed, source))


def superseded(verdict: Verdict, media: Media) -> Verdict:
    """Return the verdict on a backup whose level another one of its chain has taken."""
    if verdict.restorability in {Restorability.RESTORABLE, Restorability.UNKNOWN}:
        word = hidden(media)
        return replace(verdict, restorability=word, reason=Reason.SUPERSEDED)
    return verdict


def untouched(
    state: State, entry: Entry, level: int | None, media: Media, *, again: bool
) -> tuple[Restorability, Reason]:
    """Return the verdict on an available backup before a later one took its level, or its data.

    `state` is that after it, `again` is True if its level was in its chain before.
    """
    if media.media == "cindernative":
        # Of those whose id isn't told, nothing changes later.
        return Restorability.RESTORABLE, Reason.CINDER_BACKUP
    if level is None:
        is_unknown = entry.policy is None and not media.is_told
        return (
            Restorability.UNKNOWN,
            Reason.POLICY_UNKNOWN if is_unknown else Reason.LEVEL_UNKNOWN,
        )
    if media.is_told:
        return _judged_told(state, level, again=again)
    verdict = _judged(state, entry, media)
    return verdict.restorability, verdict.reason


def hidden(media: Media) -> Restorability:
    """Return the verdict on a backup that another one of its level hides: for ever, or at times."""
    return Restorability.BROKEN if media.is_sorted else Restorability.UNKNOWN


def expired(verdict: Verdict, removed: int) -> Verdict:
    """Return the verdict as of a time when chains up to this one have been removed.

    Of Cinder's own, the agent removes only those that it has marked: agents that did have told
    Cinder's id as well.
    """
    if verdict.chain > removed or verdict.chain == NO_TIME:
        return verdict
    is_left = verdict.reason is Reason.NO_CINDER_BACKUP_ID
    if is_left or verdict.restorability in _WITHOUT_DATA:
        return verdict
    return replace(verdict, restorability=Restorability.EXPIRED, reason=Reason.RETENTION)


_WITHOUT_DATA = frozenset({Restorability.IN_PROGRESS, Restorability.FAILED, Restorability.EXPIRED})
