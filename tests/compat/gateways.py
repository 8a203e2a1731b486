"""Gateways in processes of their own, on PostgreSQL, that ask a Keystone and stand in its list."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databases import Postgres
from live import LiveGateway, command, live

from .keystone import PASSWORD, Keystone

ACCOUNT = {"keystone_username": "gateway", "keystone_password": PASSWORD}
"""By which the gateway logs in."""


@contextmanager
def serving(
    keystone: Keystone, postgres_url: str, folder: Path, **settings: str
) -> Iterator[LiveGateway]:
    """Run a gateway with an empty database; Keystone's catalogue leads to it."""
    url = asyncio.run(Postgres(postgres_url).create())
    settings = {
        "auth": "keystone",
        "keystone_auth_url": keystone.auth_url,
        "database_url": url,
    } | (ACCOUNT | settings)
    variables = {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
    subprocess.run(command("db", "upgrade"), env=os.environ | variables, check=True)
    with live(folder, sample_data=False, **settings) as gateway:
        keystone.register(gateway.url)
        yield gateway
