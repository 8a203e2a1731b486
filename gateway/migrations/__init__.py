"""Migrations: checks a database's schema revision, and upgrades or downgrades it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.db.database import Database
from gateway.errors import Conflict
from gateway.migrations import online

_SERVES = " serves gateways of the revisions "
"""The words of the comment on Alembic's table, after its revision; older gateways read it."""


@dataclass(frozen=True)
class State:
    """The schema revision of a database, and the one that this gateway needs."""

    current: str | None
    """None for a database without a schema."""
    head: str
    known: bool = True
    """False if the current revision is unknown here, as a newer gateway's is."""
    serves: frozenset[str] = frozenset()
    """The revisions of the gateways that a database of a newer one serves as well."""

    @property
    def is_current(self) -> bool:
        """True if the database has the revision that this gateway needs."""
        return self.current == self.head

    @property
    def is_servable(self) -> bool:
        """True if the gateway can serve this database."""
        return self.is_current or (not self.known and self.head in self.serves)

    def __str__(self) -> str:
        """Return the state as a sentence, with the remedy."""
        if self.is_current:
            return f"the database's schema is current, at revision {self.head}"
        if self.is_servable:
            return (
                f"the database's schema is at revision {self.current}, which is newer than this "
                f"gateway's {self.head}, but serves both"
            )
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
    return state if state.is_servable or not database.is_sqlite else await upgrade(database)


async def upgrade(database: Database, revision: str = "head") -> State:
    """Upgrade the database to a revision, and return its state.

    Each revision is one transaction, so what succeeded stays if a later one fails. Of several
    processes that upgrade at once, one does and the others wait. A database of a newer gateway is
    left alone. On PostgreSQL, gateways go on serving meanwhile. Raises Unavailable.
    """
    while await online.change(database, lambda connection: _step_up(connection, revision)):
        pass
    state = await check(database)
    if state.is_current:
        await online.build_indexes(database, online.declared_indexes())
    return state


async def downgrade(database: Database, revision: str | None = None) -> State:
    """Downgrade the database to a revision, by default the one before, and return its state.

    Drops what later revisions added, data included. Raises Conflict if there is no revision before,
    or the current one is unknown; Unavailable.
    """
    if revision is None:
        state = await check(database)
        older = revisions()[1:]
        if not state.known:
            raise Conflict(str(state))
        if state.current in {None, older[-1]}:
            raise Conflict(f"there is nothing before revision {state.current or older[-1]}")
        revision = dict(zip(revisions(), older, strict=False))[str(state.current)]
    more = True
    while more:
        more, indexes = await online.change(database, lambda sync: _step_down(sync, revision))
        await online.build_indexes(database, indexes)
    return await check(database)


def _step_up(connection: sa.Connection, target: str) -> bool:
    """Upgrade by one revision; return False if nothing is left to do."""
    state = _state(connection)
    known = revisions()
    wanted = known if target == "head" else known[known.index(target) :]
    done = known[known.index(state.current) :] if state.current in known else ()
    missing = [revision for revision in wanted if revision not in done]
    if not state.known or not missing:
        return False
    command.upgrade(_config(connection), missing[-1])
    _record_served(connection)
    return len(missing) > 1


def _step_down(connection: sa.Connection, target: str) -> tuple[bool, Sequence[sa.Index]]:
    """Downgrade by one revision; return False if nothing is left to do, and indexes to build."""
    current, known = _state(connection).current, revisions()
    if current in {None, target}:
        return False, ()
    older = dict(zip(known, [*known[1:], "base"], strict=True))[str(current)]
    config = _config(connection)
    command.downgrade(config, older)
    _record_served(connection)
    return older != target, config.attributes["postponed"].indexes


def _record_served(connection: sa.Connection) -> None:
    """Record which gateways may serve this schema: this one's, and the one before.

    A revision that the gateway before it can't serve says so by `serves_older = False`. An SQLite
    file has no other gateway.
    """
    current = MigrationContext.configure(connection).get_current_revision()
    if connection.dialect.name != "postgresql" or current is None:
        return
    script = ScriptDirectory.from_config(_config()).get_revision(current)
    served = {current}
    if getattr(script.module, "serves_older", True) and isinstance(script.down_revision, str):
        served.add(script.down_revision)
    comment = f"{current}{_SERVES}{' '.join(sorted(served))}"
    connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{comment}'")


def _state(connection: sa.Connection) -> State:
    current = MigrationContext.configure(connection).get_current_revision()
    head, *older = revisions()
    if current in {None, head, *older}:
        return State(current, head)
    return State(current, head, known=False, serves=_served(connection, current))


def _served(connection: sa.Connection, current: str | None) -> frozenset[str]:
    """Return the gateways that a newer gateway's migration recorded for the current revision."""
    if connection.dialect.name != "postgresql":
        return frozenset()
    query = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"
    revision, _, served = str(connection.scalar(sa.text(query)) or "").partition(_SERVES)
    return frozenset(served.split() if revision == current else ())


@cache
def revisions() -> tuple[str, ...]:
    """Return every revision that this gateway knows, the newest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())


def _config(connection: sa.Connection | None = None) -> Config:
    """Return Alembic's configuration, in place of an alembic.ini; `env.py` reads the connection."""
    postponed = None if connection is None else online.Postponed(connection)
    config = Config(attributes={"connection": connection, "postponed": postponed})
    config.set_main_option("script_location", "gateway:migrations")
    return config
