"""The benchmark compares what it means to: right answers, and verdicts that say so."""

import json
import os
import re
import subprocess
import threading
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from tests.bench import graphql, insight
from tests.bench.comparison import compared, regressions
from tests.bench.machine import Cores
from tests.bench.measure import first_answer, missing_tool, wrk
from tests.bench.peers import Peer, baseline, gateway
from tests.bench.report import table
from tests.bench.rounds import Course, turns
from tests.bench.stage import Stage
from tests.bench.targets import TARGETS, judged, verdicts
from tests.bench.workload import COLD, TITLES, WrongAnswerError, check, expected

BENCH = Path(__file__).parents[1] / "bench"


def test_the_gateway_answers_every_request_as_expected(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    stage = Stage(tmp_path, Cores(core, core), jobs=200)
    with gateway.serving(stage, "gateway", stage.sqlite) as peer:
        assert set(peer.requests) == set(TITLES)
        for key in TITLES:
            answer, _ = first_answer(peer, key)
            check(key, peer.read(key, answer), expected(key, stage.catalogue), peer.name)


@pytest.mark.parametrize("document", [insight.FAILING, insight.LAST_SUCCESS, insight.FAILED])
def test_a_large_catalogue_is_asked_what_the_schema_has(document: str) -> None:
    schema = build_schema((BENCH.parents[1] / "schema.graphql").read_text())
    assert validate(schema, parse(document)) == []


@pytest.mark.skipif(
    missing_tool() is not None and not os.environ.get("CI"),
    reason="wrk isn't installed: make bench-tools",
)
def test_no_text_is_sent_twice_where_every_request_is_to_be_planned(tmp_path: Path) -> None:
    assert missing_tool() is None, "make bench-tools"
    bodies: list[bytes] = []

    class Recorder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    core = min(os.sched_getaffinity(0))
    catalogue = Stage(tmp_path, Cores(core, core), jobs=1).catalogue
    requests = {COLD: [graphql.post(graphql.DOCUMENTS[COLD], {})]}
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        peer = Peer("recorder", url, os.getpid(), requests, gateway.read, catalogue, "")
        for _ in range(2):
            first_answer(peer, COLD)
            wrk(peer, [COLD], 1, Cores(core, core), tmp_path)
        server.shutdown()
    asked = [json.loads(body)["query"] for body in bodies]
    assert len(set(asked)) == len(asked) > 32
    assert {re.sub("Q1_[0-9a-f]{16}", "Q1", text) for text in asked} == {graphql.DOCUMENTS["Q1"]}


def batched(items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    yield from zip(items[::2], items[1::2], strict=True)


def test_a_wrong_answer_is_no_result() -> None:
    with pytest.raises(WrongAnswerError, match="somebody answers Q2 with 0 items, 1 are right"):
        check("Q2", [], [("a uuid", 0)], "somebody")


@pytest.mark.parametrize(
    ("most", "value", "verdict"),
    [
        (False, None, "not measured"),
        (False, 1.9, "MISSED"),
        (False, 2, "met"),
        (False, 4, "met, stretch"),
        (True, 4.1, "MISSED"),
        (True, 4, "met"),
        (True, 2, "met, stretch"),
    ],
)
def test_verdicts(most: bool, value: float | None, verdict: str) -> None:  # noqa: FBT001
    least, stretch = (4, 2) if most else (2, 4)
    target = replace(TARGETS[0], least=least, stretch=stretch, most=most)
    assert judged(value, target) == verdict


def cell(peer: str, *cpu_times_us: float) -> dict[str, Any]:
    return {
        "peer": peer,
        "key": "Q1",
        "rate": 1000.0,
        "rates": [1000.0] * len(cpu_times_us),
        "cpu_us": median(cpu_times_us),
        "cpu_times_us": list(cpu_times_us),
    }


@pytest.mark.parametrize(("grown", "verdict"), [(1.04, "MISSED"), (1.02, "met"), (0.5, "met")])
def test_growth_over_the_baseline_is_judged_round_by_round(grown: float, verdict: str) -> None:
    # The machine gets slower all the time: medians of a few rounds alone would tell little.
    baseline = cell("baseline", 100, 200, 400)
    own = cell("gateway", 100 * grown, 200 * grown, 500)
    changes = compared([own, baseline])
    assert changes[0]["cpu_us"]["by_round"] == pytest.approx((grown - 1) * 100)
    assert [row["verdict"] for row in verdicts({"cells": [], "changes": changes})[-1:]] == [verdict]
    assert [text.partition(" takes ")[0] for text in regressions(changes)] == (
        ["Q1"] if verdict == "MISSED" else []
    )


def test_a_pair_takes_its_turns_together_and_each_is_first_at_times(tmp_path: Path) -> None:
    catalogue = Stage(tmp_path, Cores(0, 1), jobs=1).catalogue
    gateway_, floor = (
        Peer(name, "", 0, {}, gateway.read, catalogue, "") for name in ("gateway", "floor")
    )
    baseline_ = replace(gateway_, name="baseline", paired_with="gateway")
    courses = [
        Course(peer, key, 0, 0) for peer in (gateway_, floor, baseline_) for key in ("Q1", "Q2")
    ]
    first = set()
    for number in range(1, 9):
        ordered = turns(courses, number)
        assert set(ordered) == set(courses)
        pairs = [(at.key, at.peer.name) for at in ordered if at.peer is not floor]
        for one, other in batched(pairs):
            assert one[0] == other[0]
            first.add(one)
        places = [at for at, course in enumerate(ordered) if course.peer is not floor]
        assert all(second - one == 1 for one, second in batched(places))
    assert len(first) == 4


def test_a_checkout_runs_its_own_code(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").touch()
    with pytest.raises(ArgumentTypeError, match=r"has no gateway/__main__\.py"):
        baseline.checkout(str(tmp_path))
    (tmp_path / "gateway" / "__main__.py").write_text("import sys; print(sys.argv[1:])")
    checkout = baseline.checkout(str(tmp_path))
    told = subprocess.run([*checkout.program, "serve"], capture_output=True, text=True, check=True)
    assert told.stdout == "['serve']\n"


def test_growth_and_memory_are_judged() -> None:
    scale = [
        {"key": "Q2", "backups": backups, "rate": rate}
        for backups, rate in ((1_000, 1400.0), (1_000_000, 1000.0))
    ]
    soak = {"seconds": 600, "resident_mb": 199.0}
    rows = verdicts({"cells": [], "scale": scale, "soak": soak})
    assert [(row["value"], row["verdict"]) for row in rows[-2:]] == [(1.4, "MISSED"), (199, "met")]


def test_tables_line_up() -> None:
    lines = table(("what", "n"), [("a", "1"), ("longer", "1,000")]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == "| a      |     1 |"


def test_the_lock_file_names_no_addresses() -> None:
    assert "resolved" not in (BENCH / "peers" / "npm" / "package-lock.json").read_text()
