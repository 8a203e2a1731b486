"""How the gateway's cost grows with the catalogue, on databases of three sizes."""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx

from . import graphql
from .catalogue import BACKUPS_PER_JOB
from .peers import Peer, gateway
from .progress import say
from .rounds import Plan, measured
from .stage import Stage

KEYS = ("Q2", "Q4", "S1", "S2", "S3", "R1", "R3", "R5")
SIZES = (1_000, 100_000, 1_000_000)
QUICK_SIZES = (1_000, 100_000)
ROUNDS, SECONDS = 7, 1
"""How often, and for how many seconds, each is measured at most."""
COUNTS = 5
"""How often everything is counted."""


def grown(stage: Stage, sizes: Sequence[int], plan: Plan) -> list[dict[str, Any]]:
    """Measure a gateway on each size; return a row for each size and request.

    `total_ms` is what one `totalCount` of all backups takes, alone.
    """
    plan = replace(plan, rounds=min(ROUNDS, plan.rounds), seconds=min(SECONDS, plan.seconds))
    with ExitStack() as stack:
        peers = {size: stack.enter_context(_gateway(stage, size)) for size in sizes}
        cells = measured(list(peers.values()), KEYS, plan)
        totals = {size: _total_ms(peer) for size, peer in peers.items()}
    return [
        {"backups": size, "key": key, "total_ms": totals[size]} | cells[peer.name, key]
        for size, peer in peers.items()
        for key in KEYS
        if (peer.name, key) in cells
    ]


def _gateway(stage: Stage, size: int) -> Any:
    own = replace(stage, jobs=size // BACKUPS_PER_JOB)
    return gateway.serving(own, f"at {size:,}", own.database)


def _total_ms(peer: Peer) -> float:
    request = graphql.post(gateway.TOTAL, {})
    headers = {"Content-Type": "application/json"}
    times = []
    with httpx.Client(base_url=peer.url, timeout=60, headers=headers) as client:
        for _ in range(COUNTS):
            begun = time.perf_counter()
            answer = client.post(request.path, content=request.body)
            times.append((time.perf_counter() - begun) * 1000)
            total = graphql.answered(answer.json())["totalCount"]
            assert total == peer.catalogue.backups, f"{total} backups are counted"
    median = statistics.median(times)
    say(f"totalCount of {peer.catalogue.backups:,} backups: {median:.1f} ms")
    return median
