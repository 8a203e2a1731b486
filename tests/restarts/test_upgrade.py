"""A gateway of the revision before goes on serving while the schema is upgraded and downgraded.

It is the gateway of the commit before the one that added the last migration, from git.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway import migrations
from tests.restarts.processes import Gateway, Writer

ROOT = Path(__file__).parents[2]
VERSIONS = "gateway/migrations/versions"
BETWEEN = 20
"""The number of writes that each writer has acknowledged between two changes of the schema."""
SURFACES = ("rest", "graphql")


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S607


@pytest.fixture
def older_checkout(tmp_path: Path) -> Path:
    """Return a folder with the gateway as it was before the last migration was added."""
    newest = migrations.revisions()[0]
    (file,) = (ROOT / VERSIONS).glob(f"{newest}_*.py")
    # Of merges as well, in the history of this branch itself.
    found = ("--first-parent", "-m", "--diff-filter=A", "--format=%H")
    added = git("log", *found, "--", f"{VERSIONS}/{file.name}")
    assert added, "the history of the last migration is missing: a shallow clone, perhaps"
    folder = tmp_path / "older"
    folder.mkdir()
    archive = git("archive", f"{added.split()[-1].decode()}^", "gateway")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)  # noqa: S607
    return folder


def keep_writing(writers: Sequence[Writer]) -> None:
    """Return when each writer has had many more writes acknowledged."""
    moment = time.monotonic()
    for writer in writers:
        writer.wait_for(BETWEEN, moment)


def test_an_older_gateway_serves_while_the_schema_changes(
    empty_url: str, older_checkout: Path, tmp_path: Path
) -> None:
    older = Gateway(tmp_path / "older.log", database_url=empty_url, checkout=older_checkout)
    newer = Gateway(tmp_path / "newer.log", database_url=empty_url)
    newest, before = migrations.revisions()[:2]
    assert f"at revision {before}" in older.run("db", "upgrade")
    with ExitStack() as stack:
        stack.callback(newer.terminate)
        stack.callback(older.terminate)
        older.start()
        older.wait_until_it_serves()
        writers = [
            stack.enter_context(Writer(surface, older.address, f"older-{surface}"))
            for surface in SURFACES
        ]
        for writer in writers:
            writer.go("upgrade")
        keep_writing(writers)
        assert f"at revision {newest}" in newer.run("db", "upgrade")
        keep_writing(writers)
        newer.start()
        newer.wait_until_it_serves()
        others = [
            stack.enter_context(Writer(surface, newer.address, f"newer-{surface}"))
            for surface in SURFACES
        ]
        for writer in others:
            writer.go("upgrade")
        keep_writing([*writers, *others])
        for writer in others:
            writer.pause()
        newer.terminate()
        assert f"at revision {before}" in newer.run("db", "downgrade")
        keep_writing(writers)
        for writer in writers:
            writer.pause()
    told = [event for writer in [*writers, *others] for _, event in writer.events]
    failed = [event for event in told if "reason" in event]
    outcomes = Counter(event["outcome"] for event in told if "outcome" in event)
    print(f"\n{before} to {newest} and back, under {dict(outcomes)}")  # noqa: T201
    assert failed == []
    assert set(outcomes) == {"acknowledged"}
