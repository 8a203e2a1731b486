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

from gateway.catalogue.column_types import JSONText
from gateway.catalogue.derivations import NAMES, fold
from gateway.catalogue.tables import columns
from gateway.query.clock import at_moment

Column = sa.ColumnElement[Any]
Bind = Callable[[Column, Any], Column]
"""Makes the SQL expression of a value that is compared with a column, such as a parameter."""


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
# conditions whose expressions differ in nothing but these values.


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

    def sql(self, bind: Bind) -> Column:
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

    def sql(self, bind: Bind) -> Column:
        """Return the SQL expression."""
        return sa.and_(sa.true(), *(part.sql(bind) for part in self.parts))

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the keys of the parts."""
        return _cache_keys(All, self.parts, values)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A disjunction; false for no parts."""

    parts: tuple[Where, ...]

    def sql(self, bind: Bind) -> Column:
        """Return the SQL expression."""
        return sa.or_(sa.false(), *(part.sql(bind) for part in self.parts))

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the keys of the parts."""
        return _cache_keys(AnyOf, self.parts, values)


@dataclass(frozen=True, slots=True)
class Not:
    """A negation; true also for a part that is null."""

    part: Where

    def sql(self, bind: Bind) -> Column:
        """Return the SQL expression."""
        return sa.not_(sa.func.coalesce(self.part.sql(bind), sa.false()))

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the key of the part."""
        return _cache_keys(Not, (self.part,), values)


@dataclass(frozen=True, slots=True)
class AsOf:
    """A condition on the clock that holds as of another moment, in seconds since 1970."""

    part: Where
    seconds: int

    def sql(self, bind: Bind) -> Column:
        """Return the SQL expression."""
        moment = bind(_SECONDS, self.seconds)
        return at_moment(self.part.sql(bind), moment)

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the key of the part."""
        values.append(self.seconds)
        return _cache_keys(AsOf, (self.part,), values)


EXISTS: Any = object()
"""A value for `DocumentCondition`: true for any value under the key."""


@dataclass(frozen=True, slots=True)
class DocumentCondition:
    """A JSON document has this value, of the same JSON type, under a key.

    `keys` is the path to the value from the document's root, through objects; with `anywhere` it is
    one key, at any depth. The value is a string, number, boolean, None for null, or `EXISTS`;
    arrays and objects are equal to nothing.
    """

    document: Column
    keys: tuple[str, ...]
    value: Any
    anywhere: bool = False

    def sql(self, bind: Bind) -> Column:
        """Return the SQL expression."""
        path = bind(_TEXT, self._path())
        keys = tuple(bind(_TEXT, key) for key in self.keys)
        value = bind(_ATOM, self.value) if self._kind() in {"text", "number"} else None
        return JSONContains(self.document, path, keys, self._kind(), value, anywhere=self.anywhere)

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the document, the number of keys and the value's type."""
        kind = self._kind()
        values += (self._path(), *self.keys)
        if kind in {"text", "number"}:
            values.append(self.value)
        return DocumentCondition, self.document, len(self.keys), kind, self.anywhere

    def _kind(self) -> str | None:
        """Return SQLite's name of the value's type, or `number`; None for any type."""
        match self.value:
            case None | bool():
                return json.dumps(self.value)
            case str():
                return "text"
        return None if self.value is EXISTS else "number"

    def _path(self) -> str:
        """Return PostgreSQL's path; `strict`, so that it doesn't descend into arrays."""
        steps = "".join(f".{json.dumps(key)}" for key in self.keys)
        test = "" if self.value is EXISTS else f" ? (@ == {json.dumps(self.value)})"
        return f"strict ${'.**' if self.anywhere else ''} ? (exists (@{steps}{test}))"


@dataclass(frozen=True, slots=True)
class RelatedCondition:
    """A condition holds of any row of another source that belongs `on` this predicate to a row."""

    source: sa.FromClause
    on: Column
    to: sa.FromClause
    where: Where

    def sql(self, bind: Bind) -> Column:
        """Return the SQL expression."""
        query: sa.Select[Any] = (
            sa.select(sa.literal_column("1"))
            .select_from(self.source)
            .where(self.on, self.where.sql(bind))
        )
        return query.correlate(self.to).exists()

    def cache_key(self, values: list[Any]) -> Hashable:
        """Return the source and the key of the condition."""
        return RelatedCondition, self.source, self.on, self.where.cache_key(values)


def _cache_keys(kind: type, parts: Iterable[Where], values: list[Any]) -> Hashable:
    return (kind, *[part.cache_key(values) for part in parts])


Where = Condition | All | AnyOf | Not | AsOf | DocumentCondition | RelatedCondition

_TEXT: Column = sa.literal_column("text", sa.Text)
_ATOM: Column = sa.literal_column("atom")
"""The types of a document's keys and of its values."""
_SECONDS: Column = sa.literal_column("seconds", sa.BigInteger)
"""The type of a moment."""


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


class JSONContains(sa.ColumnElement[bool]):
    """The predicate of a `DocumentCondition`, whose values are parameters.

    PostgreSQL takes all of them in the path, SQLite the keys and the value.
    """

    type = sa.Boolean()
    inherit_cache = False

    def __init__(  # noqa: PLR0913 - the parts of a condition
        self,
        document: Column,
        path: Column,
        keys: tuple[Column, ...],
        kind: str | None,
        value: Column | None,
        *,
        anywhere: bool,
    ) -> None:
        self.document, self.path, self.keys, self.anywhere = document, path, keys, anywhere
        self.kind, self.value = kind, value

    @property
    def _from_objects(self) -> list[sa.FromClause]:
        return list(self.document._from_objects)  # noqa: SLF001 - part of SQLAlchemy's protocol

    def on_postgresql(self) -> Column:
        """Return a path expression."""
        # A text becomes a path by way of its own text; the driver would ask for a path's codec.
        path = sa.cast(sa.cast(self.path, sa.Text), JSONPATH)
        nothing = sa.cast(sa.literal_column("'{}'"), JSONB)
        return sa.func.jsonb_path_exists(
            sa.cast(self.document, JSONB), path, nothing, sa.literal_column("true")
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
        if self.kind == "number":
            conditions.append(sa.or_(values.c.type == "integer", values.c.type == "real"))
        elif self.kind is not None:
            conditions.append(values.c.type == self.kind)
        if self.value is not None:
            conditions.append(values.c.atom == self.value)
        query: sa.Select[Any] = (
            sa.select(sa.literal_column("1")).select_from(*tables).where(*conditions)
        )
        return query.correlate_except(*tables).exists()


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
