"""Changing the schema while gateways serve: locks that nobody waits for long, and indexes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import sqlalchemy as sa
import structlog
from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp
from alembic.operations.toimpl import create_index
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

import gateway.catalogue.bookkeeping_tables
import gateway.catalogue.health_tables
import gateway.catalogue.history
import gateway.catalogue.series_tables
import gateway.catalogue.tables  # noqa: F401 - they declare the tables
from gateway.db.database import Database
from gateway.errors import Unavailable

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

LOCK_TIMEOUT = "500ms"
"""The time that a change waits for a table, and requests behind it: less than the second after
which PostgreSQL looks for deadlocks, and might end a request's transaction instead."""
TRIES = 30
"""The number of times that a change tries to get its tables, a second apart."""

_LOCK = 0x667265657A6572  # "freezer": the advisory lock that a migration holds
_LOCK_NOT_AVAILABLE = "55P03"
_POLL_SECONDS = 0.2
_RETRY_SECONDS = 1


@asynccontextmanager
async def exclusively(database: Database) -> AsyncIterator[AsyncConnection]:
    """Open a transaction to change the schema; every other one waits until it has ended.

    Raises Unavailable.
    """
    while True:
        async with database.schema_change() as connection:
            if await _is_first(connection):
                yield connection
                return
        # Not in the transaction: who builds an index concurrently waits for all that have begun.
        await asyncio.sleep(_POLL_SECONDS)


async def _is_first(connection: AsyncConnection) -> bool:
    # SQLite needs no lock: its transactions lock the whole file when they begin.
    if connection.dialect.name != "postgresql":
        return True
    return bool(await connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))))


async def change(database: Database, work: Callable[[sa.Connection], Result]) -> Result:
    """Return the result of work on the schema, done in one transaction or not at all.

    On PostgreSQL, a change needs its tables for itself, and requests queue up behind it. So it
    waits only for a moment, lets the requests pass, and tries again. Raises Unavailable if a table
    stays in use.
    """
    for attempt in range(1, TRIES + 1):
        try:
            async with exclusively(database) as connection:
                if not database.is_sqlite:
                    await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
                return await connection.run_sync(work)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            log.warning("a table is in use", attempt=attempt, of=TRIES)
        await asyncio.sleep(_RETRY_SECONDS)
    raise Unavailable(
        f"a table stayed in use for {TRIES} attempts, so nothing was changed: end the transaction "
        "that uses it (pg_stat_activity shows the oldest in xact_start), and try again"
    )


@Operations.implementation_for(CreateIndexOp, replace=True)
def _create_index(operations: Operations, operation: CreateIndexOp) -> None:
    """Create an index, or note it in `Postponed`, to be built without a lock."""
    context = operations.migration_context
    postponed: Postponed | None = context.opts.get("postponed")
    if (
        context.dialect.name == "postgresql"
        and postponed is not None
        and operation.table_name in postponed.existing_tables
    ):
        postponed.indexes.append(operation.to_index(context))
    else:
        create_index(operations, operation)


class Postponed:
    """The indexes of existing tables that a migration has left to be built concurrently."""

    def __init__(self, connection: sa.Connection) -> None:
        self.existing_tables = frozenset(sa.inspect(connection).get_table_names())
        self.indexes: list[sa.Index] = []


def declared_indexes() -> Sequence[sa.Index]:
    """Return copies of all indexes that the tables declare."""
    copies = sa.MetaData()
    for table in SQLModel.metadata.sorted_tables:
        table.to_metadata(copies)
    indexes = [index for table in copies.sorted_tables for index in table.indexes]
    return sorted(indexes, key=lambda index: str(index.name))


async def build_indexes(database: Database, indexes: Sequence[sa.Index]) -> None:
    """Build those of these indexes that a PostgreSQL database lacks, concurrently.

    Nobody waits for it. An index whose building was interrupted is built anew. Raises Unavailable.
    """
    for index in indexes:
        index.dialect_options["postgresql"]["concurrently"] = True
    if database.is_sqlite or not await _lacking(database, indexes):
        return
    # The lock is held by a transaction of its own: indexes are built outside of any.
    async with exclusively(database) as holder:
        # It may idle for hours. Besides, a statement without a snapshot must be its last: the index
        # would wait for the snapshot of the one before, and the transaction for the index.
        await holder.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        lacking = await _lacking(database, indexes)
        async with database.schema_change(transaction=False) as connection:
            for index, is_broken in lacking.items():
                if is_broken:
                    await connection.execute(sa.schema.DropIndex(index))
                log.info("building an index", name=index.name)
                await connection.execute(sa.schema.CreateIndex(index))


async def _lacking(database: Database, indexes: Sequence[sa.Index]) -> Mapping[sa.Index, bool]:
    """Return the indexes to build, and for each if there is a broken one of its name."""
    query = """
        SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = current_schema()::regnamespace"""
    async with database.transaction() as connection:
        found = dict(map(tuple, await connection.execute(sa.text(query))))
    return {index: index.name in found for index in indexes if not found.get(index.name, False)}
