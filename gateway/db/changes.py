"""The changes of a transaction, as its entries in the change log tell them."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

from gateway.catalogue.change_words import ChangeKind, ChangeOperation

MAX_CHANGES = 200
"""How many changes an entry tells; of more it says only that there were many."""


class Item(NamedTuple):
    """An item that has changed; without an id, the settings of a project."""

    project_id: str
    kind: ChangeKind
    id: str


class ChangedItem(NamedTuple):
    """The last change of an item, and the version that it has, or had, if that is known."""

    operation: ChangeOperation
    version: int | None
    is_shared: bool
    """True if all projects see it."""


class Changes:
    """The items that a transaction has changed, unless nobody knows all of them."""

    def __init__(self) -> None:
        self.items: dict[Item, ChangedItem] = {}
        self.are_known = True
        """False if a statement has changed what nobody told."""

    def note(
        self,
        item: Item,
        operation: ChangeOperation = ChangeOperation.UPDATED,
        version: int | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        """Note a change of an item; one that the transaction has created stays created."""
        before = self.items.get(item)
        if before is not None:
            is_shared |= before.is_shared
            version = before.version if version is None else version
            created = before.operation is ChangeOperation.CREATED
            if created and operation is ChangeOperation.UPDATED:
                operation = before.operation
        self.items[item] = ChangedItem(operation, version, is_shared)

    def entry(self, project_id: str) -> str | None:
        """Return the entry of a project, as JSON; None for too many changes, or unknown ones."""
        return self._json(
            {item: change for item, change in self.items.items() if item.project_id == project_id}
        )

    def shared_entry(self) -> str | None:
        """Return the entry of what all projects see, as JSON; None as in `entry`."""
        return self._json({item: change for item, change in self.items.items() if change.is_shared})

    def _json(self, changes: Mapping[Item, ChangedItem]) -> str | None:
        if not self.are_known or len(changes) > MAX_CHANGES:
            return None
        return orjson.dumps(list(_rows(changes))).decode()


def _rows(changes: Mapping[Item, ChangedItem]) -> Iterator[list[object]]:
    for item, change in changes.items():
        row: list[object] = [item.kind.value, change.operation.value, item.id, change.version]
        yield [*row, item.project_id] if change.is_shared else row
