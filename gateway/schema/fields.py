"""Declarations: how the fields and types of views are written down in the entities' modules."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from types import UnionType
from typing import (
    Annotated,
    Any,
    Optional,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)

import sqlalchemy as sa
import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument

from gateway.query.paging import Sort
from gateway.resolvers.collection import Collection, Column
from gateway.schema.scalars import Epoch, Int32, Partial, Vocabulary
from gateway.schema.views import (
    CLOCK,
    DESCRIPTION,
    UNTRACKED,
    VIEWS,
    AnsweredField,
    BatchField,
    BatchLoad,
    ByRestIdField,
    ColumnField,
    ConnectionField,
    EmbeddedField,
    ListedField,
    MutationField,
    ToOneField,
    View,
    WrittenField,
)

Item = TypeVar("Item")


@strawberry.interface(description="An object with an id of its own in the whole catalogue.")
class Node:
    """Relay's Node."""

    id: strawberry.ID = strawberry.field(
        description="Global id: it names the type, the project and the item."
    )


def declare(  # noqa: PLR0913 - as for `batch`
    spec: object,
    type_: Any,
    description: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    clock: Sequence[str] | None = None,
    untracked: bool = False,
) -> Any:
    """Return a field of a type that plans read by `spec`; graphql-core never resolves it.

    `arguments` are the types of its arguments by their names in Python, or such a type and a
    default. A field that depends on the clock has a `clock`: see `views.CLOCK`; for `untracked`,
    see `views.UNTRACKED`.
    """
    metadata = {DESCRIPTION: spec} | ({} if clock is None else {CLOCK: tuple(clock)})
    if untracked:
        metadata[UNTRACKED] = True
    field = strawberry.field(graphql_type=type_, description=description, metadata=metadata)
    field.init = False
    field.arguments = [_argument(name, given) for name, given in (arguments or {}).items()]
    return field


def _argument(name: str, given: Any) -> StrawberryArgument:
    type_, *default = given if isinstance(given, tuple) else (given,)
    annotation = StrawberryAnnotation(type_)
    if not default:
        return StrawberryArgument(name, None, annotation)
    return StrawberryArgument(name, None, annotation, default=default[0])


def column(  # noqa: PLR0913 - as for `batch`
    source: Column,
    description: str,
    *,
    sort: bool | Column = False,
    compared: Column | None = None,
    is_filtered: bool = True,
    untracked: bool = False,
) -> Any:
    """Return a field that is a column.

    `sort` makes it a field to order by; it and `compared` may be another column, which is better to
    sort by, or to compare. See `views.UNTRACKED` for `untracked`.
    """
    by = source if sort is True else None if sort is False else sort
    order = None if by is None else Sort(by)
    spec = ColumnField(source, order, is_filtered, compared=compared, untracked=untracked)
    return strawberry.field(description=description, metadata={DESCRIPTION: spec})


def hidden(source: Column, kind: type, *, sort: bool = False) -> ColumnField:
    """Return a column of this type that no field shows, for filters, orders and derived fields."""
    return ColumnField(source, Sort(source) if sort else None, is_filtered=True, kind=kind)


def embedded(type_: type, description: str) -> Any:
    """Return a field that groups more columns of the same row under a type of their own."""
    name = type_.__strawberry_definition__.name  # type: ignore[attr-defined]
    return declare(EmbeddedField(name), type_, description)


def to_one(type_: str, collection: Collection, key: str, description: str) -> Any:
    """Return a relation to one: its type as `module.Type`, and the column field with its id."""
    spec = ToOneField(type_name(type_), collection, key)
    return declare(spec, Optional[reference(type_)], description)


def batch(  # noqa: PLR0913 - all that makes one such field differ from another
    load: BatchLoad,
    key: str,
    type_: Any,
    description: str,
    arguments: Mapping[str, Any],
    *,
    by: Column | None = None,
    clock: Sequence[str] | None = None,
    untracked: bool = False,
) -> Any:
    """Return a field with arguments whose values are loaded for all rows of a page together.

    `arguments`, `clock` and `untracked` are as in `declare`; see `BatchField` for `key`. The rows
    are filtered and sorted `by` a column, which depends on the clock if the field does.
    """
    column = None
    if by is not None:
        column = ColumnField(
            by, Sort(by), is_filtered=True, reads_clock=clock is not None, untracked=untracked
        )
    spec = BatchField(load, key, column)
    return declare(spec, type_, description, arguments, clock=clock, untracked=untracked)


def by_rest_id(
    type_: str, collection: Collection, argument: str, description: str | None = None
) -> Any:
    """Return the root field that finds one item by the id that REST clients know."""
    name = type_name(type_)
    about = strawberry.argument(name=argument, description="The id in the current project.")
    return declare(
        ByRestIdField(name, collection, argument),
        Optional[reference(type_)],
        description
        or f"The {name.lower()} that REST clients know by this id; null if there is none.",
        {"item_id": Annotated[strawberry.ID, about]},
    )


def written(type_: str, description: str) -> Any:
    """Return the field of a payload that shows the item written; the payload has its `key`."""
    return declare(WrittenField(type_name(type_)), reference(type_), description)


