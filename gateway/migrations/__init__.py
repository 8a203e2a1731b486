"""Migrations: checks a database's schema revision, and upgrades or downgrades it."""

from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.database import Database

_LOCK = 0x667265657A6572  # "freezer": the advisory lock that a migration holds


@dataclass(frozen=True)
class State:
    """The schema revision of a database, and the one that this gateway needs."""

    current: str | None
    """None for a database without a schema."""
    head: str
    known: bool = True
    """False if the current revision is unknown here, as a newer gateway's is."""

    @property
    def is_current(self) -> bool:
        """True if the gateway can serve this database."""
        return self.current == self.head

    def __str__(self) -> str:
        """Return the state as a sentence, with the remedy."""
        if self.is_current:
            return f"the database's schema is current, at revision {self.head}"
        if not self.known:
            return (
                f"the database's schema is at revision {self.current}, which is newer than this "
                f"gateway's {self.head}: upgrade the gateway"
            )
        found = f"at revision {self.current}" if self.current else "missing"
        return (
            f"the database's schema is {found}, this gateway needs revision {self.head}: "
            "run `freezer-gateway db upgrade`"
        )


async def check(database: Database) -> State:
    """Return the state of a database. Raises Unavailable."""
    async with database.transaction() as connection:
        return await connection.run_sync(_state)


async def prepare(database: Database) -> State:
    """Return the state of a database to be served; upgrade it first if it is an SQLite file.

    Upgrading a server's database is its operator's decision: others may be using it. Raises
    Unavailable.
    """
    state = await check(database)
    return state if state.is_current or not database.is_sqlite else await upgrade(database)


async def upgrade(database: Database, revision: str = "head") -> State:
    """Upgrade the database to a revision in one transaction, and return its state.

    Of several processes that upgrade at once, one does and the others wait. A database of a newer
    gateway is left alone. Raises Unavailable.
    """
    async with database.transaction() as connection:
        await _lock(connection)
        state = await connection.run_sync(_state)
        if not state.known:
            return state
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), revision))
        return await connection.run_sync(_state)


async def downgrade(database: Database, revision: str) -> State:
    """Downgrade the database to a revision in one transaction, and return its state.

    Drops what later revisions added, data included. Raises Unavailable.
    """
    async with database.transaction() as connection:
        await _lock(connection)
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))
        return await connection.run_sync(_state)


async def _lock(connection: AsyncConnection) -> None:
    # SQLite needs no lock: its transactions lock the whole file when they begin.
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _state(connection: sa.Connection) -> State:
    current = MigrationContext.configure(connection).get_current_revision()
    head, *older = _revisions()
    return State(current, head, known=current in {None, head, *older})


@cache
def _revisions() -> tuple[str, ...]:
    """Return every revision that this gateway knows, the newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())


def _config(connection: sa.Connection | None = None) -> Config:
    """Return Alembic's configuration, in place of an alembic.ini; `env.py` reads the connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "gateway:migrations")
    return config
