"""How every resolver reads a list, the lists of many parents, and the row it is about to change.

A resolver module knows one entity: `LISTING` is what may be read of it, `create`, `update` and
`delete` write it. Each authorizes first, reads rows with only the columns it is asked for, and
writes in one transaction. Rows on read, an object on write.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from gateway.context import Context, Parent
from gateway.errors import NotFound, StaleVersion
from gateway.filters import Where
from gateway.paging import Order, Page, Sort, Window
from gateway.tables import Row, columns, now, source

Column = sa.ColumnElement[Any]
Columns = tuple[Column, ...]
Owner = tuple[Column, Column]
"""The columns of a child that hold its parent's project and id."""
Table = TypeVar("Table", bound=SQLModel)


@dataclass(frozen=True, eq=False)
class Listing:
    """A list that may be read: from where, by whom, in which order, and what a project sees of it.

    Every method authorizes first and costs one statement, whatever the number of rows or parents.
    """

    source: sa.FromClause
    rule: str
    key: Owner
    order: Order
    ties: Columns
    """What completes any order of the list, so that no two of its rows are equal."""
    visible: Callable[[Context], Column]

    @cached_property
    def everywhere(self) -> Self:
        """The same list of all projects, for those who may read them all."""
        return replace(
            self,
            rule=f"{self.rule}_projects",
            order=(Sort(self.key[0]), *(s for s in self.order if s.column is not self.key[0])),
            ties=tuple(dict.fromkeys((*self.ties, self.key[0]))),
            visible=lambda _: sa.true(),
        )

    @cached_property
    def single(self) -> Self:
        """The same list for those who look for one item: the rule is another."""
        return replace(self, rule=self.rule.replace(":get_all", ":get"))

    def sorted_by(self, *by: Sort) -> Order:
        """These sort keys, completed so that no two rows are equal; of none, the list's order."""
        if not by:
            return self.order
        # In the last key's direction, so that one index serves the whole order.
        named = {sort.column for sort in by}
        return (*by, *(Sort(tie, by[-1].descending) for tie in self.ties if tie not in named))

    def query(self, ctx: Context, where: Where | None, select: Columns) -> sa.Select[Any]:
        """The whole list, narrowed by a condition. Raises Forbidden."""
        ctx.authorize(self.rule)
        query = sa.select(*select).select_from(self.source).where(self.visible(ctx))
        return query if where is None else query.where(where.sql())

    async def find(
        self, ctx: Context, window: Window, where: Where | None, select: Columns
    ) -> Page:
        """One page of the list."""
        return window.page(await ctx.db.rows(window.statement(self.query(ctx, where, select))))

    async def count(self, ctx: Context, where: Where | None) -> int:
        """How many rows the list has."""
        return int(await ctx.db.scalar(self.query(ctx, where, (sa.func.count(),))))

    async def reaches(
        self, ctx: Context, window: Window, where: Where | None, *, forwards: bool
    ) -> bool:
        """Whether a row lies outside the window's bounds on that side."""
        beyond = window.rest(forwards=forwards)
        if beyond is None:
            return False
        query = self.query(ctx, where, (sa.literal(1),))
        return bool(await ctx.db.rows(query.where(beyond).limit(1)))

    async def get(self, ctx: Context, item_id: str, select: Columns) -> Row | None:
        """The row that this id means in the caller's project, or None."""
        key = (ctx.project_id, item_id)
        return (await self.single.meant(ctx, [key], select)).get(key)

    async def meant(
        self, ctx: Context, keys: Sequence[Parent], select: Columns
    ) -> Mapping[Parent, Row]:
        """The rows that items of these projects mean by these ids: mostly those that have them."""
        return await self.get_of(ctx, keys, select)

    async def get_of(
        self, ctx: Context, keys: Sequence[Parent], select: Columns
    ) -> Mapping[Parent, Row]:
        """The rows of these projects and ids; those that aren't there are left out."""
        wanted = parents(ctx, keys)
        query = self.query(ctx, None, (*labelled(wanted), *select))
        rows = await ctx.db.rows(query.where(*belongs(self.key, wanted)))
        return {(row[0], row[1]): row for row in rows}

    async def find_of(  # noqa: PLR0913, PLR0917 - a batch's arguments have no names
        self,
        ctx: Context,
        keys: Sequence[Parent],
        owner: Owner,
        window: Window,
        where: Where | None,
        select: Columns,
    ) -> Mapping[Parent, Page]:
        """One page for each parent, also where it is empty."""
        wanted = parents(ctx, keys)
        query = self.query(ctx, where, select).where(*belongs(owner, wanted))
        statement = (_numbered if ctx.db.is_sqlite else _lateral)(wanted, query, window)
        rows: dict[Parent, list[Row]] = defaultdict(list)
        for row in await ctx.db.rows(statement):
            rows[row[0], row[1]].append(row)
        return {key: window.page(rows[key]) for key in keys}

    async def count_of(
        self, ctx: Context, keys: Sequence[Parent], owner: Owner, where: Where | None
    ) -> Mapping[Parent, int]:
        """How many rows each parent has."""
        wanted = parents(ctx, keys)
        key = (wanted.c.of_project, wanted.c.of_id)
        query = self.query(ctx, where, (*key, sa.func.count()))
        rows = await ctx.db.rows(query.where(*belongs(owner, wanted)).group_by(*key))
        return dict.fromkeys(keys, 0) | {(row[0], row[1]): row[2] for row in rows}

    async def reaches_of(  # noqa: PLR0913, PLR0917 - a batch's arguments have no names
        self,
        ctx: Context,
        keys: Sequence[Parent],
        owner: Owner,
        window: Window,
        where: Where | None,
        forwards: bool,  # noqa: FBT001
    ) -> Mapping[Parent, bool]:
        """Whether each parent has a row outside the window's bounds on that side."""
        beyond = window.rest(forwards=forwards)
        if beyond is None:
            return dict.fromkeys(keys, False)
        wanted = parents(ctx, keys)
        key = (wanted.c.of_project, wanted.c.of_id)
        query = self.query(ctx, where, key).where(*belongs(owner, wanted), beyond)
        rows = await ctx.db.rows(query.distinct())
        return dict.fromkeys(keys, False) | {(row[0], row[1]): True for row in rows}


