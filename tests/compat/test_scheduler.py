"""freezer-scheduler and its agent: what they do every night, as a dashboard sees it."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.support.live import LiveGateway

from . import scheduler
from .catalogue import Catalogue
from .gateways import serving
from .hosts import FAR, Host, Job, silent_server
from .keystone import Keystone
from .scheduler import Scheduler

HOST = "web1"


@pytest.fixture(scope="module")
def gateway(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """Run a gateway for the scheduler."""
    with serving(keystone, postgres_url, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def catalogue(keystone: Keystone, gateway: LiveGateway) -> Catalogue:
    """Return the catalogue of the scheduler's project."""
    return Catalogue(gateway.url, keystone.token("alice", "alpha"))


@pytest.fixture(scope="module")
def running(
    keystone: Keystone, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scheduler]:
    """Run the host's scheduler."""
    assert catalogue.ask("{ clients { nodes { id } } }") == {"clients": {"nodes": []}}
    with scheduler.running(keystone, tmp_path_factory.mktemp("host"), HOST) as running:
        yield running


@pytest.fixture
def host(running: Scheduler, catalogue: Catalogue, tmp_path: Path) -> Iterator[Host]:
    """Return the host, with new data; pytest shows what the scheduler says where a test fails."""
    before = len(running.log.read_text())
    yield Host(HOST, running, catalogue, tmp_path)
    print(running.log.read_text()[before:])  # noqa: T201


def test_it_registers(running: Scheduler, catalogue: Catalogue) -> None:
    running.wait_to_say("Fetched 0 jobs from API")
    found = catalogue.ask(
        """{ clients { nodes {
          clientId hostname isCentral
          supportedActions supportedModes supportedStorages supportedEngines
        } } }"""
    )
    modes = ["fs", "mongo", "mysql", "sqlserver", "cinder", "glance", "cindernative", "nova"]
    assert found["clients"]["nodes"] == [
        {
            "clientId": HOST,
            "hostname": socket.gethostname(),
            "isCentral": False,
            "supportedActions": ["backup", "restore", "info", "admin", "exec"],
            "supportedModes": modes,
            "supportedStorages": ["local", "swift", "ssh", "s3", "ftp", "ftps"],
            "supportedEngines": ["tar", "rsync", "rsyncv2", "nova", "osbrick", "glance"],
        }
    ]


