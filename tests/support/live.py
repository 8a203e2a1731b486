"""A gateway in a process of its own, started as a user would start it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

PATIENCE = 120
"""How many seconds a gateway may take to answer, on a machine with too much else to do."""


@dataclass(frozen=True)
class LiveGateway:
    """Where the gateway answers, what it logs, and its process."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]


PROGRAM = (sys.executable, "-m", "gateway")
"""The gateway of this checkout."""


def command(*arguments: str) -> list[str]:
    """Return the command line of the gateway with these arguments."""
    return [*PROGRAM, *arguments]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def live(
    folder: Path,
    *arguments: str,
    program: Sequence[str] = PROGRAM,
    sample_data: bool = True,
    port: int = 0,
    **settings: str,
) -> Iterator[LiveGateway]:
    """Run a gateway that keeps its files in the folder.

    The arguments are those of `serve`, the settings are `database_url="…"`. Without a port, the
    gateway takes one, and its log tells which.
    """
    given = {"database_url": f"sqlite:///{folder}/live.sqlite3", "log_format": "json"} | settings
    variables = {f"GATEWAY_{name.upper()}": value for name, value in given.items()}
    environment = os.environ | variables
    if sample_data:
        subprocess.run([*program, "demo"], env=environment, check=True)
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, "serve", "--port", str(port), *arguments], env=environment, stderr=output
        )
    try:
        known = f"http://127.0.0.1:{port}" if port else None
        yield LiveGateway(_ready(process, log, known), log, process)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _ready(process: subprocess.Popen[bytes], log: Path, known: str | None) -> str:
    """Wait until the gateway answers, and return its URL."""
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        if (url := known or _url(log)) and _answers(url):
            return url
        time.sleep(0.05)
    raise AssertionError(f"the gateway didn't start:\n{log.read_text()}")


def _url(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        if line.startswith("{") and (url := json.loads(line).get("url")):
            return str(url)
    return None


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthcheck").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
