"""Connections of rows: each is a list of its own, walked as if there were no other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session
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
    orders,
    store,
    twice,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def graphql(graphql: GraphQL) -> GraphQL:
    """Return a function that asks GraphQL in both the ways that it answers."""
    return twice(graphql)


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
            for row in arranged(rows, order, ["backup_name", "sort_time"])
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
            alone = await graphql(PAGE_OF_BACKUPS, asked | {"where": narrowed}, project=project)
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


async def test_what_many_rows_share_is_the_same_for_each(
    graphql: GraphQL, database: Database
) -> None:
    await _store_relatives(database, "p1")
    rows = [job(f"j{n}", client_id="c0", session_id="s1") for n in range(5)]
    await store(database, Job, "p1", rows)
    await store(
        database,
        JobAction,
        "p1",
        [{"job_id": row["id"], "position": 0, "action_id": "a0"} for row in rows],
    )
    body = await graphql(
        """
        fragment Jobs on JobConnection {
          totalCount nodes { jobId } pageInfo { hasNextPage hasPreviousPage }
        }
        { jobs { nodes {
          client { jobs(first: 2) { ...Jobs } }
          session { jobs(first: 2) { ...Jobs } }
          actions(first: 2) { nodes { jobs(first: 2) { ...Jobs } } }
        } } }
        """
    )
    page = {
        "totalCount": 5,
        "nodes": [{"jobId": "j0"}, {"jobId": "j1"}],
        "pageInfo": {"hasNextPage": True, "hasPreviousPage": False},
    }
    each = {"jobs": page}
    node = {"client": each, "session": each, "actions": {"nodes": [each]}}
    assert body["data"]["jobs"]["nodes"] == [node] * 5


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
