"""The switch: only when freezer-api writes no more, and both sides are the same."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from gateway import logs
from gateway.__main__ import app
from gateway.catalogue.history import ClientHeartbeat
from gateway.catalogue.tables import Backup, columns, source
from gateway.db.database import Database
from gateway.moving import mirrors, switching
from gateway.moving.following import Mirror
from gateway.moving.sources import Source
from gateway.moving.switching import Refused
from tests.moving.conftest import Move
from tests.support.freezer_tables import FreezerTables
from tests.support.live import command

pytestmark = pytest.mark.anyio

NOBODY = "http://127.0.0.1:1"


class Answering(BaseHTTPRequestHandler):
    """A service that answers, with the status in the path."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(int(self.path.strip("/") or 200))
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    """Return the address of a service that answers."""
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, and leave the logs of this process alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", *arguments])


def fill(tables: FreezerTables) -> None:
    """Make a small catalogue of two projects."""
    tables.client("web-1")
    tables.client("web-2", project_id="p2")
    tables.action("a1")
    tables.job("j1", "a1")
    for number in range(4):
        tables.backup(f"b{number}", project_id=f"p{number % 2 + 1}")


def closed(_: Source) -> str:
    return "it is stopped"


async def test_it_frees_the_projects_when_both_sides_are_the_same(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await mirror.begin()
    tables.backup("b9")
    done = await switching.switch(mirror, closed)
    assert done.projects == ["p1", "p2"]
    assert {one.table for one in done.compared} == {"clients", "actions", "jobs", "backups"}
    assert all(one.is_same for one in done.compared)
    assert await mirrors.marked(database) == {}
    assert await database.scalar(sa.select(sa.func.count(columns(Backup).id))) == 5


async def test_it_refuses_while_freezer_api_may_write(
    tables: FreezerTables, mirror: Mirror, database: Database, service: str
) -> None:
    fill(tables)
    opened = mirror.open_source()
    for url, message in ((None, "may go on writing"), (service, "answers at http")):
        with pytest.raises(Refused, match=message):
            await switching.switch(mirror, lambda one, url=url: switching.check_closed(one, url))
    assert await mirrors.marked(database) == {}
    assert await database.scalar(sa.select(sa.func.count(columns(Backup).id))) == 0
    assert "nobody answers" in switching.check_closed(opened, NOBODY)
    assert "answers 503" in switching.check_closed(opened, f"{service}/503")
    with pytest.raises(Refused, match="with 401"):
        switching.check_closed(opened, f"{service}/401")
    tables.path.chmod(0o400)
    assert switching.check_closed(opened, service) == "its database is read-only"
    opened.close()


async def test_it_refuses_what_is_still_written(
    tables: FreezerTables, mirror: Mirror, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tables)
    await mirror.begin()
    follow = mirror.follow

    async def late() -> object:
        tables.backup("late", created_at="2199-01-01 00:00:00")
        return await follow()

    monkeypatch.setattr(mirror, "follow", late)
    with pytest.raises(Refused, match="still writes: 1 rows"):
        await switching.switch(mirror, closed)
    assert (await mirrors.marked(database)).keys() == {"p1", "p2"}, "as before"


async def test_it_refuses_where_both_sides_differ_unless_that_is_wanted(
    tables: FreezerTables, move: Move, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    await move()
    changed = {"user_id": "u9", "updated_at": datetime(2199, 1, 1, tzinfo=UTC)}
    async with database.write("p1", "p2") as transaction:
        await transaction.execute_many(sa.update(source(Backup)).values(changed), [{}])
    with pytest.raises(Refused, match="differ") as refused:
        await switching.switch(mirror, closed)
    assert {(one.table, one.project_id) for one in refused.value.differing} == {
        ("backups", "p1"),
        ("backups", "p2"),
    }
    assert {one.id for one in refused.value.differences} == {"b0", "b1", "b2", "b3"}
    assert await mirrors.marked(database) == {}, "as before"
    done = await switching.switch(mirror, closed, despite_differences=True)
    assert done.projects == ["p1", "p2"]


async def test_clients_that_dont_arrive_are_named(
    tables: FreezerTables, mirror: Mirror, database: Database
) -> None:
    fill(tables)
    done = await switching.switch(mirror, closed)
    named = [("p1", "web-1"), ("p2", "web-2")]
    assert await switching.missing(database, done.projects, done.at) == named
    own = source(ClientHeartbeat)
    async with database.write("p1") as transaction:
        for project, client, seen in (("p1", "web-1", done.at), ("p2", "web-2", done.at - 9)):
            row = {"project_id": project, "client_id": client, "seen_at": seen}
            await transaction.execute_many(sa.insert(own), [row])
    assert await switching.missing(database, done.projects, done.at) == named[1:]


def test_the_command(tables: FreezerTables, folder: Path) -> None:
    fill(tables)
    refused = run("switch", tables.url, "--watch", "0")
    assert refused.exit_code == 1
    assert "not switched: freezer-api may go on writing" in refused.stderr
    done = run("switch", tables.url, "--watch", "0", "--url", NOBODY)
    assert done.exit_code == 0, done.stderr
    for told in (
        "both sides are the same",
        "switched: 2 projects may be written to here",
        "openstack endpoint set --url URL ENDPOINT",
        "  web-2 of the project p2",
    ):
        assert told in done.stdout
    nobody = run("switch", tables.url, "--url", NOBODY, "--catalogue", NOBODY, "--watch", "0")
    assert "--catalogue needs GATEWAY_AUTH=keystone" in nobody.stderr
    stored = sqlite3.connect(folder / "freezer-gateway.sqlite3")
    assert stored.execute("SELECT count(*) FROM backups").fetchall() == [(4,)]
    stored.close()


def test_projects_are_released_by_command(tables: FreezerTables, folder: Path) -> None:
    fill(tables)
    assert run(tables.url).exit_code == 0
    stored = sqlite3.connect(folder / "freezer-gateway.sqlite3", isolation_level=None)
    stored.execute("UPDATE revisions SET mirror = 'mysql://db/freezer' WHERE project_id > ''")
    refused = run(tables.url, "--follow")
    assert refused.exit_code == 1
    assert "mirrors another source" in refused.stderr
    assert "p1 is free: it was a mirror of mysql://db/freezer" in (
        run("release", "--project", "p1").stdout
    )
    assert "p3 is no mirror" in run("release", "--project", "p3").stdout
    assert stored.execute("SELECT project_id FROM revisions WHERE mirror > ''").fetchall() == [
        ("p2",)
    ]
    stored.close()
    assert "p2 is free" in run("release").stdout
    assert "no project is a mirror" in run("release").stdout


@contextmanager
def following(tables: FreezerTables) -> Iterator[subprocess.Popen[str]]:
    """Run a mirror that holds its projects."""
    process = subprocess.Popen(
        command("import", tables.url, "--follow", "--every", "0.1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("are mirrors of" in line for line in process.stdout)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_mirror_that_runs_is_ended_by_the_switch(tables: FreezerTables, folder: Path) -> None:
    assert folder.exists()
    fill(tables)
    with following(tables) as process:
        done = run("switch", tables.url, "--watch", "0", "--url", NOBODY)
        assert done.exit_code == 0, done.stderr
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "the projects were freed: the mirror has ended" in printed


def test_a_mirror_that_died_holds_its_projects(tables: FreezerTables, folder: Path) -> None:
    assert folder.exists()
    fill(tables)
    with following(tables) as process:
        process.kill()
        process.wait()
    tables.backup("b9")
    refused = run(tables.url)
    assert refused.exit_code == 1
    assert "the project 'p1' is a mirror of sqlite:///" in refused.stderr
    assert "p1 is free" in run("release").stdout
    assert run(tables.url).exit_code == 0


def test_the_help_of_each_command_teaches() -> None:
    options = {"COLUMNS": "200"}
    for arguments, words in (
        ([], ["SOURCE", "--follow", "--every", "switch", "release"]),
        (["switch"], ["read-only", "--url", "--catalogue", "--despite-differences"]),
        (["release"], ["--project", "died"]),
    ):
        result = CliRunner().invoke(app, ["import", *arguments, "--help"], env=options)
        assert result.exit_code == 0
        assert [word for word in words if word not in result.stdout] == []
