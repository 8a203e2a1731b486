"""Health: one SQL expression of an item's columns and the clock, made of an ordered list of rules.

What is filtered and sorted by, counted and shown is the same expression, about the moment that the
list is asked about. Nothing but the clock goes back: the columns are those of now.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.health_tables import HealthMute
from gateway.catalogue.health_words import SEVERITY, HealthReason, HealthState
from gateway.catalogue.tables import FIRST_SECOND, LAST_SECOND, columns
from gateway.context import Context, ItemKey
from gateway.query import selects
from gateway.query.clock import MOMENT
from gateway.query.filters import All, AnyOf, AsOf, Condition, Where
from gateway.resolvers.collection import Collection, Column
from gateway.resolvers.health_texts import GONE, Facts

_MUTES = columns(HealthMute)
NULL: Column = sa.cast(sa.null(), sa.BigInteger)


def constant(number: int) -> Column:
    """Return a number as a part of the statement's text."""
    return sa.literal_column(str(number), sa.BigInteger)


def word(text: str) -> Column:
    """Return a word as a part of the statement's text."""
    return sa.literal_column(f"'{text}'", _MUTES.reason.type)


def scalar(query: sa.Select[Any], of: sa.FromClause) -> Column:
    """Return a number that a query finds for each row of a table, or null."""
    found: Column = query.correlate(of).scalar_subquery()
    return sa.type_coerce(found, sa.BigInteger())


@dataclass(frozen=True, eq=False)
class Rule:
    """A predicate that makes an item's health what it is, if none before it holds."""

    state: HealthState
    reason: HealthReason
    when: Column
    """A null says that it doesn't hold."""
    since: Column = NULL
    """The second since which it holds, or null where nothing tells."""
    number: Column = NULL
    """A number that its text tells."""
    at: Column = NULL
    """A second that its text tells."""
    found_by: Column | None = None
    """A predicate that holds wherever a rule with this reason does, and that an index finds."""


