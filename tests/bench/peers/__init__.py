"""The programs that are measured, one module each, and what a run needs to know of them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tests.bench.catalogue import Catalogue
from tests.bench.workload import Item, Request


@dataclass(frozen=True)
class Peer:
    """A program that serves the catalogue.

    `requests` are those of each short name, to be sent in turn; `read` finds the items in an
    answer; `counting` counts SQL statements, where the database can tell. `cores` is where it may
    run; `about` names its version and settings. `paired_with` names the program that takes
    its turns right before or after.
    """

    name: str
    url: str
    process: int
    requests: Mapping[str, Sequence[Request]]
    read: Callable[[str, bytes], Sequence[Item]]
    catalogue: Catalogue
    about: str
    counting: Callable[[], AbstractContextManager[list[int]]] | None = None
    processes: int = 1
    paired_with: str | None = None

    def only(self, *keys: str) -> "Peer":
        """Return it with no other requests than these."""
        return replace(self, requests={key: self.requests[key] for key in keys})

    def without(self, *keys: str) -> "Peer":
        """Return it without these of its requests."""
        return self.only(*(each for each in self.requests if each not in keys))
