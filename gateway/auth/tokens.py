"""Keystone's token API, called on behalf of those who sign in; no other address is called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keystoneauth1 import exceptions
from keystoneauth1.session import Session

from gateway.auth.identity_api import unavailable
from gateway.errors import BadInput, Forbidden, GatewayError, Unauthenticated, shown

TOKENS = "/auth/tokens"

_UNKNOWN = ("Could not find", "Failed to validate token")
"""Beginnings of Keystone's 404s for unknown application credentials and revoked tokens."""


@dataclass(frozen=True)
class Token:
    """A token's id, and Keystone's description of it."""

    id: str = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)

    @property
    def project_id(self) -> str | None:
        """The project that the token is scoped to, or None."""
        project_id: str | None = self.body.get("project", {}).get("id")
        return project_id


@dataclass(frozen=True)
class TokenClient:
    """A client of Keystone's token API for one user; every method blocks.

    Each raises Unauthenticated or Forbidden where Keystone refuses, BadInput where it finds the
    request malformed, and Unavailable when it doesn't answer.
    """

    session: Session
    auth_url: str
    """Keystone's address, with or without the version."""
    address: str | None = None
    """The user's IP address, passed on in `Forwarded`."""

    def by_password(self, user: str, domain: str, password: str) -> Token:
        """Return an unscoped token for a user name, its domain's name and a password."""
        named = {"name": user, "domain": {"name": domain}, "password": password}
        identity = {"methods": ["password"], "password": {"user": named}}
        refusal = f"no user {shown(user)} of the domain {shown(domain)} has this password"
        return self._log_in(identity, scope="unscoped", refusal=refusal)

    def by_credential(self, credential_id: str, secret: str) -> Token:
        """Return a token for an application credential's id and secret, scoped to its project."""
        identity = {
            "methods": ["application_credential"],
            "application_credential": {"id": credential_id, "secret": secret},
        }
        refusal = f"no application credential {shown(credential_id)} has this secret"
        return self._log_in(identity, refusal=refusal)

    def describe(self, token_id: str) -> Token:
        """Return Keystone's description of a token."""
        answer = self._request("GET", TOKENS, token_id, token_id)
        return Token(token_id, _read(answer, "token"))

    def projects(self, token: Token) -> list[dict[str, str]]:
        """Return the projects a token can be rescoped to, by name: `id`, `name`, `domainId`."""
        if "application_credential" in token.body.get("methods", ()):
            project = token.body["project"]
            return [_offered(project | {"domain_id": project["domain"]["id"]})]
        answer = self._request("GET", "/auth/projects", token.id)
        found = [_offered(project) for project in _read(answer, "projects")]
        return sorted(found, key=lambda project: (project["name"], project["id"]))

    def default_project(self, token: Token) -> str | None:
        """Return the id of the token's user's default project, or None if Keystone hides it."""
        try:
            answer = self._request("GET", f"/users/{token.body['user']['id']}", token.id)
        except Forbidden:
            return None
        project_id: str | None = _read(answer, "user").get("default_project_id")
        return project_id

    def rescope(self, token: Token, project: Mapping[str, Any]) -> Token:
        """Return a token of the same user and expiry that is scoped to a project.

        `project` is Keystone's: `{"id"}`, or `{"name", "domain": {"name"}}`. Raises Forbidden where
        the user has no role in it.
        """
        identity = {"methods": ["token"], "token": {"id": token.id}}
        try:
            return self._log_in(identity, scope={"project": project})
        except Unauthenticated:
            # The token itself is valid: Keystone has just listed its projects.
            named = shown(project.get("name") or project["id"])
            if "domain" in project:
                named += f" of the domain {shown(project['domain']['name'])}"
            user = shown(token.body["user"]["name"])
            message = f"there is no project {named} in which {user} has a role"
            raise Forbidden(message, field="project") from None

    def revoke(self, token_id: str) -> None:
        """Revoke a token."""
        self._request("DELETE", TOKENS, token_id, token_id)

    def _log_in(self, identity: Any, *, scope: Any = None, refusal: str = "") -> Token:
        auth = {"identity": identity} | ({} if scope is None else {"scope": scope})
        answer = self._request("POST", TOKENS, json={"auth": auth}, refusal=refusal)
        return Token(answer.headers.get("X-Subject-Token", ""), _read(answer, "token"))

    def _request(
        self,
        method: str,
        path: str,
        *tokens: str,
        refusal: str = "the token is not valid",
        **given: Any,
    ) -> Any:
        """Send a request with a token, perhaps about a second one; `refusal` words a 401."""
        versioned = self.auth_url if self.auth_url.endswith("/v3") else f"{self.auth_url}/v3"
        headers = dict(zip(("X-Auth-Token", "X-Subject-Token"), tokens, strict=False))
        if self.address is not None:
            # So that Keystone's own log shows who tries passwords.
            headers["Forwarded"] = _forwarded(self.address)
        try:
            answer = self.session.request(
                f"{versioned}{path}",
                method,
                headers=headers,
                authenticated=False,
                redirect=False,
                log=False,
                **given,
            )
        except exceptions.ClientException as error:
            raise _failure(error, refusal, tokens) from None
        if answer.is_redirect:
            raise unavailable(exceptions.ClientException(f"{versioned} points elsewhere"))
        return answer


def _failure(
    error: exceptions.ClientException, refusal: str, secrets: tuple[str, ...]
) -> GatewayError:
    """Return the gateway's error for a failed request to Keystone."""
    said = _said(error)
    match error:
        case exceptions.MissingAuthMethods():
            return Unauthenticated(
                "Keystone wants more than a password: use an application credential, or a token"
            )
        case exceptions.HttpError(http_status=401):
            expired = "password is expired" in said
            return Unauthenticated(
                "the password has expired: change it first" if expired else refusal
            )
        case exceptions.HttpError(http_status=404) if said.startswith(_UNKNOWN):
            return Unauthenticated(refusal)
        case exceptions.HttpError(http_status=403):
            return Forbidden(f"Keystone refuses: {said}")
        case exceptions.HttpError(http_status=400):
            return BadInput(f"Keystone can't read this: {said}")
    return unavailable(error, *secrets)


def _read(answer: Any, key: str) -> Any:
    """Return the value of a key of Keystone's answer."""
    try:
        return answer.json()[key]
    except (ValueError, KeyError, TypeError) as error:
        raise unavailable(error) from None


def _said(error: exceptions.ClientException) -> str:
    """Return Keystone's message without the status and the request's id."""
    return str(error.message).partition(" (HTTP ")[0]


def _forwarded(address: str) -> str:
    """Return the `Forwarded` header (RFC 7239) for an IP address."""
    return f'for="[{address}]"' if ":" in address else f"for={address}"


def _offered(project: Mapping[str, Any]) -> dict[str, str]:
    return {"id": project["id"], "name": project["name"], "domainId": project["domain_id"]}
