"""SQL, compiled once: its text, the values that go into it, and how rows come out of it."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import UpdateBase

from gateway.db.rows import Converter, base_column, make_row_class

SQL = sa.Select[Any] | UpdateBase


class Statement:
    """A statement as the driver takes it, for any values of its named parameters.

    Where it has a list of values, each must be a parameter of its own: SQLAlchemy would else write
    them in when it runs the query, which it never does.
    """

    def __init__(self, query: SQL, dialect: sa.Dialect, base: type = tuple) -> None:
        """Compile it; `base` is the driver's class of rows."""
        compiled: Any = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.text: str = compiled.string
        self.given: Mapping[str, Any] = compiled.params
        """What the query itself says the values are."""
        self._binds = tuple(
            (name, _converter(compiled.binds[name].type, dialect, "bind_processor"))
            for name in compiled.positiontup
        )
        columns = list(query.exported_columns)
        converters = [
            _converter(column.type, dialect, "result_processor", None) for column in columns
        ]
        positions = {base_column(column): at for at, column in reversed(list(enumerate(columns)))}
        self.row = make_row_class(
            [str(column.key) for column in columns], converters, base, positions
        )
        """What the driver is to make of each row."""

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in their positions, those that aren't given as the query has them."""
        given = {**self.given, **values}
        return [
            given[name] if convert is None else convert(given[name])
            for name, convert in self._binds
        ]


def _converter(type_: Any, dialect: sa.Dialect, direction: str, *arguments: Any) -> Converter:
    convert: Converter = getattr(type_.dialect_impl(dialect), direction)(dialect, *arguments)
    return convert
