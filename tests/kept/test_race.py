"""Writers and readers of two gateways: no answer is older than what was acknowledged before it.

`GATEWAY_TEST_RACE_REQUESTS` is the number of reads, for long runs; a million take some hours.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.keeping import HIT, JOBS, STATUS, keeping

pytestmark = pytest.mark.anyio

READS = int(os.environ.get("GATEWAY_TEST_RACE_REQUESTS", "2000"))
READERS, WRITERS = 12, 3
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
class Race:
    """Two gateways, and what is known of the items that are written through both."""

    gateways: Sequence[httpx.AsyncClient]
    jobs: Told = field(default_factory=Told)
    clients: Told = field(default_factory=Told)
    statuses: Counter[str] = field(default_factory=Counter)
    reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released by each read."""
    left: int = READS
    is_over: bool = False

    @property
    def gateway(self) -> httpx.AsyncClient:
        """One of them, whichever."""
        return random.choice(self.gateways)  # noqa: S311 - no secret

    async def write(self, number: int) -> None:
        """Write items that no other writer writes, in turn, until the reads are over."""
        turn = 0
        while not self.is_over:
            for _ in range(random.randrange(MOST_BETWEEN) // WRITERS):  # noqa: S311 - no secret
                await self.reads.acquire()
            turn += 1
            name = f"{number}-{turn % ITEMS}"
            if turn % 4:
                await self._tell(self.jobs, f"j{name}", self._job)
            else:
                await self._tell(self.clients, f"c{number}", self._client)

    async def _tell(self, told: Told, name: str, write: Any) -> None:
        told.sent[name] += 1
        answer: httpx.Response = await write(name, told.sent[name])
        assert answer.status_code in {200, 201}, answer.text
        told.acknowledged[name] = told.sent[name]

    async def _job(self, name: str, version: int) -> httpx.Response:
        change = {"description": f"{version}"}
        if version == 1:
            job = {"job_id": name, "job_actions": [{"freezer_action": {}}], **change}
            return await self.gateway.post("/v2/p1/jobs", json=job)
        return await self.gateway.patch(f"/v2/p1/jobs/{name}", json=change)

    async def _client(self, name: str, version: int) -> httpx.Response:
        # Central clients of another project's, which all see.
        draft = {"client_id": name, "is_central": True, "description": f"{version}"}
        return await self.gateway.post("/v2/p2/clients", json=draft)

    async def read(self, number: int) -> None:
        """Ask again and again, mostly with the tag of the last answer; check each."""
        ask = (self._graphql, self._graphql_by_get, self._rest)[number % 3]
        of_clients = number % 2 == 0
        told = self.clients if of_clients else self.jobs
        known: dict[str, tuple[str, Mapping[str, int]]] = {}
        while self.left > 0:
            self.left -= 1
            floor = dict(told.acknowledged)
            tag, found = known.get("", (None, {}))
            sends_tag = tag is not None and random.random() < 0.5  # noqa: S311 - no secret
            headers = {"X-Project-Id": "p1"} | ({"If-None-Match": tag} if sends_tag else {})
            answer = await ask(headers, of_clients=of_clients)
            self.statuses[answer.headers[STATUS]] += 1
            if answer.status_code == 304:
                # What the reader has is what is.
                assert answer.headers["ETag"] == tag
            else:
                assert answer.status_code == 200, answer.text
                found = versions(answer.json())
                known[""] = (answer.headers["ETag"], found)
            told.check(floor, found)
            self.reads.release()
            # On SQLite nothing else lets the others have their turns.
            await asyncio.sleep(0)

    async def _graphql(self, headers: Mapping[str, str], *, of_clients: bool) -> httpx.Response:
        query = CLIENTS if of_clients else JOBS
        return await self.gateway.post("/graphql", json={"query": query}, headers=headers)

    async def _graphql_by_get(
        self, headers: Mapping[str, str], *, of_clients: bool
    ) -> httpx.Response:
        query = CLIENTS if of_clients else JOBS
        return await self.gateway.get("/graphql", params={"query": query}, headers=headers)

    async def _rest(self, headers: Mapping[str, str], *, of_clients: bool) -> httpx.Response:
        kind = "clients" if of_clients else "jobs"
        return await self.gateway.get(f"/v2/p1/{kind}", headers=headers)


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


async def test_no_answer_is_older_than_an_acknowledged_write(database_url: str) -> None:
    async with keeping(database_url) as one, keeping(database_url) as two:
        race = Race((one, two))
        writers = [asyncio.create_task(race.write(number)) for number in range(WRITERS)]
        try:
            await asyncio.gather(*(race.read(number) for number in range(READERS)))
        finally:
            race.is_over = True
            for _ in range(WRITERS * MOST_BETWEEN):
                race.reads.release()
            await asyncio.gather(*writers)
    assert sum(race.statuses.values()) == READS
    # All three ways were raced.
    statuses = {status.removesuffix("; stored") for status in race.statuses}
    assert statuses == {HIT, "freezer-gateway; fwd=miss", "freezer-gateway; fwd=stale"}
    assert race.statuses[HIT] > READS / 20
    assert min(sum(told.acknowledged.values()) for told in (race.jobs, race.clients)) > READS / 500
