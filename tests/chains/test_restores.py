"""Restores: what a plan says of a moment, and the job that carries it out."""

import re
from typing import Any

import httpx
import pytest

from gateway.resolvers import clients
from gateway.resolvers.clients import ClientDraft
from tests.chains.test_keeping import DAY
from tests.chains.test_questions import asked, register
from tests.support.apps import GraphQL, MakeContext

pytestmark = pytest.mark.anyio

PLAN = """query($series: ID!, $at: DateTime) { restorePlan(series: $series, at: $at) {
  restorability restorabilityReason warnings restoreFromDate freezerAction
  backup { id } steps { id chainLevel }
} }"""
CREATE = """mutation($input: CreateRestoreJobInput!, $dryRun: Boolean! = false) {
  createRestoreJob(input: $input, dryRun: $dryRun) {
    job { description clientId event: schedule { event }
      actions { nodes { freezerAction } } }
    plan { restorability steps { id } freezerAction }
  }
}"""


async def series_id(graphql: GraphQL) -> str:
    (node,) = (await asked(graphql, "{ series { nodes { id } } }"))["series"]["nodes"]
    return str(node["id"])


async def planned(graphql: GraphQL, day: float | None) -> Any:
    at = None if day is None else f"1970-01-{1 + int(day):02}T{int(day % 1 * 24):02}:00:00Z"
    variables = {"series": await series_id(graphql), "at": at}
    return (await asked(graphql, PLAN, variables))["restorePlan"]


async def test_a_plan_reads_the_chain_up_to_the_moment(graphql: GraphQL) -> None:
    ids = [(await register(graphql, day, max_level=2))["id"] for day in range(1, 7)]
    plan = await planned(graphql, 5.5)
    assert plan["steps"] == [{"id": one, "chainLevel": at} for at, one in enumerate(ids[3:5])]
    assert plan["backup"] == {"id": ids[4]}
    assert plan["restorability"] == "RESTORABLE"
    assert plan["warnings"] == ["LEVELS_DERIVED", "NO_SIZE"]
    assert plan["restoreFromDate"] == "1970-01-06T23:59:59+00:00"
    assert plan["freezerAction"] == {
        "action": "restore",
        "mode": "fs",
        "backup_name": "etc",
        "hostname": "web1",
        "container": "/backups",
        "storage": "local",
        "engine_name": "tar",
        "restore_from_date": "1970-01-06T23:59:59",
    }


async def test_a_moment_before_all_backups(graphql: GraphQL) -> None:
    await register(graphql, 3, max_level=2)
    plan = await planned(graphql, 2)
    assert (plan["restorability"], plan["backup"], plan["steps"]) == ("BROKEN", None, [])
    assert plan["freezerAction"] is None


async def test_a_sorted_storage_restores_an_older_backup_without_a_word(graphql: GraphQL) -> None:
    values = {"always_level": 2, "storage": "ssh", "ssh_host": "nas"}
    ids = [(await register(graphql, day, **values))["id"] for day in range(1, 9)]
    plan = await planned(graphql, 6.5)
    assert plan["backup"] == {"id": ids[1]}
    assert plan["restorability"] == "RESTORABLE"
    assert "OLDER_BACKUP_READ" in plan["warnings"]
    newest = await planned(graphql, 8.5)
    assert newest["backup"] == {"id": ids[7]}
    assert newest["restorabilityReason"] == "SAME_LEVEL_TWICE"
    assert "OLDER_BACKUP_READ" not in newest["warnings"]


async def test_a_storage_without_an_order_may_restore_anything(graphql: GraphQL) -> None:
    for day in range(1, 9):
        await register(graphql, day, always_level=2)
    plan = await planned(graphql, 8.5)
    assert (plan["restorability"], plan["restorabilityReason"]) == ("UNKNOWN", "LISTING_ORDER")
    assert "SAME_LEVEL_TWICE" in plan["warnings"]


@pytest.fixture
async def host(graphql: GraphQL) -> str:
    made = """mutation { registerClient(input: {clientId: "web1", hostname: "web1"}) {
      client { clientId } } }"""
    return str((await asked(graphql, made))["registerClient"]["client"]["clientId"])


