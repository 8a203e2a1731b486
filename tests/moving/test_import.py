"""An import brings all that freezer-api has, whole and once, however often it runs."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.history import Run
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.db.database import Database
from gateway.moving import writing
from gateway.moving.counts import RowResult
from gateway.resolvers import backups, jobs
from tests.moving.conftest import Move
from tests.support.apps import MakeClient, MakeContext
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio

TABLES = (Client, Session, Action, Job, JobAction, Backup, Series, Run, Revision)


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the catalogue, and the projects' revisions."""
    return {
        table.__name__: [
            tuple(row)
            for row in await database.rows(sa.select(*columns(table)).order_by(*columns(table)[:3]))
        ]
        for table in TABLES
    }


def fill(tables: FreezerTables) -> None:
    """Make a small catalogue of two projects."""
    tables.client("web-1", description="The web server")
    tables.client("central", project_id="p2", is_central=1)
    tables.session("s1", job=json.dumps({"j1": {"status": "completed", "result": "success"}}))
    tables.action("a1", path_to_backup="/etc", timeout=60, mandatory=1)
    tables.action("a2", action="restore")
    tables.action("a3", deleted=1)
    ran = {"time_started": 1_700_000_000, "time_ended": 1_700_000_060, "result": "success"}
    schedule = {"schedule_interval": "1 days", "status": "scheduled", "event": ""} | ran
    tables.job("j1", "a2", "a1", schedule=json.dumps(schedule), session_id="s1")
    tables.job("j2", client_id="central", project_id="p2")
    trust = {"trust_id": "t1", "trustor_user_id": "u1", "job_id": "j2"}
    tables.insert("user_credentials", "c1", **trust)
    for number in range(7):
        metadata = METADATA | {"time_stamp": 1_700_000_000 + number, "job_id": "j1"}
        tables.backup(f"b{number}", metadata, project_id="p2" if number == 6 else "p1")
    tables.backup("gone", deleted=1)


