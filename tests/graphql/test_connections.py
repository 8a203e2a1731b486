"""Connections: whatever the data, the order and the page length, a walk shows the whole list."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue.tables import Backup
from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.lists import (
    ORDERS,
    PAGE_OF_BACKUPS,
    PLACES,
    WHERES,
    Fields,
    Order,
    argument,
    arranged,
    backups,
    examples,
    fresh_project,
    store,
    twice,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def graphql(graphql: GraphQL) -> GraphQL:
    """Return a function that asks GraphQL in both the ways that it answers."""
    return twice(graphql)


class Walker:
    """Reads pages of one list, and holds what each says of itself against the whole list."""

    def __init__(
        self, graphql: GraphQL, project: str, whole: Sequence[Fields], **given: Any
    ) -> None:
        self.graphql, self.project, self.given = graphql, project, given
        self.whole = [row["id"] for row in whole]

    async def page(self, **window: Any) -> Any:
        """Read a page."""
        body = await self.graphql(PAGE_OF_BACKUPS, {**self.given, **window}, project=self.project)
        assert "errors" not in body, body
        return body["data"]["list"]

    async def check(self, start: int, end: int, **window: Any) -> Any:
        """Read a page, which must be the rows from `start` up to `end` of the whole list."""
        page = await self.page(**window)
        info, expected = page["pageInfo"], self.whole[start:end]
        assert [edge["node"]["backupId"] for edge in page["edges"]] == expected
        assert [node["backupId"] for node in page["nodes"]] == expected
        assert page["totalCount"] == len(self.whole)
        assert info["hasNextPage"] == (end < len(self.whole))
        assert info["hasPreviousPage"] == (start > 0)
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert info["startCursor"] == (cursors[0] if cursors else None)
        assert info["endCursor"] == (cursors[-1] if cursors else None)
        return info

    async def forwards(self, length: int) -> None:
        """Walk from the start to the end."""
        after, start = None, 0
        while True:
            end = min(start + length, len(self.whole))
            info = await self.check(start, end, first=length, after=after)
            if not info["hasNextPage"]:
                return
            after, start = info["endCursor"], end

    async def backwards(self, length: int) -> None:
        """Walk from the end to the start."""
        before, end = None, len(self.whole)
        while True:
            start = max(end - length, 0)
            info = await self.check(start, end, last=length, before=before)
            if not info["hasPreviousPage"]:
                return
            before, end = info["startCursor"], start


@examples
@given(rows=backups(), order=ORDERS, length=st.integers(1, 5), where=st.sampled_from(list(WHERES)))
async def test_walks_in_both_directions_show_the_whole_list(  # noqa: PLR0913, PLR0917
    graphql: GraphQL, database: Database, rows: list[Fields], order: Order, length: int, where: str
) -> None:
    project = fresh_project()
    await store(database, Backup, project, rows)
    condition, holds = WHERES[where]
    found = arranged([row for row in rows if holds(row)], order, ["backup_name", "sort_time"])
    walker = Walker(graphql, project, found, where=condition, orderBy=argument(order))
    await walker.forwards(length)
    await walker.backwards(length)


@examples
@given(rows=backups(), order=ORDERS, after=PLACES, before=PLACES, length=st.integers(0, 4))
async def test_a_page_between_two_cursors_knows_what_is_around_it(  # noqa: PLR0913, PLR0917
    graphql: GraphQL,
    database: Database,
    rows: list[Fields],
    order: Order,
    after: int | None,
    before: int | None,
    length: int,
) -> None:
    project = fresh_project()
    await store(database, Backup, project, rows)
    whole = arranged(rows, order, ["backup_name", "sort_time"])
    walker = Walker(graphql, project, whole, orderBy=argument(order))
    cursors = [edge["cursor"] for edge in (await walker.page())["edges"]]
    # Places past the end are no cursors.
    after, before = (
        None if place in {*range(len(rows), 13)} else place for place in (after, before)
    )
    low = 0 if after is None else after + 1
    high = len(rows) if before is None else before
    bounds = {
        "after": None if after is None else cursors[after],
        "before": None if before is None else cursors[before],
    }
    if low <= high:
        await walker.check(low, min(low + length, high), first=length, **bounds)
        await walker.check(max(high - length, low), high, last=length, **bounds)
    else:
        assert (await walker.page(first=length, **bounds))["edges"] == []
        assert (await walker.page(last=length, **bounds))["edges"] == []


@examples
@given(rows=backups(), text=st.sampled_from(["a", "A", "é", "😀", "_", "%", "\\", "'", "", "id1"]))
async def test_a_search_is_counted_and_walked(
    graphql: GraphQL, database: Database, rows: list[Fields], text: str
) -> None:
    def holds(row: Fields) -> bool:
        lowered = text.translate({65: 97})
        held = (row["backup_name"], row["hostname"] or "", row["container"])
        return row["id"] == text or any(lowered in name.replace("B", "b") for name in held)

    project = fresh_project()
    await store(database, Backup, project, rows)
    found = arranged(list(filter(holds, rows)), [], ["backup_name", "sort_time"])
    await Walker(graphql, project, found, search=text).forwards(3)


async def test_a_cursor_of_every_order_leads_on(graphql: GraphQL, database: Database) -> None:
    schema = await graphql('{ __type(name: "BackupOrderField") { enumValues { name } } }')
    fields = [value["name"] for value in schema["data"]["__type"]["enumValues"]]
    assert {"CREATED_AT", "UPDATED_AT", "TIME_STAMP"} <= set(fields)
    rows = [
        {"id": f"id{n}", "user_id": "u", "backup_name": "n", "backup_metadata": "{}"}
        for n in range(3)
    ]
    await store(database, Backup, "p1", [row | {"status": "error", "sort_time": 0} for row in rows])
    for field in fields:
        for direction in ("ASC", "DESC"):
            whole = rows if direction == "ASC" else rows[::-1]
            await Walker(graphql, "p1", whole, orderBy=argument([(field, direction)])).forwards(1)
