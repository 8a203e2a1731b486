"""The catalogue in the gateway's own tables, on PostgreSQL and on SQLite."""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue import derivations, projections, vocabularies
from gateway.catalogue.history import Run
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, source
from tests.support.live import PROGRAM

from . import insight_data
from .catalogue import DAY, FIRST_NIGHT, MADE, Catalogue, Values, text

CHUNK = 20_000
"""How many rows are held in memory at a time."""

COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = $1
"""

TABLES: Sequence[type[SQLModel]] = (Run, Client, Job, Action, JobAction, Series, Backup)
"""Runs come first: SQLite's triggers count those of each job that is inserted."""
_DEFAULTS = {
    table: table().model_dump()
    | {name: MADE for name in ("created_at", "updated_at") if name in source(table).c}
    for table in TABLES
    if table is not JobAction
} | {JobAction: {}}


class UnknownColumnsError(Exception):
    """A database has columns that this checkout can't fill."""


def upgrade(url: str, program: Sequence[str] = PROGRAM) -> None:
    """Give a database the present schema of a gateway.

    `program` begins its command line. Raises `subprocess.CalledProcessError`.
    """
    environment = os.environ | {"GATEWAY_DATABASE_URL": url, "GATEWAY_LOG_LEVEL": "warning"}
    subprocess.run(
        [*program, "db", "upgrade"], env=environment, check=True, stdout=subprocess.DEVNULL
    )


async def fill_postgres(
    url: str,
    catalogues: Sequence[Catalogue],
    tables: Sequence[type[SQLModel]] = TABLES,
) -> None:
    """Load the catalogues into an empty database, and let PostgreSQL look at them.

    The database may be another checkout's: tables and columns that it lacks are left out. Raises
    UnknownColumnsError where it has columns that this checkout knows nothing of.
    """
    connection = await asyncpg.connect(url)
    try:
        # No triggers: what they would write is loaded as well.
        await connection.execute("SET session_replication_role = replica")
        for table in tables:
            stored = source(table)
            names = await _columns(connection, stored)
            if not names:
                continue
            for rows in _chunks(_rows(table, catalogues)):
                records = [tuple(row[name] for name in names) for row in rows]
                await connection.copy_records_to_table(stored.name, records=records, columns=names)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _columns(connection: asyncpg.Connection, stored: sa.Table) -> list[str]:
    """Return the columns of a table that both this checkout and the database have."""
    rows = await connection.fetch(COLUMNS, stored.name)
    present, known = {row["column_name"] for row in rows}, [column.name for column in stored.c]
    if others := present - set(known):
        raise UnknownColumnsError(
            f"{stored.name} has {', '.join(sorted(others))}: what is in there?"
        )
    return [name for name in known if name in present]


def fill_sqlite(url: str, catalogues: Sequence[Catalogue]) -> None:
    """Load the catalogues into an empty SQLite file, and let SQLite look at them."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in TABLES:
            for rows in _chunks(_rows(table, catalogues)):
                connection.execute(sa.insert(source(table)), rows)
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def _rows(table: type[SQLModel], catalogues: Sequence[Catalogue]) -> Iterator[Values]:
    for catalogue in catalogues:
        for row in _ROWS[table](catalogue):
            values = _DEFAULTS[table] | {"project_id": catalogue.project_id} | row
            yield values | derivations.derived(table, values)


def _clients(catalogue: Catalogue) -> Iterator[Values]:
    abilities = {key: json.dumps(all_) for key, all_ in vocabularies.CAPABILITIES.items()}
    for name in catalogue.clients():
        hostname = name.partition("_")[2]
        yield abilities | {"id": name, "hostname": hostname, "user_id": catalogue.user_id}


def _jobs(catalogue: Catalogue) -> Iterator[Values]:
    for number in range(catalogue.jobs):
        job = catalogue.job(number)
        schedule = job["schedule"]
        yield {
            "id": job["id"],
            "user_id": catalogue.user_id,
            "description": job["description"],
            "client_id": job["client_id"],
            **projections.schedule_columns(schedule),
            # As if a gateway had worked them out: it would begin to as soon as it serves.
            "due_at": FIRST_NIGHT + insight_data.NIGHTS * DAY + number % DAY,
            "due_basis": vocabularies.NextRunBasis.ESTIMATED,
            "due_version": 0,
            **insight_data.of_job(number),
        }


def _actions(catalogue: Catalogue) -> Iterator[Values]:
    for number in range(catalogue.jobs):
        for action in catalogue.job(number)["actions"]:
            document = action["freezer_action"]
            own = {"user_id": catalogue.user_id, "freezer_action": text(document)}
            yield {**action, **own, **projections.action(document)}


def _links(catalogue: Catalogue) -> Iterator[Values]:
    for number in range(catalogue.jobs):
        job = catalogue.job(number)
        for position, action in enumerate(job["actions"]):
            yield {"job_id": job["id"], "position": position, "action_id": action["id"]}


def _backups(catalogue: Catalogue) -> Iterator[Values]:
    for number in range(catalogue.backups):
        backup = catalogue.backup(number)
        metadata = backup["metadata"]
        own = {"user_id": catalogue.user_id, "user_name": "operator"}
        projected = projections.backup(metadata, insight_data.status(number))
        projected |= insight_data.derived(catalogue, number)
        yield {"id": backup["id"], "backup_metadata": text(metadata), **own, **projected}


_ROWS = {
    Run: insight_data.runs,
    Client: _clients,
    Job: _jobs,
    Action: _actions,
    JobAction: _links,
    Series: insight_data.series,
    Backup: _backups,
}


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rows = iter(rows)
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
