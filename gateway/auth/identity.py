"""Authentication: from the headers of a request to the Identity of its caller."""

import re
from dataclasses import dataclass, field, fields
from functools import lru_cache
from math import inf
from typing import Protocol

from gateway.errors import BadInput, shown
from gateway.settings import Settings

_PROJECT_ID = re.compile(r"[\w.-]{1,255}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """A user, the project that the token is scoped to, and the user's roles in it.

    Without a project the token is unscoped, or scoped to a domain or the system, and no rule lets
    it pass. `service_roles` are those of the service that passes the user's request on.
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
    """True for the one user of a gateway with `auth = none`."""
    expires_at: float = field(default=inf, compare=False)
    """When the tokens expire that tell it, in seconds since 1970."""
    _hash: int = field(init=False, repr=False, compare=False)
    """Computed once: every decision of the policy is looked up by it."""

    def __post_init__(self) -> None:
        """Compute the hash."""
        values = (getattr(self, each.name) for each in fields(self) if each.compare)
        object.__setattr__(self, "_hash", hash(tuple(values)))

    def __hash__(self) -> int:
        """Return the hash of all values."""
        return self._hash


class Authenticator(Protocol):
    """Turns the headers of a request into an Identity."""

    async def identify(self, headers: "Headers", path: str, method: str) -> Identity:
        """Return the caller's identity.

        A token may be valid for some paths and methods only. Raises Unauthenticated, and
        Unavailable when the identity service doesn't answer.
        """

    def forget(self, headers: "Headers") -> None:
        """Drop all that is cached about the headers' tokens."""

    def known_for(self, headers: "Headers") -> float:
        """Return the seconds for which the word about the headers' tokens is to be believed."""


class Headers(Protocol):
    """A request's headers, by their names in lower case."""

    def get(self, key: str, /) -> str | None:
        """Return the header's value, or None."""


class NoAuthenticator:
    """Takes every caller for one local user with all roles: for use on loopback only.

    The project is that of `X-Project-Id`, else of the settings; REST's is in the path.
    """

    def __init__(self, settings: Settings) -> None:
        self._project_id = settings.project_id

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002 - a seam
        """Return the local user's identity. Raises BadInput for a malformed `X-Project-Id`."""
        return _local(headers.get("x-project-id") or self._project_id)

    def forget(self, headers: Headers) -> None:
        """Do nothing: nothing is cached."""

    def known_for(self, headers: Headers) -> float:  # noqa: ARG002 - a seam
        """Return that there is no end of it."""
        return inf


@lru_cache(maxsize=256)
def _local(project_id: str) -> Identity:
    return Identity(
        user_id="local",
        user_name="local",
        project_id=check_project_id(project_id, "X-Project-Id"),
        roles=frozenset({"admin", "member", "reader", "service"}),
        is_local=True,
    )


def check_project_id(project_id: str, field: str) -> str:
    """Return a project's id. Raises BadInput, naming `field`, for one that Keystone can't have."""
    if not _PROJECT_ID.fullmatch(project_id):
        raise BadInput(f"'{field}': {shown(project_id)} is not a project id", field=field)
    return project_id
