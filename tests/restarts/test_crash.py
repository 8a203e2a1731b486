"""No acknowledged write is lost, and none is half done, whatever is killed under the writers.

`make test-crash` runs this; `make test-crash KILLS=100` kills more often. Four programs write over
REST and GraphQL while the gateway is killed (SIGKILL), PostgreSQL (an immediate stop, as if its
machine had failed), or both. After each kill, all that was written since the last one is compared
with the database, which is read without the gateway; at the end, everything once more.
"""

import asyncio
import json
import os
import random
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from tests.restarts.episodes import EMPTY, World, possible_worlds
from tests.restarts.processes import Gateway, Writer
from tests.support.databases import Cluster

KILLS = int(os.environ.get("GATEWAY_TEST_KILLS", "10"))
WRITERS = ("rest", "graphql", "rest", "graphql")
BEFORE = 10
"""The number of writes that each writer has acknowledged before a kill, and AFTER it."""
AFTER = 3
MAX_DELAY = 0.3
"""The seconds, at most, that the kill waits after that, so that it strikes anywhere."""

QUERIES = {
    "jobs": "SELECT project_id, id, description, session_id FROM jobs",
    "actions": "SELECT project_id, backup_name FROM actions",
    "lists": "SELECT l.project_id, l.job_id, a.backup_name FROM job_actions l JOIN actions a "
    "ON a.project_id = l.project_id AND a.id = l.action_id "
    "ORDER BY l.project_id, l.job_id, l.position",
    "entries": "SELECT project_id, job_id FROM job_actions",
    "sessions": "SELECT project_id, id, description, session_tag, status, result, job_states "
    "FROM sessions",
    "backups": "SELECT project_id, backup_name FROM backups",
}

Rows = Mapping[str, Sequence[Sequence[Any]]]
Key = tuple[str, str]
"""A project, and an episode's name."""


class PostgresUnderTest:
    """A PostgreSQL server that keeps what it acknowledges, and can be stopped as by a failure."""

    kills = ("gateway", "database", "both")

    def __init__(self, cluster: Cluster, url: str) -> None:
        """Take the running server."""
        self._cluster = cluster
        self.url = url

    def stop(self) -> None:
        """Stop the server without letting it write anything."""
        self._cluster.crash()

    def start(self) -> None:
        """Start the server, which recovers."""
        self._cluster.start()

    def read(self) -> Rows:
        """Return the rows, read without the gateway."""
        return asyncio.run(self._read())

    async def _read(self) -> Rows:
        connection = await asyncpg.connect(self.url)
        try:
            return {name: await connection.fetch(query) for name, query in QUERIES.items()}
        finally:
            await connection.close()


class SqliteUnderTest:
    """An SQLite file; only the gateway's own process can fail."""

    kills = ("gateway",)

    def __init__(self, file: Path) -> None:
        """Take the file, which the gateway makes."""
        self._file = file
        self.url = f"sqlite:///{file}"

    def stop(self) -> None:
        """Do nothing: it is never asked."""

    def start(self) -> None:
        """Do nothing: it is never asked."""

    def read(self) -> Rows:
        """Return the rows, read without the gateway, of a file that is whole."""
        connection = sqlite3.connect(self._file)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return {name: connection.execute(query).fetchall() for name, query in QUERIES.items()}
        finally:
            connection.close()


Backend = PostgresUnderTest | SqliteUnderTest


