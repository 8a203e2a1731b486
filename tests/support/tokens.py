"""A Keystone that says what it is told to, and applications that ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth.identity import Identity
from gateway.auth.keystone import KeystoneAuthenticator, Tokens, Validation
from gateway.schema import streams
from gateway.settings import Settings, load
from tests.support.apps import opened

ALICE = Identity("1", "alice", "p1", frozenset({"member"}))
LONG = 1e9

KEYSTONE = {
    "auth": "keystone",
    "keystone_auth_url": "https://keystone.example/v3",
    "keystone_username": "gateway",
    "keystone_password": "secret",
}


class Keystone:
    """Says of every token what it was told to, and counts how often it was asked."""

    def __init__(self, verdict: Validation | Exception) -> None:
        """Begin with this answer."""
        self.verdict = verdict
        self.asked = 0

    def __call__(self, _tokens: Tokens, _path: str, _method: str) -> Validation:
        """Answer."""
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let streams ask again at once."""
    monkeypatch.setattr(streams, "LEAST_SECONDS", 0)
    monkeypatch.setattr(streams, "KEYSTONE_SECONDS", 0.05)


@asynccontextmanager
async def served(
    settings: Settings, keystone: Keystone, cache_time: int = 300
) -> AsyncIterator[Starlette]:
    """Open an application that asks this Keystone."""
    given = load(**KEYSTONE, keystone_token_cache_time=cache_time)
    app = create_app(settings)
    authenticator = KeystoneAuthenticator(given, keystone)
    app.state.contexts = replace(app.state.contexts, authenticator=authenticator)
    async with opened(app):
        yield app
