"""A window on a sorted list, and the page it shows; cursors are positions, not row numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zlib import crc32

import orjson
import sqlalchemy as sa

from gateway.catalogue.tables import INT64
from gateway.db.rows import Row, base_column
from gateway.errors import BadInput, shown

Column = sa.ColumnElement[Any]
Key = tuple[Any, ...]

LIMIT = sa.bindparam("limit", None, type_=sa.BigInteger)
OFFSET = sa.bindparam("offset", None, type_=sa.BigInteger)


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

    def equals(self, value: object) -> Column:
        """Whether a row has this value."""
        return self.column.is_(None) if value is None else self.column == value


Order = tuple[Sort, ...]


def is_beyond(order: Order, key: Key) -> Column:
    """Whether a row comes after this key in this order."""
    columns = [sort.column for sort in order]
    if not any(sort.nullable for sort in order) and len({sort.descending for sort in order}) == 1:
        # A comparison of rows is what an index on these columns can answer by itself.
        row, other = (
            sa.tuple_(*columns),
            sa.tuple_(*key),
        )
        return row < other if order[0].descending else row > other
    ways: list[Column] = []
    equal: Column = sa.true()
    for sort, value in zip(order, key, strict=True):
        ways.append(sa.and_(equal, sort.beyond(value)))
        equal = sa.and_(equal, sort.equals(value))
    return sa.or_(*ways)


@dataclass(frozen=True, slots=True)
class PageRequest:
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
    def cache_key(self) -> Hashable:
        """What its statement looks like, whatever the values in it."""
        nulls = [key and tuple(value is None for value in key) for key in (self.after, self.before)]
        return self.order, self.backwards, bool(self.offset), *nulls

    @property
    def values(self) -> Mapping[str, Any]:
        """What goes into its statement: one row more than are shown, to see if there are more."""
        values: dict[str, Any] = {"limit": self.length + 1, "offset": self.offset}
        for name, key in (("after", self.after), ("before", self.before)):
            if key is not None:
                values |= {f"{name}_{at}": value for at, value in enumerate(key)}
        return values

    def bound(self) -> PageRequest:
        """The same window with parameters for the keys that bound it, by the names of `values`."""
        return replace(
            self,
            after=_bound(self.order, self.after, "after"),
            before=_bound(self.order, self.before, "before"),
        )

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

    def keys(self, query: sa.Select[Any]) -> list[Column]:
        """The sort keys that a query has not among its own columns, to select beside them."""
        own = set(map(base_column, query.selected_columns))
        keys = enumerate(sort.column for sort in self.order)
        return [key.label(f"key_{at}") for at, key in keys if key not in own]

    def statement(self, query: sa.Select[Any], *, keyed: bool = True) -> sa.Select[Any]:
        """Narrow a query of the whole list to this window, and one row more.

        Rows have their sort keys, of which cursors are made, unless they needn't be `keyed`.
        """
        narrowed = query.add_columns(*self.keys(query)) if keyed else query
        narrowed = narrowed.where(*self.bounds())
        narrowed = narrowed.order_by(*(sort.clause() for sort in self.direction)).limit(LIMIT)
        return narrowed.offset(OFFSET) if self.offset else narrowed

    def page(self, rows: Sequence[Row]) -> Page:
        """Make the page of the rows that `statement` returned."""
        length = self.length
        more = len(rows) > length
        if more:
            rows = rows[:length]
        return Page(self, rows if self.last is None else rows[::-1], more)

    def is_open(self, *, forwards: bool) -> bool:
        """Whether nothing bounds the window on that side: the list can't go on beyond it."""
        return (self.before if forwards else self.after) is None

    def rest(self, *, forwards: bool) -> Column:
        """Whether a row lies outside the window's bounds on that side, where it has one."""
        edge = (self.before if forwards else self.after) or ()
        order = self.order if forwards else tuple(sort.reversed() for sort in self.order)
        same = sa.and_(*(sort.equals(value) for sort, value in zip(self.order, edge, strict=True)))
        return sa.or_(same, is_beyond(order, edge))


def _bound(order: Order, key: Key | None, name: str) -> Key | None:
    """A parameter for each value; what is no value stays so, for it is compared in another way."""
    if key is None:
        return None
    return tuple(
        None if value is None else sa.bindparam(f"{name}_{at}", None, type_=sort.column.type)
        for at, (sort, value) in enumerate(zip(order, key, strict=True))
    )


@dataclass(slots=True)
class Page:
    """Rows in the list's order; `more` tells that the list goes on in the window's direction."""

    page_request: PageRequest
    rows: Sequence[Row]
    more: bool
    revision: int | None = None
    """Which one of the catalogue it is of; None: nobody asked."""

    @property
    def has_next(self) -> bool | None:
        """Whether rows follow the page; None: only the database knows."""
        if not self.page_request.backwards and self.more:
            return True
        return False if self.page_request.before is None else None

    @property
    def has_previous(self) -> bool | None:
        """Whether rows precede the page; None: only the database knows."""
        if self.page_request.backwards and self.more:
            return True
        return False if self.page_request.after is None else None

    def cursor(self, row: Row) -> str:
        """The row's position as an opaque text."""
        return cursors(self.page_request.order, type(row))(row)

    def next_offset(self) -> int:
        """The offset of the page after this one."""
        return self.page_request.offset + len(self.rows)


@lru_cache(maxsize=256)
def cursors(order: Order, kind: type[Row]) -> Callable[[Row], str]:
    """Make the function that writes the positions of rows of this kind as opaque texts."""
    scope: dict[str, Any] = {"dumps": orjson.dumps}
    values = [repr(_mark(order))]
    for sort in order:
        at = kind.places[sort.column]
        convert = scope[f"convert{at}"] = kind.converters[at]
        values.append(f"row[{at}]" if convert is None else f"convert{at}(row[{at}])")
    # In hexadecimal digits: longer than base64, but nothing in Python is faster. The code is made
    # of numbers, and of the mark, which is digits, too.
    exec(f"def cursor(row):\n    return dumps(({', '.join(values)})).hex()", scope)  # noqa: S102
    cursor: Callable[[Row], str] = scope["cursor"]
    return cursor


def decode(order: Order, cursor: str, *, field: str) -> Key:
    """Read a position; BadInput for a text that `cursors` didn't write for this order."""
    wrong = BadInput(f"'{field}': {shown(cursor)} is not a cursor of this list", field=field)
    try:
        values = orjson.loads(bytes.fromhex(cursor))
    except ValueError:
        raise wrong from None
    if not isinstance(values, list) or len(values) != len(order) + 1 or values[0] != _mark(order):
        raise wrong
    try:
        return tuple(_value(sort, value) for sort, value in zip(order, values[1:], strict=True))
    except (TypeError, ValueError, OverflowError):
        raise wrong from None


@lru_cache(maxsize=256)
def _mark(order: Order) -> str:
    """What tells the cursors of one order from those of others."""
    names = ",".join(f"{'-' * sort.descending}{sort.column.key}" for sort in order)
    return f"{crc32(names.encode()):08x}"


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
