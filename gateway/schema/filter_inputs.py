"""Typed filters and orders: inputs made of a view's columns, and the conditions they stand for."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Optional, cast

import strawberry

from gateway.errors import BadInput, shown
from gateway.query.filters import (
    EXISTS,
    All,
    AnyOf,
    AsOf,
    Condition,
    DocumentCondition,
    Not,
    Where,
)
from gateway.query.paging import Order, Sort
from gateway.resolvers.collection import Collection, Column
from gateway.schema.scalars import JSON, BigInt, Epoch
from gateway.schema.views import VIEWS, ColumnField, View

MAX_CONDITIONS = 200
MAX_VALUES = 1000
MAX_DEPTH = 16

OPERATORS: Mapping[str, tuple[str, str]] = {
    "eq": ("eq", "Equal to this; null matches null."),
    "ne": ("ne", "Different from this, or null."),
    "in_": ("in", f"Equal to one of these; at most {MAX_VALUES} values in a whole filter."),
    "gt": ("gt", "Greater than this."),
    "gte": ("gte", "Greater than or equal to this."),
    "lt": ("lt", "Less than this."),
    "lte": ("lte", "Less than or equal to this."),
    "contains": ("contains", "Contains this text, case-sensitively."),
    "starts_with": ("startsWith", "Begins with this text, case-sensitively."),
    "is_null": ("isNull", "Null (true), or not null (false)."),
}
"""Operators by their names in Python: the name in GraphQL and in `filters`, and the meaning."""

_NONE: Mapping[str, Any] = MappingProxyType({})

_EQUALITY = ("eq", "ne", "in_", "is_null")
_ORDER = ("gt", "gte", "lt", "lte")


def _filter(name: str, kind: Any, operators: Iterable[str], of: str) -> Any:
    def type_of(operator: str) -> Any:
        return {"in_": Optional[list[kind]], "is_null": Optional[bool]}.get(
            operator,
            Optional[kind],
        )

    members = [
        (operator, type_of(operator), _given(OPERATORS[operator][1], OPERATORS[operator][0]))
        for operator in operators
    ]
    return _input(name, __name__, members, f"Conditions on {of}; all must hold.")


def _input(name: str, module: str, members: Iterable[tuple[str, Any, Any]], about: str) -> Any:
    """Return an input class of names, types and fields; `module` is where type names lie."""
    members = list(members)
    body = {name: field for name, _, field in members}
    annotations = {name: type_ for name, type_, _ in members}
    made = type(name, (), body | {"__annotations__": annotations, "__module__": module})
    return strawberry.input(made, description=about)


def _given(description: str, name: str | None = None) -> Any:
    return strawberry.field(default=strawberry.UNSET, description=description, name=name)


StringFilter = _filter(
    "StringFilter", str, (*_EQUALITY, *_ORDER, "contains", "starts_with"), "a text"
)
IDFilter = _filter("IDFilter", strawberry.ID, _EQUALITY, "an id")
IntFilter = _filter("IntFilter", int, (*_EQUALITY, *_ORDER), "a number")
BigIntFilter = _filter("BigIntFilter", BigInt, (*_EQUALITY, *_ORDER), "a large number")
DateTimeFilter = _filter("DateTimeFilter", datetime, (*_EQUALITY, *_ORDER), "a point in time")
BooleanFilter = _filter("BooleanFilter", bool, ("eq", "ne"), "a boolean")

_FILTERS: dict[object, Any] = {
    str: StringFilter,
    strawberry.ID: IDFilter,
    int: IntFilter,
    BigInt: BigIntFilter,
    datetime: DateTimeFilter,
    bool: BooleanFilter,
}


@strawberry.input(description="A condition on a value inside a document.")
class DocumentFilter:
    """A path into a document, and what must be there."""

    path: list[str] = strawberry.field(
        description='The keys from the root down, such as `["ssh_port"]`; arrays have no keys.'
    )
    eq: JSON | None = strawberry.field(
        description="A string, number, boolean, or null, which also matches an absent key."
    )


@strawberry.enum(description="The direction of an order.")
class OrderDirection(Enum):
    """Ascending or descending."""

    ASC = strawberry.enum_value("ASC", description="Ascending; nulls first.")
    DESC = strawberry.enum_value("DESC", description="Descending; nulls last.")


def _filter_of(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, StrEnum) and kind not in _FILTERS:
        _FILTERS[kind] = _filter(f"{kind.__name__}Filter", kind, _EQUALITY, f"a {kind.__name__}")
    return _FILTERS.get(kind)


def where_input(
    cls: type, hidden: Mapping[str, str] = _NONE, own: Mapping[str, Any] = _NONE, **documents: str
) -> Any:
    """Return the filter input of a view, with a field for each column that may be filtered by.

    `hidden` are columns that no field shows, with descriptions. `own` are inputs that make their
    conditions themselves, by `where_in`: each its type and description. `documents` are the columns
    that hold documents, with a description of conditions on them.
    """
    name = f"{cls.__name__}Where"
    members: list[tuple[str, Any, Any]] = [
        (name_, Optional[kind], _given(f"A condition on `{_camel(name_)}`."))
        for name_, field in VIEWS[cls.__name__].own.items()
        if (kind := _filter_of(field.kind)) and field.is_filtered
    ]
    members += (
        (name_, Optional[_filter_of(VIEWS[cls.__name__].all[name_].kind)], _given(text))
        for name_, text in hidden.items()
    )
    members += ((name_, Optional[type_], _given(text)) for name_, (type_, text) in own.items())
    members += (
        (name_, f"{type_}Where | None", _given(f"Conditions on `{name_}`."))
        for name_, type_ in VIEWS[cls.__name__].parts.items()
    )
    members += (
        (leaf, Optional[list[DocumentFilter]], _given(text)) for leaf, text in documents.items()
    )
    members += (
        ("and_", f"list[{name}] | None", _given("All of these must hold.", "and")),
        ("or_", f"list[{name}] | None", _given("At least one of these must hold.", "or")),
        ("not_", f"{name} | None", _given("This must not hold.", "not")),
    )
    about = f"Conditions on {cls.__name__.lower()}s; all must hold."
    return _input(name, cls.__module__, members, about)


def names_marked(mark: str, view: View, where: Any, orders: Iterable[Any]) -> Iterator[str]:
    """Yield the fields of a filter, and of orders, with a mark: an attribute of `ColumnField`."""
    for name, value in vars(where).items() if where else ():
        match value:
            case strawberry.UNSET | None:
                continue
            case list() if name in {"and_", "or_"}:
                for one in value:
                    yield from names_marked(mark, view, one, ())
            case _ if name == "not_":
                yield from names_marked(mark, view, value, ())
            case _ if name in view.parts:
                yield from names_marked(mark, VIEWS[view.parts[name]], value, ())
            case _:
                field = view.all.get(name)
                if getattr(value, mark, field is not None and getattr(field, mark)):
                    yield f"{view.name}Where.{_camel(name)}"
    for item in orders:
        if getattr(view.all[item.field.value], mark):
            yield f"{view.name}Order.{item.field.name}"


def order_input(cls: type) -> Any:
    """Return the order input of a view, over the columns that may be sorted by."""
    name = cls.__name__
    sortable = [key for key, field in VIEWS[name].all.items() if field.sort is not None]
    choices = Enum(  # type: ignore[misc]  # its members come from the view
        f"{name}OrderField", {leaf.upper(): leaf for leaf in sortable}, module=cls.__module__
    )
    choice = strawberry.enum(
        choices, description=f"The fields that {name.lower()}s may be ordered by."
    )
    which_way = strawberry.field(
        default=OrderDirection.ASC, description="The direction of this key."
    )
    members = [
        ("field", choice, strawberry.field(description="The field to order by.")),
        ("direction", OrderDirection, which_way),
    ]
    about = f"One sort key of {name.lower()}s."
    return _input(f"{name}Order", cls.__module__, members, about)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def condition(view: View, given: Any) -> Where | None:
    """Return the condition that a filter input stands for; None for an empty one.

    Raises BadInput, naming the field, for a condition that can't be met.
    """
    where = _narrowed(view, given)
    if where is not None:
        _check_size(where)
    return where


def _check_size(where: Where) -> None:
    """Raise BadInput for more than a database takes in one statement."""
    conditions = values = 0
    waiting = [(where, 1)]
    while waiting:
        part, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise BadInput(f"'where' is nested deeper than {MAX_DEPTH} levels", field="where")
        match part:
            case Not(inner) | AsOf(inner):
                waiting.append((inner, depth + 1))
            case All(parts) | AnyOf(parts):
                # An empty one is a condition as well: it always holds, or never.
                conditions += not parts
                waiting += ((inner, depth + 1) for inner in parts)
            case DocumentCondition(keys=keys):
                conditions += len(keys)
            case Condition(value=tuple() as listed):
                conditions += 1
                values += len(listed)
            case _:
                conditions += 1
    for what, count, most in (
        ("conditions", conditions, MAX_CONDITIONS),
        ("values in lists", values, MAX_VALUES),
    ):
        if count > most:
            raise BadInput(f"'where' has {count} {what}, the limit is {most}", field="where")


def _narrowed(view: View, given: Any) -> Where | None:
    parts = [
        part
        for name, value in vars(given).items()
        # Most are absent.
        if value is not strawberry.UNSET and value is not None
        for part in _parts(view, name, value)
    ]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _parts(view: View, name: str, value: Any) -> Iterable[Where]:
    if name == "and_":
        yield All(tuple(_required_condition(view, item) for item in value))
    elif name == "or_":
        yield AnyOf(tuple(_required_condition(view, item) for item in value))
    elif name == "not_":
        yield Not(_required_condition(view, value))
    elif name in view.parts:
        yield _required_condition(VIEWS[view.parts[name]], value)
    elif hasattr(value, "where_in"):
        yield value.where_in(view.name)
    elif isinstance(value, list):
        yield from (_held(view.all[name].column, item) for item in value)
    else:
        for operator, (graphql, _) in OPERATORS.items():
            wanted = getattr(value, operator, strawberry.UNSET)
            if wanted is not strawberry.UNSET:
                yield _compared(name, view.all[name], graphql, wanted)


def _required_condition(view: View, given: Any) -> Where:
    return _narrowed(view, given) or All(())


def _raw(column: Any) -> Column:
    """Return the column itself, without the label that it is selected under."""
    return column.element  # type: ignore[no-any-return]


def _compared(name: str, field: ColumnField, operator: str, value: Any) -> Where:
    label = f"{_camel(name)}.{operator}"
    if value is None:
        if operator not in {"eq", "ne"}:
            raise BadInput(f"'{label}' can't be null: use isNull", field=label)
        return Condition(cast("Column", field.or_null), operator, None)
    if any(
        "\0" in text
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str)
    ):
        raise BadInput(f"'{label}' has a NUL character", field=label)
    if operator == "isNull":
        return Condition(cast("Column", field.or_null), operator, value)
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(cast("Column", field.compared).type, Epoch):
        return _seconds(field, operator, value)
    return _condition(field, operator, value)


def _condition(field: ColumnField, operator: str, value: Any) -> Condition:
    """Return a comparison with what a field shows: stored values that it doesn't show are null.

    The column itself is compared, which the database has statistics and indexes of, among the
    values that are shown.
    """
    column, is_shown = cast("Column", field.compared), field.is_shown
    if is_shown is not None and operator == "ne":
        return Condition(cast("Column", field.or_null), operator, value)
    if operator in {"eq", "in"} and not isinstance(column.type, Epoch):
        # No value of an Int or an enum equals a stored value that isn't shown.
        is_shown = None
    return Condition(column, operator, value, is_shown)


def _seconds(field: ColumnField, operator: str, value: Any) -> Where:
    """Return a comparison with a column of whole seconds; fractions equal none of them."""
    if operator == "in":
        return _condition(field, "in", tuple(v for v in value if not v.microsecond))
    if not value.microsecond:
        return _condition(field, operator, value)
    if operator in {"eq", "ne"}:
        return All(()) if operator == "ne" else AnyOf(())
    # The column is compared with the whole second before.
    return _condition(field, {"gte": "gt", "lt": "lte"}.get(operator, operator), value)


def _held(column: Any, given: DocumentFilter) -> Where:
    document, value = _raw(column), cast("Any", given.eq)
    if not given.path:
        raise BadInput("'path' must name at least one key", field="path")
    if len(given.path) > 32 or any("\0" in key for key in given.path):  # noqa: PLR2004
        raise BadInput(f"'path' {shown(given.path)} can't be in a document", field="path")
    if isinstance(value, (dict, list)):
        raise BadInput("'eq' must be a string, number, boolean or null", field="eq")
    held = DocumentCondition(document, tuple(given.path), value)
    if value is not None:
        return held
    return AnyOf((held, Not(DocumentCondition(document, tuple(given.path), EXISTS))))


def sorting(view: View, collection: Collection, given: list[Any] | None) -> Order:
    """Return the order asked for, with tie-breakers, or the collection's own for none."""
    sorts: dict[str, Sort] = {}
    for item in given or []:
        ascending = cast("Sort", view.all[item.field.value].sort)
        descends = item.direction is OrderDirection.DESC
        sorts.setdefault(item.field.value, ascending.reversed() if descends else ascending)
    return collection.sorted_by(*sorts.values())
