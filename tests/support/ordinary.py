"""The ordinary query, and the work of a request: what hostile documents are compared with."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.catalogue.tables import Action, Backup, Job, JobAction
from gateway.db.database import Database
from tests.support.lists import store
from tests.support.stored_estate import put

QUERY = """{ jobs(first: 50) { nodes {
  description actions { nodes { backupName } } backups(last: 2) { nodes { level } }
} } }"""
JOBS = 50


async def fill(database: Database) -> None:
    """Store the jobs that the query shows, with one action and one backup each."""
    numbers = range(JOBS)
    tries = {"max_retries": 5, "max_retries_interval": 6, "mandatory": False}
    await put(
        database,
        Action,
        [tries | {"id": f"a{n}", "freezer_action": "{}", "backup_name": "n"} for n in numbers],
    )
    await put(
        database,
        Job,
        [
            {"id": f"j{n}", "description": f"j{n:02}", "job_schedule": "{}", "session_tag": 0}
            for n in numbers
        ],
    )
    links = [{"job_id": f"j{n}", "position": 0, "action_id": f"a{n}"} for n in numbers]
    await store(database, JobAction, "p1", links)
    named = {"backup_name": "n", "status": "available", "backup_metadata": "{}", "sort_time": 0}
    await put(
        database,
        Backup,
        [named | {"id": f"b{n}", "job_id": f"j{n}", "level": 0} for n in numbers],
    )


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Yield a list that holds the number of calls of Python functions in this thread."""
    calls = [0]

    def see(_frame: object, event: str, _argument: object) -> None:
        calls[0] += event == "call"

    profiler = sys.getprofile()
    sys.setprofile(see)
    try:
        yield calls
    finally:
        sys.setprofile(profiler)
