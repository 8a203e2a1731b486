"""The sample catalogue: the documented examples, an estate to explore, and a small one beside it.

What there is stands in `documented.json` and `estate.toml`; how it becomes rows stands in the
modules of these names. Rows have fixed ids, and a load adds only those that aren't there: it may be
repeated, and changes nothing that anybody has made of the sample since.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns, now
from gateway.db.database import Database
from gateway.demo import documented
from gateway.demo.documented import PROJECT as EXAMPLES
from gateway.demo.estate import AGE, Estate
from gateway.demo.rows import TABLES, Table

__all__ = ["AGE", "EXAMPLES", "Summary", "load"]

MORNING = timedelta(hours=6)
"""When a night is over, and every run of it that will ever end has ended."""


@dataclass(frozen=True)
class Summary:
    """How many rows a load added; those that were there already don't count."""

    clients: int
    sessions: int
    actions: int
    jobs: int
    backups: int

    def __bool__(self) -> bool:
        """Tell whether anything was added."""
        return any(asdict(self).values())


async def load(database: Database) -> Summary:
    """Add what isn't there of the sample to a database with the present schema: all, or nothing.

    Times are relative to the night before the first load. Raises Unavailable.
    """
    file = resources.files("gateway.demo").joinpath("estate.toml")
    plan = tomllib.loads(file.read_text(encoding="utf-8"))
    night = await _last_night(database, plan["projects"])
    rows = list(documented.examples())
    for project_id in plan["projects"]:
        rows += Estate(project_id, night, plan).rows()
    insert = (sqlite if database.is_sqlite else postgresql).insert
    added: dict[Table, set[tuple[str, str]]] = {}
    async with database.write(EXAMPLES, *plan["projects"]) as transaction:
        for table in TABLES:
            wanted = [values for kind, values in rows if kind is table]
            if table is JobAction:
                # A job that was there keeps its list of actions, whatever has become of it.
                wanted = [row for row in wanted if (row["project_id"], row["job_id"]) in added[Job]]
            stored: sa.Table = sa.inspect(table).local_table
            statement = insert(stored).on_conflict_do_nothing().returning(*stored.primary_key)
            added[table] = set()
            for values in wanted:
                added[table].update(row[:2] for row in await transaction.rows(statement, values))
    return Summary(
        clients=len(added[Client]),
        sessions=len(added[Session]),
        actions=len(added[Action]),
        jobs=len(added[Job]),
        backups=len(added[Backup]),
    )


async def _last_night(database: Database, projects: Mapping[str, Any]) -> datetime:
    """Midnight of the night that is over; once loaded, of the one that was over then."""
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
