"""The PostgreSQL server of a run: tuned alike for everybody who uses it, on the database's core."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import asyncpg
import sqlalchemy as sa

from tests.support.databases import Cluster

from .machine import pin

SETTINGS = {
    # No client waits for the disk, here or in MariaDB: programs are compared, not disks.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Everything is in memory, and nothing else runs while something is measured.
    "random_page_cost": "1.1",
    "effective_cache_size": "'8GB'",
    "work_mem": "'64MB'",
    "maintenance_work_mem": "'512MB'",
    "max_wal_size": "'8GB'",
    "checkpoint_timeout": "'1h'",
    "autovacuum": "off",
    "jit": "off",
    "log_line_prefix": "'%d '",
}
"""Settings that aren't PostgreSQL's defaults."""

_STATEMENT = re.compile(r"^(\w+) LOG: +(?:statement|execute [^:]*):\s*(\w+)", re.MULTILINE)
_TRANSACTION = {"BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "RESET"}


class Postgres:
    """The server, by the URL of its first database."""

    def __init__(self, url: str, log: Path) -> None:
        """Take the URL and the file that the server logs to."""
        self.url = sa.make_url(url)
        self.log = log

    @cached_property
    def version(self) -> str:
        """The server's name and version."""
        return f"PostgreSQL {self.run('SHOW server_version')[0][0]}"

    def create(self) -> str:
        """Make an empty database and return its URL."""
        name = f"bench_{uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url.set(database=name).render_as_string(hide_password=False)

    def run(self, *statements: str, url: str | None = None) -> list[asyncpg.Record]:
        """Run statements one by one, outside of a transaction; return the last one's rows."""
        url = url or self.url.render_as_string(hide_password=False)
        return asyncio.run(self._run(url, statements))

    async def _run(self, url: str, statements: tuple[str, ...]) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            rows: list[asyncpg.Record] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    @contextmanager
    def counting(self, url: str, which: str = "") -> Iterator[list[int]]:
        """Count the statements of a database in the block; the list gets their number at its end.

        What begins and ends transactions doesn't count. With `which`, only writes that begin with
        these words do, and no read is even logged.
        """
        counted: list[int] = []
        self._log_statements("mod" if which else "all")
        begun = self.log.stat().st_size
        try:
            yield counted
        finally:
            self._log_statements("none")
        text = self.log.read_bytes()[begun:].decode(errors="replace")
        database = sa.make_url(url).database
        if which:
            counted.append(text.count(f": {which}"))
            return
        found = [word.upper() for name, word in _STATEMENT.findall(text) if name == database]
        counted.append(sum(word not in _TRANSACTION for word in found))

    def _log_statements(self, which: str) -> None:
        self.run(f"ALTER SYSTEM SET log_statement = '{which}'", "SELECT pg_reload_conf()")
        time.sleep(0.3)  # each backend takes notice between two statements


@contextmanager
def running(core: int) -> Iterator[Postgres]:
    """Run a throw-away server on one core."""
    with Cluster() as url:
        cluster = Postgres(url, log=Path())
        folder = Path(cluster.run("SHOW data_directory")[0][0])
        changes = [f"ALTER SYSTEM SET {name} = {value}" for name, value in SETTINGS.items()]
        postgres = Postgres(url, folder / "log")
        postgres.run(*changes, "SELECT pg_reload_conf()")
        postmaster = int((folder / "postmaster.pid").read_text().split()[0])
        pin(postmaster, core)
        yield postgres
