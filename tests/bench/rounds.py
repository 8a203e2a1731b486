"""The measurement: every request of every program, in interleaved rounds, and their medians."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .machine import Cores, resident_mb
from .measure import SLOW, Sample, first_answer, one_by_one, statements, wrk
from .peers import Peer
from .progress import say
from .workload import check, expected

Cell = tuple[str, str]
WARM_UP = 1.0
"""Seconds of load before the first round, which don't count."""
VERY_SLOW = 4.0
"""Seconds for one answer, from which on one round is all there is."""


@dataclass(frozen=True)
class Plan:
    """How long, and how often; and where the load comes from."""

    rounds: int
    seconds: float
    cores: Cores
    folder: Path


@dataclass
class Course:
    """One request of one program on its way through the rounds."""

    peer: Peer
    key: str
    took: float
    statements: float | None
    samples: list[Sample]

    @property
    def finished(self) -> bool:
        """Whether it is so slow that what there is must do."""
        return self.took > VERY_SLOW and bool(self.samples)

    def measure(self, plan: Plan) -> Sample:
        """Take a sample."""
        if self.took > SLOW:
            return one_by_one(self.peer, self.key, plan.seconds)
        return wrk(self.peer, [self.key], plan.seconds, plan.cores, plan.folder)


def measured(peers: Sequence[Peer], keys: Sequence[str], plan: Plan) -> dict[Cell, dict[str, Any]]:
    """Check every program's answers, then measure them; return what each cell came to."""
    courses = [_prepared(peer, key, plan) for key in keys for peer in peers if key in peer.requests]
    for number in range(1, plan.rounds + 1):
        for course in courses:
            if course.finished:
                continue
            sample = course.measure(plan)
            course.samples.append(sample)
            say(
                f"round {number}/{plan.rounds}  {course.key}  {course.peer.name:<13}"
                f"{sample.rate:>11,.2f} /s  {sample.cpu_us:>12,.0f} µs CPU"
            )
    return {(course.peer.name, course.key): _medians(course) for course in courses}


def _prepared(peer: Peer, key: str, plan: Plan) -> Course:
    answer, took = first_answer(peer, key)
    check(key, peer.read(key, answer), expected(key, peer.catalogue), peer.name)
    course = Course(peer, key, took, None, [])
    if took < VERY_SLOW:
        course.statements = statements(peer, key, requests=1 if took > SLOW else 5)
        course.took = first_answer(peer, key)[1]
    if course.took < SLOW:
        wrk(peer, [key], WARM_UP, plan.cores, plan.folder)
    told = "" if course.statements is None else f", {course.statements:g} SQL statements"
    say(f"{peer.name} answers {key} right, in {course.took * 1000:,.1f} ms{told}")
    return course


def _medians(course: Course) -> dict[str, Any]:
    samples = course.samples

    def median(name: str) -> float:
        return statistics.median(getattr(sample, name) for sample in samples)

    names = ("rate", "cpu_us", "p50_ms", "p99_ms", "answer_bytes")
    return {name: median(name) for name in names} | {
        "rates": [sample.rate for sample in samples],
        "statements": course.statements,
        "resident_mb": resident_mb(course.peer.process),
    }
