"""A mirror takes over whatever changes in freezer-api, and is the only writer until it is ended."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.db.database import Database
from gateway.errors import BadInput
from gateway.moving import following, mirrors
from gateway.moving.counts import RowResult
from gateway.moving.following import Mirror, Passed
from gateway.moving.layouts import Catalogue
from gateway.moving.sources import open_source
from gateway.moving.verifying import Verification
from tests.moving.conftest import Move, Silent
from tests.support.apps import MakeClient
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio

TABLES = (Client, Session, Action, Job, JobAction, Backup)
LONG_AGO = "2026-01-01 00:00:00"
NOW = "2199-01-01 00:00:00"
"""A time that every pass takes for new."""
JOB = {"description": "j", "job_actions": []}


class Enough(Exception):
    """The end of a mirror that would go on."""


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the catalogue."""
    return {
        table.__name__: [
            tuple(row)
            for row in await database.rows(sa.select(*columns(table)).order_by(*columns(table)[:3]))
        ]
        for table in TABLES
    }


async def ids(database: Database, table: Any) -> list[str]:
    """Return the ids of a table's rows."""
    own = columns(table)
    return [row.id for row in await database.rows(sa.select(own.id).order_by(own.id))]


def fill(tables: FreezerTables) -> None:
    """Make a small catalogue of two projects."""
    tables.client("web-1")
    tables.client("web-2", project_id="p2", is_central=1)
    tables.session("s1")
    for name in ("a1", "a2"):
        tables.action(name)
    tables.job("j1", "a2", "a1", session_id="s1")
    for number in range(7):
        metadata = METADATA | {"time_stamp": 1_700_000_000 + number, "job_id": "j1"}
        tables.backup(f"b{number}", metadata, project_id="p2" if number == 6 else "p1")


async def follow(mirror: Mirror) -> Passed:
    """Do a pass, which isn't the last."""
    passed = await mirror.follow()
    assert passed is not None
    return passed


async def same(mirror: Mirror) -> bool:
    """Return True if both sides are the same."""
    opened = mirror.open_source()
    try:
        work = Verification(Catalogue(opened), mirror.database, Silent(), (), ("user_name",))
        compared = await work.run()
    finally:
        opened.close()
    return bool(compared) and all(one.is_same for one in compared)


