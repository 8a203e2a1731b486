"""The requests that schedulers send to REST v2, as freezerclient sends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

PAGE = 10
"""The number of jobs that a scheduler asks for at a time."""
LONGEST_PAGE = 500

Document = dict[str, Any]


class ServiceError(Exception):
    """A request that the service didn't answer, or refused."""


@dataclass(frozen=True)
class Host:
    """A client of the catalogue."""

    client_id: str
    name: str

    @classmethod
    def of(cls, client: Document) -> "Host":
        """Return a client of its document, which may have no host's name."""
        return cls(client["client_id"], client.get("hostname") or client["client_id"])


class Service:
    """One project of a gateway, or of freezer-api."""

    def __init__(self, client: httpx.AsyncClient, project_id: str) -> None:
        """Send requests by this client, whose base URL is the service's address."""
        self.project_id = project_id
        self._client = client

    async def hosts(self) -> Sequence[Host]:
        """Return all clients of the project. Raises ServiceError."""
        hosts: list[Host] = []
        while True:
            query = f"clients?limit={LONGEST_PAGE}&offset={len(hosts)}"
            found = (await self._ask("GET", query))["clients"]
            hosts += [Host.of(entry["client"]) for entry in found]
            if len(found) < LONGEST_PAGE:
                return hosts

    async def jobs_of(self, client_id: str) -> Sequence[Document]:
        """Poll: return the jobs of a client that aren't completed. Raises ServiceError."""
        search = {
            "match": [{"client_id": client_id}],
            "match_not": [{"status": "completed"}],
        }
        jobs: list[Document] = []
        while True:
            query = f"jobs?limit={PAGE}&offset={len(jobs)}"
            found = (await self._ask("GET", query, search))["jobs"]
            jobs += found
            if len(found) < PAGE:
                return jobs

    async def report(self, job_id: str, document: Mapping[str, Any]) -> None:
        """Tell what has become of a job. Raises ServiceError."""
        await self._ask("PATCH", f"jobs/{quote(job_id, safe='')}", document)

    async def start_session(self, session_id: str, job_id: str, tag: int) -> Document:
        """Start a job with its session, and return the outcome. Raises ServiceError."""
        start = {"job_id": job_id, "current_tag": tag}
        return await self._ask("POST", _action(session_id), {"start": start})

    async def end_session(self, session_id: str, job_id: str, tag: int, result: str) -> None:
        """Tell the result of a job to its session. Raises ServiceError."""
        end = {"job_id": job_id, "current_tag": tag, "result": result}
        await self._ask("POST", _action(session_id), {"end": end})

    async def register(self, metadata: Mapping[str, Any]) -> None:
        """Register a backup. Raises ServiceError."""
        await self._ask("POST", "backups", metadata)

    async def backups(self, name: str, hostname: str, since: int) -> Sequence[Document]:
        """Return the metadata of the backups of a name and host since then, the oldest first.

        Raises ServiceError.
        """
        match = [{"backup_name": name, "hostname": hostname}]
        search = {"match": match, "time_after": since}
        found = await self._ask("GET", f"backups?limit={LONGEST_PAGE}", search)
        told = [entry["backup_metadata"] for entry in found["backups"]]
        return sorted(told, key=lambda metadata: number(metadata.get("time_stamp")))

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Document:
        url = f"/v2/{quote(self.project_id, safe='')}/{path}"
        try:
            response = await self._client.request(method, url, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServiceError(f"{self._client.base_url} doesn't answer: {reason}") from error
        if response.is_error:
            raise ServiceError(f"{method} {url}: {response.status_code}, {_reason(response)}")
        try:
            answer: Document = response.json() if response.content else {}
        except ValueError:
            raise ServiceError(f"{method} {url}: the answer is no JSON") from None
        return answer


def number(value: object) -> int:
    """Return a number of a document, which may be a text; 0 for none."""
    try:
        return int(float(value))  # type: ignore[arg-type] # what fits is found out
    except (TypeError, ValueError, OverflowError):
        return 0


def _action(session_id: str) -> str:
    return f"sessions/{quote(session_id, safe='')}/action"


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["description"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
