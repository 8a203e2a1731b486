"""Inputs and payloads: what mutations have in common."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import strawberry
from sqlmodel import SQLModel
from strawberry import Some

from gateway.context import Context, ItemKey
from gateway.errors import NotFound
from gateway.resolvers.impact import SHOWN
from gateway.schema.fields import listed
from gateway.schema.global_ids import decode

Draft = TypeVar("Draft")


def draft_of(draft: type[Draft], given: Any, **others: object) -> Draft:
    """Return a draft with the fields of an input, and others in place of some of them."""
    names = {field.name for field in fields(given)} - others.keys()
    return draft(**{name: getattr(given, name) for name in names}, **others)


def target(ctx: Context, text: str, name: str, field: str = "id") -> str:
    """Return the REST id of the item that a mutation is about, from its global id.

    Raises BadInput for a text that is no global id of this type, and NotFound for another
    project's.
    """
    _, (project_id, item_id) = decode(text, field, name)
    if project_id != ctx.project_id:
        raise NotFound(f"no {name.lower()} with the id '{text}' in this project", field=field)
    return item_id


def given(patch: Any, *names: str, clearable: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields of a patch that are given.

    Null says as little as an absent field, except in those of `clearable`, whose value it clears.
    """
    return {
        name: value.value
        for name in names
        if isinstance(value := getattr(patch, name), Some)
        and (value.value is not None or name in clearable)
    }


def without_nulls(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new document without its nulls, which say nothing in it."""
    return {key: value for key, value in document.items() if value is not None}


def key_of(row: SQLModel) -> ItemKey:
    """Return a row's project and id."""
    return row.project_id, row.id  # type: ignore[attr-defined]  # every table has them


@strawberry.input(description="An item to delete.")
class DeleteInput:
    """The input of every deletion."""

    id: strawberry.ID = strawberry.field(description="The global id of the item.")


@strawberry.type(description="The cost of a deletion of backups from the catalogue.")
class DeletionImpact:
    """The attributes of an Impact."""

    lost = listed(
        "backups.Backup",
        "The restore points that go with the deleted backups: their data stay, but the catalogue "
        f"doesn't tell of them any more. At most {SHOWN}.",
    )
    lost_count: int = strawberry.field(description="The number of restore points that go.")
    broken = listed(
        "backups.Backup",
        "The restore points that need one of the deleted backups: whether they can be restored is "
        f"unknown then, or they are broken. At most {SHOWN}.",
    )
    broken_count: int = strawberry.field(description="The number of restore points that break.")
    chains_count: int = strawberry.field(description="The number of chains that break.")


@strawberry.type(description="The item that was deleted.")
class DeletePayload:
    """Enough for a client to take the item out of its cache."""

    deleted_id: strawberry.ID = strawberry.field(description="The global id that the item had.")
    impact: DeletionImpact | None = strawberry.field(
        default=None,
        description="The cost of the deletion of a backup, where `dryRun` asks for it; else null.",
    )