@pytest.fixture(params=["postgresql", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Return a database of each kind, in turn, with PostgreSQL's own settings of durability."""
    if request.param == "sqlite":
        yield SqliteUnderTest(tmp_path / "crash.sqlite3")
        return
    cluster = Cluster()
    with cluster as url:
        yield PostgresUnderTest(cluster, sa.make_url(url).render_as_string(hide_password=False))


def worlds_of(rows: Rows) -> dict[Key, World]:
    """Return what the database has of each episode."""
    worlds: dict[Key, World] = {}

    def world(project: str, episode: str) -> World:
        return worlds.setdefault((project, episode), deepcopy(EMPTY))

    listed: dict[Key, list[str]] = {}
    for project, job, name in rows["lists"]:
        listed.setdefault((project, job), []).append(name)
    # No entry of a list is without its action.
    assert sum(map(len, listed.values())) == len(rows["entries"])
    for project, name in sorted(map(tuple, rows["actions"])):
        world(project, name.rpartition("-")[0])["actions"].append(name)
    sessions = {}
    for project, session_id, name, tag, told, result, states in rows["sessions"]:
        sessions[project, session_id] = name
        # The times of a run aren't part of a world.
        jobs = {job: state["status"] for job, state in json.loads(states).items()}
        assert world(project, name)["session"] is None, f"{name} was created twice"
        # Before the first run, REST and GraphQL name a session's status differently.
        status = None if told == "active" else told
        session = {"tag": tag, "status": status, "result": result, "jobs": jobs}
        world(project, name)["session"] = session
    for project, job, description, session_id in rows["jobs"]:
        in_session = session_id is not None
        assert not in_session or sessions[project, session_id] == job
        actions = listed.pop((project, job), [])
        mine = {"description": description, "actions": actions, "in_session": in_session}
        world(project, job)["job"] = mine
    assert listed == {}, "lists of jobs that aren't there"
    for project, name in rows["backups"]:
        world(project, name)["backups"] += 1
    return worlds


def assert_right(writers: Sequence[Writer], rows: Rows, project: str | None) -> None:
    """Fail with a line for each episode that is in none of its possible worlds.

    Only the episodes of one project are compared, or all of them.
    """
    outcomes: dict[Key, list[tuple[str, str]]] = {}
    for writer in writers:
        for _, event in writer.events:
            if "outcome" in event and project in {None, event["project"]}:
                key = (event["project"], event["episode"])
                outcomes.setdefault(key, []).append((event["step"], event["outcome"]))
    found = {key: one for key, one in worlds_of(rows).items() if project in {None, key[0]}}
    faults = [f"{key}: nobody wrote it" for key in found.keys() - outcomes.keys()]
    for key, steps in outcomes.items():
        world = found.get(key, EMPTY)
        if world not in (possible := possible_worlds(key[1], steps)):
            faults.append(f"{key} after {steps}: {world} is none of {possible}")
    assert not faults, "\n".join(faults)


def kill(victim: str, gateway: Gateway, backend: Backend) -> None:
    """Kill the gateway, the database or both, and start them again."""
    if victim != "database":
        gateway.kill()
    if victim != "gateway":
        backend.stop()
        backend.start()
    if victim != "database":
        gateway.start()


def test_no_acknowledged_write_is_lost_or_half_done(
    backend: Backend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(13)  # noqa: S311 - not a secret
    gateway = Gateway(tmp_path / "gateway.log", database_url=backend.url)
    gateway.run("db", "upgrade")
    gateway.start()
    recoveries: dict[str, list[float]] = {victim: [] for victim in backend.kills}
    with ExitStack() as stack:
        stack.callback(gateway.terminate)
        gateway.wait_until_it_serves()
        writers = [
            stack.enter_context(Writer(surface, gateway.address, f"w{number}{surface}"))
            for number, surface in enumerate(WRITERS)
        ]
        for number in range(KILLS):
            victim = backend.kills[number % len(backend.kills)]
            began = time.monotonic()
            for writer in writers:
                writer.go(f"kill-{number}")
            for writer in writers:
                writer.wait_for(BEFORE, began)
            time.sleep(chance.uniform(0, MAX_DELAY))
            killed = time.monotonic()
            kill(victim, gateway, backend)
            running = time.monotonic()
            for writer in writers:
                writer.wait_for(AFTER, running)
            recoveries[victim].append(
                max(writer.acknowledged_since(running)[0] for writer in writers) - killed
            )
            for writer in writers:
                writer.pause()
            assert_right(writers, backend.read(), f"kill-{number}")
        assert_right(writers, backend.read(), None)
    outcomes = Counter(
        event["outcome"] for writer in writers for _, event in writer.events if "outcome" in event
    )
    print(f"\n{KILLS} kills of {', '.join(backend.kills)}: {dict(outcomes)}")  # noqa: T201
    for victim, seconds in recoveries.items():
        if seconds:
            line = f"{statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s"
            print(f"to the first write after a kill of {victim}: {line}")  # noqa: T201
    record_property("outcomes", dict(outcomes))
    assert outcomes["acknowledged"] >= KILLS * len(WRITERS) * (BEFORE + AFTER)
    assert outcomes["unknown"] > 0
