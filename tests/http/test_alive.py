"""`freezer-gateway demo --alive`, as a user starts it, beside a gateway that serves."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live import PATIENCE, LiveGateway, command, live

FEED = {"query": "subscription { changes { changes { kind operation } } }"}
HEADERS = {"Accept": "text/event-stream", "X-Project-Id": "demo"}
FAST = ("--alive", "--speed", "20000", "--seed", "1")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[LiveGateway]:
    """Return a gateway with the sample data, which changes."""
    with live(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let processes be interrupted, also where the tests are run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    # None of its settings, nor a database, is needed.
    environment = {name: value for name, value in os.environ.items() if "GATEWAY" not in name}
    return subprocess.Popen(
        command("demo", *FAST, *arguments),
        cwd=tmp_path,
        env=environment | {"GATEWAY_LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
    )


def changes(lines: Iterator[str]) -> set[str]:
    """Return the kinds of the changes of the next message."""
    data = next(line for line in lines if line.startswith("data: "))
    message: Any = json.loads(data.removeprefix("data: "))["data"]["changes"]
    return {change["kind"] for change in message["changes"]}


@pytest.mark.usefixtures("interruptible")
def test_an_estate_works_until_it_is_interrupted(gateway: LiveGateway, tmp_path: Path) -> None:
    with (
        httpx.Client(timeout=PATIENCE) as client,
        client.stream("POST", f"{gateway.url}/graphql", json=FEED, headers=HEADERS) as stream,
    ):
        lines = stream.iter_lines()
        changes(lines)
        process = start(tmp_path, "--url", gateway.url)
        try:
            seen: set[str] = set()
            while not seen >= {"JOB", "BACKUP"}:
                seen |= changes(lines)
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    *events, summary = [line for line in errors.decode().splitlines() if line]
    told = [json.loads(event) for event in events]
    assert {"host", "job", "event"} <= told[0].keys()
    assert any(one["event"].startswith("saved ") for one in told)
    assert "runs begun" in summary
    assert "backups registered" in summary


def test_it_ends_after_the_time_that_is_given(gateway: LiveGateway, tmp_path: Path) -> None:
    process = start(tmp_path, "--url", f"{gateway.url}/v2", "--for", "0.5s")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "runs begun" in errors.decode()
