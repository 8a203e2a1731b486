"""Subscriptions in GraphQL: any query, live, and the feed of changes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Optional

import strawberry

from gateway.catalogue.change_words import ChangeKind as Kind
from gateway.catalogue.change_words import ChangeOperation as Operation
from gateway.changes.log import Change
from gateway.schema.enums import ChangeKind, ChangeOperation
from gateway.schema.fields import Node, declare
from gateway.schema.global_ids import encoder
from gateway.schema.views import AnyItemField, AnyKey, ChangesField, LiveField

MAX_MILLISECONDS = 3_600_000
"""The longest interval of a live query, and the longest time to collect changes."""
MIN_INTERVAL = 200
"""The shortest interval of a live query, in milliseconds."""
DEFAULT_INTERVAL, DEFAULT_COALESCE = 1000, 200

VIEW_OF = {
    Kind.BACKUP: "Backup",
    Kind.JOB: "Job",
    Kind.ACTION: "Action",
    Kind.CLIENT: "Client",
    Kind.SESSION: "Session",
    Kind.SERIES: "Series",
}
"""The types of the items of each kind."""

After = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of the last message received, to go on behind it; over "
        "server-sent events, `Last-Event-ID` does the same."
    ),
]
Kinds = Annotated[
    list[ChangeKind] | None,
    strawberry.argument(description="The kinds of changes; all that you may list if absent."),
]
Coalesce = Annotated[
    int,
    strawberry.argument(
        description="The milliseconds for which changes are collected, at most an hour. With 0, "
        "each is told at once; what happens in the same moment is still one message."
    ),
]
Interval = Annotated[
    int,
    strawberry.argument(
        description="The least milliseconds between two answers, from 200 to an hour. Lists of "
        "all projects are looked at every 5 seconds at most."
    ),
]


@strawberry.type(description="A change of an item of the catalogue.")
class ItemChange:
    """The attributes of a ToldChange."""

    kind: ChangeKind = strawberry.field(description="The kind of the item.")
    operation: ChangeOperation = strawberry.field(description="The sum of what has happened to it.")
    id: strawberry.ID | None = strawberry.field(
        description="The global id of the item; null for settings."
    )
    node = declare(
        AnyItemField("key"),
        Optional[Node],
        "The item as it is now; null if it is deleted, or not visible.",
    )
    version: int | None = strawberry.field(
        description="The version that it has by this change, or had last; null where that isn't "
        "known. That of `node` may be later."
    )
    time: datetime = strawberry.field(description="The time of the last of its changes.")


@strawberry.type(
    description="The changes since the message before, one for each item, the oldest first."
)
class ChangeMessage:
    """The attributes of a Message."""

    cursor: str = strawberry.field(description="The place in the feed, for `after`.")
    is_reset: bool = strawberry.field(
        description="True if not all changes are known since `after`, or since the message before: "
        "read anew what you need. The first message without `after` says so, too."
    )
    changes: list[ItemChange] = strawberry.field(description="The changes; none in a reset.")


@dataclass(frozen=True, slots=True)
class ToldChange:
    """A change as the feed shows it."""

    kind: str
    operation: str
    id: str | None
    key: AnyKey | None
    version: int | None
    time: datetime

    @classmethod
    def of(cls, change: Change) -> "ToldChange":
        """Return a change of the log as the feed shows it."""
        view = VIEW_OF.get(change.kind)
        item_id = None if view is None else encoder(view)(change.project_id, change.id)
        is_gone = view is None or change.operation is Operation.DELETED
        key = (
            None
            if is_gone
            else AnyKey(str(view), (change.project_id, change.id), all_projects=False)
        )
        kind, operation = change.kind.value, change.operation.value
        return cls(kind, operation, item_id, key, change.version, change.time)


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the feed, with the changes since the one before."""

    cursor: str
    is_reset: bool
    changes: list[ToldChange]


def subscription(query: type) -> type:
    """Return the type of subscriptions over this type of queries."""

    class Subscription:
        """The root of subscriptions."""

        changes = declare(
            ChangesField(),
            ChangeMessage,
            "The changes of the project's items, and of central clients, as they are made. None "
            "is left out: who was away too long, or is too slow, is told to read anew.",
            {
                "after": (After, None),
                "kinds": (Kinds, None),
                "coalesce": (Coalesce, DEFAULT_COALESCE),
            },
        )
        live = declare(
            LiveField(),
            query,
            "Any query, live: answered at once, and again whenever the answer is another one.",
            {"interval": (Interval, DEFAULT_INTERVAL)},
        )

    description = "Following the catalogue, over server-sent events."
    made: type = strawberry.type(Subscription, description=description)
    return made
