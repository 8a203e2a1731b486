"""An import that is killed at random moments goes on, and ends as if it had not been.

`GATEWAY_TEST_BACKUPS` is the number of backups, 3,000 if it isn't set.
"""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.catalogue.history import Run
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.db.database import Database
from gateway.settings import load
from tests.support.databases import Server
from tests.support.freezer_tables import METADATA, FreezerTables
from tests.support.live import command

pytestmark = pytest.mark.anyio

BACKUPS = int(os.environ.get("GATEWAY_TEST_BACKUPS", "3000"))
KILLS = 5
TABLES = (Client, Session, Action, Job, JobAction, Backup, Series, Run)


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the catalogue."""
    return {
        table.__name__: [
            tuple(row)
            for row in await database.rows(sa.select(*columns(table)).order_by(*columns(table)[:3]))
        ]
        for table in TABLES
    }


def fill(tables: FreezerTables) -> None:
    """Make a catalogue of three projects, with backups by the thousand, of which some are cut."""
    tables.run("BEGIN")
    for project in ("p1", "p2", "p3"):
        tables.client(f"web-{project}", project_id=project)
        tables.session(f"s-{project}", project_id=project)
        for number in range(20):
            tables.action(f"a{number}-{project}", project_id=project)
            own = {"project_id": project, "client_id": f"web-{project}"}
            tables.job(f"j{number}-{project}", f"a{number}-{project}", **own)
    for number in range(BACKUPS):
        project = f"p{number % 3 + 1}"
        metadata = METADATA | {
            "backup_name": f"series-{number // 7:05}",
            "job_id": f"j{number % 20}-{project}",
            "time_stamp": 1_700_000_000 + number * 86_400,
            "curr_backup_level": number % 7,
        }
        text = json.dumps(metadata)
        cut = text[:50] if number % 1000 == 777 else text
        tables.backup(f"{number:08}", cut, project_id=project)
    tables.run("COMMIT")


def begun(url: str, source: str, report: Path) -> subprocess.Popen[str]:
    """Begin an import."""
    return subprocess.Popen(
        command("import", source, "--report", str(report)),
        env=os.environ | {"GATEWAY_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> str:
    """Return what an import says in the end."""
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return stdout


async def test_it_goes_on_however_often_it_is_killed(
    server: Server, template: str, database_url: str, tables: FreezerTables, tmp_path: Path
) -> None:
    fill(tables)
    reports = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    whole_url = await server.lend(template)
    began = time.monotonic()
    told(begun(whole_url, tables.url, reports[0]))
    seconds = time.monotonic() - began
    for _ in range(KILLS):
        process = begun(database_url, tables.url, reports[1])
        try:
            process.communicate(timeout=random.uniform(0.2, 0.95) * seconds)  # noqa: S311 - no secret
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    told(begun(database_url, tables.url, reports[1]))
    whole, killed = (
        Database(load(database_url=whole_url)),
        Database(load(database_url=database_url)),
    )
    rows = await everything(killed)
    assert len(rows["Backup"]) == BACKUPS - len(range(777, BACKUPS, 1000))
    assert rows == await everything(whole)
    assert reports[0].read_text() == reports[1].read_text()
    again = told(begun(database_url, tables.url, reports[1]))
    assert "nothing has changed: all of it was here already" in again
    assert rows == await everything(killed)
    await whole.close()
    await killed.close()
    await server.take_back(whole_url)
