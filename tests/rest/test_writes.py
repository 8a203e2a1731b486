"""Writes: what each answers, what it stores, and how versions and preferences guard it."""

from typing import Any

import anyio
import httpx
import pytest

from gateway.catalogue.tables import Client
from gateway.context import Context
from tests.support.apps import MakeClient

from .conftest import Ask, asking

pytestmark = pytest.mark.anyio

ACTION = {"action": "backup", "mode": "fs", "backup_name": "b", "container": "c"}
JOB = {"description": "d", "job_actions": [{"freezer_action": ACTION}]}
BACKUP = {"backup_name": "b", "container": "c", "hostname": "h", "time_stamp": 5}
ITEMS = {
    "backups": ("backup_id", BACKUP),
    "jobs": ("job_id", JOB),
    "actions": ("action_id", {"freezer_action": ACTION}),
    "clients": ("client_id", {"client_id": "node"}),
}


async def make(ask: Ask, collection: str, **more: Any) -> str:
    """Create an item, and return its id."""
    key, body = ITEMS[collection]
    return str((await ask(f"POST {collection}", body | more, 201)).json()[key])


async def shown(ask: Ask, path: str) -> Any:
    """Return a document."""
    return (await ask(f"GET {path}")).json()


@pytest.mark.parametrize("collection", ITEMS)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_created(ask: Ask, collection: str, slash: str) -> None:
    key, body = ITEMS[collection]
    response = await ask(f"POST {collection}{slash}", body, 201)
    assert list(response.json()) == [key]
    item_id = response.json()[key]
    assert response.headers["Location"] == f"http://127.0.0.1:9090/v2/p1/{collection}/{item_id}"
    assert response.headers["ETag"] == '"0"'
    item = await ask(f"GET {collection}/{item_id}{slash}")
    assert item.headers["ETag"].startswith('"0-')
    assert (await ask(f"DELETE {collection}/{item_id}{slash}", status=204)).content == b""
    assert item_id in (await ask(f"GET {collection}/{item_id}", status=404)).json()["description"]
    said = await ask(f"DELETE {collection}/{item_id}", status=404)
    assert said.json()["title"] == "Not Found"


@pytest.mark.parametrize("collection", ITEMS)
async def test_minimal_answers(make_client: MakeClient, collection: str) -> None:
    ask = asking(await make_client(public_url="https://example.org"), "p1")
    body = ITEMS[collection][1]
    for prefer in ("return=minimal", "respond-async, Return=Minimal; x=1", 'return="minimal"'):
        response = await ask(f"POST {collection}", body, 201, Prefer=prefer)
        assert response.content == b""
        assert "Content-Type" not in response.headers
        assert response.headers["Preference-Applied"] == "return=minimal"
        assert response.headers["Location"].startswith(f"https://example.org/v2/p1/{collection}/")
    response = await ask(f"POST {collection}", body, 201, Prefer="return=representation")
    assert response.json()
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize("collection", ["jobs", "actions", "backups"])
async def test_versions_guard_writes(ask: Ask, collection: str) -> None:
    changes: dict[str, Any] = {
        "jobs": {"description": "x"},
        "actions": {"max_retries": 1},
        "backups": {"status": "error"},
    }
    path, change = f"{collection}/{await make(ask, collection)}", changes[collection]
    for version, tag in enumerate(('"0"', '"1"', "*", '"7" , "3"', 'W/"x", "4"')):
        response = await ask(f"PATCH {path}", change, If_Match=tag)
        assert response.headers["ETag"][1:-1].split("-")[0] == str(version + 1)
        if collection != "backups":
            assert response.json()["version"] == version + 1
    long = '"' + "9" * 5000 + '"'
    for tag in ('"4"', '"05"', '"x"', '""', 'W/"5"', '"1","2"', '"5-"', long, f'W/"5", {long}'):
        stale = await ask(f"PATCH {path}", change, 412, If_Match=tag)
        assert stale.json()["title"] == "Precondition Failed"
        await ask(f"DELETE {path}", b"", 412, If_Match=tag)
    for tag in ("5", "'5'", "", ",", '"5', '"5" "6"', "*, *"):
        said = await ask(f"PATCH {path}", change, 400, If_Match=tag)
        assert "If-Match" in said.json()["description"]
    assert (await ask(f"GET {path}")).headers["ETag"].startswith('"5-')
    await ask(f"DELETE {path}", b"", 204, If_Match='"5"')
    await ask(f"PATCH {path}", change, 404, If_Match='"5"')
    await ask(f"PATCH {path}", change, 404, If_Match='"5", "6"')
    await ask(f"PATCH {path}", change, 404, If_Match="*")


