"""Polls: the requests by which schedulers ask for the jobs of their clients, told from all others.

A scheduler of freezer asks for jobs that `match` its client's id, and whose status does `match_not`
"completed". `freezer job-list -C` and dashboards don't leave completed jobs out.
"""

from typing import Any

from gateway.catalogue import json_values
from gateway.errors import BadInput
from gateway.rest_compat.requests import is_storable_id

MAX_KNOWN = 20_000
"""How many searches are remembered: a scheduler sends the same one each time."""
MAX_BYTES = 1024
"""The length of a search that may be a poll."""
_COMPLETED = {"status": "completed"}

_known: dict[bytes, str | None] = {}


def client_of(body: bytes) -> str | None:
    """Return the id of the client whose scheduler sent a request for jobs; None for all others."""
    try:
        return _known[body]
    except KeyError:
        pass
    client_id = _client_of(body) if 0 < len(body) <= MAX_BYTES else None
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    if len(body) <= MAX_BYTES:
        _known[body] = client_id
    return client_id


def _client_of(body: bytes) -> str | None:
    try:
        search: Any = json_values.parse(body)
    except BadInput:
        return None
    if not isinstance(search, dict) or search.keys() != {"match", "match_not"}:
        return None
    if search["match_not"] != [_COMPLETED]:
        return None
    match search["match"]:
        case [{"client_id": str() as client_id, **others}] if not others:
            return client_id if is_storable_id(client_id) else None
    return None
