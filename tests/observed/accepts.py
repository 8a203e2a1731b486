"""Rows about the Accept header."""

from .case import Case, case
from .paths import VERSIONS

ERROR_BODY = "§4: 406 with the usual error body"


def rows(accept: str) -> tuple[Case, Case]:
    """Return the rows of an Accept header that takes JSON."""
    headers = {"Accept": accept}
    return (
        case(f"Accept '{accept}'", "GET /v2/<PA>/clients/none", 404, headers=headers),
        case(f"Accept / '{accept}'", "GET /", 300, headers=headers, has=VERSIONS),
    )


def refused(accept: str) -> tuple[Case, Case]:
    """Return the rows of an Accept header that doesn't."""
    headers = {"Accept": accept}
    return (
        case(
            f"Accept '{accept}'",
            "GET /v2/<PA>/clients/none",
            406,
            406,
            ERROR_BODY,
            headers=headers,
        ),
        case(f"Accept / '{accept}'", "GET /", 406, 406, ERROR_BODY, headers=headers),
    )


ACCEPTS: tuple[Case, ...] = (
    *rows("application/json"),
    *rows("*/*"),
    *refused("text/html"),
    *refused("application/xml"),
    *rows("application/*"),
    *rows("text/plain;q=0.9, application/json;q=0.1"),
    *refused("application/json;q=0"),
    *refused("garbage"),
    *rows(""),
)
