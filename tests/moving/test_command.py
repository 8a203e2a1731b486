"""The command that imports, as an operator meets it."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import logs
from gateway.__main__ import app
from tests.support.freezer_tables import FreezerTables


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, and leave the logs of this process alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return tmp_path


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(app, ["import", *arguments], env=variables)


def counted(result: Result, table: str) -> list[str]:
    """Return the numbers that are told of a table."""
    (line,) = (line for line in result.stdout.splitlines() if line.startswith(f"{table} "))
    return line.split()[1:]


def test_help_teaches() -> None:
    result = run("--help", COLUMNS="200")
    assert result.exit_code == 0
    words = ["mysql://", "freezer-api.conf", "--project", "--dry-run", "--report", "goes on"]
    assert [word for word in words if word not in result.stdout] == []


def test_it_tells_what_became_of_the_rows(tables: FreezerTables) -> None:
    tables.client("web-1")
    tables.backup("good")
    tables.backup("cut", '{"backup_')
    tables.backup("gone", deleted=1)
    result = run(tables.url)
    assert result.exit_code == 0, result.stderr
    assert counted(result, "clients") == ["1", "1", "0", "0", "0", "0"]
    assert counted(result, "backups") == ["2", "1", "0", "0", "0", "1"]
    assert "1 rows that were deleted" in result.stdout
    assert "refused: 1 not-json" in result.stdout
    line = json.loads(Path("freezer-import.jsonl").read_text())
    assert (line["table"], line["project_id"], line["id"]) == ("backups", "p1", "cut")
    again = run(tables.url)
    assert again.exit_code == 0
    assert counted(again, "backups") == ["2", "0", "0", "1", "0", "1"]
    assert "nothing has changed: all of it was here already" in again.stdout


def test_a_trial_writes_no_rows(tables: FreezerTables, folder: Path) -> None:
    tables.backup("good")
    result = run(tables.url, "--dry-run")
    assert "nothing was written: 1 rows would be" in result.stdout
    stored = sqlite3.connect(folder / "freezer-gateway.sqlite3")
    assert stored.execute("SELECT count(*) FROM backups").fetchall() == [(0,)]
    stored.close()


def test_the_report_may_go_to_standard_output(tables: FreezerTables, folder: Path) -> None:
    tables.backup("cut", '{"backup_')
    result = run(tables.url, "--report", "-")
    assert any(line.startswith('{"table":"backups"') for line in result.stdout.splitlines())
    assert not (folder / "freezer-import.jsonl").exists()


def test_the_database_may_be_named_by_freezer_apis_configuration(
    tables: FreezerTables, folder: Path
) -> None:
    file = folder / "freezer-api.conf"
    login = "username = freezer\nuser_domain_name = Default"
    file.write_text(f"[database]\nconnection = {tables.url}\n[keystone_authtoken]\n{login}\n")
    tables.client("web-1")
    tables.job("j1")
    trust = {"trust_id": "t1", "trustor_user_id": "u1", "job_id": "j1"}
    tables.insert("user_credentials", "c1", **trust)
    keystone = {
        "GATEWAY_AUTH": "keystone",
        "GATEWAY_KEYSTONE_AUTH_URL": "http://127.0.0.1:1",
        "GATEWAY_KEYSTONE_PASSWORD": "secret",
    }
    result = run(str(file), GATEWAY_KEYSTONE_USERNAME="freezer", **keystone)
    assert result.exit_code == 0, result.stderr
    assert "1 jobs work by a trust" in result.stdout
    assert "and does: as freezer (Default)" in result.stdout
    result = run(str(file), GATEWAY_KEYSTONE_USERNAME="other", **keystone)
    assert "freezer (Default), and not as other (Default)" in result.stdout


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.conf", "no file 'nowhere.conf'"),
        ("postgresql://u@h/d", "freezer-api has no database of the kind 'postgresql'"),
        ("sqlite:///nowhere.db", "unable to open database file"),
        ("mysql://u:secret@127.0.0.1:1/freezer", "freezer-api's database says"),
        ("mysql://u@127.0.0.1:1", "SOURCE names no database"),
        ("://", "SOURCE must be"),
    ],
)
def test_a_source_that_cant_be_read(source: str, message: str) -> None:
    result = run(source)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "secret" not in result.stderr + result.stdout


def test_a_database_of_something_else(folder: Path) -> None:
    sqlite3.connect(folder / "other.db").execute("CREATE TABLE t (a)").connection.close()
    result = run(f"sqlite:///{folder}/other.db")
    assert result.exit_code == 2
    assert "is no database of freezer-api: no table" in result.stderr


def test_a_revision_that_nobody_knows(tables: FreezerTables) -> None:
    tables.run("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    result = run(tables.url)
    assert result.exit_code == 2
    assert "the revision 'ffffffffffff', which this gateway doesn't know" in result.stderr


def test_what_was_deleted_is_counted_and_written_to_a_file(tables: FreezerTables) -> None:
    tables.backup("good")
    tables.backup("gone", '{"backup_', deleted=1, deleted_at="2026-01-02 00:00:00")
    tables.job("old", deleted=1)
    tables.insert("action_reports", "a1")
    result = run(tables.url, "--with-deleted", "deleted.jsonl")
    assert result.exit_code == 0, result.stderr
    assert "2 rows that were deleted in freezer-api are not among them" in result.stdout
    assert "1 action reports, which nothing reads" in result.stdout
    lines = [json.loads(line) for line in Path("deleted.jsonl").read_text().splitlines()]
    assert [(line["table"], line["row"]["id"]) for line in lines] == [
        ("jobs", "old"),
        ("backups", "gone"),
    ]
    assert lines[1]["row"]["backup_metadata"] == '{"backup_'
    assert lines[1]["row"]["deleted_at"] == "2026-01-02 00:00:00"
