"""The store of answers: bytes by what was asked, with the revision at which they were read."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from cachetools import LRUCache

from gateway.db.database import Database
from gateway.kept.look_ups import LookUps

LARGEST_PART = 8
"""An answer that would take more than one part in so many of the memory isn't kept."""
OVERHEAD = 1500
"""The bytes that an answer takes beside its body and what was asked."""

Headers = Sequence[tuple[bytes, bytes]]


class Kept(NamedTuple):
    """An answer as it was sent, and the revision that its rows were read at, or after."""

    revision: int
    tag: str
    body: bytes
    headers: Headers
    size: int


class Answers:
    """Keeps answers, up to so many bytes of them; those that nobody asks for go first."""

    def __init__(self, database: Database, most: int) -> None:
        self.is_on = most > 0
        self.look_ups = LookUps(database)
        self._largest = most // LARGEST_PART
        self._kept: LRUCache[Hashable, Kept] = LRUCache(most, _size)

    @property
    def bytes(self) -> int:
        """The bytes that all of them take."""
        return int(self._kept.currsize)

    def get(self, key: Hashable) -> Kept | None:
        """Return the answer that is kept under a key, of whatever revision, or None."""
        return self._kept.get(key)

    def keep(self, key: Hashable, kept: Kept) -> bool:
        """Keep an answer in place of the key's old one; return False if it would take too much."""
        if kept.size > self._largest:
            self._kept.pop(key, None)
            return False
        self._kept[key] = kept
        return True

    def clear(self) -> None:
        """Forget all answers."""
        self._kept.clear()

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)


def _size(kept: Kept) -> int:
    return kept.size
