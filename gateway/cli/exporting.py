"""The command that takes catalogues away: `freezer-gateway export`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import progress
from gateway.cli.moving import ready, summary
from gateway.cli.options import Config, fail, load_settings, run_on_database
from gateway.db.database import Database
from gateway.errors import GatewayError
from gateway.moving import files, targets
from gateway.moving.counts import RowCounts
from gateway.moving.exporting import Others, Return
from gateway.moving.reports import Report
from gateway.settings import Settings

REPORT = Path("freezer-export.jsonl")

HELP = """Export a project to a file, or the catalogue back into freezer-api's own tables.

    TARGET is a file, or the URL of a database whose tables `freezer-manage db sync` has made:

    - `freezer-gateway export --project ID project.jsonl`
    - `freezer-gateway export mysql://freezer:secret@db.example.org/freezer`

    **A file** has a line of JSON for each item of a project: `freezer-gateway import FILE` reads
    it, into this gateway or another one.

    **freezer-api's tables** get every item as freezer-api would have it. Rows that they have
    already are compared: one that was changed there later stays as it is there. What they can't
    hold is a line of the report. Rows that the gateway doesn't have forbid the export, unless
    `--others` says what becomes of them. `freezer-gateway import TARGET --verify` compares both
    sides afterwards.

    **Stopped?** Run it again: it goes on. Each item is whole; stop the gateways, or their writers,
    for an export of one moment.
"""


def export_catalogue(  # noqa: PLR0913 - the command's options
    *,
    target: Annotated[str, typer.Argument(help="The file, or a URL.", metavar="TARGET")],
    project: Annotated[
        list[str] | None,
        typer.Option(
            help="Export this project only; one for a file, may be repeated for a database.",
            metavar="ID",
        ),
    ] = None,
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous",
            help="In a file: replace names, hosts, paths and ids, the same one always by the same.",
        ),
    ] = False,
    others: Annotated[
        Others, typer.Option(help="In a database: rows that only freezer-api has.")
    ] = Others.REFUSE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="In a database: write nothing but the report.")
    ] = False,
    report: Annotated[
        Path,
        typer.Option(
            help="For a database: file of the rows with a fault, `-` for standard output.",
            metavar="FILE",
        ),
    ] = REPORT,
    config: Config = None,
) -> None:
    """Export a catalogue; `HELP` is what the command line says of it."""
    chosen = load_settings(config)
    projects = project or []
    try:
        if "://" in target:
            if anonymous:
                fail("--anonymous is for a file")
            _give_back(chosen, target, projects, Report(report), others, is_trial=dry_run)
        elif len(projects) != 1:
            fail("a file has one project: say which with --project")
        else:
            _write_file(chosen, Path(target), projects[0], is_anonymous=anonymous)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code=1)


def _write_file(chosen: Settings, file: Path, project: str, *, is_anonymous: bool) -> None:
    async def run(database: Database) -> Mapping[str, int]:
        await ready(database)
        with progress.shown() as shown:
            begun = ""

            def advance(kind: str, count: int) -> None:
                nonlocal begun
                if kind != begun:
                    shown.begin(kind, None)
                    begun = kind
                shown.advance(count)

            work = files.Export(database, project, file, is_anonymous=is_anonymous)
            return await work.run(advance)

    counts = run_on_database(chosen, run)
    typer.echo(", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "empty")


def _give_back(  # noqa: PLR0913 - the command's options
    chosen: Settings,
    text: str,
    projects: Sequence[str],
    report: Report,
    others: Others,
    *,
    is_trial: bool,
) -> None:
    try:
        target = targets.open_target(text)
    except GatewayError as error:
        fail(error.message)

    async def run(database: Database) -> tuple[RowCounts, int]:
        await ready(database)
        with progress.shown() as shown:
            work = Return(database, target, report, shown, projects, others, is_trial)
            return await work.run(), work.only_there.total()

    typer.echo(f"to {target.name}", err=True)
    try:
        counts, only_there = run_on_database(chosen, run)
    finally:
        target.close()
    for line in summary(counts, report, is_trial=is_trial, side="there"):
        typer.echo(line)
    if only_there:
        fate = "marked as deleted" if others is Others.DELETE else "kept"
        typer.echo(f"{only_there:,} rows that only freezer-api has are {fate}")
    if faults := list(counts.faults()):
        fail("\n".join(["the counts don't add up:", *faults]), code=1)
