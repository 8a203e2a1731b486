"""SQLite's connections: how a new one begins, and how statements wait for locks, or end early."""

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

import aiosqlite

from gateway.settings import Settings

BUSY_SECONDS = 10
"""How long a statement waits for locks of other connections, and of other programs."""
BUSY_TURN_SECONDS = 0.1
"""How long it waits at a time in the driver, where nothing interrupts it."""
INTERRUPT_SECONDS = 0.01
"""The time between two attempts to interrupt a statement."""


def pragmas(settings: Settings, *, foreign_keys: bool = True) -> Sequence[str]:
    """Return the statements for a new connection, with or without checks of foreign keys."""
    return (
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {settings.sqlite_synchronous}",
        f"PRAGMA foreign_keys = {foreign_keys:d}",
        f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:d}",
    )


async def prepare(
    connection: aiosqlite.Connection, settings: Settings, *, foreign_keys: bool = True
) -> None:
    """Run the statements for a new connection. Raises the driver's errors.

    The driver doesn't wait for others that turn the journal of a new file to WAL at the same time.
    """
    for pragma in pragmas(settings, foreign_keys=foreign_keys):
        await run(connection, pragma)


async def run(
    connection: aiosqlite.Connection, text: str, arguments: Iterable[Any] = ()
) -> Iterable[Any]:
    """Return the rows of a statement, on a connection that waits for locks in short turns.

    A statement that is given up is interrupted. Raises the driver's errors.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return await connection.execute_fetchall(text, arguments)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
        except asyncio.CancelledError:
            await asyncio.shield(interrupt(connection))
            raise


async def interrupt(connection: aiosqlite.Connection) -> None:
    """End what the connection's thread is running, and return when it has ended."""

    async def next_one() -> None:
        await connection.execute_fetchall("SELECT 1")

    ended = asyncio.ensure_future(next_one())
    while not ended.done():
        # Not only once: the thread may not have begun it yet, and then there is nothing to end.
        await connection.interrupt()
        await asyncio.wait({ended}, timeout=INTERRUPT_SECONDS)
    # It may have been interrupted itself.
    ended.exception()


def is_busy(error: BaseException) -> bool:
    """Return True for an error about locks that others have."""
    # The least byte is the error; the others say more of it.
    code = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, sqlite3.Error) and code & 0xFF == sqlite3.SQLITE_BUSY
