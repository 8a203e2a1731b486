"""Integers beyond 64 bits: refused by both surfaces and databases alike, wherever they stand."""

import json
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

HEADERS = {"X-Project-Id": "p1"}
BEYOND = [2**63, -(2**63) - 1, 2**64 - 1, 2**64, 10**400]
INSIDE = [2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
BACKUP = {"backup_name": "b", "container": "c", "hostname": "h"}
ACTION = {"action": "backup", "mode": "fs"}

Place = tuple[str, str, Any]
"""A method, a path below the project's, and a body with the integer in it."""


def places(number: int) -> dict[str, Place]:
    """Return the places of REST where an integer may stand, far inside of a document or not."""
    match = {"match": [{"x": number}]}
    return {
        "metadata": ("POST", "backups", BACKUP | {"x": [{"y": number}]}),
        "size": ("POST", "backups", BACKUP | {"backup_size_compressed": number}),
        "time": ("POST", "backups", BACKUP | {"time_stamp": number}),
        "definition": ("POST", "actions", {"freezer_action": ACTION | {"timeout": number}}),
        "action": ("POST", "jobs", {"job_actions": [{"freezer_action": ACTION | {"x": number}}]}),
        "retries": ("POST", "actions", {"freezer_action": ACTION, "max_retries": number}),
        "schedule": ("POST", "jobs", {"job_actions": [], "job_schedule": {"current_pid": number}}),
        "tag": ("POST", "jobs", {"job_actions": [], "session_tag": number}),
        "hold-off": ("POST", "sessions", {"schedule": {}, "hold_off": number}),
        "search": ("GET", "backups", match),
        "actions in a search": ("GET", "jobs", match),
        "time of a search": ("GET", "backups", {"time_after": number}),
    }


@pytest.mark.parametrize("place", places(0))
async def test_rest_takes_integers_of_64_bits_as(client: httpx.AsyncClient, place: str) -> None:
    for number in INSIDE:
        method, path, body = places(number)[place]
        response = await client.request(method, f"/v2/p1/{path}", json=body)
        assert response.is_success, response.text
    names = ("jobs", "backups", "actions", "sessions")
    counts = [len((await client.get(f"/v2/p1/{name}")).json()[name]) for name in names]
    for number in BEYOND:
        method, path, body = places(number)[place]
        requests = [("", body)]
        if method == "GET":
            requests.append((f"?search={json.dumps(body)}", None))
        for query, sent in requests:
            response = await client.request(method, f"/v2/p1/{path}{query}", json=sent)
            assert response.status_code == 400, response.text
            assert str(number)[:20] in response.json()["description"]
    for name, count in zip(names, counts, strict=True):
        assert len((await client.get(f"/v2/p1/{name}")).json()[name]) == count


REGISTER = "registerBackup(input: {metadata: %s}) { backup { metadata } }"
ACT = "createAction(input: {freezerAction: %s}) { action { freezerAction } }"
FILTERS = {
    "backups": "metadata",
    "jobs": "scheduleDocument",
    "actions": "freezerAction",
    "sessions": "schedule",
}


def literal(value: Any) -> str:
    """Write a value as GraphQL does."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {literal(item)}' for key, item in value.items())}}}"
    return json.dumps(value)


def operations(number: int) -> dict[str, tuple[str, str]]:
    """Return operations with an integer in a document: as a literal, and before a variable."""
    documents = {
        "metadata": ("mutation", REGISTER, BACKUP | {"x": number}),
        "size": ("mutation", REGISTER, BACKUP | {"backup_size_compressed": number}),
        "definition": ("mutation", ACT, ACTION | {"timeout": number}),
    }
    for field, name in FILTERS.items():
        text = f'{field}(where: {{{name}: [{{path: ["x", "y"], eq: %s}}]}}) {{ totalCount }}'
        documents[f"filter of {field}"] = ("query", text, number)
    return {
        place: (f"{kind} {{ {text % literal(value)} }}", f"{kind}($v: JSON!) {{ {text % '$v'} }}")
        for place, (kind, text, value) in documents.items()
    }


def values(number: int) -> dict[str, Any]:
    """Return the documents of the operations."""
    sized = BACKUP | {"backup_size_compressed": number}
    found: dict[str, Any] = dict.fromkeys((f"filter of {field}" for field in FILTERS), number)
    return found | {
        "metadata": BACKUP | {"x": number},
        "size": sized,
        "definition": ACTION | {"timeout": number},
    }


@pytest.mark.parametrize("place", operations(0))
async def test_graphql_takes_integers_of_64_bits_as(client: httpx.AsyncClient, place: str) -> None:
    async def ask(query: str, **variables: Any) -> httpx.Response:
        sent = {"query": query, "variables": variables}
        return await client.post("/graphql", json=sent, headers=HEADERS)

    for number in INSIDE:
        for text, variables in zip(
            operations(number)[place], ({}, {"v": values(number)[place]}), strict=True
        ):
            response = await ask(text, **variables)
            assert "errors" not in response.json(), response.text
    for number in BEYOND:
        for text, variables in zip(
            operations(number)[place], ({}, {"v": values(number)[place]}), strict=True
        ):
            response = await ask(text, **variables)
            # A body with such a number in it is refused as a whole.
            assert response.status_code == (400 if variables else 200)
            (error,) = response.json()["errors"]
            assert error["extensions"]["code"] == "BAD_USER_INPUT"
            assert str(number)[:20] in error["message"]


async def test_a_tag_can_not_grow_beyond_64_bits(client: httpx.AsyncClient) -> None:
    tag = 2**63 - 1
    session = {"schedule": {}, "session_tag": tag}
    made = await client.post("/v2/p1/sessions", json=session)
    path = f"/v2/p1/sessions/{made.json()['session_id']}"
    job = (await client.post("/v2/p1/jobs", json={"job_actions": []})).json()["job_id"]
    await client.put(f"{path}/jobs/{job}")
    start = {"start": {"job_id": job, "current_tag": tag}}
    response = await client.post(f"{path}/action", json=start)
    assert response.status_code == 400
    assert str(tag) in response.json()["description"]
    assert (await client.get(path)).json()["session_tag"] == tag
