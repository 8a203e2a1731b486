"""Connections: whatever the data, the order and the page length, a walk shows the whole list."""

from collections.abc import Sequence
from typing import Any

import pytest
from apps import GraphQL
from hypothesis import given
from hypothesis import strategies as st
from lists import (
    Fields,
    Order,
    argument,
    arranged,
    backups,
    examples,
    fresh_project,
    orders,
    store,
    twice,
)

from gateway.db import Database
from gateway.tables import Action, Backup, Client, Job, JobAction, Session

pytestmark = pytest.mark.anyio

BACKUPS = """
query($first: Int, $after: String, $last: Int, $before: String, $where: BackupWhere,
      $orderBy: [BackupOrder!], $search: String) {
  list: backups(first: $first, after: $after, last: $last, before: $before, where: $where,
                orderBy: $orderBy, search: $search) {
    totalCount
    nodes { backupId }
    edges { cursor node { backupId } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


@pytest.fixture
def graphql(graphql: GraphQL) -> GraphQL:
    """Return a function that asks GraphQL in both the ways that it answers."""
    return twice(graphql)


PLACES = st.none() | st.integers(0, 11)
ORDERS = orders("backup_name", "hostname", "status", "level", "compressed_size", "time_stamp")
WHERES = {
    "all": ({}, lambda _: True),
    "with a host": ({"hostname": {"isNull": False}}, lambda row: row["hostname"] is not None),
    "full": (
        {"or": [{"level": {"lte": 0}}, {"level": {"isNull": True}}]},
        lambda row: row["level"] is None or row["level"] <= 0,
    ),
}


class Walker:
    """Reads pages of one list, and holds what each says of itself against the whole list."""

    def __init__(
        self, graphql: GraphQL, project: str, whole: Sequence[Fields], **given: Any
    ) -> None:
        self.graphql, self.project, self.given = graphql, project, given
        self.whole = [row["id"] for row in whole]

    async def page(self, **window: Any) -> Any:
        """Read a page."""
        body = await self.graphql(BACKUPS, {**self.given, **window}, project=self.project)
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
    found = arranged([row for row in rows if holds(row)], order, ["backup_name", "time_stamp"])
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
    whole = arranged(rows, order, ["backup_name", "time_stamp"])
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
    found = arranged(list(filter(holds, rows)), [], ["backup_name", "time_stamp"])
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


# Nested connections

NESTED = """
fragment Page on BackupConnection {
  totalCount edges { cursor node { backupId } } pageInfo { hasNextPage hasPreviousPage }
}
query($first: Int, $after: String, $last: Int, $before: String, $where: BackupWhere,
      $orderBy: [BackupOrder!]) {
  jobs(first: 3) { nodes { jobId backups(first: $first, after: $after, last: $last, before: $before,
                               where: $where, orderBy: $orderBy) { ...Page } } }
}
"""


@examples
@given(
    rows=backups(most=20, job_id=st.sampled_from(["j0", "j1", "j2"]) | st.none()),
    order=ORDERS,
    where=st.sampled_from(list(WHERES)),
    length=st.integers(0, 3),
    edge=st.sampled_from(["after", "before"]),
    place=PLACES,
)
async def test_the_backups_of_jobs_are_pages_of_lists_of_their_own(  # noqa: PLR0913, PLR0917
    graphql: GraphQL,
    database: Database,
    rows: list[Fields],
    order: Order,
    where: str,
    length: int,
    edge: str,
    place: int | None,
) -> None:
    project = fresh_project()
    await store(database, Job, project, [job(name) for name in ("j0", "j1", "j2")])
    await store(database, Backup, project, rows)
    condition, holds = WHERES[where]
    given_ = {"where": condition, "orderBy": argument(order)}
    everything = await nested(graphql, project, first=100, **given_)
    whole = {
        name: [
            row["id"]
            for row in arranged(rows, order, ["backup_name", "time_stamp"])
            if row["job_id"] == name and holds(row)
        ]
        for name in ("j0", "j1", "j2")
    }
    assert {name: ids(page) for name, page in everything.items()} == whole
    # A cursor is a place in the order, and may be used with any parent.
    places = [edge["cursor"] for page in everything.values() for edge in page["edges"]]
    cursor = places[place % len(places)] if place is not None and places else None
    for way in ("first", "last"):
        asked = {way: length, edge: cursor, **given_}
        pages = await nested(graphql, project, **asked)
        for name, page in pages.items():
            narrowed = condition | {"jobId": {"eq": name}}
            alone = await graphql(BACKUPS, asked | {"where": narrowed}, project=project)
            assert_equal(page, alone["data"]["list"])
            assert page["totalCount"] == len(whole[name])


async def nested(graphql: GraphQL, project: str, **variables: Any) -> dict[str, Any]:
    body = await graphql(NESTED, variables, project=project)
    assert "errors" not in body, body
    return {node["jobId"]: node["backups"] for node in body["data"]["jobs"]["nodes"]}


def ids(page: Any) -> list[str]:
    return [edge["node"]["backupId"] for edge in page["edges"]]


def assert_equal(page: Any, alone: Any) -> None:
    assert page["edges"] == alone["edges"]
    assert page["totalCount"] == alone["totalCount"]
    for fact in ("hasNextPage", "hasPreviousPage"):
        assert page["pageInfo"][fact] == alone["pageInfo"][fact]


def job(name: str, **more: Any) -> Fields:
    return {"id": name, "user_id": "u", "description": name, "job_schedule": "{}", **more}


RELATIONS = """
fragment Jobs on JobConnection { totalCount nodes { jobId } pageInfo { hasNextPage } }
query($first: Int, $last: Int, $orderBy: [JobOrder!], $actionOrder: [ActionOrder!]) {
  clients { nodes { clientId jobs(first: $first, last: $last, orderBy: $orderBy) { ...Jobs } } }
  sessions { nodes { sessionId jobs(first: $first, last: $last, orderBy: $orderBy) { ...Jobs } } }
  actions { nodes { actionId jobs(first: $first, last: $last, orderBy: $orderBy) { ...Jobs } } }
  jobs { nodes { jobId client { clientId } session { sessionId }
    actions(first: $first, last: $last, orderBy: $actionOrder) {
      totalCount edges { position node { actionId } } pageInfo { hasNextPage } } } }
}
"""


@examples
@given(
    given_=st.lists(
        st.fixed_dictionaries(
            {
                "client_id": st.sampled_from(["c0", "c1", "gone"]) | st.none(),
                "session_id": st.sampled_from(["s0", "s1", "gone"]) | st.none(),
                "status": st.sampled_from(["stop", "running"]) | st.none(),
                "actions": st.lists(st.sampled_from(["a0", "a1", "a2"]), max_size=4),
            }
        ),
        max_size=6,
    ),
    way=st.sampled_from(["first", "last"]),
    length=st.integers(0, 4),
    order=orders("status"),
    by_name=st.booleans(),
)
async def test_relations_hold_in_both_directions(  # noqa: PLR0913, PLR0917
    graphql: GraphQL,
    database: Database,
    given_: list[Fields],
    way: str,
    length: int,
    order: Order,
    by_name: bool,  # noqa: FBT001
) -> None:
    project = fresh_project()
    rows = [
        job(f"j{n}", **{k: v for k, v in row.items() if k != "actions"})
        for n, row in enumerate(given_)
    ]
    links = [
        {"job_id": f"j{number}", "position": place, "action_id": name}
        for number, row in enumerate(given_)
        for place, name in enumerate(row["actions"])
    ]
    await _store_relatives(database, project)
    await store(database, Job, project, rows)
    await store(database, JobAction, project, links)
    variables = {way: length, "orderBy": argument(order)}
    variables["actionOrder"] = argument([("backup_name", "DESC")]) if by_name else None
    body = await graphql(RELATIONS, variables, project=project)
    assert "errors" not in body, body
    data = body["data"]
    listed = arranged(rows, order, ["description"])

    def of(connection: Any, owned: list[Any], shown: list[Any]) -> None:
        expected = (
            owned[:length] if way == "first" else owned[len(owned) - min(length, len(owned)) :]
        )
        assert shown == expected
        assert connection["totalCount"] == len(owned)
        assert connection["pageInfo"]["hasNextPage"] == (way == "first" and len(owned) > length)

    for kind, key in (("clients", "client_id"), ("sessions", "session_id")):
        for node in data[kind]["nodes"]:
            name = node["clientId" if kind == "clients" else "sessionId"]
            owned = [row["id"] for row in listed if row[key] == name]
            of(node["jobs"], owned, [n["jobId"] for n in node["jobs"]["nodes"]])
    for node in data["actions"]["nodes"]:
        users = {link["job_id"] for link in links if link["action_id"] == node["actionId"]}
        owned = [row["id"] for row in listed if row["id"] in users]
        of(node["jobs"], owned, [n["jobId"] for n in node["jobs"]["nodes"]])
    for node, row in zip(data["jobs"]["nodes"], given_, strict=True):
        known = {"c0", "c1", "s0", "s1"}
        assert (node["client"] or {}).get("clientId") == (
            {row["client_id"]} & known or {None}
        ).pop()
        assert (node["session"] or {}).get("sessionId") == (
            {row["session_id"]} & known or {None}
        ).pop()
        owned = list(enumerate(row["actions"]))
        # Names fall from a0 to a2, so that the order by name, descending, is that of the ids.
        owned.sort(key=lambda pair: (pair[1], -pair[0]) if by_name else pair)
        shown = [(edge["position"], edge["node"]["actionId"]) for edge in node["actions"]["edges"]]
        of(node["actions"], owned, shown)


async def _store_relatives(database: Database, project: str) -> None:
    able = dict.fromkeys(
        ("supported_actions", "supported_modes", "supported_storages", "supported_engines"), "[]"
    )
    hosts = [
        {"id": f"c{n}", "user_id": "u", "uuid": "u", "is_central": False} | able for n in (0, 1)
    ]
    await store(database, Client, project, hosts)
    together = [
        {"id": f"s{n}", "user_id": "u", "schedule": "{}", "job_states": "{}"} for n in (0, 1)
    ]
    plain = {"description": "", "hold_off": 30, "session_tag": 0}
    await store(database, Session, project, [row | plain for row in together])
    doings = [
        {"id": f"a{n}", "user_id": "u", "freezer_action": "{}", "backup_name": f"n{9 - n}"}
        for n in range(3)
    ]
    numbers = {"max_retries": 5, "max_retries_interval": 6, "mandatory": False}
    await store(database, Action, project, [row | numbers for row in doings])
