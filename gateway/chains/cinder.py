"""The rules of what Cinder itself holds (`cindernative`), and finds by an id of its own.

A restore needs that id alone: Cinder knows what else it reads. The agent asks for its chains only
to remove them: one goes when its newest backup is old enough, whatever the age of the full one.
"""

from dataclasses import replace

from gateway.catalogue.vocabularies import BackupStatus
from gateway.chains.states import FIXED, Entry, State, Step, Verdict
from gateway.chains.vocabularies import Restorability, RestorabilityReason

MAX_CHAINS = 64
"""The number of chains with increments that a state has: those before are taken for removable."""


def advance(state: State, entry: Entry) -> Step:
    """Return what a series is after its next backup, and the removal that rides on it.

    In the state, `levels` are the newest chains with increments: the times of their first backups
    and of their last ones. A backup of which nobody knows if it is an increment, or if it is there,
    counts as one: nothing is taken for removed too early.
    """
    if entry.status != BackupStatus.AVAILABLE:
        after = state
        if entry.status == BackupStatus.CREATING and state.chain is not None:
            after = _with(state, state.chain, entry)
        chain = entry.time if state.chain is None else state.chain
        return Step(after, Verdict(chain, None, None, *FIXED[entry.status]))
    may_be_increment = entry.policy is None or entry.policy.incremental
    # An incremental backup of a volume without any is a full one.
    chain = state.chain if state.chain is not None and may_be_increment else entry.time
    after = _with(state, chain, entry)
    if entry.policy is not None:
        # While the agent removes, Cinder is still making this backup: it isn't listed, and keeps
        # those that it is based on.
        after = _without(after, min(entry.policy.removed_at(entry.time), chain - 1))
    verdict = (
        (Restorability.RESTORABLE, RestorabilityReason.CINDER_BACKUP)
        if entry.has_cinder_backup
        else (Restorability.UNKNOWN, RestorabilityReason.NO_CINDER_BACKUP_ID)
    )
    return Step(after, Verdict(chain, None, None, *verdict))


def removed(state: State, until: int) -> int:
    """Return the time up to which chains begin that go, where backups up to a time are too old."""
    for began, ended in state.levels:
        if began <= until < ended:
            return began - 1
    return until


def _with(state: State, chain: int, entry: Entry) -> State:
    """Return the state after a backup of this chain."""
    chains = state.levels
    if chain != entry.time:
        chains = (*(one for one in chains if one[0] != chain), (chain, entry.time))
    return State(chain, None, entry.time, entry.time, state.removed, levels=chains[-MAX_CHAINS:])


def _without(state: State, until: int) -> State:
    """Return the state after a removal of the chains that ended by a time."""
    gone = max(state.removed, removed(state, until))
    return replace(state, removed=gone, levels=tuple(one for one in state.levels if one[0] > gone))
