"""The options that commands share: settings, a database to run on, and how to fail."""

import asyncio
import gc
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, NoReturn, TypeVar

import structlog
import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from gateway import logs, settings
from gateway.db.database import Database
from gateway.errors import GatewayError
from gateway.settings import Settings

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

Config = Annotated[
    Path | None,
    typer.Option(
        help="TOML file of settings, such as `port = 9191`; variables override it.",
        envvar=settings.CONFIG_VARIABLE,
        metavar="FILE.toml",
    ),
]


def load_settings(config: Path | None, **given: object) -> Settings:
    """Return the settings and configure logging; exit with a line for each invalid setting."""
    given = {name: value for name, value in given.items() if value is not None}
    try:
        chosen = settings.load(config, **given)
    except ValidationError as error:
        fail("\n".join(settings.faults(error)))
    except (OSError, TOMLDecodeError) as error:
        fail(f"{config}: {error}")
    logs.configure(chosen.log_level, chosen.log_format)
    for name, meant in settings.unknown_variables(os.environ):
        log.warning("unknown variable", name=name, meant=meant or None)
    return chosen


def fail(message: str, code: int = 2) -> NoReturn:
    """Write a message to standard error. Raises `typer.Exit` with this code."""
    for line in message.splitlines():
        typer.echo(f"freezer-gateway: {line}", err=True)
    raise typer.Exit(code)


def run_on_database(chosen: Settings, job: Callable[[Database], Awaitable[Result]]) -> Result:
    """Run a job on the database and return its result; exit with the message of its failure."""

    async def run() -> Result:
        database = Database(chosen)
        # As `serve` does: rows are very many objects without cycles.
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        try:
            return await job(database)
        finally:
            await database.close()

    try:
        if chosen.database.get_backend_name() == "sqlite":
            sqlite3.connect(str(chosen.database.database)).close()
        return asyncio.run(run())
    except GatewayError as error:
        fail(error.message, code=1)
    except sqlite3.Error as error:
        fail(f"{chosen.database.database}: {error}", code=1)
    except DBAPIError as error:
        fail(f"the database says: {error.orig}", code=1)
