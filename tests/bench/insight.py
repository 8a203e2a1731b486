"""What is asked of a large catalogue about chains and runs, and what keeping them costs."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx

from . import graphql, insight_data
from .catalogue import DAY, FIRST_NIGHT, Catalogue
from .machine import cpu_seconds
from .measure import wrk
from .peers import Peer
from .progress import say
from .rounds import Plan
from .stage import Stage
from .workload import Request

COUNTS = 5
"""How often each question is asked."""
FAILING = """{
  jobs(
    first: 100
    where: { failuresInARow: { gte: 1 } }
    orderBy: [{ field: FAILURES_IN_A_ROW, direction: DESC }]
  ) { nodes { id description failuresInARow failingSince } }
}"""
LAST_SUCCESS = """query($client: ID!) {
  jobs(first: 1000, where: { clientId: { eq: $client } }) {
    nodes { id lastSuccess { startedAt duration } }
  }
}"""
FAILED = """{
  runs(first: 100, where: { outcome: { eq: FAIL } }) {
    nodes { id startedAt duration job { description } }
  }
}"""
STATISTICS = """query($since: DateTime!, $until: DateTime!) {
  statistics(of: RUNS, since: $since, until: $until, bucket: DAY, by: [OUTCOME]) { at count }
}"""
STATISTICS_OF_BACKUPS = STATISTICS.replace("RUNS", "BACKUPS").replace(", by: [OUTCOME]", "")
LEAVES = """query($name: String!) { __type(name: $name) {
  fields { name type { kind ofType { kind } } } } }"""
POLLERS, POLL_SECONDS = 3333, 10
"""How many clients poll, and for how long."""
LONG = 1000
"""The backups of a series that one is added to, or taken from."""
HEARTBEAT = "INSERT INTO client_heartbeats"


def told(stage: Stage, peer: Peer, plan: Plan) -> dict[str, Any]:
    """Ask a gateway with the stage's data everything once; return what it cost."""
    catalogue = stage.catalogue
    runs = catalogue.jobs // insight_data.RUNNING_SHARE * insight_data.NIGHTS
    say(f"questions to a project of {catalogue.backups:,} backups and {runs:,} runs")
    with httpx.Client(base_url=peer.url, timeout=120) as client:
        rows = [*_questions(client, peer), *_writes(client, stage, peer)]
    for row in rows:
        told_of = f"{row['ms']:,.1f} ms, {row['statements']:g} SQL statements"
        say(f"{row['title']}: {told_of}")
    heartbeats = _heartbeats(stage, peer, plan)
    say(f"heartbeats: {heartbeats}")
    return {
        "backups": catalogue.backups,
        "runs": runs,
        "rows": rows,
        "heartbeats": heartbeats,
    }


def _questions(client: httpx.Client, peer: Peer) -> Iterator[dict[str, Any]]:
    for title, document, variables in _documents(client, peer.catalogue):
        ask = partial(_answer, client, graphql.post(document, {}, **variables))
        yield {"title": title, "is_write": False} | _cost(peer, [ask] * COUNTS)


def _answer(client: httpx.Client, request: Request) -> Any:
    return graphql.answered(_sent(client, request).json())


