"""The plan cache: operations that come again are kept, those that come once pass through."""

from collections.abc import Hashable
from typing import Any

from cachetools import LRUCache

PROTECTED, PROBATION = 400_000, 100_000
"""Characters of text in each segment; a planned operation takes some 200 bytes for each."""


class PlanCache:
    """A segmented LRU cache, bounded by the lengths of the texts that its entries came of.

    What is new goes on probation, in a small segment. What is asked for again there is protected,
    in a large one, out of which only others that came again push it: documents that come once,
    and mutations with their values written into them, never do.
    """

    def __init__(self, protected: int = PROTECTED, probation: int = PROBATION) -> None:
        self._protected: LRUCache[Hashable, tuple[Any, int]] = LRUCache(protected, _size)
        self._probation: LRUCache[Hashable, tuple[Any, int]] = LRUCache(probation, _size)

    def get(self, key: Hashable) -> Any:
        """Return what is kept under this key, or None."""
        entry = self._protected.get(key)
        if entry is None:
            entry = self._probation.pop(key, None)
            if entry is None:
                return None
            self._protected[key] = entry
        return entry[0]

    def add(self, key: Hashable, value: object, length: int) -> None:
        """Keep a value made of a text of this length, unless it would take most of the room."""
        if length <= self._probation.maxsize / 2:
            self._probation[key] = (value, length)

    def __len__(self) -> int:
        """Return how many entries are kept."""
        return len(self._protected) + len(self._probation)


def _size(entry: tuple[Any, int]) -> int:
    return entry[1]
