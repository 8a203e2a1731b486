"""freezer-api's database on MariaDB, at each revision of its schema, with rows by the thousand.

The tables are made by freezer-api's own migrations. A reader who may only select is who imports.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymysql

from tests.bench import mariadb
from tests.bench.mariadb import MariaDB

from .environments import program

SYNC = Path(__file__).parent / "servers" / "freezer_api_sync.py"
MADE = "2026-01-01 00:00:00"


@dataclass
class FreezerDatabase:
    """A database of freezer-api."""

    server: MariaDB
    name: str
    columns: Mapping[str, frozenset[str]]

    @property
    def url(self) -> str:
        """The URL by which a user who may only select reads it."""
        return f"mysql://reader@localhost/{self.name}?unix_socket={self.server.socket}"

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, by those of their columns that this revision has."""
        usual = {"project_id": "p1", "user_id": "u1", "user_name": "jane", "deleted": 0}
        full = [usual | {"created_at": MADE} | row for row in rows]
        names = [name for name in full[0] if name in self.columns[table]]
        marks = ", ".join(["%s"] * len(names))
        text = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - columns
        connection = pymysql.connect(
            unix_socket=str(self.server.socket), user="root", database=self.name, charset="utf8mb4"
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0, sql_mode = ''")
            cursor.executemany(text, [[row[name] for name in names] for row in full])
            connection.commit()

    def run(self, *statements: str) -> Sequence[Any]:
        """Run statements, and return the last one's rows."""
        return self.server.run(*statements, database=self.name)


@contextmanager
def running(folder: Path) -> Iterator[MariaDB]:
    """Run a server that keeps its files in the folder, and knows the reader."""
    with mariadb.running(folder) as server:
        server.run("CREATE USER reader@localhost")
        yield server


def at_revision(server: MariaDB, revision: str = "head") -> FreezerDatabase:
    """Return a new database at a revision, made by freezer-api's own migrations."""
    return at_revisions(server, revision)[revision]


def at_revisions(server: MariaDB, *revisions: str) -> Mapping[str, FreezerDatabase]:
    """Return a new database at each of these revisions."""
    names = {revision: f"freezer_{uuid4().hex[:8]}" for revision in revisions}
    for name in names.values():
        # Its texts of four bytes a character are too long for an index of an older format.
        server.run(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4",
            f"GRANT SELECT ON {name}.* TO reader@localhost",
        )
    upgrade(server, {name: revision for revision, name in names.items()})
    return {
        revision: FreezerDatabase(server, name, _columns(server, name))
        for revision, name in names.items()
    }


def _columns(server: MariaDB, name: str) -> Mapping[str, frozenset[str]]:
    columns: dict[str, set[str]] = {}
    found = server.run(
        "SELECT table_name, column_name FROM information_schema.columns "  # noqa: S608 - our name
        f"WHERE table_schema = '{name}'"
    )
    for table, column in found:
        columns.setdefault(table, set()).add(column)
    return {table: frozenset(names) for table, names in columns.items()}


def upgrade(server: MariaDB, revisions: Mapping[str, str]) -> None:
    """Bring databases, by their names, to revisions by freezer-api's own migrations."""
    python = program("freezer-api", "python")
    pairs = [text for name, revision in revisions.items() for text in (server.url(name), revision)]
    done = subprocess.run([python, SYNC, *pairs], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def metadata(number: int) -> dict[str, Any]:
    """Return the metadata of a backup."""
    return {
        "backup_name": f"series-{number // 7:05}",
        "container": "nightly",
        "hostname": "web-1",
        "job_id": "j1",
        "time_stamp": 1_700_000_000 + number * 86_400,
        "curr_backup_level": number % 7,
        "mode": "fs",
        "storage": "swift",
        "note": "four bytes: 💾",
    }


def fill(database: FreezerDatabase, backups: int, projects: Sequence[str] = ("p1",)) -> None:
    """Make a client, a session, two actions, a job of them, and backups, in each project."""
    for project in projects:
        own = {"project_id": project}
        words = json.dumps(["backup"])
        capabilities = {f"supported_{key}": words for key in ("actions", "modes", "storages")}
        client = {"id": f"uuid-{project}", "uuid": f"uuid-{project}", "client_id": "web-1"}
        told = {"hostname": "web-1", "is_central": 0, "supported_engines": words}
        database.insert("clients", [own | client | told | capabilities])
        times = dict.fromkeys(("time_start", "time_end", "time_started", "time_ended"), -1)
        session = {"id": f"s-{project}", "schedule": "{}", "status": "active", "hold_off": 30}
        database.insert("sessions", [own | session | times])
        _fill_jobs(database, own, project)
        for start in range(0, backups, 5000):
            numbers = range(start, min(start + 5000, backups))
            rows = [
                {"id": f"{project}-{number:08}", "backup_metadata": json.dumps(metadata(number))}
                for number in numbers
            ]
            database.insert(
                "backups", [own | {"job_id": "j1", "status": "available"} | row for row in rows]
            )


def _fill_jobs(database: FreezerDatabase, own: Mapping[str, Any], project: str) -> None:
    document = {"action": "backup", "mode": "fs", "path_to_backup": "/etc", "max_level": 6}
    action = {
        "action": "backup",
        "actionmode": "fs",
        "path_to_backup": "/etc",
        "src_file": "/etc",
        "max_retries": 5,
        "max_retries_interval": 6,
        "mandatory": 0,
        "backup_metadata": json.dumps(document),
    }
    ids = [f"a1-{project}", f"a2-{project}"]
    database.insert("actions", [{**own, **action, "id": one} for one in ids])
    entries = [{"action_id": one, "freezer_action": document} for one in reversed(ids)]
    # Of this one, there is nothing but what the job says.
    own_entry = {"freezer_action": {"action": "exec", "command": "true"}, "max_retries": 1}
    job = {
        "id": f"j1-{project}",
        "schedule": json.dumps({"schedule_interval": "1 days"}),
        "client_id": "web-1",
        "session_id": f"s-{project}",
        "session_tag": 0,
        "description": "job",
        "job_actions": json.dumps([*entries, own_entry]),
    }
    database.insert("jobs", [own | job])
    if "job_actions" in database.columns:
        links = [
            {"id": f"l{at}-{project}", "job_id": job["id"], "action_id": one, "position": at}
            for at, one in enumerate(reversed(ids))
        ]
        database.insert("job_actions", links)
