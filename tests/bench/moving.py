"""Move a catalogue from MariaDB into PostgreSQL, and back: `python -m tests.bench.moving`.

It prints what each command took, and then all of it as a row of a table.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import freezer_tables
from tests.support.databases import Cluster
from tests.support.live import command

from . import freezer_data, mariadb
from .catalogue import BACKUPS_PER_JOB, Catalogue
from .mariadb import MariaDB
from .postgres import Postgres
from .stage import PROJECTS, USER

SETTINGS = ("max_wal_size = '8GB'", "maintenance_work_mem = '512MB'")
"""Settings of a server that has a large database; it waits for the disk, as others do."""


@dataclass(frozen=True)
class Took:
    """What a command took: seconds, seconds of its own CPU time, and its memory at most."""

    seconds: float
    cpu: float
    megabytes: float


class RandomCatalogue(Catalogue):
    """A catalogue with ids in no order, as those that freezer-api makes."""

    def identifier(self, kind: str, number: int) -> str:
        """Return an id of 32 hexadecimal characters."""
        return hashlib.md5(f"{self.project_id}/{kind}/{number}".encode()).hexdigest()  # noqa: S324


def create(server: MariaDB, name: str) -> str:
    """Make freezer-api's tables, and return the URL of their database."""
    server.run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    for table, columns in freezer_tables.TABLES.items():
        server.run(f"CREATE TABLE {table} ({columns}, {freezer_tables.TIMES})", database=name)
    server.run(
        "CREATE TABLE alembic_version (version_num varchar(32))",
        f"INSERT INTO alembic_version VALUES ('{freezer_tables.REVISION}')",  # noqa: S608 - fixed
        database=name,
    )
    return f"mysql://root@localhost/{name}?unix_socket={server.socket}"


def run(folder: Path, url: str, *arguments: str) -> Took:
    """Run a command of the gateway, print what it takes, and return it. Raises SystemExit."""
    begun = time.monotonic()
    process = subprocess.Popen(
        command(*arguments),
        env=os.environ | {"GATEWAY_DATABASE_URL": url},
        cwd=folder,
        stdout=sys.stderr,
    )
    _, status, usage = os.wait4(process.pid, 0)
    took = Took(
        time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6
    )
    print(
        f"{' '.join(arguments[:1] + arguments[2:])}: {took.seconds:.1f} s, {took.cpu:.1f} s of its "
        f"own CPU time, at most {took.megabytes:.0f} MB",
        flush=True,
    )
    if status:
        raise SystemExit(f"it ended with {os.waitstatus_to_exitcode(status)}")
    return took


def main() -> None:
    """Fill MariaDB, move its catalogue in, compare, and move it back."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.moving", description=__doc__)
    parser.add_argument("--backups", type=int, default=100_000, help="how many (100,000)")
    parser.add_argument("--only-import", action="store_true", help="neither compare nor move back")
    chosen = parser.parse_args()
    catalogue = RandomCatalogue(PROJECTS[0], USER, chosen.backups // BACKUPS_PER_JOB)
    with TemporaryDirectory() as name, mariadb.running(Path(name)) as server, Cluster() as own:
        folder = Path(name)
        postgres = Postgres(own, log=Path())
        changes = (f"ALTER SYSTEM SET {setting}" for setting in SETTINGS)
        postgres.run(*changes, "SELECT pg_reload_conf()")
        url = postgres.create()
        source = create(server, "freezer")
        freezer_data.fill(server, "freezer", [catalogue], folder)
        run(folder, url, "db", "upgrade")
        took = [run(folder, url, "import", source), run(folder, url, "import", source)]
        if not chosen.only_import:
            took.append(run(folder, url, "import", source, "--verify"))
            back = create(server, "freezer_back")
            took.append(run(folder, url, "export", back))
            run(folder, url, "import", back, "--verify")
    times = " | ".join(f"{one.seconds:,.0f} s" for one in took)
    rate = catalogue.backups / took[0].seconds
    print(f"| {catalogue.backups:,} | {times} | {rate:,.0f} | {took[0].megabytes:.0f} MB |")


if __name__ == "__main__":
    main()
