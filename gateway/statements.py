"""SELECTs, compiled once: their text, the values that go into it, and how rows come out of it."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from gateway.tables import Row

Way = Callable[[Any], Any] | None
"""How a value passes between Python and the driver; None: as it is."""


class Statement:
    """A query as the driver takes it, for any values of its named parameters."""

    def __init__(self, query: sa.Select[Any], dialect: sa.Dialect) -> None:
        compiled: Any = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.text: str = compiled.string
        self.given: Mapping[str, Any] = compiled.params
        """What the query itself says the values are."""
        self._binds = tuple(
            (name, _way(compiled.binds[name].type, dialect, "bind_processor"))
            for name in compiled.positiontup
        )
        columns = list(query.selected_columns)
        ways = [_way(column.type, dialect, "result_processor", None) for column in columns]
        self._read = _reader(_row([str(column.key) for column in columns]), ways)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in their places, those that aren't given as the query has them."""
        given = {**self.given, **values}
        return [given[name] if way is None else way(given[name]) for name, way in self._binds]

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Row]:
        """Rows of what the driver found."""
        return self._read(found)


def _way(type_: Any, dialect: sa.Dialect, direction: str, *arguments: Any) -> Way:
    way: Way = getattr(type_.dialect_impl(dialect), direction)(dialect, *arguments)
    return way


def _row(keys: Sequence[str]) -> type[Row]:
    """The class of rows that have these columns; of two with one name, the first has it."""
    members: dict[str, Any] = {
        key: property(itemgetter(at)) for at, key in reversed(list(enumerate(keys)))
    }
    return type("Row", (Row,), {"__slots__": (), **members})


def _reader(row: type[Row], ways: Sequence[Way]) -> Callable[[Sequence[Any]], list[Row]]:
    """Make the function from what the driver found to rows: code, for it runs for every value."""
    if not any(ways):
        return lambda found: list(map(row, found))
    values: dict[str, Any] = {"row": row, **{f"w{at}": way for at, way in enumerate(ways)}}
    parts = "".join(f"w{at}(r[{at}]), " if way else f"r[{at}], " for at, way in enumerate(ways))
    # The text is made of numbers alone.
    exec(f"def read(found):\n    return [row(({parts})) for r in found]", values)  # noqa: S102
    read: Callable[[Sequence[Any]], list[Row]] = values["read"]
    return read
