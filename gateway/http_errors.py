"""Errors in HTTP: the status and the headers of each, the same on both surfaces."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException

from gateway import errors

STATUSES: Mapping[type[Exception], int] = {
    errors.TooLarge: 413,
    errors.BadInput: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.StaleVersion: 412,
    errors.Conflict: 409,
    errors.LostRace: 409,
    errors.KeyInUse: 409,
    errors.Unprocessable: 422,
    errors.RateLimited: 429,
    # As nginx logs it.
    errors.HungUp: 499,
    errors.Unavailable: 503,
    errors.DeadlineExceeded: 504,
    Exception: 500,
}
"""The status of each class of errors, and of its subclasses that are not listed."""


def status_of(error: Exception) -> int:
    """Return the status of an error; an unexpected one has 500."""
    if isinstance(error, HTTPException):
        return error.status_code
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def headers_of(error: Exception) -> dict[str, str]:
    """Return the headers that an answer with this error carries."""
    match error:
        case HTTPException():
            return dict(error.headers or {})
        case errors.Unavailable() | errors.RateLimited() | errors.KeyInUse():
            return {"Retry-After": str(error.retry_after)}
        case errors.Unauthenticated(uri=uri) if uri:
            return {"WWW-Authenticate": f'Keystone uri="{uri}"'}
    return {}