async def test_every_row_is_there_with_its_owner_and_times(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    tables.run("UPDATE jobs SET updated_at = '2026-02-03 04:05:06'")
    imported = await move()
    read = {table: count for table, count, _ in imported.counts.tables()}
    assert read == {
        "clients": 2,
        "sessions": 1,
        "actions": 2,
        "jobs": 2,
        "job_actions": 2,
        "backups": 7,
    }
    assert imported.counts.total(RowResult.INSERTED) == 16
    assert imported.counts.deleted == {
        "actions": 1, "backups": 1, "clients": 0, "jobs": 0, "sessions": 0
    }  # fmt: skip
    assert imported.report == []
    (job,) = await database.rows(sa.select(*columns(Job)).where(columns(Job).id == "j1"))
    assert (job.project_id, job.user_id, job.description) == ("p1", "u1", "job j1")
    assert job.created_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert job.updated_at.isoformat() == "2026-02-03T04:05:06+00:00"


async def test_documents_are_those_of_freezer_api(
    tables: FreezerTables, move: Move, make_client: MakeClient
) -> None:
    fill(tables)
    await move()
    client = await make_client(rest_dialect="freezer-19")
    (listed,) = (await client.get("/v2/p1/jobs")).json()["jobs"]
    assert [action["action_id"] for action in listed["job_actions"]] == ["a2", "a1"]
    assert listed["session_id"] == "s1"
    assert listed["job_schedule"]["schedule_interval"] == "1 days"
    assert listed["job_actions"][1]["freezer_action"] == {
        "action": "backup",
        "mode": "fs",
        "backup_name": "etc",
        "container": "backups",
        "timeout": 60,
        "path_to_backup": "/etc",
        "priority": None,
        "log_file": None,
    }
    backup = (await client.get("/v2/p1/backups/b3")).json()
    assert backup["backup_metadata"] == METADATA | {"time_stamp": 1_700_000_003, "job_id": "j1"}
    session = (await client.get("/v2/p1/sessions/s1")).json()
    assert session["jobs"] == {"j1": {"status": "completed", "result": "success"}}
    assert (session["time_start"], session["status"]) == (-1, "active")
    (job,) = (await client.get("/v2/p2/jobs")).json()["jobs"]
    assert job["user_credentials"] == {"trust_id": "t1", "trustor_user_id": "u1"}


async def test_chains_runs_and_next_runs_follow_from_the_rows(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    await move()
    own = columns(Backup)
    rows = await database.rows(sa.select(own.restorability, own.client_id, own.derived_version))
    assert {tuple(row) for row in rows} == {("RESTORABLE", "web-1", 0), ("UNKNOWN", None, 0)}
    (run,) = await database.rows(sa.select(columns(Run).job_id, columns(Run).outcome))
    assert tuple(run) == ("j1", "success")
    due = await database.scalar(sa.select(columns(Job).due_at).where(columns(Job).id == "j1"))
    assert due is not None


async def test_a_second_import_changes_nothing(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    await move()
    before = await everything(database)
    again = await move(page_size=2)
    assert await everything(database) == before
    assert again.counts.total(RowResult.UNCHANGED) == 16
    assert again.counts.total(RowResult.INSERTED) == again.counts.total(RowResult.UPDATED) == 0


async def test_what_has_changed_there_is_taken_over(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    await move()
    of_projects = sa.select(columns(Revision).project_id, columns(Revision).revision)
    revisions = dict(await database.rows(of_projects))
    changed = "2026-05-05 00:00:00"
    tables.run("UPDATE backups SET status = 'error', updated_at = ? WHERE id = 'b2'", changed)
    tables.run("DELETE FROM job_actions WHERE action_id = 'a2'")
    tables.run("UPDATE jobs SET updated_at = ? WHERE id = 'j1'", changed)
    again = await move()
    assert again.counts.total(RowResult.UPDATED) == 3, (
        "a backup, a job and the link that it has left"
    )
    own = columns(Backup)
    query = sa.select(own.version, own.restorability, own.derived_version).where(own.id == "b2")
    assert [tuple(row) for row in await database.rows(query)] == [(1, "FAILED", 1)]
    links = await database.rows(
        sa.select(columns(JobAction).action_id, columns(JobAction).position)
    )
    assert [tuple(row) for row in links] == [("a1", 0)]
    after = dict(await database.rows(of_projects))
    assert {project for project in after if after[project] != revisions.get(project)} == {"p1"}


async def test_what_was_changed_here_since_stays(
    tables: FreezerTables, move: Move, make_ctx: MakeContext
) -> None:
    fill(tables)
    await move()
    await jobs.update(make_ctx("p1"), "j1", {"description": "changed here"})
    await backups.update(make_ctx("p1"), "b1", {"metadata": {"note": "here"}})
    tables.run("UPDATE jobs SET description = 'changed there', updated_at = '2026-02-01 00:00:00'")
    again = await move()
    assert again.told() == {("j1", "left", "changed-here"), ("b1", "left", "changed-here")}
    assert again.counts.total(RowResult.UPDATED) == 1, "the job of p2"


async def test_an_import_that_was_stopped_goes_on(
    tables: FreezerTables, move: Move, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tables)
    await move()
    whole = await everything(database)
    async with database.write("p1", "p2") as transaction:
        for table in (JobAction, Job, Backup, Series, Run):
            await transaction.rows(sa.delete(sa.inspect(table).local_table))
    write, batches = writing.write, 0

    async def stopped(*given: Any, **options: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 7:
            raise KeyboardInterrupt
        return await write(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            await move()
    assert await everything(database) != whole
    await move()
    after = await everything(database)
    assert after.pop("Revision")
    assert after == {name: rows for name, rows in whole.items() if name != "Revision"}


async def test_only_the_projects_that_are_asked_for(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    imported = await move(projects=["p2"])
    assert {project for _, project in imported.counts.read} == {"p2"}
    rows = await database.rows(sa.select(columns(Backup).project_id).distinct())
    assert [row.project_id for row in rows] == ["p2"]


async def test_a_trial_writes_nothing(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    before = await everything(database)
    trial = await move(is_trial=True)
    assert trial.counts.total(RowResult.INSERTED) == 16
    assert await everything(database) == before
