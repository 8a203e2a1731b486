"""A rolling restart of two gateways behind HAProxy fails no request.

`make test-restart` installs Debian's HAProxy and runs this.
"""

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx

from tests.restarts.processes import Gateway, Writer, free_port, wait_until

ROUNDS = int(os.environ.get("GATEWAY_TEST_ROUNDS", "1"))
"""How often both gateways are restarted, one after the other."""
DRAIN_SECONDS = 3
BETWEEN = 10
"""The number of writes that each writer has acknowledged between two restarts."""
SURFACES = ("rest", "graphql")
CONFIGURATION = """
global
  stats socket {socket} level admin
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  # Else a check must be answered within its interval, and a busy machine looks like a dead one.
  timeout check 10s
  default-server check inter 100ms fall 1 rise 1
  option redispatch
listen gateway
  bind 127.0.0.1:{port}
  option httpchk
  http-check send meth GET uri /readyz hdr Host localhost
  server first {first}
  server second {second}
"""
HEADERS = {"X-Project-Id": "rolling"}
COUNT = {"query": "{ jobs(first: 5) { totalCount nodes { actions { totalCount } } } }"}


@contextmanager
def balanced(folder: Path, first: Gateway, second: Gateway) -> Iterator[tuple[str, Path]]:
    """Run HAProxy in front of two gateways; yield its address, and its socket for commands."""
    found = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "HAProxy is missing: make haproxy"
    port, commands = free_port(), folder / "haproxy"
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        CONFIGURATION.format(port=port, socket=commands, first=first.address, second=second.address)
    )
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([found, "-f", str(configuration)], stdout=log, stderr=log)
    try:
        wait_until(commands.exists, (folder / "haproxy.log").read_text)
        yield f"127.0.0.1:{port}", commands
    finally:
        process.terminate()
        process.wait()


def states(commands: Path) -> dict[str, str]:
    """Return the state of each server, as HAProxy sees it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(commands))
        connection.sendall(b"show stat\n")
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    header, *lines = text.removeprefix("# ").strip().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    return {row["svname"]: row["status"] for row in rows}


class Reader(Thread):
    """Reads over both surfaces on a kept connection, and counts the answers by their status."""

    def __init__(self, address: str, stop: Event) -> None:
        """Take the address to read from, until the event is set."""
        super().__init__(daemon=True)
        self.outcomes: Counter[str] = Counter()
        self._url = f"http://{address}"
        self._ended = stop

    def run(self) -> None:
        """Send one request after the other."""
        with httpx.Client(base_url=self._url) as client:
            while not self._ended.is_set():
                self._read(lambda: client.get("/v2/rolling/jobs?limit=5"))
                self._read(lambda: client.post("/graphql", json=COUNT, headers=HEADERS))

    def _read(self, request: Callable[[], httpx.Response]) -> None:
        try:
            response = request()
        except httpx.TransportError as error:
            self.outcomes[repr(error)] += 1
        else:
            failed = "errors" in response.json()
            self.outcomes["errors" if failed else str(response.status_code)] += 1


def test_a_rolling_restart_fails_no_request(empty_url: str, tmp_path: Path) -> None:
    settings = {"database_url": empty_url, "drain_time": str(DRAIN_SECONDS)}
    gateways = [Gateway(tmp_path / f"{name}.log", **settings) for name in ("first", "second")]
    gateways[0].run("db", "upgrade")
    stop = Event()
    with ExitStack() as stack:
        for gateway in gateways:
            gateway.start()
            stack.callback(gateway.terminate)
        for gateway in gateways:
            gateway.wait_until_it_serves()
        address, commands = stack.enter_context(balanced(tmp_path, *gateways))

        def both_are_up() -> bool:
            found = states(commands)
            return found["first"] == found["second"] == "UP"

        wait_until(both_are_up, lambda: str(states(commands)))
        writers = [
            stack.enter_context(Writer(surface, address, f"w{number}{surface}"))
            for number, surface in enumerate(SURFACES)
        ]
        reader = Reader(address, stop)
        reader.start()
        for writer in writers:
            writer.go("rolling")
        for _ in range(ROUNDS):
            for gateway in gateways:
                moment = time.monotonic()
                for writer in writers:
                    writer.wait_for(BETWEEN, moment)
                gateway.terminate()
                gateway.start()
                gateway.wait_until_it_serves()
                wait_until(both_are_up, lambda: str(states(commands)))
        for writer in writers:
            writer.pause()
        stop.set()
        reader.join()
    writes = Counter(
        event["outcome"] for writer in writers for _, event in writer.events if "outcome" in event
    )
    print(f"\n{ROUNDS * 2} restarts: writes {dict(writes)}, reads {dict(reader.outcomes)}")  # noqa: T201
    failed = [event for writer in writers for _, event in writer.events if "reason" in event]
    assert failed == []
    assert set(writes) == {"acknowledged"}
    assert set(reader.outcomes) == {"200"}
