"""What an observed request is: who asks what, what was answered, what must be answered."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict, Unpack

Caller = Literal[
    "member",  # of project <PA>
    "other",  # member of project <PB> only
    "reader",  # of project <PA>
    "admin",  # of project <ADM>, with the role admin
    "service",  # of project <SVC>, with the role service
    "unscoped",
    "nobody",  # sends no token
    "empty",  # sends X-Auth-Token without a value
    "bad",  # sends a token that isn't one
    "forged",  # sends a token that looks like one
]

Variables = dict[str, str]

PLACEHOLDER: Final = re.compile(r"<(\w+)>")


class Missing:
    """The key must not be there."""


class Absent:
    """Nothing is sent, or nothing is expected."""


MISSING: Final = Missing()
ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class Exactly:
    """The whole value, with no other keys; keys in this order."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer that is right; of the body, only what is given here is compared."""

    status: int
    has: Any = ABSENT
    """Objects may have further keys, a type stands for any value of it."""
    includes: Mapping[str, Any] | None = None
    """One entry of the listed ones has this."""
    rows: int | None = None
    """How many entries are listed."""
    hosts: tuple[str, ...] | None = None
    """The host names of the listed backups, in order."""
    names: tuple[str, ...] = ()
    """What the error's title or description has to mention."""
    allow: str = ""
    """The methods of the Allow header, HEAD and OPTIONS aside."""
    location: str = ""
    """How the Location header ends."""
    text: str = ""
    media_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One observed request, or (with `observed` 0) a step that only prepares the next ones."""

    name: str
    request: str
    observed: int
    why: str
    """What of the contract decides, wherever freezer-api 19 answers otherwise."""
    answer: Answer
    without_auth: Answer | None = None
    """With identity `none`, if the answer is another one there."""
    body: Any = ABSENT
    raw: bytes = b""
    pad: int = 0
    """Characters of padding to add to the body."""
    chunked: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: Caller = "member"
    save: Mapping[str, str] = field(default_factory=dict)
    """Variable to the key of the answer that it takes."""
    needs_keystone: bool = False
    """Whether somebody must be refused what whoever comes without a token may do."""


class Expected(TypedDict, total=False):
    """The columns of a row that say what is answered, as in `Answer`."""

    has: Any
    includes: Mapping[str, Any]
    rows: int
    hosts: tuple[str, ...]
    names: tuple[str, ...]
    allow: str
    location: str
    text: str
    media_type: str


class Row(Expected, total=False):
    """The columns of a row that it need not have, as in `Case`."""

    body: Any
    raw: bytes
    pad: int
    chunked: bool
    headers: Mapping[str, str]
    caller: Caller
    save: Mapping[str, str]
    needs_keystone: bool
    without_auth: Answer


def case(
    name: str, request: str, observed: int, status: int = 0, why: str = "", **row: Unpack[Row]
) -> Case:
    """Return a row; without `status` the gateway answers as freezer-api 19 does."""
    columns: dict[str, Any] = dict(row)
    expected = {key: columns.pop(key) for key in Expected.__annotations__ if key in columns}
    answer = Answer(status=status or observed, **expected)
    return Case(name=name, request=request, observed=observed, why=why, answer=answer, **columns)


def step(request: str, status: int, **row: Unpack[Row]) -> Case:
    """Return a step that is no observed row, but makes the ground for the next ones."""
    name = " ".join(["setup:", request, *row.get("save", {})])
    return case(name, request, 0, status, **row)


def filled(value: Any, variables: Variables) -> Any:
    """Return the value with every `<variable>` in it replaced, unknown ones left alone."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: variables.get(match[1], match[0]), value)
    if isinstance(value, list):
        return [filled(item, variables) for item in value]
    if isinstance(value, dict):
        return {filled(key, variables): filled(item, variables) for key, item in value.items()}
    if isinstance(value, Exactly):
        return Exactly(filled(value.value, variables))
    return value


def mismatch(expected: object, actual: object, where: str = "body") -> str:
    """Return where the actual value departs from the expected one, or nothing."""
    if isinstance(expected, Exactly):
        same = json.dumps(expected.value) == json.dumps(actual)
        return "" if same else f"{where}: {actual!r} is not exactly {expected.value!r}"
    if isinstance(expected, type):
        return "" if type(actual) is expected else f"{where}: {actual!r} is no {expected.__name__}"
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = (entry_mismatch(expected[key], key, actual, where) for key in expected)
        return next(filter(None, found), "")
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return next(filter(None, (mismatch(e, a, f"{where}[{i}]") for i, (e, a) in pairs)), "")
    same = type(expected) is type(actual) and expected == actual
    return "" if same else f"{where}: {actual!r} is not {expected!r}"


def entry_mismatch(expected: object, key: str, actual: dict[str, Any], where: str) -> str:
    """Return how the object's key departs from what is expected of it, or nothing."""
    if isinstance(expected, Missing):
        return f"{where}.{key} is there" if key in actual else ""
    if key not in actual:
        return f"{where}.{key} is missing"
    return mismatch(expected, actual[key], f"{where}.{key}")