class Health:
    """The health of the items of a collection."""

    def __init__(self, collection: Collection, mute: str, rules: Sequence[Rule]) -> None:
        """Take the rules, the worst first; the last one is for all that are well.

        `mute` is the column of mutes that holds the id of such an item.
        """
        if [SEVERITY[rule.state] for rule in rules] != sorted(
            (SEVERITY[rule.state] for rule in rules), reverse=True
        ):
            raise ValueError("the worst rules must come first")
        self.collection = collection
        self.rules = tuple(rules)
        *bad, self._well = rules
        self._bad = tuple(bad)
        self.severity: Column = sa.cast(self._case_of_states(), sa.Integer)
        """The number of the state, by which items are sorted and filtered."""
        self.rule: Column = self._case(constant(place) for place in range(len(rules)))
        """The place of the rule that holds."""
        self.since = self._case(rule.since for rule in rules)
        self._mute = (
            _MUTES.project_id == collection.key[0],
            _MUTES[mute] == collection.key[1],
            _MUTES.muted_at <= MOMENT,
            sa.or_(_MUTES.muted_until.is_(None), _MUTES.muted_until > MOMENT),
        )
        self.is_muted: Column = sa.exists().where(*self._mute).correlate(collection.source)
        """The predicate that the health is known, and isn't to be counted."""
        self._predicates: dict[frozenset[HealthState], Column] = {}
        self.counted: Column = sa.case((self.is_muted, constant(0)), else_=self.severity)
        """The severity, of a muted item that of a healthy one."""

    def _case(self, values: Iterable[Column]) -> Column:
        *before, last = values
        pairs = zip((rule.when for rule in self._bad), before, strict=True)
        return sa.type_coerce(sa.case(*pairs, else_=last), sa.BigInteger())

    def _case_of_states(self) -> Column:
        states = list(dict.fromkeys(rule.state for rule in self._bad))
        return sa.case(
            *((self._is_bad(state), constant(SEVERITY[state])) for state in states),
            else_=constant(SEVERITY[self._well.state]),
        )

    @cached_property
    def shown(self) -> tuple[Column, ...]:
        """The columns that `load` reads of an item."""
        by_rule = {
            "rule": self.rule,
            "since": self.since,
            "number": self._case(rule.number for rule in self.rules),
            "at": self._case(rule.at for rule in self.rules),
        }
        of_mute = {
            name: sa.select(_MUTES[name])
            .where(*self._mute)
            .correlate(self.collection.source)
            .scalar_subquery()
            for name in ("reason", "user_name", "muted_at", "muted_until")
        }
        return tuple(column.label(name) for name, column in (by_rule | of_mute).items())

    def where(
        self,
        states: frozenset[HealthState] | None,
        reasons: frozenset[HealthReason] | None,
        muted: bool | None,  # noqa: FBT001 - None is neither
        as_of: datetime | None,
    ) -> Where:
        """Return the condition that the health is one of these, None for any, as of a moment."""
        parts: list[Where] = []
        if states is not None:
            parts.append(Condition(self._is_in(states), "eq", True))  # noqa: FBT003 - its value
        if reasons is not None:
            parts.append(self._with_reasons(reasons))
        if muted is not None:
            parts.append(Condition(self.is_muted, "eq", muted))
        where = All(tuple(parts))
        return where if as_of is None else AsOf(where, seconds_of(as_of))

    def _is_in(self, states: frozenset[HealthState]) -> Column:
        """Return the predicate that the state is one of these.

        Of rules, only those are looked at that can decide it: what is critical is found without the
        clients and the backups of all that is well.
        """
        if (known := self._predicates.get(states)) is not None:
            return known
        *before, last = dict.fromkeys(rule.state for rule in self.rules)
        while before and (before[-1] in states) is (last in states):
            last = before.pop()
        otherwise = sa.true() if last in states else sa.false()
        predicate = (
            sa.case(
                *(
                    (self._is_bad(state), sa.true() if state in states else sa.false())
                    for state in before
                ),
                else_=otherwise,
            )
            if before
            else otherwise
        )
        self._predicates[states] = predicate
        return predicate

    def _is_bad(self, state: HealthState) -> Column:
        """Return the predicate that a rule of a state holds."""
        return sa.or_(*(rule.when for rule in self._bad if rule.state is state))

    def _with_reasons(self, reasons: frozenset[HealthReason]) -> Where:
        """Return the condition that a rule with one of these reasons holds."""
        return AnyOf(tuple(self._with_reason(reason) for reason in sorted(reasons)))

    def _with_reason(self, reason: HealthReason) -> Where:
        of_reason = [place for place, rule in enumerate(self.rules) if rule.reason is reason]
        if not of_reason:
            return AnyOf(())
        return Condition(self.rule, "in", tuple(of_reason), among=self.rules[of_reason[0]].found_by)

    async def load(
        self,
        ctx: Context,
        keys: Sequence[ItemKey],
        *,
        all_projects: bool,
        as_of: datetime | None = None,
    ) -> Mapping[ItemKey, Facts]:
        """Return the health of each item, as of a moment, by default of now, in one statement.

        Raises Forbidden and Unavailable.
        """
        collection = self.collection.all_projects if all_projects else self.collection
        if as_of is not None:
            collection = collection.as_of(as_of)
        rows = await collection.rows(
            ctx, selects.by_keys, self.shown, keys=keys, owner=self.collection.key
        )
        found = {(row[0], row[1]): self._facts(row) for row in rows}
        return {key: found.get(key, GONE) for key in keys}

    def _facts(self, row: Any) -> Facts:
        rule = self.rules[row.rule]
        return Facts(
            state=rule.state.value,
            reason=rule.reason.value,
            since=moment_of(row.since),
            number=row.number,
            at=moment_of(row.at),
            is_muted=row.reason is not None,
            mute_reason=row.reason,
            muted_by=row.user_name,
            muted_at=moment_of(row.muted_at),
            muted_until=moment_of(row.muted_until),
        )


def seconds_of(moment: datetime) -> int:
    """Return the first whole second since 1970 that isn't before a moment."""
    return math.ceil(moment.timestamp())


def moment_of(seconds: int | None) -> datetime | None:
    """Return the time of epoch seconds; None for none, and for one that no calendar has."""
    if seconds is None or not FIRST_SECOND <= seconds <= LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)
