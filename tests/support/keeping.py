"""Gateways that keep answers, and what their `Cache-Status` says."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import httpx

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.errors import Unauthenticated
from gateway.settings import load
from tests.support.apps import opened

MEMORY = 8 * 1024 * 1024
HIT, BYPASS = "freezer-gateway; hit", "freezer-gateway; fwd=bypass"
MISS, STALE = (f"freezer-gateway; fwd={reason}; stored" for reason in ("miss", "stale"))
STATUS = "Cache-Status"


class Roles:
    """Takes a token for who calls: `user@project:role,role`."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Tell who it is."""
        who, _, roles = (headers.get("x-auth-token") or "").partition(":")
        user, _, project = who.partition("@")
        if not user:
            raise Unauthenticated("who is that?")
        return Identity(user, user, project, frozenset(roles.split(",")))

    def forget(self, headers: Headers) -> None:
        """Forget nothing."""

    def known_for(self, headers: Headers) -> float:  # noqa: ARG002
        """Tell that there is no end of it."""
        return inf


@asynccontextmanager
async def keeping(
    database_url: str, *, roles: bool = False, **given: object
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a gateway that keeps answers; with `roles`, callers have tokens."""
    settings = {"database_url": database_url, "kept_answers_bytes": MEMORY} | given
    app = create_app(load(**settings))
    async with opened(app) as client:
        if roles:
            app.state.contexts = replace(app.state.contexts, authenticator=Roles())
        yield client


def state(client: httpx.AsyncClient) -> Any:
    """Return the state of a client's application."""
    return client._transport.app.state  # type: ignore[attr-defined]  # noqa: SLF001


@dataclass(frozen=True)
class Surface:
    """A way of asking for the jobs of the project p1."""

    method: str
    path: str
    json: Any = None
    params: Mapping[str, str] | None = None

    async def ask(self, client: httpx.AsyncClient, **headers: str) -> httpx.Response:
        """Ask; the names of headers have underscores."""
        return await client.request(
            self.method,
            self.path,
            json=self.json,
            params=self.params,
            headers={"X-Project-Id": "p1"}
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )


JOBS = "{ jobs(first: 20) { totalCount nodes { jobId description version } } }"
SURFACES = {
    "GraphQL by POST": Surface("POST", "/graphql", json={"query": JOBS}),
    "GraphQL by GET": Surface("GET", "/graphql", params={"query": JOBS}),
    "REST": Surface("GET", "/v2/p1/jobs"),
}
