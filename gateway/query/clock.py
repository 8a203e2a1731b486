"""The database's clock in statements, which are compiled once and run at any time."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
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
