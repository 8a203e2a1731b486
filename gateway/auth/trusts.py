"""Keystone's trusts: by them a central client works in the names of those whose jobs it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from keystoneauth1 import exceptions, loading
from keystoneauth1.adapter import Adapter

from gateway.auth.identity import Headers, Identity
from gateway.auth.identity_api import IdentityApi, unavailable
from gateway.errors import Unavailable, Unprocessable
from gateway.settings import Settings

log = structlog.get_logger(__name__)

GONE = 404


class Trustee:
    """The gateway's own user in Keystone, whom callers trust; one for the whole application."""

    def __init__(self, settings: Settings) -> None:
        self.api = IdentityApi(settings, "trusts")
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
        """The trusts of the caller of a request."""
        return CallersTrusts(self, identity.user_id, (headers.get("x-auth-token") or "").strip())

    def create(self, trustor: str, token: str, project_id: str) -> str:
        """Make the trust and return its id; blocking."""
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
            # Keystone doesn't let everybody trust others: not who came by an application
            # credential, nor who lacks the roles.
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
        """Take the trust back, as the caller or, where that may not be, as the gateway; blocking.

        Only its trustor may, and Keystone's administrators: it lives on where neither is.
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

    def _own_id(self, token: str) -> str:
        try:
            return str(self._keystone.get_user_id())
        except exceptions.ClientException as error:
            raise unavailable(error, token) from None

    def _request(self, method: str, path: str, token: str | None, **given: Any) -> Any:
        """Ask with this token, or with the gateway's own."""
        if token is not None:
            given |= {"authenticated": False, "headers": {"X-Auth-Token": token}}
        return self._keystone.request(f"/OS-TRUST/trusts{path}", method, log=False, **given)


@dataclass(frozen=True)
class CallersTrusts:
    """What one caller trusts the gateway with, by the caller's own token."""

    trustee: Trustee
    user_id: str
    token: str = field(repr=False)

    async def create(self, project_id: str) -> Mapping[str, str]:
        """Trust the gateway. Raises Unprocessable and Unavailable."""
        trust_id = await self.trustee.api.ask(
            self.trustee.create, self.user_id, self.token, project_id
        )
        return {"trust_id": trust_id, "trustor_user_id": self.user_id}

    async def delete(self, trust_id: str) -> None:
        """Take the trust back, if Keystone lets it be done."""
        try:
            await self.trustee.api.ask(self.trustee.delete, trust_id, self.token)
        except Unavailable as error:
            log.warning("trust not deleted", trust_id=trust_id, error=error.message)


def _login(settings: Settings) -> Any:
    if settings.keystone_application_credential_id:
        return loading.get_plugin_loader("v3applicationcredential").load_from_options(
            auth_url=settings.keystone_auth_url,
            application_credential_id=settings.keystone_application_credential_id,
            application_credential_secret=(
                settings.keystone_application_credential_secret.get_secret_value()
            ),
        )
    return loading.get_plugin_loader("password").load_from_options(
        auth_url=settings.keystone_auth_url,
        username=settings.keystone_username,
        password=settings.keystone_password.get_secret_value(),
        project_name=settings.keystone_project_name,
        user_domain_name=settings.keystone_user_domain_name,
        project_domain_name=settings.keystone_project_domain_name,
    )


def _status(error: BaseException | None) -> int | None:
    return getattr(error, "http_status", None)
