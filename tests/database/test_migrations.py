"""Migrations lead to the tables of the models, collations and indexes included, and back."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from gateway import migrations
from gateway.catalogue.derivations import calendar_time, derived
from gateway.catalogue.tables import Backup, Session, columns, source
from gateway.db.database import Database
from gateway.errors import Unavailable
from gateway.settings import load
from tests.support.databases import Server, Sqlite

pytestmark = pytest.mark.anyio

POSTGRESQL = (
    # Every column with its type and collation.
    """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
       LEFT JOIN pg_collation l ON l.oid = a.attcollation
       WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped""",
    # Every index with its columns' collations.
    """SELECT c.relname, pg_get_indexdef(i.indexrelid),
              ARRAY(SELECT l.collname FROM unnest(i.indcollation) WITH ORDINALITY AS u(id, place)
                    LEFT JOIN pg_collation l ON l.oid = u.id ORDER BY u.place)
       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       WHERE c.relnamespace = 'public'::regnamespace""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace""",
)
SQLITE = ("SELECT type, name, sql FROM sqlite_master WHERE type <> 'trigger'",)


@pytest.fixture
async def blank(server: Server) -> AsyncIterator[Database]:
    """Return a database with nothing in it."""
    url = await server.create()
    database = Database(load(database_url=url))
    yield database
    await database.close()
    await server.drop(url)


async def described(database: Database) -> set[tuple[Any, ...]]:
    """Return all that the database's catalogue says of the tables."""
    found = await answers(database, SQLITE if database.is_sqlite else POSTGRESQL)
    rows = [row for answer in found for row in answer]
    return {tuple(map(normal, row)) for row in rows if "alembic_version" not in str(row)}


async def answers(database: Database, queries: Sequence[str]) -> list[Sequence[sa.Row[Any]]]:
    async with database.transaction() as connection:
        return [(await connection.execute(sa.text(query))).all() for query in queries]


def normal(value: Any) -> Any:
    """Return a definition without what doesn't matter in it: line breaks and quotes."""
    if isinstance(value, list):
        return tuple(value)
    return " ".join(value.replace('"', "").split()) if isinstance(value, str) else value


async def test_head_is_what_the_models_say(blank: Database, server: Server) -> None:
    await migrations.upgrade(blank)
    url = await server.create()
    modelled = Database(load(database_url=url))
    async with modelled.transaction() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    expected = await described(modelled)
    await modelled.close()
    await server.drop(url)
    assert await described(blank) == expected


async def test_alembic_finds_nothing_to_do(blank: Database) -> None:
    await migrations.upgrade(blank)
    options = {
        "compare_type": True,
        "compare_server_default": True,
        # How an index sorts nulls is declared in a way that Alembic can't read.
        "include_object": lambda _object, name, *_: name != "ix_series_order",
    }
    # Of its own: SQLAlchemy can't look at tables where JSON isn't decoded, as the gateway has it.
    engine = create_async_engine(blank.url)
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts=options), SQLModel.metadata
            )
        )
    await engine.dispose()
    assert differences == []


async def test_text_is_compared_bytewise(blank: Database) -> None:
    await migrations.upgrade(blank)
    if blank.is_sqlite:
        for _, name, sql in await described(blank):
            assert sql is None or sql.count("VARCHAR") == sql.count("COLLATE BINARY"), name
        return
    async with blank.transaction() as connection:
        other = await connection.scalars(
            sa.text("SELECT datcollate FROM pg_database WHERE datname = current_database()")
        )
    columns, indexes, _ = await answers(blank, POSTGRESQL)
    collations = {row[4] for row in columns if row[2] == "character varying"}
    collations |= {name for row in indexes for name in row[2] if "alembic" not in row[0]}
    assert collations - {None} == {"C"}, f"the database's own is {other.all()}"


async def test_central_clients_have_a_partial_index(blank: Database) -> None:
    await migrations.upgrade(blank)
    (definition,) = [row for row in await described(blank) if "ix_clients_central" in row]
    assert "WHERE is_central" in str(definition).replace("(", "")


async def test_downgrade_leaves_nothing(blank: Database) -> None:
    await migrations.upgrade(blank)
    await migrations.downgrade(blank, "base")
    assert await described(blank) == set()
    assert (await migrations.upgrade(blank)).is_current


