"""The data that every program serves: projects with jobs, their actions and their backups.

An item's number decides all of it. Names and ids sort by that number, so that a program that
doesn't sort its lists answers them in the same order as those that do.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Values = dict[str, Any]

BACKUPS_PER_JOB = 10
POLLED_SHARE = 10
"""One job in so many belongs to the client that polls."""
JOBS_PER_CLIENT = 20
"""How many jobs every other client has."""
FIRST_NIGHT = 1_735_700_000
DAY = 86_400
LEVELS = 7
"""How many backups a chain has, the full one first."""
MADE = datetime(2026, 1, 1, tzinfo=UTC)
SOURCES = (("web", "fs"), ("db", "mysql"), ("mail", "fs"), ("vol", "cinder"))


@dataclass(frozen=True)
class Catalogue:
    """A project and how much there is in it."""

    project_id: str
    user_id: str
    jobs: int

    @property
    def backups(self) -> int:
        """How many backups there are."""
        return self.jobs * BACKUPS_PER_JOB

    def identifier(self, kind: str, number: int) -> str:
        """Return an id of 32 hexadecimal characters; ids sort as their numbers do."""
        digest = hashlib.md5(f"{self.project_id}/{kind}/{number}".encode()).hexdigest()  # noqa: S324
        return f"{number:08x}{digest[8:]}"

    def client_of(self, job: int) -> str:
        """Return the id of the client that a job runs on; every tenth job is the poller's."""
        if job % POLLED_SHARE == 0:
            return self.poller
        return f"{self.project_id}_host-{job // JOBS_PER_CLIENT:06d}.example.org"

    @property
    def poller(self) -> str:
        """The id of the client whose scheduler polls."""
        return f"{self.project_id}_host-poller.example.org"

    def clients(self) -> Iterator[str]:
        """Yield the id of every client."""
        yield from dict.fromkeys(self.client_of(number) for number in range(self.jobs))

    def job(self, number: int) -> Values:
        """Return a job: its id, description, client, schedule and actions."""
        night = FIRST_NIGHT + number
        completed = number % POLLED_SHARE and number % 4 == 0
        return {
            "id": self.identifier("job", number),
            "description": f"job-{number:07d}",
            "client_id": self.client_of(number),
            "schedule": {
                "schedule_interval": "1 days",
                "schedule_start_date": "2026-01-01T01:00:00",
                "schedule_end_date": "2027-01-01T01:00:00",
                "status": "completed" if completed else "scheduled",
                "result": "success",
                "event": "",
                "time_created": FIRST_NIGHT,
                "time_started": night,
                "time_ended": night + 900,
            },
            "actions": [self.action(number, position) for position in range(1 + number % 3)],
        }

    def action(self, job: int, position: int) -> Values:
        """Return an action: its id, and what the agent is to do."""
        name, mode = SOURCES[job % len(SOURCES)]
        return {
            "id": self.identifier("action", job * 3 + position),
            "max_retries": 3,
            "max_retries_interval": 60,
            "freezer_action": {
                "action": "backup" if position == 0 else "admin",
                "mode": mode,
                "backup_name": f"{name}-{job:07d}",
                "container": "freezer-nightly",
                "path_to_backup": f"/srv/{name}/{job}",
                "storage": "swift",
                "engine_name": "tar",
                "max_level": 6,
                "log_file": "/var/log/freezer/agent.log",
            },
        }

    def backup(self, number: int) -> Values:
        """Return a backup: its id and the agent's metadata, 26 keys of about 700 bytes."""
        job, run = divmod(number, BACKUPS_PER_JOB)
        name, mode = SOURCES[job % len(SOURCES)]
        size = 1_000_000_000 + number * 37
        return {
            "id": self.identifier("backup", number),
            "metadata": {
                "backup_name": f"series-{job:07d}",
                "backup_uuid": self.identifier("uuid", number),
                "job_id": self.identifier("job", job),
                "client_id": self.client_of(job),
                "hostname": self.client_of(job).partition("_")[2],
                "container": "freezer-nightly",
                "time_stamp": FIRST_NIGHT + run * DAY,
                "curr_backup_level": run % LEVELS,
                "max_level": LEVELS - 1,
                "action": "backup",
                "mode": mode,
                "storage": "swift",
                "engine_name": "tar",
                "backup_media": mode,
                "compression": "gzip",
                "client_os": "linux",
                "client_version": "19.0.0",
                "path_to_backup": f"/srv/{name}/{job}",
                "fs_real_path": f"/srv/{name}/{job}",
                "vol_snap_path": f"/srv/{name}/{job}",
                "log_file": "/var/log/freezer/agent.log",
                "dry_run": "",
                "proxy": "",
                "ssh_port": 22,
                "backup_size_uncompressed": size,
                "backup_size_compressed": size * 45 // 100,
            },
        }


def text(document: Values) -> str:
    """Write a document as its owner sends it."""
    return json.dumps(document)
