"""The documented examples are served as documented, on the sample data.

`backups-list` and `jobs-list` are answered with the published documents, key by key and value by
value; the contract allows a few further keys. `job-create` is the published request; its answer
names the new job's id, which `<id>` stands for.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent

FURTHER = {
    "backups": {"project_id", "status"},
    "jobs": {"session_id", "session_tag", "user_credentials"},
    "job_actions": {"project_id", "mandatory"},
}


async def asked(client: httpx.AsyncClient, name: str) -> httpx.Response:
    """Send the request that the file of this name holds."""
    head, _, body = (HERE / f"{name}.http").read_text().partition("\n\n")
    first, *lines = head.splitlines()
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return await client.request(method, path, content=body, headers=headers)


def golden(name: str) -> Any:
    """Return the body that the file of this name holds."""
    return json.loads((HERE / f"{name}.json").read_text())


def documented(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the items without the further keys that the contract allows."""
    kept = [{key: item[key] for key in item if key not in FURTHER[kind]} for item in items]
    for item in kept:
        if "job_actions" in item:
            item["job_actions"] = documented(item["job_actions"], "job_actions")
    return kept


@pytest.mark.parametrize("kind", ["backups", "jobs"])
async def test_lists(demo_client: httpx.AsyncClient, kind: str) -> None:
    response = await asked(demo_client, f"{kind}-list")
    assert response.status_code == 200
    assert list(response.json()) == [kind]
    assert {kind: documented(response.json()[kind], kind)} == golden(f"{kind}-list")


async def test_open_documents_keep_their_order(demo_client: httpx.AsyncClient) -> None:
    backups = (await asked(demo_client, "backups-list")).json()["backups"]
    shown = [list(item["backup_metadata"]) for item in backups]
    assert shown == [list(item["backup_metadata"]) for item in golden("backups-list")["backups"]]


async def test_create(demo_client: httpx.AsyncClient) -> None:
    response = await asked(demo_client, "job-create")
    assert response.status_code == 201
    job = response.json()["job_id"]
    assert response.json() == golden("job-create") | {"job_id": job}
    assert response.headers["Location"].endswith(f"/jobs/{job}")
    listed = (await asked(demo_client, "jobs-list")).json()["jobs"]
    assert job in [item["job_id"] for item in listed]
