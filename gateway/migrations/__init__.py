"""The schema's history: brings a database up to the tables of this gateway, and tells if it is."""

from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.database import Database

_LOCK = 0x667265657A6572  # "freezer": the advisory lock of whoever migrates


@dataclass(frozen=True)
class State:
    """Which revision a database is at (None: none yet), and which one this gateway needs."""

    current: str | None
    head: str
    known: bool = True
    """Whether this gateway has heard of the current revision; a newer gateway may have made it."""

    @property
    def is_current(self) -> bool:
        """Whether the gateway can serve this database."""
        return self.current == self.head

    def __str__(self) -> str:
        """Say it in a sentence, and what to do about it."""
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
    """Compare the database's revision with this gateway's. Raises Unavailable."""
    async with database.transaction() as connection:
        return await connection.run_sync(_state)


async def prepare(database: Database) -> State:
    """Make ready to serve: an embedded file is upgraded, any other database only looked at.

    Others may be using a server's database, so upgrading it is its operator's decision. Raises
    Unavailable.
    """
    state = await check(database)
    return state if state.is_current or not database.is_sqlite else await upgrade(database)


async def upgrade(database: Database, revision: str = "head") -> State:
    """Bring the database to a revision: all of the way in one transaction, or not at all.

    Of several processes that upgrade at once, one does and the others wait. A database that is
    newer than this gateway is left alone. Raises Unavailable.
    """
    async with database.transaction() as connection:
        await _lock(connection)
        state = await connection.run_sync(_state)
        if not state.known:
            return state
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), revision))
        return await connection.run_sync(_state)


async def downgrade(database: Database, revision: str) -> State:
    """Take the database back to an earlier revision, with what later ones added. As `upgrade`."""
    async with database.transaction() as connection:
        await _lock(connection)
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))
        return await connection.run_sync(_state)


async def _lock(connection: AsyncConnection) -> None:
    # SQLite's transactions take the whole file from their beginning.
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _state(connection: sa.Connection) -> State:
    current = MigrationContext.configure(connection).get_current_revision()
    head, *older = _revisions()
    return State(current, head, known=current in {None, head, *older})


@cache
def _revisions() -> tuple[str, ...]:
    """Every revision that this gateway knows, the newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())


def _config(connection: sa.Connection | None = None) -> Config:
    """What `env.py` reads; there is no alembic.ini."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "gateway:migrations")
    return config
