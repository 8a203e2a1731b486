"""freezer-api's catalogue moves in from MariaDB, at each revision, however often it is killed."""

import asyncio
import gc
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway import migrations
from gateway.db.database import Database
from gateway.errors import Unavailable
from gateway.moving import switching
from gateway.moving.following import Mirror, Unseen
from gateway.moving.layouts import REVISIONS, Catalogue
from gateway.moving.reports import Report
from gateway.moving.sources import open_source
from gateway.moving.switching import Refused
from gateway.moving.verifying import Verification
from gateway.settings import load
from tests.bench.mariadb import MariaDB
from tests.support.live import command

from . import freezer_databases
from .freezer_databases import FreezerDatabase, at_revision, at_revisions, fill, metadata

PROJECTS = ("p1", "p2", "p3")
BACKUPS = 50_000
KILLS = 5
TABLES = ("clients", "sessions", "actions", "jobs", "job_actions", "backups", "series", "runs")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """Return a MariaDB."""
    with freezer_databases.running(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="module")
def databases(server: MariaDB) -> Mapping[str, FreezerDatabase]:
    """Return a database at each revision."""
    return at_revisions(server, *REVISIONS)


def environment(target: Path) -> dict[str, str]:
    """Return the variables of a gateway that keeps its catalogue in this file."""
    return os.environ | {"GATEWAY_DATABASE_URL": f"sqlite:///{target}"}


