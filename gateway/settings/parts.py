"""Types that several parts of the settings use."""

from typing import Annotated

from pydantic_settings import NoDecode

Names = Annotated[tuple[str, ...], NoDecode]
"""Names that are separated by commas where a text stands for them."""