def _documents(
    client: httpx.Client, catalogue: Catalogue
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield what this gateway can be asked: a title, a document and its variables."""
    until = FIRST_NIGHT + insight_data.NIGHTS * DAY
    quarter = {"since": _date(until - 90 * DAY), "until": _date(until)}
    if leaves := _leaves(client, "Overview"):
        yield "the overview", f"{{ overview {{ {leaves} }} }}", {}
    yield "100 failing jobs, the worst first", FAILING, {}
    yield "the last success of 1,000 jobs", LAST_SUCCESS, {"client": catalogue.poller}
    yield "the newest 100 runs that failed", FAILED, {}
    if _leaves(client, "Statistic"):
        yield "runs by day and outcome, of a quarter", STATISTICS, quarter
        yield "backups by day, of a quarter", STATISTICS_OF_BACKUPS, quarter


def _leaves(client: httpx.Client, name: str) -> str:
    """Return the fields of a type that have no fields of their own; none if it isn't known."""
    found = _answer(client, graphql.post(LEAVES, {}, name=name))
    fields = found["fields"] if found else []
    kinds = {field["name"]: (field["type"]["ofType"] or field["type"])["kind"] for field in fields}
    return " ".join(name for name, kind in kinds.items() if kind in {"SCALAR", "ENUM"})


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@dataclass(frozen=True)
class _LongSeries:
    """A series that is written to: a backup a day, with or without a level that is told."""

    client: httpx.Client
    catalogue: Catalogue
    is_told: bool

    def register(self, day: float) -> str:
        """Register the backup of a day, and return its id."""
        level = int(day) % 7 if self.is_told else 0
        metadata = self.catalogue.backup(0)["metadata"] | {
            "backup_name": f"long-{'told' if self.is_told else 'derived'}",
            "curr_backup_level": level,
            "time_stamp": FIRST_NIGHT + int(day * DAY),
        }
        path = f"/v2/{self.catalogue.project_id}/backups"
        answer = _sent(self.client, Request(path, json.dumps(metadata).encode(), "POST"))
        return str(answer.json()["backup_id"])

    def delete(self, backup: str) -> None:
        """Delete a backup."""
        path = f"/v2/{self.catalogue.project_id}/backups/{backup}"
        _sent(self.client, Request(path, method="DELETE"))


def _writes(client: httpx.Client, stage: Stage, peer: Peer) -> Iterator[dict[str, Any]]:
    for is_told in (True, False):
        series = _LongSeries(client, stage.second, is_told)
        kind = f"a series of {LONG:,} with {'told' if is_told else 'derived'} levels"
        ids = [series.register(day) for day in range(LONG)]
        middle = [LONG // 2 + 7 * step for step in range(COUNTS)]
        writes: Mapping[str, Sequence[Callable[[], object]]] = {
            "a backup at the end of": [
                partial(series.register, day) for day in range(LONG, LONG + 20)
            ],
            "a backup in the middle of": [partial(series.register, day + 0.5) for day in middle],
            "the deletion of one in the middle of": [
                partial(series.delete, ids[day]) for day in middle
            ],
        }
        for title, calls in writes.items():
            yield {"title": f"{title} {kind}", "is_write": True} | _cost(peer, calls)


def _cost(peer: Peer, calls: Sequence[Callable[[], object]]) -> dict[str, Any]:
    """Return the medians of these calls: milliseconds, CPU, and statements where they are told."""
    times = []
    begun = cpu_seconds(peer.process)
    for call in calls[: len(calls) // 2 + 1]:
        moment = time.perf_counter()
        call()
        times.append((time.perf_counter() - moment) * 1000)
    cpu = (cpu_seconds(peer.process) - begun) / len(times) * 1e6
    assert peer.counting is not None
    others = calls[len(times) :]
    with peer.counting() as counted:
        for call in others:
            call()
    statements = counted[0] / len(others)
    return {"ms": statistics.median(times), "cpu_us": cpu, "statements": statements}


def _heartbeats(stage: Stage, peer: Peer, plan: Plan) -> dict[str, Any]:
    """Let thousands of schedulers poll as fast as they are answered; count what that writes."""
    project = stage.catalogue.project_id
    clients = [name for name, _ in zip(stage.catalogue.clients(), range(POLLERS), strict=False)]
    polls = [
        Request(
            f"/v2/{project}/jobs/?limit=10&offset=0",
            json.dumps(
                {"match_not": [{"status": "completed"}], "match": [{"client_id": name}]}
            ).encode(),
        )
        for name in clients
    ]
    asking = replace(peer, requests={"polls": polls})
    with stage.postgres.counting(stage.database, HEARTBEAT) as counted:
        sample = wrk(asking, ["polls"], POLL_SECONDS, plan.cores, plan.folder)
        # Those of the last seconds are written, too.
        time.sleep(POLL_SECONDS)
    return {
        "clients": len(clients),
        "polls": sample.requests,
        "rate": sample.rate,
        "seconds": sample.seconds + POLL_SECONDS,
        "statements": counted[0],
    }


def _sent(client: httpx.Client, request: Request) -> httpx.Response:
    content = {"Content-Type": "application/json"} if request.body else {}
    answer = client.request(
        request.method, request.path, content=request.body or None, headers=content
    )
    assert answer.is_success, answer.text[:300]
    return answer
