"""Relay connections: a field that reads one page of a list, of the catalogue or of a parent."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Optional, TypeVar, cast

import strawberry

from gateway.context import Context, ItemKey
from gateway.db.rows import Row
from gateway.errors import BadInput
from gateway.query.filters import All, Where
from gateway.query.paging import Page, PageRequest, decode
from gateway.resolvers.collection import Collection, Columns, Owner
from gateway.schema.filter_inputs import condition, sorting
from gateway.schema.nodes import Info, annotated, reference
from gateway.schema.views import SPEC, VIEWS, List, is_across, place, selected

Item = TypeVar("Item")
NESTED_LIMIT = 10
OPTIONAL = ("first", "after", "last", "before", "where", "order_by", "search_")
ALL_PROJECTS = "Look in all projects, not just the current one; for those who may."


@dataclass
class Slice:
    """A window on a list: of the catalogue, or of one parent, read together with its siblings."""

    ctx: Context
    collection: Collection
    page_request: PageRequest
    where: Where | None
    columns: Columns
    owner: Owner | None = None
    parent: ItemKey | None = None
    _page: "asyncio.Future[Page] | None" = field(default=None, repr=False)

    async def page(self) -> Page:
        """The page: read once, whichever of the connection's fields ask for it."""
        if self._page is None:
            self._page = self.ctx.under_way(self._read())
        return await asyncio.shield(self._page)

    async def _read(self) -> Page:
        if self.parent is None:
            return await self.collection.find(self.ctx, self.page_request, self.where, self.columns)
        found = await self.ctx.batch(
            self.collection.pages_by_parent,
            self.parent,
            self.owner,
            self.page_request,
            self.where,
            self.columns,
        )
        return cast("Page", found)

    async def count(self) -> int:
        """How many rows the whole list has."""
        if self.parent is None:
            return await self.collection.count(self.ctx, self.where)
        counted = await self.ctx.batch(
            self.collection.counts_by_parent, self.parent, self.owner, self.where
        )
        return counted or 0

    async def goes_on(self, *, forwards: bool) -> bool:
        """Whether rows lie beyond the page on that side."""
        page = await self.page()
        known = page.has_next if forwards else page.has_previous
        if known is not None:
            return known
        if self.parent is None:
            return await self.collection.has_more(
                self.ctx, self.page_request, self.where, forwards=forwards
            )
        reached = await self.ctx.batch(
            self.collection.has_more_by_parent,
            self.parent,
            self.owner,
            self.page_request,
            self.where,
            forwards,
        )
        return bool(reached)


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Relay's PageInfo; each field costs only what it takes to know it."""

    slice: strawberry.Private[Slice]

    @strawberry.field(description="Whether items follow the page.")
    async def has_next_page(self) -> bool:
        """Ask the slice."""
        return await self.slice.goes_on(forwards=True)

    @strawberry.field(description="Whether items precede the page.")
    async def has_previous_page(self) -> bool:
        """Ask the slice."""
        return await self.slice.goes_on(forwards=False)

    @strawberry.field(description="The first item's cursor; null for an empty page.")
    async def start_cursor(self) -> str | None:
        """Take the first row's."""
        page = await self.slice.page()
        return page.cursor(page.rows[0]) if page.rows else None

    @strawberry.field(description="The last item's cursor; null for an empty page.")
    async def end_cursor(self) -> str | None:
        """Take the last row's."""
        page = await self.slice.page()
        return page.cursor(page.rows[-1]) if page.rows else None


@strawberry.type(description="An item of a page, and its place in the list.")
class Edge(Generic[Item]):
    """Relay's Edge."""

    page: strawberry.Private[Page]
    row: strawberry.Private[Row]

    @strawberry.field(description="The item.")
    def node(self) -> Item:
        """Show the row itself: its type is a view."""
        return self.row  # type: ignore[return-value]

    @strawberry.field(description="The item's place, for `after` and `before`.")
    def cursor(self) -> str:
        """Write the row's position."""
        return self.page.cursor(self.row)


@strawberry.type(description="A page of a list.")
class Connection(Generic[Item]):
    """Relay's Connection; each field costs only what it takes to know it."""

    slice: strawberry.Private[Slice]

    @strawberry.field(description="The items, with their places in the list.")
    async def edges(self) -> list[Edge[Item]]:
        """Read the page."""
        page = await self.slice.page()
        return [Edge(page=page, row=row) for row in page.rows]

    @strawberry.field(description="The items.")
    async def nodes(self) -> list[Item]:
        """Read the page."""
        return (await self.slice.page()).rows  # type: ignore[return-value]

    @strawberry.field(description="Where the page lies in the list.")
    def page_info(self) -> PageInfo:
        """Ask when asked."""
        return PageInfo(slice=self.slice)

    @strawberry.field(
        description="How many items the whole list has under `where` and `search`; counted only "
        "when it is asked for."
    )
    async def total_count(self) -> int:
        """Count."""
        return await self.slice.count()


