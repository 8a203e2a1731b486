"""The command line: `freezer-gateway`, or `python -m gateway`."""

import asyncio
import gc
import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, NoReturn, TypeVar

import structlog
import typer
import uvicorn
from pydantic import SecretStr, ValidationError
from sqlalchemy.exc import DBAPIError

from gateway import __version__, demo, logs, migrations, settings
from gateway.app import create_app
from gateway.auth import policy as rules
from gateway.db.database import Database
from gateway.errors import BadInput, GatewayError, Unavailable, shown
from gateway.origins import is_loopback
from gateway.rest_compat import routes
from gateway.schema import changes, create_schema
from gateway.settings import Settings

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

CONFIG_VARIABLE = "GATEWAY_CONFIG"

Config = Annotated[
    Path | None,
    typer.Option(
        help="A TOML file with settings, such as `port = 9191`; variables come first.",
        envvar=CONFIG_VARIABLE,
        metavar="FILE.toml",
    ),
]

app = typer.Typer(
    name="freezer-gateway",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
db = typer.Typer(no_args_is_help=True, help="The database's schema: `upgrade` and `check`.")
policy = typer.Typer(no_args_is_help=True, help="The rules: who may do what.")
schema = typer.Typer(no_args_is_help=True, help="The GraphQL schema, as a text.")
app.add_typer(db, name="db")
app.add_typer(schema, name="schema")
app.add_typer(policy, name="policy")


def main() -> None:
    """Run the command line."""
    app(prog_name="freezer-gateway")


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        typer.echo(f"freezer-gateway {__version__}")
        raise typer.Exit


@app.callback(
    epilog="""Every setting is a variable, `GATEWAY_PORT` and so on, or a line of a TOML file given
    with `--config` (or in `GATEWAY_CONFIG`): `port = 9191`. `freezer-gateway settings` lists them.

    **Try it**, with an SQLite file in this folder:

    - `freezer-gateway demo`
    - `freezer-gateway serve`, then open http://127.0.0.1:9090/graphql

    **On PostgreSQL**, with `GATEWAY_DATABASE_URL=postgresql://user:password@host/freezer`:

    - `freezer-gateway db upgrade`
    - `freezer-gateway serve`
    """
)
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Serve OpenStack Freezer's backup catalogue over GraphQL and REST v2."""


@app.command()
def serve(
    *,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on, else `GATEWAY_HOST`.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on, else `GATEWAY_PORT`; 0 takes a free one."),
    ] = None,
    insecure_no_auth: Annotated[
        bool,
        typer.Option(
            "--insecure-no-auth",
            help="With `GATEWAY_AUTH=none`, listen on any address: whoever reaches it may read and "
            "change everything.",
        ),
    ] = False,
    config: Config = None,
) -> None:
    """Serve the catalogue, until interrupted.

    An SQLite file is made, or brought up to date, by itself. Any other database must be: if its
    schema is behind or ahead, `serve` says what to run, and ends. If the database doesn't answer,
    `serve` starts all the same, and answers 503 until it does.
    """
    chosen = _settings(config, host=host, port=port)
    if chosen.auth == "none":
        _guard(chosen, insecure=insecure_no_auth)
    try:
        application = create_app(chosen, any_host=insecure_no_auth)
    except (OSError, ValueError) as error:
        # The file of rules, or a certificate.
        _fail(str(error))
    _run(chosen, _ready_if_it_answers)
    listener = _listener(chosen.host, chosen.port)
    server = _Server(
        uvicorn.Config(
            application,
            access_log=False,
            forwarded_allow_ips=list(chosen.trusted_proxies),
            lifespan="on",
            log_config=None,
            proxy_headers=bool(chosen.trusted_proxies),
            server_header=False,
            timeout_graceful_shutdown=10,
            # Longer than proxies keep a connection: they would send a request into one just closed.
            timeout_keep_alive=75,
            ws="none",
        )
    )
    with suppress(KeyboardInterrupt):
        server.run([listener])
    if not server.started:
        raise typer.Exit(1)


@db.command("upgrade")
def db_upgrade(config: Config = None) -> None:
    """Bring the database's schema up to this version of the gateway; nothing, if it is.

    Safe to run on several machines at once, and while an earlier version serves.
    """
    state = _run(_settings(config), migrations.upgrade)
    typer.echo(state)
    raise typer.Exit(0 if state.is_current else 1)


@db.command("check")
def db_check(config: Config = None) -> None:
    """Say whether the database's schema is that of this gateway; if not, fail."""
    state = _run(_settings(config), migrations.check)
    typer.echo(state)
    raise typer.Exit(0 if state.is_current else 1)


@schema.command("print")
def schema_print(
    output: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
) -> None:
    """Print the GraphQL schema, in GraphQL's own language."""
    text = f"{create_schema().as_str()}\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@schema.command("check")
