"""How one request of one program is measured: by wrk, or one by one where it takes too long."""

import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx

from .machine import Cores, cpu_seconds, on_core, settle
from .peers import Peer
from .workload import PLACEHOLDER

CONNECTIONS = 16
SLOW = 0.3
"""Seconds for one answer, from which on requests are counted one by one."""
PATIENCE = 600
"""Seconds that one answer may take."""
LOAD = Path(__file__).parent / "load.lua"
_PREFIXES = count(1)
"""The first half of serial numbers: one for each run of wrk, and for each request sent without."""


class LoadError(Exception):
    """Requests failed: what was measured means nothing."""


@dataclass(frozen=True)
class Sample:
    """One measurement: requests, and the seconds of wall time and of CPU they took."""

    requests: int
    seconds: float
    cpu: float
    p50_ms: float
    p99_ms: float
    answer_bytes: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU per request."""
        return self.cpu / self.requests * 1e6


def first_answer(peer: Peer, key: str) -> tuple[bytes, float]:
    """Send the first request once; return the answer and its seconds. Raises LoadError."""
    request = peer.requests[key][0].with_serial_number(_prefix() + "0" * 8)
    content = {"Content-Type": "application/json"} if request.body else {}
    # Without certificates, which take longer to load than most answers to come.
    with httpx.Client(base_url=peer.url, timeout=PATIENCE, verify=False) as client:  # noqa: S501
        sent = client.build_request(
            request.method,
            request.path,
            content=request.body or None,
            headers={**request.headers, **content},
        )
        begun = time.perf_counter()
        try:
            answer = client.send(sent)
        except httpx.TransportError as error:
            raise LoadError(f"{peer.name} doesn't answer {key}: {error!r}") from error
        took = time.perf_counter() - begun
    if not answer.is_success:
        raise LoadError(f"{peer.name} answers {key}: {answer.status_code} {answer.text[:300]}")
    return answer.content, took


def statements(peer: Peer, key: str, requests: int = 5) -> float | None:
    """Return the SQL statements per request; None where the database can't tell."""
    if peer.counting is None:
        return None
    with peer.counting() as counted:
        for _ in range(requests):
            first_answer(peer, key)
    return counted[0] / requests


def wrk(peer: Peer, keys: list[str], seconds: float, cores: Cores, folder: Path) -> Sample:
    """Drive a program with 16 connections for so many seconds, with each request in turn.

    On a busy machine, where that gave no answer at all, again for ten times as long. Raises
    LoadError.
    """
    sent = folder / f"{peer.name}-{'-'.join(keys)}.requests"
    asked = [peer.requests[key] for key in keys]
    turns = range(max(map(len, asked)))
    wires = [each[turn % len(each)].wire(peer.url) for turn in turns for each in asked]
    sent.write_bytes(b"".join(b"%d\n" % len(wire) + wire for wire in wires))
    where = cores.both if peer.processes > 1 else cores.load
    command = [*on_core(where), "wrk", "--threads=1"]
    command += [f"--connections={CONNECTIONS}", f"--duration={max(1, round(seconds))}s"]
    command += ["--timeout=60s", f"--script={LOAD}", peer.url, "--", str(sent)]
    command += [PLACEHOLDER, _prefix()]
    begun = cpu_seconds(peer.process)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = cpu_seconds(peer.process) - begun
    settle(peer.process)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LoadError(f"wrk failed: {done.stdout}{done.stderr}")
    told = json.loads(lines[0])
    if told["failed"] or told["broken"]:
        raise LoadError(f"{peer.name} {keys}: {told}")
    if not told["requests"]:
        if seconds > PATIENCE / 10:
            raise LoadError(f"{peer.name} {keys}: no answer in {seconds} s")
        return wrk(peer, keys, seconds * 10, cores, folder)
    size = told["bytes"] / told["requests"]
    return Sample(told["requests"], told["seconds"], cpu, told["p50_ms"], told["p99_ms"], size)


def one_by_one(peer: Peer, key: str, seconds: float) -> tuple[Sample, float | None]:
    """Send requests from as many threads as the program has processes, each at least once.

    No thread begins another one that would end after so many seconds. Returns also how many SQL
    statements a request took. Raises LoadError.
    """
    times: list[float] = []
    sizes: list[int] = []

    def ask(begun: float) -> None:
        took = 0.0
        while not took or time.perf_counter() - begun + took < seconds:
            answer, took = first_answer(peer, key)
            times.append(took)
            sizes.append(len(answer))

    with ThreadPoolExecutor(peer.processes) as threads, (peer.counting or _uncounted)() as counted:
        cpu, begun = cpu_seconds(peer.process), time.perf_counter()
        for asked in [threads.submit(ask, begun) for _ in range(peer.processes)]:
            asked.result()
        spent, cpu = time.perf_counter() - begun, cpu_seconds(peer.process) - cpu
    p50 = statistics.median(times) * 1000
    sample = Sample(len(times), spent, cpu, p50, max(times) * 1000, statistics.mean(sizes))
    return sample, counted[0] / len(times) if counted else None


def _prefix() -> str:
    """Return eight digits that no other call has returned."""
    return f"{next(_PREFIXES):08x}"


@contextmanager
def _uncounted() -> Iterator[list[int]]:
    yield []


def missing_tool() -> str | None:
    """Name the program that isn't installed."""
    return next((tool for tool in ("wrk", "h2load", "taskset") if not shutil.which(tool)), None)
