"""Collections: how every resolver reads a list, the lists of many parents, and single rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any, Self, TypeVar

import orjson
import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.tables import JSONText, columns, source
from gateway.context import Context, ItemKey
from gateway.db.rows import Row
from gateway.query import selects
from gateway.query.filters import Where, as_is
from gateway.query.paging import Order, Page, PageRequest, Sort
from gateway.query.selects import CALLER, SelectForm

Column = sa.ColumnElement[Any]
Columns = tuple[Column, ...]
Owner = tuple[Column, Column]
"""The columns of a child that hold its parent's project and id."""
Table = TypeVar("Table", bound=SQLModel)


@dataclass(frozen=True, eq=False)
class Collection:
    """A list that may be read: from where, by whom, in which order, and what a project sees of it.

    Every method authorizes first and costs one statement, whatever the number of rows or parents;
    only a `with_revision` list without rows costs two.
    """

    source: sa.FromClause
    rule: str
    key: Owner
    order: Order
    tiebreakers: Columns
    """What completes any order of the list, so that no two of its rows are equal."""
    visible: Column
    """What a row must hold that the `CALLER` sees."""
    has_revision: bool = False
    """Whether pages say of which revision they are."""

    @cached_property
    def all_projects(self) -> Self:
        """The same list of all projects, for those who may read them all."""
        return replace(
            self,
            rule=f"{self.rule}_projects",
            order=(Sort(self.key[0]), *(s for s in self.order if s.column is not self.key[0])),
            tiebreakers=tuple(dict.fromkeys((*self.tiebreakers, self.key[0]))),
            visible=sa.true(),
            has_revision=False,
        )

    @cached_property
    def with_revision(self) -> Self:
        """The same list, whose pages say of which revision they are."""
        return replace(self, has_revision=True)

    @cached_property
    def as_item(self) -> Self:
        """The same list for those who look for one item: the rule is another."""
        return replace(self, rule=self.rule.replace(":get_all", ":get"))

    def sorted_by(self, *by: Sort) -> Order:
        """These sort keys, completed so that no two rows are equal; of none, the list's order."""
        if not by:
            return self.order
        # In the last key's direction, so that one index serves the whole order.
        keys_parameter = {sort.column for sort in by}
        return (
            *by,
            *(
                Sort(tie, by[-1].descending)
                for tie in self.tiebreakers
                if tie not in keys_parameter
            ),
        )

    async def find(
        self, ctx: Context, page_request: PageRequest, where: Where | None, select: Columns
    ) -> Page:
        """One page of the list."""
        if not self.has_revision:
            return page_request.page(
                await self.rows(ctx, selects.paged, select, where, page_request)
            )
        rows = await self.rows(ctx, selects.with_revision, select, where, page_request)
        # Without rows, there is nothing beside which their statement could tell its revision.
        with_revision = rows or await self.rows(
            ctx, selects.revision_if_empty, (), where, page_request
        )
        if not with_revision:
            # Somebody has written since.
            return await self.find(ctx, page_request, where, select)
        page = page_request.page(rows)
        page.revision = with_revision[0].revision
        return page

    async def revision(self, ctx: Context) -> int:
        """The revision of what the caller's project sees."""
        (found,) = await self.rows(ctx, selects.revision_only, ())
        return int(found[0])

    async def count(self, ctx: Context, where: Where | None) -> int:
        """How many rows the list has."""
        (found,) = await self.rows(ctx, selects.unpaged, (sa.func.count(),), where)
        return int(found[0])

    async def has_more(
        self, ctx: Context, page_request: PageRequest, where: Where | None, *, forwards: bool
    ) -> bool:
        """Whether a row lies outside the window's bounds on that side."""
        if page_request.is_open(forwards=forwards):
            return False
        beyond = selects.after if forwards else selects.before
        return bool(await self.rows(ctx, beyond, (), where, page_request))

    async def get(self, ctx: Context, item_id: str, select: Columns) -> Row | None:
        """The row that this id means in the caller's project, or None."""
        key = (ctx.project_id, item_id)
        return (await self.as_item.resolve_ids(ctx, [key], select)).get(key)

    async def resolve_ids(
        self, ctx: Context, keys: Sequence[ItemKey], select: Columns
    ) -> Mapping[ItemKey, Row]:
        """The rows that items of these projects mean by these ids: mostly those that have them."""
        return await self.rows_by_key(ctx, keys, select)

    async def rows_by_key(
        self, ctx: Context, keys: Sequence[ItemKey], select: Columns
    ) -> Mapping[ItemKey, Row]:
        """The rows of these projects and ids; those that aren't there are left out."""
        rows = await self.rows(ctx, selects.by_keys, select, keys=keys, owner=self.key)
        return {(row[0], row[1]): row for row in rows}

    async def pages_by_parent(  # noqa: PLR0913, PLR0917 - a batch's arguments have no names
        self,
        ctx: Context,
        keys: Sequence[ItemKey],
        owner: Owner,
        page_request: PageRequest,
        where: Where | None,
        select: Columns,
    ) -> Mapping[ItemKey, Page]:
        """One page for each parent, also where it is empty."""
        windows = selects.top_n_by_row_number if ctx.db.is_sqlite else selects.top_n_by_lateral
        rows: dict[ItemKey, list[Row]] = defaultdict(list)
        for row in await self.rows(
            ctx, windows, select, where, page_request, keys=keys, owner=owner
        ):
            rows[row[0], row[1]].append(row)
        return {key: page_request.page(rows[key]) for key in keys}

    async def counts_by_parent(
        self, ctx: Context, keys: Sequence[ItemKey], owner: Owner, where: Where | None
    ) -> Mapping[ItemKey, int]:
        """How many rows each parent has."""
        rows = await self.rows(ctx, selects.count_by_keys, (), where, keys=keys, owner=owner)
        return dict.fromkeys(keys, 0) | {(row[0], row[1]): row[2] for row in rows}

    async def has_more_by_parent(  # noqa: PLR0913, PLR0917 - a batch's arguments have no names
        self,
        ctx: Context,
        keys: Sequence[ItemKey],
        owner: Owner,
        page_request: PageRequest,
        where: Where | None,
        forwards: bool,  # noqa: FBT001
    ) -> Mapping[ItemKey, bool]:
        """Whether each parent has a row outside the window's bounds on that side."""
        none = dict.fromkeys(keys, False)
        if page_request.is_open(forwards=forwards):
            return none
        beyond = selects.each_after if forwards else selects.each_before
        rows = await self.rows(ctx, beyond, (), where, page_request, keys=keys, owner=owner)
        return none | {(row[0], row[1]): True for row in rows}

    async def rows(  # noqa: PLR0913 - what one statement may depend on
        self,
        ctx: Context,
        of: SelectForm,
        select: Columns,
        where: Where | None = None,
        page_request: PageRequest | None = None,
        *,
        keys: Sequence[ItemKey] | None = None,
        owner: Owner | None = None,
    ) -> Sequence[Row]:
        """Read what `of` makes of the list, or of that of these parents. Raises Forbidden.

        The statement is made once for all requests that differ in nothing but values.
        """
        ctx.authorize(self.rule)
        compared: list[Any] = []
        cache_key = where.cache_key(compared) if where else ()

        def made() -> sa.Select[Any]:
            numbers = count()

            def bind(column: Column, value: object) -> Column:
                if cache_key is None:
                    return as_is(column, value)
                return sa.bindparam(f"where_{next(numbers)}", None, type_=column.type)

            query = sa.select(*select).select_from(self.source).where(self.visible)
            if where is not None:
                query = query.where(where.sql(bind))
            wanted = self.source if keys is None else keys_table(sqlite=ctx.db.is_sqlite)
            if owner is not None:
                query = query.where(owner[0] == wanted.c.of_project, owner[1] == wanted.c.of_id)
            return of(query, page_request.bound() if page_request else None, wanted)

        values: dict[str, Any] = {"project_id": ctx.project_id}
        if page_request is not None:
            values |= page_request.values
        if keys is not None:
            values |= keys_parameter(keys)
        if cache_key is None:
            return await ctx.db.rows(made(), values)
        values |= {f"where_{at}": value for at, value in enumerate(compared)}
        key = (self, of, select, cache_key, page_request and page_request.cache_key, owner)
        return await ctx.db.rows(ctx.db.statement(key, made), values)


