"""A gateway that is told to end while Keystone hangs ends in time."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.live import live

GRACE_SECONDS = 10
"""Docker kills a container that still runs so long after SIGTERM; others wait longer."""


@pytest.fixture
def silent() -> Iterator[tuple[str, threading.Semaphore]]:
    """Return the address of a Keystone that never answers, and a count of who has come to it."""
    came = threading.Semaphore(0)
    held = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                held.append(listener.accept())
                came.release()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", came
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection, _ in held:
        connection.close()


@pytest.mark.parametrize(("method", "told"), [("GET", signal.SIGTERM), ("POST", signal.SIGINT)])
def test_a_keystone_that_hangs_keeps_no_process(
    silent: tuple[str, threading.Semaphore], tmp_path: Path, method: str, told: signal.Signals
) -> None:
    keystone, came = silent
    with (
        live(
            tmp_path,
            sample_data=False,
            auth="keystone",
            keystone_auth_url=keystone,
            keystone_username="gateway",
            keystone_password="secret",  # noqa: S106
            keystone_timeout="60",
        ) as gateway,
        ThreadPoolExecutor() as callers,
    ):

        def ask() -> int:
            if method == "GET":
                headers = {"X-Auth-Token": "token"}
                answer = httpx.get(f"{gateway.url}/v2/p/jobs", headers=headers, timeout=60)
            else:
                body = {"user": "u", "password": "p"}
                answer = httpx.post(f"{gateway.url}/graphql/token", json=body, timeout=60)
            return answer.status_code

        asked = callers.submit(ask)
        assert came.acquire(timeout=60)
        began = time.monotonic()
        gateway.process.send_signal(told)
        gateway.process.wait(60)
        took = time.monotonic() - began
        assert asked.result() == 503
        assert took < GRACE_SECONDS
