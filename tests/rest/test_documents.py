"""What v2 documents look like: keys, their order and their values, in both dialects."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from gateway.catalogue.tables import Action, Backup, Job, JobAction
from gateway.context import Context
from gateway.rest_compat.documents import JOB
from tests.support.apps import MakeClient
from tests.support.recorder import QueryRecorder

from .conftest import Ask, asking

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parent.parent / "golden"

ACTION = {"action": "backup", "mode": "fs", "container": "c"}
JOB_BODY = {"description": "d", "job_actions": [{"freezer_action": ACTION}]}
BACKUP = {"backup_name": "b", "container": "c", "hostname": "h", "time_stamp": 5, "level": {"x": 1}}


def golden(name: str) -> Any:
    """Return the published answer."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


async def store(ctx: Context, *rows: SQLModel) -> None:
    """Put rows into the database as they are."""
    async with ctx.write() as transaction:
        for row in rows:
            await transaction.insert(row)


async def test_published_backups(ctx: Context, ask: Ask) -> None:
    published = golden("backups-list")["backups"]
    for item in reversed(published):
        metadata = item["backup_metadata"]
        values = {key: item[key] for key in ("user_id", "job_id", "client_id", "user_name")}
        row = Backup(
            project_id="p1",
            id=item["backup_id"],
            backup_uuid=item["backup_uuid"],
            backup_metadata=json.dumps(metadata),
            backup_name=metadata["backup_name"],
            sort_time=metadata["time_stamp"],
            **values,
        )
        await store(ctx, row)
    answer = await ask("GET backups")
    listed = answer.json()["backups"]
    added = {"project_id": "p1", "status": "available"}
    assert listed == [item | added for item in published]
    assert [list(item) for item in listed] == [[*item, *added] for item in published]
    # The documents are passed through, so that their keys are in the published order as well.
    shown = [list(item["backup_metadata"]) for item in listed]
    assert shown == [list(item["backup_metadata"]) for item in published]
    for item in listed:
        assert (await ask(f"GET backups/{item['backup_id']}")).json() == item


async def test_published_jobs(ctx: Context, ask: Ask) -> None:
    (published,) = golden("jobs-list")["jobs"]
    (action,) = published["job_actions"]
    await store(
        ctx,
        Job(
            project_id="p1",
            id=published["job_id"],
            job_schedule=json.dumps(published["job_schedule"]),
            **{key: published[key] for key in ("user_id", "description", "client_id")},
        ),
        Action(
            project_id="p1",
            id=action["action_id"],
            user_id=action["user_id"],
            freezer_action=json.dumps(action["freezer_action"]),
        ),
        JobAction(
            project_id="p1", job_id=published["job_id"], position=0, action_id=action["action_id"]
        ),
    )
    expected = published | {"project_id": "p1"}
    (listed,) = (await ask("GET jobs")).json()["jobs"]
    assert list(listed) == [*published, "session_id", "session_tag"]
    (shown,) = listed.pop("job_actions")
    assert list(shown) == [*action, "project_id", "mandatory"]
    assert shown == action | {"project_id": "p1", "mandatory": False}
    assert listed == {key: expected[key] for key in expected if key != "job_actions"} | {
        "session_id": "",
        "session_tag": 0,
    }
    assert list(listed["job_schedule"]) == list(published["job_schedule"])


async def test_unknown_values_of_a_backup_are_null(ask: Ask) -> None:
    await ask("POST backups", BACKUP, 201)
    (backup,) = (await ask("GET backups")).json()["backups"]
    assert {key: backup[key] for key in ("job_id", "client_id", "backup_uuid")} == {
        "job_id": None,
        "client_id": None,
        "backup_uuid": None,
    }
    assert backup["user_name"] == "local"


async def test_fresh_job(ask: Ask) -> None:
    job_id = (await ask("POST jobs", JOB_BODY, 201)).json()["job_id"]
    job = (await ask(f"GET jobs/{job_id}")).json()
    assert list(job) == [key for key in JOB.keys if key != "user_credentials"]
    # No nulls where clients compare with the empty string.
    assert job["session_id"] == ""
    assert job["session_tag"] == 0
    schedule = job["job_schedule"]
    assert list(schedule) == ["time_created", "time_started", "time_ended", "event"]
    assert (schedule["time_started"], schedule["time_ended"], schedule["event"]) == (-1, -1, "")
    (action,) = job["job_actions"]
    assert action["freezer_action"] == ACTION
    assert (action["max_retries"], action["max_retries_interval"]) == (5, 6)
    assert action["mandatory"] is False


async def test_actions_stand_in_their_order(ask: Ask) -> None:
    entries = [{"freezer_action": ACTION | {"n": n}, "mandatory": n == 2} for n in range(12)]
    job_id = (await ask("POST jobs", {"job_actions": entries}, 201)).json()["job_id"]
    for job in (
        (await ask("GET jobs")).json()["jobs"][0],
        (await ask(f"GET jobs/{job_id}")).json(),
    ):
        shown = job["job_actions"]
        assert [action["freezer_action"]["n"] for action in shown] == list(range(12))
        assert [action["mandatory"] for action in shown].index(True) == 2


