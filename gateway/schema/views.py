"""Views: the columns, relations and parts that each type of the schema shows of its rows.

A view is a Strawberry type that is never instantiated. Each of its fields carries a description of
itself in its metadata, so that a selection of fields is also a SELECT list, a filter, an order and
a plan.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.context import Context, ItemKey
from gateway.errors import BadInput
from gateway.query.filters import Where
from gateway.query.paging import Sort
from gateway.resolvers.collection import Collection, Column, Columns, Owner

DESCRIPTION = "gateway"
"""The key in a Strawberry field's metadata under which one of the following stands."""

CLOCK = "gateway-clock"
"""The key under which a field that depends on the clock has the names of its arguments, in Python,
each of which gives a moment in the clock's place. Fields of a payload have those of its root field.

Columns that depend on it say so by `ColumnField.reads_clock`: the list's `as_of` is their moment.
Operations that read the clock are told by it: see `execution/clock_reads.py`.
"""

UNTRACKED = "gateway-untracked"
"""The key under which a field says that its answer may change though no time passes and no revision
does: with the polls of schedulers, which renew none, or with who asks, beyond their rights.

Columns say it by `ColumnField.untracked`. Such answers are never kept: see
`execution/untracked_reads.py`.
"""


@dataclass(frozen=True)
class ColumnField:
    """A field that is a column: how it is selected, filtered and sorted by."""

    column: Column
    sort: Sort | None
    is_filtered: bool
    kind: Any = None
    """Its type, without `| None`."""
    compared: Column | None = None
    """Another column of its type, which filters compare in its place."""
    is_shown: Column | None = None
    """The predicate of the stored values that the type doesn't show as null; None for all."""
    or_null: Column | None = None
    """The column that is compared, with null for the others."""
    reads_clock: bool = False
    """True if conditions and orders by it depend on the clock."""
    untracked: bool = False
    """True if it is as `UNTRACKED` says; then so are conditions and orders by it."""


@dataclass(frozen=True)
class EmbeddedField:
    """A field that groups more columns of the same row under a type of their own."""

    view: str


@dataclass(frozen=True, eq=False)
class ToOneField:
    """A relation to one; `key` is the column field that holds the other's id."""

    view: str
    collection: Collection
    key: str


@dataclass(frozen=True, eq=False)
class ConnectionField:
    """A list of views: of the whole catalogue or, with an owner, of one row.

    `owner` are the columns of the list that hold the parent's project and id, `key` and
    `key_project` the parent's column fields that hold its id, and the project of the list; `extra`
    are columns that the connection's edges show.
    """

    view: str
    collection: Collection
    search: Callable[[str], Where]
    owner: Owner | None
    key: str | None
    extra: Columns
    key_project: str = "project_id"


BatchLoad = Callable[..., Awaitable[Mapping[ItemKey, Any]]]
"""Loads a value for each key: `(ctx, keys, all_projects=…, **arguments)`."""


@dataclass(frozen=True, eq=False)
class BatchField:
    """A field with arguments whose values are loaded for all rows of a page together.

    `key` is the column field by which they are found; with a `column`, rows are filtered and sorted
    by that.
    """

    load: BatchLoad
    key: str
    column: ColumnField | None = None


@dataclass(frozen=True, eq=False)
class ByRestIdField:
    """A root field that finds one item by the id that REST clients know."""

    view: str
    collection: Collection
    argument: str

    def check(self, item_id: str) -> str:
        """Return the id unchanged. Raises BadInput for one that no item can have."""
        if "\0" in item_id:
            raise BadInput(f"'{self.argument}' has a NUL character", field=self.argument)
        return item_id


@dataclass(frozen=True)
class ByGlobalIdField:
    """A root field that finds one item by its global id, or many."""

    many: bool


@dataclass(frozen=True)
class ComputedField:
    """A root field computed without the database: an object of plain values, of a context."""

    compute: Callable[[Context], Any]


@dataclass(frozen=True, eq=False)
class DerivedField:
    """A field of a row worked out without the database: an object of plain values, or null.

    `reads` are column fields, whose values as the driver has them `derive` takes by their names.
    Fields of the object with arguments are its methods. It is worked out in a thread where one of
    `slow` is selected, by its name in Python.
    """

    reads: tuple[str, ...]
    derive: Callable[[Mapping[str, Any]], Any]
    slow: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MutationField:
    """A root field that writes and returns its payload: an object with a key and plain values."""

    write: Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class AnsweredField(MutationField):
    """A root field that reads, by its arguments, and returns an object such as a payload, or many.

    Where it `knows_selection`, it is also told the `selected` attributes of the object.
    """

    knows_selection: bool = False


@dataclass(frozen=True)
class LiveField:
    """A root field of subscriptions: the fields of a query, answered again and again."""


@dataclass(frozen=True)
class ChangesField:
    """A root field of subscriptions: messages of changes, each an object such as a payload."""


@dataclass(frozen=True)
class ListedField:
    """A field of a payload: the items whose keys an attribute has, those that are visible."""

    view: str
    keys: str
    """The attribute; empty for that of the field's own name."""


class AnyKey(NamedTuple):
    """The name of a view, and the key of one of its items."""

    view: str
    key: ItemKey
    all_projects: bool
    """True to read it as from all projects."""


@dataclass(frozen=True)
class AnyItemField:
    """A field of a payload: the item of an `AnyKey`, which an attribute has; None for none."""

    key: str
    """The attribute."""


@dataclass(frozen=True)
class WrittenField:
    """A field of a payload: the item with the payload's key, as it is after the write.

    `key` is the payload's attribute that has it, null for no item.
    """

    view: str
    key: str = "key"


@dataclass(frozen=True)
class View:
    """A type of the schema, and the collection that its rows come from."""

    name: str
    key: str
    """The column field that holds the REST id; empty for a part of a row."""
    collection: Collection
    own: Mapping[str, ColumnField]
    """Column fields, by their names in Python."""
    all: Mapping[str, ColumnField]
    """The same, those of its parts, and columns that only connections need."""
    parts: Mapping[str, str]
    """Embedded fields by their names in Python: the views of their types."""

    def columns(self, names: frozenset[str]) -> Columns:
        """Return the columns of the fields with these Python names, in the fields' order."""
        return tuple(field.column for name, field in self.all.items() if name in names)


VIEWS: dict[str, View] = {}
"""Every view, by its name in GraphQL."""
