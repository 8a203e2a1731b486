"""Errors as v2 writes them: {"title", "description"}, with the status of `http_errors`."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway import errors
from gateway.errors import BadInput, GatewayError
from gateway.http_errors import headers_of, status_of
from gateway.rest_compat.responses import json_response


class BadParameter(BadInput):
    """A value in the query string that can't be used."""

    def __init__(self, name: str, reason: str) -> None:
        """Take the parameter's name, and what is wrong with its value."""
        super().__init__(f'The "{name}" parameter is invalid: {reason}', field=name)


TITLES: Mapping[type[Exception], str] = {
    BadParameter: "Invalid parameter",
    errors.TooLarge: "Request Entity Too Large",
    errors.BadInput: "Bad request format",
    errors.Unauthenticated: "Unauthorized",
    errors.Forbidden: "Access Forbidden",
    errors.NotFound: "Not Found",
    errors.StaleVersion: "Precondition Failed",
    errors.Conflict: "Document already existing",
    errors.LostRace: "Conflict",
    errors.KeyInUse: "Conflict",
    errors.Unprocessable: "Unprocessable Entity",
    errors.RateLimited: "Too Many Requests",
    errors.HungUp: "Client Closed Request",
    errors.Unavailable: "Service Unavailable",
    errors.DeadlineExceeded: "Gateway Timeout",
    Exception: "Internal Server Error",
}
"""freezer-api's titles."""


def render(error: Exception) -> Response:
    """Return the answer for an error; that for an unexpected one tells nothing of it."""
    match error:
        case HTTPException():
            title, description = HTTPStatus(error.status_code).phrase, error.detail
        case GatewayError():
            title, description = _title(error), error.message
        case _:
            title, description = _title(error), "An unexpected error occurred on the server."
    document = {"title": title, "description": description}
    return json_response(document, status_of(error), **headers_of(error))


def _title(error: Exception) -> str:
    return next(TITLES[kind] for kind in type(error).__mro__ if kind in TITLES)
