"""python-freezerclient's two programs, `freezer` and `openstack backup`, run as a user would."""

import csv
import io
import json
import os
import re
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

from .environments import program
from .keystone import PASSWORD, REGION, Keystone

WORDS = {
    "freezer": r"(?m)^  ((?:action|backup|client|job|session)-\S+)  ",
    "openstack": r"(?m)^  (backup .*?)(?:  |$)",
}
"""How each program lists its commands."""


class Program:
    """One of the two programs, run by a user of a project."""

    def __init__(self, name: str, keystone: Keystone, folder: Path) -> None:
        """Let it find Keystone and everything else by its variables, as a user would."""
        self.name = name
        self.folder = folder
        self.called: set[str] = set()
        self.user_id = keystone.users["alice"]
        self.project_id = keystone.projects["alpha"]
        self._keystone = keystone
        self._files = count()

    def run(
        self, command: str, *arguments: object, user: str = "alice", fails: bool = False
    ) -> str:
        """Run a command, `job-list` for `openstack backup job list`; return what it prints."""
        words = [command]
        if self.name == "openstack":
            kind, verb = command.split("-", 1)
            words = ["backup", *([] if kind == "backup" else [kind]), *verb.split("-")]
        self.called.add(" ".join(words))
        done = subprocess.run(
            [program("freezerclient", self.name), *words, *(str(one) for one in arguments)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "TZ": "UTC",
                "OS_AUTH_URL": self._keystone.auth_url,
                "OS_USERNAME": user,
                "OS_PASSWORD": PASSWORD,
                "OS_PROJECT_NAME": "alpha",
                "OS_USER_DOMAIN_NAME": "Default",
                "OS_PROJECT_DOMAIN_NAME": "Default",
                "OS_IDENTITY_API_VERSION": "3",
                "OS_REGION_NAME": REGION,
            },
            check=False,
            capture_output=True,
            text=True,
        )
        assert (done.returncode != 0) is fails, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stderr if fails else done.stdout

    def shown(self, command: str, *arguments: object, user: str = "alice") -> dict[str, Any]:
        """Run a command that shows one item; return its fields."""
        fields: dict[str, Any] = json.loads(self.run(command, *arguments, "-f", "json", user=user))
        return fields

    def listed(self, command: str, *arguments: object, user: str = "alice") -> list[dict[str, str]]:
        """Run a command that lists items; return its rows, but not the empty one for none."""
        printed = self.run(command, *arguments, "-f", "csv", user=user)
        rows = list(csv.DictReader(io.StringIO(printed)))
        return [row for row in rows if any(row.values())]

    def file(self, document: object) -> Path:
        """Write a document to a file."""
        file = self.folder / f"{self.name}-{next(self._files)}.json"
        file.write_text(json.dumps(document))
        return file

    def commands(self) -> set[str]:
        """Return every command that the program itself says it has."""
        arguments = ["--help"] if self.name == "freezer" else ["help", "backup"]
        done = subprocess.run(
            [program("freezerclient", self.name), *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return set(re.findall(WORDS[self.name], done.stdout))
