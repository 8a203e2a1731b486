"""`db upgrade` derives any catalogue in little memory, and goes on where it was killed."""

import os
import subprocess
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from gateway import migrations
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import Backup, columns, new_row
from gateway.chains.filling import fill
from gateway.db.database import Database
from gateway.settings import load
from tests.support.databases import Server
from tests.support.live import PATIENCE, command

pytestmark = pytest.mark.anyio

SERIES, PER_SERIES, LEVELS = 400, 10, 5
OWN, OF_SERIES = columns(Backup), columns(Series)
DONE = sa.select(sa.func.count()).where(OWN.derived_version.is_not(None))
LEFT = sa.select(sa.func.count()).where(OWN.restorability_reason == "NOT_DERIVED")
STALE = sa.select(sa.func.count()).where(OF_SERIES.is_stale)
MEGABYTE = 2**20


@pytest.fixture
async def database(server: Server) -> AsyncIterator[Database]:
    """Return a database of its own, with the tables in it, that other processes may open."""
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    yield database
    await database.close()
    await server.drop(url)


def registered_before(size: int = 1) -> Iterator[Backup]:
    """Yield backups as a gateway that knows of no chains wrote them, the series interleaved.

    `size` is about that of each one's metadata, in bytes.
    """
    for number in range(SERIES * PER_SERIES):
        day, series = divmod(number, SERIES)
        metadata: dict[str, Any] = {
            "backup_name": f"series{series}",
            "curr_backup_level": day % LEVELS,
            "note": "x" * size,
        }
        values = {
            "project_id": f"p{series % 2}",
            "user_id": "u",
            "backup_metadata": orjson.dumps(metadata).decode(),
            "backup_name": metadata["backup_name"],
            "hostname": "web1",
            "level": day % LEVELS,
            "time_stamp": 1_700_000_000 + day * 86_400,
        }
        yield new_row(Backup, values)


async def store(database: Database, size: int = 1) -> None:
    async with database.write("p0", "p1") as transaction:
        await transaction.insert(*registered_before(size))


async def expect_all_derived(database: Database) -> None:
    assert await database.scalar(LEFT) == 0
    assert await database.scalar(STALE) == 0
    rows = await database.rows(sa.select(OWN.level, OWN.chain_level, OWN.restorability))
    assert len(rows) == SERIES * PER_SERIES
    assert {(row.chain_level - row.level, row.restorability) for row in rows} == {(0, "RESTORABLE")}
    (found,) = await database.rows(sa.select(sa.func.count()).select_from(OF_SERIES.id.table))
    assert found[0] == SERIES


async def test_memory_is_bounded_whatever_the_size_of_the_catalogue(database: Database) -> None:
    size = 10_000
    await store(database, size)
    tracemalloc.start()
    try:
        await fill(database)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SERIES * PER_SERIES * size / 2, f"{peak / MEGABYTE:.0f} MB"
    await expect_all_derived(database)


class Upgrade:
    """The command line's upgrade of a database."""

    def __init__(self, database: Database) -> None:
        url = database.url.render_as_string(hide_password=False)
        self._environment = os.environ | {"GATEWAY_DATABASE_URL": url}
        self.process: subprocess.Popen[str] = subprocess.Popen(
            command("db", "upgrade"), env=self._environment, stdout=subprocess.PIPE, text=True
        )

    def kill(self) -> None:
        """End it without a chance to say anything."""
        self.process.kill()
        self.process.communicate()

    def finish(self) -> str:
        """Wait for its end, and return what it has told."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, output
        return output


async def test_an_upgrade_that_was_killed_goes_on_where_it_was(database: Database) -> None:
    await store(database)
    upgrade = Upgrade(database)
    patient_until = time.monotonic() + PATIENCE
    while not await database.scalar(DONE):
        assert upgrade.process.poll() is None, "it has ended without having done anything"
        assert time.monotonic() < patient_until
    upgrade.kill()
    left = SERIES * PER_SERIES - await database.scalar(DONE)
    assert await database.scalar(LEFT) or await database.scalar(STALE), "it was done already"
    told = Upgrade(database).finish()
    assert f"{left:,} of {left:,} backups" in told or not left
    await expect_all_derived(database)
