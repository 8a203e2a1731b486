"""Long polls of real servers: several processes, clients that hang up, a server that stops."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway import migrations
from gateway.db.database import Database
from gateway.settings import load
from tests.support.databases import Postgres
from tests.support.live import PATIENCE, LiveGateway, live
from tests.support.raw_http import Connection, raw

LONG = 3600
LIMITS = {"max_wait": str(LONG), "max_streams": "1", "shutdown_timeout": "600"}


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database of each kind, for several processes."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.sqlite3"
        return
    server = Postgres(request.getfixturevalue("postgres_url"))
    url = asyncio.run(server.create())
    asyncio.run(upgraded(url))
    yield url
    asyncio.run(server.drop(url))


async def upgraded(url: str) -> None:
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    await database.close()


@pytest.fixture
def gateways(database_url: str, tmp_path: Path) -> Iterator[tuple[LiveGateway, LiveGateway]]:
    """Return two gateways on one database; of each, one request may wait."""
    settings = LIMITS | {"database_url": database_url}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        live(folders[0], sample_data=False, **settings) as one,
        live(folders[1], sample_data=False, **settings) as two,
    ):
        yield one, two


def poll(tag: str, wait: int = LONG) -> bytes:
    return raw(
        f"GET /v2/p1/clients HTTP/1.1\nHost: localhost\nPrefer: wait={wait}\nIf-None-Match: {tag}"
    )


def tag_of(gateway: LiveGateway) -> str:
    with Connection(gateway.url) as connection:
        connection.send(poll('"none"', 0))
        answer = connection.read()
    assert answer.status == 200
    return answer.headers["etag"]


def until(condition: Callable[[], bool]) -> None:
    patient_until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < patient_until


def hold(gateway: LiveGateway, waiting: Connection, tag: str) -> None:
    """Return when a request on this connection waits."""
    waiting.send(poll(tag))
    patient_until = time.monotonic() + PATIENCE
    while not is_full(gateway, tag):
        assert time.monotonic() < patient_until
        if waiting.is_answered():
            # The other one came before.
            assert waiting.read().status == httpx.codes.SERVICE_UNAVAILABLE
            waiting.send(poll(tag))


def is_full(gateway: LiveGateway, tag: str) -> bool:
    """Return True while a request waits: there is one place."""
    with Connection(gateway.url) as other:
        other.send(poll(tag, 1))
        return other.read().status == httpx.codes.SERVICE_UNAVAILABLE


def test_a_write_at_one_process_answers_at_another(
    gateways: tuple[LiveGateway, LiveGateway],
) -> None:
    one, two = gateways
    tag = tag_of(one)
    with Connection(one.url) as waiting:
        hold(one, waiting, tag)
        made = httpx.post(f"{two.url}/v2/p1/clients", json={"client_id": "one"})
        assert made.status_code == 201
        answer = waiting.read()
        assert answer.status == 200
        assert [each["client"]["client_id"] for each in json.loads(answer.body)["clients"]] == [
            "one"
        ]
        # The connection goes on, and so does the client.
        hold(one, waiting, answer.headers["etag"])
        httpx.post(f"{one.url}/v2/p1/clients", json={"client_id": "two"})
        assert waiting.read().status == 200


def test_it_ends_with_its_client(gateways: tuple[LiveGateway, LiveGateway]) -> None:
    gateway, _ = gateways
    tag = tag_of(gateway)
    with Connection(gateway.url) as waiting:
        hold(gateway, waiting, tag)
    until(lambda: not is_full(gateway, tag))
    whole, _, _ = gateway.log.read_text().rpartition("\n")
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [line["status"] for line in lines if line.get("status") == 499] == [499]
    assert not [line for line in lines if line["level"] == "error"]


def test_it_is_answered_when_the_server_stops(gateways: tuple[LiveGateway, LiveGateway]) -> None:
    gateway, _ = gateways
    tag = tag_of(gateway)
    with Connection(gateway.url) as waiting:
        hold(gateway, waiting, tag)
        gateway.process.send_signal(signal.SIGTERM)
        answer = waiting.read()
        assert answer.status == 304
        assert answer.headers["etag"] == tag
        assert answer.headers["preference-applied"] == f"wait={LONG}"
    assert gateway.process.wait(PATIENCE) in {0, -signal.SIGTERM}
