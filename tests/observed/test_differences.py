"""Where freezer-api 19 is wrong and this gateway is not: section 4 of the contract, one by one.

What needs tokens to show (all_projects, owners, the role service) stands in the table of cases.
"""

import json
import re
from urllib.parse import quote

import anyio
import httpx
import pytest

from .actions import ACTION, FREEZER_ACTION
from .project import BACKUP, JOB, Project

pytestmark = pytest.mark.anyio

COLLECTIONS = ("backups", "jobs", "actions", "clients")
GOOD = {"backups": BACKUP, "jobs": JOB, "actions": ACTION, "clients": {"client_id": "x"}}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def nothing_in(project: Project) -> bool:
    """Tell whether the project holds nothing at all."""
    return not any([(await project.get(name))[name] for name in COLLECTIONS])


def with_value(collection: str, literal: str) -> bytes:
    """Return a good body with one more key, whose value is this JSON text."""
    whole = json.dumps(GOOD[collection])
    return f'{whole[:-1]}, "extra": {literal}}}'.encode()


# Malformed JSON or UTF-8 answers 753 -> 400.


@pytest.mark.parametrize(
    "raw", [b"{", b'{"a": 1,}', b"{'a': 1}", b'{"a": "\xff"}', b"\xef\xbb\xbf"]
)
@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_malformed_body(project: Project, collection: str, raw: bytes) -> None:
    await project.refusal("POST", collection, raw=raw)
    await project.refusal("GET", collection, raw=raw)
    assert await nothing_in(project)


@pytest.mark.parametrize("collection", ["backups", "jobs", "actions"])
async def test_malformed_patch(project: Project, collection: str) -> None:
    items = await project.made()
    await project.refusal("PATCH", f"{collection}/{items[collection]}", raw=b"{")


# What answered 500 -> the value works, or 400 naming it.


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("value", ["-1", "99999999999999999999999", "9223372036854775808"])
@pytest.mark.parametrize("key", ["limit", "offset"])
async def test_numbers_out_of_range(
    project: Project, collection: str, key: str, value: str
) -> None:
    assert value in await project.refusal("GET", f"{collection}?{key}={value}")


@pytest.mark.parametrize("length", [40, 255])
async def test_long_ids(project: Project, length: int) -> None:
    long = "a" * length
    assert await project.make("actions", ACTION | {"action_id": long}) == long
    assert await project.job(job_id=long, job_actions=[{"action_id": long}]) == long
    shown = await project.get(f"jobs/{long}")
    assert shown["job_id"] == shown["job_actions"][0]["action_id"] == long


async def test_too_long_ids(project: Project) -> None:
    await project.refusal("POST", "actions", ACTION | {"action_id": "a" * 256})
    await project.refusal("POST", "jobs", JOB | {"job_id": "a" * 256})
    assert await nothing_in(project)


@pytest.mark.parametrize(
    ("collection", "changes"),
    [
        ("backups", {"backup_name": 5}),
        ("backups", {"hostname": ["h"]}),
        ("backups", {"status": {}}),
        ("jobs", {"job_actions": {}}),
        ("jobs", {"job_actions": [5]}),
        ("jobs", {"job_actions": [{"freezer_action": "x"}]}),
        ("jobs", {"job_actions": [{"freezer_action": {}, "max_retries": "many"}]}),
        ("jobs", {"job_actions": [{"freezer_action": {}, "mandatory": 1}]}),
        ("jobs", {"job_schedule": []}),
        ("jobs", {"job_schedule": {"status": None}}),
        ("jobs", {"job_schedule": {"time_started": "now"}}),
        ("jobs", {"job_schedule": {"schedule_hour": 3}}),
        ("jobs", {"description": 5}),
        ("jobs", {"session_tag": "1"}),
        ("jobs", {"client_id": 5}),
        ("jobs", {"action_defaults": []}),
        ("actions", {"freezer_action": []}),
        ("actions", {"freezer_action": None}),
        ("actions", {"max_retries": "many"}),
        ("actions", {"max_retries_interval": 1.5}),
        ("actions", {"action_id": 5}),
        ("clients", {"client_id": None}),
        ("clients", {"hostname": 5}),
        ("clients", {"is_central": "yes"}),
        ("clients", {"supported_modes": "fs"}),
    ],
)
async def test_wrong_types(project: Project, collection: str, changes: dict[str, object]) -> None:
    said = await project.refusal("POST", collection, GOOD[collection] | changes)
    assert any(key in said for key in re.findall(r'"(\w+)":', json.dumps(changes)))
    assert await nothing_in(project)


