"""What the programs of a run share: the folder, the cores, the database and the data."""

import asyncio
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import gateway_data
from .catalogue import Catalogue
from .machine import Cores
from .postgres import Postgres
from .progress import say

USER = "5ba1c0e5d0fb4a0f8b6c8d6ff0a3f111"


@dataclass
class Stage:
    """The data: a project to read, and one of a tenth of its size that is also written to."""

    folder: Path
    cores: Cores
    postgres: Postgres
    jobs: int
    projects: tuple[str, str]

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
