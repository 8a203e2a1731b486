"""Errors as GraphQL shows them: each with a code, and an unexpected one masked."""

import re
from collections.abc import Collection, Iterable

import structlog
from graphql import GraphQLError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gateway import logs
from gateway.errors import BadInput, Code, GatewayError
from gateway.http_errors import headers_of, status_of

log = structlog.get_logger(__name__)

MAX_MESSAGE = 1000
_QUOTED_OR_WORD = re.compile(
    r""" ' (?:[^'\\]|\\.)* ' | " (?:[^"\\]|\\.)* " | \b(?:None|True|False|Undefined|nan|inf)\b """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = {
    "None": "null",
    "True": "true",
    "False": "false",
    "Undefined": "nothing",
    "nan": "NaN",
    "inf": "Infinity",
}
"""Python's words, and the ones of JSON and GraphQL."""

MASK = "something went wrong on the server; its log has the details under the request's id"


COMMITTED = "the change was made; don't repeat it. Only reading it back failed"


def show_all(errors: Iterable[GraphQLError], committed: Collection[str] = ()) -> None:
    """Show each error; what caused several of them is logged once.

    Errors below the response's keys in `committed` say that the mutation itself succeeded.
    """
    logged: set[int] = set()
    for error in errors:
        show(error, logged)
        if committed and error.path and error.path[0] in committed:
            error.message = f"{COMMITTED}: {error.message}"
            error.extensions = (error.extensions or {}) | {"code": Code.NOT_READ_BACK.value}


def show(error: GraphQLError, logged: set[int] | None = None) -> None:
    """Give an error its code and the request's id; log an unexpected one whole, and mask it.

    `logged` are the causes that are in the log already, by identity.
    """
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    extensions: dict[str, object] = {}
    if isinstance(cause, GatewayError):
        extensions["code"] = cause.code.value
        if cause.field:
            extensions["field"] = cause.field
    elif cause is None or isinstance(cause, GraphQLError) or _is_input_error(error, cause):
        # What graphql-core itself finds: syntax, validation, values of a wrong type.
        extensions["code"] = Code.BAD_USER_INPUT.value
    else:
        if logged is None or id(cause) not in logged:
            log.error("unexpected error", path=error.path, exc_info=cause)
        if logged is not None:
            logged.add(id(cause))
        error.message = MASK
        extensions["code"] = Code.INTERNAL.value
    if not isinstance(cause, GatewayError) or error.message != cause.message:
        # graphql-core quotes whatever it was given, as Python writes it.
        error.message = _in_json_words(error.message[: MAX_MESSAGE + 1])
    if len(error.message) > MAX_MESSAGE:
        error.message = f"{error.message[:MAX_MESSAGE]}…"
    if (request_id := logs.request_id.get()) is not None:
        extensions["requestId"] = request_id
    error.extensions = extensions


def render(error: Exception) -> Response:
    """Return the answer to a request that failed outside of an operation; its status is REST's."""
    match error:
        case GatewayError():
            cause, message = error, error.message
        case HTTPException():
            cause, message = BadInput(error.detail), error.detail
        case _:
            cause, message = GatewayError(MASK), MASK
    shown = GraphQLError(message, original_error=cause)
    show(shown)
    return JSONResponse({"errors": [shown.formatted]}, status_of(error), headers_of(error))


def _in_json_words(message: str) -> str:
    """Return a message with Python's words, outside of quoted texts, replaced by JSON's."""
    return _QUOTED_OR_WORD.sub(lambda found: _WORDS.get(found[0], found[0]), message)


def _is_input_error(error: GraphQLError, cause: BaseException) -> bool:
    # Values are read before anything has a path, and Python reads no integer of 5000 digits.
    unreadable = isinstance(cause, ValueError) and error.path is None and error.nodes is not None
    return unreadable or type(cause).__module__.startswith("strawberry.exceptions")