async def test_a_backup_is_restored_by_a_job_that_starts(graphql: GraphQL, host: str) -> None:
    ids = [(await register(graphql, day, max_level=2, client_id=host))["id"] for day in range(1, 4)]
    given = {"backup": ids[1], "restorePath": "/srv/back", "isTest": True}
    tried = (await asked(graphql, CREATE, {"input": given, "dryRun": True}))["createRestoreJob"]
    assert tried["job"] is None
    assert (await asked(graphql, "{ jobs { totalCount } }"))["jobs"]["totalCount"] == 0
    made = (await asked(graphql, CREATE, {"input": given}))["createRestoreJob"]
    assert made["plan"] == tried["plan"]
    assert made["plan"]["steps"] == [{"id": one} for one in ids[:2]]
    (action,) = made["job"]["actions"]["nodes"]
    assert action["freezerAction"] == made["plan"]["freezerAction"]
    assert action["freezerAction"]["restore_abs_path"] == "/srv/back"
    assert action["freezerAction"]["restore_from_date"] == "1970-01-03T23:59:59"
    assert made["job"]["clientId"] == host
    assert made["job"]["event"] == {"event": "START"}


async def test_a_backup_that_the_agent_cannot_choose_is_refused(
    graphql: GraphQL, host: str
) -> None:
    values = {"always_level": 1, "storage": "ssh", "ssh_host": "nas", "client_id": host}
    ids = [(await register(graphql, day, **values))["id"] for day in range(1, 5)]
    body = await graphql(CREATE, {"input": {"backup": ids[1]}})
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "UNPROCESSABLE"
    assert "can't choose" in error["message"]
    assert (await asked(graphql, "{ jobs { totalCount } }"))["jobs"]["totalCount"] == 0


async def test_what_is_not_known_is_restored_only_where_that_is_accepted(
    graphql: GraphQL, host: str
) -> None:
    for day in range(1, 5):
        await register(graphql, day, always_level=1, client_id=host)
    given = {"series": await series_id(graphql), "restorePath": "/back"}
    body = await graphql(CREATE, {"input": given})
    assert body["errors"][0]["extensions"]["code"] == "UNPROCESSABLE"
    made = await asked(graphql, CREATE, {"input": given | {"acceptsUnknown": True}})
    assert made["createRestoreJob"]["plan"]["restorability"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("mode", "metadata", "expected"),
    [
        ("mysql", {}, {"restore_abs_path": "/back"}),
        ("mongo", {}, {"restore_abs_path": "/back"}),
        ("sqlserver", {}, {"restore_abs_path": "/back"}),
        ("nova", {"nova_inst_id": "i1", "engine_name": "nova"}, {"nova_inst_id": "i1"}),
        ("glance", {"glance_image_id": "g1", "engine_name": "glance"}, {"glance_image_id": "g1"}),
        ("cinder", {"cinder_vol_id": "v1"}, {"cinder_vol_id": "v1"}),
        (
            "cindernative",
            {"cindernative_vol_id": "v1", "cinder_backup_id": "b1"},
            {"cindernative_vol_id": "v1", "cindernative_backup_id": "b1"},
        ),
    ],
)
async def test_every_mode_has_its_own_options(
    graphql: GraphQL, host: str, mode: str, metadata: dict[str, str], expected: dict[str, str]
) -> None:
    media = mode if mode in {"nova", "glance", "cinder", "cindernative"} else "fs"
    values = {"mode": mode, "backup_media": media, "storage": "swift", "client_id": host}
    if media == "fs":
        values["max_level"] = 1
        action = {"action": "backup", "mode": mode, "backup_name": "etc", "incremental": True}
        made = """mutation($action: JSON!) { createJob(input: {jobId: "saving", description: "s",
          clientId: "web1", actions: [{freezerAction: $action}]}) { job { id } } }"""
        await asked(graphql, made, {"action": action})
        values["job_id"] = "saving"
    backup = await register(graphql, 2, **values | metadata)
    given = {"backup": backup["id"], "restorePath": "/back"}
    plan = (await asked(graphql, CREATE, {"input": given}))["createRestoreJob"]["plan"]
    action = plan["freezerAction"]
    assert expected.items() <= action.items()
    assert ("restore_from_date" in action) == (mode != "cindernative")
    assert "max_level" not in action


