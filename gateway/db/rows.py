"""Rows: what a driver returns, read by name or by place."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

Converter = Callable[[Any], Any] | None
"""How a value passes between Python and the driver; None: as it is."""


if TYPE_CHECKING:
    _Values = tuple[Any, ...]
else:
    # What holds the values, the driver says.
    _Values = object


class Row(_Values):
    """A row of whatever columns a statement selects, as the driver made it.

    A column by its name is a value of its type; by its place it is as the driver has it, which is
    what there is to make many rows of fast: `converters` lead from one to the other.
    """

    __slots__ = ()
    converters: ClassVar[Sequence[Converter]] = ()
    positions: ClassVar[Mapping[sa.ColumnElement[Any], int]] = {}
    """Where the columns of tables are among the values."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Show a column; the rows of each statement have its columns' names."""


def make_row_class(
    keys: Sequence[str],
    converters: Sequence[Converter],
    base: type = tuple,
    positions: Mapping[sa.ColumnElement[Any], int] = MappingProxyType({}),
) -> type[Row]:
    """Make the class of rows of these columns; of two with one name, the first has it.

    `base` is the driver's own class of rows, which has their values by their positions.
    """

    def reading(at: int, convert: Converter) -> Any:
        return property(itemgetter(at) if convert is None else lambda row: convert(row[at]))

    named = reversed(list(enumerate(zip(keys, converters, strict=True))))
    members = {key: reading(at, convert) for at, (key, convert) in named}
    made = {**members, "__slots__": (), "converters": tuple(converters), "positions": positions}
    return type("Row", (Row, base), made)


def base_column(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The column that a selected one shows under another name, or from a subquery; or itself."""
    (base,) = column.base_columns
    return base