@pytest.mark.parametrize("collection", ["jobs", "actions"])
async def test_replacing(ask: Ask, collection: str) -> None:
    key, body = ITEMS[collection]
    path = f"{collection}/{collection}-own"
    await ask(f"POST {path}", body, 412, If_Match="*")
    await ask(f"POST {path}", body, 412, If_Match='"0"')
    await ask(f"GET {path}", status=404)
    created = await ask(f"POST {path}", body, 201)
    assert created.json() == {key: f"{collection}-own", "version": 0}
    assert created.headers["Location"].endswith(f"/v2/p1/{path}")
    # Ids in the body don't count.
    again = await ask(f"POST {path}", body | {key: "other", "user_id": "x"}, 201, If_Match='"0"')
    assert again.json() == {key: f"{collection}-own", "version": 1}
    await ask(f"POST {path}", body, 412, If_Match='"0"')
    assert (await ask(f"POST {path}", body, 201, If_Match="*")).json()["version"] == 2


# Backups.


async def test_backup_metadata_is_kept_whole(ask: Ask) -> None:
    sent = BACKUP | {"backup_id": "x", "user_id": "y", "project_id": "z", "extra": [1, {"a": None}]}
    item = await shown(ask, f"backups/{await make(ask, 'backups', **sent, status='creating')}")
    assert item["backup_metadata"] == sent
    assert item["status"] == "creating"
    assert (item["user_id"], item["project_id"]) == ("local", "p1")
    assert item["backup_id"] != "x"


async def test_backups_being_made_need_only_a_name(ask: Ask) -> None:
    for status in ("creating", "error", "deleting"):
        for more in ({}, {"container": None, "hostname": None}):
            await ask("POST backups", {"backup_name": "b", "status": status} | more, 201)
    for status in ("available", "deleted"):
        said = await ask("POST backups", {"backup_name": "b", "status": status}, 400)
        assert "container" in said.json()["description"]


async def test_backup_changes(ask: Ask) -> None:
    path = f"backups/{await make(ask, 'backups', status='creating', x={'a': 1, 'b': 2})}"
    flat = {
        "status": "available",
        "backup_id": "x",
        "user_id": "y",
        "project_id": "z",
        "x": {"a": None, "c": 3},
        "job_id": "j",
        "time_stamp": None,
    }
    changed = (await ask(f"PATCH {path}", flat)).json()
    expected = {k: v for k, v in BACKUP.items() if k != "time_stamp"}
    assert changed["backup_metadata"] == expected | {"x": {"b": 2, "c": 3}, "job_id": "j"}
    assert (changed["status"], changed["job_id"]) == ("available", "j")
    assert changed == await shown(ask, path)
    nested = {"backup_metadata": {"x": None, "note": "n"}, "flat": 1}
    changed = (await ask(f"PATCH {path}", nested)).json()
    assert changed["backup_metadata"] == expected | {"job_id": "j", "note": "n", "flat": 1}
    # A document that is sent back as it was shown changes nothing.
    await ask(f"PATCH {path}", changed)
    assert (await shown(ask, path))["backup_metadata"] == changed["backup_metadata"] | {
        # What the document shows of the backup itself is flat metadata, too, if it is set.
        key: changed[key]
        for key in ("job_id",)
    }
    for bad in ({}, [], {"status": None}, {"status": "x"}, {"backup_metadata": None}):
        await ask(f"PATCH {path}", bad, 400)
    for bad in ({"backup_name": None}, {"container": ""}, {"hostname": 5}):
        await ask(f"PATCH {path}", bad, 400)
        await ask(f"PATCH {path}", {"backup_metadata": bad}, 400)
    assert (await shown(ask, path))["backup_metadata"]["flat"] == 1


# Jobs.


