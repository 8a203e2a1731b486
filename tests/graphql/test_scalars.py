"""Scalars: the values that each takes, as a literal and as a variable, and how it shows them."""

import json
from typing import Any

import pytest

from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.tell import DO, METADATA, Teller

pytestmark = pytest.mark.anyio


@pytest.fixture
def tell(graphql: GraphQL, database: Database) -> Teller:
    """Return what sends mutations to the application."""
    return Teller(graphql, database)


MOMENTS = {
    "2026-03-29T02:30:00Z": 1774751400,
    "2026-03-29t02:30:00z": 1774751400,
    "2026-03-29 02:30:00+00:00": 1774751400,
    "2026-03-29T02:30:00-00:00": 1774751400,
    "2026-03-29T04:30:00+02:00": 1774751400,
    "2026-03-28t18:30:00.000000000-08:00": 1774751400,
    "2026-06-30T23:59:60Z": 1782864000,
    "2026-06-30T23:59:60.000z": 1782864000,
    "2027-01-01T01:59:60+02:00": 1798761600,
    # What is taken besides, which the scalar's description says.
    "2026-03-29T02:30:00": 1774751400,
    "2026-03-29T02:30": 1774751400,
    "2026-03-29T02:30Z": 1774751400,
    "2026-03-29T04:30:00+0200": 1774751400,
    "2026-03-29": 1774742400,
}
NO_MOMENTS = (
    "2026-W13-7",
    "20260329T023000Z",
    "2026-03-29T02:30:00 Z",
    "2026-03-29T02:30:61Z",
    "2026-03-29T02:30:60Z",
    "2026-06-30T23:59:60-01:00",
    "2026-03-29T24:00:00Z",
    "2026-03-29T02:30:00+24:00",
    "2026-03-29T02:30:00+01:60",
    "2026-03-29T02",
    "2026-02-30T00:00:00Z",
    "\N{ARABIC-INDIC DIGIT TWO}026-03-29T02:30:00Z",
    "9999-12-31T23:59:60Z",
    " 2026-03-29",
    "",
    1774751400,
)


@pytest.fixture
async def time_stamps(tell: Teller) -> None:
    """Register a backup at each moment."""
    for seconds in sorted({*MOMENTS.values()}):
        await tell("registerBackup", metadata=METADATA | {"time_stamp": seconds})


async def at(graphql: GraphQL, type_: str, field: str, value: Any) -> list[dict[str, Any]]:
    """Return what is found where a field equals a value: as a variable, and as a literal."""
    query = "query(%s) { backups(where: {%s: {eq: %s}}) { nodes { metadata } } }"
    return [
        await graphql(query % (f"$v: {type_}", field, "$v"), {"v": value}),
        await graphql((query % ("", field, json.dumps(value))).replace("query()", "query")),
    ]


@pytest.mark.usefixtures("time_stamps")
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_moment_is_written_as(graphql: GraphQL, moment: str) -> None:
    for body in await at(graphql, "DateTime", "timeStamp", moment):
        (found,) = body["data"]["backups"]["nodes"]
        assert found["metadata"]["time_stamp"] == MOMENTS[moment]


@pytest.mark.parametrize("moment", NO_MOMENTS)
async def test_no_moment_is_written_as(graphql: GraphQL, moment: object) -> None:
    for body in await at(graphql, "DateTime", "timeStamp", moment):
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "is not a date and time (RFC 3339)" in error["message"]
        assert (repr(moment)[:6] if moment else "''") in error["message"]


