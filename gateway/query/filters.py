"""Conditions on columns and documents, compiled to SQL; `OPERATORS` has the operators."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlmodel import SQLModel

from gateway.catalogue.derivations import NAMES, fold
from gateway.catalogue.tables import JSONText, columns

Column = sa.ColumnElement[Any]
Bind = Callable[[Column, Any], Column]
"""Makes the SQL expression of a value that is compared with a column, such as a parameter."""


def as_is(column: Column, value: Any) -> Column:
    """Return the value itself as a parameter, which can't be shared between requests."""
    return sa.bindparam(None, value, type_=column.type, unique=True)


class position_of(GenericFunction[int]):  # noqa: N801 - a function's name in SQL
    """The position of a text in another, from 1, or 0 if it isn't there; case matters."""

    type = sa.Integer()
    inherit_cache = True


@compiles(position_of)
def _strpos(element: position_of, compiler: Any, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


@compiles(position_of, "sqlite")
def _instr(element: position_of, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


def _starts_with(column: Column, value: Any) -> Column:
    # The first comparison lets an index be used.
    return sa.and_(column >= value, sa.func.substr(column, 1, sa.func.length(value)) == value)


OPERATORS: Mapping[str, Callable[[Column, Any], Column]] = {
    "eq": lambda column, value: column.is_not_distinct_from(value),
    "ne": lambda column, value: column.is_distinct_from(value),
    "in": lambda column, values: column.in_(values),
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "contains": lambda column, value: position_of(column, value) > 0,
    "icontains": lambda column, value: position_of(sa.func.lower(column), value) > 0,
    "startsWith": _starts_with,
    "isNull": lambda column, value: column.is_(None) if value else column.is_not(None),
}


# Each kind of condition has two methods:
#
# `sql` returns its SQL expression, with `bind` called for each value. `cache_key` appends the
# values to a list, in the order in which `sql` binds them, and returns a key that is equal for
# conditions whose expressions differ in nothing but these values; None if it can't be shared.


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison: `column operator value`.

    The value of `in` is a tuple, that of `icontains` has its case folded; None is null, and `eq
    None` is true for null.
    """

    column: Column
    operator: str
    value: Any
    among: Column | None = None
    """A predicate that must hold as well. Its own values are constants of the statement."""

    def sql(self, bind: Bind = as_is) -> Column:
        """Return the SQL expression."""
        compared = self._compared(bind)
        return compared if self.among is None else sa.and_(compared, self.among)

    def _compared(self, bind: Bind) -> Column:
        column, operator, value = self.column, self.operator, self.value
        if isinstance(value, tuple):
            return OPERATORS[operator](column, [bind(column, one) for one in value])
        if value is None or operator == "isNull":
            return OPERATORS[operator](column, value)
        if operator == "eq":
            return cast("Column", column == bind(column, value))
        return OPERATORS[operator](column, bind(column, value))

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the column, the operator and `among`, and the number of values or a null."""
        if isinstance(self.value, tuple):
            values += self.value
            return self.column, self.operator, self.among, len(self.value)
        if self.value is None or self.operator == "isNull":
            return self.column, self.operator, self.among, self.value
        values.append(self.value)
        return self.column, self.operator, self.among


@dataclass(frozen=True, slots=True)
class All:
    """A conjunction; true for no parts."""

    parts: tuple[Where, ...]

    def sql(self, bind: Bind = as_is) -> Column:
        """Return the SQL expression."""
        return sa.and_(sa.true(), *(part.sql(bind) for part in self.parts))

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the keys of the parts; None if one has none."""
        return _cache_keys(All, self.parts, values)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A disjunction; false for no parts."""

    parts: tuple[Where, ...]

    def sql(self, bind: Bind = as_is) -> Column:
        """Return the SQL expression."""
        return sa.or_(sa.false(), *(part.sql(bind) for part in self.parts))

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the keys of the parts; None if one has none."""
        return _cache_keys(AnyOf, self.parts, values)


@dataclass(frozen=True, slots=True)
class Not:
    """A negation; true also for a part that is null."""

    part: Where

    def sql(self, bind: Bind = as_is) -> Column:
        """Return the SQL expression."""
        return sa.not_(sa.func.coalesce(self.part.sql(bind), sa.false()))

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the key of the part."""
        return _cache_keys(Not, (self.part,), values)


@dataclass(frozen=True, slots=True)
class Expression:
    """An SQL expression that is true, false or null, with values of its own."""

    expression: Column

    def sql(self, bind: Bind = as_is) -> Column:  # noqa: ARG002 - its values are bound
        """Return the SQL expression."""
        return self.expression

    def cache_key(self, values: list[Any]) -> None:
        """Return None: the values are a part of the expression."""


def _cache_keys(kind: type, parts: Iterable[Where], values: list[Any]) -> Hashable:
    keys = [part.cache_key(values) for part in parts]
    return None if None in keys else (kind, *keys)


Where = Condition | All | AnyOf | Not | Expression


class without_key(GenericFunction[str]):  # noqa: N801 - a function's name in SQL
    """A JSON document without one of its keys; PostgreSQL may reorder the others."""

    type = JSONText()
    inherit_cache = True


@compiles(without_key)
def _json_remove(element: without_key, compiler: Any, **options: Any) -> str:
    document, key = (compiler.process(part, **options) for part in element.clauses)
    return f"json_remove({document}, '$.' || {key})"


@compiles(without_key, "postgresql")
def _minus(element: without_key, compiler: Any, **options: Any) -> str:
    document, key = (compiler.process(part, **options) for part in element.clauses)
    return f"CAST(CAST({document} AS jsonb) - CAST({key} AS text) AS json)"


EXISTS: Any = object()
"""A value for `JSONContains`: true for any value under the key."""


class JSONContains(sa.ColumnElement[bool]):
    """A predicate: a JSON document has this value, of the same JSON type, under a key.

    `keys` is the path to the value from the document's root, through objects; with `anywhere` it is
    one key, at any depth. The value is a string, number, boolean, None for null, or `EXISTS`;
    arrays and objects are equal to nothing.
    """

    type = sa.Boolean()
    inherit_cache = False

    def __init__(
        self,
        document: Column,
        keys: tuple[str, ...],
        value: str | float | bool | None,  # noqa: FBT001 - a JSON value
        *,
        anywhere: bool = False,
    ) -> None:
        self.document, self.keys, self.value, self.anywhere = document, keys, value, anywhere

    @property
    def _from_objects(self) -> list[sa.FromClause]:
        return list(self.document._from_objects)  # noqa: SLF001 - part of SQLAlchemy's protocol

    def on_postgresql(self) -> Column:
        """Return a path expression; `strict`, so that it doesn't descend into arrays."""
        steps = "".join(f".{json.dumps(key)}" for key in self.keys)
        test = "" if self.value is EXISTS else f" ? (@ == {json.dumps(self.value)})"
        path = f"strict ${'.**' if self.anywhere else ''} ? (exists (@{steps}{test}))"
        return sa.func.jsonb_path_exists(
            sa.cast(self.document, JSONB), sa.cast(path, JSONPATH), sa.cast({}, JSONB), sa.true()
        )

    def on_sqlite(self) -> Column:
        """Return a subquery that joins the values of each level with those of the level above."""
        within, tables = self.document, []
        conditions: list[Column] = []
        for depth, key in enumerate(self.keys):
            each = sa.func.json_tree if self.anywhere and not depth else sa.func.json_each
            values = (
                each(within)
                .table_valued("key", "type", "atom", "value", joins_implicitly=True)
                .alias(f"v{depth}")
            )
            tables.append(values)
            # Elements of arrays have integer keys, which equal no text.
            conditions.append(values.c.key == key)
            within = sa.case((values.c.type == "object", values.c.value), else_="{}")
        if self.value is not EXISTS:
            conditions.append(self._is_value(values.c.type, values.c.atom))
        query: sa.Select[Any] = (
            sa.select(sa.literal_column("1")).select_from(*tables).where(*conditions)
        )
        return query.correlate_except(*tables).exists()

    def _is_value(self, kind: Column, atom: Column) -> Column:
        match self.value:
            case None:
                return kind == "null"
            case bool():
                return kind == json.dumps(self.value)
            case str():
                return sa.and_(kind == "text", atom == self.value)
            case _:
                number = sa.or_(kind == "integer", kind == "real")
                return sa.and_(number, atom == self.value)


@compiles(JSONContains, "postgresql")
def _on_postgresql(element: JSONContains, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.on_postgresql(), **options))


@compiles(JSONContains)
def _on_sqlite(element: JSONContains, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.on_sqlite(), **options))


def search(table: type[SQLModel], text: str, *ids: str) -> Where:
    """Return the condition of a free text: equal to one of these ids, or part of a name.

    A name is found in any case: the databases fold the case of ASCII, and `folded` has the names of
    the rows for which that isn't enough.
    """
    own, folded = columns(table), fold(text)
    return AnyOf(
        (
            *(Condition(own[name], "eq", text) for name in ids),
            *(Condition(own[name], "icontains", folded) for name in NAMES[table]),
            Condition(own.folded, "contains", folded),
        )
    )
