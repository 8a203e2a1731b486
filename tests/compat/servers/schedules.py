"""freezer-scheduler's own code, polled once for each list of jobs on its standard input.

It answers with a line: the first time at which each job runs, the three after it, and what it
complained of.
"""

import json
import logging
import signal
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from apscheduler.schedulers.base import STATE_PAUSED
from freezer.scheduler import arguments, freezer_scheduler

PATIENCE = 60
"""How many seconds a poll may take."""


class Client:
    """A client of an API that has these jobs, and takes every change."""

    client_id = "host"

    def __init__(self, jobs: list[dict[str, Any]]) -> None:
        """Take the jobs as the API shows them."""
        self.jobs = self
        self.documents = jobs

    def list(self, limit: int, offset: int, **_: object) -> list[dict[str, Any]]:
        """Return a page of the jobs."""
        return self.documents[offset : offset + limit]

    def update(self, *_: object) -> None:
        """Take a change."""


class Complaints(logging.Handler):
    """What is logged as an error."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(record.getMessage())


def polled(jobs: list[dict[str, Any]], folder: str) -> dict[str, Any]:
    """Poll once, and return what became of the jobs."""
    scheduler = freezer_scheduler.FreezerScheduler(Client(jobs), 60, folder)
    scheduler.scheduler.start(paused=True)
    assert scheduler.scheduler.state == STATE_PAUSED
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    signal.alarm(PATIENCE)
    runs, later = {}, {}
    try:
        scheduler.poll()
        for job in jobs:
            if (scheduled := scheduler.get_job(job["job_id"])) is not None:
                first = scheduled.next_run_time
                runs[job["job_id"]] = first and first.isoformat()
                later[job["job_id"]] = list(following(scheduled.trigger, first))
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends the scheduler
        complaints.said.append(f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        logging.getLogger().removeHandler(complaints)
        scheduler.scheduler.shutdown(wait=False)
    return {"runs": runs, "later": later, "errors": complaints.said}


def following(trigger: Any, fires: Any) -> Iterator[str]:
    """Yield the times of the three runs after one."""
    for _ in range(3):
        fires = fires and trigger.get_next_fire_time(fires, fires)
        if fires:
            yield fires.isoformat()


def hang(*_: object) -> None:
    """End what takes too long."""
    raise TimeoutError("the scheduler hangs")


signal.signal(signal.SIGALRM, hang)
sys.argv = ["freezer-scheduler", "start"]
arguments.parse_args(["start"])
with TemporaryDirectory() as kept:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(polled(json.loads(line), kept)) + "\n")
        sys.stdout.flush()
