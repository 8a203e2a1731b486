"""The whole workload on one gateway for a long time, and how much memory it takes meanwhile."""

import threading
import time
from typing import Any

from .machine import resident_mb
from .measure import wrk
from .peers import Peer, gateway
from .progress import say
from .rounds import Plan
from .stage import Stage

EVERY = 1.0
"""Seconds between two looks at the memory."""
TELL_EVERY = 60


def soaked(stage: Stage, seconds: float, plan: Plan) -> dict[str, Any]:
    """Send a fresh gateway every request in turn; return the course of its resident memory."""
    with gateway.serving(stage, "soaked", stage.database) as peer:
        return _soaked(peer, seconds, plan)


def _soaked(peer: Peer, seconds: float, plan: Plan) -> dict[str, Any]:
    say(f"the whole workload for {seconds:g} seconds")
    finished = threading.Event()
    begun = time.monotonic()
    course: list[tuple[float, float]] = []

    def watch() -> None:
        while True:
            spent, memory = time.monotonic() - begun, resident_mb(peer.process)
            if not course or spent // TELL_EVERY > course[-1][0] // TELL_EVERY:
                say(f"after {spent:,.0f} s: {memory:.0f} MB resident")
            course.append((round(spent, 1), round(memory, 1)))
            if finished.wait(EVERY):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sample = wrk(peer, list(peer.requests), seconds, plan.cores, plan.folder)
    finally:
        finished.set()
        watcher.join()
    return {
        "seconds": sample.seconds,
        "requests": sample.requests,
        "rate": sample.rate,
        "resident_mb": max(memory for _, memory in course),
        "course": course,
    }
