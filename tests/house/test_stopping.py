"""A gateway that is asked to stop: `/readyz` says so first, and running requests finish."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.databases import Postgres
from tests.support.live import PATIENCE, LiveGateway, live

JOB = {"job_id": "j", "description": "before", "job_actions": []}


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """Return the URL of a PostgreSQL database without tables."""
    server = Postgres(postgres_url)
    url = asyncio.run(server.create())
    yield url
    asyncio.run(server.drop(url))


def until(condition: Callable[[], Any]) -> None:
    """Return when the condition holds; a test's time limit is the patience of its reader."""
    while not condition():
        pass


def test_readiness_ends_before_the_service_does(tmp_path: Path) -> None:
    with live(tmp_path, sample_data=False, drain_time="600") as gateway:
        with httpx.Client(base_url=gateway.url) as client:
            ready = client.get("/readyz")
            assert (ready.status_code, ready.text) == (200, "OK")
            assert "Connection" not in ready.headers
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: client.get("/readyz").status_code == 503)
            stopping = client.get("/readyz")
            assert "about to stop" in stopping.text
            assert int(stopping.headers["Retry-After"]) > 0
            assert client.get("/healthcheck").status_code == 200
            # So that a proxy's kept connections end without a request in them.
            until(lambda: client.get("/v2/p/jobs").headers.get("Connection") == "close")
            assert client.post("/v2/p/jobs", json=JOB).status_code == 201
        # Whoever asks twice doesn't want to wait.
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(PATIENCE)


def test_nobody_waits_for_a_proxy_that_is_not_there(tmp_path: Path) -> None:
    with live(tmp_path, sample_data=False, drain_time="600") as gateway:
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(PATIENCE)


def test_an_interrupt_does_not_drain(tmp_path: Path) -> None:
    with live(tmp_path, sample_data=False, drain_time="600") as gateway:
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(PATIENCE) == 0


async def lock(url: str) -> asyncpg.Connection:
    """Return a connection with a transaction that has locked every job."""
    connection = await asyncpg.connect(url)
    await connection.execute("BEGIN")
    await connection.execute("SELECT 1 FROM jobs FOR UPDATE")
    return connection


async def waiters(connection: asyncpg.Connection) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return int(await connection.fetchval(query))


def upgraded(url: str) -> dict[str, str]:
    """Return settings for a database that is upgraded."""
    from gateway import migrations  # noqa: PLC0415 - short tests don't need it
    from gateway.db.database import Database  # noqa: PLC0415
    from gateway.settings import load  # noqa: PLC0415

    async def upgrade() -> None:
        database = Database(load(database_url=url))
        await migrations.upgrade(database)
        await database.close()

    asyncio.run(upgrade())
    return {"database_url": url}


@dataclass(frozen=True)
class Blocked:
    """A gateway with a change that waits for a lock, until `commit`."""

    gateway: LiveGateway
    running: Future[httpx.Response]
    runner: asyncio.Runner
    blocker: Any

    def commit(self) -> None:
        """Give the lock away."""
        self.runner.run(self.blocker.execute("COMMIT"))

    def waiters(self) -> int:
        """Return how many wait for the lock."""
        return self.runner.run(waiters(self.blocker))

    def description(self) -> str:
        """Return what the job is called in the database."""
        query = "SELECT description FROM jobs"
        return str(self.runner.run(self.blocker.fetchval(query)))


@contextmanager
def blocked(url: str, folder: Path, shutdown_timeout: str) -> Iterator[Blocked]:
    """Let a change of the job wait, in a gateway that is then asked to stop."""
    settings = upgraded(url) | {"shutdown_timeout": shutdown_timeout}
    with (
        live(folder, sample_data=False, **settings) as gateway,
        httpx.Client(base_url=gateway.url, timeout=PATIENCE) as client,
        ThreadPoolExecutor() as threads,
        asyncio.Runner() as runner,
    ):
        assert client.post("/v2/p/jobs", json=JOB).status_code == 201
        blocker = runner.run(lock(url))
        change = {"description": "after"}
        running = threads.submit(client.patch, "/v2/p/jobs/j", json=change)
        until(lambda: runner.run(waiters(blocker)) > 0)
        gateway.process.send_signal(signal.SIGTERM)
        yield Blocked(gateway, running, runner, blocker)
        runner.run(blocker.close())


def test_a_running_request_finishes(empty_url: str, tmp_path: Path) -> None:
    with blocked(empty_url, tmp_path, shutdown_timeout="600") as change:
        until(lambda: refuses(change.gateway.url))
        assert not change.running.done()
        change.commit()
        assert change.running.result(PATIENCE).status_code == 200
        change.gateway.process.wait(PATIENCE)
        assert change.description() == "after"


def test_the_grace_time_ends(empty_url: str, tmp_path: Path) -> None:
    with blocked(empty_url, tmp_path, shutdown_timeout="0.1") as change:
        change.gateway.process.wait(PATIENCE)
        until(change.running.done)
        # Rolled back, and its lock is waited for by nobody.
        until(lambda: change.waiters() == 0)
        change.commit()
        assert change.description() == "before"


def refuses(url: str) -> bool:
    """Return True if nothing listens there."""
    try:
        httpx.get(f"{url}/healthcheck")
    except httpx.TransportError:
        return True
    return False
