"""Run the benchmark: `python -m tests.bench`, or `make bench BENCH_ARGS=…`."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from typing import Any

from tests.compat import keystone

from . import comparison, documentation, overload, plot, postgres, report, scale, soak
from .comparison import CPU_GROWTH
from .machine import Calm, cores, described
from .measure import missing_tool
from .peers import Peer, baseline, floor, freezer_api, gateway, postgraphile
from .progress import say
from .rounds import Plan, measured, noting
from .stage import Stage
from .targets import verdicts
from .workload import COLD, KEPT, TITLES

Program = Callable[[Stage], AbstractContextManager[Peer]]

PEERS: Mapping[str, Program] = {
    "gateway": gateway.on_postgres,
    "sqlite": gateway.on_sqlite,
    "keystone": gateway.with_keystone,
    "floor": floor.running,
    "postgraphile": postgraphile.running,
    "freezer-api": freezer_api.running,
}

COLD_PEERS: Mapping[str, Program] = {"gateway": gateway.cold, "postgraphile": postgraphile.cold}
"""The processes for the one request that would slow others down."""

OUTPUT = Path(".cache/bench")
BASELINE = "another checkout of this repository, whose gateway is measured beside this one's"
PATIENCE = "how long to wait, in all, for the machine to be as quick as before (300)"

EPILOG = f"""\
Examples:
  python -m tests.bench                                    everything, about half an hour
  python -m tests.bench --quick                            a few minutes
  python -m tests.bench --quick --only Q1,Q2,R4 --peers gateway,floor
  python -m tests.bench --only Q2 --peers gateway --soak 600
  python -m tests.bench --rounds 9 --only Q1,Q1C,R1 --peers gateway --baseline ../released

With --only or --peers, other sizes, overload and the soak are left out unless asked for.
With --baseline, it fails if a request takes over {CPU_GROWTH:g} % more CPU time than there.
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
    requests = "\n".join(f"  {key:<4} {title}" for key, title in TITLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=f"{sys.modules['tests.bench'].__doc__}\nRequests:\n{requests}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer rounds, smaller sizes, no soak")
    add("--only", type=listed(TITLES), metavar="Q1,R4", help="these requests")
    add("--peers", type=listed(PEERS), metavar="A,B", help=f"of {','.join(PEERS)}")
    add("--baseline", type=baseline.checkout, metavar="PATH", help=BASELINE)
    add("--rounds", type=int, help="how often each is measured (15; quick: 2)")
    add("--seconds", type=int, default=1, help="for how many seconds (1)")
    add("--patience", type=int, default=300, metavar="S", help=PATIENCE)
    add("--jobs", type=int, default=10_000, help="in the project that is read (10,000)")
    add("--scale", action=argparse.BooleanOptionalAction, help="also on catalogues of other sizes")
    add("--soak", type=int, metavar="S", help="all of it for so many seconds (600; quick: 0)")
    add("--overload", action=argparse.BooleanOptionalAction, help="also at too high rates")
    add("--output", type=Path, default=OUTPUT, help=f"for result.json and result.png ({OUTPUT})")
    add("--write-docs", action="store_true", help="write docs/performance.md and its picture")
    chosen = parser.parse_args()
    whole = not (chosen.only or chosen.peers)
    chosen.only, chosen.peers = chosen.only or list(TITLES), chosen.peers or list(PEERS)
    if chosen.baseline and "gateway" not in chosen.peers:
        parser.error("--baseline is for the peer gateway, which --peers doesn't name")
    if chosen.scale is None:
        chosen.scale = whole
    if chosen.overload is None:
        chosen.overload = whole
    if chosen.soak is None:
        chosen.soak = 600 if whole and not chosen.quick else 0
    return chosen


def main() -> None:
    """Run what the command line says; print the tables and save the result."""
    chosen = options()
    if tool := missing_tool():
        raise SystemExit(f"{tool} is missing: `make bench-tools` installs it")
    # Whoever ends this ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen.output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="gateway-bench-") as folder:
        result = run(chosen, Path(folder))
    result["changes"] = comparison.compared(result["cells"])
    result["targets"] = verdicts(result)
    result["failures"] += comparison.regressions(result["changes"])
    (chosen.output / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    plot.draw(result, chosen.output / "result.png")
    if chosen.write_docs:
        documentation.write(result)
    for text in printed(result):
        print(text, end="\n\n")
    say(f"saved {chosen.output / 'result.json'} and result.png")
    if result["failures"]:
        raise SystemExit("\n".join(["failed:", *result["failures"]]))


def run(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start the programs, measure them, and return the result."""
    where = cores()
    plan = Plan(
        chosen.rounds or (2 if chosen.quick else 15),
        chosen.seconds,
        where,
        folder,
        Calm(chosen.patience),
    )
    with postgres.running(where.load) as database, ExitStack() as stack:
        authority = None
        if {"keystone", "freezer-api"} & set(chosen.peers):
            say("starting Keystone")
            authority = stack.enter_context(keystone.running(folder / "authority"))
        stage = Stage(folder, where, chosen.jobs, database, authority)
        with ExitStack() as programs:
            peers = [started(*each, stage, programs) for each in starting(chosen)]
            cells = measured(peers, chosen.only, plan)
        result = {
            "date": datetime.now(UTC).isoformat(timespec="minutes"),
            "machine": described(),
            "versions": {"database": database.version, "python": f"Python {python_version()}"}
            | {peer.name: peer.about for peer in peers},
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "waited": round(plan.calm.waited),
            "jobs": chosen.jobs,
            "failures": plan.failures,
            "cells": [{"peer": peer, "key": key} | cell for (peer, key), cell in cells.items()],
        }
        if chosen.scale:
            sizes = scale.QUICK_SIZES if chosen.quick else scale.SIZES
            keys = [key for key in scale.KEYS if key in chosen.only]
            result["scale"], result["insight"] = scale.grown(stage, sizes, keys, plan)
        if chosen.overload:
            with noting(plan):
                result["overload"] = overload.overloaded(stage, plan)
        if chosen.soak:
            with noting(plan):
                result["soak"] = soak.soaked(stage, chosen.soak, plan)
    return result


def starting(chosen: argparse.Namespace) -> Iterator[tuple[str, Program]]:
    """Yield the programs that are wanted, by name."""
    other = chosen.baseline
    yield from ((name, PEERS[name]) for name in PEERS if name in chosen.peers)
    if other:
        yield baseline.NAME, other.running
    if "gateway" in chosen.peers and set(KEPT) & set(chosen.only):
        yield "gateway", gateway.keeping
    if COLD in chosen.only:
        yield from ((name, COLD_PEERS[name]) for name in COLD_PEERS if name in chosen.peers)
        if other:
            yield baseline.NAME, other.cold


def started(name: str, program: Program, stage: Stage, stack: ExitStack) -> Peer:
    """Start a program that runs until the stack is left; return how to reach it."""
    peer = stack.enter_context(program(stage))
    say(f"{name} is {peer.about}, at {peer.url}")
    return peer


def printed(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tables."""
    yield f"{result['date']}, {result['machine']}"
    yield report.measurements(result)
    if result["changes"]:
        yield report.changes(result)
    if "scale" in result:
        yield report.growth(result)
        yield report.insight(result)
    if "overload" in result:
        yield report.overload(result)
    yield report.targets(result)


if __name__ == "__main__":
    main()
