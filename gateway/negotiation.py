"""Content negotiation: what an `Accept` or `Accept-Encoding` header prefers, by its q-values."""

import re
from collections.abc import Mapping
from functools import lru_cache

_WEIGHT = re.compile(r"[01](\.\d*)?")


@lru_cache(maxsize=256)
def weights(header: str, malformed: float = 1.0) -> Mapping[str, float]:
    """Return the `q` (0 to 1) of each range that a header names, by its lower-case name.

    `malformed` is the weight of a range whose `q` is not a number.
    """
    found = {}
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                number = _WEIGHT.fullmatch(value.strip())
                weight = min(weight, float(number[0]) if number else malformed)
        if name:
            found[name] = weight
    return found


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
