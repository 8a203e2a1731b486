"""freezer-api's documents, read as far as they can be: what a JSON column can't hold is replaced.

freezer-api writes NaN, NUL and lone surrogates, which break those who read them, and MariaDB may
have cut a text at 64 KB.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from gateway.catalogue import json_values
from gateway.catalogue.checks import is_storable, storable
from gateway.catalogue.json_values import MAX_DEPTH
from gateway.errors import BadInput
from gateway.moving.reports import Reason

Fault = tuple[Reason, str]
"""The reason of a remark, and its message."""

MAX_DIGITS = 308
"""No float has more digits; a longer integer would be read as infinite."""


class Unreadable(Exception):
    """A text that no document can be made of."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def read(text: str, what: str) -> tuple[Any, Sequence[Fault]]:
    """Return the value of a JSON text, and what has been replaced in it.

    `what` names the text in messages. Raises Unreadable.
    """
    try:
        return json_values.parse(text.encode()), ()
    except (BadInput, UnicodeEncodeError):
        return _Reader(what).read(text)


def read_object(text: str, what: str) -> tuple[dict[str, Any], Sequence[Fault]]:
    """Return the object of a JSON text, and what has been replaced in it.

    `what` names the text in messages. Raises Unreadable, also for any other value.
    """
    value, faults = read(text, what)
    if not isinstance(value, dict):
        raise Unreadable(Reason.NOT_AN_OBJECT, f"{what} is no object")
    return value, faults


def plain_object(text: str) -> dict[str, Any] | None:
    """Return the object of a text that can be stored as it is, which nearly all can; else None.

    An integer beyond 64 bits is a float in it, and stays what it is in the text.
    """
    if "\\u" in text or "\n" in text or text.count("{") + text.count("[") > MAX_DEPTH:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def dump(value: Any) -> str:
    """Return a value that `read` has returned as JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # An integer beyond 64 bits, which JSON knows.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Reader:
    """A reader that goes on at a fault, and notes it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.faults: list[Fault] = []

    def read(self, text: str) -> tuple[Any, Sequence[Fault]]:
        with self._explaining(text):
            value = json.loads(text, parse_int=self._integer)
            return self._clean(value, "", 0), self.faults
        raise AssertionError

    @contextmanager
    def _explaining(self, text: str) -> Iterator[None]:
        try:
            yield
        except json.JSONDecodeError as error:
            size = len(text.encode(errors="surrogatepass"))
            where = f"at byte {size}, its last" if error.pos >= len(text) else f"at {error.pos}"
            raise Unreadable(
                Reason.NOT_JSON, f"{self.what} is not JSON: {error.msg} {where}"
            ) from None
        except RecursionError:
            raise Unreadable(Reason.TOO_DEEP, f"{self.what} is nested too deep") from None

    def _integer(self, digits: str) -> int | str:
        if len(digits) > MAX_DIGITS:
            self.faults.append(
                (Reason.NOT_A_NUMBER, f"{self.what} has an integer of {len(digits)} digits: a text")
            )
            return digits
        return int(digits)

    def _clean(self, value: Any, path: str, depth: int) -> Any:
        """Return a value with what can't be held replaced. Raises Unreadable."""
        if depth > MAX_DEPTH:
            raise Unreadable(
                Reason.TOO_DEEP, f"{self.what} is nested deeper than {MAX_DEPTH} levels"
            )
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, float) and not math.isfinite(value):
            self.faults.append((Reason.NOT_A_NUMBER, f"{self.what} has {value} at {path}: null"))
            return None
        if isinstance(value, list):
            return [self._clean(one, f"{path}[{at}]", depth + 1) for at, one in enumerate(value)]
        if isinstance(value, dict):
            return {
                self._text(key, path): self._clean(one, f"{path}.{key}".lstrip("."), depth + 1)
                for key, one in value.items()
            }
        return value

    def _text(self, value: str, path: str) -> str:
        if is_storable(value):
            return value
        self.faults.append(
            (
                Reason.UNUSABLE_TEXT,
                f"{self.what} has NUL or half a character at {storable(path)}: U+FFFD",
            )
        )
        return storable(value)