def collection(
    table: type[SQLModel],
    rule: str,
    *order: Column,
    visible: Column | None = None,
    through: sa.FromClause | None = None,
    on: Column | None = None,
) -> Collection:
    """Describe a table's list; `through` joins a link table, whose columns may order the list."""
    own = columns(table)
    return Collection(
        source=source(table) if through is None else source(table).join(through, on),
        rule=rule,
        key=(own.project_id, own.id),
        order=tuple(Sort(column) for column in order),
        tiebreakers=order[-1:],
        visible=own.project_id == CALLER if visible is None else visible,
    )


def keys_table(*, sqlite: bool) -> sa.FromClause:
    """The parents as a table of their own, in one parameter whatever their number.

    `keys_parameter` makes the value of the parameter.
    """
    given = sa.bindparam("parents", None, type_=sa.Text)
    if sqlite:
        pair = sa.func.json_each(given).table_valued("value").c.value
        ids: list[Column] = [sa.func.json_extract(pair, f"$[{at}]") for at in (0, 1)]
    else:
        # Rather than arrays, whose elements the driver looks at three times.
        pair = sa.func.json_array_elements(sa.cast(given, JSONText())).table_valued("value").c.value
        ids = [pair.op("->>", return_type=sa.Text())(sa.literal_column(str(at))) for at in (0, 1)]
    return sa.select(ids[0].label("of_project"), ids[1].label("of_id")).subquery("parents")


def keys_parameter(keys: Sequence[ItemKey]) -> dict[str, Any]:
    """The value of the parameter of `keys_table`."""
    return {"parents": orjson.dumps(keys).decode()}
