"""Types that several parts of the settings use."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

Names = Annotated[tuple[str, ...], NoDecode]
"""Names that are separated by commas where a text stands for them."""
Servers = Annotated[tuple[Annotated[str, Field(pattern=r"^[^\s:].*:[0-9]{1,5}$")], ...], NoDecode]
"""Addresses of servers, as `host:port`."""