def listing(
    table: type[SQLModel],
    rule: str,
    *order: Column,
    visible: Callable[[Context], Column] | None = None,
    through: sa.FromClause | None = None,
    on: Column | None = None,
) -> Listing:
    """Describe a table's list; `through` joins a link table, whose columns may order the list."""
    own = columns(table)
    return Listing(
        source=source(table) if through is None else source(table).join(through, on),
        rule=rule,
        key=(own.project_id, own.id),
        order=tuple(Sort(column) for column in order),
        ties=order[-1:],
        visible=visible or (lambda ctx: own.project_id == ctx.project_id),
    )


def parents(ctx: Context, keys: Sequence[Parent]) -> sa.FromClause:
    """The parents as a table of their own, in one parameter or two whatever their number."""
    if ctx.db.is_sqlite:
        pairs = sa.func.json_each(orjson.dumps(keys).decode()).table_valued("value")
        return sa.select(
            sa.func.json_extract(pairs.c.value, "$[0]").label("of_project"),
            sa.func.json_extract(pairs.c.value, "$[1]").label("of_id"),
        ).subquery("parents")
    projects, ids = ([key[part] for key in keys] for part in (0, 1))
    arrays = [sa.cast(sa.literal(part, ARRAY(sa.Text)), ARRAY(sa.Text)) for part in (projects, ids)]
    pairs = sa.func.unnest(*arrays).table_valued("of_project", "of_id", name="parents")
    return pairs.render_derived()


def belongs(owner: Owner, of: sa.FromClause) -> tuple[Column, Column]:
    """What makes a row one of these parents' own."""
    return owner[0] == of.c.of_project, owner[1] == of.c.of_id


def labelled(of: sa.FromClause) -> tuple[Column, Column]:
    """The parents' columns under names that no column of a row has."""
    return of.c.of_project.label("of_project"), of.c.of_id.label("of_id")