def moved(source: FreezerDatabase, target: Path, *options: str) -> str:
    """Import a catalogue by the command, and return what it says."""
    done = subprocess.run(
        command("import", source.url, "--report", str(target.with_suffix(".jsonl")), *options),
        env=environment(target),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(target: Path, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table of the gateway's."""
    connection = sqlite3.connect(target)
    try:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()  # noqa: S608 - a table
    finally:
        connection.close()


def column(target: Path, query: str) -> list[Any]:
    """Return the first column of a query's rows."""
    connection = sqlite3.connect(target)
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_of_the_schema_moves_in(
    databases: Mapping[str, FreezerDatabase], tmp_path: Path, revision: str
) -> None:
    source, target = databases[revision], tmp_path / "gateway.db"
    fill(source, 20)
    moved(source, target)
    stored = column(target, "SELECT backup_metadata FROM backups ORDER BY id")
    assert [json.loads(text) for text in stored] == [metadata(number) for number in range(20)]
    inline = "job_actions" not in source.columns
    links = column(target, "SELECT action_id FROM job_actions ORDER BY position")
    assert links[:2] == ["a2-p1", "a1-p1"]
    assert len(links) == (3 if inline else 2)
    named = "user_name" in source.columns["backups"]
    assert set(column(target, "SELECT user_name FROM backups")) == {"jane" if named else None}
    assert (
        column(target, "SELECT path_to_backup FROM actions WHERE id LIKE 'a%-p1'") == ["/etc"] * 2
    )
    before = {table: rows(target, table) for table in TABLES}
    assert "nothing has changed" in moved(source, target)
    assert {table: rows(target, table) for table in TABLES} == before


def test_an_upgraded_catalogue_moves_in_as_the_one_before(server: MariaDB, tmp_path: Path) -> None:
    older = at_revision(server, "4f8c679a1d3b")
    fill(older, 20)
    moved(older, tmp_path / "older.db")
    freezer_databases.upgrade(server, {older.name: "head"})
    moved(older, tmp_path / "newer.db")
    for table in ("clients", "sessions", "backups"):
        assert rows(tmp_path / "older.db", table) == rows(tmp_path / "newer.db", table)
    query = (
        "SELECT freezer_action FROM job_actions JOIN actions ON action_id = id ORDER BY position"
    )
    both = [column(tmp_path / name, query) for name in ("older.db", "newer.db")]
    assert [json.loads(text) for text in both[0]] == [json.loads(text) for text in both[1]]


def test_backups_that_are_left_unread_keep_nobody_waiting(server: MariaDB) -> None:
    made = at_revision(server)
    fill(made, 300)
    source = open_source(made.url)
    pages = Catalogue(source, page_size=10).backups()
    next(pages)
    source.close()
    with pytest.raises(Unavailable):
        next(pages)
    del pages, source
    gc.collect()


def test_an_import_that_is_killed_goes_on(server: MariaDB, tmp_path: Path) -> None:
    source = at_revision(server)
    fill(source, BACKUPS // len(PROJECTS), PROJECTS)
    source.run(
        "UPDATE backups SET backup_metadata = left(backup_metadata, 50) WHERE id LIKE '%777'"
    )
    whole, target = tmp_path / "whole.db", tmp_path / "killed.db"
    begun = time.monotonic()
    moved(source, whole)
    seconds = time.monotonic() - begun
    for _ in range(KILLS):
        process = subprocess.Popen(
            command("import", source.url, "--report", str(tmp_path / "killed.jsonl")),
            env=environment(target),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(random.uniform(0.1, 0.9) * seconds)  # noqa: S311 - no secret
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    moved(source, target)
    for table in TABLES:
        assert rows(target, table) == rows(whole, table), table
    report = (tmp_path / "killed.jsonl").read_text().splitlines()
    cut = sum(str(number).zfill(8).endswith("777") for number in range(BACKUPS // len(PROJECTS)))
    assert len(report) == cut * len(PROJECTS)
    assert "nothing has changed" in moved(source, target)


@pytest.mark.parametrize("revision", [REVISIONS[0], REVISIONS[-1]])
def test_a_mirror_follows(server: MariaDB, tmp_path: Path, revision: str) -> None:
    source = at_revision(server, revision)
    fill(source, 20)

    async def follow() -> None:
        database = Database(load(database_url=f"sqlite:///{tmp_path}/gateway.db"))
        await migrations.upgrade(database)
        report = Report(tmp_path / "report.jsonl")
        opened = partial(open_source, source.url)
        # A page of few rows, and time for all of them.
        mirror = Mirror(opened, database, report, Unseen(), (), None, 7, 600)
        await mirror.begin()
        await changed_and_followed(source, mirror)
        await database.close()

    asyncio.run(follow())


async def changed_and_followed(source: FreezerDatabase, mirror: Mirror) -> None:
    """Change what has a stamp, and then what has none; each time the mirror takes it over."""
    now = "utc_timestamp()"
    passed = await mirror.follow()
    assert passed is not None
    assert passed.written == 0
    source.run(
        f"UPDATE backups SET user_id = 'u2', updated_at = {now} WHERE id LIKE '%03'",  # noqa: S608 - fixed
        f"UPDATE backups SET deleted = 1, deleted_at = {now} WHERE id LIKE '%04'",  # noqa: S608 - fixed
        f"UPDATE jobs SET description = 'new', updated_at = {now}",  # noqa: S608 - fixed
        "COMMIT",
    )
    passed = await mirror.follow()
    assert passed is not None
    assert passed.written > passed.by_comparing == 0
    source.run(
        "UPDATE backups SET user_id = 'u3' WHERE id LIKE '%13'",
        "UPDATE sessions SET description = 'unstamped'",
        "COMMIT",
    )
    passed = await mirror.follow()
    assert passed is not None
    assert passed.written == passed.by_comparing == 2
    opened = mirror.open_source()
    catalogue = Catalogue(opened)
    without = [name for name in ("user_name",) if name not in catalogue.columns["backups"]]
    compared = await Verification(catalogue, mirror.database, Unseen(), (), without).run()
    opened.close()
    assert compared
    assert all(one.is_same for one in compared)
    with pytest.raises(Refused, match="may go on writing"):
        await switching.switch(mirror, partial(switching.check_closed, url=None))
    source.server.run("SET GLOBAL read_only = 1")
    try:
        done = await switching.switch(mirror, partial(switching.check_closed, url=None))
    finally:
        source.server.run("SET GLOBAL read_only = 0")
    assert done.projects == ["p1"]
