"""Through PgBouncer in transaction mode, where each statement may find another server behind it.

`make test-pgbouncer` installs Debian's, which knows nothing of prepared statements, and runs these.
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gateway import migrations
from gateway.app import create_app
from gateway.db.database import Database
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Postgres

pytestmark = pytest.mark.anyio

PORT = 6432
PATIENCE = 10
"""How many seconds PgBouncer may take to listen."""
SERVERS = 2
"""How many connections it keeps, for all clients."""
CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
pool_mode = transaction
default_pool_size = {servers}
unix_socket_dir = {folder}
listen_port = {port}
auth_type = any
"""
PAGE = """query($first: Int!) { jobs(first: $first) {
  totalCount nodes { description schedule { interval } actions { nodes { action } } }
} }"""
CREATE = """mutation($name: String!) { createJob(input: {
  description: $name, actions: [{freezerAction: {action: "backup"}}]
}) { job { id description } } }"""


@pytest.fixture
async def server_url(postgres_url: str) -> AsyncIterator[str]:
    """Return the URL of an empty database, past PgBouncer."""
    server = Postgres(postgres_url)
    url = await server.create()
    yield url
    await server.drop(url)


@pytest.fixture
def pooled_url(server_url: str) -> Iterator[str]:
    """Return the URL of the same database, through PgBouncer."""
    with TemporaryDirectory(prefix="gateway-pgbouncer-") as name:
        folder = Path(name)
        server = sa.make_url(server_url)
        (folder / "pgbouncer.ini").write_text(
            CONFIGURATION.format(server=_behind(server), servers=SERVERS, folder=folder, port=PORT)
        )
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [_program(), str(folder / "pgbouncer.ini")],
                stderr=output,
                user=_user(server, folder),
            )
        try:
            _wait(process, folder / f".s.PGSQL.{PORT}", log)
            pooled = sa.URL.create(
                "postgresql",
                username="anyone",
                database=server.database,
                query={"host": str(folder), "port": str(PORT)},
            )
            yield pooled.render_as_string()
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _program() -> str:
    # Debian has it where only root looks.
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "PgBouncer is missing: make pgbouncer"
    return found


def _behind(server: sa.URL) -> str:
    """How PgBouncer is to connect."""
    parts = {
        "host": server.query.get("host", server.host),
        "port": server.query.get("port", server.port),
        "user": server.username,
        "password": server.password,
    }
    return " ".join(f"{key}={value}" for key, value in parts.items() if value)


def _user(server: sa.URL, folder: Path) -> str | None:
    """Whom to run as: root may not, and then it is who runs the server, or nobody."""
    if os.geteuid() != 0:
        return None
    socket = Path(str(server.query.get("host", folder))) / ".s.PGSQL.5432"
    user = socket.owner() if socket.exists() else "nobody"
    shutil.chown(folder, user)
    return user


def _wait(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    patient_until = time.monotonic() + PATIENCE
    while not socket.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < patient_until, log.read_text()
        time.sleep(0.02)


@pytest.fixture
async def client(pooled_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a gateway behind PgBouncer, whose tables were made the same way."""
    settings = load(
        database_url=pooled_url, database_prepared_statements=False, database_pool_size=8
    )
    database = Database(settings)
    await migrations.upgrade(database)
    await database.close()
    async with opened(create_app(settings)) as client:
        yield client


async def graphql(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    """Ask a query that must be answered, and return the data."""
    response = await client.post(
        "/graphql",
        json={"query": query, "variables": variables},
        headers={"X-Project-Id": "p1"},
    )
    body = response.json()
    assert "errors" not in body, body
    return body["data"]


async def rest(client: httpx.AsyncClient, method: str, path: str, **given: Any) -> Any:
    """Send a request to the v2 API that must be answered, and return what it answers."""
    response = await client.request(method, f"/v2/p1/{path}", **given)
    assert response.is_success, response.text
    return response.json() if response.content else None


async def test_everything_at_once(client: httpx.AsyncClient) -> None:
    async def work(number: int) -> None:
        name = f"job {number:02}"
        made = await graphql(client, CREATE, name=name)
        assert made["createJob"]["job"]["description"] == name
        page = (await graphql(client, PAGE, first=100))["jobs"]
        actions = {node["description"]: node["actions"]["nodes"] for node in page["nodes"]}
        assert actions[name] == [{"action": "backup"}]
        job = {"description": f"old {number:02}", "job_actions": []}
        job_id = (await rest(client, "POST", "jobs", json=job))["job_id"]
        assert (await rest(client, "GET", f"jobs/{job_id}"))["description"] == f"old {number:02}"
        await rest(client, "GET", "jobs", params={"limit": 5})
        await rest(client, "DELETE", f"jobs/{job_id}")

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(work(number))
    page = (await graphql(client, PAGE, first=100))["jobs"]
    assert page["totalCount"] == len(page["nodes"]) == 40
