"""Checks of what a client sends: one value, the keys of a document, the texts of a row.

A check of a value takes the key and the value, returns the value, and raises BadInput naming both
for a wrong one.
"""

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from sqlmodel import SQLModel

from gateway.catalogue.tables import INT64, columns, max_bytes_of
from gateway.errors import BadInput, shown

Check = Callable[[str, object], object]

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ID = re.compile(r"[\w-]+")
_HOST = r"[a-zA-Z\d](?:[a-zA-Z\d-]{0,61}[a-zA-Z\d])?"
_CLIENT_ID = re.compile(rf"(?:[\w-]+_)?{_HOST}(?:\.{_HOST})*")


def string(key: str, value: object) -> str:
    """Return a string; raise BadInput for any other value."""
    if not isinstance(value, str):
        raise BadInput(f"'{key}' must be a string, not {shown(value)}", field=key)
    return value


def integer(key: str, value: object) -> int:
    """Return an integer of 64 bits; raise BadInput for any other value, booleans included."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"'{key}' must be an integer, not {shown(value)}", field=key)
    if not -INT64 <= value < INT64:
        raise BadInput(f"'{key}' is an integer beyond 64 bits: {value}", field=key)
    return value


def boolean(key: str, value: object) -> bool:
    """Return a boolean; raise BadInput for any other value."""
    if not isinstance(value, bool):
        raise BadInput(f"'{key}' must be true or false, not {shown(value)}", field=key)
    return value


def mapping(key: str, value: object) -> dict[str, Any]:
    """Return a JSON object; raise BadInput for any other value."""
    if not isinstance(value, dict):
        raise BadInput(f"'{key}' must be an object, not {shown(value)}", field=key)
    return value


def sequence(key: str, value: object) -> list[Any]:
    """Return a JSON array; raise BadInput for any other value."""
    if not isinstance(value, list):
        raise BadInput(f"'{key}' must be an array, not {shown(value)}", field=key)
    return value


def identifier(key: str, value: object) -> str:
    """Return an id of letters, digits, `_` and `-`; raise BadInput for any other value."""
    return _match(key, value, _ID, "an id (letters, digits, '_' and '-')")


def client_identifier(key: str, value: object) -> str:
    """Return a client's id, `[prefix_]host.name`; raise BadInput for any other value."""
    return _match(key, value, _CLIENT_ID, "a client id ([prefix_]host.name)")


def one_of(vocabulary: Collection[str]) -> Callable[[str, object], str]:
    """Return a check that the value is one of these words."""

    def check(key: str, value: object) -> str:
        if value not in vocabulary or not isinstance(value, str):
            words = ", ".join(f"'{word}'" for word in vocabulary)
            raise BadInput(f"'{key}': {shown(value)} is not one of {words}", field=key)
        return value

    return check


def matching(pattern: re.Pattern[str], meaning: str) -> Callable[[str, object], str]:
    """Return a check that the value is a text of this pattern; `meaning` names it in errors."""
    return lambda key, value: _match(key, value, pattern, meaning)


def optional(check: Check) -> Check:
    """Return the check with null let through."""

    def check_unless_null(key: str, value: object) -> object:
        return None if value is None else check(key, value)

    return check_unless_null


def _match(key: str, value: object, pattern: re.Pattern[str], meaning: str) -> str:
    if not pattern.fullmatch(string(key, value)):
        raise BadInput(f"'{key}': {shown(value)} is not {meaning}", field=key)
    return str(value)


def check_keys(
    document: Mapping[str, Any], keys: Mapping[str, Check], *, closed: str | None = None
) -> None:
    """Check the values of those keys that have a check.

    Raises BadInput for a wrong value, and with `closed`, the document's name, for any other key.
    """
    for key, value in document.items():
        if key in keys:
            keys[key](key, value)
        elif closed:
            raise BadInput(
                f"additional properties are not allowed ('{closed}' has no {shown(key)})", field=key
            )


def check_lengths(row: SQLModel, names: Collection[str] | None = None) -> None:
    """Check that both databases can hold the row's texts, and an index the short ones.

    `names` are the columns to check, None for all. Raises BadInput naming the column, and its limit
    in bytes of UTF-8.
    """
    limits = _limits(type(row))
    for key, value in vars(row).items():
        if not isinstance(value, str) or (names is not None and key not in names):
            continue
        size = len(value.encode(errors="surrogatepass"))
        if size > limits.get(key, size):
            raise BadInput(
                f"'{key}' is {size} bytes long, the limit is {limits[key]}: {shown(value)}",
                field=key,
            )
        if not is_storable(value):
            raise BadInput(f"'{key}' has characters no text has: {shown(value)}")


@cache
def _limits(table: type[SQLModel]) -> Mapping[str, int]:
    """Return the limits of a table's short texts, in bytes of UTF-8, by column."""
    limits = {column.key: max_bytes_of(table, column.key) for column in columns(table)}
    return {key: limit for key, limit in limits.items() if limit is not None}


def is_storable(text: str) -> bool:
    """Return True if both databases can hold the text: no NUL, no lone surrogates."""
    # Nearly all are, and this is ten times as fast.
    return "\0" not in text if text.isascii() else not _UNSTORABLE.search(text)


def storable(text: str) -> str:
    """Return the text with U+FFFD in place of what no database can hold."""
    return _UNSTORABLE.sub("\ufffd", text)
