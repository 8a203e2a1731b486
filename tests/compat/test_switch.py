"""The whole move: followed, verified, switched under a scheduler with jobs in flight, and back."""

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from . import faulty_rows, freezerclient, scheduler
from .catalogue import Catalogue
from .faulty_rows import METADATA
from .hosts import FAR, Host, Job, silent_server
from .keystone import Keystone
from .moves import Move, Program, moving, wait
from .scheduler import Scheduler

HOST = "web1"
CENTRAL = "central.example.org"
ACTION = {
    "action": "backup",
    "mode": "fs",
    "backup_name": "nightly",
    "path_to_backup": "/srv",
    "container": "backups",
    "storage": "local",
}
BACKUPS = 120
"""The backups of each project, beside those with a fault."""
MEANT = {
    "capabilities": 8,
    "duplicate": 6,
    "event": 10,
    "fails-there": 15,
    "not-a-number": 6,
    "null": 31,
    "refused": 2,
    "states": 10,
    "unusable-text": 6,
}
"""The differences between the answers of both services, by their kinds: docs/moving.md."""
DIFFERENCES = {
    # A central client that is registered twice is listed once.
    "client-list": {"uuid", "hostname"},
    "session-show": {"Jobs"},
    # Null keys of an action are left out, and `mandatory` and the agents' UUIDs of backups shown.
    "action-show": {"Log_file"},
    "job-show": {"Actions"},
    "backup-list": {"Backup UUID"},
}
"""What freezerclient prints otherwise after the move."""
RUNS = """{ runs(first: 500) { nodes { jobId startedAt outcome } } }"""
_RUNNING = re.compile(r"(?m)^(\S+ \S+) .* job (\w+) running$")


@pytest.fixture
def move(keystone: Keystone, postgres_url: str, tmp_path: Path) -> Iterator[Move]:
    """Return a freezer-api that has been filled, and a gateway that is empty."""
    with moving(keystone, postgres_url, tmp_path) as move:
        fill(move)
        yield move


def fill(move: Move) -> None:
    """Store items by freezerclient and REST, and by hand what freezer-api wouldn't take now."""
    client = freezerclient.Program("freezer", move.keystone, move.folder)
    web = {"client_id": "web-1", "hostname": "web-1", "description": "The web server"}
    client.run("client-register", "--file", client.file(web))
    session = {"description": "together", "hold_off": 30, "schedule": {}}
    client.run("session-create", "--file", client.file(session))
    client.run("action-create", "--file", client.file({"freezer_action": ACTION}))
    job = {
        "description": "every night",
        "job_actions": [{"freezer_action": ACTION}],
        "job_schedule": {"schedule_interval": "1 days"},
    }
    client.run("job-create", "--file", client.file(job), "--client", "web-1")
    client.run("backup-create", "--file", client.file(METADATA | {"backup_uuid": "0b0e"}))
    central = {"client_id": CENTRAL, "hostname": CENTRAL, "is_central": True}
    registered = client.file(central)
    client.run("client-register", "--file", registered, user="ada")
    move.create("alpha", "jobs", job | {"client_id": CENTRAL})
    for project_id in move.projects.values():
        rows = [
            {
                "id": f"{number:08}-{project_id[:8]}",
                "project_id": project_id,
                "backup_metadata": json.dumps(METADATA | {"time_stamp": 1_700_000_000 + number}),
                "status": "available",
                "job_id": None,
            }
            for number in range(BACKUPS)
        ]
        move.database.insert("backups", rows)
    faulty_rows.insert(move.database, move.projects["gamma"], move.projects["beta"])


