"""JSON values that both databases can hold: parsing, checking, writing and merging."""

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

_BOM = "\ufeff"
"""The byte order mark, which some programs put before a text (RFC 8259, section 8.1)."""
_BOM_BYTES = _BOM.encode()

# Numbers that orjson reads, or may read, in another way than `parse` promises: integers beyond 64
# bits, numbers beyond the largest float, and a negative zero. Only after a character that a number
# may follow: texts hold any digits, as cursors do.
_DELICATE = re.compile(rb"[\[:,\s](?:-0(?![0-9])|-?[0-9](?:[0-9]{18}|[0-9.]*[eE][+-]?[0-9]{3}))")
_SURROGATE = re.compile("[\ud800-\udfff]")
# In orjson's output: NUL, and digits that may be an integer beyond 64 bits, which it writes up to
# 2^64.
_SUSPECT = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000|[0-9]{19}")


def parse(body: bytes | str, *, what: str = "the body") -> Any:
    """Return the value of a JSON text; keys keep their order, of duplicate keys the last one wins.

    `what` names the text in errors. Raises BadInput, naming the value, for text that isn't JSON or
    UTF-8, NaN, infinities, integers beyond 64 bits, NUL, lone surrogates, and nesting beyond
    `MAX_DEPTH`.
    """
    if isinstance(body, bytes):
        body = body.removeprefix(_BOM_BYTES)
        if _is_plain(body):
            # The fast path of most bodies; the slow one below finds what is wrong with a text.
            with suppress(orjson.JSONDecodeError):
                return orjson.loads(body)
    try:
        text = body.decode() if isinstance(body, bytes) else body.removeprefix(_BOM)
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise BadInput(f"{what} is not UTF-8: byte {error.start} is wrong") from None
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise BadInput(f"{what} is nested deeper than {MAX_DEPTH} levels") from None
    return value if not isinstance(value, (str, list, dict)) else check(value, what=what)


def _is_plain(body: bytes) -> bool:
    """Return True for an object or array that orjson reads as `parse` promises."""
    deep = body.count(b"{") + body.count(b"[") > MAX_DEPTH
    # An escape may be a lone surrogate or NUL.
    delicate = deep or b"\\u" in body or _DELICATE.search(body) is not None
    return body.startswith((b"{", b"[")) and not delicate


def check(value: Any, *, what: str = "the value") -> Any:
    """Return a parsed JSON value that both databases can hold; raise BadInput for any other.

    `what` names the value in errors.
    """
    dump(value, what=what)
    return value


def dump(value: Any, *, what: str = "the value") -> str:
    """Return a JSON value as compact text.

    `what` names the value in errors. Raises BadInput as `parse` does.
    """
    # orjson itself refuses surrogates, the largest integers and deep nesting, at no extra cost;
    # only then is the value searched for them. NUL, NaN, and those integers and nesting that it
    # accepts show in its output.
    try:
        text = orjson.dumps(value)
    except (TypeError, RecursionError) as error:
        _raise_not_json(value, what, str(error))
    if _SUSPECT.search(text) or b"null" in text or text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _check_parts(value, what)
    return text.decode()


def _raise_not_json(value: Any, what: str, reason: str) -> NoReturn:
    _check_parts(value, what)
    raise BadInput(f"{what} is not JSON: {reason}")


def _check_parts(value: Any, what: str) -> None:
    for path, depth, item in _walk(value):
        fault = _fault(item) if depth <= MAX_DEPTH else f"nested deeper than {MAX_DEPTH} levels"
        if fault:
            subject = f"{what} at {path}" if path else what
            raise BadInput(f"{subject} is {fault}", field=path.split(".")[0] or None)


def _walk(value: Any) -> Iterator[tuple[str, int, Any]]:
    """Yield the path, depth and value of every value and key, without recursion."""
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
        if _SURROGATE.search(item) is not None:
            return f"text with a lone surrogate: {shown(item)}"
    elif isinstance(item, float) and not math.isfinite(item):
        return f"not a number that JSON has: {shown(item)}"
    elif isinstance(item, int) and not -INT64 <= item < INT64:
        return f"an integer beyond 64 bits: {shown(item)}"
    return None


def integer(digits: str) -> int:
    """Return the integer that is written so; raise BadInput for one beyond 64 bits."""
    # Checked before int(), which refuses thousands of digits with an error that names no value.
    if len(digits) > 20 or not -INT64 <= (value := int(digits)) < INT64:  # noqa: PLR2004
        raise BadInput(f"an integer is beyond 64 bits: {shown(digits)[1:-1]}")
    return value


def number(digits: str) -> float:
    """Return the number that is written so; raise BadInput for one that no float can be."""
    value = float(digits)
    if not math.isfinite(value):
        raise BadInput(f"a number is out of range: {shown(digits)[1:-1]}")
    return value


def _constant(name: str) -> NoReturn:
    raise BadInput(f"{name} is not a number that JSON has")


_DECODER = json.JSONDecoder(parse_int=integer, parse_float=number, parse_constant=_constant)


def merge_patch(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return a document with a merge patch (RFC 7396) applied.

    Objects merge, other values replace, null removes a key. A key that is null already stays, so
    that the document itself is a patch that changes nothing.
    """
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            if result.get(key) is not None:
                del result[key]
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = merge_patch(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result