BRICK = {"mode": "fs", "backup_media": "cinderbrick", "engine_name": "osbrick"}


async def test_a_volume_by_os_brick(graphql: GraphQL, host: str) -> None:
    values = BRICK | {"cinderbrick_vol_id": "v1", "max_level": 2, "client_id": host}
    ids = [(await register(graphql, day, **values))["id"] for day in range(1, 6)]
    shown = """{ series { nodes { media engine chains { nodes { length } } } }
      backups(orderBy: [{field: TIME_STAMP}]) { nodes { chainLevel restorability } } }"""
    found = await asked(graphql, shown)
    (own,) = found["series"]["nodes"]
    assert (own["media"], own["engine"]) == ("cinderbrick", "osbrick")
    assert [one["length"] for one in own["chains"]["nodes"]] == [2, 3]
    assert [one["chainLevel"] for one in found["backups"]["nodes"]] == [0, 1, 2, 0, 1]
    assert {one["restorability"] for one in found["backups"]["nodes"]} == {"RESTORABLE"}
    made = await asked(graphql, CREATE, {"input": {"backup": ids[1]}})
    plan = made["createRestoreJob"]["plan"]
    assert plan["steps"] == [{"id": one} for one in ids[:2]]
    assert plan["freezerAction"] == {
        "action": "restore",
        # The agent has no mode of its own for it.
        "mode": "cinder",
        "backup_name": "etc",
        "hostname": "web1",
        "container": "/backups",
        "restore_from_date": "1970-01-03T23:59:59",
        "storage": "local",
        "engine_name": "osbrick",
        "cinderbrick_vol_id": "v1",
    }


async def test_volumes_of_one_name_share_a_folder(graphql: GraphQL, host: str) -> None:
    ids = []
    for day, volume in enumerate(("v1", "v2", "v2"), 1):
        values = BRICK | {"cinderbrick_vol_id": volume, "max_level": 1, "client_id": host}
        ids.append((await register(graphql, day, **values))["id"])
    plan = await planned(graphql, 2.5)
    assert (plan["restorability"], plan["restorabilityReason"]) == ("BROKEN", "VOLUMES_MIXED")
    body = await graphql(CREATE, {"input": {"backup": ids[1]}})
    assert body["errors"][0]["extensions"]["code"] == "UNPROCESSABLE"
    # The next one is a full one, of one volume.
    made = (await asked(graphql, CREATE, {"input": {"backup": ids[2]}}))["createRestoreJob"]
    assert made["plan"]["freezerAction"]["cinderbrick_vol_id"] == "v2"


