"""Streams over the real server: they come as they are made, and end when the gateway stops."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.live import PATIENCE, LiveGateway, live

QUERY = {"query": "subscription { live(interval: 200) { clients { nodes { clientId } } } }"}
HEADERS = {"Accept": "text/event-stream", "X-Project-Id": "p1"}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[LiveGateway]:
    """Return a gateway of the test's own."""
    with live(tmp_path, sample_data=False, stream_heartbeat="0.2") as gateway:
        yield gateway


def next_answer(lines: Iterator[str]) -> list[str]:
    """Return the clients of the next event."""
    data = next(line for line in lines if line.startswith("data: "))
    nodes = json.loads(data.removeprefix("data: "))["data"]["live"]["clients"]["nodes"]
    return [node["clientId"] for node in nodes]


def test_events_come_as_they_are_made_until_the_gateway_stops(gateway: LiveGateway) -> None:
    url = f"{gateway.url}/graphql"
    with (
        httpx.Client(timeout=PATIENCE) as client,
        client.stream("POST", url, json=QUERY, headers=HEADERS) as stream,
    ):
        assert stream.status_code == 200
        lines = stream.iter_lines()
        assert next_answer(lines) == []
        made = httpx.post(f"{gateway.url}/v2/p1/clients", json={"client_id": "one"})
        assert made.status_code == 201
        assert next_answer(lines) == ["one"]
        assert next(line for line in lines if line) == ":"
        gateway.process.send_signal(signal.SIGTERM)
        # The end of the answer, not of the connection in the middle of it.
        assert not [line for line in lines if line not in {"", ":"}]
    assert gateway.process.wait(PATIENCE) in {0, -signal.SIGTERM}


def test_a_client_that_goes_away_ends_its_stream(gateway: LiveGateway) -> None:
    url = f"{gateway.url}/graphql"
    with httpx.Client(timeout=PATIENCE) as client:
        for _ in range(3):
            with client.stream("POST", url, json=QUERY, headers=HEADERS) as stream:
                assert next_answer(stream.iter_lines()) == []
    # It can stop at once: nobody is there.
    gateway.process.send_signal(signal.SIGTERM)
    gateway.process.wait(PATIENCE)
    ended = [json.loads(line) for line in gateway.log.read_text().splitlines() if "{" in line]
    requests = [one for one in ended if one.get("path") == "/graphql"]
    assert [one["status"] for one in requests] == [200] * 3
    assert not [one for one in ended if one.get("level") == "error"]
