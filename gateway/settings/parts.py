"""Types that several parts of the settings use."""

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_settings import NoDecode

_ADDRESS = re.compile(r"[^\s:]\S*:[0-9]{1,5}")

Names = Annotated[tuple[str, ...], NoDecode]
"""Names that are separated by commas where a text stands for them."""


def _addresses(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(_ADDRESS.fullmatch, names)):
        raise ValueError("must be addresses, each `host:port`")
    return names


Servers = Annotated[Names, AfterValidator(_addresses)]
"""Addresses of servers, as `host:port`."""
