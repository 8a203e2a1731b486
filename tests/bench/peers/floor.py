"""The floor: the same minimal SQL through asyncpg, and an answer whose bytes are ready."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import uvicorn

from tests.bench import graphql
from tests.bench.machine import on_core
from tests.bench.peers import Peer
from tests.bench.stage import Stage
from tests.bench.workload import Item, Request, deep
from tests.compat.keystone import free_port

KEYS = ("Q1", "Q2", "Q4")


@contextmanager
def running(stage: Stage) -> Iterator[Peer]:
    """Run it on the gateway's database."""
    port = free_port()
    command = [*on_core(stage.cores.server), sys.executable, "-m", "uvicorn"]
    command += [
        "--app-dir",
        str(Path(__file__).parent),
        "--port",
        str(port),
        "--no-access-log",
        "--log-level=warning",
        "floor_app:app",
    ]
    environment = os.environ | {
        "FLOOR_DATABASE": stage.database,
        "FLOOR_PROJECT": stage.catalogue.project_id,
        "FLOOR_AFTER": stage.catalogue.identifier("backup", deep(stage.catalogue)),
    }
    process = subprocess.Popen(command, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url)
        yield Peer(
            "floor",
            url,
            process.pid,
            {key: [Request(f"/{key}")] for key in KEYS},
            _read,
            stage.catalogue,
            about=f"asyncpg and bytes, uvicorn {uvicorn.__version__}",
            counting=partial(stage.postgres.counting, stage.database),
        )
    finally:
        process.terminate()
        process.wait(30)


def _read(_key: str, answer: bytes) -> list[Item]:
    return list(graphql.read(answer))


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    patient_until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < patient_until:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the floor didn't start")
