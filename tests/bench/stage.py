"""The things that the programs of a run share: the folder, the cores, the database and the data."""

import asyncio
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.compat.keystone import Keystone

from . import gateway_data
from .catalogue import Catalogue
from .machine import Cores
from .postgres import Postgres
from .progress import say

PROJECTS = ("b0" * 16, "b1" * 16)
USER = "5ba1c0e5d0fb4a0f8b6c8d6ff0a3f111"


@dataclass
class Stage:
    """The data: a project to read, and one of a tenth of its size that is also written to."""

    folder: Path
    cores: Cores
    jobs: int
    server: Postgres | None = None
    authority: Keystone | None = None

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL server, where a program wants one."""
        assert self.server is not None
        return self.server

    @property
    def keystone(self) -> Keystone:
        """The Keystone that runs, where a program wants one."""
        assert self.authority is not None
        return self.authority

    @cached_property
    def projects(self) -> tuple[str, str]:
        """The projects' ids, which are Keystone's where there is one."""
        if self.authority is None:
            return PROJECTS
        return self.authority.projects["alpha"], self.authority.projects["beta"]

    @cached_property
    def tokens(self) -> tuple[str, str]:
        """A token for each project."""
        return self.keystone.token("alice", "alpha"), self.keystone.token("bob", "beta")

    def headers(self, catalogue: Catalogue) -> dict[str, str]:
        """Return what shows a project's token."""
        return {"X-Auth-Token": self.tokens[self.projects.index(catalogue.project_id)]}

    @cached_property
    def catalogue(self) -> Catalogue:
        """The project that is read."""
        return Catalogue(self.projects[0], USER, self.jobs)

    @cached_property
    def second(self) -> Catalogue:
        """The project that is written to."""
        return Catalogue(self.projects[1], USER, max(1, self.jobs // 10))

    @cached_property
    def database(self) -> str:
        """The URL of the PostgreSQL database with both projects."""
        say(f"loading {self.jobs:,} jobs and {self.catalogue.backups:,} backups into PostgreSQL")
        url = self.postgres.create()
        gateway_data.upgrade(url)
        asyncio.run(gateway_data.fill_postgres(url, [self.catalogue, self.second]))
        return url

    @cached_property
    def sqlite(self) -> str:
        """The URL of an SQLite file with both projects."""
        say(f"loading {self.catalogue.backups:,} backups into SQLite")
        url = f"sqlite:///{self.folder}/bench.sqlite3"
        gateway_data.upgrade(url)
        gateway_data.fill_sqlite(url, [self.catalogue, self.second])
        return url
