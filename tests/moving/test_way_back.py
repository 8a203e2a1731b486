"""The way back: what the gateway has is in freezer-api's tables, as freezer-api would have it."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.db.database import Database
from gateway.errors import BadInput
from gateway.moving.counts import RowCounts, RowResult
from gateway.moving.exporting import Others, Return
from gateway.moving.layouts import TABLES
from gateway.moving.reports import Report
from gateway.moving.targets import NotTaken, SQLiteTarget, open_target
from gateway.resolvers import backups, jobs
from tests.moving.conftest import Move, Silent
from tests.support.apps import MakeContext
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio

ALL = (*TABLES, "job_actions", "user_credentials")


@dataclass
class Target:
    """freezer-api's tables that are exported to."""

    tables: FreezerTables
    path: Path

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table that aren't deleted, by id."""
        connection = sqlite3.connect(self.path)
        connection.row_factory = sqlite3.Row
        try:
            query = f"SELECT * FROM {table} WHERE deleted = 0 ORDER BY id"  # noqa: S608 - a table
            return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """Return freezer-api's tables, empty."""
    path = tmp_path / "back.db"
    made = FreezerTables(path)
    yield Target(made, path)
    made.close()


@dataclass
class Exported:
    """The end of an export."""

    counts: RowCounts
    report: Sequence[dict[str, Any]]
    only_there: int

    def told(self) -> set[tuple[str, str, str]]:
        """Return the id, the outcome and the reason of each line of the report."""
        return {(line["id"], line["outcome"], line["reason"]) for line in self.report}


