"""A client of Keystone's Identity API: TLS, timeouts and credentials."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from keystoneauth1 import loading

from gateway.auth.threads import Purpose, WorkerThreads
from gateway.errors import Unavailable
from gateway.settings import Settings

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


class IdentityApi:
    """A keystoneauth session, and the worker threads to use it from."""

    def __init__(self, settings: Settings, purpose: Purpose, threads: WorkerThreads) -> None:
        self.session = loading.session.Session().load_from_options(
            cacert=_path(settings.keystone_cafile),
            cert=_path(settings.keystone_certfile),
            key=_path(settings.keystone_keyfile),
            insecure=settings.keystone_insecure,
            timeout=settings.keystone_timeout,
        )
        self._purpose: Purpose = purpose
        self._threads = threads
        # Discovery, login and the request itself, each up to keystone_timeout.
        self.timeout = 4 * settings.keystone_timeout

    async def ask(self, question: Callable[..., Answer], *arguments: object) -> Answer:
        """Run a blocking call in a worker thread and return its result.

        Raises Unavailable when it takes longer than `timeout` seconds, and whatever `question`
        raises.
        """
        asked = self._threads.run(self._purpose, question, *arguments)
        try:
            return await asyncio.wait_for(asked, self.timeout)
        except TimeoutError:
            raise Unavailable("Keystone doesn't answer") from None


def credentials(settings: Settings) -> tuple[str, dict[str, str]]:
    """Return keystoneauth's plugin for the gateway's own user, and the plugin's options."""
    if settings.keystone_application_credential_id:
        secret = settings.keystone_application_credential_secret.get_secret_value()
        return "v3applicationcredential", {
            "application_credential_id": settings.keystone_application_credential_id,
            "application_credential_secret": secret,
        }
    return "password", {
        "username": settings.keystone_username,
        "password": settings.keystone_password.get_secret_value(),
        "project_name": settings.keystone_project_name,
        "user_domain_name": settings.keystone_user_domain_name,
        "project_domain_name": settings.keystone_project_domain_name,
    }


def unavailable(error: BaseException, *secrets: str | None) -> Unavailable:
    """Log a failure of Keystone with the secrets blanked out; return the error to raise for it."""
    reason = str(error)
    for secret in filter(None, secrets):
        reason = reason.replace(secret, "…")
    log.warning("keystone unavailable", error=reason, kind=type(error).__name__)
    return Unavailable("Keystone doesn't answer")


def _path(file: object) -> str | None:
    return None if file is None else str(file)
