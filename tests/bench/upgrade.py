"""Upgrade a large catalogue while a gateway of before serves it: `python -m tests.bench.upgrade`.

The upgrade is stopped and killed on its way, and run again until it is done.
"""

import argparse
import asyncio
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import httpx
import psutil

from gateway.catalogue.history import Run
from tests.compat.keystone import free_port
from tests.support.databases import Cluster
from tests.support.live import command, live

from . import gateway_data
from .catalogue import Catalogue
from .peers import baseline
from .postgres import Postgres
from .stage import PROJECTS, USER

SETTINGS = ("max_wal_size = '8GB'", "maintenance_work_mem = '512MB'")
"""Settings of a server that has a large database; it waits for the disk, as others do."""
PERIOD = 0.05
"""The seconds between two requests of a kind."""
CALM = 15
"""The seconds of serving before the upgrade, and after it."""
STOPS: Sequence[tuple[signal.Signals, str, float] | None] = (
    (signal.SIGTERM, "backups", 0.2),
    (signal.SIGKILL, "series", 0.3),
    None,
)
"""What ends each upgrade, at which share of what it tells."""
_TOLD = re.compile(r"([\d,]+) of ([\d,]+) (\w+)")


BACKUP = {
    "hostname": "new",
    "container": "freezer-nightly",
    "storage": "swift",
    "curr_backup_level": 0,
    "max_level": 6,
}


class Requests(threading.Thread):
    """A client that sends requests of one kind, and notes how long each takes."""

    def __init__(self, url: str, method: str, path: str, body: dict[str, object] | None) -> None:
        """Take the request; `time_stamp` in its body is another one each time."""
        super().__init__(daemon=True)
        self.title = f"{method} {path.partition('?')[0].rpartition('/')[2]}"
        self.times: list[tuple[float, float]] = []
        self.failures: list[str] = []
        self._sent = method, f"{url}{path}", body
        self._stopped = threading.Event()

    def run(self) -> None:
        """Send them, until the block is left."""
        method, url, body = self._sent
        with httpx.Client(timeout=60) as client:
            while not self._stopped.wait(PERIOD):
                number = len(self.times)
                begun = time.monotonic()
                own = body and {**body, "backup_name": f"new-{number % 1000}", "time_stamp": number}
                answer = client.request(method, url, json=own)
                self.times.append((begun, time.monotonic() - begun))
                if not answer.is_success:
                    self.failures.append(f"{answer.status_code} {answer.text[:100]}")

    def told(self, since: float) -> str:
        """Return what the requests since a moment took."""
        times = sorted(took * 1000 for begun, took in self.times if begun > since)
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        return (
            f"{self.title}: {len(times)} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
            f"longest {times[-1]:.1f} ms, {len(self.failures)} failed {self.failures[:2]}"
        )

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the last answer."""
        self._stopped.set()
        self.join()


def upgrade(url: str, stop: tuple[signal.Signals, str, float] | None) -> None:
    """Run one upgrade, and end it by a signal at a share of what it tells; print what it took."""
    begun, peak, cpu = time.monotonic(), 0.0, 0.0
    environment = os.environ | {"GATEWAY_DATABASE_URL": url}
    process = subprocess.Popen(
        command("db", "upgrade"), env=environment, stdout=subprocess.PIPE, text=True
    )
    watched, lines = psutil.Process(process.pid), [""]
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
    reader.start()
    while process.poll() is None:
        with suppress(psutil.Error):
            peak = max(peak, watched.memory_info().rss / 1e6)
            cpu = sum(watched.cpu_times()[:2])
        if stop is not None and (told := _TOLD.match(lines[-1])):
            done, total = (int(told[number].replace(",", "")) for number in (1, 2))
            if told[3] == stop[1] and done > total * stop[2]:
                process.send_signal(stop[0])
                process.wait()
        time.sleep(0.1)
    reader.join()
    last = [line.strip() for line in lines[-2:]]
    say(
        f"upgrade: ended with {process.returncode} after {time.monotonic() - begun:.0f} s, "
        f"{cpu:.0f} s of CPU, at most {peak:.0f} MB resident; last it told {last}"
    )


def main() -> None:
    """Load a catalogue, serve it by the older gateway, and upgrade it meanwhile."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.upgrade", description=__doc__)
    parser.add_argument("older", type=baseline.checkout, help="a checkout of the version before")
    parser.add_argument("--jobs", type=int, default=100_000, help="ten backups each (100,000)")
    chosen = parser.parse_args()
    catalogue = Catalogue(PROJECTS[0], USER, chosen.jobs)
    with Cluster() as server, TemporaryDirectory() as folder, ExitStack() as stack:
        postgres = Postgres(server, log=Path())
        changes = (f"ALTER SYSTEM SET {setting}" for setting in SETTINGS)
        postgres.run(*changes, "SELECT pg_reload_conf()")
        url = postgres.create()
        gateway_data.upgrade(url, chosen.older.program)
        tables = [table for table in gateway_data.TABLES if table is not Run]
        asyncio.run(gateway_data.fill_postgres(url, [catalogue], tables))
        postgres.run("CHECKPOINT", url=url)
        say(f"{catalogue.backups:,} backups are loaded")
        settings = {"database_url": url, "log_level": "warning", "rate_limit": "off"}
        older = stack.enter_context(
            live(
                Path(folder),
                program=chosen.older.program,
                sample_data=False,
                port=free_port(),
                **settings,
            )
        )
        path = f"/v2/{catalogue.project_id}/backups"
        clients = [
            stack.enter_context(Requests(older.url, "GET", f"{path}?limit=100", None)),
            stack.enter_context(Requests(older.url, "POST", path, BACKUP)),
        ]
        begun = time.monotonic()
        time.sleep(CALM)
        say("before", *(client.told(begun) for client in clients))
        for stop in STOPS:
            begun = time.monotonic()
            upgrade(url, stop)
            say("meanwhile", *(client.told(begun) for client in clients))


def say(*texts: str) -> None:
    """Print a line."""
    print("; ".join(texts), flush=True)


if __name__ == "__main__":
    main()
