"""Rows that the API would refuse: kept where they can be, else reported, never lost in silence."""

import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gateway.catalogue.tables import Backup, Client, Job, columns
from gateway.db.database import Database
from gateway.moving.counts import RowResult
from gateway.resolvers import actions, backups, clients, jobs, sessions
from tests.moving.conftest import Move
from tests.support.apps import GraphQL, MakeClient, MakeContext
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio

WITHOUT_NAME = {key: value for key, value in METADATA.items() if key != "backup_name"}
LONG = "ö" * 255
KEPT: dict[str, tuple[object, dict[str, Any]]] = {
    "odd-status": (METADATA, {"status": "half done"}),
    "odd-types": (METADATA | {"time_stamp": "yesterday", "hostname": 5, "job_id": [1]}, {}),
    "no-name": (WITHOUT_NAME, {}),
    "long-names": (METADATA | {"container": LONG, "hostname": LONG, "backup_name": LONG}, {}),
    "large-integer": (METADATA | {"max_level": 10**30, "size": 10**300}, {}),
    "unknown-mode": (METADATA | {"mode": "tape"}, {}),
    "no-times": (METADATA, {"created_at": None}),
    "times-of-no-calendar": (METADATA, {"created_at": "0000-00-00 00:00:00"}),
}
"""Backups that are kept as they are: their metadata, and columns."""
NESTED = "[" * 200 + "]" * 200
REFUSED: dict[str, tuple[object, dict[str, Any], str]] = {
    "cut": (json.dumps(METADATA)[:60], {}, "not-json"),
    "empty": ("", {}, "not-an-object"),
    "a-list": ("[]", {}, "not-an-object"),
    "too-deep": (f'{{"a": {NESTED}}}', {}, "too-deep"),
    "nobodys": (METADATA, {"project_id": None}, "no-project"),
}
ALTERED = {
    "nan": ('{"backup_name": "n", "ratio": NaN, "list": [1, -Infinity]}', "not-a-number"),
    "nul": ('{"backup_name": "a\\u0000b"}', "unusable-text"),
    "surrogate": ('{"backup_name": "a\\ud800b"}', "unusable-text"),
    "digits": (f'{{"backup_name": "d", "n": 1{"0" * 400}}}', "not-a-number"),
    "endless-name": (json.dumps(METADATA | {"backup_name": "n" * 3000}), "too-long"),
}