@pytest.mark.parametrize(
    ("capabilities", "needs"),
    [
        ({"supportedActions": ["backup"]}, "action 'restore'"),
        ({"supportedModes": ["mysql"]}, "mode 'fs'"),
        ({"supportedStorages": ["swift"]}, "storage 'local'"),
        ({"supportedEngines": ["rsync"]}, "engine 'tar'"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_client_that_cannot_restore_it(
    graphql: GraphQL,
    capabilities: dict[str, list[str]],
    needs: str,
    dry_run: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    client = {"clientId": "web1", "hostname": "web1"} | capabilities
    made = """mutation($client: RegisterClientInput!) {
      registerClient(input: $client) { client { id } } }"""
    await asked(graphql, made, {"client": client})
    backup = await register(graphql, 1, max_level=1)
    given = {"backup": backup["id"], "restorePath": "/back"}
    body = await graphql(CREATE, {"input": given, "dryRun": dry_run})
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "UNPROCESSABLE"
    assert error["message"] == f"the client 'web1' does not support the {needs}"


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_client_that_is_not_there(
    graphql: GraphQL,
    dry_run: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    backup = await register(graphql, 1, max_level=1, client_id="gone")
    given = {"backup": backup["id"], "restorePath": "/back"}
    body = await graphql(CREATE, {"input": given, "dryRun": dry_run})
    assert body["errors"][0]["message"] == "no client with the id 'gone' is registered"
    backup = await register(graphql, 2, max_level=1, backup_name="other")
    given = {"backup": backup["id"], "restorePath": "/back"}
    body = await graphql(CREATE, {"input": given, "dryRun": dry_run})
    (error,) = body["errors"]
    assert error["extensions"] == error["extensions"] | {"code": "UNPROCESSABLE"}
    assert "clientId" in error["message"]
    assert (await asked(graphql, "{ jobs { totalCount } }"))["jobs"]["totalCount"] == 0


async def test_a_local_storage_of_another_host(graphql: GraphQL, host: str) -> None:
    tried = CREATE.replace("restorability", "warnings restorability")
    near = await register(graphql, 1, max_level=1, client_id=host)
    far = await register(graphql, 1, max_level=1, client_id=host, hostname="web2")
    remote = {"storage": "ssh", "ssh_host": "nas", "hostname": "web2"}
    shared = await register(graphql, 1, max_level=1, client_id=host, **remote)
    for backup, is_elsewhere in ((near, False), (far, True), (shared, False)):
        given = {"input": {"backup": backup["id"], "restorePath": "/back"}, "dryRun": True}
        plan = (await asked(graphql, tried, given))["createRestoreJob"]["plan"]
        assert ("STORAGE_ELSEWHERE" in plan["warnings"]) == is_elsewhere


async def test_either_a_backup_or_a_series(graphql: GraphQL) -> None:
    for given in ({}, {"backup": "x", "series": "y"}):
        body = await graphql(CREATE, {"input": given})
        assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_series_shows_its_last_test_that_succeeded(
    graphql: GraphQL, client: httpx.AsyncClient, host: str
) -> None:
    backup = await register(graphql, 2, max_level=1, client_id=host)
    given = {"backup": backup["id"], "restorePath": "/back", "isTest": True}
    made = """mutation($input: CreateRestoreJobInput!) {
      createRestoreJob(input: $input) { job { jobId } } }"""
    job = (await asked(graphql, made, {"input": given}))["createRestoreJob"]["job"]["jobId"]
    shown = "{ series { nodes { lastTestedAt } } }"
    assert (await asked(graphql, shown))["series"]["nodes"] == [{"lastTestedAt": None}]
    ended = {"job_schedule": {"result": "success", "time_ended": 8 * DAY}}
    answer = await client.patch(f"/v2/p1/jobs/{job}", json=ended)
    assert answer.status_code == 200, answer.text
    tested = [{"lastTestedAt": "1970-01-09T00:00:00+00:00"}]
    assert (await asked(graphql, shown))["series"]["nodes"] == tested


async def test_v2_shows_nothing_of_a_test(
    graphql: GraphQL, client: httpx.AsyncClient, host: str
) -> None:
    backup = await register(graphql, 2, max_level=1, client_id=host)
    made = """mutation($input: CreateRestoreJobInput!) {
      createRestoreJob(input: $input) { job { jobId } } }"""
    documents = []
    for is_test in (True, False):
        given = {"backup": backup["id"], "restorePath": "/back", "isTest": is_test}
        job = (await asked(graphql, made, {"input": given}))["createRestoreJob"]["job"]["jobId"]
        text = (await client.get(f"/v2/p1/jobs/{job}")).text
        documents.append(re.sub(r"[0-9a-f]{32}|\b\d{10}\b", "…", text))
    assert documents[0] == documents[1]


async def test_a_central_client_restores_for_another_project(
    graphql: GraphQL, make_ctx: MakeContext
) -> None:
    await clients.create(make_ctx("p0"), ClientDraft("central", is_central=True))
    backup = await register(graphql, 1, max_level=1)
    given = {"backup": backup["id"], "restorePath": "/back", "clientId": "central"}
    made = (await asked(graphql, CREATE, {"input": given}))["createRestoreJob"]
    assert made["job"]["clientId"] == "central"
    assert (await graphql("{ jobs { totalCount } }", project="p0"))["data"] == {
        "jobs": {"totalCount": 0}
    }


async def test_a_restore_from_ftp_never_ends(graphql: GraphQL) -> None:
    await register(graphql, 1, max_level=1, storage="ftp")
    plan = await planned(graphql, None)
    assert plan["restorability"] == "RESTORABLE"
    assert "FTP_NEVER_ENDS" in plan["warnings"]
