"""More requests than a gateway can answer, at a rate that doesn't depend on its answers.

wrk sends a request when an answer has come, and so never too many. h2load opens some connections
every few milliseconds, each for one request, however many are open.
"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from .machine import on_core
from .measure import LoadError
from .peers import Peer, gateway
from .progress import say
from .rounds import Plan
from .stage import Stage

DOCUMENT = "{ jobs(first: 50) { nodes { id backups(first: 20) { totalCount nodes { level } } } } }"
"""An operation that takes over 3 ms, with an answer that doesn't keep the network busy."""
CONNECTIONS = 16
RUNNING, WAITING = 16, 100
FACTORS = (0.5, 0.8, 1, 2, 4)
"""Offered rates, as multiples of the best one."""
SECONDS = 10


def overloaded(stage: Stage, plan: Plan) -> list[dict[str, Any]]:
    """Offer a gateway each of those rates; return how many requests it served, and how soon."""
    settings = {
        "max_running_requests": str(RUNNING),
        "max_waiting_requests": str(WAITING),
        "waiting_writes": "0",
    }
    with gateway.serving(stage, "overloaded", stage.database, **settings) as peer:
        body = plan.folder / "overload.json"
        body.write_text(json.dumps({"query": DOCUMENT}))
        _run(peer, plan, body, "-c", str(CONNECTIONS), "-n", "200")
        best = _closed(peer, plan, body)
        say(f"at most {best:,.0f} /s, {1000 / best:.1f} ms each")
        return [_offered(peer, plan, body, best, factor) for factor in FACTORS]


def _closed(peer: Peer, plan: Plan, body: Path) -> float:
    """Return the rate at which answers come when so many requests are always open."""
    ran = _run(peer, plan, body, "-c", str(CONNECTIONS), "-D", str(SECONDS))
    return sum(status == 200 for status, _ in ran) / SECONDS


def _offered(peer: Peer, plan: Plan, body: Path, best: float, factor: float) -> dict[str, Any]:
    at_once, milliseconds = _evenly(best * factor)
    rate = 1000 * at_once / milliseconds
    total = str(round(rate * SECONDS))
    begun = time.perf_counter()
    ran = _run(
        *(peer, plan, body, "-c", total, "-n", total),
        *("-r", str(at_once), f"--rate-period={milliseconds}ms"),
    )
    spent = time.perf_counter() - begun
    served = sorted(took for status, took in ran if status == 200)
    others = {status for status, _ in ran} - {200, 503}
    if others or not served:
        raise LoadError(f"answers to {rate:,.0f} requests a second: {others or 'none'}")
    row = {
        "factor": factor,
        "offered": round(rate),
        "served": len(served) / spent,
        "goodput": len(served) / spent / best,
        "refused": (len(ran) - len(served)) / spent,
        "p50_ms": served[len(served) // 2],
        "p99_ms": served[int(len(served) * 0.99)],
        "bound_ms": (RUNNING + WAITING) * 1000 / best,
    }
    say(
        f"{factor:g} x: {rate:,.0f} /s offered, {row['served']:,.0f} served ({row['goodput']:.0%}), "
        f"p99 {row['p99_ms']:,.0f} ms of {row['bound_ms']:,.0f}"
    )
    return row


def _evenly(rate: float) -> tuple[int, int]:
    """Return how many connections to open at once, and every how many milliseconds.

    h2load opens those of a whole second together if it isn't told otherwise.
    """
    pairs = [(some, max(1, round(1000 * some / rate))) for some in range(1, 9)]
    return min(pairs, key=lambda pair: abs(1000 * pair[0] / pair[1] / rate - 1))


def _run(peer: Peer, plan: Plan, body: Path, *options: str) -> list[tuple[int, float]]:
    """Run h2load; return each answer's status, and its milliseconds. Raises LoadError."""
    log = plan.folder / "h2load.log"
    log.unlink(missing_ok=True)
    request = peer.requests["Q1"][0]
    headers = {**request.headers, "Content-Type": "application/json"}
    command = [*on_core(plan.cores.load), "h2load", "--h1", *options, f"--data={body}"]
    command += [f"--log-file={log}", *(f"--header={key}: {text}" for key, text in headers.items())]
    done = subprocess.run(
        [*command, f"{peer.url}/graphql"], capture_output=True, text=True, check=False
    )
    if done.returncode or not log.exists():
        raise LoadError(f"h2load failed: {done.stdout}{done.stderr}")
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    return [(int(status), int(took) / 1000) for _, status, took in lines]
