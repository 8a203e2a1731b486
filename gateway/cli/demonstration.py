"""The command that shows the gateway at work: `freezer-gateway demo`, with an estate that lives."""

import asyncio
import logging
import random
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import httpx
import structlog
import typer

from gateway import demo
from gateway.chains import filling
from gateway.cli.moving import ready
from gateway.cli.options import Config, fail, load_settings, run_on_database
from gateway.db.database import Database
from gateway.demo.alive import Alive, NoHostsError
from gateway.demo.runs import Event
from gateway.demo.service import Service, ServiceError
from gateway.settings import Settings

log = structlog.get_logger(__name__)

SPEED = 300
PROJECT = "demo"
REQUEST_SECONDS = 30
MAX_SPEED = 1_000_000
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on

HELP = f"""Load sample data: a believable estate to try the gateway on; or let it work.

    It has fourteen clients, fifty jobs and a year of backups in the project `demo`, a smaller
    second project, and the examples of the REST documentation in a third. Existing data stays as
    it is; running the command again adds nothing.

    **`--alive`** loads nothing: it plays the schedulers and agents of a project's clients, for as
    long as you let it. They poll a gateway that serves, run their jobs, fail now and then, register
    backups and take part in sessions, all over REST v2. Start, stop or abort a job in GraphiQL, and
    they do so. In two terminals:

    - `freezer-gateway demo`, then `freezer-gateway serve`
    - `freezer-gateway demo --alive`

    Jobs run as often as their schedules say, `--speed` times as fast, and at all hours: with
    {SPEED}, a nightly job runs every five minutes, and an hour of work takes twelve seconds. The
    times that they tell are real. Ctrl-C ends it; jobs that run then are gone on with next time.
    """

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


def seconds_of(text: str) -> float:
    """Return a duration such as `90s`, `10m` or `1h30m` in seconds. Raises BadParameter."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise typer.BadParameter(f"{text!r} is no duration, such as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def run_demo(  # noqa: PLR0913 - the command's options
    *,
    alive: Annotated[
        bool, typer.Option("--alive", help="Let the clients of a project work, until Ctrl-C.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(help="With --alive: the gateway, else that of the settings on this host."),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help=f"With --alive: the project, else `{PROJECT}`.", metavar="ID")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help=f"With --alive: how many times as fast as in reality, else {SPEED}."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="With --alive: a number that decides what happens to whom."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            "--for",
            help="With --alive: end after so long, as 90s, 10m or 1h30m.",
            metavar="DURATION",
            parser=seconds_of,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="With --alive: the token of Keystone, for a gateway that wants one.",
            envvar="OS_TOKEN",
            show_envvar=True,
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Load the sample data, or let it work; `HELP` is what the command line says of it."""
    given = {"url": url, "project": project, "speed": speed, "seed": seed, "for": duration}
    chosen = load_settings(config)
    if not alive:
        for name, value in given.items():
            if value is not None:
                fail(f"--{name} goes with --alive")
        _load(chosen)
        return
    if speed is not None and not 0 < speed <= MAX_SPEED:
        fail(f"--speed must be above 0, and at most {MAX_SPEED}, not {speed:g}")
    client = _client(url or _address(chosen), token)
    service = Service(client, project or PROJECT)
    chance = random.randrange(2**32) if seed is None else seed  # noqa: S311 - no secret
    estate = Alive(service, _teller(), speed=SPEED if speed is None else speed, seed=chance)
    _work(client, estate, duration)


def _load(chosen: Settings) -> None:
    async def load(database: Database) -> demo.Summary:
        await ready(database)
        if database.is_sqlite:
            await filling.fill(database)
        return await demo.load(database)

    added = run_on_database(chosen, load)
    counts = ", ".join(f"{count} {kind}" for kind, count in asdict(added).items())
    typer.echo(f"added {counts}" if added else "the sample data is there already")


def _address(chosen: Settings) -> str:
    host = "127.0.0.1" if chosen.host in EVERYWHERE else chosen.host
    return f"http://{f'[{host}]' if ':' in host else host}:{chosen.port}"


def _client(url: str, token: str | None) -> httpx.AsyncClient:
    """Return a client of a gateway; exit for what is no address."""
    headers = {"X-Auth-Token": token} if token else {}
    try:
        address = httpx.URL(url.rstrip("/").removesuffix("/v2"))
    except httpx.InvalidURL as error:
        fail(f"--url: {url}: {error}")
    if address.scheme not in {"http", "https"} or not address.host:
        fail(f"--url must be an address such as http://127.0.0.1:9090, not {url}")
    return httpx.AsyncClient(base_url=address, timeout=REQUEST_SECONDS, headers=headers)


def _work(client: httpx.AsyncClient, estate: Alive, duration: float | None) -> None:
    """Let an estate work until it is interrupted; exit if it can't begin."""
    # A line for each request would hide what happens.
    logging.getLogger("httpx").setLevel(logging.WARNING)

    async def run() -> None:
        async with client:
            await estate.run(duration)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        typer.echo(err=True)
    except ServiceError as error:
        fail(f"{error}\nis a gateway there? `freezer-gateway serve` starts one", code=1)
    except NoHostsError as error:
        fail(f"{error}: `freezer-gateway demo` loads some into the project `{PROJECT}`", code=1)
    events = estate.events
    typer.echo(
        f"{events['runs']} runs begun, {events['success']} succeeded, {events['fail']} failed, "
        f"{events['aborted']} aborted; {events['saved']} backups registered",
        err=True,
    )


def _teller() -> Callable[[Event], None]:
    """Return what shows an event: a line on a terminal, one of the log elsewhere."""
    if not sys.stdout.isatty():
        return lambda event: log.info(event.text, host=event.host, job=event.job)

    def show(event: Event) -> None:
        text = typer.style(event.text, fg="red" if event.is_bad else None)
        host = typer.style(f"{event.host:<22}", bold=True)
        typer.echo(f"{datetime.now().astimezone():%H:%M:%S}  {host} {event.job}  {text}")

    return show