@pytest.mark.parametrize("body", [[], "x", 5, None, True])
@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_body_is_no_object(project: Project, collection: str, body: object) -> None:
    await project.refusal("POST", collection, body)
    assert await nothing_in(project)


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_deep_nesting(project: Project, collection: str) -> None:
    await project.refusal("POST", collection, raw=with_value(collection, "[" * 5000 + "]" * 5000))
    await project.refusal("POST", collection, raw=b"[" * 100_000)
    assert await nothing_in(project)


async def test_large_documents(project: Project) -> None:
    note = "\N{GRINNING FACE}" * 50_000
    backup = await project.backup(note=note)
    assert (await project.get(f"backups/{backup}"))["backup_metadata"]["note"] == note
    action = await project.action(note=note)
    assert (await project.get(f"actions/{action}"))["freezer_action"]["note"] == note


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_too_large_documents(project: Project, collection: str) -> None:
    padded = GOOD[collection] | {"note": "x" * 2**20}
    await project.ask("POST", collection, padded, status=413)
    assert await nothing_in(project)


async def test_four_byte_characters(project: Project) -> None:
    job = await project.job(description="\N{GRINNING FACE}" * 16)
    assert (await project.get(f"jobs/{job}"))["description"] == "\N{GRINNING FACE}" * 16
    said = await project.refusal("POST", "jobs", JOB | {"description": "\N{GRINNING FACE}" * 17})
    assert "description" in said


# NaN and NUL are stored and break readers -> 400.


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", r'"\u0000"', r'{"\u0000": 1}', r'"\ud800"', str(2**64)],
)
@pytest.mark.parametrize("collection", ["backups", "actions"])
async def test_values_that_break_readers(project: Project, collection: str, literal: str) -> None:
    await project.refusal("POST", collection, raw=with_value(collection, literal))
    assert await nothing_in(project)


# PATCH merges, null removes a key, and nothing else is dropped.


async def test_job_patch_merges(project: Project) -> None:
    await project.host()
    schedule = {"schedule_interval": "5 minutes", "status": "scheduled", "event": "start"}
    job = await project.job(client_id="node", job_schedule=schedule)
    before = await project.get(f"jobs/{job}")
    await project.ask("PATCH", f"jobs/{job}", {"description": "new"})
    assert await project.get(f"jobs/{job}") == before | {"description": "new"}
    await project.ask("PATCH", f"jobs/{job}", {"job_schedule": {"status": "running"}})
    after = (await project.get(f"jobs/{job}"))["job_schedule"]
    assert after == before["job_schedule"] | {"status": "running"}
    await project.ask("PATCH", f"jobs/{job}", {"job_schedule": {"schedule_interval": None}})
    assert "schedule_interval" not in (await project.get(f"jobs/{job}"))["job_schedule"]


async def test_job_patch_replaces_lists(project: Project) -> None:
    job = await project.job(job_actions=[ACTION, ACTION])
    action = await project.action(backup_name="other")
    await project.ask("PATCH", f"jobs/{job}", {"job_actions": [{"action_id": action}]})
    (shown,) = (await project.get(f"jobs/{job}"))["job_actions"]
    assert (shown["action_id"], shown["freezer_action"]["backup_name"]) == (action, "other")


async def test_action_patch_merges(project: Project) -> None:
    action = await project.action(log_file="/l")
    await project.ask("PATCH", f"actions/{action}", {"max_retries": 9})
    shown = await project.get(f"actions/{action}")
    assert (shown["max_retries"], shown["max_retries_interval"]) == (9, 1)
    assert shown["freezer_action"] == FREEZER_ACTION | {"log_file": "/l"}
    change = {"freezer_action": {"path_to_backup": "/new", "log_file": None}}
    await project.ask("PATCH", f"actions/{action}", change)
    shown = await project.get(f"actions/{action}")
    assert shown["freezer_action"] == FREEZER_ACTION | {"path_to_backup": "/new"}
    assert shown["max_retries"] == 9


async def test_backup_patch_merges(project: Project) -> None:
    backup = await project.backup(note={"a": 1, "b": [1, 2]}, level=1)
    change = {"backup_metadata": {"note": {"a": None, "b": [3]}, "level": None}}
    await project.ask("PATCH", f"backups/{backup}", change)
    shown = await project.get(f"backups/{backup}")
    assert shown["backup_metadata"] == BACKUP | {"note": {"b": [3]}}


