"""SQLite that is busy with another program's write: a race like others, and no outage."""

import sqlite3
from pathlib import Path

import pytest

from gateway.context import Context
from gateway.db import sqlite
from gateway.db.counting import StatementCounter, count_statements
from gateway.db.database import Database
from gateway.errors import Code, LostRace
from gateway.resolvers import clients, writing
from gateway.resolvers.clients import ClientDraft
from tests.support.apps import MakeContext

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["sqlite"], indirect=True),
]


@pytest.fixture
def ctx(make_ctx: MakeContext, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a context of a database that doesn't wait for locks."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0)
    monkeypatch.setattr(sqlite, "BUSY_TURN_SECONDS", 0)
    return make_ctx("p1")


@pytest.fixture
def other(database: Database) -> sqlite3.Connection:
    """Return another program's connection to the database."""
    return sqlite3.connect(Path(str(database.url.database)), isolation_level=None)


async def test_who_finds_it_busy_tries_again(
    ctx: Context, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(StatementCounter, "count_retry", lambda: other.execute("COMMIT"))
    assert (await clients.create(ctx, ClientDraft("host"))).id == "host"
    assert not other.in_transaction


async def test_who_always_finds_it_busy_is_told_so(
    ctx: Context, other: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    other.execute("BEGIN IMMEDIATE")
    counter = count_statements()
    with pytest.raises(LostRace) as refusal:
        await clients.create(ctx, ClientDraft("host"))
    assert refusal.value.code is Code.CONFLICT
    assert counter.retries == writing.MAX_ATTEMPTS - 1
    assert "unavailable" not in capsys.readouterr().out
