"""Writers and readers of several processes: no answer is older than a write acknowledged before it.

`GATEWAY_TEST_RACE_REQUESTS` is the number of reads, for long runs: a million may take hours.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.keeping import HIT, JOBS, MEMORY
from tests.support.live import free_port, live
from tests.support.raw_http import Answer
from tests.support.wire import Wire

pytestmark = pytest.mark.anyio

READS = int(os.environ.get("GATEWAY_TEST_RACE_REQUESTS", "2000"))
PROCESSES, READERS, WRITERS = 2, 12, 3
ITEMS = 6
MOST_BETWEEN = 60
"""How many reads a writer waits for at most, so that some find nothing changed."""

CLIENTS = "{ clients(first: 20) { nodes { clientId description projectId } } }"


@dataclass
class Told:
    """What each item was last told to be: versions that were sent, and acknowledged."""

    sent: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)

    def check(self, floor: Mapping[str, int], found: Mapping[str, int]) -> None:
        """Fail for an item that is older than when it was asked for, or newer than there is."""
        for name, least in floor.items():
            assert least <= found.get(name, -1) <= self.sent[name], (name, least, found.get(name))


@dataclass
class Caller:
    """A program with a connection to each gateway, which sends each request to any of them."""

    wires: Sequence[Wire]

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request of the project p1."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        content = b"" if body is None else json.dumps(body).encode()
        wire = random.choice(self.wires)  # noqa: S311 - no secret
        return await wire.ask(method, path, {"X-Project-Id": "p1"} | given, content)


@dataclass
class Race:
    """What is known of the items that are written, and how it goes."""

    jobs: Told = field(default_factory=Told)
    clients: Told = field(default_factory=Told)
    statuses: Counter[str] = field(default_factory=Counter)
    reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released by each read."""
    left: int = READS
    is_over: bool = False

    async def write(self, caller: Caller, number: int) -> None:
        """Write items that no other writer writes, in turn, until the reads are over."""
        turn = 0
        while not self.is_over:
            for _ in range(random.randrange(MOST_BETWEEN) // WRITERS):  # noqa: S311 - no secret
                await self.reads.acquire()
            turn += 1
            if turn % 4:
                await self._write(caller, self.jobs, f"j{number}-{turn % ITEMS}", a_job)
            else:
                await self._write(caller, self.clients, f"c{number}", a_client)

    async def _write(self, caller: Caller, told: Told, name: str, request: Any) -> None:
        told.sent[name] += 1
        answer = await caller.ask(*request(name, told.sent[name]))
        assert answer.status in {200, 201}, answer
        told.acknowledged[name] = told.sent[name]

    async def read(self, caller: Caller, number: int) -> None:
        """Ask again and again, mostly with the tag of the last answer; check each."""
        of_clients = number % 2 == 0
        request = asked(number % 3, of_clients=of_clients)
        told = self.clients if of_clients else self.jobs
        tag = ""
        found: Mapping[str, int] = {}
        while self.left > 0:
            self.left -= 1
            floor = dict(told.acknowledged)
            sends_tag = tag and random.random() < 0.5  # noqa: S311 - no secret
            answer = await caller.ask(*request, **({"If_None_Match": tag} if sends_tag else {}))
            assert answer.status in {200, 304}, answer
            self.statuses[answer.headers["cache-status"]] += 1
            if answer.status == 304:
                # What the reader has is what is.
                assert answer.headers["etag"] == tag
            else:
                tag, found = answer.headers["etag"], versions(json.loads(answer.body))
            told.check(floor, found)
            self.reads.release()


def a_job(name: str, version: int) -> tuple[str, str, Any]:
    """Return the request that writes a version of a job."""
    change: dict[str, Any] = {"description": f"{version}"}
    if version == 1:
        change |= {"job_id": name, "job_actions": [{"freezer_action": {}}]}
        return "POST", "/v2/p1/jobs", change
    return "PATCH", f"/v2/p1/jobs/{name}", change


def a_client(name: str, version: int) -> tuple[str, str, Any]:
    """Return the request that writes a version of a central client of another project."""
    draft = {"client_id": name, "is_central": True, "description": f"{version}"}
    return "POST", "/v2/p2/clients", draft


def asked(way: int, *, of_clients: bool) -> tuple[Any, ...]:
    """Return the request for all items of a kind, in one of three ways."""
    query = CLIENTS if of_clients else JOBS
    return (
        ("POST", "/graphql", {"query": query}),
        ("GET", f"/graphql?query={quote(query)}"),
        ("GET", "/v2/p1/clients" if of_clients else "/v2/p1/jobs"),
    )[way]


def versions(body: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the versions that an answer of either surface tells, by the items' ids."""
    data = body.get("data", body)
    (listed,) = data.values()
    found = {}
    for one in listed["nodes"] if isinstance(listed, dict) else listed:
        client = one.get("client", one)
        id_ = next(
            part[key]
            for part in (client, one)
            for key in ("job_id", "jobId", "clientId", "client_id")
            if part.get(key)
        )
        found[id_] = int(client["description"])
    return found


@pytest.fixture
def urls(database_url: str, tmp_path: Path) -> Iterator[Sequence[str]]:
    """Return the URLs of gateways that serve one database."""
    with ExitStack() as stack:
        folders = [tmp_path / str(number) for number in range(PROCESSES)]
        for folder in folders:
            folder.mkdir()
        yield [
            stack.enter_context(
                live(
                    folder,
                    sample_data=False,
                    port=free_port(),
                    database_url=database_url,
                    log_level="warning",
                    kept_answers_bytes=str(MEMORY),
                )
            ).url
            for folder in folders
        ]


async def test_no_answer_is_older_than_an_acknowledged_write(urls: Sequence[str]) -> None:
    race = Race()
    callers = [Caller([Wire(url) for url in urls]) for _ in range(READERS + WRITERS)]
    reading, writing = callers[:READERS], callers[READERS:]
    try:
        writers = [asyncio.create_task(race.write(one, at)) for at, one in enumerate(writing)]
        try:
            await asyncio.gather(*(race.read(one, at) for at, one in enumerate(reading)))
        finally:
            race.is_over = True
            for _ in range(WRITERS * MOST_BETWEEN):
                race.reads.release()
            await asyncio.gather(*writers)
    finally:
        for caller in callers:
            for wire in caller.wires:
                wire.close()
    assert sum(race.statuses.values()) == READS
    # All three ways were raced.
    statuses = {status.removesuffix("; stored") for status in race.statuses}
    assert statuses == {HIT, "freezer-gateway; fwd=miss", "freezer-gateway; fwd=stale"}
    assert race.statuses[HIT] > READS / 20
    assert min(sum(told.acknowledged.values()) for told in (race.jobs, race.clients)) > READS / 500
