"""What can go wrong, in the gateway's own words; each surface renders it in its own way.

GatewayError
├── BadInput            a value the caller sent can't be used        BAD_USER_INPUT
├── Unauthenticated     nobody, or a token that isn't valid          UNAUTHENTICATED
├── Forbidden           somebody who may not do this                 FORBIDDEN
├── NotFound            no such item in the caller's project         NOT_FOUND
├── Conflict            the item exists already, or clashes          CONFLICT
│   └── StaleVersion    the item changed since the caller read it    CONFLICT
├── Unprocessable       well-formed, but refers to what isn't there  UNPROCESSABLE
├── TooLarge            more bytes than the gateway takes            BAD_USER_INPUT
└── Unavailable         a dependency doesn't answer                  UNAVAILABLE
"""

from enum import StrEnum


class Code(StrEnum):
    """Machine-readable kinds of error: `extensions.code` in GraphQL, a status in REST."""

    BAD_USER_INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    UNPROCESSABLE = "UNPROCESSABLE"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class GatewayError(Exception):
    """An expected failure: its message is meant for the caller, and names the value at fault.

    `field` is the name of the one input that is to blame, as the caller spells it, or None.
    """

    code: Code = Code.INTERNAL

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class BadInput(GatewayError):
    """A value that can't be used, whatever the catalogue holds."""

    code = Code.BAD_USER_INPUT


class TooLarge(BadInput):
    """A body longer than the gateway takes."""


class Unauthenticated(GatewayError):
    """No token, or one that isn't valid.

    `uri` is where to get a token, for the header `WWW-Authenticate: Keystone uri="…"`.
    """

    code = Code.UNAUTHENTICATED

    def __init__(self, message: str, *, uri: str = "") -> None:
        super().__init__(message)
        self.uri = uri


class Forbidden(GatewayError):
    """The caller is known, and may not do this."""

    code = Code.FORBIDDEN


class NotFound(GatewayError):
    """No such item in the caller's project, whether or not another project has one."""

    code = Code.NOT_FOUND


class Conflict(GatewayError):
    """An item of this id exists already."""

    code = Code.CONFLICT


class StaleVersion(Conflict):
    """The item has another version than the one the caller expected."""


class Unprocessable(GatewayError):
    """A well-formed request that refers to something missing or unfit."""

    code = Code.UNPROCESSABLE


class Unavailable(GatewayError):
    """A dependency (the database, Keystone) doesn't answer; worth trying again.

    `retry_after` is the number of seconds to wait before doing so.
    """

    code = Code.UNAVAILABLE
    retry_after = 5


def shown(value: object, length: int = 100) -> str:
    """The value as an error message quotes it: one line, printable, at most `length` characters."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= length else f"{text[:length]}…"
