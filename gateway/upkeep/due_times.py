"""The upkeep of next runs: of jobs that an older gateway wrote, or whose time zone has changed.

Jobs written before there were next runs are among them, and those of other projects that a central
client runs. A pass looks at all projects, and reads only the jobs that need it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from gateway.catalogue import due
from gateway.catalogue.bookkeeping_tables import ProjectSettings
from gateway.catalogue.change_words import ChangeKind
from gateway.catalogue.due import Due
from gateway.catalogue.tables import Client, Job, columns, source
from gateway.db.database import Database
from gateway.db.revisions import UPKEEP
from gateway.db.rows import Row

log = structlog.get_logger(__name__)

BATCH = 500
"""How many jobs are written in one transaction."""

_JOBS, _SETTINGS = columns(Job), columns(ProjectSettings)
_OWN, _CENTRAL = (sa.alias(source(Client), name) for name in ("own", "central"))
_ZONE = sa.func.coalesce(
    sa.select(_OWN.c.time_zone)
    .where(_OWN.c.project_id == _JOBS.project_id, _OWN.c.id == _JOBS.client_id)
    .scalar_subquery(),
    sa.select(_CENTRAL.c.time_zone)
    .where(_CENTRAL.c.is_central, _CENTRAL.c.id == _JOBS.client_id)
    .scalar_subquery(),
    sa.select(_SETTINGS.time_zone)
    .where(_SETTINGS.project_id == _JOBS.project_id)
    .scalar_subquery(),
    sa.bindparam("default_zone", None, type_=_JOBS.due_zone.type),
)
_INPUTS = tuple(_JOBS[name] for name in due.INPUTS)
_STALE = (
    sa.select(_JOBS.project_id, _JOBS.id, _ZONE.label("zone"), *_INPUTS)
    .where(
        sa.tuple_(_JOBS.project_id, _JOBS.id)
        > sa.tuple_(sa.bindparam("after_project"), sa.bindparam("after_id")),
        sa.or_(
            _JOBS.due_version.is_distinct_from(_JOBS.version),
            _JOBS.due_zone.is_distinct_from(_ZONE),
        ),
    )
    .order_by(_JOBS.project_id, _JOBS.id)
    .limit(sa.literal_column(str(BATCH)))
)
_SET = (
    sa.update(source(Job))
    .where(
        _JOBS.project_id == sa.bindparam("of_project"),
        _JOBS.id == sa.bindparam("of_id"),
        # Whoever has written it meanwhile knew better.
        _JOBS.version == sa.bindparam("of_version"),
    )
    .values({name: sa.bindparam(name) for name in (*due.COLUMNS, "due_version")})
)


class DueTimesUpkeep:
    """Works out the next runs of jobs that lack them, from time to time."""

    def __init__(self, database: Database, default_zone: str | None) -> None:
        self.database = database
        self.default_zone = default_zone

    async def renew(self) -> int:
        """Work out what is missing in all projects, and return of how many jobs it was.

        Raises Unavailable and LostRace.
        """
        count = 0
        after = ("", "")
        while True:
            values = {
                "after_project": after[0],
                "after_id": after[1],
                "default_zone": self.default_zone,
            }
            rows = await self.database.rows(_STALE, values)
            if not rows:
                break
            changes = await asyncio.to_thread(_worked_out, rows)
            projects = sorted({row.project_id for row in rows})
            async with self.database.write(*projects, mirror=UPKEEP) as transaction:
                await transaction.execute_many(_SET, changes, is_told=True)
                for row in rows:
                    transaction.tell(ChangeKind.JOB, row.project_id, row.id, version=row.version)
            count += len(rows)
            after = (rows[-1].project_id, rows[-1].id)
        if count:
            log.info("next runs worked out", jobs=count)
        return count


def _worked_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the parameters of `_SET` for stored jobs."""
    changes = []
    for row in rows:
        values = {name: getattr(row, name) for name in due.INPUTS}
        found = Due(None, values, row.zone).columns_of_stored()
        own = {"of_project": row.project_id, "of_id": row.id, "of_version": row.version}
        changes.append({**found, **own, "due_version": row.version})
    return changes
