"""From a socket's handshake and first message to the requests that its operations are."""

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

from gateway.errors import shown
from gateway.headers import request_headers
from gateway.overload import ARRIVALS
from gateway.schema.socket_closing import Close, Closing

_CALLERS = frozenset({"x-auth-token", "x-service-token", "x-project-id"})
"""The headers that say who asks, which the first message may have as well: browsers set none."""
_PASSED_ON = _CALLERS | {"host", "origin"}
"""The headers of the handshake that each operation has."""
_OWN = [(b"content-type", b"application/json"), (b"accept", b"application/graphql-response+json")]


def headers_of(scope: Scope, payload: Any) -> Mapping[str, str]:
    """Return what a request for the socket's caller has for headers. Raises Closing."""
    if payload is not None and not isinstance(payload, dict):
        reason = f"the payload of connection_init must be an object, not {shown(payload)}"
        raise Closing(Close.BAD_REQUEST, reason)
    found = {name: value for name, value in request_headers(scope).items() if name in _PASSED_ON}
    for key, value in (payload or {}).items():
        name = key.lower()
        if name == "authorization" and isinstance(value, str):
            kind, _, token = value.partition(" ")
            if kind.lower() == "bearer":
                found["x-auth-token"] = token.strip()
        elif name in _CALLERS and value is not None:
            if not isinstance(value, str) or not value.isascii() or not value.isprintable():
                raise Closing(Close.BAD_REQUEST, f"'{key}' must be a header's value, a text")
            found[name] = value
    return found


def request_of(scope: Scope, headers: Mapping[str, str]) -> Scope:
    """Return the scope of a POST to a socket's address."""
    kept = ("app", "asgi", "client", "path", "raw_path", "root_path", "server", "state", ARRIVALS)
    lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    request: Scope = {
        "type": "http",
        "method": "POST",
        "http_version": "1.1",
        "scheme": "https" if scope["scheme"] == "wss" else "http",
        "query_string": b"",
        "headers": [*_OWN, *lines],
        **{key: scope[key] for key in kept if key in scope},
    }
    # Read once for all operations.
    request_headers(request)
    return request