def printed(move: Move) -> Mapping[str, Any]:
    """Return what freezerclient prints of a project, by its commands."""
    client = freezerclient.Program("freezer", move.keystone, move.folder)
    found: dict[str, Any] = {}
    for kind in ("client", "session", "action", "job", "backup"):
        column = f"{kind.capitalize()} ID"
        rows = client.listed(f"{kind}-list", "--limit", 200)
        # freezer-api's lists have no order.
        found[f"{kind}-list"] = rows = sorted(rows, key=lambda row: row[column])
        found[f"{kind}-show"] = client.shown(f"{kind}-show", rows[0][column])
    return found


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, set[str]]:
    """Return the fields that differ, by the commands that print them."""
    found: dict[str, set[str]] = {}
    for command, shown in before.items():
        rows, others = (one if isinstance(one, list) else [one] for one in (shown, after[command]))
        own_id = next(iter(rows[0]))
        by_id = {row[own_id]: row for row in others}
        assert by_id.keys() == {row[own_id] for row in rows}
        found[command] = {
            name for row in rows for name in row if row[name] != by_id[row[own_id]][name]
        }
    return {command: names for command, names in found.items() if names}


def users_go_on(move: Move) -> None:
    """Write to freezer-api, and see it at the gateway, where nobody may write."""
    client = freezerclient.Program("freezer", move.keystone, move.folder)
    client.run("backup-create", "--file", client.file(METADATA | {"time_stamp": 1_800_000_000}))
    kept, gone = (
        move.create("alpha", "backups", METADATA | {"time_stamp": 1_800_000_001 + number})
        for number in range(2)
    )
    there = move.gateway.url
    for made in (kept, gone):
        wait(lambda made=made: move.ask("GET", f"backups/{made}", url=there).status_code == 200)
    assert move.ask("PATCH", f"backups/{kept}", json={"status": "error"}).status_code == 200
    assert move.ask("DELETE", f"backups/{gone}").status_code == 204
    wait(lambda: move.ask("GET", f"backups/{kept}", url=there).json()["status"] == "error")
    wait(lambda: move.ask("GET", f"backups/{gone}", url=there).status_code == 404)
    refused = move.ask("POST", "backups", url=there, json=METADATA)
    assert refused.status_code == 503
    assert "mysql://localhost/freezer_" in refused.text


class Night:
    """What a scheduler does meanwhile: a job again and again, one that hangs, one that waits."""

    def __init__(self, move: Move, host: Scheduler, folder: Path) -> None:
        """Create the jobs at freezer-api."""
        self.move, self.scheduler = move, host
        self.catalogue = Catalogue(move.gateway.url, move.keystone.token("bob", "beta"))
        (folder / "files").mkdir()
        self.host = Host(HOST, host, self.catalogue, folder / "files")
        self.server = ExitStack()
        port = self.server.enter_context(silent_server())
        self.nightly = self._job(self.host.backup(), {"schedule_interval": "3 seconds"})
        self.busy = self._job(self.host.hanging_backup(port), {})
        self.later = self._job(self.host.backup(), {"schedule_date": FAR})

    def _job(self, action: Mapping[str, object], schedule: Mapping[str, str]) -> Job:
        document = {
            "client_id": HOST,
            "description": "at night",
            "job_actions": [{"freezer_action": action, "max_retries": 0}],
            # A scheduler dies of a job of freezer-api's without an event.
            "job_schedule": {"event": "", **schedule},
        }
        made = self.move.create("beta", "jobs", document)
        there = self.move.gateway.url
        wait(lambda: self.move.ask("GET", f"jobs/{made}", "beta", url=there).status_code == 200)
        return Job(self.catalogue, "", made)

    def backups(self) -> int:
        """Return how many backups of the job that goes on the gateway knows."""
        return len(self.nightly.now()["backups"]["nodes"])

    def stop(self, job: Job) -> None:
        """Ask for a job's stop, where its scheduler hears of it."""
        asked = self.move.ask("POST", f"jobs/{job.job_id}/event", "beta", json={"stop": None})
        assert asked.status_code == 202, asked.text

    def is_over(self) -> bool:
        """Tell whether the job that goes on has been stopped, and runs no more; else ask for it.

        A run that begins or ends makes its scheduler forget what was asked for meanwhile.
        """
        job = self.nightly.now()
        if job["status"] in {"STOP", "COMPLETED"}:
            # Whatever was asked for since: its scheduler has forgotten the job.
            return True
        self.stop(self.nightly)
        return False

    def begun(self, since: datetime) -> Iterator[tuple[str, datetime]]:
        """Yield each run that was the last one of its job at this time, or began after it."""
        runs: dict[str, list[datetime]] = {}
        for time, job_id in _RUNNING.findall(self.scheduler.log.read_text()):
            runs.setdefault(job_id, []).append(datetime.fromisoformat(f"{time}+00:00"))
        for job_id, times in runs.items():
            first = max((time for time in times if time <= since), default=since)
            yield from ((job_id, time) for time in times if time >= first)


