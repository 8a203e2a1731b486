"""The plain model of a volume's backups in Cinder does what freezer's own classes do."""

import json
import random
import subprocess
from pathlib import Path

from tests.support.cinder_rules import DAY, Volume

from .environments import program

PROGRAM = Path(__file__).parent / "servers" / "cinder.py"
BEGIN = 1_700_000_000
HISTORIES = 400
GAPS = (DAY // 24, DAY // 2, DAY, DAY, DAY, 4 * DAY)

Step = tuple[int, bool, float | None]


def history(chance: random.Random) -> list[Step]:
    """Return backups in the order of time: when, if it is an increment, and what goes with it."""
    now, share, days = BEGIN, chance.choice([0, 0.5, 0.9]), chance.choice([0, 1, 2.5, 6])
    steps: list[Step] = []
    for _ in range(chance.randint(1, 20)):
        now += chance.choice(GAPS)
        steps.append((now, chance.random() < share, chance.choice([days, days, None])))
    return steps


def test_the_model_does_what_the_agent_does() -> None:
    chance = random.Random(14)  # noqa: S311 - histories, not secrets
    histories = [history(chance) for _ in range(HISTORIES)]
    asked = [
        [(now, inc, None if days is None else int(now - days * DAY)) for now, inc, days in steps]
        for steps in histories
    ]
    done = subprocess.run(
        [program("freezer", "python"), PROGRAM],
        input="".join(f"{json.dumps(one)}\n" for one in asked),
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )
    statuses = set()
    for steps, line in zip(histories, done.stdout.splitlines(), strict=True):
        volume = Volume()
        for (now, incremental, days), (status, held) in zip(steps, json.loads(line), strict=True):
            assert volume.back_up(now, incremental=incremental, older_than=days) == status, steps
            assert volume.held == [tuple(one) for one in held], steps
            statuses.add(status)
    assert statuses == {"available", "creating"}
