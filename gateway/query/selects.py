"""The forms of SELECT over a list: functions from the query of a whole list to a statement.

Each takes the query of all visible rows, the page request (or None), and the table of keys that the
query is joined with: the parents' keys, or the list itself where there are none.
`Collection.rows` builds the query and supplies the values of its parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue.column_types import JSONText
from gateway.catalogue.tables import Job, columns
from gateway.db.revisions import visible_revision
from gateway.db.rows import base_column
from gateway.query.paging import LIMIT, PageRequest, Sort

Column = sa.ColumnElement[Any]
Query = sa.Select[Any]

CALLER: Column = sa.bindparam("project_id", None, type_=columns(Job).project_id.type)
"""The parameter that holds the caller's project."""
REVISION = visible_revision(CALLER)
"""The revision of everything that the caller's project sees."""

SelectForm = Callable[[Query, Any, sa.FromClause], Query]


def keys_table(*, sqlite: bool) -> sa.FromClause:
    """Return the keys as a table of `of_project` and `of_id`, from one JSON parameter.

    `keys_parameter` makes the parameter's value, whatever the number of keys.
    """
    parameter = sa.bindparam("parents", None, type_=sa.Text)
    if sqlite:
        pair = sa.func.json_each(parameter).table_valued("value").c.value
        ids: list[Column] = [sa.func.json_extract(pair, f"$[{at}]") for at in (0, 1)]
    else:
        # Rather than arrays: asyncpg goes three times over the elements of an array.
        document = sa.cast(parameter, JSONText())
        pair = sa.func.json_array_elements(document).table_valued("value").c.value
        ids = [pair.op("->>", return_type=sa.Text())(sa.literal_column(str(at))) for at in (0, 1)]
    return sa.select(ids[0].label("of_project"), ids[1].label("of_id")).subquery("parents")


def keys_parameter(keys: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the value of the parameter of `keys_table`, by the parameter's name."""
    return {"parents": orjson.dumps(keys).decode()}


def key_columns(keys: sa.FromClause) -> tuple[Column, Column]:
    """Return the columns of the keys, labelled as no column of a row is named."""
    return keys.c.of_project.label("of_project"), keys.c.of_id.label("of_id")


def all_rows(query: Query, _page_request: None, _keys: sa.FromClause) -> Query:
    """Select every row of the list."""
    return query


def page(query: Query, page_request: PageRequest, _keys: sa.FromClause) -> Query:
    """Select the rows of a page, with the keys of its cursors."""
    return page_request.statement(query)


def page_with_revision(query: Query, page_request: PageRequest, _keys: sa.FromClause) -> Query:
    """Select the rows of a page, each with the list's revision, without keys of cursors."""
    return page_request.statement(query.add_columns(REVISION), with_keys=False)


def revision_if_empty(query: Query, page_request: PageRequest, _keys: sa.FromClause) -> Query:
    """Select the revision if the page is empty, and no row if it isn't."""
    return sa.select(REVISION).where(~page_request.statement(query).exists())


def revision_only(_query: Query, _page_request: None, _keys: sa.FromClause) -> Query:
    """Select the revision, and nothing of the list."""
    return sa.select(REVISION)


def any_after(query: Query, page_request: PageRequest, _keys: sa.FromClause) -> Query:
    """Select one row if the list goes on after the page's cursors."""
    return query.add_columns(sa.literal(1)).where(page_request.outside(forwards=True)).limit(1)


def any_before(query: Query, page_request: PageRequest, _keys: sa.FromClause) -> Query:
    """Select one row if the list begins before the page's cursors."""
    return query.add_columns(sa.literal(1)).where(page_request.outside(forwards=False)).limit(1)


def by_keys(query: Query, _page_request: None, keys: sa.FromClause) -> Query:
    """Select the rows of the keys."""
    return query.with_only_columns(*key_columns(keys), *query.selected_columns)


def count_by_keys(query: Query, _page_request: None, keys: sa.FromClause) -> Query:
    """Select the number of rows of each key that has any."""
    counts = query.with_only_columns(*key_columns(keys), sa.func.count())
    return counts.group_by(keys.c.of_project, keys.c.of_id)  # type: ignore[return-value]


def keys_with_any_after(query: Query, page_request: PageRequest, keys: sa.FromClause) -> Query:
    """Select the keys whose list goes on after the page's cursors."""
    outside = page_request.outside(forwards=True)
    return query.with_only_columns(*key_columns(keys)).where(outside).distinct()


def keys_with_any_before(query: Query, page_request: PageRequest, keys: sa.FromClause) -> Query:
    """Select the keys whose list begins before the page's cursors."""
    outside = page_request.outside(forwards=False)
    return query.with_only_columns(*key_columns(keys)).where(outside).distinct()


def top_n_by_lateral(query: Query, page_request: PageRequest, keys: sa.FromClause) -> Query:
    """Select a page for each key by a LATERAL join: one index look-up a key."""
    children = page_request.statement(query).correlate(keys).lateral("children")
    return (
        sa.select(*key_columns(keys), *children.c)
        .select_from(keys.join(children, sa.true()))
        .order_by(*_order(page_request, children))
    )


def top_n_by_row_number(query: Query, page_request: PageRequest, keys: sa.FromClause) -> Query:
    """Select a page for each key by row_number(), for a database without LATERAL."""
    number = sa.func.row_number().over(
        partition_by=(keys.c.of_project, keys.c.of_id),
        order_by=[sort.clause() for sort in page_request.direction],
    )
    children = (
        query.add_columns(*page_request.keys(query), *key_columns(keys), number.label("number"))
        .where(*page_request.bounds())
        .subquery("children")
    )
    return (
        sa.select(children.c.of_project, children.c.of_id, *list(children.c)[:-3])
        .where(children.c.number <= LIMIT)
        .order_by(children.c.number)
    )


def _order(page_request: PageRequest, children: sa.FromClause) -> list[Column]:
    """Return the ORDER BY of a page over the columns of a subquery."""
    outer = {base_column(column): column for column in children.c}
    keys = [(outer[sort.column], sort) for sort in page_request.direction]
    return [
        Sort(key, sort.descending).clause()
        if sort.nullable
        else (key.desc() if sort.descending else key)
        for key, sort in keys
    ]
