"""Compiled SQL: its text, the arguments it takes, and the class of its rows."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.expression import UpdateBase

from gateway.db.rows import Converter, base_column, make_row_class

SQL = sa.Select[Any] | UpdateBase


class Statement:
    """A compiled statement, for any values of its named parameters.

    Each value of a list must be a parameter of its own: SQLAlchemy expands lists only when it runs
    a statement itself, which the gateway never lets it do.
    """

    def __init__(self, query: SQL, dialect: sa.Dialect, base: type = tuple) -> None:
        """Compile the query; `base` is the driver's class of rows."""
        compiled: Any = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.text: str = compiled.string
        self.defaults: Mapping[str, Any] = compiled.params
        """The values that the query itself has for its parameters, by name."""
        self._parameters = tuple(
            (name, _converter(compiled.binds[name].type, dialect, "bind_processor"))
            for name in compiled.positiontup
        )
        columns = list(query.exported_columns)
        converters = [
            _converter(column.type, dialect, "result_processor", None) for column in columns
        ]
        positions = {base_column(column): at for at, column in reversed(list(enumerate(columns)))}
        keys = [str(column.key) for column in columns]
        self.row = make_row_class(keys, converters, base, positions)
        """The class that the driver makes rows of."""

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the arguments in the driver's order and types; missing values are defaults."""
        given = {**self.defaults, **values}
        return [
            given[name] if convert is None else convert(given[name])
            for name, convert in self._parameters
        ]


def _converter(type_: Any, dialect: sa.Dialect, direction: str, *arguments: Any) -> Converter:
    """Return SQLAlchemy's converter of a type's values to, or from, the driver's."""
    convert: Converter = getattr(type_.dialect_impl(dialect), direction)(dialect, *arguments)
    return convert
