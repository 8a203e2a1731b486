"""A move: a freezer-api on MariaDB behind a load balancer, and a gateway on PostgreSQL."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.bench.mariadb import MariaDB
from tests.support.live import LiveGateway, command, live

from . import freezer_api, freezer_databases
from .balancer import Balancer, balancing
from .freezer_databases import FreezerDatabase, at_revision
from .gateways import prepared, variables
from .keystone import Keystone

PATIENCE = 300
"""How many seconds something may take to happen."""
MEMBERS = {"alpha": "alice", "beta": "bob", "gamma": "gina"}
"""The projects that move, each with a member."""
_KIND = re.compile(r"^meant: ([\d,]+) ([\w-]+): ", re.MULTILINE)


def wait(condition: Callable[[], object], why: Callable[[], object] = lambda: "") -> None:
    """Return when the condition holds."""
    patient_until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < patient_until, why()
        time.sleep(0.2)


class Program:
    """A command of the gateway's that runs, and what it has said."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process, self.output = process, output

    def wait_to_say(self, text: str) -> None:
        """Wait until it has said this."""

        def said() -> bool:
            assert self.process.poll() in {None, 0}, self.output.read_text()
            return text in self.output.read_text()

        wait(said, self.output.read_text)

    def ended(self) -> str:
        """Wait for its end, and return what it has said."""
        status = self.process.wait(PATIENCE)
        assert status == 0, self.output.read_text()
        return self.output.read_text()


@dataclass
class Move:
    """What moves, and where to."""

    keystone: Keystone
    folder: Path
    server: MariaDB
    database: FreezerDatabase
    service: LiveGateway
    """freezer-api."""
    balancer: Balancer
    gateway: LiveGateway
    settings: Mapping[str, str]
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def projects(self) -> Mapping[str, str]:
        """The ids of the projects, by their names."""
        return {name: self.keystone.projects[name] for name in MEMBERS}

    def token(self, project: str) -> str:
        """Return a token of a project's member."""
        if project not in self.tokens:
            self.tokens[project] = self.keystone.token(MEMBERS[project], project)
        return self.tokens[project]

    def ask(
        self, method: str, path: str, project: str = "alpha", url: str = "", **more: Any
    ) -> httpx.Response:
        """Ask for something of a project at freezer-api's address, or another, as its member."""
        return httpx.request(
            method,
            f"{url or self.balancer.url}/v2/{self.keystone.projects[project]}/{path}",
            headers={"X-Auth-Token": self.token(project)},
            timeout=PATIENCE,
            **more,
        )

    def create(self, project: str, kind: str, document: Mapping[str, Any]) -> str:
        """Create an item, and return its id."""
        response = self.ask("POST", kind, project, json=document)
        assert response.status_code == 201, response.text
        made: str = response.json()[f"{kind.removesuffix('s')}_id"]
        return made

    def run(self, *arguments: str, **settings: str) -> str:
        """Run a command of the gateway's, and return what it says."""
        done = subprocess.run(
            command(*arguments),
            env=self._environment(settings),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[Program]:
        """Run a command of the gateway's beside the block."""
        output = self.folder / f"{name}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command(*arguments),
                env=self._environment({}),
                cwd=self.folder,
                stdout=file,
                stderr=file,
            )
        try:
            yield Program(process, output)
        finally:
            process.kill()
            process.wait()

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        return os.environ | variables({**self.settings, **settings}) | {"PYTHONUNBUFFERED": "1"}

    def verified(self, source: str, service: LiveGateway) -> Mapping[str, int]:
        """Compare both sides, and all items and lists of both services.

        Return the number of the differences that are meant, by their kinds.
        """
        options: Sequence[str] = [
            f"--token={project_id}={self.token(name)}" for name, project_id in self.projects.items()
        ]
        said = self.run(
            "import", source, "--verify", "--url", service.url, "--sample=all", *options
        )
        assert "both sides are the same" in said
        assert "not meant" not in said
        return {kind: int(count.replace(",", "")) for count, kind in _KIND.findall(said)}

    @contextmanager
    def back(self) -> Iterator[tuple[str, LiveGateway]]:
        """Export everything to an empty database; yield its URL, and a freezer-api of it."""
        target = at_revision(self.server)
        url = f"mysql://root@localhost/{target.name}?unix_socket={self.server.socket}"
        self.run("export", url)
        folder = self.folder / "back"
        folder.mkdir()
        with freezer_api.serving(self.keystone, folder, _url(self.server, target)) as service:
            yield target.url, service


def _url(server: MariaDB, database: FreezerDatabase) -> str:
    """Return the URL by which freezer-api has its database."""
    return f"{server.url(database.name)}&charset=utf8mb4"


@contextmanager
def moving(keystone: Keystone, postgres_url: str, folder: Path) -> Iterator[Move]:
    """Run both services; Keystone's catalogue leads to the load balancer before freezer-api."""
    if "gamma" not in keystone.projects:
        keystone.add_project("gamma")
        keystone.add_user("gina", "gamma", "member")
    for name in ("freezer-api", "gateway"):
        (folder / name).mkdir()
    with ExitStack() as running:
        server = running.enter_context(freezer_databases.running(folder))
        database = at_revision(server)
        service = running.enter_context(
            freezer_api.serving(keystone, folder / "freezer-api", _url(server, database))
        )
        balancer = running.enter_context(balancing(folder, service.url))
        keystone.register(balancer.url)
        settings = prepared(keystone, postgres_url)
        gateway = running.enter_context(live(folder / "gateway", sample_data=False, **settings))
        yield Move(keystone, folder, server, database, service, balancer, gateway, settings)
