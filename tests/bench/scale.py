"""How the gateway's cost grows with the catalogue, on databases of three sizes."""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx

from . import graphql, insight
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


def grown(
    stage: Stage, sizes: Sequence[int], keys: Sequence[str], plan: Plan
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measure a gateway on each size; return a row for each size and request.

    `total_ms` is what one `totalCount` of all backups takes, alone. Returns also what questions to
    the largest one cost.
    """
    plan = replace(plan, rounds=min(ROUNDS, plan.rounds), seconds=min(SECONDS, plan.seconds))
    stages = {size: replace(stage, jobs=size // BACKUPS_PER_JOB) for size in sizes}
    with ExitStack() as stack:
        peers = {
            size: stack.enter_context(gateway.serving(own, f"at {size:,}", own.database))
            for size, own in stages.items()
        }
        cells = measured(list(peers.values()), keys, plan)
        totals = {size: _total_ms(peer) for size, peer in peers.items()}
        answers = insight.told(stages[sizes[-1]], peers[sizes[-1]], plan)
    rows = [
        {"backups": size, "key": key, "total_ms": totals[size]} | cells[peer.name, key]
        for size, peer in peers.items()
        for key in keys
        if (peer.name, key) in cells
    ]
    return rows, answers


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
