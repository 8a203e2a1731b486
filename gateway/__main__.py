"""The command line: `freezer-gateway`, or `python -m gateway`."""

import asyncio
import gc
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import structlog
import typer
import uvicorn

from gateway import __version__, migrations, protocol, settings
from gateway.app import create_app
from gateway.auth import policy as rules
from gateway.auth.threads import WorkerThreads
from gateway.chains import filling
from gateway.cli import demonstration, exporting, moving, schema, switching
from gateway.cli.mirroring import ImportGroup
from gateway.cli.options import Config, fail, load_settings, run_on_database
from gateway.db.database import Database
from gateway.draining import Draining
from gateway.errors import Unavailable
from gateway.origins import is_loopback
from gateway.rest_compat import routes
from gateway.rest_compat.long_polling import LongPolls
from gateway.schema.event_streams import Streams
from gateway.settings import Settings

_CLOSE = (b"connection", b"close")
KEYSTONE_SECONDS = 5
"""Seconds after which requests get a 503 at the stop if Keystone hasn't answered; never more than
half of the time in which running requests may finish."""
ROLLBACK_SECONDS = 5
"""Seconds in which requests that were cut off then roll their transactions back."""

log = structlog.get_logger(__name__)

app = typer.Typer(
    name="freezer-gateway",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    # Only this module may import the application, which `import --verify` asks.
    context_settings={"help_option_names": ["-h", "--help"], "obj": create_app},
)
db = typer.Typer(no_args_is_help=True, help="Upgrade, downgrade or check the database's schema.")
policy = typer.Typer(no_args_is_help=True, help="Print the authorization rules.")
app.add_typer(db, name="db")
app.add_typer(schema.commands, name="schema")
app.add_typer(policy, name="policy")
imports = typer.Typer(cls=ImportGroup, rich_markup_mode="markdown")
imports.command(ImportGroup.DEFAULT, help=moving.HELP)(moving.import_catalogue)
imports.command("switch")(switching.switch)
imports.command("release")(switching.release)
app.add_typer(imports, name="import", help=moving.SHORT)
app.command("demo", help=demonstration.HELP)(demonstration.run_demo)
app.command("export", help=exporting.HELP)(exporting.export_catalogue)

Documents = Annotated[
    Path | None,
    typer.Option(
        help="File of trusted documents, as relay-compiler and graphql-codegen write it, else "
        "`GATEWAY_GRAPHQL_DOCUMENTS`."
    ),
]


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
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
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
    documents: Documents = None,
    insecure_no_auth: Annotated[
        bool,
        typer.Option(
            "--insecure-no-auth",
            help="With `GATEWAY_AUTH=none`, listen on any address: everybody who reaches it can "
            "read and change everything.",
        ),
    ] = False,
    config: Config = None,
) -> None:
    """Serve the catalogue, until interrupted.

    An SQLite file is created or upgraded automatically. For any other database, `serve` exits with
    the command to run if it can't serve the schema as it is. If the database doesn't answer,
    `serve` starts anyway, and answers 503 until it does.
    """
    chosen = load_settings(config, host=host, port=port, graphql_documents=documents)
    if chosen.auth == "none":
        _guard(chosen, insecure=insecure_no_auth)
    try:
        application = create_app(chosen, any_host=insecure_no_auth)
    except (OSError, ValueError) as error:
        # The file of rules or of documents, or a certificate.
        fail(str(error))
    run_on_database(chosen, _ready_if_it_answers)
    listener = _listener(chosen.host, chosen.port)
    server = _Server(
        uvicorn.Config(
            application,
            access_log=False,
            forwarded_allow_ips=list(chosen.trusted_proxies),
            http=protocol.limited(chosen.request_timeout),
            lifespan="on",
            log_config=None,
            proxy_headers=bool(chosen.trusted_proxies),
            server_header=False,
            # A float works as well, whatever its type says.
            timeout_graceful_shutdown=chosen.shutdown_timeout,  # type: ignore[arg-type]
            # Longer than proxies keep a connection: they would send a request into one just closed.
            timeout_keep_alive=75,
            ws="none",
        ),
        application.state,
        chosen.drain_time,
    )
    with suppress(KeyboardInterrupt):
        server.run([listener])
    if not server.started:
        raise typer.Exit(1)


@db.command("upgrade")
def db_upgrade(config: Config = None) -> None:
    """Upgrade the database's schema to this version of the gateway, if it is older.

    Safe to run on several machines at once, and while an earlier version serves. If it is
    interrupted, run it again. In the end, the chains of backups that an earlier version registered
    are worked out; gateways serve meanwhile, and know less of these backups.
    """

    async def upgrade(database: Database) -> migrations.State:
        state = await migrations.upgrade(database)
        if state.is_current:
            await filling.fill(database, typer.echo)
        return state

    state = run_on_database(load_settings(config), upgrade)
    typer.echo(state)
    raise typer.Exit(0 if state.is_current else 1)


