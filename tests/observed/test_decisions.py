"""Where the published document and reality disagree: section 3 of the contract, one by one.

What needs tokens to show (the body of a 401) stands in the table of cases.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.settings import Settings

from .project import BACKUP, JOB, Project

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., Awaitable[httpx.AsyncClient]]
"""Starts the gateway with other settings: `make_client(max_limit=5)`, on the same database."""

DOCUMENTED = {"backup_id", "user_id", "job_id", "backup_metadata", "client_id", "backup_uuid"}
FREEZER_19 = {"project_id", "backup_id", "user_id", "status", "backup_metadata"}
JOB_KEYS = {
    "job_id",
    "project_id",
    "user_id",
    "description",
    "job_schedule",
    "client_id",
    "job_actions",
}
ACTION_KEYS = {"action_id", "user_id", "max_retries", "max_retries_interval", "freezer_action"}


def documented_job(project: Project) -> Any:
    """Return the documented request, as a client of this project would send it."""
    request = Path(__file__).parent.parent / "golden" / "job-create.http"
    body = json.loads(request.read_text().split("\n\n", 1)[1])
    return body | {"project_id": project.id}


# "Create job does not return a response body", but every client reads `job_id`.


@pytest.mark.parametrize("path", ["jobs", "jobs/"])
async def test_created_job(project: Project, path: str) -> None:
    response = await project.ask("POST", path, JOB, status=201)
    job = response.json()["job_id"]
    assert response.json() == {"job_id": job}
    location = response.headers["Location"]
    assert location.endswith(f"/v2/{project.id}/jobs/{job}")
    assert (await project.client.get(location)).json()["job_id"] == job


async def test_created_job_without_a_body(project: Project) -> None:
    minimal = {"Prefer": "return=minimal"}
    response = await project.ask("POST", "jobs", JOB, status=201, headers=minimal)
    assert response.content == b""
    assert (await project.client.get(response.headers["Location"])).status_code == 200


# The create example has no `client_id`.


async def test_documented_job_without_clients(project: Project) -> None:
    job = await project.make("jobs", documented_job(project))
    assert (await project.get(f"jobs/{job}"))["client_id"] is None
    await project.host("late")
    await project.ask("PATCH", f"jobs/{job}", {"client_id": "late"})
    assert (await project.get(f"jobs/{job}"))["client_id"] == "late"


async def test_documented_job_with_one_client(project: Project, other: Project) -> None:
    await other.host("elsewhere")
    await project.host("only")
    job = await project.make("jobs", documented_job(project))
    assert (await project.get(f"jobs/{job}"))["client_id"] == "only"


async def test_documented_job_with_several_clients(project: Project) -> None:
    await project.host("first")
    await project.host("second")
    job = await project.make("jobs", documented_job(project))
    assert (await project.get(f"jobs/{job}"))["client_id"] is None


async def test_documented_job_is_stored_as_sent(project: Project) -> None:
    body = documented_job(project)
    shown = await project.get(f"jobs/{await project.make('jobs', body)}")
    (action,) = shown["job_actions"]
    assert shown["description"] == body["description"]
    assert shown["job_schedule"] | body["job_schedule"] == shown["job_schedule"]
    assert action | body["job_actions"][0] == action


async def test_project_of_the_body(project: Project, other: Project) -> None:
    said = await project.refusal("POST", "jobs", JOB | {"project_id": other.id})
    assert other.id in said
    assert await project.get("jobs") == {"jobs": []}
    await project.make("jobs", JOB | {"project_id": project.id})


# Documented backups carry keys that freezer-api 19 dropped, and the other way round.


async def test_backup_keys(project: Project) -> None:
    ids = {"job_id": "j", "client_id": "c", "backup_uuid": "u"}
    plain, full = await project.backup(), await project.backup(**ids)
    for path, expected in ((plain, dict.fromkeys(ids)), (full, ids)):
        shown = await project.get(f"backups/{path}")
        assert set(shown) == DOCUMENTED | FREEZER_19 | {"user_name"}
        assert shown | expected == shown
    listed = (await project.get("backups"))["backups"]
    assert all(set(item) == DOCUMENTED | FREEZER_19 | {"user_name"} for item in listed)
    assert (await project.get(f"backups/{full}"))["backup_metadata"] == BACKUP | ids


async def test_backup_keys_of_freezer_19(project: Project, make_client: MakeClient) -> None:
    client = await make_client(rest_dialect="freezer-19")
    there = Project(client, project.id)
    backup = await there.backup(job_id="j", client_id="c", backup_uuid="u")
    (listed,) = (await there.get("backups"))["backups"]
    patched = (await there.ask("PATCH", f"backups/{backup}", {"status": "error"})).json()
    shown = await there.get(f"backups/{backup}")
    assert set(listed) == set(shown) == set(patched) == FREEZER_19
    assert listed | {"status": "error"} == shown == patched


async def test_job_keys(project: Project) -> None:
    await project.job()
    (job,) = (await project.get("jobs"))["jobs"]
    assert set(job) >= JOB_KEYS
    assert set(job) <= JOB_KEYS | {"session_id", "session_tag"}
    (action,) = job["job_actions"]
    assert set(action) >= ACTION_KEYS
    assert set(action) <= ACTION_KEYS | {"project_id", "mandatory"}


# `marker` is documented, freezer-api ignores it and pages by `offset`.


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_marker(project: Project, limit: int) -> None:
    names = [f"n{number}" for number in range(7)]
    for name in reversed(names):
        await project.backup(backup_name=name)
    seen: list[str] = []
    page = (await project.get(f"backups?limit={limit}"))["backups"]
    while page:
        seen += [item["backup_metadata"]["backup_name"] for item in page]
        marker = page[-1]["backup_id"]
        await project.backup(backup_name="a before")
        await project.ask("DELETE", f"backups/{await project.backup()}", status=204)
        page = (await project.get(f"backups?limit={limit}&marker={marker}"))["backups"]
    assert seen == names


@pytest.mark.parametrize(
    ("collection", "key"),
    [("backups", "backup_id"), ("jobs", "job_id"), ("actions", "action_id")],
)
async def test_marker_of_every_list(project: Project, collection: str, key: str) -> None:
    for _ in range(3):
        await project.made()
    whole = [item[key] for item in (await project.get(collection))[collection]]
    rest = (await project.get(f"{collection}?marker={whole[0]}"))[collection]
    assert [item[key] for item in rest] == whole[1:]


async def test_marker_of_clients(project: Project) -> None:
    for name in ("a", "b", "c"):
        await project.host(name)
    listed = (await project.get("clients?marker=a"))["clients"]
    assert [item["client"]["client_id"] for item in listed] == ["b", "c"]


@pytest.mark.parametrize("collection", ["backups", "jobs", "actions", "clients"])
async def test_bad_markers(project: Project, other: Project, collection: str) -> None:
    mine, foreign = await project.made(), await other.made()
    both = f"{collection}?marker={mine[collection]}&offset=1"
    said = await project.refusal("GET", both)
    assert "marker" in said
    assert "offset" in said
    assert "nobody" in await project.refusal("GET", f"{collection}?marker=nobody")
    if collection != "clients":  # whose ids are the same in both projects
        await project.refusal("GET", f"{collection}?marker={foreign[collection]}")


# Sorting is documented, freezer-api returns database order.


async def test_backups_are_sorted(project: Project) -> None:
    for name, time in [("b", 2), ("a", 5), ("é", 1), ("B", 9), ("b", 1), ("a b", 1), ("aB", 1)]:
        await project.backup(backup_name=name, time_stamp=time)
    ordered = sorted(["b", "a", "é", "B", "b", "a b", "aB"], key=str.encode)
    assert await project.names("backups", "backup_name") == ordered
    listed = (await project.get("backups"))["backups"]
    times = [
        item["backup_metadata"]["time_stamp"]
        for item in listed
        if item["backup_metadata"]["backup_name"] == "b"
    ]
    assert times == [1, 2]


async def test_backup_without_a_time(project: Project) -> None:
    timeless = {key: value for key, value in BACKUP.items() if key != "time_stamp"}
    for number in (1, -1):
        await project.backup(time_stamp=number, hostname=str(number))
    await project.make("backups", timeless | {"hostname": "none"})
    assert await project.names("backups", "hostname") == ["-1", "none", "1"]


async def test_backups_alike_are_sorted_by_id(project: Project) -> None:
    made = [await project.backup() for _ in range(5)]
    listed = (await project.get("backups"))["backups"]
    assert [item["backup_id"] for item in listed] == sorted(made)


async def test_jobs_are_sorted(project: Project) -> None:
    for description in ("b", "é", "a", "B", "a b"):
        await project.job(description=description)
    nameless = await project.make("jobs", {"job_actions": []})
    assert await project.names("jobs", "description") == ["", "B", "a", "a b", "b", "é"]
    assert (await project.names("jobs", "job_id"))[0] == nameless


# No default page size is documented; freezer-api's is 10.


def test_default_page_sizes() -> None:
    fields = Settings.model_fields
    assert (fields["default_limit"].default, fields["max_limit"].default) == (100, 1000)


async def test_page_sizes(project: Project, make_client: MakeClient) -> None:
    for _ in range(7):
        await project.backup()
    client = await make_client(default_limit=3, max_limit=5)
    there = Project(client, project.id)
    for query, size in (("", 3), ("?limit=", 3), ("?limit=4", 4), ("?limit=1000", 5)):
        assert len((await there.get(f"backups{query}"))["backups"]) == size


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1.5", "1e3", "true", "null"])
@pytest.mark.parametrize("collection", ["backups", "jobs", "actions", "clients"])
async def test_bad_limits(project: Project, collection: str, value: str) -> None:
    said = await project.refusal("GET", f"{collection}?limit={value}")
    assert "limit" in said
    assert value in said


# More pages: a Link header; the body keeps its documented keys.


def link(response: httpx.Response) -> str:
    """Return the address of the next page, or nothing."""
    return str(response.links.get("next", {}).get("url", ""))


@pytest.mark.parametrize("collection", ["backups", "jobs", "actions"])
async def test_links(project: Project, collection: str) -> None:
    for _ in range(5):
        await project.made()
    whole = (await project.get(collection))[collection]
    response = await project.ask("GET", f"{collection}?limit=2")
    seen: list[object] = response.json()[collection]
    while link(response):
        assert link(response).startswith(f"{project.base}/{collection}?")
        response = await project.client.get(link(response))
        assert set(response.json()) == {collection}
        seen += response.json()[collection]
    assert seen == whole


async def test_link_keeps_the_search(project: Project) -> None:
    for number in range(6):
        await project.backup(backup_name=f"n{number}", hostname=f"h{number % 2}")
    search = quote(json.dumps({"match": [{"hostname": "h1"}]}))
    response = await project.ask("GET", f"backups?limit=2&search={search}")
    rest = (await project.client.get(link(response))).json()["backups"]
    assert [item["backup_metadata"]["backup_name"] for item in rest] == ["n5"]


async def test_no_link_on_a_full_last_page(project: Project) -> None:
    for _ in range(2):
        await project.backup()
    assert not link(await project.ask("GET", "backups?limit=2"))
    assert not link(await project.ask("GET", "backups"))
    assert not link(await project.ask("GET", "backups?limit=1&offset=1"))
