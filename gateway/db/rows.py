"""Rows: the driver's own, whose values are also read by column name."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

Converter = Callable[[Any], Any] | None
"""A function between the values of Python and of the driver; None if they are the same."""


if TYPE_CHECKING:
    _Values = tuple[Any, ...]
else:
    # The driver's class, which holds the values, is a base of each class that is made.
    _Values = object


class Row(_Values):
    """A row of the columns that a statement selects, as the driver made it.

    `row.name` is a value of the column's type; `row[position]` is the driver's value, which
    `converters[position]` turns into the other. Generated code reads by position: it is faster.
    """

    __slots__ = ()
    converters: ClassVar[Sequence[Converter]] = ()
    """The converters of the values, by position."""
    positions: ClassVar[Mapping[sa.ColumnElement[Any], int]] = {}
    """The positions of the tables' columns among the values."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return the value of a column, named as in the statement."""


def make_row_class(
    keys: Sequence[str],
    converters: Sequence[Converter],
    base: type = tuple,
    positions: Mapping[sa.ColumnElement[Any], int] = MappingProxyType({}),
) -> type[Row]:
    """Return the class of rows of these columns, derived from the driver's class of rows, `base`.

    Of two columns with one name, the name reads the first.
    """

    def reader(at: int, convert: Converter) -> Any:
        return property(itemgetter(at) if convert is None else lambda row: convert(row[at]))

    # Reversed, so that of two columns with one name the first overwrites the second.
    named = reversed(list(enumerate(zip(keys, converters, strict=True))))
    members = {key: reader(at, convert) for at, (key, convert) in named}
    members |= {"__slots__": (), "converters": tuple(converters), "positions": positions}
    return type("Row", (Row, base), members)


def base_column(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the column under a label, or the one that a subquery's column stands for."""
    (base,) = column.base_columns
    return base
