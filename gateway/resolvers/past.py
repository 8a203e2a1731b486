"""Series at a moment of the past: what was known then of the backups that are in the catalogue.

Backups of a later time don't count, nor what they did to others: took their level, or removed their
chain. Of what else has changed since, the catalogue has no history: rows that were deleted, and
earlier statuses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.chains import removals
from gateway.chains.policies import Policy
from gateway.chains.rules import hidden, untouched
from gateway.chains.states import Entry, Media, State
from gateway.chains.vocabularies import Restorability, RestorabilityReason
from gateway.context import Context
from gateway.query.filters import All, AnyOf, Condition, Not, Where
from gateway.query.paging import PageRequest
from gateway.resolvers import backups, series

_OWN = backups.COLUMNS
COLUMNS = (
    *(_OWN.id, _OWN.calendar_time, _OWN.chain_time, _OWN.chain_level),
    *(_OWN.restorability, _OWN.restorability_reason),
    *(_OWN.status, _OWN.policy, _OWN.chain_state),
)
"""The columns that a verdict of the past is worked out from."""

_EXPIRED = Condition(_OWN.restorability, "eq", Restorability.EXPIRED.value)
_LATER = frozenset({RestorabilityReason.SUPERSEDED.value, RestorabilityReason.RETENTION.value})
"""The reasons that may be the doing of later backups."""


class Judged(NamedTuple):
    """A backup, and the verdict on it."""

    row: Any
    restorability: Restorability
    reason: RestorabilityReason


@dataclass(frozen=True)
class Past:
    """A series at a moment."""

    series_id: str
    moment: int
    removed: int
    """Chains whose full backup is of this time, or before, had been removed by then."""

    @property
    def counted(self) -> Where:
        """The condition of its backups by then."""
        of_series = Condition(_OWN.series, "eq", self.series_id)
        return All((of_series, Condition(_OWN.calendar_time, "lte", self.moment)))

    @property
    def held(self) -> Where:
        """The condition of the backups of which there are data, or were by then."""
        return AnyOf((Condition(_OWN.restorability, "in", series.HELD), self._removed_later))

    @property
    def not_removed(self) -> Where:
        """The condition of all backups but those whose data had been removed by then."""
        return AnyOf((Not(_EXPIRED), self._removed_later))

    @property
    def _removed_later(self) -> Where:
        return All((_EXPIRED, Condition(_OWN.chain_time, "gt", self.removed)))

    def judged(self, chain: Sequence[Any], media: Media) -> Iterator[Judged]:
        """Yield the backups of a chain of which there were data, with the verdicts of then.

        `chain` are the rows of all that are there today, with these `COLUMNS`.
        """
        for row in chain:
            is_removed = row.chain_time <= self.removed
            had_data = row.restorability in {*series.HELD, Restorability.EXPIRED.value}
            if had_data and not is_removed and row.calendar_time <= self.moment:
                yield self._judged(row, chain, media)

    def _judged(self, row: Any, chain: Sequence[Any], media: Media) -> Judged:
        today = Restorability(row.restorability), RestorabilityReason(row.restorability_reason)
        if row.restorability_reason not in _LATER:
            return Judged(row, *today)
        of_level = [one.calendar_time for one in chain if one.chain_level == row.chain_level]
        if row.chain_level is None:
            of_level = []
        after = [time for time in of_level if time > row.calendar_time]
        # Without a later one, it was one that has been deleted since.
        is_forgotten = not after and today[1] is RestorabilityReason.SUPERSEDED
        if is_forgotten or any(time <= self.moment for time in after):
            return Judged(row, hidden(media), RestorabilityReason.SUPERSEDED)
        again = any(time < row.calendar_time for time in of_level)
        entry = Entry(row.calendar_time, row.status, policy=Policy.load(row.policy))
        state = State.load(row.chain_state)
        return Judged(row, *untouched(state, entry, row.chain_level, media, again=again))


async def of_series(ctx: Context, series_id: str, moment: int) -> Past:
    """Return a series at a moment, by two statements. Raises Forbidden and Unavailable."""
    past = Past(series_id, moment, State().removed)
    request = PageRequest(series.NEWEST_FIRST.sorted_by(), first=1)
    columns = (_OWN.calendar_time, _OWN.chain_state)
    page = await series.NEWEST_FIRST.find(ctx, request, past.counted, columns)
    if not page.rows:
        return past
    (newest,) = page.rows[:1]
    key = {"project_id": ctx.project_id, "series": series_id}
    since = await removals.removed_until(ctx.db, key, newest.calendar_time, moment)
    return Past(series_id, moment, max(State.load(newest.chain_state).removed, since))