async def test_job_keys_that_are_tolerated(ask: Ask) -> None:
    body = JOB | {
        "job_id": "own",
        "session_id": "",
        "session_tag": 3,
        "session_name": "s",
        "user_id": "blabla",
        "project_id": "p1",
        "_version": 4,
        "action_defaults": {},
        "client_id": "",
    }
    entry = JOB["job_actions"][0] | {"exit_status": "success", "action_id": "", "max_retries": 9}  # type: ignore[index]
    assert await make(ask, "jobs", **body | {"job_actions": [entry]}) == "own"
    job = await shown(ask, "jobs/own")
    assert (job["user_id"], job["session_id"], job["session_tag"]) == ("local", "", 3)
    (action,) = job["job_actions"]
    assert (action["max_retries"], action["user_id"]) == (9, "local")
    assert "exit_status" not in action
    # The whole document can be sent back.
    await ask("PATCH jobs/own", job)
    assert await shown(ask, "jobs/own") == job


async def test_job_changes_merge(ask: Ask) -> None:
    await make(ask, "clients")
    schedule = {"status": "scheduled", "schedule_interval": "5 minutes", "schedule_hour": "*"}
    path = f"jobs/{await make(ask, 'jobs', job_schedule=schedule, client_id='node')}"
    before = await shown(ask, path)
    assert (await ask(f"PATCH {path}", {})).json()["version"] == 1
    assert (await ask(f"PATCH {path}")).json()["version"] == 2
    assert await shown(ask, path) == before
    change = {"job_schedule": {"status": "running", "schedule_hour": None, "event": "start"}}
    await ask(f"PATCH {path}", change)
    after = await shown(ask, path)
    merged = {k: v for k, v in before["job_schedule"].items() if k != "schedule_hour"}
    assert after == before | {"job_schedule": merged | {"status": "running", "event": "start"}}
    ignored = {"user_id": "x", "job_id": "y", "user_credentials": {}, "session_name": None}
    await ask(f"PATCH {path}", ignored | {"_version": None})
    assert await shown(ask, path) == after
    nothing = {
        "description": None,
        "client_id": None,
        "session_id": None,
        "session_tag": None,
        "job_schedule": None,
    }
    await ask(f"PATCH {path}", nothing)
    assert await shown(ask, path) == after | {
        "description": "",
        "client_id": None,
        "session_id": "",
        "session_tag": 0,
        "job_schedule": {"event": ""},
    }


async def test_job_actions_replace(ask: Ask) -> None:
    action = await make(ask, "actions", mandatory=True)
    path = f"jobs/{await make(ask, 'jobs')}"
    inline = (await shown(ask, path))["job_actions"][0]
    change = {"job_actions": [{"action_id": action}, inline, {"action_id": action}]}
    await ask(f"PATCH {path}", change)
    entries = (await shown(ask, path))["job_actions"]
    assert [entry["action_id"] for entry in entries] == [action, inline["action_id"], action]
    assert [entry["mandatory"] for entry in entries] == [True, False, True]
    other = {"action_id": action, "freezer_action": ACTION | {"mode": "nova"}}
    unknown = {"job_actions": [{"action_id": "unknown"}]}
    assert "unknown" in (await ask(f"PATCH {path}", unknown, 422)).json()["description"]
    assert (await ask(f"PATCH {path}", {"job_actions": [other]}, 422)).json()["title"] == (
        "Unprocessable Entity"
    )
    # Null and absent are the same definition.
    same = {"action_id": action, "freezer_action": ACTION | {"timeout": None}}
    await ask(f"PATCH {path}", {"job_actions": [same]})
    assert len((await shown(ask, path))["job_actions"]) == 1
    await ask(f"PATCH {path}", {"job_actions": []})
    assert (await shown(ask, path))["job_actions"] == []
    assert len((await shown(ask, "actions"))["actions"]) == 2


async def test_action_defaults(ask: Ask) -> None:
    entries = [{"freezer_action": ACTION}, {"freezer_action": {"action": "exec"}}]
    defaults = {"container": "other", "log_file": "/l", "mode": "nova"}
    body = {"job_actions": entries, "action_defaults": defaults}
    job_id = (await ask("POST jobs", body, 201)).json()["job_id"]
    for _ in range(2):
        shown_actions = (await shown(ask, f"jobs/{job_id}"))["job_actions"]
        assert [entry["freezer_action"] for entry in shown_actions] == [
            ACTION | {"log_file": "/l"},
            {"action": "exec", **defaults},
        ]
        await ask(f"PATCH jobs/{job_id}", body)


