"""The commands that end a mirror: `freezer-gateway import switch`, and `import release`."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway.auth import endpoints
from gateway.cli import moving, progress, trustees
from gateway.cli.mirroring import Followed
from gateway.cli.options import Config, fail, load_settings, run_on_database
from gateway.db.database import Database
from gateway.errors import BadInput
from gateway.moving import mirrors, switching
from gateway.moving.switching import Refused, Switched
from gateway.settings import Settings

WATCH_SECONDS = 5
"""The time between two looks at the schedulers that arrive."""
MAX_NAMED = 50
"""The clients, at most, that are named."""


Origin = Annotated[
    str, typer.Argument(help="A URL, or the path of a freezer-api.conf.", metavar="SOURCE")
]
Projects = Annotated[
    list[str] | None,
    typer.Option(help="Switch this project only; may be repeated.", metavar="ID"),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="freezer-api's address, where nobody must answer any more. Not needed where its "
        "database is read-only.",
        metavar="URL",
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="Change Keystone's endpoints of the backup service to this address of the "
        "gateway, as the user of the settings, who must be an administrator.",
        metavar="URL",
    ),
]
Despite = Annotated[
    bool,
    typer.Option(
        "--despite-differences",
        help="Switch even if both sides differ, as by items that were changed here.",
    ),
]
Watch = Annotated[
    int,
    typer.Option(help="How long to wait for the schedulers.", metavar="SECONDS", min=0),
]
ReportFile = Annotated[Path, typer.Option(help="File of the rows with a fault.", metavar="FILE")]


def switch(  # noqa: PLR0913 - the command's options
    *,
    source: Origin,
    project: Projects = None,
    url: Address = None,
    catalogue: Endpoint = None,
    despite_differences: Despite = False,
    watch: Watch = 180,
    report: ReportFile = moving.REPORT,
    config: Config = None,
) -> None:
    """Switch from freezer-api to the gateway.

    Refuses unless freezer-api's database is read-only, or nobody answers at --url. Then does the
    last pass, compares both sides, looks once more that nothing is written, and lets the gateway's
    users write. It prints the change of Keystone's endpoints, or makes it, and names the clients
    whose schedulers don't arrive. If it refuses, nothing has changed but rows that were brought.
    """
    chosen = load_settings(config)
    try:
        if catalogue is not None:
            endpoints.check(chosen)
    except BadInput as error:
        fail(error.message)
    followed = Followed(source, project or (), report)

    async def run(database: Database) -> None:
        await moving.ready(database)
        done = await _switched(database, chosen, followed, url, despite=despite_differences)
        _tell_endpoints(chosen, catalogue)
        await _watch(database, done, watch)

    try:
        run_on_database(chosen, run)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code=1)


async def _switched(
    database: Database, chosen: Settings, followed: Followed, url: str | None, *, despite: bool
) -> Switched:
    """Switch, and tell of it; exit if it is refused. Raises Unavailable."""
    # Nothing else needs its HTTP client.
    from gateway.cli import verifying  # noqa: PLC0415

    check = partial(switching.check_closed, url=url)
    with progress.shown() as shown:
        mirror = followed.mirror(chosen, database, shown)
        try:
            done = await switching.switch(mirror, check, despite_differences=despite)
        except Refused as error:
            if error.differing:
                for line in (
                    *verifying.table(error.differing),
                    *verifying.side_by_side(error.differences),
                ):
                    typer.echo(line)
            fail(f"not switched: {error.message}", code=1)
    for line in (
        *moving.summary(done.counts, mirror.report, is_trial=False),
        *await trustees.advice(chosen, done.counts, mirror.keystone_user),
        *verifying.table(done.compared),
        f"switched: {len(done.projects):,} projects may be written to here",
    ):
        typer.echo(line)
    return done


def release(
    *,
    project: Annotated[
        list[str] | None,
        typer.Option(help="Free this project only; may be repeated.", metavar="ID"),
    ] = None,
    config: Config = None,
) -> None:
    """Let the gateway's users write to projects that mirror a source, without a switch.

    For a mirror that has died, or a move that is given up. A mirror of them that still runs ends.
    """

    async def run(database: Database) -> None:
        await moving.ready(database)
        held = await mirrors.marked(database)
        for unknown in sorted({*(project or ())} - held.keys()):
            typer.echo(f"{unknown} is no mirror")
        wanted = held.keys() & {*project} if project else held.keys()
        for freed in await mirrors.free(database, wanted):
            typer.echo(f"{freed} is free: it was a mirror of {held[freed]}")
        if not held:
            typer.echo("no project is a mirror")

    run_on_database(load_settings(config), run)


def _tell_endpoints(chosen: Settings, url: str | None) -> None:
    """Change Keystone's endpoints to an address, or print how that is done."""
    if url is not None:
        for line in endpoints.change(chosen, url):
            typer.echo(line)
        return
    typer.echo("now let Keystone name the gateway, where its address isn't freezer-api's own:")
    typer.echo("  openstack endpoint list --service backup")
    typer.echo("  openstack endpoint set --url URL ENDPOINT")


async def _watch(database: Database, done: Switched, seconds: int) -> None:
    """Wait for the schedulers of all clients, and name those that haven't come."""
    ends = time.monotonic() + seconds
    while missing := await switching.missing(database, done.projects, done.at):
        left = ends - time.monotonic()
        if left <= 0:
            break
        typer.echo(f"waiting for the schedulers of {len(missing):,} clients", err=True)
        await asyncio.sleep(min(WATCH_SECONDS, left))
    if not missing:
        typer.echo("the schedulers of all clients have arrived")
        return
    typer.echo(
        f"the schedulers of {len(missing):,} clients haven't asked for their jobs here. One that "
        "is configured with OS_BACKUP_URL, or was started before, doesn't follow the catalogue:"
    )
    for project_id, client_id in missing[:MAX_NAMED]:
        typer.echo(f"  {client_id} of the project {project_id}")
    if len(missing) > MAX_NAMED:
        typer.echo(f"  and {len(missing) - MAX_NAMED:,} more")
