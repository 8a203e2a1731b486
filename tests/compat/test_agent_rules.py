"""The plain model of freezer-agent does what freezer's own classes do, history by history."""

import json
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support import agent_rules
from tests.support.agent_rules import FailureError, Link, Pick, Policy

from .environments import program

PROGRAM = Path(__file__).parent / "servers" / "agent.py"
BEGIN = 1_700_000_000
HOUR = 3600
HISTORIES = 60

Step = tuple[Any, ...]


class Agent:
    """freezer-agent's classes in a process of their own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def play(self, order: int | None, steps: Sequence[Step]) -> list[Any]:
        """Have it do these steps on a storage with this order; return what came of them."""
        found: list[Any] = self._ask({"order": order, "steps": steps})
        return found

    def listings(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return how each storage lists a folder whose server or file system lists these names."""
        found: dict[str, list[str]] = self._ask({"names": names})
        return found

    def faults(self) -> dict[str, Any]:
        """Return what storages do whose servers do all that is asked."""
        found: dict[str, Any] = self._ask(None)
        return found

    def _ask(self, question: dict[str, Any] | None) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def running(hash_seed: int) -> Iterator[Agent]:
    """Run freezer-agent's classes; the order of sets is that of this seed."""
    with subprocess.Popen(
        [program("freezer", "python"), PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": str(hash_seed)},
    ) as process:
        yield Agent(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """Run freezer-agent's classes."""
    with running(0) as agent:
        yield agent


class Model:
    """The same steps, by the model."""

    def __init__(self, order: int | None) -> None:
        self.order = order
        self.series: dict[int, list[Link]] = {}

    def play(self, steps: Sequence[Step]) -> list[Any]:
        """Return what comes of them, in the agent's words."""
        return [getattr(self, what)(now, *args) for now, what, *args in steps]

    def backup(self, now: int, policy: dict[str, Any]) -> Any:
        """Return the backup that is made, and the time of what it is based on."""
        try:
            made = agent_rules.next_link(self.series, Policy(**policy), now, self._pick())
        except FailureError as failure:
            return failure.name
        self.series.setdefault(made.chain, []).append(made)
        return [f"{made.chain}/{made.name}", made.base]

    def remove(self, now: int, options: dict[str, Any]) -> list[str]:
        """Return what a removal leaves."""
        before = options.get("remove_before_date")
        until = agent_rules.cutoff(
            now,
            older_than=options.get("remove_older_than"),
            before=None if before is None else seconds(before),
        )
        self.series = {
            zero: list(links) for zero, links in agent_rules.left(self.series, until).items()
        }
        return self._names()

    def restore(self, _: int, as_of: str | None) -> list[Any]:
        """Return what a restore reads, and the exception it ends in."""
        until = None if as_of is None else seconds(as_of)
        found = agent_rules.restore(self.series, until, self._pick())
        return [[f"{step.chain}/{step.name}" for step in found.steps], found.failure]

    def lose(self, _: int, chain: int, number: int) -> list[str]:
        """Remove one backup; return what is left."""
        chains = sorted(self.series)
        links = self.series[chains[chain % len(chains)]] if chains else []
        if links:
            links.sort(key=lambda link: link.name)
            del links[number % len(links)]
        return self._names()

    def _pick(self) -> Pick:
        if self.order is None:
            return agent_rules.by_name

        def pick(links: Sequence[Link]) -> dict[int, Link]:
            ordered = sorted(
                links,
                key=lambda link: random.Random(f"{self.order} {link.name}").random(),  # noqa: S311
            )
            return {link.level: link for link in ordered}

        return pick

    def _names(self) -> list[str]:
        return sorted(
            f"{link.chain}/{link.name}" for links in self.series.values() for link in links
        )


def seconds(date: str) -> int:
    """Return the time that a date without a time zone is to the agent."""
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp())


def policy(chance: random.Random) -> dict[str, Any]:
    """Return the options of an action."""
    return {
        "incremental": chance.random() < 0.8,
        "max_level": chance.choice([0, 0, 0, 1, 2, 3, -1]),
        "always_level": chance.choice([0, 0, 1, 2, 3, -1]),
        "restart_always_level": chance.choice([0, 0, 0.5, 1, 3]),
    }


def date(now: int) -> str:
    """Return a time as options have it."""
    return datetime.fromtimestamp(now, UTC).strftime("%FT%T")


def history(chance: random.Random) -> list[Step]:
    """Return steps in the order of their times, and restores as of each of them.

    Most backups have the policy of the one before, and come a day later.
    """
    now = BEGIN
    options = policy(chance)
    steps: list[Step] = []
    for _ in range(chance.randint(1, 25)):
        now += chance.choice([HOUR, 12 * HOUR, 24 * HOUR, 24 * HOUR, 24 * HOUR + 1, 80 * HOUR])
        what = chance.random()
        if what < 0.8:
            options = policy(chance) if what < 0.1 else options
            steps.append((now, "backup", options))
        elif what < 0.88:
            steps.append((now, "lose", chance.randrange(9), chance.randrange(9)))
        elif what < 0.93:
            # The second one is less than a second more than a day.
            days = chance.choice([1, 1 + 1e-5, 0.5, 0, chance.uniform(0, 20)])
            steps.append((now, "remove", {"remove_older_than": days}))
        elif what < 0.98:
            ago = chance.choice([0, HOUR, 24 * HOUR, 240 * HOUR, now])
            steps.append((now, "remove", {"remove_before_date": date(now - ago)}))
    dates = [None, date(0), *(date(step[0]) for step in steps)]
    return steps + [(now + 1, "restore", as_of) for as_of in dates]


@pytest.mark.parametrize("seed", range(4))
def test_the_model_does_what_the_agent_does(agent: Agent, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - histories, not secrets
    outcomes: set[str] = set()
    for _ in range(HISTORIES):
        # Listings are sorted, or in some other order.
        order = chance.choice([None, chance.randrange(1000)])
        steps = history(chance)
        agents = agent.play(order, steps)
        for number, (theirs, ours) in enumerate(zip(agents, Model(order).play(steps), strict=True)):
            assert theirs == ours, f"step {number} of {steps}"
        outcomes.update(re.findall("[A-Z][a-z]+Error", json.dumps(agents)))
    # The histories are various enough to fail in every way.
    assert outcomes == {
        agent_rules.NO_CHAIN,
        agent_rules.EMPTY_CHAIN,
        agent_rules.MISSING_LEVEL,
    }


def test_which_storages_are_listed_by_name() -> None:
    names = [f"2_{BEGIN + 7919 * number % 104729}" for number in range(20)]
    found = []
    for hash_seed in (1, 2):
        with running(hash_seed) as agent:
            found.append(agent.listings(names))
    first, second = found
    by_name = {storage for storage, listing in first.items() if listing == sorted(names)}
    assert by_name == agent_rules.SORTED_STORAGES
    as_it_comes = {storage for storage, listing in first.items() if listing == names}
    assert as_it_comes == {"local"}
    # The same folder may be listed in another order by the next agent.
    assert {storage for storage in first if first[storage] != second[storage]} == {"swift", "s3"}


def test_storages_that_the_agent_cant_use(agent: Agent) -> None:
    assert agent.faults() == {
        # After the data, so that there are no metadata, and no backup.
        "s3: put_file": "TypeError",
        # Of a name without backups yet.
        "ftp: listdir": "TypeError",
        # Of a file of four bytes.
        "ftp: backup_blocks": "TimeoutError",
    }