async def test_events(ask: Ask) -> None:
    schedule = {"status": "completed", "result": "fail", "schedule_interval": "5 minutes"}
    path = f"jobs/{await make(ask, 'jobs', job_schedule=schedule)}"
    for event, body in (
        ("start", {"start": None}),
        ("stop", {"stop": {"x": 1}, "start": None}),
        ("abort", {"abort": None, "fly": 1}),
    ):
        assert (await ask(f"POST {path}/event", body, 202)).json() == {"result": "success"}
        again = (await ask(f"POST {path}/event/", body, 202)).json()
        assert again == {"result": f"{event} already requested"}
        job_schedule = (await shown(ask, path))["job_schedule"]
        assert (job_schedule["status"], job_schedule["result"]) == ("", "")
        assert job_schedule["event"] == event
        assert job_schedule["schedule_interval"] == "5 minutes"
    assert job_schedule["current_pid"] == 0
    for body in (
        b"",
        {},
        [],
        "start",
        None,
        {"fly": None},
        {"remove": None},
        {"fly": 1, "stop": 1},
    ):
        await ask(f"POST {path}/event", body, 400)
    assert "gone" in (await ask("POST jobs/gone/event", {"stop": 1}, 404)).json()["description"]


async def test_a_jobs_client(ask: Ask) -> None:
    assert (await shown(ask, f"jobs/{await make(ask, 'jobs')}"))["client_id"] is None
    capable = {"supported_modes": ["fs", "nova"], "supported_actions": ["backup"]}
    await ask("POST clients", {"client_id": "node"} | capable, 201)
    path = f"jobs/{await make(ask, 'jobs')}"
    assert (await shown(ask, path))["client_id"] == "node"
    for client in ("bad%project$id_host.domain.tld", "01b0_bad_hostname.bad/domain.b"):
        await ask("POST jobs", JOB | {"client_id": client}, 400)
        await ask(f"PATCH {path}", {"client_id": client}, 400)
    for client in ("padawan-ccp-c1-m1-mgmt", "0_test-hostname_19544", "é_myhost.mydomain.mytld"):
        await ask("POST jobs", JOB | {"client_id": client}, 422)
        await ask(f"PATCH {path}", {"client_id": client}, 422)
        await ask("POST clients", {"client_id": client}, 201)
        await ask("POST jobs", JOB | {"client_id": client}, 201)
    restore = {"job_actions": [{"freezer_action": {"action": "restore", "mode": "fs"}}]}
    said = (await ask(f"PATCH {path}", restore, 422)).json()["description"]
    assert "restore" in said
    await ask("POST jobs", restore | {"client_id": "node"}, 422)


async def test_conflicts(ask: Ask, ask_other: Ask) -> None:
    for collection, key in (("jobs", "job_id"), ("actions", "action_id")):
        await make(ask, collection, **{key: "mine"})
        body = ITEMS[collection][1] | {key: "mine"}
        said = (await ask(f"POST {collection}", body, 409)).json()
        assert said["title"] == "Document already existing"
        assert "mine" in said["description"]
        assert await make(ask_other, collection, **{key: "mine"}) == "mine"
        await ask(f"DELETE {collection}/mine", status=204)
        assert await make(ask, collection, **{key: "mine"}) == "mine"


# Actions and clients.


async def test_action_changes(ask: Ask) -> None:
    path = f"actions/{await make(ask, 'actions', max_retries=1, mandatory=True)}"
    change: dict[str, Any] = {
        "freezer_action": {"mode": None, "new": {"x": 1}, "container": "other"},
        "max_retries": 7,
        "foo": 1,
        "user_id": "x",
    }
    response = await ask(f"PATCH {path}", change)
    assert response.json() == {"action_id": path.partition("/")[2], "version": 1}
    action = await shown(ask, path)
    left = {k: v for k, v in ACTION.items() if k != "mode"}
    assert action["freezer_action"] == left | {"container": "other", "new": {"x": 1}}
    assert (action["max_retries"], action["max_retries_interval"]) == (7, 6)
    assert (action["mandatory"], action["user_id"]) == (True, "local")
    await ask(f"PATCH {path}", dict.fromkeys(("max_retries", "mandatory", "max_retries_interval")))
    action = await shown(ask, path)
    assert (action["max_retries"], action["max_retries_interval"]) == (5, 6)
    assert action["mandatory"] is False
    for bad in (
        {"freezer_action": None},
        {"freezer_action": []},
        {"max_retries": "7"},
        {"mandatory": 1},
        {"freezer_action": {"action": "teleport"}},
        {"freezer_action": {"backup_name": 5}},
    ):
        await ask(f"PATCH {path}", bad, 400)
        await ask("PATCH actions/gone", bad, 400)
    assert await shown(ask, path) == action


