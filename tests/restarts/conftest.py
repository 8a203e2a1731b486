"""An empty PostgreSQL database, for tests that run programs and no event loop."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.databases import Postgres


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database."""
    server = Postgres(postgres_url)
    url = asyncio.run(server.create())
    yield url
    asyncio.run(server.drop(url))
