"""Applications with rate limits, whose time passes when a test says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.errors import Unauthenticated
from gateway.rates.buckets import RateLimiter
from gateway.rates.store import BucketStore
from gateway.settings import load
from tests.support.apps import opened

NOW = 1_000_000.0


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        """Begin at `NOW`."""
        self.now = NOW

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Callers:
    """An authenticator that takes the token for who calls: `user@project`."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Return that user in that project, with all roles."""
        user, _, project = (headers.get("x-auth-token") or "").partition("@")
        if not user:
            raise Unauthenticated("a token in X-Auth-Token is required")
        roles = frozenset({"admin", "member", "reader", "service"})
        return Identity(user, user, project or None, roles)

    def forget(self, headers: Headers) -> None:
        """Forget nothing."""


@asynccontextmanager
async def limited(
    database_url: str, clock: Clock, **given: object
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application with rate limits; its caller is alice, of the project p1."""
    settings = load(**{"database_url": database_url, "rate_limit": "on"} | given)
    app = create_app(settings)
    async with opened(app) as client:
        contexts = app.state.contexts
        limiter = RateLimiter(settings, BucketStore(contexts.db, clock), clock)
        app.state.contexts = replace(contexts, authenticator=Callers(), limiter=limiter)
        client.headers["X-Auth-Token"] = "alice@p1"
        yield client
