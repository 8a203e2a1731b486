"""A project as the tests use it: requests below its path, and items made in it."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from .actions import ACTION, FREEZER_ACTION
from .case import ABSENT, Absent

JOB: dict[str, Any] = {"job_actions": [ACTION], "job_schedule": {}, "description": "d"}

BACKUP: dict[str, Any] = {
    "backup_name": "b",
    "hostname": "h",
    "container": "c",
    "time_stamp": 1700000000,
}


class Project:
    """One project of the gateway behind a client."""

    def __init__(self, client: httpx.AsyncClient, project_id: str) -> None:
        """Take the client whose `base_url` is the gateway's."""
        self.client = client
        self.id = project_id
        self.base = f"{str(client.base_url).rstrip('/')}/v2/{project_id}"

    async def ask(  # noqa: PLR0913 - as httpx
        self,
        method: str,
        path: str,
        body: object = ABSENT,
        *,
        status: int = 200,
        raw: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request below the project's path, and assert the status of its answer."""
        content = raw if isinstance(body, Absent) else json.dumps(body).encode()
        response = await self.client.request(
            method, f"{self.base}/{path}", content=content, headers=headers
        )
        assert response.status_code == status, f"{response.status_code} {response.text[:1000]}"
        if status >= httpx.codes.BAD_REQUEST and method != "HEAD":
            assert set(response.json()) == {"title", "description"}
        return response

    async def get(self, path: str) -> Any:
        """Return the document at the path."""
        return (await self.ask("GET", path)).json()

    async def names(self, path: str, key: str) -> list[str]:
        """Return this key of each listed backup's metadata, or else of each listed item."""
        (items,) = (await self.get(path)).values()
        return [item.get("backup_metadata", item)[key] for item in items]

    async def refusal(
        self, method: str, path: str, body: object = ABSENT, *, status: int = 400, raw: bytes = b""
    ) -> str:
        """Return the description of the error that the request is answered with."""
        response = await self.ask(method, path, body, status=status, raw=raw)
        return str(response.json()["description"])

    async def make(self, collection: str, body: object) -> str:
        """Create an item and return its id."""
        response = await self.ask("POST", collection, body, status=201)
        (made,) = response.json().values()
        return str(made)

    async def backup(self, **changes: object) -> str:
        """Register a backup and return its id."""
        return await self.make("backups", BACKUP | changes)

    async def action(self, **changes: object) -> str:
        """Create an action, with changes to its freezer_action, and return its id."""
        return await self.make("actions", ACTION | {"freezer_action": FREEZER_ACTION | changes})

    async def job(self, **changes: object) -> str:
        """Create a job and return its id."""
        return await self.make("jobs", JOB | changes)

    async def host(self, client_id: str = "node", **changes: object) -> str:
        """Register a client and return its id."""
        return await self.make("clients", {"client_id": client_id, "hostname": client_id} | changes)

    async def made(self) -> dict[str, str]:
        """Create one item in each collection, and return each one's id."""
        return {
            "backups": await self.backup(),
            "clients": await self.host(),
            "actions": await self.action(),
            "jobs": await self.job(),
        }
