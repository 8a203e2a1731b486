"""Keystone's Identity API as one of its clients: certificates, time limits, threads to wait in."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from keystoneauth1 import loading

from gateway.errors import Unavailable
from gateway.settings import Settings

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

THREADS = 4


class IdentityApi:
    """One part of the gateway's way to ask Keystone, by its `session`."""

    def __init__(self, settings: Settings, purpose: str) -> None:
        self.session = loading.session.Session().load_from_options(
            cacert=_path(settings.keystone_cafile),
            cert=_path(settings.keystone_certfile),
            key=_path(settings.keystone_keyfile),
            insecure=settings.keystone_insecure,
            timeout=settings.keystone_timeout,
        )
        # Of their own: a Keystone that hangs must not take the threads of everything else.
        self._threads = ThreadPoolExecutor(THREADS, purpose)
        # To find Keystone, to log in and to ask, at the longest.
        self.patience = 4 * settings.keystone_timeout

    async def ask(self, question: Callable[..., Answer], *arguments: object) -> Answer:
        """Ask Keystone in a worker thread. Raises Unavailable when it doesn't answer in time."""
        asked = asyncio.get_running_loop().run_in_executor(self._threads, question, *arguments)
        try:
            return await asyncio.wait_for(asked, self.patience)
        except TimeoutError:
            raise Unavailable("Keystone doesn't answer") from None


def unavailable(error: BaseException, *secrets: str) -> Unavailable:
    """Return what to raise for this failure of Keystone's; it is logged without the secrets."""
    reason = str(error)
    for secret in filter(None, secrets):
        reason = reason.replace(secret, "…")
    log.warning("keystone unavailable", error=reason, kind=type(error).__name__)
    return Unavailable("Keystone doesn't answer")


def _path(file: object) -> str | None:
    return None if file is None else str(file)
