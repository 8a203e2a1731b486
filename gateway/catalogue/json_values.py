"""JSON as the gateway takes it: what it refuses, and why both databases can hold the rest."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NoReturn

import orjson

from gateway.catalogue.tables import INT64
from gateway.errors import BadInput, shown

MAX_DEPTH = 100

# Numbers that orjson would read in another way than is promised here, or might: integers beyond
# 64 bits, numbers beyond the largest, a negative zero. Each is looked for after what a number may
# follow: a text holds any digits, as cursors do.
_DELICATE = re.compile(rb"[\[:,\s](?:-0(?![0-9])|-?[0-9](?:[0-9]{18}|[0-9.]*[eE][+-]?[0-9]{3}))")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def parse(body: bytes | str, *, what: str = "the body") -> Any:
    """Parse a JSON text; the last of duplicate keys wins, keys keep their order.

    Raises BadInput, naming the value, for text that isn't JSON or UTF-8, NaN and infinities,
    integers beyond 64 bits, NUL, lone surrogates and nesting beyond `MAX_DEPTH`.
    """
    if isinstance(body, bytes) and _is_plain(body):
        # Most bodies are; what is wrong with one is found out below.
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(body)
    try:
        text = body.decode() if isinstance(body, bytes) else body
        value = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise BadInput(f"{what} is not UTF-8: byte {error.start} is wrong") from None
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise BadInput(f"{what} is nested deeper than {MAX_DEPTH} levels") from None
    return value if not isinstance(value, (str, list, dict)) else checked(value, what=what)


def _is_plain(body: bytes) -> bool:
    """Whether it is an object or a list that orjson reads as is promised here."""
    deep = body.count(b"{") + body.count(b"[") > MAX_DEPTH
    # Escaped, there may be surrogates and NUL.
    delicate = deep or b"\\u" in body or _DELICATE.search(body) is not None
    return body.startswith((b"{", b"[")) and not delicate


def checked(value: Any, *, what: str = "the value") -> Any:
    """Return a parsed JSON value that both databases can hold; raise BadInput for any other."""
    dump(value, what=what)
    return value


def dump(value: Any, *, what: str = "the value") -> str:
    """Write a JSON value as compact text; BadInput as for `parse`."""
    # The encoder itself finds surrogates, large integers and deep nesting, at no extra cost; only
    # then is it worth looking where they are. What it lets pass is looked for in its output.
    try:
        text = orjson.dumps(value)
    except (TypeError, RecursionError) as error:
        _blame(value, what, str(error))
    if _NUL.search(text) or b"null" in text or text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _look(value, what)
    return text.decode()


def _blame(value: Any, what: str, reason: str) -> NoReturn:
    _look(value, what)
    raise BadInput(f"{what} is not JSON: {reason}")


def _look(value: Any, what: str) -> None:
    for path, depth, item in _walk(value):
        fault = _fault(item) if depth <= MAX_DEPTH else f"nested deeper than {MAX_DEPTH} levels"
        if fault:
            where = f"{what} at {path}" if path else what
            raise BadInput(f"{where} is {fault}", field=path.split(".")[0] or None)


def _walk(value: Any) -> Iterator[tuple[str, int, Any]]:
    """Every value and every key, with its path; without recursion, whatever the depth."""
    waiting: list[tuple[str, int, Any]] = [("", 0, value)]
    while waiting:
        path, depth, item = waiting.pop()
        yield path, depth, item
        if depth > MAX_DEPTH:
            continue
        dot = f"{path}." if path else ""
        if isinstance(item, dict):
            for key, child in item.items():
                name = shown(key)[1:-1] if isinstance(key, str) else shown(key)
                yield f"{dot}{name}", depth, key
                waiting.append((f"{dot}{name}", depth + 1, child))
        elif isinstance(item, list):
            waiting += ((f"{dot}{index}", depth + 1, child) for index, child in enumerate(item))


def _fault(item: Any) -> str | None:
    if isinstance(item, str):
        if "\0" in item:
            return f"text with a NUL character: {shown(item)}"
        if any("\ud800" <= character <= "\udfff" for character in item):
            return f"text with a lone surrogate: {shown(item)}"
    elif isinstance(item, float) and not math.isfinite(item):
        return f"not a number that JSON has: {item}"
    elif isinstance(item, int) and not -INT64 <= item < INT64:
        return f"an integer beyond 64 bits: {item}"
    return None


def _integer(digits: str) -> int:
    # Before int(): Python itself refuses thousands of digits, with an error that names nothing.
    if len(digits) > 20 or not -INT64 <= (value := int(digits)) < INT64:  # noqa: PLR2004
        raise BadInput(f"an integer is beyond 64 bits: {shown(digits)[1:-1]}")
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadInput(f"a number is out of range: {shown(digits)[1:-1]}")
    return value


def _constant(name: str) -> NoReturn:
    raise BadInput(f"{name} is not a number that JSON has")


def merged(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Apply a merge patch (RFC 7396): objects merge, other values replace, null removes a key."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result
