"""What the programs' operations cost, and what GraphQL needs for the same, on the same estate."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.global_ids import global_id
from tests.support.live import LiveGateway

from . import freezer_api, gateways, scheduler
from .costs import Request, add_up, answered, measured, requests
from .freezerclient import Program
from .horizon import signed_in
from .keystone import Keystone
from .ledger import of_freezer_api

HOSTS = [f"web{number:02}" for number in range(20)]
ACTION = {
    "action": "backup",
    "mode": "fs",
    "backup_name": "nightly",
    "path_to_backup": "/srv",
    "container": "/var/backups",
    "storage": "local",
}
BACKUP = {
    "backup_name": "nightly",
    "container": "/var/backups",
    "hostname": HOSTS[0],
    "mode": "fs",
    "path_to_backup": "/srv",
    "time_stamp": 1700000000,
    "curr_backup_level": 0,
}
FAR = {"schedule_date": "2099-01-01T00:00:00"}
"""When the jobs run: not today."""
POLLING = "Polling for jobs from API"


class Estate:
    """A service with 20 clients, 20 sessions, and 200 jobs and 200 backups of one client."""

    def __init__(self, keystone: Keystone, service: LiveGateway, *, speaks_graphql: bool) -> None:
        """Store it by REST, which both services have."""
        self.keystone = keystone
        self.service = service
        self.speaks_graphql = speaks_graphql
        self.project_id = keystone.projects["alpha"]
        self.token = keystone.token("alice", "alpha")
        admin = keystone.token("ada", "alpha")
        for host in HOSTS:
            self.store("clients", {"client_id": host, "hostname": host}, admin)
        self.jobs = [self.store("jobs", job(number))["job_id"] for number in range(200)]
        self.backups = [
            self.store("backups", BACKUP | {"time_stamp": number})["backup_id"]
            for number in range(200)
        ]
        together = {"description": "together", "hold_off": 30, "schedule": FAR}
        self.sessions = [self.store("sessions", together)["session_id"] for _ in range(20)]

    def store(self, kind: str, document: dict[str, Any], token: str | None = None) -> Any:
        """Create an item."""
        response = httpx.post(
            f"{self.service.url}/v2/{self.project_id}/{kind}",
            json=document,
            headers={"X-Auth-Token": token or self.token},
            timeout=300,
        )
        assert response.status_code == 201, response.text
        return response.json()

    def graphql(self, operation: str, **variables: object) -> None:
        """Ask GraphQL for the same, where the service speaks it."""
        if self.speaks_graphql:
            answered(self.service, operation, self.token, **variables)

    def global_id(self, kind: str, item_id: str) -> str:
        """Return an item's id in GraphQL."""
        return global_id(kind, self.project_id, item_id)


def job(number: int) -> dict[str, Any]:
    """Return the document of a job with one action of its own."""
    return {
        "description": f"job {number:03}",
        "client_id": HOSTS[0],
        "job_actions": [{"freezer_action": ACTION | {"backup_name": f"name{number:03}"}}],
        "job_schedule": FAR,
    }


@pytest.fixture(scope="module")
def estate(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estate]:
    """Return the estate in the service whose costs are wanted, which is the gateway as a rule."""
    folder = tmp_path_factory.mktemp("service")
    serving = (
        freezer_api.serving(keystone, folder)
        if of_freezer_api()
        else gateways.serving(keystone, postgres_url, folder)
    )
    with serving as service:
        yield Estate(keystone, service, speaks_graphql=not of_freezer_api())


def test_freezerclient(estate: Estate, tmp_path: Path) -> None:
    program = Program("freezer", estate.keystone, tmp_path)
    job_id, session_id, backup_id = estate.jobs[0], estate.sessions[0], estate.backups[0]
    # GraphQL changes others than the program, which are as they were.
    other_job, other_session = estate.jobs[1], estate.sessions[1]
    together = {"description": "together", "hold_off": 30, "schedule": FAR}
    both = ("--session-id", session_id, "--job-id", job_id)
    operations: Iterable[tuple[str, Sequence[object], dict[str, object]]] = (
        ("client-list", (), {}),
        ("client-show", (HOSTS[0],), {"client": HOSTS[0]}),
        ("job-list", (), {}),
        ("job-show", (job_id,), {"job": job_id}),
        (
            "job-create",
            ("--file", program.file(job(200)), "--client", HOSTS[0]),
            {"input": as_input(job(200))},
        ),
        ("job-start", (job_id,), {"job": estate.global_id("Job", other_job)}),
        ("action-list", (), {}),
        ("backup-create", ("--file", program.file(BACKUP)), {"input": {"metadata": BACKUP}}),
        ("backup-list", (), {}),
        ("backup-show", (backup_id,), {"backup": backup_id}),
        (
            "session-create",
            ("--file", program.file(together)),
            {
                "input": {
                    "description": "together",
                    "holdOff": 30,
                    "schedule": {"date": FAR["schedule_date"]},
                }
            },
        ),
        (
            "session-add-job",
            both,
            {
                "session": estate.global_id("Session", other_session),
                "job": estate.global_id("Job", other_job),
            },
        ),
        ("session-list", (), {}),
        ("job-delete", (estate.jobs[2],), {"job": estate.global_id("Job", estate.jobs[3])}),
    )
    for command, arguments, variables in operations:
        operation = f"freezerclient-{command}"
        with measured(estate.service, operation):
            program.run(command, *arguments)
        estate.graphql(operation, **variables)


