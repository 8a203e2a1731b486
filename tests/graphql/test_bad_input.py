"""Bad input to GraphQL: refused with its code, the value named, and nothing written."""

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import pytest

from gateway.app import create_app
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Server
from tests.support.refusals import JSON, ONE_JOB, body, refused

pytestmark = pytest.mark.anyio


def documents(name: str) -> dict[str, tuple[str, str]]:
    """Read a file of documents: by what is wrong with it, each and what the message names."""
    text = (Path(__file__).parent / "bad_input" / name).read_text()
    cases = re.findall(r"^# (.+) → (.+)\n((?:[^#\n].*\n)+)", text, re.MULTILINE)
    return {
        wrong: (re.sub(r"<(.+?)\*(\d+)>", lambda m: m[1] * int(m[2]), document), named)
        for wrong, named, document in cases
    }


QUERIES = documents("queries.graphql")
MUTATIONS = documents("mutations.graphql")


@pytest.fixture(scope="module")
async def client(server: Server, template: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application where there is one job.

    It takes larger documents than by default: what is tested are the limits after those.
    """
    url = await server.lend(template)
    larger = dict.fromkeys(("tokens", "literals", "variable_values", "variable_objects"), 20_000)
    limits = {f"graphql_max_{name}": most for name, most in larger.items()}
    async with opened(create_app(load(database_url=url, **limits))) as client:
        await client.post("/graphql", content=body(ONE_JOB), headers=JSON)
        yield client
    await server.take_back(url)


@pytest.mark.parametrize("wrong", QUERIES)
async def test_a_query_is_refused_for(client: httpx.AsyncClient, wrong: str) -> None:
    text, named = QUERIES[wrong]
    await refused(client, body(text), named)


@pytest.mark.parametrize("wrong", MUTATIONS)
async def test_a_mutation_is_refused_for(client: httpx.AsyncClient, wrong: str) -> None:
    text, named = MUTATIONS[wrong]
    await refused(client, body(text), named)


def cursor(*values: object) -> str:
    """Write a cursor as the gateway does, of any values."""
    return json.dumps(values).encode().hex()


def mark(order: str) -> str:
    """Write what tells the cursors of an order from others."""
    return f"{crc32(order.encode()):08x}"


BY_NAME = mark("backup_name,sort_time,id")
CURSORS = {
    "no hexadecimal digits": "!!!",
    "half a byte": "5b2",
    "not ASCII": "é",
    "no JSON": b"nothing".hex(),
    "no UTF-8": b"\xff\xfe".hex(),
    "no list": b"{}".hex(),
    "of nothing": cursor(),
    "of another order": cursor(mark("-backup_name,-sort_time,-id"), "a", 1, "i"),
    "of another list": cursor(mark("description,id"), "a", "i"),
    "too short": cursor(BY_NAME, "a", 1),
    "too long": cursor(BY_NAME, "a", 1, "i", "i"),
    "a number for a text": cursor(BY_NAME, 5, 1, "i"),
    "a text for a number": cursor(BY_NAME, "a", "1", "i"),
    "true for a number": cursor(BY_NAME, "a", True, "i"),  # noqa: FBT003 - a value
    "half a number": cursor(BY_NAME, "a", 1.5, "i"),
    "null": cursor(BY_NAME, None, 1, "i"),
    "a list": cursor(BY_NAME, ["a"], 1, "i"),
    "a number of 65 bits": cursor(BY_NAME, "a", 2**63, "i"),
    "a number of 99 digits": cursor(BY_NAME, "a", 10**99, "i"),
    "a NUL": cursor(BY_NAME, "a\0", 1, "i"),
    "a lone surrogate": cursor(BY_NAME, "\ud800", 1, "i"),
    "huge": "A" * 100_000,
}
MOMENTS = ["yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "2026-13-01Z", 5, None]


@pytest.mark.parametrize("wrong", CURSORS)
@pytest.mark.parametrize("argument", ["after", "before"])
async def test_a_cursor_is_refused_that_is(
    client: httpx.AsyncClient, argument: str, wrong: str
) -> None:
    query = f"query($c: String) {{ backups({argument}: $c) {{ totalCount nodes {{ id }} }} }}"
    await refused(client, body(query, {"c": CURSORS[wrong]}), f"'{argument}'")
    # What is wrong with a value is so in an operation, too, that has run before.
    response = await client.post("/graphql", content=body(query), headers=JSON)
    assert "errors" not in response.json()
    await refused(client, body(query, {"c": CURSORS[wrong]}), f"'{argument}'")


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cursor_is_refused_of_the_time(client: httpx.AsyncClient, moment: object) -> None:
    query = """query($c: String) {
      backups(after: $c, orderBy: {field: CREATED_AT}) { totalCount } }"""
    await refused(client, body(query, {"c": cursor(mark("created_at,id"), moment, "i")}), "'after'")


IDS = {
    "no base64": b"",
    "of no type": b"Nope:p1:i",
    "of a part": b"JobSchedule:p1:i",
    "without parts": b"Job",
    "without an item": b"Job:p1",
    "no UTF-8": b"Job:p1:\xff",
    "with a NUL": b"Job:p1:\0",
}


@pytest.mark.parametrize("wrong", IDS)
async def test_a_global_id_is_refused_that_is(client: httpx.AsyncClient, wrong: str) -> None:
    text = b64encode(IDS[wrong]).decode() or "x"
    for query in (
        "query($id: ID!) { node(id: $id) { id } }",
        "query($id: ID!) { nodes(ids: [$id]) { id } }",
    ):
        await refused(client, body(query, {"id": text}), repr(text))
    mutation = "mutation($id: ID!) { deleteJob(input: {id: $id}) { deletedId } }"
    await refused(client, body(mutation, {"id": text}), repr(text))


def deep(depth: int) -> Any:
    """Write a condition in conditions."""
    condition: Any = {"level": {"eq": 1}}
    for _ in range(depth):
        condition = {"not": condition}
    return condition


WHERES: dict[str, tuple[Any, str]] = {
    "an unknown field": ({"nope": {}}, "nope"),
    "a list": ([], "[]"),
    "an unknown word": ({"status": {"eq": "available"}}, "available"),
    "a size of 65 bits": ({"compressedSize": {"eq": str(2**63)}}, str(2**63)),
    "a date that is none": ({"createdAt": {"eq": "2026-02-30"}}, "2026-02-30"),
    "a path that is a number": ({"metadata": [{"path": [1], "eq": 1}]}, "1"),
    "too many conditions": ({"or": [{"level": {"eq": 1}}] * 201}, "201"),
    "too many values": ({"level": {"in": [1] * 1001}}, "1001"),
    "too many values in all": ({"or": [{"level": {"in": [1] * 501}}] * 2}, "1002"),
    "too many ways": ({"metadata": [{"path": ["a"] * 32, "eq": 1}] * 7}, "224"),
    "conditions too deep": (deep(16), "16"),
    "conditions far too deep": (deep(45), "16"),
}


@pytest.mark.parametrize("wrong", WHERES)
async def test_a_filter_is_refused_for(client: httpx.AsyncClient, wrong: str) -> None:
    where, named = WHERES[wrong]
    query = "query($where: BackupWhere) { backups(where: $where) { totalCount } }"
    await refused(client, body(query, {"where": where}), named)


VARIABLES: dict[str, tuple[str, Any, str]] = {
    "a missing one": ("query($id: ID!) { node(id: $id) { id } }", {}, "$id"),
    "null for one that is required": (
        "query($id: ID!) { node(id: $id) { id } }",
        {"id": None},
        "$id",
    ),
    "a list for an id": ("query($id: ID!) { node(id: $id) { id } }", {"id": []}, "$id"),
    "a number of 33 bits": (
        "query($n: Int) { jobs(first: $n) { totalCount } }",
        {"n": 2**31},
        "$n",
    ),
    "half a number": ("query($n: Int) { jobs(first: $n) { totalCount } }", {"n": 1.5}, "1.5"),
    "text for a number": ("query($n: Int) { jobs(first: $n) { totalCount } }", {"n": "5"}, "'5'"),
    "one that isn't used": ("query($n: Int) { jobs { totalCount } }", {"n": 1}, "$n"),
    "one of another type": ("query($n: ID) { jobs(first: $n) { totalCount } }", {}, "$n"),
    "one of no type": ("query($n: Nope) { jobs(first: $n) { totalCount } }", {}, "Nope"),
    "too many ids": (
        "query($i: [ID!]!) { nodes(ids: $i) { id } }",
        {"i": ["x"] * 10_001},
        "10001",
    ),
}


@pytest.mark.parametrize("wrong", VARIABLES)
async def test_variables_are_refused_for(client: httpx.AsyncClient, wrong: str) -> None:
    query, variables, named = VARIABLES[wrong]
    await refused(client, body(query, variables), named)


async def test_what_refers_to_nothing_is_not_there(client: httpx.AsyncClient) -> None:
    nobody = b64encode(b"Job:p1:nobody").decode()
    for text, variables in (
        ("query($id: ID!) { it: node(id: $id) { id } }", {"id": nobody}),
        ("query($id: ID!) { it: job(jobId: $id) { id } }", {"id": "x" * 100_000}),
        ("query($id: ID!) { it: backup(backupId: $id) { id } }", {"id": ""}),
    ):
        response = await client.post("/graphql", content=body(text, variables), headers=JSON)
        assert response.json() == {"data": {"it": None}}
