"""The database's clock in statements, which are compiled once and run at any time."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.functions import GenericFunction


class seconds_now(GenericFunction[int]):  # noqa: N801 - a function's name in SQL
    """The whole seconds since 1970."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(seconds_now)
def _on_postgresql(_element: seconds_now, _compiler: Any, **_options: Any) -> str:
    return "CAST(floor(EXTRACT(EPOCH FROM now())) AS bigint)"


@compiles(seconds_now, "sqlite")
def _on_sqlite(_element: seconds_now, _compiler: Any, **_options: Any) -> str:
    return "CAST(strftime('%s', 'now') AS INTEGER)"


AS_OF = "as_of"
"""The parameter that holds a moment in the clock's place, or null."""
MOMENT: sa.ColumnElement[int] = sa.func.coalesce(
    sa.bindparam(AS_OF, None, type_=sa.BigInteger), seconds_now(), type_=sa.BigInteger
)
"""The moment that a list is asked about: by default now, by the database's clock."""


class epoch(GenericFunction[int]):  # noqa: N801 - as above
    """A point in time as whole seconds since 1970."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(epoch)
def _epoch_on_postgresql(element: epoch, compiler: Any, **options: Any) -> str:
    # The first and the last moment of Python's calendar are infinite here.
    first, last = "'0001-01-01 00:00:00+00'", "'9999-12-31 23:59:59+00'"
    moment = f"greatest({first}, least({last}, {compiler.process(element.clauses, **options)}))"
    return f"CAST(floor(EXTRACT(EPOCH FROM {moment})) AS bigint)"


@compiles(epoch, "sqlite")
def _epoch_on_sqlite(element: epoch, compiler: Any, **options: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **options)}) AS INTEGER)"


def at_moment(
    expression: sa.ColumnElement[Any], moment: sa.ColumnElement[int]
) -> sa.ColumnElement[Any]:
    """Return an expression that is about another moment than the list that it stands in."""

    def replace(element: Any, **_: Any) -> Any:
        is_moment = isinstance(element, sa.BindParameter) and element.key == AS_OF
        return moment if is_moment else None

    replaced: sa.ColumnElement[Any] = visitors.replacement_traverse(expression, {}, replace)
    return replaced