def test_a_scheduler_runs_a_job(estate: Estate, tmp_path: Path) -> None:
    host, service = "new1", estate.service
    with scheduler.running(estate.keystone, tmp_path / "host", host) as running:
        running.wait_to_say("Fetched 0 jobs from API")
        registration = [
            one for one in requests(service) if one["method"] == "POST" and is_of(one, "clients")
        ]
        add_up("scheduler-register", registration[-1:])
        data = tmp_path / "data"
        data.mkdir()
        place = {
            "path_to_backup": str(data),
            "container": str(tmp_path / "backups"),
            "log_file": str(tmp_path / "agent.log"),
        }
        before = len(requests(service))
        job_id = estate.store(
            "jobs",
            {
                "client_id": host,
                "job_actions": [{"freezer_action": ACTION | place}],
                "job_schedule": {},
            },
        )["job_id"]
        # It has ended when the scheduler doesn't hear of it any more.
        running.wait_to_say(f"REMOVE job {job_id}")
        asked = [one for one in requests(service)[before:] if one["method"] != "GET"]
    registered = [one for one in asked if is_of(one, "backups")]
    add_up("agent-backup", registered)
    add_up("scheduler-run", [one for one in asked if one["method"] == "PATCH"] + registered)
    estate.graphql("scheduler-register", input={"clientId": "new2", "hostname": "new2"})
    estate.graphql("agent-backup", input={"metadata": BACKUP, "jobId": job_id, "clientId": host})
    estate.graphql(
        "scheduler-run",
        job=estate.global_id("Job", job_id),
        backup={"metadata": BACKUP, "jobId": job_id, "clientId": host},
    )


def test_a_scheduler_polls(estate: Estate, tmp_path: Path) -> None:
    before = len(requests(estate.service))
    with scheduler.running(estate.keystone, tmp_path / "host", HOSTS[0]) as running:
        running.wait_to_say(POLLING, 3)
    first, second, *_ = running.log.read_text().split(POLLING)[1:]
    asked = requests(estate.service)[before:]
    pages = [one for one in asked if one["method"] == "GET" and is_of(one, "jobs")]
    of_first, of_second = (len(re.findall(r"Fetched \d+ jobs", poll)) for poll in (first, second))
    scheduled = [one for one in asked if one["method"] == "PATCH"]
    assert len(scheduled) == first.count("Created job ") >= len(estate.jobs)
    add_up("scheduler-first-poll", pages[:of_first] + scheduled)
    add_up("scheduler-poll", pages[of_first : of_first + of_second])
    estate.graphql("scheduler-poll", client=HOSTS[0])


def test_horizon(estate: Estate) -> None:
    # On hosts of its own, so that no scheduler gets more to do.
    hosts, backup_id = HOSTS[1:4], estate.backups[0]
    with signed_in(estate.keystone, "alice") as ui:
        for panel, call, arguments in (
            ("clients", "Client.list", {}),
            ("jobs", "Job.list", {"limit": 100}),
            ("backups", "Backup.list", {}),
            ("sessions", "Session.list", {"limit": 100}),
        ):
            with measured(estate.service, f"horizon-{panel}"):
                ui(call, **arguments)
            estate.graphql(f"horizon-{panel}")
        with measured(estate.service, "horizon-job-form"):
            one, other = column(ui("Action.list", json=True), "action_id")[:2]
            ui("Client.list", json=True)
            clients = {client["client_id"]: client["uuid"] for client in ui("Client.list")}
        estate.graphql("horizon-job-form")

        form = {"description": "new", "actions": one, "clients": [clients[host] for host in hosts]}
        with measured(estate.service, "horizon-job-create"):
            ui("Job.create", form)
        inputs = [
            {
                "description": "new",
                "clientId": host,
                "actions": [{"actionId": one}],
                "schedule": {"event": "STOP"},
            }
            for host in hosts
        ]
        estate.graphql(
            "horizon-job-create", **dict(zip(("first", "second", "third"), inputs, strict=True))
        )
        job_id = estate.store("jobs", job(201) | {"client_id": hosts[0]})["job_id"]
        with measured(estate.service, "horizon-job-clone"):
            ui("Job.clone", job_id)
        with measured(estate.service, "horizon-job-actions"):
            ui("Job.update_actions", job_id, other)
        estate.graphql(
            "horizon-job-actions",
            job=estate.global_id("Job", job_id),
            actions=[{"actionId": one}],
        )
        with measured(estate.service, "horizon-restore"):
            ui("Backup.restore", {"backup_id": backup_id, "client": hosts[0], "path": "/here"})
        restore = ACTION | {"action": "restore", "restore_abs_path": "/here"}
        estate.graphql(
            "horizon-restore",
            input={
                "description": "restore",
                "clientId": hosts[0],
                "actions": [{"freezerAction": restore}],
                "schedule": {"event": "START"},
            },
        )


def column(rows: list[dict[str, Any]], key: str) -> list[Any]:
    return [row[key] for row in rows]


def is_of(request: Request, kind: str) -> bool:
    """Tell whether a request is about a list of the catalogue."""
    return request["path"].rstrip("/").endswith(f"/{kind}")


def as_input(document: dict[str, Any]) -> dict[str, Any]:
    """Return what GraphQL takes for a job's document."""
    return {
        "description": document["description"],
        "clientId": document["client_id"],
        "actions": [{"freezerAction": one["freezer_action"]} for one in document["job_actions"]],
        "schedule": {"date": document["job_schedule"]["schedule_date"]},
    }
