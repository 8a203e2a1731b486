"""The benchmark compares what it means to: right answers, and verdicts that say so."""

import json
import os
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.bench import graphql
from tests.bench.machine import Cores
from tests.bench.measure import first_answer, missing_tool, wrk
from tests.bench.peers import Peer, gateway
from tests.bench.report import table
from tests.bench.stage import Stage
from tests.bench.targets import TARGETS, judged, verdicts
from tests.bench.workload import COLD, TITLES, WrongAnswerError, check, expected

BENCH = Path(__file__).parent / "bench"


def test_the_gateway_answers_every_request_as_expected(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    stage = Stage(tmp_path, Cores(core, core), jobs=200)
    with gateway.serving(stage, "gateway", stage.sqlite) as peer:
        assert set(peer.requests) == set(TITLES)
        for key in TITLES:
            answer, _ = first_answer(peer, key)
            check(key, peer.read(key, answer), expected(key, stage.catalogue), peer.name)


@pytest.mark.skipif(missing_tool() is not None, reason="wrk isn't installed: make bench-tools")
def test_no_text_is_sent_twice_where_every_request_is_to_be_planned(tmp_path: Path) -> None:
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
