"""Overload on real sockets: requests that come at once, of which one keeps the event loop busy."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.live import LiveGateway, live
from tests.support.raw_http import Answer, Connection, raw

RUNNING, WAITING, KEPT = 1, 30, 15
AT_ONCE = 200

BACKUPS = b'{"query": "{ backups(first: 1000) { nodes { id metadata client { id } } } }"}'
HEADERS = "HTTP/1.1\nHost: localhost\nX-Project-Id: demo\nContent-Type: application/json"
QUERY = raw(f"POST /graphql {HEADERS}", BACKUPS)
LIST = raw(f"GET /v2/demo/backups?limit=500 {HEADERS}")
HEALTH = raw(f"GET /healthcheck {HEADERS}")
WRITE = raw(f"POST /v2/demo/actions {HEADERS}", b'{"freezer_action": {"action": "info"}}')


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Return a gateway that runs one request at a time, and lets few wait."""
    with live(
        tmp_path_factory.mktemp("overload"),
        max_running_requests=str(RUNNING),
        max_waiting_requests=str(WAITING),
        waiting_writes=str(KEPT),
    ) as gateway:
        yield gateway


def asked_at_once(gateway: LiveGateway, *requests: bytes) -> list[Answer]:
    """Send each request on a connection of its own, all before any answer is read."""
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(gateway.url)) for _ in requests]
        for connection, request in zip(connections, requests, strict=True):
            connection.send(request)
        return [connection.read() for connection in connections]


@pytest.mark.parametrize("request_", [QUERY, LIST], ids=["GraphQL", "REST"])
def test_what_is_too_much_is_told_to_come_again(gateway: LiveGateway, request_: bytes) -> None:
    answers = asked_at_once(gateway, *[request_] * AT_ONCE)
    served = [answer for answer in answers if answer.status == 200]
    assert served
    assert len({answer.body for answer in served}) == 1
    refused = [answer for answer in answers if answer.status != 200]
    assert refused
    for answer in refused:
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert b"too many requests are running" in answer.body
    # And it is over at once.
    assert [answer.status for answer in asked_at_once(gateway, *[request_] * 5)] == [200] * 5


def test_writes_have_places_of_their_own(gateway: LiveGateway) -> None:
    answers = asked_at_once(gateway, *[QUERY] * AT_ONCE, *[WRITE] * (KEPT - 1), HEALTH)
    statuses = [answer.status for answer in answers]
    assert 503 in statuses[:AT_ONCE]
    assert statuses[AT_ONCE:] == [*[201] * (KEPT - 1), 200]


def test_who_sends_slowly_takes_no_place(gateway: LiveGateway) -> None:
    head, body = WRITE[:-5], WRITE[-5:]
    with ExitStack() as stack:
        slow = [stack.enter_context(Connection(gateway.url)) for _ in range(3 * WAITING)]
        for connection in slow:
            connection.send(head)
        assert [answer.status for answer in asked_at_once(gateway, *[QUERY] * 5)] == [200] * 5
        for connection in slow:
            connection.send(body)
            assert connection.read().status == 201
