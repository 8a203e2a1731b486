"""A request's headers by their names: read once for all who look one up."""

from collections.abc import Mapping

from starlette.types import Scope

_HEADERS = "gateway.headers"
"""The key in a request's scope of what `request_headers` has returned."""


def request_headers(scope: Scope) -> Mapping[str, str]:
    """Return the headers of an ASGI scope by their names, which are in lower case.

    Several lines of one name are one list, as RFC 9110 says.
    """
    known: Mapping[str, str] | None = scope.get(_HEADERS)
    if known is None:
        known = scope[_HEADERS] = _joined(scope["headers"])
    return known


def _joined(lines: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in lines}
    if len(found) < len(lines):
        found = {}
        for line in lines:
            name, value = (part.decode("latin-1") for part in line)
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
