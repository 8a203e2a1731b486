"""Documents that are refused leave nothing behind, neither in the process nor in its caches."""

import gc
import re
from itertools import islice
from pathlib import Path

import httpx
import pytest
from graphql import GraphQLError, Node, Source
from starlette.applications import Starlette

from tests.support.hostile_documents import LONG, hostile
from tests.support.live import LiveGateway, live

pytestmark = pytest.mark.anyio

MAX_MEGABYTES = 150
KINDS = 16
MARK = "second-mark-"


def megabytes(gateway: LiveGateway) -> float:
    """Return the memory that a gateway's process has in use."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


def test_a_hundred_hostile_documents_cost_no_memory(tmp_path: Path) -> None:
    with live(tmp_path, sample_data=False) as gateway, httpx.Client(timeout=120) as client:
        for text, variables in islice(hostile("h"), 100):
            body = {"query": text, "variables": variables}
            answer = client.post(f"{gateway.url}/graphql", json=body)
            assert "errors" in answer.json()
            assert len(answer.content) < 200_000
        assert megabytes(gateway) < MAX_MEGABYTES


def refused() -> int:
    """Return how many errors, nodes and texts of documents there are."""
    gc.collect()
    return sum(isinstance(one, (GraphQLError, Node, Source)) for one in gc.get_objects())


def is_kept(mark: str) -> bool:
    """Return True if anything refers to a longer text with this mark."""
    return any(
        type(part) is str and len(part) > len(mark) and mark in part
        for one in gc.get_objects()
        for part in gc.get_referents(one)
    )


async def send(client: httpx.AsyncClient, mark: str) -> None:
    for text, variables in islice(hostile(mark), KINDS):
        answer = await client.post("/graphql", json={"query": text, "variables": variables})
        assert "errors" in answer.json()
        assert not answer.json().get("data")


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
async def test_nothing_is_kept_of_what_is_refused(
    app: Starlette, client: httpx.AsyncClient
) -> None:
    await send(client, "first-mark-")
    before = refused()
    await send(client, MARK)
    assert refused() <= before
    # Longer than the constants of these tests.
    assert not is_kept(f"# {MARK}")
    assert not is_kept(f"{LONG}{LONG}")
    assert len(app.state.graphql.executor.cache) == 0
