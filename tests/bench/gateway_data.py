"""The catalogue in the gateway's own tables, on PostgreSQL and on SQLite."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue import projections, vocabularies
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, source

from .catalogue import MADE, Catalogue, Values, text

CHUNK = 20_000
"""How many rows are held in memory at a time."""

TABLES: Sequence[type[SQLModel]] = (Client, Job, Action, JobAction, Backup)
_DEFAULTS = {
    table: table().model_dump() | {"created_at": MADE, "updated_at": MADE}
    for table in TABLES
    if table is not JobAction
} | {JobAction: {}}


def upgrade(url: str) -> None:
    """Give a database the gateway's present schema."""
    command = [sys.executable, "-m", "gateway", "db", "upgrade"]
    environment = os.environ | {"GATEWAY_DATABASE_URL": url, "GATEWAY_LOG_LEVEL": "warning"}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


async def fill_postgres(url: str, catalogues: Sequence[Catalogue]) -> None:
    """Load the catalogues into an empty database, and let PostgreSQL look at them."""
    connection = await asyncpg.connect(url)
    try:
        for table in TABLES:
            stored = source(table)
            names = [column.name for column in stored.c]
            for rows in _chunks(_rows(table, catalogues)):
                records = [tuple(row[name] for name in names) for row in rows]
                await connection.copy_records_to_table(stored.name, records=records, columns=names)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


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
            yield _DEFAULTS[table] | {"project_id": catalogue.project_id} | row


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
            **projections.scheduled(schedule),
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
        projected = projections.backup(metadata, "available")
        yield {"id": backup["id"], "backup_metadata": text(metadata), **own, **projected}


_ROWS = {Client: _clients, Job: _jobs, Action: _actions, JobAction: _links, Backup: _backups}


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rows = iter(rows)
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