async def test_what_is_stamped_is_taken_over(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    counts = await mirror.begin()
    assert counts.total(RowResult.INSERTED) == 15
    assert (await follow(mirror)).written == 0
    before = await everything(database)
    assert (await follow(mirror)).written == 0
    assert await everything(database) == before
    tables.run("UPDATE backups SET status = 'error', updated_at = ? WHERE id = 'b2'", NOW)
    tables.run("UPDATE sessions SET description = 'new', updated_at = ?", NOW)
    tables.backup("b7", created_at=NOW)
    tables.client("web-3", created_at=NOW)
    tables.action("a3", created_at=NOW)
    tables.job("j2", "a3", "a1", created_at=NOW)
    passed = await follow(mirror)
    assert (passed.written, passed.by_comparing) == (8, 0), "with the links of the job"
    assert await same(mirror)


async def test_what_is_deleted_there_is_deleted(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await mirror.begin()
    for table, column, value in (
        ("backups", "id", "b1"),
        ("backups", "id", "b6"),
        ("actions", "id", "a2"),
        ("job_actions", "action_id", "a2"),
        ("sessions", "id", "s1"),
        ("clients", "client_id", "web-2"),
    ):
        tables.mark_deleted(table, NOW, column, value)
    assert (await follow(mirror)).by_comparing == 0
    assert await same(mirror)
    assert await ids(database, Backup) == ["b0", "b2", "b3", "b4", "b5"]
    assert await ids(database, Session) == []
    links = await database.rows(
        sa.select(columns(JobAction).action_id, columns(JobAction).position)
    )
    assert [tuple(row) for row in links] == [("a1", 0)]
    tables.mark_deleted("jobs", NOW, "id", "j1")
    await follow(mirror)
    assert await ids(database, Job) == []
    assert await same(mirror)


async def test_what_was_deleted_before_the_mirror_began_is_deleted(
    tables: FreezerTables, move: Move, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await move()
    tables.mark_deleted("backups", "2026-02-01 00:00:00", "id", "b3")
    await mirror.begin()
    assert "b3" not in await ids(database, Backup)
    assert await same(mirror)


async def test_a_client_that_is_registered_again_stays(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await mirror.begin()
    tables.mark_deleted("clients", NOW, "client_id", "web-1")
    tables.client("web-1", id="again", created_at=NOW, description="again")
    await follow(mirror)
    own = columns(Client)
    rows = await database.rows(sa.select(own.uuid).where(own.id == "web-1"))
    assert [row.uuid for row in rows] == ["again"]
    assert await same(mirror)


async def test_of_duplicates_the_other_comes_when_one_is_deleted(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    tables.client("web-1", id="newer", updated_at="2026-02-02 00:00:00")
    await mirror.begin()
    tables.mark_deleted("clients", LONG_AGO, "id", "newer")
    await follow(mirror)
    assert await same(mirror)
    own = columns(Client)
    rows = await database.rows(sa.select(own.uuid).where(own.id == "web-1"))
    assert [row.uuid for row in rows] == ["uuid-web-1"]


async def test_the_actions_of_a_job_change_with_no_stamp_of_the_job(
    tables: FreezerTables, mirror: Mirror
) -> None:
    fill(tables)
    await mirror.begin()
    tables.run("DELETE FROM job_actions WHERE action_id = 'a2'")
    tables.insert("job_actions", "new", job_id="j1", action_id="a1", position=1, created_at=NOW)
    trust = {"trust_id": "t1", "trustor_user_id": "u1", "job_id": "j1"}
    tables.insert("user_credentials", "c1", **trust, created_at=NOW)
    assert (await follow(mirror)).by_comparing == 0
    assert await same(mirror)


async def test_what_no_stamp_tells_is_found_by_comparing(
    tables: FreezerTables, mirror: Mirror
) -> None:
    fill(tables)
    await mirror.begin()
    await follow(mirror)
    tables.run("UPDATE backups SET status = 'error' WHERE id = 'b2'")
    tables.run("DELETE FROM job_actions WHERE action_id = 'a2'")
    tables.run("UPDATE sessions SET description = 'unstamped'")
    tables.mark_deleted("backups", None, "id", "b4")
    for number in range(20, 40):
        tables.backup(f"b{number}", created_at=LONG_AGO)
    passed = await follow(mirror)
    assert passed.by_comparing == passed.written == 25, "with the link that the job has left"
    assert await same(mirror)
    again = await follow(mirror)
    assert again.written == 0
    assert again.rounds > passed.rounds


async def test_a_fault_is_reported_once(tables: FreezerTables, mirror: Mirror) -> None:
    fill(tables)
    tables.backup("cut", '{"backup_')
    await mirror.begin()
    await follow(mirror)
    tables.backup("odd", status="odd", created_at=NOW)
    for _ in range(3):
        await follow(mirror)
    lines = [json.loads(line) for line in mirror.report.path.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["cut", "odd"]


async def test_nobody_else_writes_and_a_new_project_is_held_as_well(
    tables: FreezerTables, mirror: Mirror, database: Database, make_client: MakeClient
) -> None:
    fill(tables)
    client = await make_client()
    assert (await client.post("/v2/p1/jobs", json=JOB)).status_code == 201
    await mirror.begin()
    assert (await client.post("/v2/p1/jobs", json=JOB)).status_code == 503
    assert (await client.post("/v2/p3/jobs", json=JOB)).status_code == 201
    tables.backup("b8", project_id="p3", created_at=NOW)
    await follow(mirror)
    assert (await client.post("/v2/p3/jobs", json=JOB)).status_code == 503
    assert (await client.get("/v2/p3/backups")).json()["backups"]
    assert (await mirrors.marked(database)).keys() == {"p1", "p2", "p3"}
    assert "***" not in mirror.address


async def test_a_mirror_that_is_started_again_goes_on(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await mirror.begin()
    tables.backup("b7", created_at=LONG_AGO)
    other = Mirror(mirror.open_source, database, mirror.report, Silent())
    assert (await other.begin()).total(RowResult.INSERTED) == 1
    assert await same(other)


async def test_an_import_of_another_source_is_refused(
    tables: FreezerTables, mirror: Mirror, move: Move, database: Database
) -> None:
    fill(tables)
    await mirrors.mark(database, ["p2"], "mysql://db.example.org/freezer")
    with pytest.raises(BadInput, match="'p2' mirrors another source"):
        await mirror.begin()
    assert await ids(database, Backup) == []
    with pytest.raises(Exception, match=r"'p2' is a mirror of mysql://db\.example\.org/freezer"):
        await move()


async def test_a_mirror_whose_projects_were_freed_writes_nothing(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await mirror.begin()
    tables.backup("b7", created_at=NOW)
    source = open_source(tables.url)
    work = mirror.importing(Catalogue(source))
    await mirrors.free(database, ["p1", "p2"])
    with pytest.raises(BadInput, match="were freed"):
        await work.run()
    source.close()
    assert await mirror.follow() is None
    await following.forever(mirror, 0, lambda _: None)
    assert "b7" not in await ids(database, Backup)


async def test_a_source_that_is_away_is_awaited(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await mirror.begin()
    tables.backup("b7", created_at=NOW)
    away = tables.path.with_suffix(".away")
    tables.path.rename(away)
    opened = mirror.open_source
    told: list[int] = []

    def open_again() -> Any:
        if away.exists():
            try:
                return opened()
            finally:
                away.rename(tables.path)
        return opened()

    def show(passed: Passed) -> None:
        told.append(passed.written)
        raise Enough

    mirror.open_source = open_again
    with pytest.raises(Enough):
        await following.forever(mirror, 0, show)
    assert told == [1]
    assert "b7" in await ids(database, Backup)