async def test_actions_and_clients(ask: Ask) -> None:
    body = {"freezer_action": ACTION | {"timeout": 9}, "mandatory": True, "max_retries": 1}
    action_id = (await ask("POST actions", body, 201)).json()["action_id"]
    (listed,) = (await ask("GET actions")).json()["actions"]
    assert listed == {
        "project_id": "p1",
        "user_id": "local",
        "timeout": 9,
        "max_retries_interval": 6,
        "max_retries": 1,
        "action_id": action_id,
        "mandatory": True,
        "freezer_action": ACTION | {"timeout": 9},
    }
    assert (await ask(f"GET actions/{action_id}")).json() == listed
    await ask("POST clients", {"client_id": "n", "supported_modes": ["fs"]}, 201)
    (client,) = (await ask("GET clients")).json()["clients"]
    assert list(client) == ["project_id", "user_id", "client"]
    assert list(client["client"]) == [
        "uuid",
        "hostname",
        "client_id",
        "is_central",
        "description",
        "supported_actions",
        "supported_modes",
        "supported_storages",
        "supported_engines",
    ]
    assert client["client"]["is_central"] is False
    assert client["client"]["hostname"] is None
    assert client["client"]["supported_modes"] == ["fs"]
    assert client["client"]["supported_actions"] == ["backup", "restore", "info", "admin", "exec"]
    assert (await ask("GET clients/n")).json() == client


async def test_dialect_of_freezer_19(make_client: MakeClient) -> None:
    ask = asking(await make_client(rest_dialect="freezer-19"), "p1")
    posted = BACKUP | {"job_id": "j", "backup_id": "mine"}
    backup_id = (await ask("POST backups", posted, 201)).json()["backup_id"]
    shown = (await ask(f"GET backups/{backup_id}")).json()
    assert shown == {
        "project_id": "p1",
        "backup_id": backup_id,
        "user_id": "local",
        "status": "available",
        "backup_metadata": posted,
    }
    assert list(shown) == ["project_id", "backup_id", "user_id", "status", "backup_metadata"]
    (listed,) = (await ask("GET backups")).json()["backups"]
    assert list(listed) == ["project_id", "user_id", "backup_id", "status", "backup_metadata"]
    patched = (await ask(f"PATCH backups/{backup_id}", {"status": "error"})).json()
    assert list(patched) == list(shown)

    await ask("POST jobs", JOB_BODY, 201)
    (job,) = (await ask("GET jobs")).json()["jobs"]
    assert list(job) == [
        "job_id",
        "project_id",
        "user_id",
        "job_schedule",
        "client_id",
        "session_id",
        "session_tag",
        "description",
        "job_actions",
    ]
    assert (await ask(f"GET jobs/{job['job_id']}")).json() == job
    # There every job has a client, and freezer-web-ui fails at null.
    assert job["client_id"] == ""
    (action,) = job["job_actions"]
    keys = ["project_id", "action_id", "user_id", "max_retries", "max_retries_interval"]
    assert list(action) == [*keys, "freezer_action"]
    # What is there keeps its place, what isn't is null.
    assert action["freezer_action"] == ACTION | dict.fromkeys(
        ("backup_name", "timeout", "priority", "path_to_backup", "log_file")
    )
    assert list(action["freezer_action"])[:3] == list(ACTION)
    assert (await ask(f"GET actions/{action['action_id']}")).json() == action
    (listed,) = (await ask("GET actions")).json()["actions"]
    assert list(listed)[2:] == [
        "timeout",
        "max_retries_interval",
        "max_retries",
        "action_id",
        "mandatory",
        "freezer_action",
    ]
    # A client may send back what it was shown: null and absent are the same.
    await ask(f"PATCH jobs/{job['job_id']}", job)
    assert (await ask(f"GET jobs/{job['job_id']}")).json() == job


async def test_documents_are_kept_as_sent(ask: Ask) -> None:
    metadata = (
        '{"backup_name":"b","container":"c","hostname":"h","z":1.0,"a":[{"k":null},"\\u00e9\U0001f600"],'
        '"big":9223372036854775807,"small":-9223372036854775808,"float":0.1,"empty":{},"":""}'
    )
    backup_id = (await ask("POST backups", metadata.encode(), 201)).json()["backup_id"]
    answer = await ask(f"GET backups/{backup_id}")
    shown = answer.json()["backup_metadata"]
    assert json.dumps(shown) == json.dumps(json.loads(metadata))


async def test_user_credentials_are_shown_where_stored(ask: Ask) -> None:
    credentials = {"trust_id": "t", "trustor_user_id": "u"}
    body = JOB_BODY | {"user_credentials": credentials}
    job_id = (await ask("POST jobs", body, 201)).json()["job_id"]
    for job in (
        (await ask("GET jobs")).json()["jobs"][0],
        (await ask(f"GET jobs/{job_id}")).json(),
    ):
        assert job["user_credentials"] == credentials


@pytest.mark.parametrize("size", [1, 5, 50])
async def test_statements_do_not_grow_with_the_page(
    ctx: Context, ask: Ask, recorder: QueryRecorder, size: int
) -> None:
    rows: list[SQLModel] = []
    for number in range(size):
        job, action = f"j{number:03}", f"a{number:03}"
        rows += (
            Job(project_id="p1", id=job, user_id="u", job_schedule="{}"),
            Action(project_id="p1", id=action, user_id="u", freezer_action="{}"),
            JobAction(project_id="p1", job_id=job, position=0, action_id=action),
            Backup(
                project_id="p1", id=job, user_id="u", backup_metadata="{}", backup_name=str(number)
            ),
        )
    await store(ctx, *rows)
    for path, statements in (
        ("jobs", 2),
        ("jobs?offset=0", 2),
        ("jobs/j000", 2),
        ("backups", 1),
        ("backups/j000", 1),
        ("actions", 1),
        # There are none, and it takes a statement of its own to say of which revision.
        ("clients", 2),
    ):
        with recorder:
            await ask(f"GET {path}")
        assert len(recorder) == statements, path
    with recorder:
        await ask("GET jobs?marker=j000")
    assert len(recorder) == (3 if size > 1 else 2)
