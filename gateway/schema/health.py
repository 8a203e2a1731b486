"""Health in GraphQL: the field, the filter and the order of every type that has it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Optional

import sqlalchemy as sa
import strawberry

from gateway.query.filters import Where
from gateway.query.paging import Sort
from gateway.resolvers import job_health, protection
from gateway.resolvers.health import Health as Rules
from gateway.schema.enums import HealthReason, HealthState
from gateway.schema.fields import batch
from gateway.schema.views import ColumnField

_RULES: Mapping[str, Rules] = {
    "Job": job_health.OF_JOBS,
    "Session": job_health.OF_SESSIONS,
    "Client": protection.OF_CLIENTS,
    "Series": protection.OF_SERIES,
}
"""The rules of health, by the types that have it."""

_AS_OF = "The moment as of which, by the columns of now; now if absent."
_OF_LIST = "The moment as of which; that of the list if absent."
AsOf = Annotated[Optional[datetime], strawberry.argument(description=_AS_OF, name="asOf")]


@strawberry.type(description="The health of an item: the worst that the catalogue tells of it.")
class Health:
    """The attributes of Facts."""

    state: HealthState = strawberry.field(description="The state.")
    reason: HealthReason = strawberry.field(description="The reason of the state.")
    since: datetime | None = strawberry.field(
        description="The time since which, at the latest, it is so; null where nothing tells."
    )
    message: str = strawberry.field(description="The reason in a sentence.")
    remedy: str | None = strawberry.field(
        description="The thing to do about it; null where nothing is to be done."
    )
    is_muted: bool = strawberry.field(
        description="True if somebody has said that it is known: the state stays, but `overview` "
        "and sessions don't count it."
    )
    mute_reason: str | None = strawberry.field(description="The reason of the mute.")
    muted_by: str | None = strawberry.field(description="The name of the user who muted it.")
    muted_at: datetime | None = strawberry.field(description="The time at which it was muted.")
    muted_until: datetime | None = strawberry.field(
        description="The time at which the mute ends by itself; null if it doesn't."
    )


@strawberry.input(description="Conditions on the health; all must hold.")
class HealthFilter:
    """Conditions of their own, on the clock."""

    eq: HealthState | None = strawberry.field(default=None, description="This state.")
    ne: HealthState | None = strawberry.field(default=None, description="Any other state.")
    in_: list[HealthState] | None = strawberry.field(
        default=None, description="One of these states.", name="in"
    )
    reasons: list[HealthReason] | None = strawberry.field(
        default=None,
        description="One of these reasons; some of them are found by an index.",
    )
    is_muted: bool | None = strawberry.field(
        default=None, description="True for what is muted, false for what isn't."
    )
    as_of: datetime | None = strawberry.field(default=None, description=_OF_LIST)

    @property
    def reads_clock(self) -> bool:
        """True if it has no moment of its own."""
        return self.as_of is None

    @property
    def untracked(self) -> bool:
        """True, as the field itself is."""
        return True

    def where_in(self, view: str) -> Where:
        """Return the condition on the items of a view."""
        states = None
        if not (self.eq is None and self.ne is None and self.in_ is None):
            states = frozenset(
                state
                for state in HealthState
                if (self.eq is None or state is self.eq)
                and (self.ne is None or state is not self.ne)
                and (self.in_ is None or state in self.in_)
            )
        reasons = None if self.reasons is None else frozenset(self.reasons)
        return _RULES[view].where(states, reasons, self.is_muted, self.as_of)


FILTER = (HealthFilter, "Conditions on the health.")
"""The type and the description of a type's filter by its health."""


def health(view: str, key: str) -> Any:
    """Return the field of a view that shows the health; `key` is the one that has the id."""
    return batch(
        _RULES[view].load,
        key,
        Health,
        "The health.",
        {"as_of": (AsOf, None)},
        clock=("as_of",),
        # Whatever the moment: silence is told by the polls of schedulers.
        untracked=True,
    )


def orders(view: str) -> dict[str, ColumnField]:
    """Return the columns of a view that it is ordered by; no field shows them."""
    rules = _RULES[view]
    # Sorted by as they are; shown, a time would be converted.
    since = sa.type_coerce(rules.since, sa.BigInteger())
    return {
        "health": ColumnField(
            rules.severity,
            Sort(rules.severity, name="health"),
            is_filtered=False,
            kind=int,
            reads_clock=True,
            untracked=True,
        ),
        "health_since": ColumnField(
            since,
            Sort(rules.since, name="health_since"),
            is_filtered=False,
            kind=datetime,
            reads_clock=True,
            untracked=True,
        ),
    }
