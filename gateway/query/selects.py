"""What may be read of a list: functions from its query to a statement, by their names.

Each takes the window on the list, too, and the table that the query goes by: the parents', or the
list itself. `Collection.rows` makes the query, and knows the values.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.tables import Job, columns
from gateway.db.revisions import seen_by
from gateway.db.rows import base_column
from gateway.query.paging import LIMIT, PageRequest, Sort

Column = sa.ColumnElement[Any]

CALLER: Column = sa.bindparam("project_id", None, type_=columns(Job).project_id.type)
"""The caller's project, in statements."""
REVISION = seen_by(CALLER)
"""The revision of what that project sees."""

SelectForm = Callable[[sa.Select[Any], Any, sa.FromClause], sa.Select[Any]]


def unpaged(query: sa.Select[Any], _window: None, _of: sa.FromClause) -> sa.Select[Any]:
    """Every row."""
    return query


def paged(query: sa.Select[Any], page_request: PageRequest, _of: sa.FromClause) -> sa.Select[Any]:
    """The window's rows."""
    return page_request.statement(query)


def with_revision(
    query: sa.Select[Any], page_request: PageRequest, _of: sa.FromClause
) -> sa.Select[Any]:
    """The window's rows, each with the revision that they are of, and no key for a cursor."""
    return page_request.statement(query.add_columns(REVISION), keyed=False)


def revision_if_empty(
    query: sa.Select[Any], page_request: PageRequest, _of: sa.FromClause
) -> sa.Select[Any]:
    """The revision of which the window is empty, and no row if it isn't."""
    return sa.select(REVISION).where(~page_request.statement(query).exists())


def revision_only(_query: sa.Select[Any], _window: None, _of: sa.FromClause) -> sa.Select[Any]:
    """The revision, and nothing of the list."""
    return sa.select(REVISION)


def after(query: sa.Select[Any], page_request: PageRequest, _of: sa.FromClause) -> sa.Select[Any]:
    """Whether a row comes after the window's bounds."""
    return query.add_columns(sa.literal(1)).where(page_request.rest(forwards=True)).limit(1)


def before(query: sa.Select[Any], page_request: PageRequest, _of: sa.FromClause) -> sa.Select[Any]:
    """Whether a row comes before the window's bounds."""
    return query.add_columns(sa.literal(1)).where(page_request.rest(forwards=False)).limit(1)


def by_keys(query: sa.Select[Any], _window: None, of: sa.FromClause) -> sa.Select[Any]:
    """The parents' rows."""
    return query.with_only_columns(*labelled(of), *query.selected_columns)


def count_by_keys(query: sa.Select[Any], _window: None, of: sa.FromClause) -> sa.Select[Any]:
    """How many rows each parent has."""
    counted = query.with_only_columns(*labelled(of), sa.func.count())
    return counted.group_by(of.c.of_project, of.c.of_id)  # type: ignore[return-value]


def each_after(
    query: sa.Select[Any], page_request: PageRequest, of: sa.FromClause
) -> sa.Select[Any]:
    """The parents that have a row after the window's bounds."""
    return query.with_only_columns(*labelled(of)).where(page_request.rest(forwards=True)).distinct()


def each_before(
    query: sa.Select[Any], page_request: PageRequest, of: sa.FromClause
) -> sa.Select[Any]:
    """The parents that have a row before the window's bounds."""
    return (
        query.with_only_columns(*labelled(of)).where(page_request.rest(forwards=False)).distinct()
    )


def top_n_by_lateral(
    query: sa.Select[Any], page_request: PageRequest, of: sa.FromClause
) -> sa.Select[Any]:
    """Each parent's window by itself: an index look-up a parent."""
    children = page_request.statement(query).correlate(of).lateral("children")
    return (
        sa.select(*labelled(of), *children.c)
        .select_from(of.join(children, sa.true()))
        .order_by(*_order(page_request, children))
    )


def top_n_by_row_number(
    query: sa.Select[Any], page_request: PageRequest, of: sa.FromClause
) -> sa.Select[Any]:
    """The same where there is no LATERAL: every child numbered within its parent."""
    number = sa.func.row_number().over(
        partition_by=(of.c.of_project, of.c.of_id),
        order_by=[sort.clause() for sort in page_request.direction],
    )
    children = (
        query.add_columns(*page_request.keys(query), *labelled(of), number.label("number"))
        .where(*page_request.bounds())
        .subquery("children")
    )
    return (
        sa.select(children.c.of_project, children.c.of_id, *list(children.c)[:-3])
        .where(children.c.number <= LIMIT)
        .order_by(children.c.number)
    )


def _order(page_request: PageRequest, children: sa.FromClause) -> list[Column]:
    outside = {base_column(column): column for column in children.c}
    keys = [(outside[sort.column], sort) for sort in page_request.direction]
    return [
        Sort(key, sort.descending).clause()
        if sort.nullable
        else (key.desc() if sort.descending else key)
        for key, sort in keys
    ]


def labelled(of: sa.FromClause) -> tuple[Column, Column]:
    """The parents' columns under names that no column of a row has."""
    return of.c.of_project.label("of_project"), of.c.of_id.label("of_id")
