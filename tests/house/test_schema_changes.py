"""Nobody's queries break unannounced: `schema check`, and what CI makes of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import app
from gateway.schema import changes, create_schema

GIT = shutil.which("git") or "git"
SCRIPT = Path(__file__).parents[2] / ".ci" / "schema-changes"

NOW = create_schema().as_str()
ADDED = NOW.replace("  REMOVED\n", "  REMOVED\n\n  FORGOTTEN\n", 1)
"""An earlier schema, of which a value has been taken away since."""
REMOVED = "Enum value JobStatus.FORGOTTEN was removed."


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a file with the earlier schema in it."""
    file = tmp_path / "old.graphql"
    file.write_text(ADDED)
    return file


def check(*arguments: Path | str) -> Result:
    return CliRunner().invoke(app, ["schema", "check", *map(str, arguments)])


def test_the_same_schema_harms_nobody(old: Path) -> None:
    old.write_text(NOW)
    result = check(old)
    assert (result.exit_code, result.output) == (
        0,
        "no breaking or dangerous changes\n",
    )


def test_a_breaking_change_fails(old: Path) -> None:
    result = check(old)
    assert (result.exit_code, result.output) == (1, f"breaking: {REMOVED}\n")


def test_a_dangerous_change_is_only_told(old: Path) -> None:
    old.write_text(NOW.replace("  REMOVED\n", "  FORGOTTEN\n", 1))
    result = check(old)
    assert result.output.splitlines() == [
        f"breaking: {REMOVED}",
        "dangerous: Enum value JobStatus.REMOVED was added.",
    ]
    old.write_text(NOW.replace('  """The scheduler has removed the job."""\n  REMOVED\n', "", 1))
    result = check(old)
    assert result.exit_code == 0
    assert result.output == "dangerous: Enum value JobStatus.REMOVED was added.\n"


@pytest.mark.parametrize(
    ("before", "after", "breaks"),
    [
        ("a: Int", "a: Int!", []),
        ("a: Int!", "a: Int", ["Field Query.a changed type from Int! to Int."]),
        ("a: Int b: Int", "a: Int", ["Field Query.b was removed."]),
        ("a: Int", "a(b: Int): Int", []),
        ("a: Int", "a(b: Int!): Int", ["A required argument Query.a(b:) was added."]),
    ],
)
def test_what_breaks(before: str, after: str, breaks: list[str]) -> None:
    found = changes.compare(f"type Query {{ {before} }}", f"type Query {{ {after} }}")
    assert found.breaking == breaks


@pytest.mark.parametrize("text", ["", "type Query {", "{ jobs }", "type Query { a: Missing }"])
def test_a_text_that_is_no_schema_is_refused(old: Path, text: str) -> None:
    old.write_text(text)
    result = check(old)
    assert result.exit_code == 2
    assert f"{old}: not a GraphQL schema" in result.output


@pytest.mark.parametrize(
    ("changelog", "passes"),
    [
        (f"# Changes\n\n## Unreleased\n\n- `{REMOVED}` Nobody had it.\n\n## 0.1\n", True),
        (f"# Changes\n\n## Unreleased\n\n- New.\n\n## 0.1\n\n- `{REMOVED}`\n", False),
        (f"# Changes\n\n- `{REMOVED}`\n", False),
        (f"## Unreleased\n- {REMOVED}\n", True),
        ("", False),
    ],
)
def test_what_the_first_section_announces_passes(
    old: Path, tmp_path: Path, changelog: str, *, passes: bool
) -> None:
    file = tmp_path / "CHANGELOG.md"
    file.write_text(changelog)
    result = check(old, "--changelog", file)
    assert result.exit_code == (0 if passes else 1)
    assert result.output == f"breaking: {REMOVED}{' (announced)' if passes else ''}\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository without commits that has CI's script and a change log."""
    folder = tmp_path / "checkout"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / ".ci")
    (folder / "CHANGELOG.md").write_text("## Unreleased\n")
    gateway = tmp_path / "freezer-gateway"
    gateway.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
    gateway.chmod(0o755)
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GATEWAY", str(gateway))
    monkeypatch.chdir(folder)
    git("init", "--quiet", "--initial-branch", "main")
    return folder


def git(*arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run([GIT, *who, *arguments], check=True)


def commit(folder: Path, schema: str) -> None:
    (folder / "schema.graphql").write_text(schema)
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", "a commit")


def run_ci() -> tuple[int, str]:
    script = str(Path(".ci") / "schema-changes")
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_first_commit_has_nothing_to_compare_with(checkout: Path) -> None:
    commit(checkout, NOW)
    assert run_ci() == (0, "there is no earlier schema to compare with\n")


def test_main_is_compared_with_the_commit_before(checkout: Path) -> None:
    commit(checkout, ADDED)
    commit(checkout, NOW)
    status, said = run_ci()
    assert status == 1
    assert f"breaking: {REMOVED}\n" in said
    (checkout / "CHANGELOG.md").write_text(f"## Unreleased\n- `{REMOVED}` As nobody had it.\n")
    assert run_ci()[0] == 0
    # What was announced once is the past now.
    commit(checkout, NOW)
    assert "no breaking or dangerous" in run_ci()[1]


def test_a_branch_is_compared_with_where_it_left_main(checkout: Path) -> None:
    commit(checkout, ADDED)
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    git("checkout", "--quiet", "-b", "branch")
    commit(checkout, NOW)
    commit(checkout, NOW)
    status, said = run_ci()
    assert status == 1
    assert REMOVED in said
