"""freezer-agent's own classes on a Cinder of this program's: a history for each line of input.

A history is backups, each with its time, with an increment asked for or not, and the time up to
which old ones are removed, or null; the answer is what came of each: the status that the catalogue
has of it, and the times of the backups that there are then.
"""

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from freezer.openstack import admin, backup

VOLUME = "v1"


class Cinder:
    """A Cinder with one volume, whose backups take longer than the agent runs."""

    def __init__(self) -> None:
        """Begin with no backups."""
        self.held: list[Any] = []
        self.now = 0

    def create_backup(self, **options: Any) -> Any:
        """Begin a backup: an increment is based on the newest that there is."""
        available = [one.id for one in self.held if one.status == "available"]
        made = SimpleNamespace(
            id=str(self.now),
            time=self.now,
            created_at=datetime.fromtimestamp(self.now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000"),
            volume_id=options["volume_id"],
            is_incremental=options["is_incremental"],
            base=available[-1] if options["is_incremental"] else None,
            metadata=options["metadata"],
            status="creating",
        )
        self.held.append(made)
        return made

    def backups(self, *, details: bool = True, **search: Any) -> list[Any]:  # noqa: ARG002
        """Return those that were made like this, the oldest first."""
        wanted = {key: value for key, value in search.items() if not key.startswith("sort_")}
        return [
            one
            for one in self.held
            if all(getattr(one, key) == value for key, value in wanted.items())
        ]

    def get_backup(self, backup_id: str) -> Any:
        """Return a backup."""
        (found,) = self.backups(id=backup_id)
        return found

    def delete_backup(self, backup_id: str) -> None:
        """Delete a backup that no other one is based on."""
        if any(one.base == backup_id for one in self.held):
            raise RuntimeError("Incremental backups exist for this backup.")
        self.held = [one for one in self.held if one.id != backup_id]


def play(history: list[Any]) -> list[Any]:
    """Return what comes of a history."""
    cinder, found = Cinder(), []
    manager = SimpleNamespace(get_cinder=lambda: cinder)
    for now, incremental, until in history:
        cinder.now, status = now, "available"
        agent = backup.BackupOs(manager, "container", None, "")
        made = agent.backup_cinder(
            VOLUME, name="etc", incremental=incremental, metadata={"created_by": "freezer"}
        )
        try:
            if until is not None:
                admin.AdminOs(manager).remove_cinderbackup_older_than(VOLUME, until)
        except RuntimeError:
            status = "creating"
        made.status = "available"
        found.append([status, [[one.time, one.is_incremental] for one in cinder.held]])
    return found


for line in sys.stdin:
    print(json.dumps(play(json.loads(line))), flush=True)  # noqa: T201
