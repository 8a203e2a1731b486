"""Verifying: both sides of a move are the same, or what differs is shown side by side."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway import logs
from gateway.__main__ import app
from gateway.db.database import Database
from gateway.moving.layouts import Catalogue
from gateway.moving.sources import open_source
from gateway.moving.verifying import Compared, Difference, Verification
from gateway.resolvers import backups, jobs
from tests.moving.conftest import Move, Silent
from tests.support.apps import MakeContext
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio


def fill(tables: FreezerTables) -> None:
    """Make a small catalogue of two projects, with a backup that is refused."""
    tables.client("web-1", is_central=1)
    tables.session("s1", job=json.dumps({"j1": {"status": "completed", "result": "success"}}))
    for name in ("a1", "a2"):
        tables.action(name)
    tables.job("j1", "a2", "a1", session_id="s1")
    for number in range(20):
        tables.backup(f"b{number}", METADATA, project_id=f"p{number % 2 + 1}")
    tables.backup("cut", '{"backup_')


class Verified:
    """The end of a comparison."""

    def __init__(self, compared: list[Compared], differences: list[Difference]) -> None:
        self.compared = {(one.table, one.project_id): one for one in compared}
        self.differences = {(one.table, one.id): one for one in differences}

    def differing(self) -> set[tuple[str, str]]:
        """Return the tables and projects that differ."""
        return {key for key, one in self.compared.items() if not one.is_same}


async def compare(tables: FreezerTables, database: Database, *projects: str) -> Verified:
    """Compare both sides."""
    source = open_source(tables.url)
    try:
        catalogue = Catalogue(source, projects, 3)
        work = Verification(catalogue, database, Silent(), projects, ("user_name",))
        return Verified(list(await work.run()), list(await work.differences()))
    finally:
        source.close()


async def test_an_import_makes_both_sides_the_same(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    await move()
    verified = await compare(tables, database)
    assert verified.differing() == set()
    assert verified.differences == {}
    own = verified.compared["backups", "p1"]
    assert (own.there, own.refused, own.here) == (11, 1, 10)
    assert own.hash_there == own.hash_here != ""


async def test_what_differs_is_shown_side_by_side(
    tables: FreezerTables,
    move: Move,
    database: Database,
    make_ctx: MakeContext,
) -> None:
    fill(tables)
    await move()
    tables.run("UPDATE job_actions SET position = 7 WHERE action_id = 'a2'")
    tables.run("DELETE FROM backups WHERE id = 'b3'")
    tables.backup("b99")
    await backups.update(make_ctx("p1"), "b2", {"status": "error"})
    verified = await compare(tables, database)
    assert verified.differing() == {("jobs", "p1"), ("backups", "p1"), ("backups", "p2")}
    job = verified.differences["jobs", "j1"]
    assert (job.there, job.here) == (
        {"job_actions": ["a1", "a2"]},
        {"job_actions": ["a2", "a1"]},
    )
    assert verified.differences["backups", "b3"].there is None
    assert verified.differences["backups", "b99"].here is None
    changed = verified.differences["backups", "b2"]
    assert changed.there is not None
    assert changed.here is not None
    assert changed.there.keys() >= {"status", "updated_at"}
    assert "user_id" not in changed.there
    assert (changed.there["status"], changed.here["status"]) == ("available", "error")


async def test_only_the_projects_that_are_asked_for(
    tables: FreezerTables, move: Move, database: Database
) -> None:
    fill(tables)
    await move(projects=["p2"])
    assert (await compare(tables, database, "p2")).differing() == set()
    assert ("backups", "p1") in (await compare(tables, database)).differing()


async def test_what_is_written_here_is_compared_by_the_second(
    tables: FreezerTables, move: Move, database: Database, make_ctx: MakeContext
) -> None:
    fill(tables)
    await move()
    job = await jobs.update(make_ctx("p1"), "j1", {"description": "changed"})
    second = job.updated_at.strftime("%Y-%m-%d %H:%M:%S")
    tables.run("UPDATE jobs SET description = 'changed', updated_at = ?", second)
    assert (await compare(tables, database)).differing() == set()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, and leave the logs of this process alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.mark.usefixtures("folder")
def test_it_exits_by_what_it_finds(tables: FreezerTables) -> None:
    fill(tables)
    assert run("import", tables.url).exit_code == 0
    result = run("import", tables.url, "--verify")
    assert result.exit_code == 0, result.stderr
    assert "both sides are the same" in result.stdout
    tables.run("UPDATE backups SET status = 'error' WHERE id = 'b2'")
    result = run("import", tables.url, "--verify")
    assert result.exit_code == 1
    assert "backups b2 of the project p1" in result.stdout
    assert "1 chunks of 1 tables differ" in result.stdout


def test_an_export_into_the_tables_has_the_same_hashes(tables: FreezerTables, folder: Path) -> None:
    fill(tables)
    run("import", tables.url)
    back = FreezerTables(folder / "back.db")
    exported = run("export", back.url)
    assert exported.exit_code == 0, exported.stderr
    assert "backups" in exported.stdout
    verified = run("import", back.url, "--verify")
    assert verified.exit_code == 0, verified.stdout
    again = run("export", back.url)
    assert "nothing has changed: all of it was there already" in again.stdout
    back.backup("own")
    refused = run("export", back.url)
    assert refused.exit_code == 1
    assert "1 backups. Say with --others" in refused.stderr
    back.close()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://127.0.0.1:1"], "--url needs --verify"),
        (["--verify", "--sample", "some"], "--sample must be a number or 'all', not 'some'"),
        (["--verify", "--url", "http://127.0.0.1:1"], "freezer-api doesn't answer"),
    ],
)
def test_what_it_cant_do(tables: FreezerTables, arguments: list[str], message: str) -> None:
    fill(tables)
    run("import", tables.url)
    result = run("import", tables.url, *arguments)
    assert result.exit_code in {1, 2}
    assert message in result.stderr


def test_targets_that_cant_be_written(folder: Path) -> None:
    for target, message in (
        ("postgresql://u@h/d", "freezer-api has no database of the kind 'postgresql'"),
        (f"sqlite:///{folder}/none.db", "unable to open database file"),
        ("project.jsonl", "a file has one project"),
    ):
        result: Any = run("export", target)
        assert result.exit_code == 2, target
        assert message in result.stderr
