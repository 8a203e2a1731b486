"""Lists: `limit`, `marker`, `offset` and the `Link` to the next page, also while rows change."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from gateway.catalogue.tables import Action, Backup, Job, JobAction, columns
from gateway.context import Context
from tests.support.apps import MakeClient

from .conftest import Ask, asking

pytestmark = pytest.mark.anyio

ROWS = 5000
NAMES = ("", "a", "B", "a b", "é", "\U0001f600", "\uffff")


def backup(number: int, **changes: Any) -> dict[str, Any]:
    """Return the columns of a backup; many have the same name, and some the same time as well."""
    return {
        "project_id": "p1",
        "id": UUID(int=number * 7919 % 2**64).hex,
        "user_id": "u",
        "backup_metadata": "{}",
        "backup_name": f"n{number % 50}",
        "sort_time": number % 7,
    } | changes


def job(number: int, **changes: Any) -> dict[str, Any]:
    """Return the columns of a job."""
    return {
        "project_id": "p1",
        "id": f"j{number:04}",
        "user_id": "u",
        "description": NAMES[number % len(NAMES)],
        "job_schedule": "{}",
    } | changes


async def insert(ctx: Context, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows as they are."""
    async with ctx.write() as transaction:
        await transaction.insert(*(table(**row) for row in rows))


async def remove(ctx: Context, table: Any, item_id: str) -> None:
    """Delete a row."""
    async with ctx.write() as transaction:
        await transaction.rows(sa.delete(table).where(columns(table).id == item_id))