def connection(  # noqa: PLR0913 - what makes one list differ from another
    name: str,
    collection: Collection,
    search: Callable[[str], Where],
    description: str,
    *,
    owner: Owner | None = None,
    key: str | None = None,
    type_: Any = None,
    extra: Columns = (),
) -> Any:
    """Declare a field that is a `List`; a connection of a type of its own gives it as `type_`."""
    spec = List(name, collection, search, owner, key, extra)

    async def resolve(root: Any, info: Any, **arguments: Any) -> Any:
        ctx = info.context
        across = arguments.pop("all_projects", False) or is_across(root)
        # What siblings ask is one question: asked in the same words, it is answered together.
        asked = (place(info), name, owner, across)
        if (known := ctx.selections.get(asked)) is None:
            columns = (*selected(info, VIEWS[name], "edges.node", "nodes", across=across), *extra)
            known = (question(ctx, spec, arguments, across=across), columns)
            ctx.selections[asked] = known
        (from_, page_request, where), columns = known
        parent = (root.project_id, getattr(root, str(key))) if owner else None
        slice_ = Slice(ctx, from_, page_request, where, columns, owner, parent)
        return (type_ or Connection)(slice=slice_)

    return strawberry.field(
        resolver=annotated(
            resolve,
            returns=type_ or Connection[reference(name)],  # type: ignore[misc]
            defaults=dict.fromkeys(OPTIONAL) | {"all_projects": False},
            **_arguments(name, nested=owner is not None),
        ),
        description=description,
        metadata={SPEC: spec},
    )


Question = tuple[Collection, PageRequest, Where | None]


def question(ctx: Context, spec: List, arguments: Mapping[str, Any], *, across: bool) -> Question:
    """What a field's arguments ask: which list, which part of it, which items. Raises BadInput."""
    view = VIEWS[spec.view]
    collection = spec.collection.all_projects if across else spec.collection
    order = sorting(view, collection, arguments.get("order_by"))
    first, last = _lengths(
        ctx, arguments.get("first"), arguments.get("last"), nested=spec.owner is not None
    )
    after, before = (
        None if (cursor := arguments.get(field_)) is None else decode(order, cursor, field=field_)
        for field_ in ("after", "before")
    )
    where = arguments.get("where")
    text = arguments.get("search_")
    conditions = (condition(view, where) if where else None, _searched(spec.search, text))
    return collection, PageRequest(order, first, last, after, before), _both(*conditions)


def _searched(search: Callable[[str], Where], text: str | None) -> Where | None:
    if text and "\0" in text:
        raise BadInput("'search' has a NUL character", field="search")
    return search(text) if text else None


def _lengths(
    ctx: Context, first: int | None, last: int | None, *, nested: bool
) -> tuple[int | None, int | None]:
    if first is not None and last is not None:
        raise BadInput("'first' and 'last' can't both be given", field="last")
    for field_, length in (("first", first), ("last", last)):
        if length is not None and not 0 <= length <= ctx.max_limit:
            raise BadInput(
                f"'{field_}' must be between 0 and {ctx.max_limit}, not {length}", field=field_
            )
    if first is None and last is None:
        first = page_length(ctx.default_limit, nested=nested)
    return first, last


def page_length(default_limit: int, *, nested: bool) -> int:
    """How long a page is where neither `first` nor `last` says."""
    return min(default_limit, NESTED_LIMIT) if nested else default_limit


def _both(*parts: Where | None) -> Where | None:
    given = tuple(part for part in parts if part is not None)
    return All(given) if len(given) > 1 else given[0] if given else None


def _arguments(name: str, *, nested: bool) -> dict[str, Any]:
    default = f"{NESTED_LIMIT} at most" if nested else "the server's default page length"

    def argument(type_: Any, description: str, name: str | None = None) -> Any:
        return Annotated[type_, strawberry.argument(description=description, name=name)]

    across = {} if nested else {"all_projects": argument(bool, ALL_PROJECTS)}
    return {
        "root": Any,
        "info": Info,
        "first": argument(
            Optional[int],
            f"The page's length, from the start; {default} without it and `last`.",
        ),
        "after": argument(Optional[str], "The cursor that the page begins after."),
        "last": argument(Optional[int], "The page's length, from the end."),
        "before": argument(Optional[str], "The cursor that the page ends before."),
        "where": argument(Optional[reference(f"{name}Where")], "Which items."),
        "order_by": argument(
            Optional[list[reference(f"{name}Order")]],  # type: ignore[misc]
            "The order, most important key first; without it, the catalogue's own.",
        ),
        "search_": argument(
            Optional[str],
            "A text to look for: an id exactly, a name anywhere in it, whatever the case.",
            "search",
        ),
    } | across