@pytest.mark.parametrize(
    ("size", "stored"),
    [
        (1000000000.0, 10**9),
        ("1000000000", 10**9),
        (-0.0, 0),
        (-(2.0**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
    ],
)
async def test_a_large_number_is_written_as(
    tell: Teller, graphql: GraphQL, size: object, stored: int
) -> None:
    await tell("registerBackup", metadata=METADATA | {"backup_size_compressed": stored})
    for body in await at(graphql, "BigInt", "compressedSize", size):
        (found,) = body["data"]["backups"]["nodes"]
        assert found["metadata"]["backup_size_compressed"] == stored


@pytest.mark.parametrize("size", [0.5, 2.0**63, 1e300, "1e9", "1.0", True, [], "9" * 30])
async def test_no_large_number_is_written_as(graphql: GraphQL, size: object) -> None:
    for body in await at(graphql, "BigInt", "compressedSize", size):
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "integer of 64 bits" in error["message"]


async def test_an_empty_cursor_is_none(tell: Teller, graphql: GraphQL) -> None:
    for name in ("a", "b"):
        await tell("createJob", description=name, actions=[DO])
    query = """query($c: String) {
      jobs(first: 1, after: $c) { nodes { description actions(after: $c) { totalCount } } }
      last: jobs(last: 1, before: $c) { nodes { description } }
    }"""
    literal = query.replace("($c: String)", "").replace("$c", '""')
    for text in (query, literal):
        body = await graphql(text, {"c": ""} if text is query else {})
        assert body["data"] == {
            "jobs": {"nodes": [{"description": "a", "actions": {"totalCount": 1}}]},
            "last": {"nodes": [{"description": "b"}]},
        }


PYTHON = ("None", "True", "False", "Maybe", "object at 0x", "Undefined", "<class", "nan", "inf")
NULLS: dict[str, Any] = {
    "updateJob": {"schedule": None, "actions": None},
    "updateBackup": {"status": None, "metadata": None},
    "updateAction": {"freezerAction": None, "maxRetries": None, "mandatory": None},
    "updateSession": {"holdOff": None, "schedule": None},
}


@pytest.mark.parametrize("name", NULLS)
async def test_null_says_nothing_as_a_literal_too(
    tell: Teller, graphql: GraphQL, name: str
) -> None:
    kind = name.removeprefix("update")
    created = {
        "Job": ("createJob", {"actions": [DO], "schedule": {"interval": "1 days"}}),
        "Backup": ("registerBackup", {"metadata": METADATA}),
        "Action": ("createAction", DO),
        "Session": ("createSession", {"schedule": {"interval": "1 days"}}),
    }
    maker, given = created[kind]
    before = await tell(maker, **given)
    nulls = " ".join(f"{field}: null" for field in NULLS[name])
    text = 'mutation { it: %s(input: {id: "%s" %s}) { %s { version } } }'
    body = await graphql(text % (name, before["id"], nulls, kind.lower()))
    assert body["data"]["it"][kind.lower()] == {"version": before["version"] + 1}
    after = await tell(name, id=before["id"])
    assert after == before | {"version": before["version"] + 2}


@pytest.mark.parametrize("value", [None, True, [None], {"id": None, "x": True}, 5, float("1e300")])
@pytest.mark.parametrize(
    "type_", ["UpdateJobInput!", "Int!", "[BackupStatus!]!", "DateTime!", "BigInt!", "ID!"]
)
async def test_no_message_shows_python(graphql: GraphQL, type_: str, value: object) -> None:
    places = {
        "UpdateJobInput!": "mutation($v: %s) { updateJob(input: $v) { job { id } } }",
        "Int!": "query($v: %s) { jobs(first: $v) { totalCount } }",
        "[BackupStatus!]!": "query($v: %s) { backups(where: {status: {in: $v}}) { totalCount } }",
        "DateTime!": "query($v: %s) { jobs(where: {createdAt: {eq: $v}}) { totalCount } }",
        "BigInt!": "query($v: %s) { backups(where: {compressedSize: {eq: $v}}) { totalCount } }",
        "ID!": "query($v: %s) { node(id: $v) { id } }",
    }
    body = await graphql(places[type_] % type_, {"v": value})
    for error in body.get("errors", ()):
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert not any(word in error["message"] for word in PYTHON), error["message"]