def test_backups_of_two_nights_are_restored_and_removed(host: Host, tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    job = host.job(host.backup(incremental=True), description="every night")
    first = job.becomes("COMPLETED", result="SUCCESS")
    assert len(first["backups"]["nodes"]) == 1
    (host.data / "second.txt").write_text("second")
    job.ask_for("start")
    second = job.becomes("COMPLETED", result="SUCCESS", event=None)
    times = [
        datetime.fromisoformat(time)
        for time in (
            first["schedule"]["timeStarted"],
            second["backups"]["nodes"][0]["timeStamp"],
            first["schedule"]["timeEnded"],
            second["schedule"]["timeStarted"],
            second["backups"]["nodes"][1]["timeStamp"],
            second["schedule"]["timeEnded"],
        )
    ]
    times = [began, *times, datetime.now(UTC)]
    assert times == sorted(times)
    assert [
        {key: value for key, value in backup.items() if key != "timeStamp"}
        for backup in second["backups"]["nodes"]
    ] == [
        {
            "backupName": "nightly",
            "status": "AVAILABLE",
            # The agent says so of every backup, and tells no sizes: docs/compatibility.md.
            "level": 0,
            "compressedSize": None,
            "uncompressedSize": None,
            "hostname": socket.gethostname(),
            "container": str(host.backups),
            "mode": "fs",
            "storage": "local",
            "engine": "tar",
            "job": {"description": "every night"},
            "client": {"clientId": HOST},
        }
    ] * 2
    # On the disk, they are of the levels 0 and 1.
    kept = sorted(file.parent.name for file in host.backups.rglob("data/*/*/*/*/data"))
    assert [name.partition("_")[0] for name in kept] == ["0", "1"]

    restored = tmp_path / "restored"
    restored.mkdir()
    restore = {"action": "restore", "restore_abs_path": str(restored)}
    host.job(restore | host.place).becomes("COMPLETED", result="SUCCESS")
    found = {file.name: file.read_text() for file in restored.iterdir()}
    assert found == {"first.txt": "first", "second.txt": "second"}

    remove = {"action": "admin", "remove_older_than": 0}
    host.job(remove | host.place).becomes("COMPLETED", result="SUCCESS")
    assert [file for file in host.backups.rglob("*") if file.is_file()] == []
    # Nobody tells the catalogue: docs/compatibility.md.
    assert job.now()["backups"] == second["backups"]


def test_a_job_that_fails(host: Host) -> None:
    job = host.job(host.backup(path_to_backup="/nowhere"), host.backup())
    failed = job.becomes("COMPLETED")
    assert failed["result"] == "FAIL"
    # The second action would have made one.
    assert failed["backups"]["nodes"] == []
    assert host.scheduler.says(f"Job {job.job_id} action backup failed after 1 tries")


def test_events(host: Host) -> None:
    job = host.job(host.backup(), date=FAR)
    job.becomes("SCHEDULED", event=None)
    job.ask_for("stop")
    job.becomes("STOP", event=None)
    job.ask_for("start")
    job.becomes("SCHEDULED", event=None)
    # It has not run, so there is no process to end.
    job.ask_for("abort")
    job.becomes("STOP", event=None)


def test_no_job_starves_another(host: Host, keystone: Keystone) -> None:
    with silent_server() as port:
        busy = host.job(host.hanging_backup(port))
        busy.becomes("RUNNING")
        # Its schedule lacks everything that the scheduler reads of it.
        created = httpx.post(
            f"{host.catalogue.url}/v2/{keystone.projects['alpha']}/jobs",
            json={"client_id": HOST, "job_actions": [{"freezer_action": host.backup()}]},
            headers={"X-Auth-Token": host.catalogue.token},
        )
        assert created.status_code == 201, created.text
        Job(host.catalogue, "", created.json()["job_id"]).becomes("COMPLETED", result="SUCCESS")
        # The scheduler hears of it, but doesn't find its agent: docs/compatibility.md.
        busy.ask_for("abort")
        host.scheduler.wait_to_say(f"JOB {busy.job_id} event: ABORT")
        host.job(host.backup()).becomes("COMPLETED", result="SUCCESS")
        assert busy.now()["status"] == "RUNNING"
    busy.becomes("COMPLETED", result="FAIL", event="ABORT")


def test_the_scheduler_fails_to_run_commands(host: Host, tmp_path: Path) -> None:
    job = host.job({"action": "exec", "command": f"touch {tmp_path / 'done'}"})
    job.becomes("RUNNING")
    host.scheduler.wait_to_say("NoSuchOptError: no such option disable_exec in group [DEFAULT]")
    host.job(host.backup()).becomes("COMPLETED", result="SUCCESS")
    assert job.now()["status"] == "RUNNING"
    assert not (tmp_path / "done").exists()


def test_a_session_runs_once(host: Host) -> None:
    session = host.session()
    jobs = [host.job(host.backup(backup_name=f"part{number}"), date=FAR) for number in range(2)]
    for job in jobs:
        job.becomes("SCHEDULED", event=None)
    for job in jobs:
        # With the session's schedule, which is to run as soon as possible.
        session.add(job)
    for job in jobs:
        ended = job.becomes("COMPLETED", result="SUCCESS")
        assert len(ended["backups"]["nodes"]) == 1
    ended = session.becomes("completed")
    assert (ended["result"], ended["sessionTag"]) == ("SUCCESS", 1)
    assert {job_id: state["result"] for job_id, state in ended["jobStates"].items()} == {
        job.job_id: "success" for job in jobs
    }
