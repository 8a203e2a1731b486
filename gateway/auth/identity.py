"""Who is calling: from the headers of a request to an Identity."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Protocol

from gateway.errors import BadInput, Forbidden, shown
from gateway.settings import Settings

_PROJECT_ID = re.compile(r"[\w.-]{1,255}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """A user, the project the token is scoped to, and the roles there.

    No project: the token is scoped to nothing, to a domain or to the system, and the rules let it
    do nothing. `service_roles` are those of the service that passes the user's request on.
    """

    user_id: str
    user_name: str
    project_id: str | None
    roles: frozenset[str] = frozenset()
    project_name: str | None = None
    user_domain_id: str | None = None
    project_domain_id: str | None = None
    service_roles: frozenset[str] = frozenset()
    is_local: bool = False
    """Whether this is the one user of a gateway that authenticates nobody."""


class Authenticator(Protocol):
    """Turns the headers of a request into an Identity."""

    async def identify(self, headers: "Headers", path: str, method: str) -> Identity:
        """Tell who is calling; Unauthenticated for nobody, Unavailable when nobody can tell.

        A token may be good for some paths and methods only, as they stand in the request.
        """

    def forget(self, headers: "Headers") -> None:
        """Believe nothing any more of what is known of the headers' tokens."""


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

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002 - a seam
        """Tell which project the local user works on."""
        return _local(headers.get("x-project-id") or self._project_id)

    def forget(self, headers: Headers) -> None:
        """There is nothing to forget."""


@lru_cache(maxsize=256)
def _local(project_id: str) -> Identity:
    return Identity(
        user_id="local",
        user_name="local",
        project_id=project(project_id, "X-Project-Id"),
        roles=frozenset({"admin", "member", "reader", "service"}),
        is_local=True,
    )


def project(project_id: str, field: str) -> str:
    """Check a project's id; BadInput for one that Keystone couldn't have made."""
    if not _PROJECT_ID.fullmatch(project_id):
        raise BadInput(f"'{field}': {shown(project_id)} is not a project id", field=field)
    return project_id


@lru_cache(maxsize=256)
def loopback(host: str) -> bool:
    """Tell whether a host name, with or without a port, is this machine's own."""
    name = re.sub(r":\d+$", "", host) if "]" in host or host.count(":") == 1 else host
    name = name.removeprefix("[").removesuffix("]").lower()
    try:
        # Not by its beginning: 127.0.0.1.example.org is a name, and somebody else's.
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def refuse_foreign(
    host: str, origin: str | None, origins: Collection[str] = (), *, any_host: bool = False
) -> None:
    """Refuse what a web page from elsewhere could make a browser on this machine send.

    Raises Forbidden for a `Host` that isn't loopback, unless any is welcome, and for an `Origin`
    of another site, unless it is one of `origins` or, where any host is welcome, that host's own.
    """
    if not any_host and not loopback(host):
        raise Forbidden(f"the host {shown(host)} is not this machine, and nobody is authenticated")
    if origin is None or origin in origins:
        return
    site = re.sub(r"^https?://", "", origin)
    if not loopback(site) and not (any_host and site == host):
        raise Forbidden(f"the origin {shown(origin)} is foreign, and nobody is authenticated")
