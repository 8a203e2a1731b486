"""Lists of JSON that a statement makes of the values of its rows."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class json_texts(GenericFunction[str]):  # noqa: N801 - a function's name in SQL
    """The values of all rows, each as a text, in a list of JSON; of no rows, an empty list."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_texts)
def _on_postgresql(element: json_texts, compiler: Any, **options: Any) -> str:
    value = compiler.process(element.clauses, **options)
    return f"coalesce(json_agg(CAST({value} AS text)), '[]')"


@compiles(json_texts, "sqlite")
def _on_sqlite(element: json_texts, compiler: Any, **options: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **options)})"


class json_row(GenericFunction[str]):  # noqa: N801 - as above
    """These values of one row, in a list of JSON."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_row)
def _row_on_postgresql(element: json_row, compiler: Any, **options: Any) -> str:
    return f"json_build_array({compiler.process(element.clauses, **options)})"


@compiles(json_row, "sqlite")
def _row_on_sqlite(element: json_row, compiler: Any, **options: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **options)})"