async def test_states(blank: Database) -> None:
    missing = await migrations.check(blank)
    assert not missing.is_current
    assert "missing" in str(missing)
    assert "freezer-gateway db upgrade" in str(missing)
    assert (await migrations.upgrade(blank)).is_current
    assert (await migrations.check(blank)).is_current


async def test_a_newer_database_is_left_alone(blank: Database) -> None:
    await migrations.upgrade(blank)
    async with blank.transaction() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    state = await migrations.upgrade(blank)
    assert not state.known
    assert "upgrade the gateway" in str(state)


async def test_only_an_embedded_file_is_upgraded_unasked(blank: Database) -> None:
    assert (await migrations.prepare(blank)).is_current == blank.is_sqlite


async def test_several_may_upgrade_at_once(blank: Database) -> None:
    url = blank.url.render_as_string(hide_password=False)
    others = [Database(load(database_url=url)) for _ in range(3)]
    states = await asyncio.gather(*map(migrations.upgrade, others))
    assert [state.is_current for state in states] == [True] * 3
    await asyncio.gather(*(other.close() for other in others))


async def test_several_may_open_a_new_file_at_once(sqlite: Sqlite) -> None:
    async def opened(url: str) -> str:
        database = Database(load(database_url=url))
        async with database.transaction() as connection:
            mode = await connection.scalar(sa.text("PRAGMA journal_mode"))
        await database.close()
        return str(mode)

    for _ in range(50):
        url = await sqlite.create()
        assert await asyncio.gather(*(opened(url) for _ in range(4))) == ["wal"] * 4
        await sqlite.drop(url)


async def test_a_failed_upgrade_changes_nothing(blank: Database) -> None:
    async with blank.transaction() as connection:
        # In the way of the last table.
        await connection.execute(sa.text("CREATE TABLE sessions (id INTEGER)"))
    before = await described(blank)
    with pytest.raises(sa.exc.DBAPIError):
        await migrations.upgrade(blank)
    assert await described(blank) == before


async def test_a_server_that_is_down() -> None:
    database = Database(load(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    with pytest.raises(Unavailable):
        await migrations.upgrade(database)
    await database.close()


TIMES = {"b0": 1_700_000_000, "b1": -1, "b2": None, "b3": 1_774_751_400_123, "b4": -86_400}
TEXTS = {"curr_backup_level": "3", "max_level": 7.0, "backup_size_compressed": "123456"}


async def test_what_is_derived_is_filled_in_for_rows_stored_earlier(blank: Database) -> None:
    await migrations.upgrade(blank, "0002")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    times = {"created_at": moment, "updated_at": moment, "version": 0}
    # More than a batch.
    names = [*TIMES, *(f"n{number:04}" for number in range(2100))]
    backups = [
        {"project_id": "p1", "id": name, "user_id": "u", "status": "available", "level": None}
        | {"backup_name": "Ночной" if name == "b0" else name, "sort_time": TIMES.get(name) or 0}
        | {"backup_metadata": json.dumps(TEXTS), "time_stamp": TIMES.get(name), "max_level": 5}
        | times
        for name in names
    ]
    session = {"project_id": "p1", "id": "s", "user_id": "u", "description": "ZÜRICH"}
    session |= {"hold_off": 0, "session_tag": 0, "schedule": "{}", "job_states": "{}"} | times
    async with blank.transaction() as connection:
        for table, rows in ((Backup, backups), (Session, [session])):
            # No other columns than those given, not even by their defaults.
            typed = (sa.column(name, columns(table)[name].type) for name in rows[0])
            stored = sa.table(source(table).name, *typed)
            given = {name: sa.bindparam(name) for name in rows[0]}
            await connection.execute(sa.insert(stored).values(given), rows)
    assert (await migrations.upgrade(blank)).is_current
    own = columns(Backup)
    query = sa.select(own.id, own.calendar_time, own.folded, own.level, own.max_level)
    found = {row[0]: tuple(row)[1:] for row in await blank.rows(query)}
    assert len(found) == len(names)
    for name in names:
        time = calendar_time(TIMES.get(name))
        assert found[name] == (time, "ночной" if name == "b0" else None, 3, 5)
    assert [row[0] for row in await blank.rows(sa.select(columns(Session).folded))] == ["zürich"]
    # What is derived now is what would be derived by writing the row again.
    whole = sa.select(*own)
    for row in await blank.rows(whole):
        values = {column.key: getattr(row, column.key) for column in own}
        assert derived(Backup, values).items() <= values.items()
    await migrations.downgrade(blank, "0002")
    assert "calendar_time" not in str(await described(blank))
