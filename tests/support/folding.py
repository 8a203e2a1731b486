"""Series of backups gone through in order, by the gateway's rules and in memory alone."""

from collections.abc import Sequence
from itertools import zip_longest

from gateway.chains.rules import advance, after_removal, expired, superseded
from gateway.chains.states import NEVER, Entry, Media, State, Verdict


def fold(
    entries: Sequence[Entry], media: Media, removals: Sequence[tuple[int, int]] = ()
) -> list[Verdict]:
    """Return the verdict on each of a series' backups, which are in the order of time.

    For each backup, and after the last, `removals` may tell up to when chains have been removed
    before it by others, and up to when about then. Retentions that have removed a chain by now make
    its backups expired.
    """
    state = State()
    verdicts: list[Verdict] = []
    nothing = NEVER, NEVER
    for entry, (until, removing) in zip_longest(entries, removals, fillvalue=nothing):
        state = after_removal(state, until)
        if not isinstance(entry, Entry):
            break
        step = advance(state, entry, media, removing)
        if step.supersedes is not None:
            for at, one in enumerate(verdicts):
                same = (one.chain, one.level) == (step.verdict.chain, step.verdict.level)
                if same and entries[at].time == step.supersedes:
                    verdicts[at] = superseded(one, media)
        verdicts.append(step.verdict)
        state = step.state
    return [expired(one, state.removed) for one in verdicts]