def following(response: httpx.Response) -> str:
    """Return the address of the next page, or nothing."""
    return str(response.links.get("next", {}).get("url", ""))


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_every_row_once_while_others_come_and_go(ctx: Context, ask: Ask, size: int) -> None:
    rows = [backup(number) for number in range(ROWS)]
    await insert(ctx, Backup, rows)
    expected = [
        row["id"]
        for row in sorted(rows, key=lambda row: (row["backup_name"], row["sort_time"], row["id"]))
    ]
    stable = set(expected)
    seen: list[str] = []
    path, pages = f"backups?limit={size}", 0
    while path:
        response = await ask(f"GET {path}")
        page = [item["backup_id"] for item in response.json()["backups"]]
        assert page
        assert len(page) <= size
        seen += page
        pages += 1
        if pages % (1000 // size + 1) == 0:
            # Others, before and behind; each goes again before it can be a marker.
            extra = [
                backup(number, id=f"x{pages}-{number}", backup_name=name)
                for number, name in enumerate(("", "n49", "n49z"))
            ]
            await insert(ctx, Backup, extra)
            listed = (await ask("GET backups?limit=1")).json()["backups"]
            assert listed[0]["backup_id"] == extra[0]["id"]
            for row in extra:
                await remove(ctx, Backup, row["id"])
        path = following(response).partition("/v2/p1/")[2]
    assert seen == expected
    assert len(stable) == ROWS


async def test_new_and_deleted_rows_shift_no_page(ctx: Context, ask: Ask) -> None:
    await insert(ctx, Job, [job(number, description=f"{number:03}") for number in range(0, 60, 2)])
    seen: list[str] = []
    marker = ""
    for turn in range(60):
        page = (await ask(f"GET jobs?limit=7{marker}")).json()["jobs"]
        if not page:
            break
        seen += [item["job_id"] for item in page]
        marker = f"&marker={seen[-1]}"
        await insert(ctx, Job, [job(1000 + turn, description="")])
        # A row already seen, and one that is yet to come.
        await remove(ctx, Job, seen[0] if turn == 0 else "")
        await remove(ctx, Job, "j0058")
    assert seen == [f"j{number:04}" for number in range(0, 58, 2)]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_jobs_by_their_descriptions(ctx: Context, ask: Ask, size: int) -> None:
    rows = [job(number) for number in range(40)]
    await insert(ctx, Job, rows)
    expected = sorted(rows, key=lambda row: (row["description"].encode(), row["id"]))
    for start in (f"jobs?limit={size}", f"jobs?limit={size}&offset=0"):
        seen: list[str] = []
        path = start
        while path:
            response = await ask(f"GET {path}")
            seen += [item["job_id"] for item in response.json()["jobs"]]
            path = following(response).partition("/v2/p1/")[2]
        assert seen == [row["id"] for row in expected]


async def test_link(ctx: Context, ask: Ask, make_client: MakeClient) -> None:
    await insert(ctx, Backup, [backup(number, id=f"b{number}") for number in range(5)])
    search = {"match": [{"user_id": "u"}], "match_not": [{"é &<>": "x"}]}

    def query(response: httpx.Response) -> dict[str, list[str]]:
        return parse_qs(urlsplit(following(response)).query)

    first = await ask("GET backups?limit=2&x=%3E1&offset=1")
    assert following(first).startswith("http://127.0.0.1:9090/v2/p1/backups?")
    assert query(first) == {"limit": ["2"], "x": [">1"], "offset": ["3"]}
    last = (await ask("GET backups?limit=2")).json()["backups"][-1]["backup_id"]
    assert query(await ask("GET backups/?limit=2")) == {"limit": ["2"], "marker": [last]}
    # A search in the body goes on as a parameter, so that the address tells everything.
    sent = await ask("GET backups?limit=2", search)
    assert json.loads(query(sent)["search"][0]) == search
    assert len((await ask("GET " + following(sent).partition("p1/")[2])).json()["backups"]) == 2
    assert not following(await ask("GET backups?limit=5"))
    assert not following(await ask("GET backups?limit=3&offset=2"))
    # More than an address holds: better no link than one that loses the search.
    large = {"match_not": [{"x": "y" * 10_000}]}
    assert not following(await ask("GET backups?limit=2", large))

    public = asking(await make_client(public_url="https://example.org/freezer/"), "p1")
    address = following(await public("GET backups?limit=2"))
    assert address.startswith("https://example.org/freezer/v2/p1/backups?limit=2&marker=")


async def test_limits(ctx: Context, make_client: MakeClient) -> None:
    await insert(ctx, Backup, [backup(number) for number in range(9)])
    ask = asking(await make_client(default_limit=3, max_limit=5), "p1")
    for query, size in (
        ("", 3),
        ("limit=", 3),
        ("limit=2&limit=4", 4),
        ("limit=4&limit=", 4),
        ("limit=+4", 4),
        ("limit=%2B4", 4),
        ("limit=%204", 4),
        ("limit=0004", 4),
        ("limit=6", 5),
        ("limit=9223372036854775807", 5),
        ("limit=" + "0" * 5000 + "2", 2),
        ("offset=7", 2),
        ("offset=9223372036854775807", 0),
        ("marker=&offset=&limit=2", 2),
        ("sort=time&foo=bar&limit=2", 2),
    ):
        answer = (await ask(f"GET backups?{query}")).json()
        assert list(answer) == ["backups"]
        assert len(answer["backups"]) == size, query


async def test_markers(ctx: Context, ask: Ask, ask_other: Ask) -> None:
    await insert(ctx, Backup, [backup(number, id=f"b{number}") for number in range(3)])
    for name in ("a", "b", "c"):
        await ask("POST clients", {"client_id": name}, 201)
    listed = (await ask("GET clients?marker=a&limit=1")).json()["clients"]
    assert [item["client"]["client_id"] for item in listed] == ["b"]
    assert (await ask("GET backups?marker=b2")).json() == {"backups": []}
    await ask_other("GET backups?marker=b0", status=400)
    await ask_other("GET clients?marker=a", status=400)
    for query in ("marker=b0&offset=0", "offset=1&marker=b0"):
        said = (await ask(f"GET backups?{query}", status=400)).json()
        assert said["title"] == "Invalid parameter"
        assert "marker" in said["description"]


async def test_all_projects(ctx: Context, ask: Ask) -> None:
    rows = [job(n, project_id=f"p{n % 3}") for n in range(6)]
    # One id, twice: a marker must tell which.
    rows += [job(0, project_id="p1"), job(0, project_id="p2")]
    await insert(ctx, Job, rows)
    action = {"user_id": "u", "freezer_action": "{}", "id": "a"}
    for project in ("p0", "p1", "p2"):
        await insert(ctx, Action, [action | {"project_id": project}])
        link = {"project_id": project, "job_id": "j0000", "position": 0, "action_id": "a"}
        await insert(ctx, JobAction, [link])
    expected = sorted((r["project_id"], r["description"].encode(), r["id"]) for r in rows)
    for word in ("true", "True", "t", "yes", "y", "1", "on"):
        listed = (await ask(f"GET jobs?all_projects={word}")).json()["jobs"]
        assert len(listed) == len(rows)
    assert [item["job_actions"][0]["project_id"] for item in listed if item["job_actions"]] == [
        "p0",
        "p1",
        "p2",
    ]
    for size in (1, 2, 5):
        seen: list[tuple[str, bytes, str]] = []
        path = f"jobs?all_projects=True&limit={size}"
        while path:
            response = await ask(f"GET {path}")
            seen += [
                (item["project_id"], item["description"].encode(), item["job_id"])
                for item in response.json()["jobs"]
            ]
            path = following(response).partition("/v2/p1/")[2]
        assert seen == expected
    rest = (await ask("GET jobs?all_projects=1&marker=j0005")).json()["jobs"]
    assert len(rest) == len(expected) - 1 - [item[2] for item in expected].index("j0005")
    for marker in ("j0000", "p3:j0000", "p1:", ":j0005", "nobody"):
        said = (await ask(f"GET jobs?all_projects=1&marker={marker}", status=400)).json()
        assert marker in said["description"]
    for word in ("false", "False", "f", "no", "n", "0", "off", ""):
        jobs = (await ask(f"GET jobs?all_projects={word}")).json()["jobs"]
        assert {item["project_id"] for item in jobs} == {"p1"}
    for word in ("TRUE", "junk", "2", "true,false"):
        said = (await ask(f"GET jobs?all_projects={word}", status=400)).json()
        assert "all_projects" in said["description"]
        assert word in said["description"]


async def test_projects_are_apart(ctx: Context, ask: Ask, ask_other: Ask) -> None:
    await insert(ctx, Job, [job(1), job(1, project_id="p2", description="other")])
    assert (await ask("GET jobs/j0001")).json()["description"] == NAMES[1]
    assert (await ask_other("GET jobs/j0001")).json()["description"] == "other"
    await ask_other("DELETE jobs/j0001", status=204)
    assert (await ask_other("GET jobs")).json() == {"jobs": []}
    assert len((await ask("GET jobs")).json()["jobs"]) == 1
