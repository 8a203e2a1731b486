"""The sample catalogue: the documented examples, a large estate, and a small one.

`documented.json` and `estate.toml` hold the data, the modules of these names make rows of it. Rows
have fixed ids, and a load inserts only those that don't exist: it may be repeated, and overwrites
no change made since.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.column_types import now
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.chains import filling
from gateway.db.database import Database
from gateway.demo import documented
from gateway.demo.documented import PROJECT as EXAMPLES
from gateway.demo.estate import AGE, Estate
from gateway.demo.rows import TABLES, Table

__all__ = ["AGE", "EXAMPLES", "Summary", "load"]

MORNING = timedelta(hours=6)
"""The time after midnight at which every run of a night has ended."""


@dataclass(frozen=True)
class Summary:
    """The number of rows that a load inserted."""

    clients: int
    sessions: int
    actions: int
    jobs: int
    backups: int

    def __bool__(self) -> bool:
        """Return True if anything was inserted."""
        return any(asdict(self).values())


async def load(database: Database) -> Summary:
    """Insert the missing rows of the sample in one transaction, and return their numbers.

    The database must have the current schema. Times are relative to the night before the first
    load. Raises Unavailable.
    """
    file = resources.files("gateway.demo").joinpath("estate.toml")
    plan = tomllib.loads(file.read_text(encoding="utf-8"))
    night = await _last_night(database, plan["projects"])
    rows = list(documented.examples())
    for project_id in plan["projects"]:
        rows += Estate(project_id, night, plan, now()).rows()
    insert = (sqlite if database.is_sqlite else postgresql).insert
    added: dict[Table, set[tuple[str, str]]] = {}
    async with database.write(EXAMPLES, *plan["projects"]) as transaction:
        for table in TABLES:
            values_of = [values for kind, values in rows if kind is table]
            if table is JobAction:
                # A job that exists keeps its list of actions, which may have been changed.
                values_of = [v for v in values_of if (v["project_id"], v["job_id"]) in added[Job]]
            stored: sa.Table = sa.inspect(table).local_table
            statement = insert(stored).on_conflict_do_nothing().returning(*stored.primary_key)
            added[table] = set()
            for values in values_of:
                added[table].update(row[:2] for row in await transaction.rows(statement, values))
        for project_id in (EXAMPLES, *plan["projects"]):
            await filling.fill_in(transaction, project_id, is_sqlite=database.is_sqlite)
    return Summary(
        clients=len(added[Client]),
        sessions=len(added[Session]),
        actions=len(added[Action]),
        jobs=len(added[Job]),
        backups=len(added[Backup]),
    )


async def _last_night(database: Database, projects: Mapping[str, Any]) -> datetime:
    """Return the last midnight whose night is over, or that of the first load if there was one."""
    own = columns(Client)
    own_hosts = [
        sa.and_(
            own.project_id == project_id,
            own.id == f"{project_id}_{host['name']}.{estate['domain']}",
        )
        for project_id, estate in projects.items()
        for host in estate["hosts"]
    ]
    query = sa.select(sa.func.min(own.created_at)).where(sa.or_(sa.false(), *own_hosts))
    first = await database.scalar(query)
    night = (now() - MORNING).replace(hour=0, minute=0, second=0, microsecond=0)
    return min(night, first + AGE) if first else night
