"""Both services answer the same after a move, and after the way back: as freezer-api 19 answers."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live import LiveGateway, command

from . import freezer_api
from .gateways import ACCOUNT
from .keystone import Keystone

ACTION = {
    "action": "backup",
    "mode": "fs",
    "backup_name": "nightly",
    "path_to_backup": "/srv",
    "container": "backups",
    "storage": "local",
}
BACKUP = {"backup_name": "nightly", "container": "backups", "hostname": "web-1", "mode": "fs"}


@dataclass
class Move:
    """A freezer-api with items of two projects, and a gateway's file to move them to."""

    keystone: Keystone
    folder: Path
    service: LiveGateway

    @property
    def source(self) -> str:
        """The URL of freezer-api's database."""
        return f"sqlite:///{self.folder}/freezer-api.sqlite3"

    def fill(self) -> None:
        """Store items by REST, and rows with faults in the database itself."""
        admin = self.keystone.token("ada", "alpha")
        client = {"client_id": "web-1", "hostname": "web-1", "description": "The web server"}
        self.store("alpha", admin, "clients", client)
        for project, user in (("alpha", "alice"), ("beta", "bob")):
            token = self.keystone.token(user, project)
            session = {"description": "together", "hold_off": 30, "schedule": {}}
            self.store(project, token, "sessions", session)
            action = self.store(project, token, "actions", {"freezer_action": ACTION})
            if project == "alpha":
                for number in range(3):
                    schedule = {"schedule_interval": f"{number + 1} days"}
                    job = {
                        "description": f"job {number}",
                        "client_id": "web-1",
                        "job_schedule": schedule if number else {},
                        "job_actions": [
                            {"action_id": action["action_id"]},
                            {"freezer_action": ACTION},
                        ],
                    }
                    self.store(project, token, "jobs", job)
            for number in range(12):
                metadata = BACKUP | {"time_stamp": 1_700_000_000 + number, "curr_backup_level": 0}
                self.store(project, token, "backups", metadata | {"note": "é" * number})
        self._add_faults()

    def _add_faults(self) -> None:
        alpha = self.keystone.projects["alpha"]
        connection = sqlite3.connect(self.folder / "freezer-api.sqlite3")
        with connection:
            for own_id, text in (
                ("nan", json.dumps(BACKUP | {"ratio": float("nan")})),
                ("nul", json.dumps(BACKUP | {"note": "a\0b"})),
                ("cut", json.dumps(BACKUP)[:40]),
                ("large", json.dumps(BACKUP | {"size": 10**30})),
            ):
                connection.execute(
                    "INSERT INTO backups (id, project_id, user_id, status, backup_metadata, "
                    "created_at, deleted) VALUES (?, ?, 'u', 'odd', ?, '2026-01-01 00:00:00', 0)",
                    (own_id, alpha, text),
                )
            connection.execute("UPDATE jobs SET description = NULL WHERE description = 'job 1'")
            connection.execute(
                "UPDATE actions SET max_retries = NULL WHERE project_id = ?", (alpha,)
            )
        connection.close()

    def store(self, project: str, token: str, kind: str, document: dict[str, Any]) -> Any:
        """Create an item."""
        response = httpx.post(
            f"{self.service.url}/v2/{self.keystone.projects[project]}/{kind}",
            json=document,
            headers={"X-Auth-Token": token},
            timeout=60,
        )
        assert response.status_code == 201, response.text
        return response.json()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of a gateway that asks the same Keystone."""
        settings = ACCOUNT | {
            "auth": "keystone",
            "keystone_auth_url": self.keystone.auth_url,
            "database_url": f"sqlite:///{self.folder}/gateway.sqlite3",
        }
        variables = {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
        return subprocess.run(
            command(*arguments),
            env=os.environ | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def verified(self, source: str, service: LiveGateway) -> str:
        """Compare both sides, and all answers of both services; return what is said of it."""
        tokens = []
        for project, user in (("alpha", "alice"), ("beta", "bob")):
            token = self.keystone.token(user, project)
            tokens += ["--token", f"{self.keystone.projects[project]}={token}"]
        options = ["--verify", "--url", service.url, "--sample", "all", *tokens]
        done = self.run("import", source, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def move(keystone: Keystone, tmp_path: Path) -> Iterator[Move]:
    """Return a freezer-api that has been filled."""
    with freezer_api.serving(keystone, tmp_path) as service:
        made = Move(keystone, tmp_path, service)
        made.fill()
        yield made


def test_both_services_answer_the_same_and_so_they_do_after_the_way_back(
    move: Move, tmp_path_factory: pytest.TempPathFactory
) -> None:
    imported = move.run("import", move.source)
    assert imported.returncode == 0, imported.stderr
    said = move.verified(move.source, move.service)
    assert "both sides are the same" in said
    assert "not meant" not in said
    for kind in ("event", "not-a-number", "unusable-text", "null", "states"):
        assert f" {kind}: " in said, said
    assert "fails-there: " in said
    back = tmp_path_factory.mktemp("back")
    with freezer_api.serving(move.keystone, back) as service:
        target = f"sqlite:///{back}/freezer-api.sqlite3"
        exported = move.run("export", target)
        assert exported.returncode == 0, exported.stderr
        said = move.verified(target, service)
        assert "both sides are the same" in said
        assert "not meant" not in said
        assert "meant: " not in said
        again = move.run("export", target)
        assert "nothing has changed: all of it was there already" in again.stdout