@db.command("downgrade")
def db_downgrade(config: Config = None) -> None:
    """Undo the last revision of the database's schema, to go back to an earlier gateway.

    Drops what that revision added, and nothing that the earlier gateway knows. Stop the gateways of
    this version first; earlier ones may go on serving.
    """
    state = run_on_database(load_settings(config), migrations.downgrade)
    typer.echo(f"the database's schema is at revision {state.current}, for the earlier gateway")


@db.command("check")
def db_check(config: Config = None) -> None:
    """Exit with 1 unless this version of the gateway can serve the database's schema."""
    state = run_on_database(load_settings(config), migrations.check)
    typer.echo(state)
    raise typer.Exit(0 if state.is_servable else 1)


@policy.command("sample")
def policy_sample() -> None:
    """Print the default rules, with the requests they guard, as a file for GATEWAY_POLICY_FILE."""
    typer.echo(rules.sample(routes.requests_by_rule()), nl=False)


@app.command("settings")
def print_settings(
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the README's table.")] = False,
) -> None:
    """List every setting: its variable, its default and its purpose."""
    if markdown:
        typer.echo("| variable | default | purpose |\n|---|---|---|")
    for variable, default, description in settings.described():
        if markdown:
            shown_default = f"`{default}`" if default else ""
            typer.echo(f"| `{variable}` | {shown_default} | {description} |")
        else:
            typer.echo(f"{typer.style(variable, bold=True)}={default}\n    {description}")


class _Server(uvicorn.Server):
    """Uvicorn's server, which logs its addresses as soon as it answers, and drains before it stops.

    While it drains it serves everything, but closes each connection after the answer, so that
    nobody sends a request into a connection that is being closed.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: Any,
        drain_time: float,
    ) -> None:
        super().__init__(config)
        self._draining: Draining = state.draining
        self._drain_time = drain_time
        self._keystone_threads: WorkerThreads = state.keystone_threads
        self._streams: Streams = state.streams
        self._long_polls: LongPolls = state.long_polls
        self._stops_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        stops_already = self.should_exit or self._draining.has_begun
        super().handle_exit(sig, frame)
        if sig == signal.SIGTERM and not stops_already and self._draining.is_watched:
            self.should_exit = False
            self._stops_at = time.monotonic() + self._drain_time
            self._draining.has_begun = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A Keystone that hangs would keep its requests until they are cut off: they get a response.
        grace = float(self.config.timeout_graceful_shutdown or 0)
        self._long_polls.stop()
        self._streams.stop(grace / 2)
        patience = min(KEYSTONE_SECONDS, grace / 2)
        asyncio.get_running_loop().call_later(patience, self._keystone_threads.close)
        await super().shutdown(sockets)
        # Requests that were cancelled roll their transactions back: else the server would notice
        # only when it next writes to a connection that is gone.
        if self.server_state.tasks:
            await asyncio.wait([*self.server_state.tasks], timeout=ROLLBACK_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        stops = await super().on_tick(counter)
        if self._draining.has_begun:
            headers = self.server_state.default_headers
            if _CLOSE not in headers:
                headers.append(_CLOSE)
                # Their clients are with another gateway before this one stops.
                self._long_polls.stop()
                self._streams.stop(self._drain_time)
            if not stops and time.monotonic() >= self._stops_at:
                log.info("drained", seconds=self._drain_time)
                return True
        return stops

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # Objects allocated by now stay for good, and collecting them takes a tenth of a second.
        # Answers are thousands of objects without cycles, so collections may be rare.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            log.info("listening", url=url, graphql=f"{url}/graphql", rest=f"{url}/v2")


def _guard(chosen: Settings, *, insecure: bool) -> None:
    if insecure:
        log.warning(
            "nobody is authenticated: everybody who reaches this address can change everything"
        )
    elif not is_loopback(chosen.host):
        fail(
            f"with auth = none the gateway listens on loopback only, not on {chosen.host}: set "
            "GATEWAY_AUTH, or pass --insecure-no-auth to let everybody who reaches this address "
            "read and change everything",
        )


async def _ready(database: Database) -> None:
    """Upgrade an embedded file; exit if any other database isn't current. Raises Unavailable."""
    state = await migrations.prepare(database)
    if not state.is_servable:
        fail(str(state), code=1)
    if database.is_sqlite:
        await filling.fill(database)


async def _ready_if_it_answers(database: Database) -> None:
    """Do the same, but tolerate a server that doesn't answer: the gateway waits for it."""
    try:
        await _ready(database)
    except Unavailable:
        if database.is_sqlite:
            raise


def _listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; exit if the address is taken."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        fail(f"can't listen on {host} port {port}: {str(error.strerror).split(' (')[0]}", code=1)


if __name__ == "__main__":
    main()
