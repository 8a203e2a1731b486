"""The schema is changed under gateways that serve: nobody waits for long, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from gateway import demo, migrations
from gateway.db.database import Database
from gateway.errors import Conflict, Unavailable
from gateway.migrations import online
from gateway.settings import load
from tests.support.databases import Postgres, Server

pytestmark = pytest.mark.anyio

ADD = "ALTER TABLE jobs ADD COLUMN more INTEGER"
DROPPED = "ix_jobs_client"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_jobs_client')"
BREAK = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_jobs_client'::regclass"
WAITERS = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '{}%'"""


@pytest.fixture
async def upgraded(server: Server) -> AsyncIterator[Database]:
    """Return a database that a test may change as it likes, with the tables in it."""
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    yield database
    await database.close()
    await server.drop(url)


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    """Return the same, on PostgreSQL only."""
    server = Postgres(postgres_url)
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    yield database
    await database.close()
    await server.drop(url)


@pytest.fixture
async def other(postgres: Database) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection of somebody else to the same database."""
    url = postgres.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


def add(connection: sa.Connection) -> None:
    """Change the table of jobs."""
    connection.exec_driver_sql(ADD)


async def until_waiting(
    other: asyncpg.Connection, task: "asyncio.Task[None]", statement: str
) -> None:
    """Return when a task's statement waits for a lock."""
    while not await other.fetchval(WAITERS.format(statement)):
        assert not task.done(), task.result()


async def test_a_table_in_use_delays_a_change_and_no_request(
    postgres: Database, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "TRIES", 1000)
    monkeypatch.setattr(online, "_RETRY_SECONDS", 0)
    url = postgres.url.set(drivername="postgresql").render_as_string(hide_password=False)
    user = await asyncpg.connect(url)
    await user.execute("BEGIN")
    await user.fetch("SELECT id FROM jobs")
    change = asyncio.create_task(online.change(postgres, add))
    await until_waiting(other, change, "ALTER")
    # Queued up behind the change, until that gives up its place.
    assert await other.fetch("SELECT id FROM jobs") == []
    assert not change.done()
    await user.execute("COMMIT")
    await change
    assert await other.fetch("SELECT more FROM jobs") == []
    await user.close()


