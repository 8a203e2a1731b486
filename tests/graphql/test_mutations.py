"""Mutations: what each writes, what it leaves alone, and what it refuses, writing nothing."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.tell import DO, METADATA, MUTATIONS, Teller

pytestmark = pytest.mark.anyio


@pytest.fixture
def tell(graphql: GraphQL, database: Database) -> Teller:
    """Return what sends mutations to the application."""
    return Teller(graphql, database)


@pytest.fixture
async def items(tell: Teller) -> Mapping[str, Any]:
    """Store one item of each kind."""
    return {
        "Client": await tell("registerClient", clientId="host", hostname="host"),
        "Job": await tell(
            "createJob",
            description="j",
            actions=[DO],
            schedule={"interval": "1 days", "month": "5"},
        ),
        "Action": await tell("createAction", **DO, maxRetries=1),
        "Backup": await tell("registerBackup", metadata=METADATA | {"extra": {"a": 1, "b": 2}}),
        "Session": await tell("createSession", description="s", schedule={"interval": "2 days"}),
    }


async def test_a_mutation_that_fails_leaves_those_beside_it_alone(graphql: GraphQL) -> None:
    body = await graphql(
        """
        mutation($action: ActionInput!) {
          first: createAction(input: $action) { action { action } }
          wrong: deleteJob(input: {id: "no id"}) { deletedId }
          last: createAction(input: $action) { action { action } }
        }
        """,
        {"action": DO},
    )
    made = {"action": {"action": "backup"}}
    assert body["data"] == {"first": made, "wrong": None, "last": made}
    (error,) = body["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["wrong"], "BAD_USER_INPUT")
    found = await graphql("{ actions { totalCount } }")
    assert found["data"] == {"actions": {"totalCount": 2}}


async def test_a_job_is_created_with_all_that_is_given(tell: Teller) -> None:
    schedule = {"interval": "1 days", "startDate": "2026-01-01T00:00:00", "dayOfWeek": "mon"}
    schedule |= {"status": "SCHEDULED", "result": "FAIL", "event": "STOP", "hour": None}
    job = await tell(
        "createJob", jobId="mine", description="Ä job", actions=[DO, DO], schedule=schedule
    )
    assert (job["jobId"], job["description"], job["version"]) == ("mine", "Ä job", 0)
    assert (job["status"], job["result"], job["event"]) == ("SCHEDULED", "FAIL", "STOP")
    document = job["scheduleDocument"]
    assert document.pop("time_created") > 1_700_000_000
    assert document == {
        "schedule_interval": "1 days",
        "schedule_start_date": "2026-01-01T00:00:00",
        "schedule_day_of_week": "mon",
        "status": "scheduled",
        "result": "fail",
        "event": "stop",
        "time_started": -1,
        "time_ended": -1,
    }
    made = job["actions"]["nodes"]
    assert [action["freezerAction"] for action in made] == [DO["freezerAction"]] * 2
    assert made[0]["actionId"] != made[1]["actionId"]
    assert await tell.refused("CONFLICT", "createJob", jobId="mine", actions=[])


UPDATES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Job", {}, {}),
    ("Job", {"description": "new"}, {"description": "new"}),
    ("Job", {"description": None}, {"description": ""}),
    ("Job", {"clientId": None}, {"clientId": None}),
    ("Job", {"clientId": ""}, {"clientId": None}),
    ("Job", {"actions": []}, {"actions": {"nodes": []}}),
    ("Job", {"actions": None, "schedule": None}, {}),
    ("Job", {"schedule": {}}, {}),
    (
        "Job",
        {"schedule": {"month": None}},
        {"schedule": {"interval": "1 days", "date": None, "month": None}},
    ),
    (
        "Job",
        {"schedule": {"month": "6"}},
        {"schedule": {"interval": "1 days", "date": None, "month": "6"}},
    ),
    ("Job", {"schedule": {"status": "RUNNING"}}, {"status": "RUNNING"}),
    ("Action", {}, {}),
    ("Action", {"mandatory": True}, {"mandatory": True}),
    ("Action", {"maxRetries": 9}, {"maxRetries": 9}),
    ("Action", {"maxRetries": None, "maxRetriesInterval": None, "mandatory": None}, {}),
    ("Action", {"freezerAction": None}, {}),
    ("Action", {"freezerAction": {"mode": None}}, {"freezerAction": {"action": "backup"}}),
    (
        "Action",
        {"freezerAction": {"action": "exec", "x": {"y": 1}}},
        {"freezerAction": {"action": "exec", "mode": "fs", "x": {"y": 1}}, "action": "exec"},
    ),
    ("Backup", {}, {}),
    ("Backup", {"status": "ERROR"}, {"status": "ERROR"}),
    ("Backup", {"status": None, "metadata": None}, {}),
    ("Backup", {"metadata": {}}, {}),
    ("Backup", {"metadata": {"extra": None}}, {"metadata": METADATA}),
    ("Backup", {"metadata": {"extra": {"a": None}}}, {"metadata": METADATA | {"extra": {"b": 2}}}),
    (
        "Backup",
        {"metadata": {"hostname": "h2", "extra": [1]}},
        {"metadata": METADATA | {"hostname": "h2", "extra": [1]}, "hostname": "h2"},
    ),
    ("Session", {"description": "new"}, {"description": "new"}),
    ("Session", {"description": None}, {"description": ""}),
    ("Session", {"holdOff": None, "schedule": None}, {}),
    (
        "Session",
        {"schedule": {"month": "1"}},
        {"schedule": {"schedule_interval": "2 days", "schedule_month": "1"}},
    ),
    ("Session", {"schedule": {"interval": None}}, {"schedule": {}}),
]


@pytest.mark.parametrize(("kind", "given", "expected"), UPDATES)
async def test_an_update_changes_what_is_given_and_nothing_else(
    tell: Teller,
    items: Mapping[str, Any],
    kind: str,
    given: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    before = items[kind]
    after = await tell(f"update{kind}", id=before["id"], **given)
    if "scheduleDocument" in after:
        expected = expected | {"scheduleDocument": after["scheduleDocument"]}
    assert after == before | expected | {"version": before["version"] + 1}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("Job", {"actions": [{}]}),
        ("Job", {"schedule": {"interval": "sometimes"}}),
        ("Job", {"schedule": {"date": "tomorrow"}}),
        ("Job", {"description": "é" * 33}),
        ("Action", {"freezerAction": []}),
        ("Action", {"freezerAction": {"mode": "sideways"}}),
        ("Backup", {"metadata": "text"}),
        ("Backup", {"metadata": {"container": None}}),
        ("Backup", {"metadata": {"backup_name": 5}}),
        ("Session", {"schedule": {"interval": "sometimes"}}),
    ],
)
async def test_an_update_that_is_wrong_changes_nothing(
    tell: Teller, items: Mapping[str, Any], kind: str, given: dict[str, Any]
) -> None:
    await tell.refused("BAD_USER_INPUT", f"update{kind}", id=items[kind]["id"], **given)


@pytest.mark.parametrize("kind", ["Job", "Action", "Backup", "Session"])
async def test_an_update_of_another_version_is_a_conflict(
    tell: Teller, items: Mapping[str, Any], kind: str
) -> None:
    changed = {"Backup": {"status": "ERROR"}, "Action": {"mandatory": True}}
    given = {"id": items[kind]["id"], **changed.get(kind, {"description": "new"})}
    message = await tell.refused("CONFLICT", f"update{kind}", **given, expectedVersion=1)
    assert message.endswith("has version 0, not 1")
    assert (await tell(f"update{kind}", **given, expectedVersion=0))["version"] == 1
    await tell.refused("CONFLICT", f"update{kind}", **given, expectedVersion=0)
    assert (await tell(f"update{kind}", **given, expectedVersion=None))["version"] == 2


@pytest.mark.parametrize(
    "name", [name for name, (type_, _) in MUTATIONS.items() if name[0] in "uds"]
)
async def test_what_is_not_in_the_project_can_not_be_changed(
    tell: Teller, items: Mapping[str, Any], name: str
) -> None:
    kind = next(kind for kind in items if kind in name)
    theirs = items[kind]["id"]
    message = await tell.refused("NOT_FOUND", name, "p2", id=theirs)
    assert theirs in message
    other = next(item["id"] for other, item in items.items() if other != kind)
    assert repr(other) in await tell.refused("BAD_USER_INPUT", name, id=other)
    await tell(f"delete{kind}", id=theirs)
    await tell.refused("NOT_FOUND", name, id=theirs)


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("BAD_USER_INPUT", {}),
        ("BAD_USER_INPUT", {"freezerAction": {"action": "dance"}}),
        ("BAD_USER_INPUT", {"freezerAction": {"action": "backup", "mode": 5}}),
        ("BAD_USER_INPUT", {"freezerAction": {"backup_name": "x" * 513}}),
        ("BAD_USER_INPUT", {"freezerAction": [1]}),
        ("BAD_USER_INPUT", {"actionId": "no id", **DO}),
        ("UNPROCESSABLE", {"actionId": "unknown"}),
        ("UNPROCESSABLE", {"actionId": "known", "freezerAction": {"action": "exec"}}),
        ("BAD_USER_INPUT", {"actionId": "known", "freezerAction": [1]}),
    ],
)
async def test_a_job_with_one_wrong_action_is_not_written_at_all(
    tell: Teller, code: str, action: dict[str, Any]
) -> None:
    await tell("createAction", actionId="known", **DO)
    await tell.refused(code, "createJob", description="j", actions=[DO, action, DO])
    job = await tell("createJob", description="j", actions=[DO])
    await tell.refused(code, "updateJob", id=job["id"], description="k", actions=[DO, action])


async def test_a_job_refers_to_actions_that_exist(tell: Teller) -> None:
    await tell("createAction", actionId="known", **DO)
    same = {"actionId": "known", "freezerAction": DO["freezerAction"] | {"x": None}}
    given = [{"actionId": "known"}, DO, same]
    job = await tell("createJob", actions=given)
    ids = [action["actionId"] for action in job["actions"]["nodes"]]
    assert (ids[0], ids[2]) == ("known", "known")
    turned = await tell("updateJob", id=job["id"], actions=[{"actionId": i} for i in ids[::-1]])
    assert [action["actionId"] for action in turned["actions"]["nodes"]] == ids[::-1]
    data = await tell.ask("{ actions { totalCount nodes { jobs { totalCount } } } }")
    assert data["actions"] == {"totalCount": 2, "nodes": [{"jobs": {"totalCount": 1}}] * 2}


async def test_a_deleted_action_leaves_its_jobs(tell: Teller) -> None:
    action = await tell("createAction", actionId="known", **DO)
    job = await tell("createJob", actions=[{"actionId": "known"}, DO])
    assert await tell("deleteAction", id=action["id"]) == action["id"]
    data = await tell.ask(f'{{ job(jobId: "{job["jobId"]}") {{ actions {{ totalCount }} }} }}')
    assert data["job"]["actions"]["totalCount"] == 1


async def test_what_belongs_to_a_deleted_item_stays(tell: Teller, items: Mapping[str, Any]) -> None:
    job = items["Job"]
    await tell("registerBackup", metadata=METADATA, jobId=job["jobId"], clientId="host")
    assert job["clientId"] == "host"
    await tell("deleteClient", id=items["Client"]["id"])
    await tell("deleteJob", id=job["id"])
    data = await tell.ask(
        "{ backups { nodes { jobId job { id } clientId client { id } } } actions { totalCount } }"
    )
    gone = {"jobId": job["jobId"], "job": None, "clientId": "host", "client": None}
    assert gone in data["backups"]["nodes"]
    assert data["actions"]["totalCount"] == 2


async def test_events_are_asked_of_the_scheduler(tell: Teller) -> None:
    done = {"status": "COMPLETED", "result": "FAIL", "interval": "1 days"}
    job = await tell("createJob", actions=[], schedule=done)
    started = await tell("startJob", id=job["id"])
    assert started["requested"] is True
    assert [started["job"][key] for key in ("event", "status", "result")] == ["START", None, None]
    assert started["job"]["scheduleDocument"] == job["scheduleDocument"] | {
        "event": "start",
        "status": "",
        "result": "",
    }
    again = await tell("startJob", id=job["id"])
    assert again == started | {"requested": False}
    await tell("updateJob", id=job["id"], schedule={"status": "RUNNING"})
    stopped = await tell("stopJob", id=job["id"])
    assert (stopped["requested"], stopped["job"]["event"]) == (True, "STOP")
    assert stopped["job"]["status"] == "RUNNING"
    aborted = await tell("abortJob", id=job["id"])
    assert aborted["job"]["scheduleDocument"]["event"] == "abort"
    assert aborted["job"]["scheduleDocument"]["current_pid"] == 0


async def test_a_client_is_registered_again_and_again(tell: Teller) -> None:
    first = await tell("registerClient", clientId="p_host.example.org", hostname="h")
    assert "backup" in first["supportedActions"]
    given = {"clientId": first["clientId"], "description": "new", "supportedModes": ["fs"]}
    second = await tell("registerClient", **given, hostname="other", uuid="other")
    changed = {"description": "new", "supportedModes": ["fs"], "version": 1}
    assert second == first | changed
    assert await tell("registerClient", **given) == second
    for wrong in ({"clientId": "no host"}, {"clientId": "h", "supportedActions": ["dance"]}):
        await tell.refused("BAD_USER_INPUT", "registerClient", **wrong)


async def test_a_job_is_given_to_a_client_that_can_do_it(tell: Teller) -> None:
    assert (await tell("createJob", actions=[DO]))["clientId"] is None
    await tell(
        "registerClient", clientId="one", supportedModes=["mysql"], supportedActions=["exec"]
    )
    run = {"freezerAction": {"action": "exec"}}
    job = await tell("createJob", actions=[run])
    assert job["clientId"] == "one"
    await tell("registerClient", clientId="two")
    free = await tell("createJob", actions=[DO])
    assert free["clientId"] is None
    assert "'nobody'" in await tell.refused(
        "UNPROCESSABLE", "createJob", actions=[], clientId="nobody"
    )
    await tell.refused("UNPROCESSABLE", "createJob", actions=[run, DO], clientId="one")
    await tell.refused("UNPROCESSABLE", "updateJob", id=free["id"], clientId="one")
    await tell.refused("UNPROCESSABLE", "updateJob", id=job["id"], actions=[DO])
    assert (await tell("updateJob", id=free["id"], clientId="two"))["clientId"] == "two"
    await tell("registerClient", "p2", clientId="theirs")
    await tell.refused("UNPROCESSABLE", "createJob", actions=[], clientId="theirs")


async def test_a_description_is_64_bytes_long_at_most(tell: Teller) -> None:
    for check_lengths in ("x" * 64, "é" * 32, "😀" * 16, "x" * 61 + "☃"):
        assert (await tell("createJob", actions=[], description=check_lengths))[
            "description"
        ] == check_lengths
    for long in ("x" * 65, "é" * 32 + "x", "😀" * 17, "x" * 62 + "☃"):
        message = await tell.refused("BAD_USER_INPUT", "createJob", actions=[], description=long)
        assert "the limit is 64" in message


@pytest.mark.parametrize("key", ["backup_name", "container", "hostname"])
async def test_a_backup_that_exists_says_where_it_is(tell: Teller, key: str) -> None:
    lacking = {name: value for name, value in METADATA.items() if name != key}
    message = await tell.refused("BAD_USER_INPUT", "registerBackup", metadata=lacking)
    assert f"'{key}'" in message
    await tell.refused("BAD_USER_INPUT", "registerBackup", metadata=lacking | {key: ""})
    if key == "backup_name":
        return
    unfinished = await tell("registerBackup", metadata=lacking, status="CREATING")
    assert unfinished["status"] == "CREATING"
    given = {"id": unfinished["id"], "status": "AVAILABLE"}
    await tell.refused("BAD_USER_INPUT", "updateBackup", **given)
    assert await tell("updateBackup", **given, metadata={key: "x"})
