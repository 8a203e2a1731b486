"""The requests that are measured, by their short names, and what their answers must hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from . import insight_data
from .catalogue import BACKUPS_PER_JOB, POLLED_SHARE, Catalogue

TITLES = {
    "Q1": "GraphQL: first 50 jobs by name, with schedule and actions",
    "Q1C": "GraphQL: as Q1, each time with an operation name that no request had before",
    "Q2": "GraphQL: first 100 backups by name, with metadata",
    "Q3": "GraphQL: one backup by its global id",
    "Q4": "GraphQL: 100 backups after 90% of the list",
    "S1": "GraphQL: the newest 3 restore points of each of 100 series",
    "S2": "GraphQL: 10 restore points that are broken",
    "S3": "GraphQL: what the deletion of a full backup costs, which 6 others need",
    "R1": "REST: list of 100 backups",
    "R2": "REST: list of 100 jobs with their actions",
    "R3": "REST: 100 backups after 90% of the list",
    "R4": "REST: one page of a scheduler's poll",
    "R5": "REST: search of a job's backups",
    "R6": "REST: post a job with two actions",
    "R7": "REST: one backup",
}

UNCHANGED = {"Q1U": "Q1", "Q2U": "Q2", "Q4U": "Q4", "R1U": "R1", "R2U": "R2"}
"""Requests that are asked again while nothing changes, of a gateway that keeps answers.

All others are asked of gateways that keep none: every sending would be a hit.
"""
MISSED = {"Q1M": "Q1", "Q2M": "Q2"}
"""The same with something in them that no request had before, and that changes no answer."""
KEPT = UNCHANGED | MISSED

TITLES |= {key: f"{TITLES[of]}, asked again, unchanged" for key, of in UNCHANGED.items()}
TITLES |= {key: f"{TITLES[of]}, looked for in memory in vain" for key, of in MISSED.items()}

JOBS_PAGE = 50
PAGE = 100
POLL_PAGE = 10
MAX_POLL_PAGES = 100
SINGLE = 4
"""One in so many of the backups is the one that is asked for."""

COLD = "Q1C"
"""The request that pays for parsing, validation and planning each time.

Programs keep what they made of it, hundreds of times, which slows them down at other requests: so
each has a process of its own for it.
"""
PLACEHOLDER = "number_goes_here"
"""The part of a request, of 16 characters, for which every sending has a number of its own."""

Item = tuple[str, int]
"""An item of an answer: a backup's uuid or a job's name, and how many actions it has."""


def name(key: str) -> str:
    """Return what the tables call a request."""
    if key in KEPT:
        return f"{KEPT[key]} {'unchanged' if key in UNCHANGED else 'missed'}"
    return "Q1 cold" if key == COLD else key


@dataclass(frozen=True)
class Request:
    """An HTTP request, but for where it goes."""

    path: str
    body: bytes = b""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    def wire(self, url: str) -> bytes:
        """Return the bytes that a server gets."""
        head = [f"{self.method} {self.path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            head += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*head, "", ""]).encode() + self.body

    def with_serial_number(self, serial: str) -> "Request":
        """Return the request with a serial number, of 16 characters, for its placeholder."""
        return replace(self, body=self.body.replace(PLACEHOLDER.encode(), serial.encode()))


def deep(catalogue: Catalogue) -> int:
    """Return the number of the backup that 90% of the list end with."""
    return catalogue.backups * 9 // 10 - 1


def single(catalogue: Catalogue) -> int:
    """Return the number of the backup that is asked for by its id."""
    return catalogue.backups // SINGLE


def searched(catalogue: Catalogue) -> int:
    """Return the number of the job whose backups are searched for."""
    return catalogue.jobs // 2


def polls(catalogue: Catalogue) -> int:
    """Return how many pages a whole poll has, 100 at most."""
    return min(MAX_POLL_PAGES, max(1, catalogue.jobs // POLLED_SHARE // POLL_PAGE))


def expected(key: str, catalogue: Catalogue) -> Sequence[Item]:
    """Return what the first answer must hold, in this order."""
    key = KEPT.get(key, key)
    jobs = {
        "Q1": range(JOBS_PAGE),
        "Q1C": range(JOBS_PAGE),
        "R2": range(PAGE),
        "R4": range(0, POLL_PAGE * POLLED_SHARE, POLLED_SHARE),
    }
    backups = {
        "Q2": (0, PAGE),
        "Q3": (single(catalogue), 1),
        "Q4": (deep(catalogue) + 1, PAGE),
        "R5": (searched(catalogue) * BACKUPS_PER_JOB, BACKUPS_PER_JOB),
    }
    backups |= {"R1": backups["Q2"], "R3": backups["Q4"], "R7": backups["Q3"]}
    chains = {
        "S1": insight_data.points,
        "S2": insight_data.broken,
        "S3": lambda catalogue: insight_data.needing(searched(catalogue)),
    }
    if key in chains:
        return [(catalogue.identifier("uuid", number), 0) for number in chains[key](catalogue)]
    if key in jobs:
        return [_job(catalogue, number) for number in jobs[key] if number < catalogue.jobs]
    return _backups(catalogue, *backups[key]) if key in backups else []


def _job(catalogue: Catalogue, number: int) -> Item:
    job = catalogue.job(number)
    return job["description"], len(job["actions"])


def _backups(catalogue: Catalogue, start: int, count: int) -> Sequence[Item]:
    numbers = range(start, min(start + count, catalogue.backups))
    return [(catalogue.identifier("uuid", number), 0) for number in numbers]


def item(document: Mapping[str, Any]) -> Item:
    """Read what tells an item from a document of either surface."""
    metadata = document.get("metadata") or document.get("backup_metadata")
    if metadata:
        return metadata["backup_uuid"], 0
    actions = document["actions"] if "actions" in document else document["job_actions"]
    if isinstance(actions, dict):
        actions = actions.get("edges", actions.get("nodes"))
    return document["description"], len(actions)


class WrongAnswerError(Exception):
    """A program answered something else than what the catalogue holds."""


def check(key: str, found: Sequence[Item], wanted: Sequence[Item], who: str) -> None:
    """Raise WrongAnswerError unless an answer holds what it must, in the right order."""
    if list(found) != list(wanted):
        raise WrongAnswerError(
            f"{who} answers {key} with {len(found)} items, {len(wanted)} are right; "
            f"it begins with {list(found)[:2]}, right is {list(wanted)[:2]}"
        )
