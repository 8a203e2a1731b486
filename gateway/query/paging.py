"""Pages of sorted lists, by keyset: a cursor is a position in the order, not a row number."""

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
from gateway.codegen import CodeNames, compile_function
from gateway.db.rows import Row, base_column
from gateway.errors import BadInput, shown

Column = sa.ColumnElement[Any]
Key = tuple[Any, ...]

LIMIT = sa.bindparam("limit", None, type_=sa.BigInteger)
OFFSET = sa.bindparam("offset", None, type_=sa.BigInteger)


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort key. Nulls come first, and last when descending."""

    column: Column
    descending: bool = False
    name: str = ""
    """The name in cursors of a column that has none itself, as expressions have none."""

    @property
    def nullable(self) -> bool:
        """True if the column may be null."""
        return bool(getattr(self.column, "nullable", True))

    def reversed(self) -> Sort:
        """Return this key in the opposite direction."""
        return replace(self, descending=not self.descending)

    def clause(self) -> Column:
        """Return the ORDER BY expression, which sorts alike on both databases."""
        ordered = self.column.desc() if self.descending else self.column.asc()
        if not self.nullable:
            return ordered
        return ordered.nulls_last() if self.descending else ordered.nulls_first()

    def beyond(self, value: object) -> Column:
        """Return the predicate that a row comes after this value."""
        if value is None:
            return sa.false() if self.descending else self.column.is_not(None)
        if not self.descending:
            return self.column > value
        after = self.column < value
        return sa.or_(after, self.column.is_(None)) if self.nullable else after

    def equals(self, value: object) -> Column:
        """Return the predicate that a row has this value."""
        return self.column.is_(None) if value is None else self.column == value


Order = tuple[Sort, ...]


def is_beyond(order: Order, key: Key) -> Column:
    """Return the predicate that a row comes after this key in this order."""
    columns = [sort.column for sort in order]
    if not any(sort.nullable for sort in order) and len({sort.descending for sort in order}) == 1:
        # A comparison of rows is what an index on these columns can answer by itself.
        row, other = sa.tuple_(*columns), sa.tuple_(*key)
        return row < other if order[0].descending else row > other
    alternatives: list[Column] = []
    equal: Column = sa.true()
    for sort, value in zip(order, key, strict=True):
        alternatives.append(sa.and_(equal, sort.beyond(value)))
        equal = sa.and_(equal, sort.equals(value))
    return sa.or_(*alternatives)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for one page of a list in an order.

    It asks for the `first` rows after the key `after`, or the `last` rows before `before`; either
    may have both keys. `offset` skips rows of the list between the keys (REST's deprecated way of
    paging). Exactly one of `first` and `last` is set; the caller has checked that it is positive.
    """

    order: Order
    first: int | None = None
    last: int | None = None
    after: Key | None = None
    before: Key | None = None
    offset: int = 0

    @property
    def length(self) -> int:
        """The page's maximum number of rows."""
        return self.first or self.last or 0

    @property
    def cache_key(self) -> Hashable:
        """A key that requests share if their statements differ in nothing but values."""
        nulls = [key and tuple(value is None for value in key) for key in (self.after, self.before)]
        return self.order, self.backwards, bool(self.offset), *nulls

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of the statement's parameters, by name.

        The limit is one row beyond the page, which tells if the list goes on.
        """
        values: dict[str, Any] = {"limit": self.length + 1, "offset": self.offset}
        for name, key in (("after", self.after), ("before", self.before)):
            if key is not None:
                values |= {f"{name}_{at}": value for at, value in enumerate(key)}
        return values

    def parametrized(self) -> PageRequest:
        """Return this request with parameters, named as in `values`, in place of its keys."""
        return replace(
            self,
            after=_parameters(self.order, self.after, "after"),
            before=_parameters(self.order, self.before, "before"),
        )

    @property
    def backwards(self) -> bool:
        """True if the page is counted from the list's end."""
        return self.last is not None

    @property
    def direction(self) -> Order:
        """The ORDER BY of the statement, reversed if the page is counted backwards."""
        return tuple(sort.reversed() for sort in self.order) if self.backwards else self.order

    def bounds(self) -> list[Column]:
        """Return the predicates that a row lies between `after` and `before`."""
        bounds = []
        if self.after is not None:
            bounds.append(is_beyond(self.order, self.after))
        if self.before is not None:
            bounds.append(is_beyond(tuple(sort.reversed() for sort in self.order), self.before))
        return bounds

    def keys(self, query: sa.Select[Any]) -> list[Column]:
        """Return the sort keys that the query doesn't select already, labelled `key_N`."""
        own = set(map(base_column, query.selected_columns))
        keys = enumerate(sort.column for sort in self.order)
        return [key.label(f"key_{at}") for at, key in keys if key not in own]

    def statement(self, query: sa.Select[Any], *, with_keys: bool = True) -> sa.Select[Any]:
        """Return the query of a whole list narrowed to this page and one row more.

        `with_keys` selects the sort keys as well, which `cursors` needs.
        """
        narrowed = query.add_columns(*self.keys(query)) if with_keys else query
        narrowed = narrowed.where(*self.bounds())
        narrowed = narrowed.order_by(*(sort.clause() for sort in self.direction)).limit(LIMIT)
        return narrowed.offset(OFFSET) if self.offset else narrowed

    def page(self, rows: Sequence[Row]) -> Page:
        """Return the page made of the rows that `statement` selected."""
        length = self.length
        more = len(rows) > length
        if more:
            rows = rows[:length]
        return Page(self, rows if self.last is None else rows[::-1], more)

    def is_unbounded(self, *, forwards: bool) -> bool:
        """Return True if the page has no cursor on this side, so no rows can lie beyond it."""
        return (self.before if forwards else self.after) is None

    def outside(self, *, forwards: bool) -> Column:
        """Return the predicate that a row lies beyond the cursor that the page has on this side."""
        edge = (self.before if forwards else self.after) or ()
        order = self.order if forwards else tuple(sort.reversed() for sort in self.order)
        same = sa.and_(*(sort.equals(value) for sort, value in zip(self.order, edge, strict=True)))
        return sa.or_(same, is_beyond(order, edge))


