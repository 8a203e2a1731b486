"""A project as a file: exported, and imported by another gateway, or by the same."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.catalogue import due, history
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.db.database import Database
from gateway.errors import BadInput
from gateway.moving.counts import RowCounts, RowResult
from gateway.moving.files import Export, FileCatalogue
from gateway.moving.importing import Import
from gateway.moving.reports import Report
from gateway.settings import load
from tests.moving.conftest import Silent
from tests.support.databases import Server

pytestmark = pytest.mark.anyio

KEPT = (Client, Session, Action, Job, JobAction, Backup)
NOT_COMPARED = history.OF_JOB | {
    *("version", "derived_version", "time_zone", "chain_state", "policy"),
    *("due_version", *due.COLUMNS),
}
"""Versions begin anew, and of runs the file has only the last."""
PROJECT = "demo"


@pytest.fixture
async def estate(server: Server, demo_template: str) -> AsyncIterator[Database]:
    """Return a database with the sample data."""
    url = await server.create(demo_template)
    database = Database(load(database_url=url))
    yield database
    await database.close()
    await server.drop(url)


def silent(_: str, __: int) -> None:
    """Look at no progress."""


async def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return what an export has of each row of the project."""
    found = {}
    for table in KEPT:
        own = columns(table)
        shown = [column for column in own if column.key not in NOT_COMPARED]
        query = sa.select(*shown).where(own.project_id == PROJECT).order_by(*own[:3])
        found[table.__name__] = [tuple(row) for row in await database.rows(query)]
    return found


async def imported(database: Database, path: Path) -> RowCounts:
    """Import a file."""
    report = Report(path.with_suffix(".report"))
    work = Import(FileCatalogue(path, page_size=70), database, report, Silent())
    counts = await work.run()
    assert list(counts.faults()) == []
    return counts


async def test_a_project_comes_back_whole(
    estate: Database, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "demo.jsonl"
    counts = await Export(estate, PROJECT, path).run(silent)
    assert counts["backups"] > 1000
    counts = await imported(database, path)
    assert counts.total(RowResult.REFUSED) == 0
    there, here = await rows(estate), await rows(database)
    for table in there:
        assert here[table] == there[table], table
    own = columns(Series)
    query = sa.select(own.id, own.newest_time, own.restorability).where(own.project_id == PROJECT)
    found = [{tuple(row) for row in await one.rows(query)} for one in (estate, database)]
    assert found[0] == found[1]
    for one in (estate, database):
        again = await imported(one, path)
        assert again.total(RowResult.INSERTED) + again.total(RowResult.UPDATED) == 0
        assert again.total(RowResult.LEFT) == 0


async def test_an_export_that_was_stopped_goes_on(estate: Database, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    await Export(estate, PROJECT, whole).run(silent)
    lines = whole.read_bytes()
    for part in (10, len(lines) // 50, len(lines) // 2, len(lines) - 5):
        path.write_bytes(lines[:part])
        await Export(estate, PROJECT, path).run(silent)
        assert path.read_bytes() == lines
    with pytest.raises(BadInput, match="is complete already"):
        await Export(estate, PROJECT, path).run(silent)
    path.write_bytes(lines[: len(lines) // 2])
    with pytest.raises(BadInput, match="is of the project 'demo'"):
        await Export(estate, "other", path).run(silent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind":"project","project_id":"p","format":1}\n', "is not whole"),
        ('{"kind":"project","project_id":"p","format":7}\n', "has the format 7"),
        ('{"kind":"project","project_id":"p","format":1}\n{"ki', "line 2 of .* is none"),
        ('{"kind":"project","project_id":"p","format":1}\n{"kind":"jobs"}', "line 2 of .* is none"),
    ],
)
def test_a_file_that_is_no_whole_export(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "part.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        FileCatalogue(path)


async def test_an_anonymous_export_names_nobody_and_means_the_same(
    estate: Database, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "nobody.jsonl"
    await Export(estate, PROJECT, path, is_anonymous=True).run(silent)
    text = path.read_text()
    own = columns(Client)
    query = sa.select(own.hostname, own.id, own.user_id).where(own.project_id == PROJECT)
    for row in await estate.rows(query):
        for name in row:
            assert name not in text
    for backup in await estate.rows(sa.select(columns(Backup).backup_name).distinct()):
        assert f'"{backup.backup_name}"' not in text
    assert "/var/" not in text
    await imported(database, path)
    counted = []
    for one in (estate, database):
        backups, jobs = columns(Backup), columns(Job)
        shown = json.loads(text.splitlines()[0])["project_id"]
        first = PROJECT if one is estate else shown
        verdicts = sa.select(backups.restorability, sa.func.count(), backups.mode).where(
            backups.project_id == first
        )
        with_client = (
            sa.select(sa.func.count())
            .join_from(
                Job, Client, sa.and_(jobs.project_id == own.project_id, jobs.client_id == own.id)
            )
            .where(jobs.project_id == first)
        )
        found = await one.rows(verdicts.group_by(backups.restorability, backups.mode))
        counted.append(({tuple(row) for row in found}, await one.scalar(with_client)))
    assert counted[0] == counted[1]
