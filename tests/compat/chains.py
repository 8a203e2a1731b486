"""Chains as they stand in a folder, and restores from there by freezer-agent."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.agent_rules import Pick

from .environments import program
from .keystone import PASSWORD, REGION, Keystone

Files = dict[str, str]
"""The text of each file of a folder."""


class Folder:
    """Where the backups of one series are."""

    def __init__(self, container: Path, name: str) -> None:
        """Take the host's name and the backup's."""
        self.metadata = container / "metadata" / "tar" / name
        self.data = container / "data" / "tar" / name

    def listing(self) -> dict[int, list[str]]:
        """Return the names in each chain, as the file system lists them."""
        chains = os.listdir(self.metadata) if self.metadata.exists() else []  # noqa: PTH208
        return {int(zero): os.listdir(self.metadata / zero) for zero in chains}  # noqa: PTH208

    def links(self) -> set[tuple[int, int, int]]:
        """Return chain, time and level of each backup that is there whole."""
        found = set()
        for zero, names in self.listing().items():
            for name in names:
                level, _, time = name.partition("_")
                assert (self.metadata / str(zero) / name / "metadata").exists()
                assert (self.data / str(zero) / name / "data").exists()
                found.add((zero, int(time), int(level)))
        return found

    def pick(self) -> Pick:
        """Return which backups the agent sees now, if it takes them as they are listed."""
        place = {name: at for names in self.listing().values() for at, name in enumerate(names)}
        return lambda links: {
            link.level: link for link in sorted(links, key=lambda link: place[link.name])
        }


@dataclass(frozen=True)
class Outcome:
    """What came of a restore."""

    succeeded: bool
    log: str
    files: Files


def files(folder: Path) -> Files:
    """Return what is in a folder."""
    return {file.name: file.read_text() for file in folder.iterdir()}


def restored(
    keystone: Keystone, folder: Path, place: Mapping[str, object], date: str | None
) -> Outcome:
    """Have freezer-agent restore into this folder, which it makes."""
    folder.mkdir()
    target = folder / "target"
    log = folder / "agent.log"
    options = dict(place) | {
        "action": "restore",
        "restore_abs_path": target,
        "log_file": log,
        "restore_from_date": date or "",
    }
    ran = agent(keystone, folder, options)
    return Outcome(ran == 0, log.read_text(), files(target) if target.exists() else {})


def agent(keystone: Keystone, folder: Path, options: Mapping[str, object]) -> int:
    """Run freezer-agent with these options, as its scheduler does; return its exit code."""
    file = folder / "action.conf"
    lines = [f"{name} = {value}" for name, value in options.items()]
    file.write_text("\n".join(["[action]", *lines]))
    command = program("freezer", "freezer-agent")
    account = {
        "OS_AUTH_URL": keystone.auth_url,
        "OS_USERNAME": "alice",
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_NAME": "alpha",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": REGION,
        "OS_IDENTITY_API_VERSION": "3",
        "EVENTLET_NO_GREENDNS": "yes",
    }
    with (folder / "agent.out").open("wb") as output:
        return subprocess.run(
            [command, "--metadata-out", "-", "--config", file],
            env=account | {"HOME": str(folder), "TZ": "UTC", "PATH": os.environ["PATH"]},
            stdout=output,
            stderr=output,
            check=False,
        ).returncode
