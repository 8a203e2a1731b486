"""The history of runs under freezer-scheduler, while its agents, itself and the gateway are killed.

Of every run of which the gateway has acknowledged anything, it knows exactly one, with its result
if that was acknowledged. `GATEWAY_TEST_RUNS` is the number of runs.
"""

import asyncio
import os
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.restarts.processes import Gateway
from tests.support.databases import Postgres

from . import scheduler
from .catalogue import PATIENCE, Catalogue
from .gateways import ACCOUNT
from .hosts import Host
from .keystone import Keystone
from .recorder import Recorder, recording
from .scheduler import Scheduler

HOST = "web2"
RUNS = int(os.environ.get("GATEWAY_TEST_RUNS") or 20)
JOBS = 4
_SCHEDULED = re.compile(r"Running job .*\(scheduled at ([^)]+)\)")
_RUNNING = re.compile(r"(\S+ \S+) .* job (\w+) running$")
QUERY = """query($after: String) { runs(first: 500, after: $after) {
  nodes { jobId startedAt outcome delay } pageInfo { hasNextPage endCursor }
} }"""


@pytest.fixture
def gateway(keystone: Keystone, postgres_url: str, tmp_path: Path) -> Gateway:
    """Return a gateway with an empty database, which can be killed."""
    url = asyncio.run(Postgres(postgres_url).create())
    settings = {
        "auth": "keystone",
        "keystone_auth_url": keystone.auth_url,
        "database_url": url,
    } | ACCOUNT
    gateway = Gateway(tmp_path / "gateway.log", **settings)
    gateway.run("db", "upgrade")
    return gateway


@pytest.fixture
def recorder(gateway: Gateway, keystone: Keystone) -> Iterator[Recorder]:
    """Run the gateway behind a proxy, to which Keystone's catalogue leads."""
    start(gateway)
    with recording(f"http://{gateway.address}") as recorder:
        keystone.register(recorder.url)
        yield recorder
    gateway.terminate()


def start(gateway: Gateway) -> None:
    """Start a gateway, and return as soon as it answers."""

    def answers() -> bool:
        try:
            return httpx.get(f"http://{gateway.address}/healthcheck").is_success
        except httpx.TransportError:
            return False

    gateway.start()
    wait(answers)


def begun(recorder: Recorder) -> set[tuple[str, int]]:
    """Return the runs of which anything was acknowledged."""
    return {
        (job_id, schedule["time_started"])
        for job_id, schedule in list(recorder.schedules)
        if schedule["status"] == "running" or schedule.get("result")
    }


def wait(condition: Callable[[], object]) -> None:
    """Return when the condition holds."""
    patient_until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < patient_until
        time.sleep(0.1)


def agents(running: Scheduler) -> list[int]:
    """Return the processes of a scheduler's agents."""
    found = subprocess.run(
        ["/usr/bin/pgrep", "-g", str(running.process.pid), "-f", "freezer-agent"],
        check=False,
        capture_output=True,
        text=True,
    )
    return [int(pid) for pid in found.stdout.split()]


def told_of(catalogue: Catalogue) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return what is told of all runs; no run may be there twice."""
    nodes: list[dict[str, Any]] = []
    after, more = None, True
    while more:
        page = catalogue.ask(QUERY, after=after)["runs"]
        nodes += page["nodes"]
        more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
    found = {(node["jobId"], node["startedAt"]): node for node in nodes}
    assert len(found) == len(nodes)
    return found


def known(catalogue: Catalogue) -> Mapping[tuple[str, str], str]:
    """Return the outcomes of all runs."""
    return {key: run["outcome"] for key, run in told_of(catalogue).items()}


def delays(log: str) -> Mapping[tuple[str, int], float]:
    """Return the seconds by which runs began late, by their jobs and seconds, as a log has them.

    The scheduler logs the time at which a run was due, and then, of its job, that it is running.
    """
    found: dict[tuple[str, int], float] = {}
    due = 0.0
    for line in log.splitlines():
        if scheduled := _SCHEDULED.search(line):
            due = datetime.fromisoformat(scheduled[1]).timestamp()
        elif running := _RUNNING.match(line):
            begun = datetime.fromisoformat(f"{running[1]}+00:00").timestamp()
            found[running[2], int(begun)] = begun - due
    return found


def moment(seconds: int) -> str:
    """Return epoch seconds as GraphQL shows them."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


def test_no_run_is_lost_or_doubled_under_kills(
    keystone: Keystone, gateway: Gateway, recorder: Recorder, tmp_path: Path
) -> None:
    catalogue = Catalogue(f"http://{gateway.address}", keystone.token("alice", "alpha"))
    folder = tmp_path / "host"

    def runs_are(share: float) -> None:
        wait(lambda: len(begun(recorder)) >= share * RUNS)

    with scheduler.running(keystone, folder, HOST) as running:
        (tmp_path / "files").mkdir()
        host = Host(HOST, running, catalogue, tmp_path / "files")
        jobs = [host.job(host.backup(), interval="1 seconds") for _ in range(JOBS)]
        runs_are(0.2)
        wait(lambda: agents(running))
        for pid in agents(running):
            os.kill(pid, signal.SIGKILL)
        runs_are(0.4)
        gateway.kill()
        time.sleep(2)  # while the scheduler tells nobody
        start(gateway)
        runs_are(0.6)
        os.killpg(running.process.pid, signal.SIGKILL)
    with scheduler.running(keystone, folder, HOST) as running:
        runs_are(0.8)
        for pid in agents(running):
            os.kill(pid, signal.SIGKILL)
        runs_are(1)
        os.killpg(running.process.pid, signal.SIGKILL)
    with scheduler.running(keystone, folder, HOST) as running:
        for job in jobs:
            job.ask_for("stop")
        # Those that the dead scheduler didn't end are lost, as soon as their jobs are armed again.
        wait(lambda: "RUNNING" not in known(catalogue).values())
        wait(lambda: all(job.now()["event"] is None for job in jobs))
        log = running.log.read_text()

    told = {(job_id, moment(start)) for job_id, start in begun(recorder)}
    results: dict[tuple[str, str], str] = {}
    for job_id, schedule in recorder.schedules:
        if schedule.get("result") and schedule["status"] != "running":
            key = (job_id, moment(schedule["time_started"]))
            results.setdefault(key, schedule["result"].upper())
    found = known(catalogue)
    assert found.keys() >= told
    assert {key: found[key] for key in results} == results
    assert {found[key] for key in found.keys() - results.keys()} <= {"LOST", "SUCCESS", "FAIL"}
    # The scheduler's own word: what isn't here never reached the gateway.
    started = sum(log.count(f"job {job.job_id} running") for job in jobs)
    assert len(found) <= started
    assert {"SUCCESS", "FAIL", "LOST"} <= set(found.values())
    by_log = delays(log)
    late = {key: run["delay"] for key, run in told_of(catalogue).items()}
    differences = [
        abs(delay - by_log[job_id, second])
        for job_id, second in begun(recorder)
        if (delay := late[job_id, moment(second)]) is not None and (job_id, second) in by_log
    ]
    # But for the runs whose predecessor's end was told to nobody.
    assert len(differences) > RUNS / 2
    assert statistics.median(differences) < 2
    print(f"\n{started} runs, {len(found)} told, {len(results)} with a result")  # noqa: T201
