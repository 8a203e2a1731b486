"""What mutations have in common: drafts as inputs, patches, payloads that show what is now."""

from collections.abc import Mapping
from typing import Any

import strawberry
from sqlmodel import SQLModel
from strawberry import Some

from gateway.context import Context, ItemKey
from gateway.errors import NotFound
from gateway.schema.global_ids import decode


def input_of(draft: type, name: str, about: str, /, **fields: str) -> None:
    """Make an input of a draft: the same dataclass; `fields` describes each of its own."""
    made = strawberry.input(draft, name=name, description=about)
    for field in made.__strawberry_definition__.fields:  # type: ignore[attr-defined]
        field.description = fields[field.python_name]


def target(ctx: Context, text: str, name: str, field: str = "id") -> str:
    """The id, as the catalogue knows it, of the item that a mutation is about.

    Raises BadInput for what is no global id of this type, NotFound for another project's.
    """
    _, (project_id, item_id) = decode(text, field, name)
    if project_id != ctx.project_id:
        raise NotFound(f"no {name.lower()} with the id '{text}' in this project", field=field)
    return item_id


def given(patch: Any, *names: str) -> dict[str, Any]:
    """Those of a patch's fields that are there, null or not."""
    return {name: value.value for name in names if isinstance(value := getattr(patch, name), Some)}


def present(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a new document says: a null in it says nothing."""
    return {key: value for key, value in document.items() if value is not None}


def key_of(row: SQLModel) -> ItemKey:
    """A row's project and id."""
    return row.project_id, row.id  # type: ignore[attr-defined]  # every table has them


@strawberry.input(description="What to delete.")
class DeleteInput:
    """Which item."""

    id: strawberry.ID = strawberry.field(description="The item's global id.")


@strawberry.type(description="What is gone.")
class DeletePayload:
    """Enough for a client to take the item out of its cache."""

    deleted_id: strawberry.ID = strawberry.field(description="The global id that the item had.")