async def shown(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("name", KEPT)
async def test_a_backup_is_kept_shown_and_changed_as_it_is(  # noqa: PLR0913, PLR0917 - fixtures
    name: str,
    tables: FreezerTables,
    move: Move,
    make_client: MakeClient,
    graphql: GraphQL,
    make_ctx: MakeContext,
) -> None:
    metadata, row = KEPT[name]
    tables.backup(name, metadata, **row)
    imported = await move()
    assert {line["outcome"] for line in imported.report} <= {"kept"}
    client = await make_client(rest_dialect="freezer-19")
    backup = await shown(client, f"/v2/p1/backups/{name}")
    assert backup["backup_metadata"] == metadata
    assert backup["status"] == row.get("status", "available")
    (listed,) = (await shown(client, "/v2/p1/backups"))["backups"]
    assert listed == backup
    query = "{ backups { nodes { backupId backupName hostname status restorability } } }"
    answer = await graphql(query, project="p1")
    assert "errors" not in answer
    changed = await backups.update(make_ctx("p1"), name, {"metadata": {"note": "new"}})
    assert changed.version == 1
    assert (await move()).told() >= {(name, "left", "changed-here")}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_backup_that_no_table_holds_is_reported_whole(
    name: str, tables: FreezerTables, move: Move, database: Database
) -> None:
    metadata, row, reason = REFUSED[name]
    tables.backup("good")
    tables.backup(name, metadata, **row)
    imported = await move()
    assert imported.told() == {(name, "refused", reason)}
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    assert imported.report[0]["row"]["backup_metadata"] == text
    assert (
        imported.counts.total(RowResult.REFUSED) == imported.counts.total(RowResult.INSERTED) == 1
    )
    rows = await database.rows(sa.select(columns(Backup).id))
    assert [row.id for row in rows] == ["good"]


@pytest.mark.parametrize("name", ALTERED)
async def test_a_value_that_no_column_holds_is_replaced_and_told(
    name: str, tables: FreezerTables, move: Move, make_client: MakeClient, make_ctx: MakeContext
) -> None:
    text, reason = ALTERED[name]
    tables.backup(name, text, status="error")
    imported = await move()
    assert (name, "altered", reason) in imported.told()
    assert imported.report[0]["row"]["backup_metadata"] == text
    backup = await shown(await make_client(), f"/v2/p1/backups/{name}")
    assert "\0" not in json.dumps(backup)
    await backups.update(make_ctx("p1"), name, {"metadata": {"note": "new"}})
    expected = {"nan": {"backup_name": "n", "ratio": None, "list": [1, None]}}
    if name in expected:
        assert backup["backup_metadata"] == expected[name]
    assert (await move()).counts.total(RowResult.UPDATED) == 0


async def test_a_schedule_that_stops_a_scheduler_is_taken_and_named(
    tables: FreezerTables,
    move: Move,
    make_client: MakeClient,
    graphql: GraphQL,
    make_ctx: MakeContext,
) -> None:
    schedule = {"schedule_hour": "25", "odd": 1, "time_started": 10**30}
    tables.client("web-1")
    tables.job("j1", schedule=json.dumps(schedule), description=LONG)
    imported = await move()
    assert imported.told() == {("j1", "kept", "unreadable-schedule")}
    job = await shown(await make_client(), "/v2/p1/jobs/j1")
    assert job["job_schedule"] == schedule | {"event": ""}
    assert job["description"] == LONG
    query = "{ jobs { nodes { scheduleMeaning { warnings { code } } } } }"
    answer = await graphql(query, project="p1")
    (node,) = answer["data"]["jobs"]["nodes"]
    assert "UNREADABLE" in {one["code"] for one in node["scheduleMeaning"]["warnings"]}
    changed = {"schedule": {"status": "scheduled"}}
    assert (await jobs.update(make_ctx("p1"), "j1", changed)).version == 1


async def test_a_job_keeps_its_place_without_its_client_and_its_session(
    tables: FreezerTables, move: Move, make_client: MakeClient, make_ctx: MakeContext
) -> None:
    tables.action("a1", actionmode="tape", action="explode", max_retries=None)
    tables.action("other", project_id="p2")
    tables.job("j1", "a1", "other", "a1", "gone", client_id="gone", session_id="gone")
    imported = await move()
    assert imported.told() == {
        ("a1", "kept", "unknown-word"),
        ("a1", "altered", "no-value"),
        ("j1", "kept", "no-client"),
        ("j1", "kept", "no-session"),
        ("j1:other", "refused", "no-action"),
        ("j1:gone", "refused", "no-action"),
    }
    client = await make_client()
    job = await shown(client, "/v2/p1/jobs/j1")
    assert [action["action_id"] for action in job["job_actions"]] == ["a1", "a1"]
    assert (job["client_id"], job["session_id"]) == ("gone", "gone")
    answer = await client.patch("/v2/p1/jobs/j1", json={"job_actions": job["job_actions"]})
    assert answer.status_code == 200, "it may keep its list, though its client is gone"
    changed = {"schedule": {"status": "scheduled"}, "description": "new"}
    assert (await jobs.update(make_ctx("p1"), "j1", changed)).version == 2
    document = {"freezer_action": {"path_to_backup": "/etc"}}
    changed_action = await actions.update(make_ctx("p1"), "a1", document)
    assert (changed_action.mode, changed_action.action) == ("tape", "explode")
    assert (await move()).counts.total(RowResult.UPDATED) == 0


async def test_of_duplicate_clients_the_last_that_was_changed_is_taken(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    tables.client("web-1", id="old", description="old")
    tables.client("web-1", id="new", description="new", updated_at="2026-03-01 00:00:00")
    tables.client("web-1", id="older", created_at="2025-01-01 00:00:00")
    imported = await move()
    assert imported.told() == {("web-1", "refused", "duplicate")}
    assert len(imported.report) == 2
    own = columns(Client)
    rows = await database.rows(sa.select(own.uuid, own.description))
    assert [tuple(row) for row in rows] == [("new", "new")]


async def test_one_central_client_of_an_id_stays_central(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    tables.client("central", id="1", is_central=1, hostname="one")
    tables.client("central", id="2", is_central=1, hostname="two", project_id="p2")
    for _ in range(2):
        imported = await move()
        assert imported.told() == {("central", "altered", "central-taken")}
        assert imported.counts.total(RowResult.UPDATED) == 0
    own = columns(Client)
    rows = await database.rows(sa.select(own.project_id, own.is_central).order_by(own.project_id))
    assert [tuple(row) for row in rows] == [("p1", True), ("p2", False)]


async def test_capabilities_and_states_of_sessions_that_are_cut(
    tables: FreezerTables, move: Move, make_client: MakeClient, make_ctx: MakeContext
) -> None:
    tables.client("web-1", supported_modes='["fs", "nov', description="a\0b")
    tables.session("s1", job='{"j1": {"status": "running"}, "j2": 5}', status="odd", hold_off=None)
    tables.session("s2", job='{"j1": {"sta')
    imported = await move()
    assert imported.told() == {
        ("web-1", "altered", "not-json"),
        ("web-1", "altered", "unusable-text"),
        ("s1", "altered", "not-an-object"),
        ("s1", "kept", "unknown-word"),
        ("s2", "altered", "not-json"),
    }
    client = await make_client()
    listed = await shown(client, "/v2/p1/clients/web-1")
    assert listed["client"]["supported_modes"] == []
    assert listed["client"]["description"] == "a\ufffdb"
    session = await shown(client, "/v2/p1/sessions/s1")
    assert session["jobs"]["j1"] == {"status": "running", "result": ""}
    assert (session["status"], session["hold_off"]) == ("odd", 30)
    assert (await sessions.update(make_ctx("p1"), "s1", {"description": "new"})).version == 1
    registered = await clients.create(
        make_ctx("p1"), clients.ClientDraft("web-1", supported_modes=["fs"])
    )
    assert registered.version == 1


async def test_the_links_of_a_job_that_is_refused_are_reported(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    tables.action("a1")
    tables.action("a2", backup_metadata="{")
    tables.job("j1", "a1", schedule='{"schedule_')
    tables.job("j2", "a1", "a2")
    imported = await move()
    assert imported.told() == {
        ("a2", "refused", "not-json"),
        ("j1", "refused", "not-json"),
        ("j1:a1", "refused", "no-job"),
        ("j2:a2", "refused", "no-action"),
        ("j2", "kept", "no-client"),
    }
    assert [row.id for row in await database.rows(sa.select(columns(Job).id))] == ["j2"]


async def test_a_job_is_sent_back_whole_with_the_faults_that_it_has(
    tables: FreezerTables, move: Move, make_client: MakeClient
) -> None:
    words = json.dumps(["backup", "explode", "fs", "tape"])
    tables.client("web-1", supported_actions=words, supported_modes=words)
    tables.action("a1", actionmode="tape", action="explode", backup_name="x" * 255)
    tables.job("j1", "a1", description=LONG)
    await move()
    client = await make_client(rest_dialect="freezer-19")
    job = await shown(client, "/v2/p1/jobs/j1")
    changed = job | {"job_schedule": job["job_schedule"] | {"schedule_interval": "2 days"}}
    answer = await client.patch("/v2/p1/jobs/j1", json=changed)
    assert answer.status_code == 200, answer.text
    odd = changed["job_actions"][0]["freezer_action"] | {"mode": "cassette"}
    entry = job["job_actions"][0] | {"freezer_action": odd}
    answer = await client.patch("/v2/p1/jobs/j1", json={"job_actions": [entry]})
    assert answer.status_code == 400
    assert "cassette" in answer.text
