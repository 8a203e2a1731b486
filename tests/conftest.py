"""What the tests stand on: fresh databases of both kinds, contexts, and clients of the gateway.

`server` is SQLite or PostgreSQL; every test that uses it, or anything below it, runs on both. A
PostgreSQL cluster is started when the first test asks for it, and a failure to start it is an
error, never a skip.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway import demo, migrations
from gateway.app import create_app
from gateway.auth.identity import Identity
from gateway.auth.policy import Policy
from gateway.context import Context
from gateway.db.database import Database
from gateway.settings import Settings, load
from gateway.upkeep import timer
from tests.support.apps import GraphQL, MakeClient, MakeContext, opened
from tests.support.databases import OWN_SERVER, Cluster, Postgres, Server, Sqlite
from tests.support.live import LiveGateway, live
from tests.support.recorder import QueryRecorder

HOUSE = Path(__file__).parent / "house"

# Tests write rows that no gateway would; those of its upkeep ask for it.
timer.FIRST_SECONDS = 1e6

for variable in [name for name in os.environ if name.startswith("GATEWAY_")]:
    # The suite tests the defaults, and what it sets itself.
    if not variable.startswith("GATEWAY_TEST_"):
        del os.environ[variable]

# Tests count statements, and change rows behind the gateway's back; those of kept answers ask for
# them.
os.environ["GATEWAY_KEPT_ANSWERS_BYTES"] = "0"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the house first, except for those that ask a database of each kind."""
    items.sort(key=lambda item: HOUSE not in item.path.parents or "server" in fixtures(item))


def fixtures(item: pytest.Item) -> list[str]:
    """Return the names of all fixtures that a test stands on."""
    return item.fixturenames if isinstance(item, pytest.Function) else []


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return the only event loop that the gateway runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Return the URL of a PostgreSQL server: the machine's own, or a throw-away one."""
    if own := os.environ.get(OWN_SERVER):
        yield own
    else:
        with Cluster() as url:
            yield url


async def with_tables(server: Server) -> str:
    """Make a database, run every migration on it, and return its URL."""
    url = await server.create()
    database = Database(load(database_url=url))
    await migrations.upgrade(database)
    await database.close()
    return url


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Sqlite:
    """Return a folder that databases can be made in."""
    return Sqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    """Return a server that can make databases, of each kind in turn."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite")
    return Postgres(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
async def sqlite_template(sqlite: Sqlite) -> str:
    """Return the URL of an SQLite file with the tables in it."""
    return await with_tables(sqlite)


@pytest.fixture(scope="session")
async def template(server: Server) -> AsyncIterator[str]:
    """Return the URL of a database with the tables in it, of which every test gets a copy."""
    if isinstance(server, Postgres) and OWN_SERVER not in os.environ:
        await server.hurry()
    url = await with_tables(server)
    yield url
    await server.close()
    await server.drop(url)


@pytest.fixture(scope="session")
async def demo_template(server: Server, template: str) -> AsyncIterator[str]:
    """Return the URL of a database with the sample data in it."""
    url = await server.create(template)
    database = Database(load(database_url=url))
    await demo.load(database)
    await database.close()
    yield url
    await server.drop(url)


@pytest.fixture
async def database_url(server: Server, template: str) -> AsyncIterator[str]:
    """Return the URL of a database with empty tables."""
    url = await server.lend(template)
    yield url
    await server.take_back(url)


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return the default settings, on a fresh database."""
    return load(database_url=database_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Return a fresh database."""
    database = Database(settings)
    yield database
    await database.close()


@pytest.fixture
def make_ctx(database: Database) -> MakeContext:
    """Return a function that makes the context of the local user in a project."""

    def make(project: str) -> Context:
        roles = frozenset({"admin", "member", "reader", "service"})
        return Context(Identity("local", "local", project, roles), project, database, Policy())

    return make


@pytest.fixture
def ctx(make_ctx: MakeContext) -> Context:
    """Return the context of the local user in the project `p1`."""
    return make_ctx("p1")


@pytest.fixture
def recorder() -> QueryRecorder:
    """Return a recorder: `with recorder: …`, then `len(recorder)` is the number of statements."""
    return QueryRecorder()


@pytest.fixture
def app(settings: Settings) -> Starlette:
    """Return the application on the same database as `database` and `ctx`."""
    return create_app(settings)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the application."""
    async with opened(app) as client:
        yield client


@pytest.fixture
async def make_client(database_url: str) -> AsyncIterator[MakeClient]:
    """Return a function that makes a client of an application with other settings."""
    async with AsyncExitStack() as stack:

        async def make(**given: object) -> httpx.AsyncClient:
            app = create_app(load(**{"database_url": database_url} | given))
            return await stack.enter_async_context(opened(app))

        yield make


@pytest.fixture(scope="module")
async def scenario_client(server: Server, template: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client for a module's tests that follow from one another."""
    url = await server.lend(template)
    async with opened(create_app(load(database_url=url))) as client:
        yield client
    await server.take_back(url)


@pytest.fixture
async def demo_client(server: Server, demo_template: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application that has the sample data."""
    url = await server.create(demo_template)
    async with opened(create_app(load(database_url=url))) as client:
        yield client
    await server.drop(url)


@pytest.fixture
def graphql(client: httpx.AsyncClient) -> GraphQL:
    """Return a function that asks the application's GraphQL, and returns the body it answers."""

    async def ask(
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        project: str = "p1",
    ) -> dict[str, Any]:
        response = await client.post(
            "/graphql",
            json={"query": query, "variables": variables or {}},
            headers={"X-Project-Id": project},
        )
        body: dict[str, Any] = response.json()
        return body

    return ask


@pytest.fixture(scope="session")
def live_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Return a gateway in a process of its own, with the sample data, on an SQLite file."""
    with live(tmp_path_factory.mktemp("live")) as gateway:
        yield gateway
