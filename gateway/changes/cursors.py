"""Cursors: the places in the change log that a reader has come to."""

import re
from typing import NamedTuple, Self

from gateway.errors import BadInput, shown

_CURSOR = re.compile(r"(\d{1,18})-([0-9a-f]{1,16})-(\d{1,18})-([0-9a-f]{1,16})", re.ASCII)


class Place(NamedTuple):
    """The position of a project in the change log, and its revision there."""

    position: int = 0
    revision: int = 0


NOWHERE = Place()
"""The place of a project that has never changed."""


class Cursor(NamedTuple):
    """The place of a project, and that of what all projects see."""

    own: Place
    shared: Place

    def __str__(self) -> str:
        """Return the cursor as clients keep it."""
        own, shared = self
        return f"{own.position}-{own.revision:x}-{shared.position}-{shared.revision:x}"

    @classmethod
    def read(cls, text: str, field: str) -> Self:
        """Return the cursor of a text. Raises BadInput, blaming `field`, for any other text."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise BadInput(f"'{field}': {shown(text)} is not a cursor of changes", field=field)
        own, own_revision, shared, shared_revision = found.groups()
        return cls(
            Place(int(own), int(own_revision, 16)), Place(int(shared), int(shared_revision, 16))
        )
