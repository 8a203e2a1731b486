"""Collections: reading lists, the lists of many parents, and single rows, for every resolver."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import count
from typing import Any, Self

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.tables import columns, source
from gateway.context import Context, ItemKey
from gateway.db.rows import Row
from gateway.query import selects
from gateway.query.clock import AS_OF
from gateway.query.filters import Where
from gateway.query.paging import Order, Page, PageRequest, Sort
from gateway.query.selects import CALLER, SelectForm
from gateway.resolvers.rules import Rules

Column = sa.ColumnElement[Any]
Columns = tuple[Column, ...]
Owner = tuple[Column, Column]
"""The columns of a child that hold its parent's project and id."""

_COUNT = (sa.func.count(),)


@dataclass(frozen=True, eq=False)
class Collection:
    """A readable list: its source, policy rules, order, and the rows that a project sees.

    Every method that reads authorizes first, raises Forbidden if a rule forbids it and Unavailable
    if the database doesn't answer, and costs one statement, whatever the number of rows or parents.
    Only an empty page of a list `with_revision` costs two.
    """

    source: sa.FromClause
    rules: Rules
    rule: str
    """The one of `rules` that reading this list needs."""
    key: Owner
    """The columns that hold an item's project and id."""
    order: Order
    tiebreakers: Columns
    """Columns appended to every ORDER BY, so that the order is total."""
    visible: Column
    """The predicate of the rows that the `CALLER` sees."""
    everywhere: Column = field(default_factory=sa.true)
    """The predicate of the list's rows in all projects."""
    has_revision: bool = False
    """True if pages carry the revision that they are of."""
    moment: int | None = None
    """The epoch second that conditions and orders on the clock are about; None for now."""
    now: Self | None = field(default=None, init=False)
    """The same list about now, whose statements this one shares; not copied by `replace`."""

    @cached_property
    def all_projects(self) -> Self:
        """The same list over all projects, under the rule for all projects."""
        return replace(
            self,
            rules=replace(self.rules, item=self.rules.all_projects),
            rule=self.rules.all_projects,
            order=(Sort(self.key[0]), *(s for s in self.order if s.column is not self.key[0])),
            tiebreakers=tuple(dict.fromkeys((*self.tiebreakers, self.key[0]))),
            visible=self.everywhere,
            has_revision=False,
        )

    @cached_property
    def with_revision(self) -> Self:
        """The same list, whose pages carry their revision."""
        return replace(self, has_revision=True)

    @cached_property
    def as_item(self) -> Self:
        """The same list, under the rule for single items."""
        return replace(self, rule=self.rules.item)

    def as_of(self, moment: datetime) -> Self:
        """Return the same list about a moment: what depends on the clock does so on that."""
        made = replace(self, moment=math.ceil(moment.timestamp()))
        object.__setattr__(made, "now", self.now or self)
        return made

    def sorted_by(self, *by: Sort) -> Order:
        """Return these sort keys with tie-breakers appended, or the list's own order for none."""
        if not by:
            return self.order
        # In the last key's direction, so that one index serves the whole order.
        descending, sorted_columns = by[-1].descending, {sort.column for sort in by}
        return (
            *by,
            *(Sort(tie, descending) for tie in self.tiebreakers if tie not in sorted_columns),
        )

    async def find(
        self, ctx: Context, page_request: PageRequest, where: Where | None, select: Columns
    ) -> Page:
        """Return one page of the list. Raises Forbidden and Unavailable."""
        if not self.has_revision:
            return page_request.page(
                await self.rows(ctx, selects.page, select, where, page_request)
            )
        rows = await self.rows(ctx, selects.page_with_revision, select, where, page_request)
        # An empty page has no row to carry the revision: a second statement asks for it.
        with_revision = rows or await self.rows(
            ctx, selects.revision_if_empty, (), where, page_request
        )
        if not with_revision:
            # A row was written between the two statements.
            return await self.find(ctx, page_request, where, select)
        page = page_request.page(rows)
        page.revision = with_revision[0].revision
        return page

    async def revision(self, ctx: Context) -> int:
        """Return the revision of everything that the caller's project sees."""
        (row,) = await self.rows(ctx, selects.revision_only, ())
        return int(row[0])

    async def count(self, ctx: Context, where: Where | None) -> int:
        """Return the number of rows in the list. Raises Forbidden and Unavailable."""
        (row,) = await self.rows(ctx, selects.all_rows, _COUNT, where)
        return int(row[0])

    async def has_more(
        self, ctx: Context, page_request: PageRequest, where: Where | None, *, forwards: bool
    ) -> bool:
        """Return True if a row lies beyond the page's cursor on this side.

        Raises Forbidden and Unavailable.
        """
        if page_request.is_unbounded(forwards=forwards):
            return False
        form = selects.any_after if forwards else selects.any_before
        return bool(await self.rows(ctx, form, (), where, page_request))

    async def get(self, ctx: Context, item_id: str, select: Columns) -> Row | None:
        """Return the row of this id in the caller's project, or None.

        Raises Forbidden and Unavailable.
        """
        key = (ctx.project_id, item_id)
        return (await self.as_item.resolve_ids(ctx, [key], select)).get(key)

    async def resolve_ids(
        self, ctx: Context, keys: Sequence[ItemKey], select: Columns
    ) -> Mapping[ItemKey, Row]:
        """Return the rows that these projects refer to by these ids, by project and id.

        Mostly the project's row of that id; see `Clients` for the exception. Raises Forbidden and
        Unavailable.
        """
        return await self.rows_by_key(ctx, keys, select)

    async def rows_by_key(
        self, ctx: Context, keys: Sequence[ItemKey], select: Columns
    ) -> Mapping[ItemKey, Row]:
        """Return the rows of these keys that exist, by key. Raises Forbidden and Unavailable."""
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
        """Return one page for each parent, empty ones included.

        Raises Forbidden and Unavailable.
        """
        form = selects.top_n_by_row_number if ctx.db.is_sqlite else selects.top_n_by_lateral
        children: dict[ItemKey, list[Row]] = defaultdict(list)
        for row in await self.rows(ctx, form, select, where, page_request, keys=keys, owner=owner):
            children[row[0], row[1]].append(row)
        return {key: page_request.page(children[key]) for key in keys}

    async def counts_by_parent(
        self, ctx: Context, keys: Sequence[ItemKey], owner: Owner, where: Where | None
    ) -> Mapping[ItemKey, int]:
        """Return the number of rows of each parent. Raises Forbidden and Unavailable."""
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
        """Return for each parent True if a row lies beyond the page's cursor on this side.

        Raises Forbidden and Unavailable.
        """
        none = dict.fromkeys(keys, False)
        if page_request.is_unbounded(forwards=forwards):
            return none
        form = selects.keys_with_any_after if forwards else selects.keys_with_any_before
        rows = await self.rows(ctx, form, (), where, page_request, keys=keys, owner=owner)
        return none | {(row[0], row[1]): True for row in rows}

    def values(self, ctx: Context) -> dict[str, Any]:
        """Return the values of the parameters that the list itself has."""
        values = {
            "project_id": ctx.project_id,
            "silent_after": ctx.silent_after,
            "across": self.rule == self.rules.all_projects,
        }
        return values if self.moment is None else values | {AS_OF: self.moment}

    async def rows(  # noqa: PLR0913 - what one statement may depend on
        self,
        ctx: Context,
        form: SelectForm,
        select: Columns,
        where: Where | None = None,
        page_request: PageRequest | None = None,
        *,
        keys: Sequence[ItemKey] | None = None,
        owner: Owner | None = None,
        also: Mapping[str, Any] | None = None,
    ) -> Sequence[Row]:
        """Return the rows of this form of SELECT over the list, or over these parents' lists.

        The statement is compiled once for all requests that differ in nothing but values; `also`
        are those of parameters that the form has itself. Raises Forbidden and Unavailable.
        """
        ctx.authorize(self.rule)
        compared: list[Any] = []
        where_key = where.cache_key(compared) if where else ()
        values = self.values(ctx)
        if page_request is not None:
            values |= page_request.values
        if keys is not None:
            values |= selects.keys_parameter(keys)
        if also is not None:
            values |= also

        def make() -> sa.Select[Any]:
            visible = self.visible
            if keys is not None and ctx.db.is_sqlite:
                # Else SQLite reads the whole project, and looks each row up among the keys.
                visible = sa.func.likely(visible)
            query = sa.select(*select).select_from(self.source).where(visible)
            if where is not None:
                query = query.where(where.sql(_numbered_parameters()))
            table = self.source if keys is None else selects.keys_table(sqlite=ctx.db.is_sqlite)
            if owner is not None:
                query = query.where(owner[0] == table.c.of_project, owner[1] == table.c.of_id)
            return form(query, page_request.parametrized() if page_request else None, table)

        values |= {f"where_{at}": value for at, value in enumerate(compared)}
        page_key = page_request and page_request.cache_key
        key = (self.now or self, form, select, where_key, page_key, owner)
        return await ctx.db.rows(ctx.db.statement(key, make), values)


def _numbered_parameters() -> Callable[[Column, Any], Column]:
    """Return a `Bind` that numbers the values of a condition: `where_0`, `where_1` and so on."""
    numbers = count()
    return lambda column, _value: sa.bindparam(f"where_{next(numbers)}", None, type_=column.type)


def collection(
    table: type[SQLModel],
    rules: Rules,
    *order: Column,
    visible: Column | None = None,
    through: sa.FromClause | None = None,
    on: Column | None = None,
) -> Collection:
    """Return the collection of a table, in the order of these columns.

    `through` joins a link table `on` a condition; the link's columns may order the list.
    """
    own = columns(table)
    return Collection(
        source=source(table) if through is None else source(table).join(through, on),
        rules=rules,
        rule=rules.list,
        key=(own.project_id, own.id),
        order=tuple(Sort(column) for column in order),
        tiebreakers=order[-1:],
        visible=own.project_id == CALLER if visible is None else visible,
    )
