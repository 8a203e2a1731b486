"""The commands of docs/moving.md, run on a small catalogue: what they print is in the page."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.freezer_tables import METADATA, FreezerTables
from tests.support.live import command

PAGE = Path(__file__).parents[2] / "docs" / "moving.md"
SOURCE = "mysql://reader:secret@db.example.org/freezer"
TARGET = "mysql://freezer:secret@db.example.org/freezer_back"
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"freezer-gateway (import (?!switch)(?!.*--follow)(?!.*--url)|export )mysql://")


@dataclass(frozen=True)
class Example:
    """A command of the page, and what the page says that it prints."""

    text: str
    output: str


def examples(page: str) -> Iterator[Example]:
    """Yield the commands with an output that can be run without a network."""
    for block in _BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            text, _, output = part.partition("\n")
            if _RUN.search(text) and output:
                yield Example(text, output)


def fill(tables: FreezerTables) -> None:
    """Make the catalogue of the page."""
    project = {"project_id": "752d8bd4"}
    tables.client("web-1", **project)
    tables.client("db-1", **project)
    tables.session("nightly", **project)
    for name in ("etc", "srv"):
        tables.action(name, path_to_backup=f"/{name}", **project)
    tables.job("job-1", "etc", "srv", session_id="nightly", **project)
    tables.job("job-2", "srv", client_id="db-1", schedule='{"schedule_hour": "25"}', **project)
    for number in range(30):
        metadata = METADATA | {"time_stamp": 1_700_000_000 + 86_400 * number, "job_id": "job-1"}
        tables.backup(f"backup-{number:02}", metadata, **project)
    tables.backup("backup-cut", '{"backup_name": "etc", "contai', **project)
    tables.backup("backup-old", deleted=1, **project)
    tables.insert("action_reports", "etc", **project)


def change(tables: FreezerTables) -> None:
    """Let freezer-api go on."""
    changed = "updated_at = '2026-01-02 03:04:05'"
    tables.run(f"UPDATE backups SET status = 'error', {changed} WHERE id = 'backup-07'")  # noqa: S608 - fixed
    tables.backup("backup-30", project_id="752d8bd4")


def outputs(page: str, folder: Path) -> Iterator[tuple[Example, str]]:
    """Yield the page's commands in their order, with what each really prints."""
    sides = {
        SOURCE: FreezerTables(folder / "freezer.db"),
        TARGET: FreezerTables(folder / "back.db"),
    }
    fill(sides[SOURCE])
    before: Mapping[int, Callable[[FreezerTables], None]] = {2: change}
    try:
        for number, example in enumerate(examples(page)):
            if number in before:
                before[number](sides[SOURCE])
            yield example, _run(example.text, sides, folder)
    finally:
        for tables in sides.values():
            tables.close()


def _run(text: str, sides: Mapping[str, FreezerTables], folder: Path) -> str:
    arguments = text.removeprefix("freezer-gateway ").split()
    for url, tables in sides.items():
        arguments = [tables.url if argument == url else argument for argument in arguments]
    settings = {
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "GATEWAY_LOG_LEVEL": "warning",
    }
    done = subprocess.run(
        command(*arguments),
        env=os.environ | settings,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    printed = done.stdout
    for url, tables in sides.items():
        printed = printed.replace(tables.url, url.replace(":secret@", ":***@"))
    return printed
