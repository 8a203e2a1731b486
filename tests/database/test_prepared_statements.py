"""Statements are prepared once on each connection to PostgreSQL, or never, as the settings say.

`make test-pgbouncer` shows what the latter is for.
"""

import httpx
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.settings import load
from tests.support.apps import opened

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["postgresql"], indirect=True),
]

PREPARED = sa.table("pg_prepared_statements", sa.column("statement"))
RUNS = sa.column("generic_plans") + sa.column("custom_plans")


async def prepared(app: Starlette) -> dict[str, int]:
    """How often each statement was run that the only connection has prepared for jobs."""
    rows = await app.state.contexts.db.rows(sa.select(PREPARED.c.statement, RUNS.label("runs")))
    return {row[0]: row[1] for row in rows if "FROM jobs" in row[0]}


async def ask(client: httpx.AsyncClient) -> None:
    query = "{ jobs(first: 3) { nodes { id client { hostname } } } }"
    response = await client.post("/graphql", json={"query": query})
    assert "errors" not in response.json()
    assert (await client.get("/v2/demo/jobs")).is_success


async def test_a_statement_is_prepared_once(database_url: str) -> None:
    app = create_app(load(database_url=database_url, database_pool_size=1))
    async with opened(app) as client:
        # At first the ordinary way, from then on by plan.
        for _ in range(2):
            await ask(client)
        before = await prepared(app)
        for _ in range(10):
            await ask(client)
        after = await prepared(app)
    assert before
    assert after.keys() == before.keys()
    assert after == {statement: runs + 10 for statement, runs in before.items()}


async def test_no_statement_is_prepared_where_it_must_not(database_url: str) -> None:
    settings = load(
        database_url=database_url, database_pool_size=1, database_prepared_statements=False
    )
    app = create_app(settings)
    async with opened(app) as client:
        for _ in range(3):
            await ask(client)
        assert not await prepared(app)
