"""A host that is backed up: its scheduler, its data, and its jobs as a dashboard sees them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .catalogue import Catalogue
from .scheduler import Scheduler

FAR = "2099-01-01T00:00:00"
"""When jobs run that aren't to run."""

JOB = """
query ($job: ID!) {
  job(jobId: $job) {
    status result event userId
    schedule { currentPid timeStarted timeEnded }
    backups(orderBy: {field: TIME_STAMP}) {
      nodes {
        backupName status level hostname container mode storage engine
        timeStamp compressedSize uncompressedSize
        job { description }
        client { clientId }
      }
    }
  }
}
"""


@dataclass
class Job:
    """A job, by its global id and its own."""

    catalogue: Catalogue
    id: str
    job_id: str

    def ask_for(self, event: str) -> None:
        """Ask the scheduler to start, stop or abort it."""
        self.catalogue.ask(
            f"mutation ($job: ID!) {{ {event}Job(input: {{id: $job}}) {{ requested }} }}",
            job=self.id,
        )

    def delete(self) -> None:
        """Delete it."""
        self.catalogue.ask(
            "mutation ($job: ID!) { deleteJob(input: {id: $job}) { deletedId } }", job=self.id
        )

    def now(self) -> dict[str, Any]:
        """Return what is known of it."""
        found: dict[str, Any] = self.catalogue.ask(JOB, job=self.job_id)["job"]
        return found

    def becomes(self, status: str, **more: object) -> dict[str, Any]:
        """Wait until it has this status, and what else is given; return what is known of it."""
        wanted = {"status": status} | more

        def so(data: dict[str, Any]) -> bool:
            return {key: data["job"][key] for key in wanted} == wanted

        found: dict[str, Any] = self.catalogue.wait(JOB, so, job=self.job_id)["job"]
        return found


@dataclass
class Session:
    """A session, by its global id and its own."""

    catalogue: Catalogue
    id: str
    session_id: str

    def add(self, job: Job) -> None:
        """Take a job in, which thereby has the session's schedule."""
        self.catalogue.ask(
            """mutation ($session: ID!, $job: ID!) {
              addJobToSession(input: {id: $session, jobId: $job}) { session { id } }
            }""",
            session=self.id,
            job=job.id,
        )

    def becomes(self, status: str) -> dict[str, Any]:
        """Wait until it has this status; return what is known of it."""
        found: dict[str, Any] = self.catalogue.wait(
            """query ($session: ID!) {
              session(sessionId: $session) { status result sessionTag jobStates }
            }""",
            lambda data: data["session"]["status"] == status,
            session=self.session_id,
        )["session"]
        return found


class Host:
    """A host with a scheduler, some data, and a place for its backups."""

    def __init__(
        self, client_id: str, scheduler: Scheduler, catalogue: Catalogue, folder: Path
    ) -> None:
        """Keep data, backups and the agent's log in the folder."""
        self.client_id = client_id
        self.scheduler = scheduler
        self.catalogue = catalogue
        self.data = folder / "data"
        self.data.mkdir()
        (self.data / "first.txt").write_text("first")
        self.backups = folder / "backups"
        self.place = {
            "storage": "local",
            "engine_name": "tar",
            "mode": "fs",
            "container": str(self.backups),
            "backup_name": "nightly",
            "log_file": str(folder / "agent.log"),
        }

    def backup(self, **more: object) -> dict[str, object]:
        """Return the action that backs the data up."""
        return {"action": "backup", "path_to_backup": str(self.data)} | self.place | more

    def hanging_backup(self, port: int) -> dict[str, object]:
        """Return the action that takes the data to a silent server, and waits for its word."""
        account = {"ftp_username": self.client_id, "ftp_password": self.client_id}
        return self.backup(storage="ftp", ftp_host="127.0.0.1", ftp_port=port, **account)

    def session(self) -> Session:
        """Create a session whose jobs run as soon as the scheduler knows of it."""
        made = self.catalogue.ask(
            """mutation {
              createSession(input: {description: "together", holdOff: 60, schedule: {}}) {
                session { id sessionId }
              }
            }"""
        )["createSession"]["session"]
        return Session(self.catalogue, made["id"], made["sessionId"])

    def job(
        self, *actions: dict[str, object], description: str = "nightly", **schedule: str
    ) -> Job:
        """Create a job; without a schedule it runs as soon as the scheduler knows of it."""
        given = {
            "description": description,
            "clientId": self.client_id,
            "actions": [{"freezerAction": action, "maxRetries": 0} for action in actions],
            "schedule": schedule,
        }
        made = self.catalogue.ask(
            "mutation ($input: CreateJobInput!) { createJob(input: $input) { job { id jobId } } }",
            input=given,
        )["createJob"]["job"]
        return Job(self.catalogue, made["id"], made["jobId"])


@contextmanager
def silent_server() -> Iterator[int]:
    """Yield the port of a server that lets everybody in and says nothing, while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