@pytest.fixture
def give_back(database: Database, target: Target, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that exports to these tables, and checks that the counts add up."""

    async def exported(**options: Any) -> Exported:
        path = tmp_path / "export.jsonl"
        path.unlink(missing_ok=True)
        opened = open_target(target.tables.url)
        try:
            work = Return(database, opened, Report(path), Silent(), **options)
            counts = await work.run()
        finally:
            opened.close()
        assert list(counts.faults()) == []
        lines = path.read_text().splitlines() if path.exists() else []
        return Exported(counts, [json.loads(line) for line in lines], work.only_there.total())

    return exported


def fill(tables: FreezerTables) -> None:
    """Make a catalogue of two projects, without faults."""
    words = json.dumps(["backup", "restore"])
    tables.client("web-1", description="The web server", supported_actions=words)
    tables.client("central", project_id="p2", is_central=1, hostname=None)
    states = {"j1": {"status": "completed", "result": "success"}}
    tables.session(
        "s1", job=json.dumps(states, separators=(",", ":")), result="success", description="s"
    )
    tables.action("a1", path_to_backup="/etc", timeout=60, mandatory=1, log_file="/var/log/é")
    tables.action("a2", action="restore")
    schedule = {"schedule_interval": "1 days", "status": "scheduled", "event": ""}
    text = json.dumps(schedule, separators=(",", ":"))
    tables.job("j1", "a2", "a1", "a2", schedule=text, session_id="s1")
    tables.job("j2", client_id="central", project_id="p2", schedule=text)
    tables.insert("user_credentials", "c1", trust_id="t1", trustor_user_id="u1", job_id="j2")
    for number in range(7):
        metadata = METADATA | {"time_stamp": 1_700_000_000 + number, "job_id": "j1", "n": "💾"}
        tables.backup(f"b{number}", metadata, project_id="p2" if number == 6 else "p1", job_id="j1")
    tables.run("UPDATE backups SET updated_at = '2026-02-03 04:05:06' WHERE id = 'b3'")


def plain(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as it is compared: by the second, and without the ids that links have."""
    lists = table in {"job_actions", "user_credentials"}
    shown = {name: value for name, value in row.items() if not (lists and name == "id")}
    shown |= {name: str(shown[name])[:19] for name in ("created_at", "updated_at") if shown[name]}
    for name, value in shown.items():
        if isinstance(value, str) and value.startswith(("{", "[")):
            shown[name] = json.loads(value)
    return shown


async def test_what_was_imported_is_exported_as_it_was(
    tables: FreezerTables, move: Move, target: Target, give_back: Callable[..., Any], tmp_path: Path
) -> None:
    fill(tables)
    await move()
    exported = await give_back()
    assert exported.report == []
    assert exported.counts.total(RowResult.INSERTED) == 17
    source = Target(tables, tmp_path / "freezer.db")
    for table in ALL:
        there, back = source.rows(table), target.rows(table)
        if table == "actions":
            for row in there:
                # freezer-api shows these keys from its columns, whatever the document has.
                document = json.loads(row["backup_metadata"])
                keys = {"path_to_backup", "timeout", "log_file"} & row.keys()
                document |= {key: row[key] for key in keys if row[key] is not None}
                row["backup_metadata"] = json.dumps(document | {"action": row["action"]})
        key = lambda row: json.dumps(row, sort_keys=True)  # noqa: E731 - of both sides
        expected = sorted((plain(table, row) for row in there), key=key)
        assert sorted((plain(table, row) for row in back), key=key) == expected, table


async def test_a_second_export_changes_nothing(
    tables: FreezerTables, move: Move, target: Target, give_back: Callable[..., Any]
) -> None:
    fill(tables)
    await move()
    await give_back()
    before = {table: target.rows(table) for table in ALL}
    again = await give_back()
    assert again.counts.total(RowResult.UNCHANGED) == 17
    assert {table: target.rows(table) for table in ALL} == before


async def test_what_has_changed_here_is_taken_over(
    tables: FreezerTables,
    move: Move,
    target: Target,
    give_back: Callable[..., Any],
    make_ctx: MakeContext,
) -> None:
    fill(tables)
    await move()
    await give_back()
    await jobs.update(make_ctx("p1"), "j1", {"description": "changed here"})
    await backups.update(make_ctx("p1"), "b1", {"metadata": {"note": "here"}})
    await backups.delete(make_ctx("p1"), "b2")
    with pytest.raises(BadInput, match="1 backups"):
        await give_back()
    again = await give_back(others=Others.DELETE)
    assert again.only_there == 1
    assert again.told() == {("b2", "deleted", "not-here")}
    (job,) = (row for row in target.rows("jobs") if row["id"] == "j1")
    assert job["description"] == "changed here"
    stored = {row["id"]: json.loads(row["backup_metadata"]) for row in target.rows("backups")}
    assert stored["b1"]["note"] == "here"
    assert "b2" not in stored
    assert (await give_back()).counts.total(RowResult.UPDATED) == 0


async def test_rows_that_only_freezer_api_has_are_kept_if_so_told(
    move: Move, tables: FreezerTables, target: Target, give_back: Callable[..., Any]
) -> None:
    tables.backup("b1")
    await move()
    target.tables.backup("own")
    target.tables.backup("gone", deleted=1)
    with pytest.raises(BadInput, match="rows that the gateway doesn't have: 1 backups"):
        await give_back()
    assert [row["id"] for row in target.rows("backups")] == ["own"]
    kept = await give_back(others=Others.KEEP)
    assert kept.told() == {("own", "kept", "not-here")}
    assert [row["id"] for row in target.rows("backups")] == ["b1", "own"]


async def test_an_id_of_another_projects_row_and_a_later_change_there_are_told(
    move: Move, tables: FreezerTables, target: Target, give_back: Callable[..., Any]
) -> None:
    tables.backup("b1")
    tables.backup("b2")
    await move()
    target.tables.backup("b1", project_id="p2")
    later = "2027-01-01 00:00:00"
    target.tables.backup("b2", METADATA | {"note": "there"}, updated_at=later)
    exported = await give_back(others=Others.KEEP)
    assert exported.told() >= {("b1", "refused", "id-taken"), ("b2", "left", "changed-there")}
    assert [row["project_id"] for row in target.rows("backups")] == ["p2", "p1"]


async def test_what_the_database_doesnt_take_is_told_and_the_rest_is_written(
    move: Move,
    tables: FreezerTables,
    target: Target,
    give_back: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(tables)
    await move()
    write = SQLiteTarget.write

    def refusing(self: SQLiteTarget, *statements: Any) -> None:
        if any("a1" in values[:1] for query, many in statements for values in many):
            raise NotTaken("it doesn't like a1")
        write(self, *statements)

    monkeypatch.setattr(SQLiteTarget, "write", refusing)
    exported = await give_back()
    assert exported.told() == {
        ("a1", "refused", "not-taken"),
        ("j1:a1", "refused", "no-action"),
    }
    assert [row["id"] for row in target.rows("actions")] == ["a2"]
    assert [row["action_id"] for row in target.rows("job_actions")] == ["a2", "a2"]


async def test_a_trial_writes_nothing(
    move: Move, tables: FreezerTables, target: Target, give_back: Callable[..., Any]
) -> None:
    fill(tables)
    await move()
    assert (await give_back(is_trial=True)).counts.total(RowResult.INSERTED) == 17
    assert [table for table in ALL if target.rows(table)] == []


async def test_only_the_projects_that_are_asked_for(
    move: Move, tables: FreezerTables, target: Target, give_back: Callable[..., Any]
) -> None:
    fill(tables)
    await move()
    target.tables.backup("own", project_id="p3")
    await give_back(projects=["p2"])
    assert {row["project_id"] for row in target.rows("backups")} == {"p2", "p3"}


async def test_a_database_that_isnt_at_the_newest_revision(target: Target) -> None:
    target.tables.run("UPDATE alembic_version SET version_num = '5c9d21e87f34'")
    with pytest.raises(BadInput, match="its revision is '5c9d21e87f34'"):
        open_target(target.tables.url)
