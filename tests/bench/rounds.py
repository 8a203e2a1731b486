"""The measurement: every request of every program, in interleaved rounds, and their medians."""

import random
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .machine import Calm, Cores, resident_mb
from .measure import SLOW, LoadError, Sample, first_answer, one_by_one, statements, wrk
from .peers import Peer
from .progress import say
from .workload import COLD, WrongAnswerError, check, expected

Cell = tuple[str, str]
WARM_UP = 1.0
"""Seconds of load before the first round, which don't count."""
COLD_WARM_UP = 10.0
"""The same where every request is planned: Node.js compiles its planner only after hundreds."""
VERY_SLOW = 4.0
"""Seconds for one answer, from which on one round is all there is."""
SHORTER = 0.9
"""The share of the right answer's length that is too short, in the mean, to be right as well."""


@dataclass(frozen=True)
class Plan:
    """How long, how often, and how calmly; and where the load comes from.

    `failures` says what went wrong.
    """

    rounds: int
    seconds: float
    cores: Cores
    folder: Path
    calm: Calm
    failures: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Course:
    """One request of one program on its way through the rounds.

    `took` is the seconds of one answer alone, `size` its bytes.
    """

    peer: Peer
    key: str
    took: float
    size: int
    statements: float | None = None
    samples: list[Sample] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """True if it is so slow that the one sample it has must do."""
        return self.took > VERY_SLOW and bool(self.samples)

    def prepare(self, plan: Plan) -> None:
        """Count its statements and warm it up, where that takes no time to speak of."""
        if self.took < SLOW:
            self.statements = statements(self.peer, self.key)
            seconds = COLD_WARM_UP if self.key == COLD else WARM_UP
            wrk(self.peer, [self.key], seconds, plan.cores, plan.folder)

    def measure(self, plan: Plan) -> Sample:
        """Take a sample. Raises LoadError, also for answers that aren't what they should be."""
        if self.took > SLOW:
            sample, self.statements = one_by_one(self.peer, self.key, plan.seconds)
        else:
            sample = wrk(self.peer, [self.key], plan.seconds, plan.cores, plan.folder)
        if sample.answer_bytes < self.size * SHORTER:
            raise LoadError(
                f"{self.peer.name}'s answers to {self.key} have {sample.answer_bytes:.0f} bytes, "
                f"the right one has {self.size}"
            )
        self.samples.append(sample)
        return sample


def measured(peers: Sequence[Peer], keys: Sequence[str], plan: Plan) -> dict[Cell, dict[str, Any]]:
    """Check every program's answers, then measure them; return what each cell came to.

    A cell that fails is left out, and told of in the plan's `failures`: the others are still worth
    their time.
    """
    courses = []
    for key in keys:
        for peer in peers:
            if key in peer.requests:
                with noting(plan):
                    courses.append(_begun(peer, key, plan))
    for number in range(1, plan.rounds + 1):
        for course in turns(courses, number):
            courses.remove(course)
            plan.calm.wait()
            with noting(plan):
                sample = course.measure(plan)
                courses.append(course)
                say(
                    f"round {number}/{plan.rounds}  {course.key}  {course.peer.name:<13}"
                    f"{sample.rate:>11,.2f} /s  {sample.cpu_us:>12,.0f} µs CPU"
                )
    names = [peer.name for peer in peers]
    courses.sort(key=lambda course: (keys.index(course.key), names.index(course.peer.name)))
    return {(course.peer.name, course.key): _medians(course) for course in courses}


def turns(courses: Sequence[Course], number: int) -> list[Course]:
    """Return those courses that aren't finished, in the order of a round.

    The order is shuffled, but the same in every run: nobody always follows who leaves a database
    busy. Of a pair of programs one comes right after the other, each first in every other round.
    """
    ordered = [course for course in courses if not course.finished]
    random.Random(number).shuffle(ordered)  # noqa: S311 - no secret
    for course in [each for each in ordered if each.peer.paired_with]:
        pair = (course.peer.paired_with, course.key)
        places = [at for at, each in enumerate(ordered) if (each.peer.name, each.key) == pair]
        if places:
            other = ordered[places[0]]
            ordered.remove(course)
            ordered.insert(ordered.index(other) + number % 2, course)
    return ordered


@contextmanager
def noting(plan: Plan) -> Iterator[None]:
    """Note what fails, and go on."""
    try:
        yield
    except (LoadError, WrongAnswerError) as error:
        plan.failures.append(str(error))
        say(f"FAILED  {error}")


def _begun(peer: Peer, key: str, plan: Plan) -> Course:
    answer, took = first_answer(peer, key)
    check(key, peer.read(key, answer), expected(key, peer.catalogue), peer.name)
    if took < VERY_SLOW:
        took = min(first_answer(peer, key)[1] for _ in range(3))
    course = Course(peer, key, took, len(answer))
    course.prepare(plan)
    told = "" if course.statements is None else f", {course.statements:g} SQL statements"
    say(f"{peer.name} answers {key} right, in {took * 1000:,.1f} ms{told}")
    return course


def _medians(course: Course) -> dict[str, Any]:
    samples = course.samples

    def median(name: str) -> float:
        return statistics.median(getattr(sample, name) for sample in samples)

    names = ("rate", "cpu_us", "p50_ms", "p99_ms", "answer_bytes")
    return {name: median(name) for name in names} | {
        "rates": [sample.rate for sample in samples],
        "cpu_times_us": [sample.cpu_us for sample in samples],
        "statements": course.statements,
        "resident_mb": resident_mb(course.peer.process),
    }
