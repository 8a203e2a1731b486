"""Measures what an operation costs: the requests it makes, and the SQL statements these take.

Both are read from the log of the service that is asked, which has a line for each request.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.live import LiveGateway

from .ledger import Cost, keep
from .operations import document

PATIENCE = 60
"""How many seconds a line may take to appear in the log."""

GRAPHQL = "/graphql"
MARK = "/mark-"
"""How the path of a request begins that is made for its line in the log only."""

Request = Mapping[str, Any]
"""A line of the log: `method`, `path`, `status`, `statements` and others."""


@contextmanager
def measured(
    service: LiveGateway,
    operation: str,
    *,
    only: Callable[[Request], bool] = lambda _: True,
) -> Iterator[None]:
    """Add up what the service is asked in the block, and keep it as what the operation costs.

    Only the operation may ask it meanwhile, but for GraphQL, by which a test may look on. What
    else is asked and doesn't belong to the operation, such as a poll, `only` tells from it.
    """
    before = len(requests(service))
    yield
    add_up(operation, (one for one in requests(service)[before:] if only(one)))


def add_up(operation: str, asked: Iterable[Request]) -> None:
    """Keep what these requests cost as what the operation costs; those for GraphQL don't count."""
    keep(operation, "rest", _sum([one for one in asked if one["path"] != GRAPHQL]))


def answered(
    service: LiveGateway, operation: str, token: str, **variables: object
) -> dict[str, Any]:
    """Ask the operation's GraphQL document, keep what that costs, and return its data.

    Nobody else may ask meanwhile.
    """
    before = len(requests(service))
    response = httpx.post(
        f"{service.url}{GRAPHQL}",
        json={"query": document(operation), "variables": variables},
        headers={"X-Auth-Token": token},
        timeout=PATIENCE,
    )
    body: dict[str, Any] = response.json()
    assert "errors" not in body, body
    keep(operation, "graphql", _sum(requests(service)[before:]))
    data: dict[str, Any] = body["data"]
    return data


def requests(service: LiveGateway) -> list[Request]:
    """Return what the service has been asked, as its log tells.

    A request is logged after its answer is sent. When a later one stands in the log, so do those
    that were answered before it.
    """
    path = f"{MARK}{os.urandom(8).hex()}"
    httpx.get(f"{service.url}{path}", timeout=PATIENCE)
    patient_until = time.monotonic() + PATIENCE
    while path not in (log := service.log.read_text()):
        assert time.monotonic() < patient_until, f"no line for {path} in {service.log}"
        time.sleep(0.01)
    lines = [json.loads(line) for line in log.splitlines() if line.startswith('{"')]
    return [
        line
        for line in lines
        if line.get("event") == "request" and not line["path"].startswith(MARK)
    ]


def _sum(asked: list[Request]) -> Cost:
    assert asked, "nothing was asked"
    return Cost(len(asked), sum(one["statements"] for one in asked))