def switch(move: Move, night: Night, running: ExitStack) -> Program:
    """Switch while jobs run, and while one of them ends."""
    move.balancer.hold()
    move.service.process.terminate()
    move.service.process.wait()
    with ThreadPoolExecutor() as pool:
        # Its user waits, as does the scheduler.
        asked = pool.submit(night.stop, night.later)
        night.server.close()
        arguments = ("--url", move.service.url, "--watch", "15")
        program = running.enter_context(
            move.running("switch", "import", "switch", move.database.url, *arguments)
        )
        program.wait_to_say("now let Keystone name the gateway")
        move.balancer.lead_to(move.gateway.url)
        asked.result()
    return program


def test_a_catalogue_moves_in_under_its_users_and_back(move: Move) -> None:
    source = move.database.url
    with ExitStack() as running:
        mirror = running.enter_context(
            move.running("mirror", "import", source, "--follow", "--every", "0.5")
        )
        mirror.wait_to_say("projects are mirrors of")
        assert "1 of the 2 trusts aren't given to gateway (Default)" in mirror.output.read_text()
        assert move.verified(source, move.service) == MEANT
        users_go_on(move)
        before = printed(move)
        host = running.enter_context(
            scheduler.running(move.keystone, move.folder / "host", HOST, ("bob", "beta"))
        )
        night = Night(move, host, move.folder)
        night.busy.becomes("RUNNING")
        night.later.becomes("SCHEDULED")
        wait(lambda: night.backups() >= 2)
        held = datetime.now(UTC)
        switching = switch(move, night, running)
        known = night.backups()
        assert night.busy.becomes("COMPLETED")["result"] == "FAIL"
        night.later.becomes("STOP", event=None)
        wait(lambda: night.backups() > known)
        wait(night.is_over)
        nothing_is_lost(night, held)
        said = switching.ended()
        assert "both sides are the same" in said
        assert "switched: 3 projects may be written to here" in said
        assert "  web-1 of the project" in said
        assert f"  {HOST} of the project" not in said
        assert "the projects were freed: the mirror has ended" in mirror.ended()
    assert differing(before, printed(move)) == DIFFERENCES
    with move.back() as (target, service):
        move.verified(target, service)


def nothing_is_lost(night: Night, held: datetime) -> None:
    """Check that the gateway knows every run and backup of which the scheduler tells."""
    log = night.scheduler.log.read_text()
    for failure in ("Job update error", "agent output processing error", "Unable to get jobs"):
        assert failure not in log
    made = log.count(f"Job {night.nightly.job_id}, freezer agent output processed")
    assert night.backups() == made
    nodes = night.catalogue.ask(RUNS)["runs"]["nodes"]
    outcomes = {(node["jobId"], node["startedAt"]): node["outcome"] for node in nodes}
    begun = list(night.begun(held))
    ends = {night.nightly.job_id: "SUCCESS", night.busy.job_id: "FAIL"}
    assert {job_id for job_id, _ in begun} == ends.keys()
    for job_id, time in begun:
        # The scheduler takes the time after it has written to its log.
        moments = [int(time.timestamp()) + late for late in (0, 1)]
        found = {
            outcomes.get((job_id, datetime.fromtimestamp(moment, UTC).isoformat()))
            for moment in moments
        }
        assert found - {None} == {ends[job_id]}, (job_id, time, outcomes)
    # The mirror looks from time to time: of a run that ends and begins again between two of its
    # looks, nobody told it the end.
    known = {outcome for (job_id, _), outcome in outcomes.items() if job_id == night.nightly.job_id}
    assert known <= {"SUCCESS", "LOST"}
