"""How types of the schema are declared: nodes and their parts, columns, relations."""

import inspect
from collections.abc import Callable, Mapping
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
from strawberry.schema.name_converter import NameConverter
from strawberry.types.field import StrawberryField

from gateway.context import Context
from gateway.db.rows import Row
from gateway.resolvers.collection import Collection, Column
from gateway.schema.scalars import Epoch, Int32, Vocabulary
from gateway.schema.views import (
    SPEC,
    TYPENAMES,
    VIEWS,
    ByRestId,
    Leaf,
    List,
    Part,
    Reference,
    View,
    global_id,
    is_across,
    selected,
)

Info = strawberry.Info[Context, None]
Item = TypeVar("Item")


@strawberry.interface(description="An object with an id of its own in the whole catalogue.")
class Node:
    """Relay's Node."""

    @strawberry.field(description="Global id: it names the type, the project and the item.")
    def id(root: Any, info: Info) -> strawberry.ID:  # noqa: N805 - Strawberry's way to say "the row"
        """Make the global id of a row."""
        view = VIEWS[info._raw_info.parent_type.name]  # noqa: SLF001 - the only way to it
        return global_id(view.name, root.project_id, getattr(root, view.key))

    @classmethod
    def resolve_type(cls, obj: Any, *_: object) -> str:
        """Tell the type of a row that `node` found."""
        return str(obj.typename)


def leaf(
    column: Column,
    description: str,
    *,
    sort: bool | Column = False,
    filtered: bool = True,
    name: str | None = None,
) -> Any:
    """Declare a field that is a column.

    `sort` makes it a field to order by, with another column where that one sorts better.
    """
    by = column if sort is True else None if sort is False else sort
    return strawberry.field(
        description=description, name=name, metadata={SPEC: Leaf(column, by, filtered)}
    )


def part(type_: type, description: str) -> Any:
    """Declare a field that groups more columns of the same row under a type of their own."""
    resolver = annotated(lambda root: root, root=Any, returns=type_)
    return strawberry.field(
        resolver=resolver,
        description=description,
        metadata={SPEC: Part(type_.__strawberry_definition__.name)},  # type: ignore[attr-defined]
    )


def one(view: str, collection: Collection, key: str, description: str) -> Any:
    """Declare a relation to one: `key` is the leaf that holds the other's id."""

    async def resolve(root: Any, info: Any) -> Any:
        other = getattr(root, key)
        if other is None:
            return None
        across = is_across(root)
        columns = selected(info, VIEWS[view], across=across)
        resolve_ids = (collection.all_projects if across else collection).resolve_ids
        return await info.context.batch(resolve_ids, (root.project_id, other), columns)

    return strawberry.field(
        resolver=annotated(resolve, root=Any, info=Info, returns=Optional[reference(view)]),
        description=description,
        metadata={SPEC: Reference(view, collection, key)},
    )


def by_rest_id(view: str, collection: Collection, argument: str) -> Any:
    """Declare the root field that finds one item by the id that REST clients know."""
    spec = ByRestId(view, collection, argument)

    async def resolve(root: Any, info: Any, item_id: str) -> Any:  # noqa: ARG001 - there is no root
        columns = selected(info, VIEWS[view])
        return await collection.get(info.context, spec.checked(item_id), columns)

    about = strawberry.argument(name=argument, description="The id in the current project.")
    return strawberry.field(
        resolver=annotated(
            resolve,
            root=Any,
            info=Info,
            item_id=Annotated[strawberry.ID, about],
            returns=Optional[reference(view)],
        ),
        description=f"The {view.lower()} that REST clients know by this id; null if there is none.",
        metadata={SPEC: spec},
    )


def reference(name: str) -> Any:
    """Refer to a type that another module of the schema declares, by its name."""
    module = next(m for m in _MODULES if name.startswith(m))
    return Annotated[name, strawberry.lazy(f"gateway.schema.{_MODULES[module]}")]


_MODULES = {
    "Backup": "backups",
    "Job": "jobs",
    "Action": "actions",
    "Client": "clients",
    "Session": "sessions",
}


def annotated(
    function: Callable[..., Any],
    returns: Any,
    *,
    defaults: Mapping[str, object] | None = None,
    **parameters: Any,
) -> Any:
    """Give a resolver the signature that Strawberry is to read: it is known only at run time.

    The resolver takes its arguments by their names; one without a default is required.
    """
    function.__annotations__ = parameters | {"return": returns}
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=type_,
                default=(defaults or {}).get(name, inspect.Parameter.empty),
            )
            for name, type_ in parameters.items()
        ],
        return_annotation=returns,
    )
    return function


@dataclass_transform()
def node(collection: Collection, key: str, description: str) -> Callable[[type[Item]], type[Item]]:
    """Declare a view: a type whose items have ids; `key` is the leaf that holds the REST id."""

    def declare(cls: type[Item]) -> type[Item]:
        decorated = strawberry.type(cls, description=description)
        decorated.__strawberry_definition__.is_type_of = _is_row  # type: ignore[attr-defined]
        _register(decorated, collection, key)
        return decorated

    return declare


@dataclass_transform()
def fragment(description: str) -> Callable[[type[Item]], type[Item]]:
    """Declare the type of a part of a row."""

    def declare(cls: type[Item]) -> type[Item]:
        decorated = strawberry.type(cls, description=description)
        _register(decorated, None, "")
        return decorated

    return declare


def _is_row(obj: object, _info: object) -> bool:
    return isinstance(obj, Row)


def _register(cls: type, collection: Collection | None, key: str) -> None:
    definition = cls.__strawberry_definition__  # type: ignore[attr-defined]
    own: dict[str, Leaf] = {}
    inner: dict[str, Leaf] = {}
    needs: dict[str, frozenset[str]] = {"id": frozenset()}
    parts: dict[str, str] = {}
    for field in definition.fields:
        name = _graphql_name(field)
        match field.metadata.get(SPEC):
            case Leaf() as leaf:
                kind = _kind(cls.__annotations__[field.python_name])
                column = _as(leaf.column, kind).label(field.python_name)
                own[field.python_name] = replace(leaf, column=column, kind=kind)
                needs[name] = frozenset({field.python_name})
            case Part(group):
                parts[name] = group
                inner |= VIEWS[group].leaves
            case Reference(key=other) | List(key=other) if other:
                needs[name] = frozenset({other})
    VIEWS[definition.name] = View(definition.name, key, collection, own, inner | own, needs, parts)  # type: ignore[arg-type]
    TYPENAMES[definition.name] = sa.literal_column(f"'{definition.name}'").label("typename")


def _graphql_name(field: StrawberryField) -> str:
    return NameConverter().from_field(field)


def _kind(annotation: Any) -> Any:
    """The type of a field without its `| None`."""
    if get_origin(annotation) in {Union, UnionType}:
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _as(column: Column, kind: Any) -> Column:
    """The column as the field's type has it."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return sa.type_coerce(column, Vocabulary(kind))
    if kind is datetime and isinstance(column.type, sa.BigInteger):
        return sa.type_coerce(column, Epoch())
    if kind is int and isinstance(column.type, sa.BigInteger):
        return sa.type_coerce(column, Int32())
    return column
