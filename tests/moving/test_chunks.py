"""Chunk hashes are equal exactly if both sides have the same rows."""

import json

import pytest

from gateway.db.database import Database
from gateway.moving.chunks import Chunks, of_gateway
from gateway.moving.importing import Import, Page
from gateway.moving.layouts import TABLES, Catalogue
from gateway.moving.reports import Report
from gateway.moving.sources import open_source
from gateway.resolvers import jobs
from tests.moving.conftest import Move, Silent
from tests.support.apps import MakeContext
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio


async def here(database: Database, *projects: str) -> Chunks:
    """Return the chunks of the gateway's rows."""
    chunks = Chunks()
    for table in TABLES:
        for project in projects:
            async for page in of_gateway(database, table, project):
                for own_id, digest in page:
                    chunks.add(table, project, own_id, digest)
    return chunks


async def there(
    database: Database, tables: FreezerTables, monkeypatch: pytest.MonkeyPatch
) -> Chunks:
    """Return the chunks of freezer-api's rows, as they are translated."""
    chunks = Chunks()

    async def add(_: Import, __: str, page: Page) -> None:
        for item in page.items:
            chunks.add_item(item)

    source = open_source(tables.url)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Import, "write", add)
            report = Report(tables.path.with_suffix(".jsonl"))
            await Import(Catalogue(source), database, report, Silent(), is_trial=True).run()
    finally:
        source.close()
    return chunks


async def test_both_sides_of_an_import_have_the_same(
    tables: FreezerTables,
    move: Move,
    database: Database,
    make_ctx: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables.client("web-1", is_central=1)
    tables.session("s1", job=json.dumps({"j1": {"status": "completed", "result": "success"}}))
    for name in ("a1", "a2"):
        tables.action(name)
    tables.job("j1", "a2", "a1", session_id="s1")
    tables.insert("user_credentials", "c1", trust_id="t1", trustor_user_id="u1", job_id="j1")
    for number in range(20):
        tables.backup(f"b{number}", METADATA | {"note": "é"}, project_id=f"p{number % 2 + 1}")
    tables.run("UPDATE backups SET updated_at = '2026-02-03 04:05:06' WHERE id = 'b7'")
    await move()
    chunks = await there(database, tables, monkeypatch)
    assert sum(chunk.count for chunk in chunks.of.values()) == 25
    assert (await here(database, "p1", "p2")) == chunks
    assert chunks.hashes() == (await here(database, "p2", "p1")).hashes()
    tables.run("UPDATE job_actions SET position = 7 WHERE action_id = 'a2'")
    tables.run("UPDATE backups SET status = 'error' WHERE id = 'b2'")
    changed = await there(database, tables, monkeypatch)
    assert {key[:2] for key in changed.differing(chunks)} == {("jobs", "p1"), ("backups", "p1")}
    await jobs.update(make_ctx("p1"), "j1", {"description": "changed here"})
    differing = (await here(database, "p1", "p2")).differing(chunks)
    assert [key[:2] for key in differing] == [("jobs", "p1")]
