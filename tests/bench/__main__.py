"""Run the benchmark: `python -m tests.bench`, or `make bench BENCH_ARGS=…`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.compat import keystone

from . import postgres, report
from .machine import cores, described
from .measure import missing_tool
from .peers import Peer, floor, freezer_api, gateway, postgraphile
from .progress import say
from .rounds import Plan, measured
from .stage import Stage
from .targets import verdicts
from .workload import TITLES, expected

PEERS: Mapping[str, Callable[[Stage], AbstractContextManager[Peer]]] = {
    "gateway": gateway.on_postgres,
    "sqlite": gateway.on_sqlite,
    "keystone": gateway.with_keystone,
    "floor": floor.running,
    "postgraphile": postgraphile.running,
    "freezer-api": freezer_api.running,
}

EPILOG = """\
Examples:
  python -m tests.bench                                    everything, about 25 minutes
  python -m tests.bench --quick                            a few minutes
  python -m tests.bench --only Q1,Q2 --peers gateway,floor --rounds 3
"""


def listed(known: Mapping[str, Any]) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated names, all of which are known."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(known)}")
        return names

    return parse


def options() -> argparse.Namespace:
    """Read the command line."""
    requests = "\n".join(f"  {key}  {title}" for key, title in TITLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=f"{sys.modules['tests.bench'].__doc__}\nRequests:\n{requests}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--only", type=listed(TITLES), default=list(TITLES), help="these requests: Q1,R4"
    )
    parser.add_argument(
        "--peers", type=listed(PEERS), default=list(PEERS), help=f"of {','.join(PEERS)}"
    )
    parser.add_argument("--rounds", type=int, help="how often each is measured (5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="for how long (3; quick: 1)")
    parser.add_argument("--jobs", type=int, default=10_000, help="in the project that is read")
    parser.add_argument(
        "--output", type=Path, default=Path(".cache/bench"), help="a folder for result.json"
    )
    return parser.parse_args()


def main() -> None:
    """Run what the command line says; print the tables and save the result."""
    chosen = options()
    if tool := missing_tool():
        raise SystemExit(f"{tool} is missing: `make bench-tools` installs it")
    chosen.output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="gateway-bench-") as folder:
        result = run(chosen, Path(folder))
    (chosen.output / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    for text in printed(result):
        print(text, end="\n\n")
    say(f"saved {chosen.output / 'result.json'}")


def run(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start the programs, measure them, and return the result."""
    where = cores()
    plan = Plan(
        chosen.rounds or (2 if chosen.quick else 5),
        chosen.seconds or (1 if chosen.quick else 3),
        where,
        folder,
    )
    with postgres.running(where.load) as database, ExitStack() as stack:
        authority = None
        if {"keystone", "freezer-api"} & set(chosen.peers):
            say("starting Keystone")
            authority = stack.enter_context(keystone.running(folder / "authority"))
        stage = Stage(folder, where, database, chosen.jobs, authority)
        peers = [started(name, stage, stack) for name in PEERS if name in chosen.peers]
        wanted = {key: expected(key, stage.catalogue) for key in chosen.only}
        cells = measured(peers, chosen.only, wanted, plan)
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": described(),
        "versions": {peer.name: peer.about for peer in peers},
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "jobs": chosen.jobs,
        "cells": [{"peer": peer, "key": key} | cell for (peer, key), cell in cells.items()],
        "targets": verdicts(cells),
    }


def started(name: str, stage: Stage, stack: ExitStack) -> Peer:
    """Start a program that runs until the stack is left."""
    peer = stack.enter_context(PEERS[name](stage))
    say(f"{name} is {peer.about}, at {peer.url}")
    return peer


def printed(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tables."""
    yield f"{result['date']}, {result['machine']}"
    yield report.measurements(result)
    yield report.targets(result)


if __name__ == "__main__":
    main()
