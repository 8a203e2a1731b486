"""More requests than a gateway can answer, at a rate that doesn't depend on its answers.

wrk sends a request when an answer has come, and so never too many. h2load has as many clients here
as requests are to come in a second, which begin one after the other, and each of which then sends
one every second: nobody waits for anybody else's answer, nor for his own if it takes no second.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from .machine import on_core
from .measure import LoadError
from .peers import Peer, gateway
from .progress import say
from .rounds import Plan
from .stage import Stage

DOCUMENT = """{ jobs(first: 100) { nodes {
  jobId description status event result createdAt updatedAt schedule { interval startDate }
  actions { nodes { actionId action mode storage backupName } }
  backups(first: 10) { totalCount nodes { backupId backupName level timeStamp } }
} } }"""
"""An operation that takes over 3 ms, with an answer that doesn't keep the network busy."""
CONNECTIONS = 16
RUNNING, WAITING = 16, 100
FACTORS = (0.5, 0.8, 1, 2, 4)
"""Offered rates, as multiples of the best one."""
SECONDS = 10


class Answer(NamedTuple):
    """An answer: when its request was sent, in seconds, and how long it took."""

    begun: float
    status: int
    took_ms: float


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
        alone, best = (_closed(peer, plan, body, count) for count in (1, CONNECTIONS))
        say(f"at most {best:,.0f} /s; one that is alone takes {1000 / alone:.1f} ms")
        # The wait for all places, if each of their requests takes what one does by itself.
        bound = (RUNNING + WAITING) * 1000 / alone
        return [
            {"factor": factor, "bound_ms": bound} | _offered(peer, plan, body, best, factor)
            for factor in FACTORS
        ]


def _closed(peer: Peer, plan: Plan, body: Path, count: int) -> float:
    """Return the rate at which answers come when so many requests are always open."""
    ran = _run(peer, plan, body, "-c", str(count), "-D", str(SECONDS))
    return sum(answer.status == 200 for answer in ran) / SECONDS


def _offered(peer: Peer, plan: Plan, body: Path, best: float, factor: float) -> dict[str, Any]:
    rate = round(best * factor)
    at_once, milliseconds = _evenly(rate)
    ran = _run(
        *(peer, plan, body, "-c", str(rate), "-n", str(rate * (SECONDS + 2)), "--rps=1"),
        *("-r", str(at_once), f"--rate-period={milliseconds}ms"),
    )
    # In the first second the clients begin; in the last one they end.
    first = min(answer.begun for answer in ran) + 1
    counted = [answer for answer in ran if first <= answer.begun < first + SECONDS]
    served = sorted(answer.took_ms for answer in counted if answer.status == 200)
    others = {answer.status for answer in counted} - {200, 503}
    if others or not served:
        raise LoadError(f"answers to {rate:,.0f} requests a second: {others or 'none'}")
    row = {
        "offered": len(counted) / SECONDS,
        "served": len(served) / SECONDS,
        "goodput": len(served) / SECONDS / best,
        "refused": (len(counted) - len(served)) / SECONDS,
        "p50_ms": served[len(served) // 2],
        "p99_ms": served[int(len(served) * 0.99)],
    }
    say(
        f"{factor:g} x: {row['offered']:,.0f} /s offered, {row['served']:,.0f} served "
        f"({row['goodput']:.0%}), p99 {row['p99_ms']:,.0f} ms"
    )
    return row


def _evenly(rate: float) -> tuple[int, int]:
    """Return how many clients begin at once, and every how many milliseconds.

    h2load lets those of a whole second begin together if it isn't told otherwise.
    """
    pairs = [(some, max(1, round(1000 * some / rate))) for some in range(1, 9)]
    return min(pairs, key=lambda pair: abs(1000 * pair[0] / pair[1] / rate - 1))


def _run(peer: Peer, plan: Plan, body: Path, *options: str) -> list[Answer]:
    """Run h2load; return the answers. Raises LoadError."""
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
    return [
        Answer(int(begun) / 1_000_000, int(status), int(took) / 1000)
        for begun, status, took in lines
    ]
