"""Clients of an application in this process, and what the fixtures that make them are called."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from gateway.context import Context

BASE_URL = "http://127.0.0.1:9090"

MakeContext = Callable[[str], Context]
"""`make_ctx("p1")`: the local user's context in a project."""

MakeClient = Callable[..., Awaitable[httpx.AsyncClient]]
"""`await make_client(max_limit=5)`: a client of an application with other settings."""

GraphQL = Callable[..., Awaitable[dict[str, Any]]]
"""`await graphql(query, variables, project="p1")`: the body that the query is answered with."""


@asynccontextmanager
async def opened(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application and yield a client of it."""
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client,
    ):
        yield client


def app_of(client: httpx.AsyncClient) -> Starlette:
    """Return the application that the client talks to."""
    transport = client._transport  # noqa: SLF001 - httpx has no other way
    assert isinstance(transport, httpx.ASGITransport)
    assert isinstance(transport.app, Starlette)
    return transport.app
