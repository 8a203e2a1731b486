"""Content negotiation: what an `Accept` or `Accept-Encoding` header prefers, by its q-values."""

import re
from collections.abc import Mapping
from functools import lru_cache

_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,])+')
"""An item of the list; a quoted text may hold commas."""
_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^;])+')
"""The name of an item, or one of its parameters; a quoted text may hold semicolons."""
_WEIGHT = re.compile(r"0?\.\d+|0\.?|1(\.0*)?", re.ASCII)


@lru_cache(maxsize=256)
def weights(header: str) -> Mapping[str, float]:
    """Return the `q` (0 to 1) of each range that a header names, by its lower-case name.

    A `q` that is no weight is ignored. Of ranges that are named twice, the one without parameters
    counts, then the greatest weight.
    """
    found: dict[str, tuple[bool, float]] = {}
    for item in _ITEM.findall(header):
        name, *parameters = (part.strip().lower() for part in _PART.findall(item) or [""])
        weight, is_plain = 1.0, True
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() != "q":
                is_plain = False
            elif _WEIGHT.fullmatch(value.strip()):
                weight = float(value)
        if name:
            found[name] = max(found.get(name, (False, 0.0)), (is_plain, weight))
    return {name: weight for name, (_, weight) in found.items()}


def weight_of(media_type: str, ranges: Mapping[str, float]) -> float:
    """Return the weight of a media type: that of the most specific range, 0 where none matches."""
    for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*", "*"):
        if name in ranges:
            return ranges[name]
    return 0.0


@lru_cache(maxsize=256)
def accepts(header: str, *media_types: str) -> bool:
    """Return True if an `Accept` header admits one of the types; an empty one admits all."""
    ranges = weights(header)
    return not header.strip() or any(weight_of(each, ranges) > 0 for each in media_types)


@lru_cache(maxsize=256)
def preferred(header: str, usual: str, *others: str) -> str | None:
    """Return the media type that an `Accept` header prefers, or None if it admits none.

    Of equals, the last that the header names counts, else the usual type. An empty header prefers
    that as well.
    """
    if not header.strip():
        return usual
    ranges = weights(header)
    best, most = usual, weight_of(usual, ranges)
    for other in others:
        weight = weight_of(other, ranges)
        if weight > most or (weight == most and other in ranges):
            best, most = other, weight
    return best if most > 0 else None