def _lateral(of: sa.FromClause, query: sa.Select[Any], window: Window) -> sa.Select[Any]:
    """Each parent's window by itself: an index look-up a parent."""
    children = window.statement(query).correlate(of).lateral("children")
    return (
        sa.select(*labelled(of), *children.c)
        .select_from(of.join(children, sa.true()))
        .order_by(*_order(window, children))
    )


def _numbered(of: sa.FromClause, query: sa.Select[Any], window: Window) -> sa.Select[Any]:
    """The same where there is no LATERAL: every child numbered within its parent."""
    number = sa.func.row_number().over(
        partition_by=(of.c.of_project, of.c.of_id),
        order_by=[sort.clause() for sort in window.direction],
    )
    children = (
        query.add_columns(*window.keys(), *labelled(of), number.label("number"))
        .where(*window.bounds())
        .subquery("children")
    )
    return (
        sa.select(children.c.of_project, children.c.of_id, *list(children.c)[:-3])
        .where(children.c.number <= window.length + 1)
        .order_by(children.c.number)
    )


def _order(window: Window, children: sa.FromClause) -> list[Column]:
    keys = list(children.c)[-len(window.order) :]
    return [
        Sort(key, sort.descending).clause()
        if sort.nullable
        else (key.desc() if sort.descending else key)
        for key, sort in zip(keys, window.direction, strict=True)
    ]


async def locked(
    ctx: Context,
    session: AsyncSession,
    table: type[Table],
    item_id: str,
    expected_version: int | None = None,
) -> Table:
    """Read the item of the caller's project to change it; others wait until the transaction ends.

    Raises NotFound, and StaleVersion where the caller expected another version.
    """
    own = columns(table)
    query = sa.select(table).where(own.project_id == ctx.project_id, own.id == item_id)
    row = (await session.execute(query.with_for_update())).scalar_one_or_none()
    kind = table.__name__
    if row is None:
        raise NotFound(f"no {kind.lower()} with the id '{item_id}' in this project")
    version = row.version  # type: ignore[attr-defined]  # every table that has an id has it
    if expected_version is not None and version != expected_version:
        raise StaleVersion(f"the {kind.lower()} has version {version}, not {expected_version}")
    return row


def change(row: SQLModel, **values: object) -> None:
    """Set these columns, and count the change."""
    for key, value in values.items():
        setattr(row, key, value)
    row.version += 1  # type: ignore[attr-defined]  # every table that has an id has it
    row.updated_at = now()


async def put(
    ctx: Context,
    session: AsyncSession,
    row: Table,
    expected_version: int | None = None,
    *,
    kept: frozenset[str] = frozenset(),
) -> Table:
    """Store a row in the place of the one of its id, or anew; the owner stays who it was.

    The columns of `kept` stay as they were, too. Raises StaleVersion where the caller expected
    another version, or one of an item that is gone.
    """
    item_id = row.id  # type: ignore[attr-defined]  # every table that has an id has it
    try:
        old = await locked(ctx, session, type(row), item_id, expected_version)
    except NotFound:
        if expected_version is not None:
            raise StaleVersion(f"there is no '{item_id}' of version {expected_version}") from None
        session.add(row)
        await session.flush()
        return row
    kept |= {"project_id", "id", "user_id", "version", "created_at"}
    change(old, **{c.key: getattr(row, c.key) for c in columns(type(row)) if c.key not in kept})
    return old


async def delete(
    ctx: Context, table: type[SQLModel], item_id: str, expected_version: int | None = None
) -> None:
    """Delete the item of the caller's project. Raises NotFound and StaleVersion."""
    async with ctx.db.write() as session:
        await remove(ctx, session, table, item_id, expected_version)


async def remove(
    ctx: Context,
    session: AsyncSession,
    table: type[SQLModel],
    item_id: str,
    expected_version: int | None = None,
) -> None:
    """Delete the item as a part of a transaction. Raises NotFound and StaleVersion."""
    if expected_version is not None:
        await locked(ctx, session, table, item_id, expected_version)
    own = columns(table)
    deleted = await session.execute(
        sa.delete(table)
        .where(own.project_id == ctx.project_id, own.id == item_id)
        .returning(own.id)
    )
    if deleted.first() is None:
        raise NotFound(f"no {table.__name__.lower()} with the id '{item_id}' in this project")
