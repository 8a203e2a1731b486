"""Who is calling: from a request to an Identity."""

import re
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import BadInput, Forbidden, shown
from gateway.settings import Settings

_PROJECT_ID = re.compile(r"[\w.-]{1,255}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """A user, the project the token is scoped to (None: unscoped), and the roles there."""

    user_id: str
    user_name: str
    project_id: str | None
    roles: frozenset[str] = field(default_factory=frozenset)


class Authenticator(Protocol):
    """Turns the headers of a request into an Identity."""

    async def identify(self, headers: "Headers", path: str) -> Identity:
        """Tell who is calling; Unauthenticated for nobody, Unavailable when nobody can tell."""


class Headers(Protocol):
    """The headers of a request, whatever the case of their names."""

    def get(self, key: str, /) -> str | None:
        """The header's value, or None."""


class NoAuthenticator:
    """Everybody is one local user who may do everything: for use on loopback only.

    GraphQL takes the project from `X-Project-Id`, else from the settings; REST has it in the path.
    """

    def __init__(self, settings: Settings) -> None:
        self._project_id = settings.project_id

    async def identify(self, headers: Headers, path: str) -> Identity:  # noqa: ARG002 - a seam
        """Tell which project the local user works on."""
        return Identity(
            user_id="local",
            user_name="local",
            project_id=project(headers.get("x-project-id") or self._project_id, "X-Project-Id"),
            roles=frozenset({"admin", "member", "reader", "service"}),
        )


def project(project_id: str, field: str) -> str:
    """Check a project's id; BadInput for one that Keystone couldn't have made."""
    if not _PROJECT_ID.fullmatch(project_id):
        raise BadInput(f"'{field}': {shown(project_id)} is not a project id", field=field)
    return project_id


def loopback(host: str) -> bool:
    """Tell whether a host name, with or without a port, is this machine's own."""
    name = host.rsplit(":", 1)[0] if re.search(r":\d+$", host) else host
    return name.strip("[]").lower() in {"localhost", "::1"} or name.startswith("127.")


def refuse_foreign(headers: Headers) -> None:
    """Refuse what a web page from elsewhere could make a browser on this machine send.

    Raises Forbidden for a `Host` that isn't loopback and for an `Origin` of another site.
    """
    host = headers.get("host") or ""
    if not loopback(host):
        raise Forbidden(f"the host {shown(host)} is not this machine, and nobody is authenticated")
    origin = headers.get("origin")
    if origin and not loopback(re.sub(r"^https?://", "", origin)):
        raise Forbidden(f"the origin {shown(origin)} is foreign, and nobody is authenticated")