async def test_clients_register_again(ask: Ask) -> None:
    body = {"client_id": "n", "hostname": "host", "description": "one", "config_id": "x"}
    await ask("POST clients", body, 201)
    again = await ask("POST clients", body | {"description": "two"}, 201)
    assert again.json() == {"client_id": "n"}
    assert again.headers["ETag"] == '"1"'
    assert (await shown(ask, "clients/n"))["client"]["description"] == "two"
    await ask("POST clients", {"client_id": "n", "is_central": False}, 201)
    assert (
        "is_central"
        in (await ask("POST clients", {"client_id": "n", "is_central": "yes"}, 400)).json()[
            "description"
        ]
    )


async def test_central_clients_are_seen_by_every_project(ctx: Context, ask_other: Ask) -> None:
    async with ctx.write() as transaction:
        words = dict.fromkeys(
            ("supported_actions", "supported_modes", "supported_storages", "supported_engines"),
            "[]",
        )
        await transaction.insert(
            Client(project_id="p1", id="central", user_id="u", is_central=True, **words)
        )
        await transaction.insert(Client(project_id="p1", id="own", user_id="u", **words))
    await make(ask_other, "clients")
    listed = (await shown(ask_other, "clients"))["clients"]
    assert [item["client"]["client_id"] for item in listed] == ["central", "node"]
    assert [item["project_id"] for item in listed] == ["p1", "p2"]
    assert (await shown(ask_other, "clients/central")) == listed[0]
    assert (await shown(ask_other, "clients?marker=central"))["clients"] == listed[1:]
    await ask_other("GET clients/own", status=404)
    await ask_other("DELETE clients/central", status=403)
    await ask_other("POST clients", {"client_id": "central"}, 409)
    # A client of one's own that was there before has the same id; the page may end between them.
    async with ctx.write() as transaction:
        await transaction.insert(Client(project_id="p2", id="central", user_id="u", **words))
    page = await ask_other("GET clients?limit=1")
    assert page.json()["clients"] == listed[:1]
    address = page.links["next"]["url"].partition("/v2/p2/")[2]
    projects = [item["project_id"] for item in (await shown(ask_other, address))["clients"]]
    assert projects == ["p2"]
    assert (await shown(ask_other, "clients/central"))["project_id"] == "p2"
    said = await ask_other("GET clients?marker=central", status=400)
    assert "project:central" in said.json()["description"]


async def test_central_clients_are_registered(ask: Ask, ask_other: Ask) -> None:
    await ask("POST clients", {"client_id": "c", "is_central": True}, 201)
    assert (await shown(ask_other, "clients/c"))["client"]["is_central"] is True
    job_id = await make(ask_other, "jobs", client_id="c")
    assert (await shown(ask_other, f"jobs/{job_id}"))["client_id"] == "c"


async def test_changes_at_the_same_time(ask: Ask) -> None:
    path = f"jobs/{await make(ask, 'jobs')}"
    statuses: list[int] = []

    async def change(key: str, client: Ask) -> None:
        try:
            await client(f"PATCH {path}", {"job_schedule": {key: "1"}}, If_Match='"0"')
            statuses.append(200)
        except AssertionError:
            statuses.append(412)

    async with anyio.create_task_group() as group:
        for key in ("schedule_month", "schedule_day", "schedule_week", "schedule_hour"):
            group.start_soon(change, key, ask)
    assert sorted(statuses) == [200, 412, 412, 412]


async def test_bodies_are_json_whatever_they_are_called(client: httpx.AsyncClient) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "nonsense"):
        response = await client.post(
            "/v2/p1/backups",
            content=b' {"backup_name": "b", "status": "error"} ',
            headers={"Content-Type": content_type},
        )
        assert response.status_code == 201
