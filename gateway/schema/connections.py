"""Relay connections: their types, their arguments, and the page of a list that these ask for."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, NamedTuple, Optional, TypeVar

import strawberry

from gateway.context import Context
from gateway.errors import BadInput
from gateway.query.filters import All, Where
from gateway.query.paging import PageRequest, decode
from gateway.resolvers.collection import Collection, Columns, Owner
from gateway.schema.fields import declare, reference, type_name
from gateway.schema.filter_inputs import condition, sorting
from gateway.schema.views import VIEWS, ConnectionField

Item = TypeVar("Item")
NESTED_LIMIT = 10
"""The length of a page in a page, where neither `first` nor `last` says."""
ALL_PROJECTS = (
    "Read all projects, not just the current one; needs a rule such as `jobs:get_all_projects`."
)


@strawberry.type(description="The position of a page in its list.")
class PageInfo:
    """Relay's PageInfo; each field costs only what it takes to know it."""

    has_next_page: bool = strawberry.field(description="True if items follow the page.")
    has_previous_page: bool = strawberry.field(description="True if items precede the page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first item; null for an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last item; null for an empty page."
    )


@strawberry.type(description="An item of a page, and its position in the list.")
class Edge(Generic[Item]):
    """Relay's Edge."""

    node: Item = strawberry.field(description="The item.")
    cursor: str = strawberry.field(description="The item's position, for `after` and `before`.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Item]):
    """Relay's Connection; each field costs only what it takes to know it."""

    edges: list[Edge[Item]] = strawberry.field(
        description="The items, with their positions in the list."
    )
    nodes: list[Item] = strawberry.field(description="The items.")
    page_info: PageInfo = strawberry.field(description="The position of the page in the list.")
    total_count: int = strawberry.field(
        description="The number of items in the whole list under `where` and `search`; counted "
        "only if selected."
    )


def connection(  # noqa: PLR0913 - all that makes one list differ from another
    type_: str,
    collection: Collection,
    search: Callable[[str], Where],
    description: str,
    *,
    owner: Owner | None = None,
    key: str | None = None,
    key_project: str = "project_id",
    connection_type: Any = None,
    extra: Columns = (),
    as_of: bool = False,
) -> Any:
    """Return a field that is a connection of this type of items, as `module.Type`.

    See `ConnectionField` for `owner`, `key`, `key_project` and `extra`. With `as_of`, it takes a
    moment for conditions and orders that depend on the clock.
    """
    spec = ConnectionField(type_name(type_), collection, search, owner, key, extra, key_project)
    shown = connection_type or Connection[reference(type_)]  # type: ignore[misc]
    arguments = _arguments(type_, nested=owner is not None)
    return declare(spec, shown, description, {**arguments, **(_MOMENT if as_of else {})})


_MOMENT: Mapping[str, Any] = {
    "as_of": (
        Annotated[
            Optional[datetime],
            strawberry.argument(
                description="The moment of conditions and orders that depend on the clock; now if "
                "absent."
            ),
        ],
        None,
    )
}


class ListRequest(NamedTuple):
    """The part of a list that a field's arguments ask for."""

    collection: Collection
    page: PageRequest
    where: Where | None


def list_request(
    ctx: Context, spec: ConnectionField, arguments: Mapping[str, Any], *, all_projects: bool
) -> ListRequest:
    """Return what a field's arguments ask for. Raises BadInput, naming the argument."""
    view = VIEWS[spec.view]
    collection = spec.collection.all_projects if all_projects else spec.collection
    if (moment := arguments.get("as_of")) is not None:
        collection = collection.as_of(moment)
    order = sorting(view, collection, arguments.get("order_by"))
    first, last = _lengths(
        ctx, arguments.get("first"), arguments.get("last"), nested=spec.owner is not None
    )
    after, before = (
        # An empty cursor, which some clients send for the first page, is none.
        decode(order, cursor, field=field) if (cursor := arguments.get(field)) else None
        for field in ("after", "before")
    )
    where = arguments.get("where")
    conditions = (
        condition(view, where) if where else None,
        _search(spec.search, arguments.get("search_")),
    )
    return ListRequest(
        collection, PageRequest(order, first, last, after, before), _both(*conditions)
    )


def _search(search: Callable[[str], Where], text: str | None) -> Where | None:
    if text and "\0" in text:
        raise BadInput("'search' has a NUL character", field="search")
    return search(text) if text else None


def _lengths(
    ctx: Context, first: int | None, last: int | None, *, nested: bool
) -> tuple[int | None, int | None]:
    if first is not None and last is not None:
        raise BadInput("'first' and 'last' can't both be given", field="last")
    for field, length in (("first", first), ("last", last)):
        if length is not None and not 0 <= length <= ctx.max_limit:
            raise BadInput(
                f"'{field}' must be between 0 and {ctx.max_limit}, not {length}", field=field
            )
    if first is None and last is None:
        first = page_length(ctx.default_limit, nested=nested)
    return first, last


def page_length(default_limit: int, *, nested: bool) -> int:
    """Return the length of a page where neither `first` nor `last` says."""
    return min(default_limit, NESTED_LIMIT) if nested else default_limit


def _both(*parts: Where | None) -> Where | None:
    given = tuple(part for part in parts if part is not None)
    return All(given) if len(given) > 1 else given[0] if given else None


def _arguments(type_: str, *, nested: bool) -> dict[str, Any]:
    default = f"{NESTED_LIMIT} at most" if nested else "the server's default page length"

    def argument(type_: Any, description: str, name: str | None = None, default: Any = None) -> Any:
        about = strawberry.argument(description=description, name=name)
        return Annotated[type_, about], default

    all_projects = {} if nested else {"all_projects": argument(bool, ALL_PROJECTS, default=False)}
    return {
        "first": argument(
            Optional[int],
            f"The length of the page, from the start; {default} if `last` is absent, too.",
        ),
        "after": argument(Optional[str], "The cursor that the page begins after; empty for none."),
        "last": argument(Optional[int], "The length of the page, from the end."),
        "before": argument(Optional[str], "The cursor that the page ends before; empty for none."),
        "where": argument(Optional[reference(f"{type_}Where")], "Conditions on the items."),
        "order_by": argument(
            Optional[list[reference(f"{type_}Order")]],  # type: ignore[misc]
            "The sort keys, the most significant first; the list's own order if absent.",
        ),
        "search_": argument(
            Optional[str],
            "A text to look for: an exact id, or a part of a name in upper or lower case.",
            "search",
        ),
    } | all_projects