def schema_check(
    old: Annotated[
        Path,
        typer.Argument(
            help="An earlier schema, as `schema print` wrote it.",
            metavar="OLD.graphql",
            exists=True,
            dir_okay=False,
        ),
    ],
    *,
    changelog: Annotated[
        Path | None,
        typer.Option(
            help="Let pass what the first section of this file announces.",
            metavar="CHANGELOG.md",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """List what has changed since an earlier schema and could harm those who use it.

    **Breaking** changes make documents fail that worked. If there are any, so does this command:
    all but those whose line here stands, word for word, in the change log's first section.
    **Dangerous** ones, such as a new value of an enum, may surprise a program.
    """
    try:
        found = changes.compare(old.read_text(encoding="utf-8"), create_schema().as_str())
    except (BadInput, UnicodeDecodeError) as error:
        _fail(f"{old}: {error}")
    said = changes.announced(changelog.read_text(encoding="utf-8")) if changelog else ""
    for change in found.breaking:
        typer.echo(f"breaking: {change}{' (announced)' if change in said else ''}")
    for change in found.dangerous:
        typer.echo(f"dangerous: {change}")
    if not (found.breaking or found.dangerous):
        typer.echo("nothing that could harm anybody has changed")
    if any(change not in said for change in found.breaking):
        raise typer.Exit(1)


@policy.command("sample")
def policy_sample() -> None:
    """Print the default rules, with the requests they guard, as a file for GATEWAY_POLICY_FILE."""
    typer.echo(rules.sample(routes.requests_by_rule()), nl=False)


@app.command("demo")
def load_demo(config: Config = None) -> None:
    """Fill the database with a believable estate to try things on.

    Twelve clients, forty jobs and a year of backups in the project `demo`, a smaller second
    project, and the examples of the REST documentation in a third. Nothing that is there already
    is changed, and a second time adds nothing.
    """

    async def load(database: Database) -> demo.Summary:
        await _ready(database)
        return await demo.load(database)

    added = _run(_settings(config), load)
    counts = ", ".join(f"{count} {kind}" for kind, count in asdict(added).items())
    typer.echo(f"added {counts}" if added else "the sample data is there already")


@app.command("settings")
def print_settings(
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the README's table.")] = False,
) -> None:
    """List every setting: its variable, its default and what it is for."""
    if markdown:
        typer.echo("| variable | default | what for |\n|---|---|---|")
    for variable, default, description in settings.described():
        if markdown:
            shown_default = f"`{default}`" if default else ""
            typer.echo(f"| `{variable}` | {shown_default} | {description} |")
        else:
            typer.echo(f"{typer.style(variable, bold=True)}={default}\n    {description}")


class _Server(uvicorn.Server):
    """Says where to click as soon as it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What there is by now stays for good. The collector takes a tenth of a second for it, and
        # needn't look again; nor often at answers, which are thousands of objects without a circle.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            log.info("listening", url=url, graphql=f"{url}/graphql", rest=f"{url}/v2")


def _guard(chosen: Settings, *, insecure: bool) -> None:
    if insecure:
        log.warning("nobody is authenticated: whoever reaches this address may change everything")
    elif not is_loopback(chosen.host):
        _fail(
            f"with auth = none the gateway listens on loopback only, not on {chosen.host}: set "
            "GATEWAY_AUTH, or add --insecure-no-auth if everybody who reaches this address may "
            "read and change everything",
        )


async def _ready(database: Database) -> None:
    """Bring an embedded file up to date; fail if any other database isn't. Raises Unavailable."""
    state = await migrations.prepare(database)
    if not state.is_current:
        _fail(str(state), code=1)


async def _ready_if_it_answers(database: Database) -> None:
    """Do the same, but let a server that doesn't answer be: the gateway waits for it."""
    try:
        await _ready(database)
    except Unavailable:
        if database.is_sqlite:
            raise


def _run(chosen: Settings, job: Callable[[Database], Awaitable[Result]]) -> Result:
    """Do something with the database, and fail with what it says went wrong."""

    async def run() -> Result:
        database = Database(chosen)
        try:
            return await job(database)
        finally:
            await database.close()

    try:
        if chosen.database.get_backend_name() == "sqlite":
            sqlite3.connect(str(chosen.database.database)).close()
        return asyncio.run(run())
    except GatewayError as error:
        _fail(error.message, code=1)
    except sqlite3.Error as error:
        _fail(f"{chosen.database.database}: {error}", code=1)
    except DBAPIError as error:
        _fail(f"the database says: {error.orig}", code=1)


def _listener(host: str, port: int) -> socket.socket:
    """Take the address before anything else is done, so that it is sure to be free."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        _fail(f"can't listen on {host} port {port}: {str(error.strerror).split(' (')[0]}", code=1)


def _settings(config: Path | None, **given: object) -> Settings:
    """Read the settings, and log as they say; or fail, with a line for each that is wrong."""
    given = {name: value for name, value in given.items() if value is not None}
    try:
        chosen = settings.load(config, **given)
    except ValidationError as error:
        _fail("\n".join(_faults(error)))
    except (OSError, TOMLDecodeError) as error:
        _fail(f"{config}: {error}")
    logs.configure(chosen.log_level, chosen.log_format)
    _warn_of_unknown_variables()
    return chosen


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if not name:
            yield message
        elif fault["type"] == "extra_forbidden":
            yield f"there is no setting '{name}'{_meant(name, Settings.model_fields)}"
        else:
            secret = Settings.model_fields[name].annotation is SecretStr
            yield f"{settings.variable(name)} {message}" + ("" if secret else _not(fault["input"]))


def _not(given: object) -> str:
    return f", not {shown(given)}"


def _meant(name: str, names: Iterable[str]) -> str:
    """Guess which of the names it is meant to be."""
    close = get_close_matches(name, names, 1)
    return f": '{close[0]}' perhaps?" if close else ""


def _warn_of_unknown_variables() -> None:
    names = [CONFIG_VARIABLE, *(name for name, _, _ in settings.described())]
    for name in os.environ:
        if name.startswith(f"{settings.PREFIX}TEST_"):
            continue  # the test suite's own
        if name.startswith(settings.PREFIX) and name not in names:
            log.warning("unknown variable", name=name, meant=_meant(name, names) or None)


def _fail(message: str, code: int = 2) -> NoReturn:
    for line in message.splitlines():
        typer.echo(f"freezer-gateway: {line}", err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
