"""Errors in the gateway's own terms; each surface renders them in its own way.

GatewayError
├── BadInput            an invalid value in the request              BAD_USER_INPUT
│   ├── TooLarge        a body over the limit                        BAD_USER_INPUT
│   └── UnknownHash     no document has it                    PERSISTED_QUERY_NOT_FOUND
├── Unauthenticated     no token, or an invalid one                  UNAUTHENTICATED
├── Forbidden           the policy doesn't let the caller do this    FORBIDDEN
├── NotFound            no such item in the caller's project         NOT_FOUND
├── Conflict            the item exists already, or clashes          CONFLICT
│   └── StaleVersion    the item changed since the caller read it    CONFLICT
├── LostRace            others kept changing the same items          CONFLICT
│   └── OutdatedChoice  one changed after something was chosen for it CONFLICT
├── KeyInUse            another request has the idempotency key      CONFLICT
├── Unprocessable       well-formed, but refers to a missing item    UNPROCESSABLE
├── RateLimited         the caller has spent the points they had     RATE_LIMITED
├── DeadlineExceeded    the operation took longer than it may        DEADLINE_EXCEEDED
├── HungUp              the client closed the connection             INTERNAL
└── Unavailable         a dependency doesn't answer                  UNAVAILABLE
    ├── Mirrored        the project is written by a mirror           UNAVAILABLE
    ├── Overloaded      too many requests at once                    UNAVAILABLE
    └── OutcomeUnknown  nor does it tell if it made a change         UNAVAILABLE
"""

import json
from enum import StrEnum


class Code(StrEnum):
    """Machine-readable kinds of error: `extensions.code` in GraphQL."""

    BAD_USER_INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    UNPROCESSABLE = "UNPROCESSABLE"
    RATE_LIMITED = "RATE_LIMITED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    UNAVAILABLE = "UNAVAILABLE"
    NOT_READ_BACK = "NOT_READ_BACK"
    """A change that was made, but whose result could not be shown: it must not be tried again."""
    INTERNAL = "INTERNAL"


class GatewayError(Exception):
    """An expected failure, with a message for the caller that names the value at fault.

    `field` is the name of the one input at fault, as the caller spells it, or None.
    """

    code: Code = Code.INTERNAL

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class BadInput(GatewayError):
    """A value that is invalid whatever the catalogue holds."""

    code = Code.BAD_USER_INPUT


class TooLarge(BadInput):
    """A body over the limit."""


class UnknownHash(BadInput):
    """A hash of no document that is known: clients then send the document itself."""

    code = Code.PERSISTED_QUERY_NOT_FOUND


class Unauthenticated(GatewayError):
    """No token, or an invalid one.

    `uri` is the address to get a token from, for `WWW-Authenticate: Keystone uri="…"`.
    """

    code = Code.UNAUTHENTICATED

    def __init__(self, message: str, *, uri: str = "") -> None:
        super().__init__(message)
        self.uri = uri


class Forbidden(GatewayError):
    """The caller is known, but not allowed to do this."""

    code = Code.FORBIDDEN


class NotFound(GatewayError):
    """No such item in the caller's project, whether or not another project has one."""

    code = Code.NOT_FOUND


class Conflict(GatewayError):
    """An item of this id exists already."""

    code = Code.CONFLICT


class StaleVersion(Conflict):
    """The item has another version than the one the caller expected."""


class LostRace(GatewayError):
    """A transaction that the database or its own checks gave up because of another one.

    It has changed nothing, and is run again; this is raised after it has lost too often.
    """

    code = Code.CONFLICT

    def __init__(self, message: str = "others keep changing the same items: try again") -> None:
        super().__init__(message)


class OutdatedChoice(LostRace):
    """The item changed between a choice made for it and the transaction that stores the choice."""


class KeyInUse(GatewayError):
    """Another request with the same idempotency key is being served, or has been meanwhile.

    This one has changed nothing; when it is sent again, it gets what the other one has written.
    """

    code = Code.CONFLICT
    retry_after = 1

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Idempotency-Key: another request with {shown(key)} is being served: try again",
            field="Idempotency-Key",
        )


class Unprocessable(GatewayError):
    """A well-formed request that refers to something missing or unsuitable."""

    code = Code.UNPROCESSABLE


class RateLimited(GatewayError):
    """The caller, or the caller's project, has spent the points they had.

    `cost` is the number of points that the request needs, `retry_after` the number of seconds after
    which they may be there.
    """

    code = Code.RATE_LIMITED

    def __init__(self, message: str, *, cost: int, retry_after: int) -> None:
        super().__init__(message)
        self.cost = cost
        self.retry_after = retry_after


class DeadlineExceeded(GatewayError):
    """An operation that was cancelled because it took longer than it may; it changed nothing."""

    code = Code.DEADLINE_EXCEEDED


class HungUp(GatewayError):
    """An operation that was cancelled because its client is gone: nobody sees this but the log."""


class Unavailable(GatewayError):
    """A dependency (the database, Keystone) doesn't answer.

    `retry_after` is the number of seconds to wait before trying again.
    """

    code = Code.UNAVAILABLE
    retry_after = 5


class Mirrored(Unavailable):
    """A project that mirrors a source, which is its only master until the switch."""

    retry_after = 60

    def __init__(self, project_id: str, source: str) -> None:
        super().__init__(
            f"the project {shown(project_id)} is a mirror of {source}: it can be changed only there"
            " until the switch"
        )


class OutcomeUnknown(Unavailable):
    """The database stopped answering while it committed: the change may have been made or not."""


class Overloaded(Unavailable):
    """More requests at once than the gateway lets run and wait."""

    retry_after = 1


def shown(value: object, length: int = 100) -> str:
    """Return a value as error messages quote it: one printable line of `length` characters.

    A text is in single quotes; any other value is as JSON writes it, which clients read.
    """
    if isinstance(value, str):
        text = str.__repr__(value) if value.isprintable() else ascii(str(value))
    else:
        text = _as_json(value)
    return text if len(text) <= length else f"{text[:length]}…"


def _as_json(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
        return text if text.isprintable() else json.dumps(value, default=str)
    except (ValueError, RecursionError):  # of integers of thousands of digits, of deep nesting
        return "a value too large to show"
