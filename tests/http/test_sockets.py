"""WebSockets of the real server: their handshake, their limits, and the codes that close them."""

import json
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.live import PATIENCE, LiveGateway, live
from tests.support.raw_http import raw
from tests.support.sockets import PROTOCOL

LIVE = "subscription { live(interval: 200) { clients { nodes { clientId } } } }"
QUERY = "{ clients { nodes { clientId } } }"
MORE_THAN_FITS = 60
"""Answers that are more than the buffers of both sides take."""
HANDSHAKE = (
    "GET {path} HTTP/1.1\nHost: localhost\nConnection: Upgrade\nUpgrade: websocket\n"
    "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n"
    f"Sec-WebSocket-Protocol: {PROTOCOL}"
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Return a gateway with little patience."""
    with live(
        tmp_path_factory.mktemp("sockets"),
        sample_data=False,
        stream_heartbeat="0.2",
        request_timeout="1",
        max_body_bytes="2000",
    ) as gateway:
        yield gateway


@contextmanager
def opened(
    gateway: LiveGateway, *, begins: bool = True, **given: Any
) -> Iterator[ClientConnection]:
    """Open a socket; unless it `begins`, nothing is sent."""
    url = gateway.url.replace("http", "ws")
    headers = {"X-Project-Id": "p1"} | given.pop("headers", {})
    options = {"subprotocols": [PROTOCOL], "additional_headers": headers, "proxy": None}
    with connect(f"{url}/graphql", **(options | given)) as connection:
        if begins:
            send(connection, type="connection_init")
            assert message(connection) == {"type": "connection_ack"}
        yield connection


def send(connection: ClientConnection, **message: Any) -> None:
    connection.send(json.dumps(message))


def subscribe(connection: ClientConnection, query: str) -> None:
    send(connection, type="subscribe", id="1", payload={"query": query})


def message(connection: ClientConnection) -> Any:
    return json.loads(connection.recv(PATIENCE))


def names(told: Any) -> list[str]:
    data = told["payload"]["data"]
    return [node["clientId"] for node in data.get("live", data)["clients"]["nodes"]]


def closed(connection: ClientConnection) -> int | None:
    """Return the code by which the gateway closes a socket."""
    try:
        while True:
            connection.recv(PATIENCE)
    except ConnectionClosed as end:
        return None if end.rcvd is None else int(end.rcvd.code)


def test_messages_come_as_they_are_made_until_the_gateway_stops(tmp_path: Path) -> None:
    with live(tmp_path, sample_data=False) as gateway, opened(gateway) as live_one:
        subscribe(live_one, LIVE)
        assert names(message(live_one)) == []
        made = httpx.post(f"{gateway.url}/v2/p1/clients", json={"client_id": "one"})
        assert made.status_code == 201
        assert names(message(live_one)) == ["one"]
        with opened(gateway) as idle, opened(gateway, begins=False) as silent:
            gateway.process.send_signal(signal.SIGTERM)
            for connection in (live_one, idle, silent):
                assert closed(connection) == 1012
        assert gateway.process.wait(PATIENCE) in {0, -signal.SIGTERM}
        lines = [json.loads(line) for line in gateway.log.read_text().splitlines() if "{" in line]
        assert not [line for line in lines if line["level"] == "error"]
        sockets = [line for line in lines if line.get("status") == 101]
        assert [line["path"] for line in sockets] == ["/graphql"] * 3


def test_queries_are_logged_as_requests(gateway: LiveGateway) -> None:
    with opened(gateway) as connection:
        subscribe(connection, QUERY)
        assert message(connection)["type"] == "next"
        assert message(connection)["type"] == "complete"
    logged = [json.loads(line) for line in gateway.log.read_text().splitlines() if "{" in line]
    assert [line for line in logged if line.get("method") == "POST" and line["status"] == 200]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([{"type": "nothing"}], 4400),
        ([{"type": "subscribe", "id": "1", "payload": {"query": QUERY}}], 4401),
        ([], 4408),
        ([{"type": "connection_init"}] * 2, 4429),
        (
            [
                {"type": "connection_init"},
                *[{"type": "subscribe", "id": "1", "payload": {"query": LIVE}}] * 2,
            ],
            4409,
        ),
        ([{"type": "connection_init", "payload": {"X-Project-Id": "a b"}}], 4400),
        ([{"type": "ping", "payload": "a" * 3000}], 1009),
    ],
)
def test_the_code_tells_why_a_socket_is_closed(
    gateway: LiveGateway, sent: list[dict[str, Any]], code: int
) -> None:
    with opened(gateway, begins=False) as connection:
        for one in sent:
            send(connection, **one)
        assert closed(connection) == code


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"]])
def test_other_protocols_are_refused(gateway: LiveGateway, subprotocols: list[str] | None) -> None:
    with opened(gateway, begins=False, subprotocols=subprotocols) as connection:
        assert connection.subprotocol is None
        assert closed(connection) == 4406


def test_a_foreign_page_gets_a_response_that_says_why(gateway: LiveGateway) -> None:
    headers = {"Origin": "https://elsewhere.example.org"}
    with pytest.raises(InvalidStatus) as refused, opened(gateway, begins=False, headers=headers):
        pass
    response = refused.value.response
    assert response.status_code == 403
    assert response.body is not None
    (error,) = json.loads(response.body)["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"


def test_a_client_that_answers_no_pings_is_cut_off(gateway: LiveGateway) -> None:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE) as connection:
        connection.sendall(raw(HANDSHAKE.format(path="/graphql")))
        text = json.dumps({"type": "connection_init"}).encode()
        # A masked frame of text; the mask changes nothing.
        connection.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        came = bytearray()
        while part := connection.recv(4096):
            came += part
    assert came.startswith(b"HTTP/1.1 101 ")
    assert b"connection_ack" in came
    assert b"\x89\x04" in came
    assert struct.pack("!H", 1011) + b"keepalive" in came


def ended(gateway: LiveGateway) -> int:
    """Return how many sockets have come to their end."""
    return gateway.log.read_text().count('"status":101')


def test_a_client_that_reads_nothing_is_cut_off(gateway: LiveGateway) -> None:
    before = ended(gateway)
    address = urlsplit(gateway.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect((address.hostname, address.port))
    with connection:
        connection.sendall(raw(HANDSHAKE.format(path="/graphql")))
        texts = [json.dumps({"type": "connection_init"})]
        query = "{ __schema { types { description fields { description args { description } } } } }"
        texts += [
            json.dumps({"type": "subscribe", "id": str(number), "payload": {"query": query}})
            for number in range(MORE_THAN_FITS)
        ]
        for text in texts:
            data = text.encode()
            length = bytes([0x80 | 126]) + struct.pack("!H", len(data))
            connection.sendall(bytes([0x81]) + length + bytes(4) + data)
        while ended(gateway) == before:
            assert httpx.get(f"{gateway.url}/healthcheck", timeout=PATIENCE).is_success


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        # An address without sockets, another method, and another protocol.
        (raw(HANDSHAKE.format(path="/healthcheck")), 200),
        (raw(HANDSHAKE.format(path="/graphql").replace("GET", "POST"), b"{}"), 415),
        (raw(HANDSHAKE.format(path="/graphql").replace("websocket", "h2c")), 400),
        (raw(HANDSHAKE.format(path="/graphql").replace("Version: 13", "Version: 7")), 400),
        (raw(HANDSHAKE.format(path="/graphql").replace("AAAA==", "")), 400),
        (raw(HANDSHAKE.format(path="/graphql").replace("localhost", "a b")), 400),
    ],
)
def test_other_offers_are_answered_by_http(
    gateway: LiveGateway, request_: bytes, status: int
) -> None:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE) as connection:
        connection.sendall(request_)
        assert connection.recv(4096).startswith(b"HTTP/1.1 %d " % status)
