"""Views: what each type of the schema reads, and of which rows.

A view is a Strawberry type that is never instantiated: graphql-core reads its fields off the rows
themselves. Each field says in its metadata what it is, so that a selection of fields is also a
SELECT list, a filter or an order, and a plan.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import (
    Any,
)

import sqlalchemy as sa
import strawberry
from graphql import FieldNode, FragmentSpreadNode, GraphQLResolveInfo, InlineFragmentNode

from gateway.context import Context, ItemKey
from gateway.db.rows import Row
from gateway.errors import BadInput, shown
from gateway.query.filters import Where
from gateway.resolvers.collection import Collection, Column, Columns, Owner


@dataclass(frozen=True)
class Leaf:
    """A field that is a column: how it is selected, filtered and sorted by."""

    column: Column
    sort: Column | None
    filtered: bool
    kind: Any = None
    """Its type, without `| None`."""


@dataclass(frozen=True)
class Part:
    """A field that groups more columns of the same row under a type of their own."""

    view: str


@dataclass(frozen=True, eq=False)
class Reference:
    """A field that is a relation to one: `key` is the leaf that holds the other's id."""

    view: str
    collection: Collection
    key: str


@dataclass(frozen=True, eq=False)
class List:
    """A field that is a list of views: of the catalogue, or with an owner, of a row.

    `owner` are the columns of the list that hold the parent's project and id, `key` the leaf of the
    parent that holds its id; `extra` are columns that the connection's edges read.
    """

    view: str
    collection: Collection
    search: Callable[[str], Where]
    owner: Owner | None
    key: str | None
    extra: Columns


@dataclass(frozen=True, eq=False)
class ByRestId:
    """A root field that finds one item by the id that REST clients know."""

    view: str
    collection: Collection
    argument: str

    def checked(self, item_id: str) -> str:
        """Return an id that an item could have; raise BadInput for any other."""
        if "\0" in item_id:
            raise BadInput(f"'{self.argument}' has a NUL character", field=self.argument)
        return item_id


@dataclass(frozen=True)
class ByGlobalId:
    """A root field that finds one item, or many, by global ids."""

    many: bool


@dataclass(frozen=True)
class Told:
    """A root field that is known without the database: an object of leaves, made of a context."""

    tell: Callable[[Context], Any]


SPEC = "spec"
"""Under this key, a field's metadata say which of these it is."""


@dataclass(frozen=True)
class View:
    """A type of the schema and the list that its rows come from."""

    name: str
    key: str
    collection: Collection
    own: Mapping[str, Leaf]
    """The leaves, by the field's name in Python."""
    leaves: Mapping[str, Leaf]
    """The same, and those of its parts."""
    needs: Mapping[str, frozenset[str]]
    """By the field's name in GraphQL: the leaves it reads."""
    parts: Mapping[str, str]
    """By the field's name in GraphQL: the type of a field that is a part of the same row."""

    def columns(self, names: frozenset[str]) -> Columns:
        """The columns of these leaves, in the order of the fields."""
        return tuple(leaf.column for name, leaf in self.leaves.items() if name in names)


VIEWS: dict[str, View] = {}
"""Every view, by its name in GraphQL."""

TYPENAMES: dict[str, Column] = {}
"""Each view's name as a column: a row of `node` must say what it is."""


# Global ids


def global_id(name: str, project_id: str, item_id: str) -> strawberry.ID:
    """Write a global id: opaque to clients, and no secret."""
    return strawberry.ID(global_ids(name)(project_id, item_id))


@cache
def global_ids(name: str) -> Callable[[str, str], str]:
    """Make the function of projects and ids to the global ids of one type."""
    base64 = binascii.b2a_base64

    def write(project_id: str, item_id: str) -> str:
        return base64(f"{name}:{project_id}:{item_id}".encode(), newline=False).decode()

    return write


def parse_id(text: str, field: str, name: str | None = None) -> tuple[View, ItemKey]:
    """Read a global id, of one type where `name` says so; BadInput for any other text."""
    wrong = BadInput(f"'{field}': {shown(text)} is not the id of a {name or 'node'}", field=field)
    try:
        kind, project_id, item_id = base64.b64decode(text, validate=True).decode().split(":", 2)
    except (binascii.Error, ValueError):
        raise wrong from None
    view = VIEWS.get(kind)
    if view is None or not view.key or name not in {None, kind} or "\0" in project_id + item_id:
        raise wrong
    return view, (project_id, item_id)


# Selections


ACROSS: Column = sa.literal_column("1").label("across")


def place(info: Any) -> tuple[int, ...]:
    """Where in the operation a field stands: siblings share it, and what is found out there."""
    return tuple(id(node) for node in info._raw_info.field_nodes)  # noqa: SLF001 - the only way to it


def is_across(row: Any) -> bool:
    """Tell whether a row was read across projects, so that what belongs to it may be, too."""
    return hasattr(row, "across")


def selected(info: Any, view: View, *ways: str, across: bool = False) -> Columns:
    """The columns that the selection under this field reads of the view's rows.

    `ways` are paths from the field to the rows, such as `edges.node` and `nodes`; none: the field's
    own selection. Rows that are read `across` projects say so. Directives are not looked at: a
    column too many does no harm.
    """
    raw: GraphQLResolveInfo[Any] = info._raw_info  # noqa: SLF001 - the only way to the selection
    cache: dict[object, Columns] = info.context.selections
    key = (*place(info), view.name, across)
    if (columns := cache.get(key)) is None:
        found: list[FieldNode] = []
        for way in ways or ("",):
            nodes = list(raw.field_nodes)
            for step in filter(None, way.split(".")):
                nodes = [n for n in _fields(nodes, raw.fragments) if n.name.value == step]
            found += nodes
        names = _leaves(found, view, raw.fragments) | {"project_id", view.key}
        columns = cache[key] = (
            *view.columns(frozenset(names)),
            *((ACROSS,) if across else ()),
        )
    return columns


def _leaves(nodes: Sequence[FieldNode], view: View, fragments: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    for field in _fields(nodes, fragments):
        name = field.name.value
        names |= view.needs.get(name, frozenset())
        if inner := view.parts.get(name):
            names |= _leaves([field], VIEWS[inner], fragments)
    return names


def _fields(nodes: Sequence[FieldNode], fragments: Mapping[str, Any]) -> Iterator[FieldNode]:
    """The fields selected under these, through fragments of whatever type, each looked at once."""
    spread: set[str] = set()
    for field in nodes:
        waiting = list(field.selection_set.selections) if field.selection_set else []
        while waiting:
            selection = waiting.pop(0)
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                waiting[:0] = selection.selection_set.selections
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                spread.add(selection.name.value)
                waiting[:0] = fragments[selection.name.value].selection_set.selections


def lies_across(ctx: Context, view: View, project_id: str) -> bool:
    """Whether an item is another project's, and the caller is one who may look there, too.

    A global id says whose it is, so that `node` needs no other argument; Relay allows none. Where
    nobody is authenticated, nothing but the request itself keeps projects apart.
    """
    if project_id == ctx.project_id or ctx.identity.is_local:
        return False
    return ctx.policy.allows(view.collection.all_projects.rule, ctx.identity, ctx.project_id)


async def fetch(info: Any, view: View, key: ItemKey, *, across: bool = False) -> Row | None:
    """The row of a global id, or None where the caller sees none; it knows its type."""
    collection = view.collection.all_projects if across else view.collection
    columns = (*selected(info, view, across=across), TYPENAMES[view.name])
    found: Row | None = await info.context.batch(collection.rows_by_key, key, columns)
    return found
