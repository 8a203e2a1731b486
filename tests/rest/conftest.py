"""A project of the gateway as its REST clients see it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

Ask = Callable[..., Awaitable[httpx.Response]]


def asking(client: httpx.AsyncClient, project: str) -> Ask:
    """Return a function that sends requests below a project's path.

    `ask("POST jobs", {…})`; a body of bytes is sent as it is. The status is asserted.
    """

    async def ask(
        request: str, body: Any = b"", /, status: int = 200, **headers: str
    ) -> httpx.Response:
        method, path = request.split(" ", 1)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await client.request(
            method, f"/v2/{project}/{path}", content=content, headers=named
        )
        assert response.status_code == status, f"{response.status_code} {response.text[:500]}"
        if status >= 400 and method != "HEAD":
            assert response.headers["Content-Type"] == "application/json"
            assert list(response.json()) == ["title", "description"]
            assert all(response.json().values())
        return response

    return ask


@pytest.fixture
def ask(client: httpx.AsyncClient) -> Ask:
    """Return a function that sends requests to the project `p1`, that of `ctx`."""
    return asking(client, "p1")


@pytest.fixture
def ask_other(client: httpx.AsyncClient) -> Ask:
    """Return a function that sends requests to another project."""
    return asking(client, "p2")