@pytest.mark.parametrize(
    ("collection", "change"),
    [
        ("jobs", {"job_actions": None}),
        ("actions", {"freezer_action": None}),
        ("backups", {"backup_name": None}),
        ("backups", {"backup_metadata": {"backup_name": None}}),
    ],
)
async def test_required_keys_are_not_removed(
    project: Project, collection: str, change: dict[str, object]
) -> None:
    path = f"{collection}/{(await project.made())[collection]}"
    before = await project.get(path)
    await project.refusal("PATCH", path, change)
    assert await project.get(path) == before


# A backup PATCH with flat metadata is merged.


async def test_flat_backup_patch(project: Project) -> None:
    backup = await project.backup(status="creating")
    result = {"backup_id": backup, "job_id": "j", "status": "available", "cinder_backup_id": "x"}
    shown = (await project.ask("PATCH", f"backups/{backup}", result)).json()
    assert shown["backup_id"] == backup
    assert (shown["status"], shown["job_id"]) == ("available", "j")
    assert shown["backup_metadata"] | {"cinder_backup_id": "x"} == shown["backup_metadata"]
    assert "status" not in shown["backup_metadata"]


# Another project's items: 404, nothing happens.


@pytest.mark.parametrize("collection", ["backups", "jobs", "actions", "clients"])
async def test_other_projects_items(project: Project, other: Project, collection: str) -> None:
    path = f"{collection}/{(await project.made())[collection]}"
    before = await project.get(path)
    await other.ask("GET", path, status=404)
    await other.ask("DELETE", path, status=404)
    if collection != "clients":
        await other.ask("PATCH", path, {"description": "x"}, status=404)
    assert await project.get(path) == before


async def test_other_projects_action_stays_in_its_jobs(project: Project, other: Project) -> None:
    action = await project.action()
    job = await project.job(job_actions=[{"action_id": action}])
    await other.ask("DELETE", f"actions/{action}", status=404)
    assert [item["action_id"] for item in (await project.get(f"jobs/{job}"))["job_actions"]] == [
        action
    ]
    await project.ask("DELETE", f"actions/{action}", status=204)
    assert (await project.get(f"jobs/{job}"))["job_actions"] == []


# Missing items: 404 with a body, also on DELETE and on events.


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_missing_items(project: Project, collection: str) -> None:
    assert "gone" in await project.refusal("GET", f"{collection}/gone", status=404)
    assert "gone" in await project.refusal("DELETE", f"{collection}/gone", status=404)
    if collection != "clients":
        said = await project.refusal("PATCH", f"{collection}/gone", GOOD[collection], status=404)
        assert "gone" in said


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_deleted_items(project: Project, collection: str) -> None:
    path = f"{collection}/{(await project.made())[collection]}"
    assert (await project.ask("DELETE", path, status=204)).content == b""
    await project.refusal("DELETE", path, status=404)
    await project.refusal("GET", path, status=404)


async def test_event_on_a_missing_job(project: Project) -> None:
    said = await project.refusal("POST", "jobs/gone/event", {"start": None}, status=404)
    assert "gone" in said


async def test_id_of_a_deleted_job_is_free(project: Project) -> None:
    job = await project.job()
    await project.refusal("POST", "jobs", JOB | {"job_id": job}, status=409)
    await project.ask("DELETE", f"jobs/{job}", status=204)
    assert await project.job(job_id=job, description="again") == job
    assert (await project.get(f"jobs/{job}"))["description"] == "again"


# `version` counts updates.


@pytest.mark.parametrize(
    ("collection", "changes"),
    [
        ("jobs", [{"description": text} for text in "abcd"]),
        ("actions", [{"max_retries": number} for number in range(2, 6)]),
    ],
)
async def test_versions_count(
    project: Project, collection: str, changes: list[dict[str, object]]
) -> None:
    path = f"{collection}/{(await project.made())[collection]}"
    first = (await project.ask("PATCH", path, changes[0])).json()["version"]
    second = (await project.ask("PATCH", path, changes[1])).json()["version"]
    assert second == first + 1
    tag = {"If-Match": (await project.ask("GET", path)).headers["ETag"]}
    assert str(second) in tag["If-Match"]
    await project.ask("PATCH", path, changes[2], headers=tag)
    await project.ask("PATCH", path, changes[3], headers=tag, status=412)
    assert changes[2].items() <= (await project.get(path)).items()


# Job events are atomic: nobody's change is lost.