async def test_a_table_that_stays_in_use_is_told(
    postgres: Database, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "TRIES", 2)
    monkeypatch.setattr(online, "LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr(online, "_RETRY_SECONDS", 0)
    await other.execute("BEGIN")
    await other.fetch("SELECT id FROM jobs")
    with pytest.raises(Unavailable, match="pg_stat_activity"):
        await online.change(postgres, add)
    with pytest.raises(asyncpg.UndefinedColumnError):
        await other.fetch("SELECT more FROM jobs")


async def test_an_index_is_built_while_others_write(
    postgres: Database, other: asyncpg.Connection
) -> None:
    url = postgres.url.set(drivername="postgresql").render_as_string(hide_password=False)
    await other.execute(f"DROP INDEX {DROPPED}")
    writer, second = await asyncpg.connect(url), await asyncpg.connect(url)
    await writer.execute("BEGIN")
    await writer.execute("LOCK TABLE jobs IN ROW EXCLUSIVE MODE")
    building = asyncio.create_task(online.build_indexes(postgres, online.declared_indexes()))
    await until_waiting(other, building, "CREATE INDEX CONCURRENTLY")
    # A second writer doesn't queue up behind it.
    await second.execute("SET lock_timeout = '1ms'")
    await second.execute("UPDATE jobs SET description = ''")
    assert not building.done()
    await writer.execute("COMMIT")
    await building
    assert await other.fetchval(IS_VALID) is True
    await writer.close()
    await second.close()


async def test_an_index_whose_building_was_interrupted_is_built_anew(
    postgres: Database, other: asyncpg.Connection
) -> None:
    await other.execute(BREAK)
    await migrations.upgrade(postgres)
    assert await other.fetchval(IS_VALID) is True


async def test_a_migration_leaves_indexes_of_existing_tables_for_later(
    postgres: Database, other: asyncpg.Connection
) -> None:
    def migrate(connection: sa.Connection) -> None:
        postponed = online.Postponed(connection)
        opts = {"postponed": postponed}
        operations = Operations(MigrationContext.configure(connection, opts=opts))
        operations.create_index("ix_later", "jobs", ["project_id"])
        operations.create_table("new", sa.Column("id", sa.Integer))
        operations.create_index("ix_new", "new", ["id"])
        assert [index.name for index in postponed.indexes] == ["ix_later"]

    await online.change(postgres, migrate)
    found = await other.fetch("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'ix_%'")
    names = {row["indexname"] for row in found}
    assert "ix_new" in names
    assert "ix_later" not in names


async def test_several_may_build_indexes_at_once(
    postgres: Database, other: asyncpg.Connection
) -> None:
    await other.execute(f"DROP INDEX {DROPPED}")
    url = postgres.url.render_as_string(hide_password=False)
    databases = [Database(load(database_url=url)) for _ in range(3)]
    await asyncio.gather(*map(migrations.upgrade, databases))
    assert await other.fetchval(IS_VALID) is True
    await asyncio.gather(*(database.close() for database in databases))


async def test_a_copied_table_takes_no_rows_of_others_with_it(upgraded: Database) -> None:
    # Alembic changes SQLite's tables by copying them, and others refer to this one.
    await demo.load(upgraded)

    def copy(connection: sa.Connection) -> None:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("actions", recreate="always") as table:
            table.add_column(sa.Column("more", sa.Integer))

    lists = {"job_actions": ["job_id", "action_id", "position"]}
    before = await contents(upgraded, lists)
    assert before["job_actions"]
    if upgraded.is_sqlite:
        await online.change(upgraded, copy)
    assert await contents(upgraded, lists) == before


async def contents(
    database: Database, tables: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the values of these columns of these tables, as text."""
    found = {}
    async with database.transaction() as connection:
        for table, names in tables.items():
            values = [sa.cast(sa.column(name), sa.String) for name in names]
            rows = await connection.execute(sa.select(*values).select_from(sa.table(table)))
            found[table] = sorted(map(tuple, rows), key=str)
    return found


async def described(database: Database) -> dict[str, list[str]]:
    """Return the columns of every table."""

    def describe(connection: sa.Connection) -> dict[str, list[str]]:
        inspector = sa.inspect(connection)
        names = set(inspector.get_table_names()) - {"alembic_version"}
        return {name: [one["name"] for one in inspector.get_columns(name)] for name in names}

    async with database.transaction() as connection:
        return await connection.run_sync(describe)


async def test_a_downgrade_keeps_what_the_older_gateway_knows(upgraded: Database) -> None:
    await demo.load(upgraded)
    tables = await described(upgraded)
    before = await contents(upgraded, tables)
    assert (await migrations.downgrade(upgraded)).current == migrations.revisions()[1]
    # Some revisions only fill rows in.
    while (older := await described(upgraded)) == tables:
        await migrations.downgrade(upgraded)
    known = {name: [one for one in older[name] if one in tables[name]] for name in older}
    kept = await contents(upgraded, known)
    positions = {name: [tables[name].index(one) for one in known[name]] for name in known}
    assert kept == {
        name: sorted((tuple(row[one] for one in positions[name]) for row in before[name]), key=str)
        for name in known
    }
    assert (await migrations.upgrade(upgraded)).is_current
    assert await contents(upgraded, known) == kept
    assert await described(upgraded) == tables


async def test_there_is_nothing_before_the_first_revision(upgraded: Database) -> None:
    first = migrations.revisions()[-1]
    await migrations.downgrade(upgraded, first)
    with pytest.raises(Conflict, match=f"nothing before revision {first}"):
        await migrations.downgrade(upgraded)
    assert "jobs" in await described(upgraded)


async def test_a_newer_revision_is_not_downgraded(upgraded: Database) -> None:
    await set_revision(upgraded, "9999")
    with pytest.raises(Conflict, match="9999"):
        await migrations.downgrade(upgraded)


async def set_revision(database: Database, revision: str, comment: str | None = None) -> None:
    async with database.transaction() as connection:
        changed = sa.table("alembic_version", sa.column("version_num"))
        await connection.execute(sa.update(changed).values(version_num=revision))
        if comment is not None:
            await connection.execute(sa.text(f"COMMENT ON TABLE alembic_version IS '{comment}'"))


@pytest.mark.parametrize(
    ("comment", "servable"),
    [
        ("9999 serves gateways of the revisions 9998 9999", False),
        ("9999 serves gateways of the revisions {head} 9999", True),
        ("9998 serves gateways of the revisions {head} 9998", False),
        ("something else", False),
    ],
)
async def test_a_newer_schema_says_which_older_gateways_it_serves(
    postgres: Database, comment: str, *, servable: bool
) -> None:
    head = migrations.revisions()[0]
    await set_revision(postgres, "9999", comment.format(head=head))
    state = await migrations.prepare(postgres)
    assert (state.is_servable, state.is_current) == (servable, False)
    assert ("upgrade the gateway" in str(state)) is not servable


async def test_a_schema_serves_the_gateway_before(
    postgres: Database, other: asyncpg.Connection
) -> None:
    query = "SELECT obj_description('alembic_version'::regclass, 'pg_class')"
    newest, before = migrations.revisions()[:2]
    expected = f"{newest} serves gateways of the revisions {before} {newest}"
    assert await other.fetchval(query) == expected
    await migrations.downgrade(postgres)
    assert str(await other.fetchval(query)).startswith(f"{before} serves")
    state = await migrations.check(postgres)
    assert not state.is_servable
