"""Gateways that ask a Keystone: in processes of their own, and in its catalogue; or in this one."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from gateway import migrations
from gateway.app import create_app
from gateway.db.database import Database
from tests.support.databases import Postgres
from tests.support.live import LiveGateway, command, live

from .conftest import keystone_settings
from .keystone import PASSWORD, Keystone

ACCOUNT = {"keystone_username": "gateway", "keystone_password": PASSWORD}
"""By which the gateway logs in."""


def prepared(keystone: Keystone, postgres_url: str) -> dict[str, str]:
    """Return the settings of a gateway with an empty database of the newest revision."""
    url = asyncio.run(Postgres(postgres_url).create())
    asked = {"auth": "keystone", "keystone_auth_url": keystone.auth_url, "database_url": url}
    settings = asked | ACCOUNT
    subprocess.run(command("db", "upgrade"), env=os.environ | variables(settings), check=True)
    return settings


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings as variables of the environment."""
    return {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def serving(
    keystone: Keystone, postgres_url: str, folder: Path, **settings: str
) -> Iterator[LiveGateway]:
    """Run a gateway with an empty database; Keystone's catalogue leads to it."""
    settings = prepared(keystone, postgres_url) | settings
    with live(folder, sample_data=False, **settings) as gateway:
        keystone.register(gateway.url)
        yield gateway


@asynccontextmanager
async def in_this_process(
    keystone: Keystone, folder: Path, **settings: object
) -> AsyncIterator[httpx.AsyncClient]:
    """Start a gateway on an SQLite file, and yield a client of it."""
    given = {"database_url": f"sqlite:///{folder}/gateway.sqlite3"} | settings
    made = keystone_settings(keystone, **given)
    database = Database(made)
    await migrations.upgrade(database)
    await database.close()
    app = create_app(made)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://gateway.example"
        ) as client,
    ):
        yield client
