"""The values that are derived of backups, before they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.chains.policies import Policy
from gateway.chains.rules import expired, superseded
from gateway.chains.states import Entry, Media, State, Step, Verdict
from gateway.db.rows import Row


def derived_columns(verdict: Verdict, state: State) -> dict[str, Any]:
    """Return the columns that hold what is derived of a backup."""
    return {
        "chain_time": verdict.chain,
        "chain_level": verdict.level,
        "level_source": verdict.source and verdict.source.value,
        "restorability": verdict.restorability.value,
        "restorability_reason": verdict.reason.value,
        "chain_state": state.dump(),
    }


def entry_of(row: Any, *, has_cinder_backup: bool = False) -> Entry:
    """Return a backup as the rules see it."""
    policy = Policy.load(row.policy)
    return Entry(row.calendar_time, row.status, row.level, policy, has_cinder_backup)


def has_cinder_backup(metadata: Mapping[str, Any]) -> bool:
    """Return True if the metadata has Cinder's id of a backup."""
    return bool(metadata.get("cinder_backup_id"))


@dataclass(slots=True)
class Computed:
    """A backup that was read, what is derived of it, and the state after it."""

    row: Row
    verdict: Verdict
    state: State

    def changes(self, removed: int) -> dict[str, Any] | None:
        """Return what is to be stored, as of a time when chains up to this one are removed.

        None if it is stored already.
        """
        values = derived_columns(expired(self.verdict, removed), self.state)
        is_stored = all(getattr(self.row, name) == value for name, value in values.items())
        return None if is_stored else values


def supersede_computed(step: Step, computed: Sequence[Computed], media: Media) -> bool:
    """Note what a backup supersedes among these, and return True if it is one of them."""
    chain = step.verdict.chain, step.verdict.level
    found = [
        one
        for one in computed
        if one.row.calendar_time == step.supersedes
        and (one.verdict.chain, one.verdict.level) == chain
    ]
    for one in found:
        one.verdict = superseded(one.verdict, media)
    return bool(found)
