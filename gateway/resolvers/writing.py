"""Writing rows, for every resolver: transactions, and locking, updating, replacing and deleting.

So that no two transactions wait for one another, each locks rows in the same order: sessions, jobs,
actions, series, backups; of each kind in the order of the ids.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.checks import check_lengths
from gateway.catalogue.column_types import now
from gateway.catalogue.tables import columns, set_columns, source
from gateway.context import Context
from gateway.db.counting import StatementCounter
from gateway.db.transactions import Transaction
from gateway.errors import LostRace, NotFound, StaleVersion
from gateway.query.selects import CALLER
from gateway.resolvers import results

Table = TypeVar("Table", bound=SQLModel)
Result = TypeVar("Result")

MAX_ATTEMPTS = 5
"""How often a transaction is run that loses races."""
MAX_SECONDS = 5
"""The time after which none is run again: SQLite has let one wait for longer than that."""
PAUSE_SECONDS = 0.02
"""The longest pause before the second attempt; it grows with each."""


async def transact(
    ctx: Context,
    work: Callable[[Transaction], Awaitable[Result]],
    *,
    conflict_message: str = "the item exists already",
) -> Result:
    """Run a function in one transaction of the project, and return what it returns.

    If the transaction loses a race, the function is run again from its start. So it must read and
    check all that it relies on, change nothing that it was given, and do nothing outside of the
    database. Raises what the function and `Database.write` raise, LostRace only after several
    attempts.

    A request with an idempotency key keeps what the function returns, of the kinds that `results`
    names. Its repeat gets that, and runs nothing. Raises KeyInUse if another request has the key.
    """
    keyed = ctx.keyed
    if keyed is not None and keyed.stored is not None:
        stored: Result = results.load(keyed.stored, ctx.project_id)
        return stored

    async def attempt() -> Result:
        async with ctx.write(conflict_message=conflict_message) as transaction:
            if keyed is None:
                return await work(transaction)
            await keyed.reserve(transaction)
            result = await work(transaction)
            await keyed.keep(transaction, results.dump(result))
            return result

    return await retry(attempt, LostRace)


async def retry(attempt: Callable[[], Awaitable[Result]], loss: type[LostRace]) -> Result:
    """Run a function again while it raises this class of losses; return what it returns.

    Raises what the function raises, the loss only after several attempts.
    """
    ends = time.monotonic() + MAX_SECONDS
    for failures in range(1, MAX_ATTEMPTS):
        try:
            return await attempt()
        except loss as lost:
            if type(lost) is not loss or time.monotonic() > ends:
                raise
        StatementCounter.count_retry()
        # Those that met don't meet again.
        await asyncio.sleep(random.random() * PAUSE_SECONDS * failures)  # noqa: S311 - no secret
    return await attempt()


async def get_for_update(
    ctx: Context,
    transaction: Transaction,
    table: type[Table],
    item_id: str,
    expected_version: int | None = None,
) -> Table:
    """Lock the row of the caller's project until the transaction ends, and return it.

    Raises NotFound, and StaleVersion if its version is not the expected one.
    """
    key = {"project_id": ctx.project_id, "id": item_id}
    rows = await transaction.objects(table, _select_for_update(table), key)
    return check_found(table, item_id, rows, expected_version)


def check_found(
    table: type[Table], item_id: str, rows: Sequence[Table], expected_version: int | None = None
) -> Table:
    """Return the only one of these rows, which were selected by an id.

    Raises NotFound if there is none, and StaleVersion if its version is not the expected one.
    """
    kind = table.__name__
    if not rows:
        raise NotFound(f"no {kind.lower()} with the id '{item_id}' in this project")
    (row,) = rows
    version = row.version  # type: ignore[attr-defined]  # every table that has an id has it
    if expected_version is not None and version != expected_version:
        raise StaleVersion(f"the {kind.lower()} has version {version}, not {expected_version}")
    return row


@cache
def _select_for_update(table: type[SQLModel]) -> sa.Select[Any]:
    own = columns(table)
    query = sa.select(source(table)).where(own.project_id == CALLER, own.id == sa.bindparam("id"))
    return query.with_for_update()


async def update_row(transaction: Transaction, row: SQLModel, **values: object) -> None:
    """Set these columns and increment the version. Raises BadInput for texts too long."""
    values["version"] = row.version + 1  # type: ignore[attr-defined]  # every table with an id has it
    values["updated_at"] = now()
    set_columns(row, values)
    check_lengths(row)
    await transaction.update(row, values)


async def upsert(
    ctx: Context,
    transaction: Transaction,
    row: Table,
    expected_version: int | None = None,
    *,
    kept: frozenset[str] = frozenset(),
) -> Table:
    """Replace the row of this row's id, or insert it, and return the stored row.

    The owner and the columns of `kept` stay as they were. Raises StaleVersion if the version is not
    the expected one, or there is no row of one.
    """
    item_id = row.id  # type: ignore[attr-defined]  # every table that has an id has it
    try:
        old = await get_for_update(ctx, transaction, type(row), item_id, expected_version)
    except NotFound:
        if expected_version is not None:
            raise StaleVersion(f"there is no '{item_id}' of version {expected_version}") from None
        await transaction.insert(row)
        return row
    kept |= {"project_id", "id", "user_id", "version", "created_at"}
    values = {c.key: getattr(row, c.key) for c in columns(type(row)) if c.key not in kept}
    await update_row(transaction, old, **values)
    return old


async def delete(
    ctx: Context, table: type[SQLModel], item_id: str, expected_version: int | None = None
) -> None:
    """Delete the row of the caller's project. Raises NotFound and StaleVersion."""

    async def write(transaction: Transaction) -> None:
        await transaction.delete(
            await get_for_update(ctx, transaction, table, item_id, expected_version)
        )

    await transact(ctx, write)
