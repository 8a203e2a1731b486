"""Keystone trusts: with them a central client acts for the users whose jobs it runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from keystoneauth1 import exceptions, loading
from keystoneauth1.adapter import Adapter

from gateway.auth.identity import Headers, Identity
from gateway.auth.identity_api import IdentityApi, credentials, unavailable
from gateway.auth.threads import WorkerThreads
from gateway.errors import Unavailable, Unprocessable
from gateway.settings import Settings

log = structlog.get_logger(__name__)

GONE = 404


class Trustee:
    """The gateway's own user in Keystone, the trustee of all trusts; one per application."""

    def __init__(self, settings: Settings, threads: WorkerThreads) -> None:
        self.api = IdentityApi(settings, "trusts", threads)
        self._keystone = Adapter(
            self.api.session,
            auth=_login(settings),
            service_type="identity",
            interface=settings.keystone_interface,
            region_name=settings.keystone_region_name or None,
            version="3",
        )
        self._roles = [{"name": name} for name in settings.keystone_trust_roles]

    def trusted_by(self, headers: Headers, identity: Identity) -> "CallersTrusts":
        """Return the trusts of the caller that a request's headers belong to."""
        return CallersTrusts(self, identity.user_id, (headers.get("x-auth-token") or "").strip())

    def create(self, trustor: str, token: str, project_id: str) -> str:
        """Create a trust and return its id. Blocks.

        Raises Unprocessable where Keystone refuses, Unavailable where it doesn't answer.
        """
        trust = {
            "trustor_user_id": trustor,
            "trustee_user_id": self._own_id(token),
            "project_id": project_id,
            "roles": self._roles,
            "impersonation": False,
            "allow_redelegation": False,
        }
        try:
            made = self._request("POST", "", token, json={"trust": trust})
        except exceptions.HTTPClientError as error:
            # Keystone refuses trusts to callers with an application credential, and to those
            # who lack the roles themselves.
            log.warning("no trust", user_id=trustor, project_id=project_id, status=_status(error))
            raise Unprocessable(
                "Missing required credentials: Keystone refuses the trust that a job of a central "
                "client needs",
                field="client_id",
            ) from None
        except exceptions.ClientException as error:
            raise unavailable(error, token) from None
        return str(made.json()["trust"]["id"])

    def delete(self, trust_id: str, token: str) -> None:
        """Delete a trust as the caller or, where Keystone forbids that, as the gateway. Blocks.

        Keystone lets its trustor and administrators do so. A failure is logged, and never raised.
        """
        refusal: BaseException | None = None
        for shown in (token, None):
            try:
                self._request("DELETE", f"/{trust_id}", shown)
            except exceptions.ClientException as error:
                if _status(error) == GONE:
                    return
                refusal = error
            else:
                return
        log.warning("trust not deleted", trust_id=trust_id, error=type(refusal).__name__)

    def held(self) -> Collection[str]:
        """Return the ids of the trusts that are given to the gateway's own user. Blocks.

        Raises Unavailable where Keystone doesn't tell all of them.
        """
        try:
            own_id = self._keystone.get_user_id()
            found = self._request("GET", f"?trustee_user_id={own_id}", None).json()
        except exceptions.ClientException as error:
            raise unavailable(error) from None
        if found.get("truncated"):
            raise Unavailable("Keystone tells only some of the trusts")
        return frozenset(trust["id"] for trust in found["trusts"])

    def _own_id(self, token: str) -> str:
        try:
            return str(self._keystone.get_user_id())
        except exceptions.ClientException as error:
            raise unavailable(error, token) from None

    def _request(self, method: str, path: str, token: str | None, **given: Any) -> Any:
        """Send a request with this token; None: with the gateway's own."""
        if token is not None:
            given |= {"authenticated": False, "headers": {"X-Auth-Token": token}}
        return self._keystone.request(f"/OS-TRUST/trusts{path}", method, log=False, **given)


@dataclass(frozen=True)
class CallersTrusts:
    """One caller's trusts, created and deleted with the caller's own token."""

    trustee: Trustee
    user_id: str
    token: str = field(repr=False)

    async def create(self, project_id: str) -> Mapping[str, str]:
        """Create a trust. Raises Unprocessable and Unavailable."""
        trust_id = await self.trustee.api.ask(
            self.trustee.create, self.user_id, self.token, project_id
        )
        return {"trust_id": trust_id, "trustor_user_id": self.user_id}

    async def delete(self, trust_id: str) -> None:
        """Delete a trust; a failure is logged, and never raised."""
        try:
            await self.trustee.api.ask(self.trustee.delete, trust_id, self.token)
        except Unavailable as error:
            log.warning("trust not deleted", trust_id=trust_id, error=error.message)


def _login(settings: Settings) -> Any:
    plugin, options = credentials(settings)
    loader: Any = loading.get_plugin_loader(plugin)
    return loader.load_from_options(auth_url=settings.keystone_auth_url, **options)


def _status(error: BaseException | None) -> int | None:
    return getattr(error, "http_status", None)
