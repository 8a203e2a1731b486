"""How Keystone makes tokens, for whom it is asked to; nothing is asked of any other address."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keystoneauth1 import exceptions
from keystoneauth1.session import Session

from gateway.auth.identity_api import unavailable
from gateway.errors import BadInput, Forbidden, GatewayError, Unauthenticated, shown

TOKENS = "/auth/tokens"

_UNKNOWN = ("Could not find", "Failed to validate token")
"""How Keystone begins a 404 about an application credential, or about a token that was revoked."""


@dataclass(frozen=True)
class Token:
    """A token, and what Keystone says of it."""

    id: str = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)

    @property
    def project_id(self) -> str | None:
        """Which project it is for, if for one."""
        project_id: str | None = self.body.get("project", {}).get("id")
        return project_id


@dataclass(frozen=True)
class Asked:
    """Keystone, asked for somebody at this address; every method blocks.

    Each raises Unauthenticated or Forbidden where Keystone refuses, BadInput for what it can't
    read, and Unavailable when it doesn't answer.
    """

    session: Session
    auth_url: str
    """Keystone's, with or without the version."""
    address: str | None = None

    def by_password(self, user: str, domain: str, password: str) -> Token:
        """Log a user in, for no project yet."""
        named = {"name": user, "domain": {"name": domain}, "password": password}
        identity = {"methods": ["password"], "password": {"user": named}}
        refusal = f"no user {shown(user)} of the domain {shown(domain)} has this password"
        return self._log_in(identity, scope="unscoped", no=refusal)

    def by_credential(self, credential_id: str, secret: str) -> Token:
        """Log in with an application credential, for its project."""
        identity = {
            "methods": ["application_credential"],
            "application_credential": {"id": credential_id, "secret": secret},
        }
        refusal = f"no application credential {shown(credential_id)} has this secret"
        return self._log_in(identity, no=refusal)

    def about(self, token_id: str) -> Token:
        """Ask about a token."""
        answer = self._request("GET", TOKENS, token_id, token_id)
        return Token(token_id, _read(answer, "token"))

    def projects(self, token: Token) -> list[dict[str, str]]:
        """The projects that a token can be changed for, by name: `id`, `name` and `domainId`."""
        if "application_credential" in token.body.get("methods", ()):
            project = token.body["project"]
            return [_offered(project | {"domain_id": project["domain"]["id"]})]
        answer = self._request("GET", "/auth/projects", token.id)
        found = [_offered(project) for project in _read(answer, "projects")]
        return sorted(found, key=lambda project: (project["name"], project["id"]))

    def default_project(self, token: Token) -> str | None:
        """The id of the project that a token's user works in by default, if Keystone tells."""
        try:
            answer = self._request("GET", f"/users/{token.body['user']['id']}", token.id)
        except Forbidden:
            return None
        project_id: str | None = _read(answer, "user").get("default_project_id")
        return project_id

    def changed(self, token: Token, project: Mapping[str, Any]) -> Token:
        """Change a token for one of the same user and time that is good in a project.

        The project is given as Keystone wants it: by its id, or by its name and its domain's.
        """
        identity = {"methods": ["token"], "token": {"id": token.id}}
        try:
            return self._log_in(identity, scope={"project": project})
        except Unauthenticated:
            # The token itself is good: its projects have just been told.
            named = shown(project.get("name") or project["id"])
            if "domain" in project:
                named += f" of the domain {shown(project['domain']['name'])}"
            user = shown(token.body["user"]["name"])
            message = f"there is no project {named} in which {user} has a role"
            raise Forbidden(message, field="project") from None

    def revoke(self, token_id: str) -> None:
        """Make a token invalid."""
        self._request("DELETE", TOKENS, token_id, token_id)

    def _log_in(self, identity: Any, *, scope: Any = None, no: str = "") -> Token:
        auth = {"identity": identity} | ({} if scope is None else {"scope": scope})
        answer = self._request("POST", TOKENS, json={"auth": auth}, no=no)
        return Token(answer.headers.get("X-Subject-Token", ""), _read(answer, "token"))

    def _request(
        self, method: str, path: str, *tokens: str, no: str = "the token is not valid", **given: Any
    ) -> Any:
        """Ask with a token, perhaps about another; `no` is what to say where Keystone says 401."""
        versioned = self.auth_url if self.auth_url.endswith("/v3") else f"{self.auth_url}/v3"
        headers = dict(zip(("X-Auth-Token", "X-Subject-Token"), tokens, strict=False))
        if self.address is not None:
            # So that Keystone's own log tells who tries passwords.
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
            raise _failure(error, no, tokens) from None
        if answer.is_redirect:
            raise unavailable(exceptions.ClientException(f"{versioned} points elsewhere"))
        return answer


def _failure(error: exceptions.ClientException, no: str, secrets: tuple[str, ...]) -> GatewayError:
    """What Keystone's refusal, or its silence, is to the gateway's caller."""
    said = _said(error)
    match error:
        case exceptions.MissingAuthMethods():
            return Unauthenticated(
                "Keystone wants more than a password: use an application credential, or a token"
            )
        case exceptions.HttpError(http_status=401):
            expired = "password is expired" in said
            return Unauthenticated("the password has expired: change it first" if expired else no)
        case exceptions.HttpError(http_status=404) if said.startswith(_UNKNOWN):
            return Unauthenticated(no)
        case exceptions.HttpError(http_status=403):
            return Forbidden(f"Keystone refuses: {said}")
        case exceptions.HttpError(http_status=400):
            return BadInput(f"Keystone can't read this: {said}")
    return unavailable(error, *secrets)


def _read(answer: Any, key: str) -> Any:
    """What stands in Keystone's answer at this key."""
    try:
        return answer.json()[key]
    except (ValueError, KeyError, TypeError) as error:
        raise unavailable(error) from None


def _said(error: exceptions.ClientException) -> str:
    """Keystone's own words, without the request's number and the like."""
    return str(error.message).partition(" (HTTP ")[0]


def _forwarded(address: str) -> str:
    """Tell on whose behalf something is asked, as RFC 7239 has it."""
    return f'for="[{address}]"' if ":" in address else f"for={address}"


def _offered(project: Mapping[str, Any]) -> dict[str, str]:
    return {"id": project["id"], "name": project["name"], "domainId": project["domain_id"]}
