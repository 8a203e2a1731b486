"""The codes by which sockets are closed.

Those that begin with 1, and `FORBIDDEN`, are ones on which clients connect again; graphql-ws's own
waits for a random time before.
"""

from enum import IntEnum

MAX_REASON_BYTES = 123
"""The length of a reason, as RFC 6455 has it."""


class Close(IntEnum):
    """Why the gateway closes a socket: the protocol's codes, and two of RFC 6455's registry."""

    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITIALISATIONS = 4429
    INTERNAL = 4500


class Closing(Exception):
    """The end of a socket."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        # No character is cut in two.
        self.reason = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
