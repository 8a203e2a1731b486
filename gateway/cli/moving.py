"""The command that brings catalogues here: `freezer-gateway import`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from gateway import migrations
from gateway.cli import mirroring, progress, trustees
from gateway.cli.import_options import (
    DryRun,
    Every,
    Follow,
    ImportSource,
    Projects,
    ReportFile,
    Sample,
    ServiceUrl,
    Tokens,
    Verify,
    WithDeleted,
)
from gateway.cli.options import Config, fail, load_settings, run_on_database
from gateway.db.database import Database
from gateway.errors import GatewayError
from gateway.moving import files, sources
from gateway.moving.counts import RowCounts, RowResult
from gateway.moving.files import FileCatalogue
from gateway.moving.importing import Import
from gateway.moving.layouts import Catalogue, Rows
from gateway.moving.reports import Report
from gateway.moving.sources import Source
from gateway.settings import Settings

REPORT = Path("freezer-import.jsonl")

SHORT = """Import the catalogue of a running freezer-api, or an exported project.

    `freezer-gateway import --help` tells of the import itself.
"""

HELP = """Import the catalogue of a running freezer-api, from its database, or an exported project.

    SOURCE is the URL of freezer-api's database, the path of its `freezer-api.conf`, or a file that
    `freezer-gateway export` has written:

    - `freezer-gateway import mysql://reader:secret@db.example.org/freezer`
    - `freezer-gateway import 'mysql://reader@localhost/freezer?unix_socket=/run/mysqld/mysqld.sock'`
    - `freezer-gateway import sqlite:////var/lib/freezer/freezer.db`
    - `freezer-gateway import /etc/freezer/freezer-api.conf`

    Nothing is ever written there; a user who may only `SELECT` is enough. freezer-api may go on:
    the import sees its database as it is at the start, at any revision of its schema.

    **Stopped?** Run it again: it goes on. **Done?** Run it again as often as you like: it takes
    over what has changed there, and changes nothing else. An item that was changed here after its
    last change there stays as it is here.

    **What is wrong with a row** is no reason to lose it. Everything that the tables can hold is
    kept: unknown words, schedules that stop a scheduler, jobs whose client is gone. Each row with a
    fault is a line of the report, as JSON: `kept` as it is, `altered` (a NaN became null), `left`
    as it is here, or `refused`, with the reason and the whole row.

    **`--follow`** goes on, and mirrors what changes there until the switch. Meanwhile, the projects
    answer 503 to whoever else writes to them, also while the mirror is stopped. `freezer-gateway
    import switch` ends that, and `freezer-gateway import release` if there is to be no switch.

    **`--verify`** compares both sides: numbers of rows and hashes by project and table, and what
    differs side by side. With `--url`, both services are asked for the same items.

    The command adds up that every row that freezer-api has was written, or is in the report, and
    exits with 1 if not.
"""


def import_catalogue(  # noqa: PLR0913 - the command's options
    context: typer.Context,
    *,
    source: ImportSource,
    project: Projects = None,
    dry_run: DryRun = False,
    report: ReportFile = REPORT,
    with_deleted: WithDeleted = None,
    follow: Follow = False,
    every: Every = 5,
    verify: Verify = False,
    url: ServiceUrl = None,
    sample: Sample = "100",
    token: Tokens = None,
    config: Config = None,
) -> None:
    """Import a catalogue; `HELP` is what the command line says of it."""
    chosen = load_settings(config)
    projects = project or ()
    if url is not None and not verify:
        fail("--url needs --verify")
    if follow:
        if verify or dry_run or with_deleted is not None:
            fail("--follow goes with neither --verify, --dry-run nor --with-deleted")
        asked_for = mirroring.Followed(source, projects, report)
        mirroring.follow(chosen, asked_for, every, ready, summary)
        return
    with _opened(source, projects) as (catalogue, opened):
        if verify:
            # Nothing else needs an HTTP client.
            from gateway.cli import verifying  # noqa: PLC0415

            asked = verifying.Asked(projects, url, sample, token or ())
            verifying.verify(chosen, catalogue, asked, context.obj, ready)
        else:
            remarks = Report(report)
            _import(chosen, catalogue, opened, remarks, with_deleted, is_trial=dry_run)


@contextmanager
def _opened(source: str, projects: Sequence[str]) -> Iterator[tuple[Rows, Source | None]]:
    """Open a catalogue, with freezer-api's database if it is one; exit if there is none."""
    opened: Source | None = None
    try:
        if files.is_export(source):
            yield FileCatalogue(Path(source), projects), None
        else:
            opened = sources.open_source(source)
            catalogue = Catalogue(opened, projects)
            typer.echo(f"from {opened.name}, revision {catalogue.revision}", err=True)
            yield catalogue, opened
    except GatewayError as error:
        fail(error.message)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code=1)
    finally:
        if opened is not None:
            opened.close()


def _import(  # noqa: PLR0913 - the command's options
    chosen: Settings,
    catalogue: Rows,
    opened: Source | None,
    report: Report,
    with_deleted: Path | None,
    *,
    is_trial: bool,
) -> None:
    async def run(database: Database) -> tuple[RowCounts, Sequence[str]]:
        await ready(database)
        with progress.shown() as shown:
            zone = chosen.host_time_zone or None
            work = Import(catalogue, database, report, shown, is_trial, zone, with_deleted)
            counts = await work.run()
        keystone_user = None if opened is None else opened.keystone_user
        return counts, await trustees.advice(chosen, counts, keystone_user)

    counts, advice = run_on_database(chosen, run)
    for line in summary(counts, report, is_trial=is_trial):
        typer.echo(line)
    if with_deleted is not None:
        typer.echo(f"the rows that were deleted are in {with_deleted}")
    for line in advice:
        typer.echo(line)
    if faults := list(counts.faults()):
        fail("\n".join(["the counts don't add up:", *faults]), code=1)


async def ready(database: Database) -> None:
    """Upgrade an embedded file; exit if any other database isn't current. Raises Unavailable."""
    state = await migrations.prepare(database)
    if not state.is_servable:
        fail(str(state), code=1)


def summary(
    counts: RowCounts, report: Report, *, is_trial: bool, side: str = "here"
) -> Iterator[str]:
    """Yield the lines that tell what became of the rows; `side` is the one that is written."""
    columns = ("read", *RowResult)
    yield f"{'':<16}" + "".join(f"{name:>11}" for name in columns)
    for table, read, results in counts.tables():
        numbers = (read, *(results[result] for result in RowResult))
        yield f"{table:<16}" + "".join(f"{number:>11,}" for number in numbers)
    if deleted := counts.deleted.total():
        yield f"{deleted:,} rows that were deleted in freezer-api are not among them"
    if counts.reports:
        yield f"{counts.reports:,} action reports, which nothing reads, are not among them either"
    for (outcome, reason), count in sorted(report.counts.items()):
        yield f"{outcome.value}: {count:,} {reason.value}"
    if report.counts:
        yield f"the report is in {report.path}"
    written = counts.total(RowResult.INSERTED) + counts.total(RowResult.UPDATED)
    if is_trial:
        yield f"nothing was written: {written:,} rows would be"
    elif not written:
        yield f"nothing has changed: all of it was {side} already"