def listed(type_: str, description: str, *, keys: str = "") -> Any:
    """Return the field of a payload that shows items.

    `keys` is the payload's attribute that has their keys; by default, one of the field's name.
    """
    spec = ListedField(type_name(type_), keys)
    return declare(spec, list[reference(type_)], description)  # type: ignore[misc]


def mutation(description: str) -> Callable[[Any], Any]:
    """Return the decorator of a static method `(ctx, input) -> payload` that makes it a field."""
    return _called(MutationField, description)


def answered(
    description: str, *, clock: Sequence[str] | None = None, untracked: bool = False
) -> Callable[[Any], Any]:
    """Return the decorator of a static method `(ctx, …) -> payload` that makes it a query field.

    See `views` for `clock` and `untracked`.
    """
    return _called(AnsweredField, description, clock, untracked=untracked)


def _called(
    spec: type[MutationField],
    description: str,
    clock: Sequence[str] | None = None,
    *,
    untracked: bool = False,
) -> Callable[[Any], Any]:
    def decorate(method: Any) -> Any:
        function = method.__func__
        annotations = function.__annotations__
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.default is not parameter.empty
        }
        arguments = {
            name: (annotations[name], defaults[name]) if name in defaults else annotations[name]
            for name in annotations
            if name not in {"ctx", "return"}
        }
        kind = annotations["return"]
        made = spec(function)
        return declare(made, kind, description, arguments, clock=clock, untracked=untracked)

    return decorate


def reference(type_: str) -> Any:
    """Return a reference to a type that another module of the schema declares: `module.Type`."""
    module, _, name = type_.partition(".")
    return Annotated[name, strawberry.lazy(f"gateway.schema.{module}")]


def type_name(type_: str) -> str:
    """Return the type's own name, of `module.Type`."""
    return type_.partition(".")[2]


@dataclass_transform()
def node(
    collection: Collection, key: str, description: str, **internal: Column | ColumnField
) -> Callable[[type[Item]], type[Item]]:
    """Return the decorator of a view whose items have ids.

    `key` is the column field that holds the REST id, `internal` are column fields that no client
    sees, for connections to find their items by, and those that `hidden` returns.
    """

    def decorate(cls: type[Item]) -> type[Item]:
        decorated = strawberry.type(cls, description=description)
        _register(decorated, collection, key, internal)
        return decorated

    return decorate


@dataclass_transform()
def fragment(description: str) -> Callable[[type[Item]], type[Item]]:
    """Return the decorator of a type that is a part of a row."""

    def decorate(cls: type[Item]) -> type[Item]:
        decorated = strawberry.type(cls, description=description)
        _register(decorated, None, "")
        return decorated

    return decorate


def _register(
    cls: type,
    collection: Collection | None,
    key: str,
    internal: Mapping[str, Column | ColumnField] | None = None,
) -> None:
    definition = cls.__strawberry_definition__  # type: ignore[attr-defined]
    own: dict[str, ColumnField] = {}
    inner = {
        name: _of_type(source, name, source.kind)
        if isinstance(source, ColumnField)
        else ColumnField(source.label(name), None, is_filtered=False)
        for name, source in (internal or {}).items()
    }
    parts: dict[str, str] = {}
    for field in definition.fields:
        match field.metadata.get(DESCRIPTION):
            case ColumnField() as spec:
                own[field.python_name] = _of_type(
                    spec, field.python_name, _kind(cls.__annotations__[field.python_name])
                )
            case EmbeddedField(view):
                parts[field.python_name] = view
                inner |= VIEWS[view].all
            case BatchField(column=ColumnField() as spec):
                own[field.python_name] = _of_type(spec, field.python_name, bool)
            case ToOneField() | ConnectionField():
                pass
    VIEWS[definition.name] = View(definition.name, key, collection, own, inner | own, parts)  # type: ignore[arg-type]


def _kind(annotation: Any) -> Any:
    """Return the type of a field without its `| None`."""
    if get_origin(annotation) in {Union, UnionType}:
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _of_type(spec: ColumnField, name: str, kind: Any) -> ColumnField:
    """Return a column field with the conversion, and the nulls, that its type asks for."""
    column, sort = _as(spec.column, kind), spec.sort
    stored = spec.column if spec.compared is None else spec.compared
    field = replace(spec, column=column.label(name), kind=kind, compared=stored, or_null=stored)
    if not isinstance(column.type, Partial):
        return field
    is_shown = column.type.shows(stored)
    or_null = sa.case((is_shown, stored))
    if sort is not None and sort.column is spec.column:
        # By the stored values with the nulls, since cursors hold stored values.
        sort = Sort(or_null, name=str(spec.column.key))
    return replace(
        field,
        sort=sort,
        compared=sa.type_coerce(stored, column.type),
        is_shown=is_shown,
        or_null=sa.type_coerce(or_null, column.type),
    )


def _as(column: Column, kind: Any) -> Column:
    """Return the column with the conversion that the field's type asks for."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return sa.type_coerce(column, Vocabulary(kind))
    if kind is datetime and isinstance(column.type, sa.BigInteger):
        return sa.type_coerce(column, Epoch())
    if kind is int and isinstance(column.type, sa.BigInteger):
        return sa.type_coerce(column, Int32())
    return column