def _parameters(order: Order, key: Key | None, name: str) -> Key | None:
    """Return a key of parameters; a null stays None, since it is compared by IS NULL."""
    if key is None:
        return None
    return tuple(
        None if value is None else sa.bindparam(f"{name}_{at}", None, type_=sort.column.type)
        for at, (sort, value) in enumerate(zip(order, key, strict=True))
    )


@dataclass(slots=True)
class Page:
    """The rows of a page, in the list's order."""

    page_request: PageRequest
    rows: Sequence[Row]
    more: bool
    """True if the list goes on in the direction that the page is counted in."""
    revision: int | None = None
    """The catalogue's revision that the rows are of; None for lists without revisions."""

    @property
    def has_next(self) -> bool | None:
        """True if rows follow the page; None if only another statement can tell."""
        if not self.page_request.backwards and self.more:
            return True
        return False if self.page_request.before is None else None

    @property
    def has_previous(self) -> bool | None:
        """True if rows precede the page; None if only another statement can tell."""
        if self.page_request.backwards and self.more:
            return True
        return False if self.page_request.after is None else None

    def next_offset(self) -> int:
        """Return the offset of the page after this one."""
        return self.page_request.offset + len(self.rows)


@lru_cache(maxsize=256)
def cursors(order: Order, kind: type[Row]) -> Callable[[Row], str]:
    """Return the function that writes the cursor of a row of this class, for this order.

    A cursor is the hexadecimal JSON array of the order's checksum and the row's sort keys. Raises
    KeyError if the rows lack a sort key.
    """
    names = CodeNames()
    values = [repr(_checksum(order))]
    for sort in order:
        at = kind.positions[sort.column]
        convert = kind.converters[at]
        values.append(f"row[{at}]" if convert is None else f"{names(convert)}(row[{at}])")
    # Hexadecimal is longer than base64, but nothing in Python is faster.
    body = f"return {names(orjson.dumps)}(({', '.join(values)})).hex()"
    return compile_function("cursor", ["row"], [body], names)


def decode(order: Order, cursor: str, *, field: str) -> Key:
    """Return the key that a cursor holds.

    Raises BadInput, naming the argument `field`, for a text that isn't a cursor of this order.
    """
    wrong = BadInput(f"'{field}': {shown(cursor)} is not a cursor of this list", field=field)
    try:
        values = orjson.loads(bytes.fromhex(cursor))
    except ValueError:
        raise wrong from None
    if (
        not isinstance(values, list)
        or len(values) != len(order) + 1
        or values[0] != _checksum(order)
    ):
        raise wrong
    try:
        return tuple(_value(sort, value) for sort, value in zip(order, values[1:], strict=True))
    except (TypeError, ValueError, OverflowError):
        raise wrong from None


@lru_cache(maxsize=256)
def _checksum(order: Order) -> str:
    """Return a checksum of an order, which tells its cursors from those of other orders."""
    names = ",".join(f"{'-' * sort.descending}{sort.column.key or sort.name}" for sort in order)
    return f"{crc32(names.encode()):08x}"


def _value(sort: Sort, value: Any) -> Any:
    """Return a sort key read from a cursor. Raises TypeError, ValueError or OverflowError."""
    kind = sort.column.type.python_type
    if value is None and sort.nullable:
        return None
    if kind is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        # Raises OverflowError for the first and last hours of the calendar.
        return moment.astimezone(UTC)
    if type(value) is not kind or (kind is str and "\0" in value):
        raise TypeError(value)
    if kind is int and not -INT64 <= value < INT64:
        raise OverflowError(value)
    return value
