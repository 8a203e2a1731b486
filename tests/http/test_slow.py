"""Requests that arrive slowly, on real sockets: the server ends them, and others don't notice."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.live import LiveGateway, live
from tests.support.raw_http import Connection, raw

pytestmark = pytest.mark.anyio

SENDERS = 600
LENGTH = 100_000
TIMEOUT = 1
MORE_THAN_FITS = 60
"""Requests on one connection whose answers no buffers of a system hold."""
PACE = 0.5
"""Seconds between two bytes."""

HEAD = f"HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: {LENGTH}"
BODIES = [raw(f"POST /graphql {HEAD}"), raw(f"POST /v2/slow/clients {HEAD}")]
HEALTH = raw("GET /healthcheck HTTP/1.1\nHost: localhost")
HEADS = [b"GET /", HEALTH[:-2]]
QUERY = {"query": "{ jobs(first: 1) { totalCount } }"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Return a gateway with little patience."""
    folder = tmp_path_factory.mktemp("slow")
    with live(folder, sample_data=False, request_timeout=str(TIMEOUT)) as gateway:
        yield gateway


def logged(gateway: LiveGateway) -> list[dict[str, object]]:
    """Return the lines of the gateway's log that are there whole."""
    whole, _, _ = gateway.log.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


class Sender(asyncio.Protocol):
    """One end of a connection, and all that the server says on it."""

    def __init__(self) -> None:
        self.answer = b""
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Keep what the server says; a stream would forget it when the connection is reset."""
        self.answer += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, be it that the server closed before it had read everything."""
        del exc
        self.ended.set_result(None)


async def slowly(gateway: LiveGateway, beginning: bytes, more: bytes = b"a") -> bytes:
    """Send the beginning of a request, then a little at a time; return what the server says."""
    address = urlsplit(gateway.url)
    loop = asyncio.get_running_loop()
    transport, sender = await loop.create_connection(Sender, address.hostname, address.port)
    transport.write(beginning)
    while not (await asyncio.wait({sender.ended}, timeout=PACE))[0]:
        transport.write(more)
    return sender.answer


async def until_done(gateway: LiveGateway, slow: asyncio.Future[list[bytes]]) -> Counter[int]:
    """Ask the gateway something, again and again; return how often it answered with a status."""
    statuses: Counter[int] = Counter()
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        while not slow.done():
            response = await client.post("/graphql", json=QUERY)
            statuses[response.status_code] += 1
            assert response.json() == {"data": {"jobs": {"totalCount": 0}}}
    return statuses


@pytest.mark.parametrize("beginnings", [BODIES, HEADS], ids=["bodies", "heads"])
async def test_slow_senders_are_sent_away(gateway: LiveGateway, beginnings: list[bytes]) -> None:
    sent = [slowly(gateway, beginnings[number % 2]) for number in range(SENDERS)]
    slow = asyncio.gather(*sent)
    statuses = await until_done(gateway, slow)
    assert set(statuses) == {200}
    assert [answer.split(b"\r\n")[0] for answer in slow.result()] == [
        b"HTTP/1.1 408 Request Timeout"
    ] * SENDERS
    assert all(b"\r\nconnection: close\r\n" in answer for answer in slow.result())


async def test_a_slow_body_is_answered_as_its_surface_does(gateway: LiveGateway) -> None:
    graphql, rest = await asyncio.gather(*(slowly(gateway, beginning) for beginning in BODIES))
    told = f"the body didn't arrive within {TIMEOUT} s"
    (error,) = json.loads(graphql.split(b"\r\n\r\n")[1])["errors"]
    assert (error["message"], error["extensions"]["code"]) == (told, "BAD_USER_INPUT")
    document = json.loads(rest.split(b"\r\n\r\n")[1])
    assert document == {"title": "Request Timeout", "description": told}
    lines = [line for line in logged(gateway) if line.get("status") == 408]
    assert {line.get("path") for line in lines} >= {"/graphql", "/v2/slow/clients"}


async def test_a_body_that_waits_to_be_asked_for_has_its_time_as_well(
    gateway: LiveGateway,
) -> None:
    answer = await slowly(gateway, raw(f"POST /graphql {HEAD}\nExpect: 100-continue"))
    interim, final = answer.split(b"\r\n\r\n")[:2]
    assert interim == b"HTTP/1.1 100 Continue"
    assert final.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_nobody_reads_doesnt_keep_its_connection(gateway: LiveGateway) -> None:
    # Refused for its length, before it is read.
    beginning = raw("POST /graphql HTTP/1.1\nHost: localhost\nContent-Length: 2000000")
    answer = await slowly(gateway, beginning)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_empty_lines_are_no_request(gateway: LiveGateway) -> None:
    assert await slowly(gateway, b"\r\n", b"\r\n") == b""


async def test_between_two_requests_there_is_time(gateway: LiveGateway) -> None:
    with Connection(gateway.url) as used, Connection(gateway.url) as unused:
        used.send(HEALTH)
        assert used.read().body == b"OK"
        # Longer than a request may take.
        assert (await slowly(gateway, HEADS[0])).startswith(b"HTTP/1.1 408 ")
        for connection in (used, unused):
            connection.send(HEALTH)
            assert connection.read().body == b"OK"


@pytest.fixture(scope="module")
def full_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Return a gateway with little patience, and long answers."""
    folder = tmp_path_factory.mktemp("full")
    with live(folder, request_timeout=str(TIMEOUT), log_level="info") as gateway:
        yield gateway


def test_an_answer_that_nobody_reads_is_given_up(full_gateway: LiveGateway) -> None:
    request = raw("GET /v2/demo/backups?limit=1000 HTTP/1.1\nHost: localhost")
    with Connection(full_gateway.url) as idle, Connection(full_gateway.url) as reading:
        for _ in range(MORE_THAN_FITS):
            idle.send(request)
        # The other one reads its answers, and gets all of them.
        while not given_up(full_gateway):
            reading.send(request)
            assert reading.read().status == 200
        assert idle.drain() < MORE_THAN_FITS * len(reading_body(full_gateway, request))


def given_up(gateway: LiveGateway) -> bool:
    return any(line["event"] == "answer not read" for line in logged(gateway))


def reading_body(gateway: LiveGateway, request: bytes) -> bytes:
    with Connection(gateway.url) as connection:
        connection.send(request)
        return connection.read().body


async def test_a_request_that_breaks_off_is_no_fault(gateway: LiveGateway) -> None:
    for beginning in (*BODIES, *HEADS):
        with Connection(gateway.url) as connection:
            connection.send(beginning + b"a")
    await slowly(gateway, HEADS[0])
    assert [line for line in logged(gateway) if line["level"] in {"error", "warning"}] == []
