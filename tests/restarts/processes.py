"""Gateways and writers in processes of their own, that can be killed and started again."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.support.live import PATIENCE, PROGRAM, free_port

Event = dict[str, str]


def wait_until(condition: Callable[[], bool], failure: Callable[[], str]) -> None:
    """Return when the condition holds; fail with the message if it takes too long."""
    patient_until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < patient_until, failure()
        time.sleep(0.05)


class Gateway:
    """A gateway on a port of its own, which it keeps when it is started again."""

    def __init__(
        self,
        log: Path,
        *,
        checkout: Path | None = None,
        **settings: str,
    ) -> None:
        """Take a file to log to, and the settings (`database_url="…"`); start nothing yet.

        With a `checkout`, its gateway is run, and not this one.
        """
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = log
        self._checkout = checkout
        variables = {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
        path = {"PYTHONPATH": str(checkout)} if checkout else {}
        self._environment = {**os.environ, "GATEWAY_LOG_FORMAT": "json"} | variables | path
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> str:
        """Run a command of the gateway to its end, and return its output."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            env=self._environment,
            cwd=self._checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        """Start the process, and return at once."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*PROGRAM, "serve", "--port", str(self.port)],
                env=self._environment,
                cwd=self._checkout,
                stderr=output,
            )

    def wait_until_it_serves(self) -> None:
        """Return as soon as it is ready."""

        def serves() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            # httpx would prepare for TLS first, which costs a starting gateway its processor.
            connection = http.client.HTTPConnection(self.address)
            try:
                connection.request("GET", "/v2/p/jobs?limit=1")
                return connection.getresponse().status == http.HTTPStatus.OK
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()

        wait_until(serves, self.log.read_text)

    def kill(self) -> None:
        """End the process without a chance to say anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask the process to end, and wait for it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)


class Writer:
    """A `tests.restarts.writer` in a process of its own, and all that it has told."""

    def __init__(self, surface: str, address: str, name: str) -> None:
        """Start the program; it waits for `go`."""
        self.name = name
        self.events: list[tuple[float, Event]] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.restarts.writer", surface, address, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append((time.monotonic(), json.loads(line)))

    def _order(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def go(self, project: str) -> None:
        """Begin to write, into this project."""
        self._order(f"go {project}")

    def pause(self) -> None:
        """Finish the write that is under way, and no other."""
        begun = len(self.events)
        self._order("pause")
        self._wait(lambda: any("said" in event for _, event in self.events[begun:]), "pause")

    def acknowledged_since(self, moment: float) -> list[float]:
        """Return when each write was acknowledged, after this moment."""
        return [
            when
            for when, event in self.events[:]
            if when > moment and event.get("outcome") == "acknowledged"
        ]

    def wait_for(self, number: int, since: float) -> None:
        """Return when so many writes were acknowledged since then."""
        self._wait(lambda: len(self.acknowledged_since(since)) >= number, "write")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        def checked() -> bool:
            assert self._process.poll() is None, f"{self.name} failed: see its traceback"
            return condition()

        wait_until(checked, lambda: f"{self.name} didn't {what}: {self.events[-3:]}")

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program, and wait for it."""
        if self._process.poll() is None:
            self._process.communicate()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
