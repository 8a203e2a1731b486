"""A window on a sorted list, and the page it shows; cursors are positions, not row numbers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.errors import BadInput, shown
from gateway.tables import INT64, Row

Column = sa.ColumnElement[Any]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of an order. Nulls come first, and last when descending."""

    column: Column
    descending: bool = False

    @property
    def nullable(self) -> bool:
        """Whether the column may be null."""
        return bool(getattr(self.column, "nullable", True))

    def reversed(self) -> Sort:
        """The opposite direction."""
        return Sort(self.column, not self.descending)

    def clause(self) -> Column:
        """As part of ORDER BY, the same on both databases."""
        ordered = self.column.desc() if self.descending else self.column.asc()
        if not self.nullable:
            return ordered
        return ordered.nulls_last() if self.descending else ordered.nulls_first()

    def beyond(self, value: object) -> Column:
        """Whether a row comes after this value."""
        if value is None:
            return sa.false() if self.descending else self.column.is_not(None)
        if not self.descending:
            return self.column > value
        after = self.column < value
        return sa.or_(after, self.column.is_(None)) if self.nullable else after


Order = tuple[Sort, ...]


def is_beyond(order: Order, key: Key) -> Column:
    """Whether a row comes after this key in this order."""
    columns = [sort.column for sort in order]
    if not any(sort.nullable for sort in order) and len({sort.descending for sort in order}) == 1:
        # A comparison of rows is what an index on these columns can answer by itself.
        row, other = (
            sa.tuple_(*columns),
            sa.tuple_(*(_bound(c, v) for c, v in zip(columns, key, strict=True))),
        )
        return row < other if order[0].descending else row > other
    ways: list[Column] = []
    equal: Column = sa.true()
    for sort, value in zip(order, key, strict=True):
        ways.append(sa.and_(equal, sort.beyond(value)))
        equal = sa.and_(equal, sort.column.is_not_distinct_from(value))
    return sa.or_(*ways)


def _bound(column: Column, value: object) -> Column:
    return sa.bindparam(None, value, type_=column.type, unique=True)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list, in which order.

    `first` rows after `after`, or `last` rows before `before`; both keys may bound either.
    `offset` skips rows of the list so bounded (REST's old way of paging). Exactly one of `first`
    and `last` is set; lengths are positive, and checked by who made the window.
    """

    order: Order
    first: int | None = None
    last: int | None = None
    after: Key | None = None
    before: Key | None = None
    offset: int = 0

    @property
    def length(self) -> int:
        """How many rows at most."""
        return self.first or self.last or 0

    @property
    def backwards(self) -> bool:
        """Whether the window is counted from the list's end."""
        return self.last is not None

    @property
    def direction(self) -> Order:
        """The order in which the database is asked for rows."""
        return tuple(sort.reversed() for sort in self.order) if self.backwards else self.order

    def bounds(self) -> list[Column]:
        """What a row must hold to lie between `after` and `before`."""
        bounds = []
        if self.after is not None:
            bounds.append(is_beyond(self.order, self.after))
        if self.before is not None:
            bounds.append(is_beyond(tuple(sort.reversed() for sort in self.order), self.before))
        return bounds

    def keys(self) -> list[Column]:
        """The sort keys, as columns to select beside the row's own."""
        return [sort.column.label(f"key_{index}") for index, sort in enumerate(self.order)]

    def statement(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Narrow a query of the whole list to this window, and one row more."""
        narrowed = query.add_columns(*self.keys()).where(*self.bounds())
        narrowed = narrowed.order_by(*(sort.clause() for sort in self.direction))
        return narrowed.limit(self.length + 1).offset(self.offset or None)

    def page(self, rows: Sequence[Row]) -> Page:
        """Make the page of the rows that `statement` returned."""
        more = len(rows) > self.length
        shown_rows = rows[: self.length]
        return Page(self, shown_rows[::-1] if self.backwards else shown_rows, more)

    def rest(self, *, forwards: bool) -> Column | None:
        """Whether a row lies outside the window's bounds on that side; None: none can."""
        edge = self.before if forwards else self.after
        if edge is None:
            return None
        order = self.order if forwards else tuple(sort.reversed() for sort in self.order)
        same = sa.and_(
            *(
                sort.column.is_not_distinct_from(value)
                for sort, value in zip(self.order, edge, strict=True)
            )
        )
        return sa.or_(same, is_beyond(order, edge))


@dataclass(frozen=True)
class Page:
    """Rows in the list's order; `more` tells that the list goes on in the window's direction."""

    window: Window
    rows: Sequence[Row]
    more: bool

    def key(self, row: Row) -> Key:
        """The row's position in the list."""
        return tuple(row[-len(self.window.order) :])

    @cached_property
    def has_next(self) -> bool | None:
        """Whether rows follow the page; None: only the database knows."""
        if not self.window.backwards and self.more:
            return True
        return False if self.window.before is None else None

    @cached_property
    def has_previous(self) -> bool | None:
        """Whether rows precede the page; None: only the database knows."""
        if self.window.backwards and self.more:
            return True
        return False if self.window.after is None else None

    def cursor(self, row: Row) -> str:
        """The row's position as an opaque text."""
        return encode(self.window.order, self.key(row))

    def next_offset(self) -> int:
        """The offset of the page after this one."""
        return self.window.offset + len(self.rows)


def encode(order: Order, key: Key) -> str:
    """Write a position in a list of this order as an opaque text."""
    packed = orjson.dumps([_name(order), *key])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode(order: Order, cursor: str, *, field: str) -> Key:
    """Read a position; BadInput for a text that `encode` didn't write for this order."""
    wrong = BadInput(f"'{field}': {shown(cursor)} is not a cursor of this list", field=field)
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        values = orjson.loads(packed)
    except (binascii.Error, ValueError):
        raise wrong from None
    if not isinstance(values, list) or len(values) != len(order) + 1 or values[0] != _name(order):
        raise wrong
    try:
        return tuple(_value(sort, value) for sort, value in zip(order, values[1:], strict=True))
    except (TypeError, ValueError, OverflowError):
        raise wrong from None


def _name(order: Order) -> str:
    return ",".join(f"{'-' * sort.descending}{sort.column.key}" for sort in order)


def _value(sort: Sort, value: Any) -> Any:
    kind = sort.column.type.python_type
    if value is None and sort.nullable:
        return None
    if kind is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        # The ends of the calendar have no UTC.
        return moment.astimezone(UTC)
    if type(value) is not kind or (kind is str and "\0" in value):
        raise TypeError(value)
    if kind is int and not -INT64 <= value < INT64:
        raise OverflowError(value)
    return value
