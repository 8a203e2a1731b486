"""Whole numbers that agents send as texts or floats are read as such, and kept as sent."""

from typing import Any

import httpx
import pytest

from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.tell import Teller

pytestmark = pytest.mark.anyio

BACKUP = {"backup_name": "b", "container": "c", "hostname": "h"}
KEYS = {
    "curr_backup_level": "level",
    "max_level": "maxLevel",
    "backup_size_compressed": "compressedSize",
    "backup_size_uncompressed": "uncompressedSize",
}
READ: list[tuple[Any, int | None]] = [
    *((3, 3), ("3", 3), (3.0, 3), ("-3", -3), ("007", 7), (-0.0, 0), (1e12, 10**12)),
    *(("9223372036854775807", 2**63 - 1), ("9223372036854775808", None), (1e300, None)),
    *((1.5, None), ("1.5", None), ("1e3", None), ("", None), (" 3", None), ("٣", None)),
    *((True, None), (None, None), ([3], None), ("x", None), ("9" * 5000, None)),
]


@pytest.fixture(params=["rest", "graphql"])
def surface(request: pytest.FixtureRequest) -> str:
    """Return the surface that is written to."""
    return str(request.param)


@pytest.fixture
def tell(graphql: GraphQL, database: Database) -> Teller:
    """Return what sends mutations."""
    return Teller(graphql, database)


async def test_a_backups_numbers(
    client: httpx.AsyncClient, graphql: GraphQL, tell: Teller, surface: str
) -> None:
    query = f"{{ backups(first: 100) {{ nodes {{ metadata {' '.join(KEYS.values())} }} }} }}"
    for at, (sent, _) in enumerate(READ):
        metadata = BACKUP | {"backup_name": f"b{at:02}"} | dict.fromkeys(KEYS, sent)
        if surface == "rest":
            assert (await client.post("/v2/p1/backups", json=metadata)).status_code == 201
        else:
            await tell("registerBackup", metadata=metadata)
    nodes = (await graphql(query))["data"]["backups"]["nodes"]
    for node, (sent, read) in zip(nodes, READ, strict=True):
        fits = read is not None and abs(read) < 2**31
        assert node["level"] == node["maxLevel"] == (read if fits else None), sent
        assert node["compressedSize"] == node["uncompressedSize"] == read, sent
        kept = [node["metadata"][key] for key in KEYS]
        assert kept == [sent] * 4
        assert [type(one) for one in kept] == [type(sent)] * 4


async def test_an_actions_numbers(
    client: httpx.AsyncClient, graphql: GraphQL, tell: Teller, surface: str
) -> None:
    for at, (sent, _) in enumerate(READ):
        document = {"action": "exec", "timeout": sent, "priority": sent}
        if surface == "rest":
            body = {"freezer_action": document, "action_id": f"a{at:02}"}
            assert (await client.post("/v2/p1/actions", json=body)).status_code == 201
        else:
            await tell("createAction", actionId=f"a{at:02}", freezerAction=document)
    query = "{ actions(first: 100) { nodes { timeout priority freezerAction } } }"
    nodes = (await graphql(query))["data"]["actions"]["nodes"]
    for node, (sent, read) in zip(nodes, READ, strict=True):
        fits = read is not None and abs(read) < 2**31
        assert node["timeout"] == node["priority"] == (read if fits else None), sent
        assert node["freezerAction"] == {"action": "exec", "timeout": sent, "priority": sent}


async def test_a_backups_time(
    client: httpx.AsyncClient, graphql: GraphQL, tell: Teller, surface: str
) -> None:
    for at, time in enumerate(("1700000000", 1.7e9)):
        metadata = BACKUP | {"backup_name": f"b{at}", "time_stamp": time}
        if surface == "rest":
            assert (await client.post("/v2/p1/backups", json=metadata)).status_code == 201
        else:
            await tell("registerBackup", metadata=metadata)
        search = {"search": '{"time_after": 1699999999, "time_before": 1700000001}'}
        listed = (await client.get("/v2/p1/backups", params=search)).json()["backups"]
        assert listed[at]["backup_metadata"]["time_stamp"] == time
    query = '{ backups(where: {timeStamp: {eq: "2023-11-14T22:13:20Z"}}) { totalCount } }'
    assert (await graphql(query))["data"]["backups"] == {"totalCount": 2}


async def test_a_change_reads_them_too(tell: Teller, graphql: GraphQL) -> None:
    made = await tell("registerBackup", metadata=BACKUP | {"curr_backup_level": "3"})
    await tell("updateBackup", id=made["id"], metadata={"curr_backup_level": "4"})
    assert (await graphql("{ backups { nodes { level } } }"))["data"]["backups"]["nodes"] == [
        {"level": 4}
    ]