async def test_concurrent_changes_of_a_job(project: Project) -> None:
    job = await project.job()
    start = (await project.ask("PATCH", f"jobs/{job}", {})).json()["version"]
    keys = [f"schedule_{unit}" for unit in ("month", "day", "week", "hour", "minute", "second")]
    results: list[str] = []

    async def send_event() -> None:
        response = await project.ask("POST", f"jobs/{job}/event", {"start": None}, status=202)
        results.append(response.json()["result"])

    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(project.ask, "PATCH", f"jobs/{job}", {"job_schedule": {key: "1"}})
            tasks.start_soon(send_event)
    schedule = (await project.get(f"jobs/{job}"))["job_schedule"]
    assert schedule | dict.fromkeys(keys, "1") == schedule
    assert schedule["event"] == "start"
    assert sorted(results) == ["start already requested"] * (len(keys) - 1) + ["success"]
    last = (await project.ask("PATCH", f"jobs/{job}", {"description": "x"})).json()["version"]
    assert last >= start + len(keys) + 2


# Free-text search searches.


async def test_free_text_search(project: Project) -> None:
    for name in ("daily mysql", "weekly", "mysqld"):
        await project.backup(backup_name=name)
    await project.backup(backup_name="x", hostname="mysql-host")

    async def found(text: str) -> list[str]:
        search = quote(json.dumps({"match": [{"_all": text}]}))
        return await project.names(f"backups?search={search}", "backup_name")

    assert sorted(await found("mysql")) == ["daily mysql", "mysqld", "x"]
    assert await found("nowhere") == []
    listed = (await project.get("backups"))["backups"]
    weekly = next(item for item in listed if item["backup_metadata"]["backup_name"] == "weekly")
    assert await found(weekly["backup_id"]) == ["weekly"]


# HEAD is answered as GET, without a body.


@pytest.mark.parametrize("path", ["/", "/v2", "/healthcheck", "/v2/p/jobs", "/v2/p/jobs/gone"])
async def test_head(client: httpx.AsyncClient, path: str) -> None:
    whole, head = await client.get(path), await client.head(path)
    assert head.status_code == whole.status_code
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    assert head.content == b""


# freezer-scheduler dies on a job without `event`, or without `current_pid` while that is `abort`.


async def test_job_documents_carry_an_event(project: Project) -> None:
    job = await project.job(job_schedule={"status": "stop"})
    for schedule in await schedules(project, job):
        assert schedule["event"] == ""
        assert "current_pid" not in schedule
    await project.ask("POST", f"jobs/{job}/event", {"abort": None}, status=202)
    for schedule in await schedules(project, job):
        assert (schedule["event"], schedule["current_pid"]) == ("abort", 0)


async def schedules(project: Project, job: str) -> list[dict[str, object]]:
    """Return the schedule of the only job, as it is shown and as it is listed."""
    (listed,) = (await project.get("jobs"))["jobs"]
    return [listed["job_schedule"], (await project.get(f"jobs/{job}"))["job_schedule"]]


# Inline and referenced actions are validated alike.


@pytest.mark.parametrize(("key", "value"), [("action", "teleport"), ("mode", "telepathy")])
async def test_actions_are_validated_alike(project: Project, key: str, value: str) -> None:
    bad = ACTION | {"freezer_action": FREEZER_ACTION | {key: value}}
    items = await project.made()
    job, action = f"jobs/{items['jobs']}", f"actions/{items['actions']}"
    assert value in await project.refusal("POST", "actions", bad)
    assert value in await project.refusal("POST", action, bad)
    assert value in await project.refusal("PATCH", action, {"freezer_action": {key: value}})
    assert value in await project.refusal("POST", "jobs", JOB | {"job_actions": [bad]})
    assert value in await project.refusal("POST", job, JOB | {"job_actions": [bad]})
    assert value in await project.refusal("PATCH", job, {"job_actions": [bad]})


async def test_storage_and_engine_are_free(project: Project) -> None:
    action = await project.action(storage="tape", engine="newer")
    assert (await project.get(f"actions/{action}"))["freezer_action"]["storage"] == "tape"
    await project.job(job_actions=[{"action_id": action}])


# A limit of two numbers is 400.


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_limit_is_one_number(project: Project, collection: str) -> None:
    assert "1,2" in await project.refusal("GET", f"{collection}?limit=1,2")


# Accept without JSON is 406 with the usual body; browsers and no Accept at all get JSON.


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/p/jobs", "/v2/p/jobs/gone"])
async def test_accept(client: httpx.AsyncClient, path: str) -> None:
    usual = (await client.get(path)).json()
    for accept in ("*/*", BROWSER, "application/json", ""):
        assert (await client.get(path, headers={"Accept": accept})).json() == usual
    request = client.build_request("GET", path)
    del request.headers["Accept"]
    assert (await client.send(request)).json() == usual
    for accept in ("text/html", "application/xml", "application/json;q=0", "garbage"):
        refused = await client.get(path, headers={"Accept": accept})
        assert refused.status_code == 406
        assert set(refused.json()) == {"title", "description"}
