"""What is derived of series while their backups are imported is what is derived of them later."""

from typing import Any

import pytest
import sqlalchemy as sa

from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import Backup, columns, source
from gateway.chains import filling
from gateway.db.database import Database
from gateway.moving.layouts import Catalogue
from gateway.moving.sources import open_source
from tests.moving.conftest import Move
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio

DAY = 86_400


def fill(tables: FreezerTables) -> None:
    """Make series of one job, of two, of none, and one of Cinder; ids are in no order."""
    tables.client("web-1")
    levels = '{"action": "backup", "incremental": true, "max_level": 2, "remove_older_than": 5}'
    tables.action("derived", backup_metadata=levels)
    tables.action("told")
    for job_id, action_id in (("j1", "derived"), ("j2", "told"), ("j3", "told")):
        tables.job(job_id, action_id)
    for number in range(36):
        job_id = (None, "j1", "j2", "j3")[number % 4]
        metadata: dict[str, Any] = METADATA | {
            "backup_name": {None: "by-hand", "j1": "derived"}.get(job_id, "of-two"),
            "time_stamp": 1_700_000_000 + number * DAY,
            "curr_backup_level": number // 4 % 3 if job_id in {"j2", "j3"} else 0,
        }
        if number == 20:
            metadata |= {"mode": "cindernative", "cindernative_vol_id": "v1"}
        status = "error" if number % 9 == 4 else "available"
        tables.backup(f"{number * 7 % 36:02}", metadata, job_id=job_id, status=status)


async def derived(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every backup and every series."""
    return {
        table.__name__: [
            tuple(row)
            for row in await database.rows(sa.select(*columns(table)).order_by(columns(table).id))
        ]
        for table in (Backup, Series)
    }


@pytest.mark.parametrize("page_size", [3, 8, 100])
async def test_it_is_the_same_whenever_it_is_derived(
    tables: FreezerTables, move: Move, database: Database, page_size: int
) -> None:
    fill(tables)
    await move(page_size=page_size)
    before = await derived(database)
    verdicts = {
        row[list(columns(Backup).keys()).index("restorability")] for row in before["Backup"]
    }
    assert verdicts == {"RESTORABLE", "EXPIRED", "FAILED", "UNKNOWN"}
    async with database.write("p1") as transaction:
        await transaction.rows(sa.update(source(Series)).values(is_stale=sa.true()))
    await filling.fill(database)
    assert await derived(database) == before


async def test_a_new_series_is_whole_without_a_second_pass(
    tables: FreezerTables, move: Move, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr(filling, "fill", nothing)
    fill(tables)
    await move(page_size=8)
    own = columns(Series)
    rows = await database.rows(sa.select(own.backup_name, own.media, own.is_stale))
    stale = {(row.backup_name or row.media): row.is_stale for row in rows}
    assert not stale["derived"]
    assert stale["cindernative"]


def test_the_backups_of_a_job_are_read_together(tables: FreezerTables) -> None:
    fill(tables)
    source_ = open_source(tables.url)
    pages = [[row["job_id"] for row in page] for page in Catalogue(source_, page_size=8).backups()]
    source_.close()
    assert sum(map(len, pages)) == 36
    with_job = [{job for job in page if job} for page in pages]
    assert sorted(job for page in with_job for job in page) == ["j1", "j2", "j3"]


async def test_of_several_actions_that_back_up_the_one_that_made_a_backup_tells_its_policy(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    for name, level in (("etc", 2), ("var", 5)):
        told = f'{{"action": "backup", "incremental": true, "max_level": {level}}}'
        tables.action(name, backup_name=name, backup_metadata=told)
    tables.job("j1", "etc", "var")
    for name in ("etc", "var", "home"):
        tables.backup(name, METADATA | {"backup_name": name}, job_id="j1")
    await move()
    own = columns(Backup)
    rows = await database.rows(sa.select(own.id, own.policy))
    assert {row.id: row.policy for row in rows} == {
        "etc": '{"incremental":true,"max_level":2}',
        "var": '{"incremental":true,"max_level":5}',
        "home": None,
    }
