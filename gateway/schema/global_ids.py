"""Global ids: base64 of `Type:project:id`, opaque to clients and no secret."""

import base64
import binascii
from collections.abc import Callable
from functools import cache

from gateway.context import Context, ItemKey
from gateway.errors import BadInput, shown
from gateway.schema.views import VIEWS, View


@cache
def encoder(name: str) -> Callable[[str, str], str]:
    """Return the function that encodes projects and ids as global ids of one type."""
    base64 = binascii.b2a_base64

    def encode(project_id: str, item_id: str) -> str:
        return base64(f"{name}:{project_id}:{item_id}".encode(), newline=False).decode()

    return encode


def decode(text: str, field: str, name: str | None = None) -> tuple[View, ItemKey]:
    """Return the view and the key of a global id, of one type where `name` is given.

    Raises BadInput, blaming `field`, for any other text.
    """
    try:
        kind, project_id, item_id = base64.b64decode(text, validate=True).decode().split(":", 2)
    except (binascii.Error, ValueError):
        kind = project_id = item_id = ""
    view = VIEWS.get(kind)
    if view is None or not view.key or name not in {None, kind} or "\0" in project_id + item_id:
        wanted = name or "node"
        raise BadInput(f"'{field}': {shown(text)} is not the id of a {wanted}", field=field)
    return view, (project_id, item_id)


def in_other_project(ctx: Context, view: View, project_id: str) -> bool:
    """Return True for another project's item where the caller may read across projects.

    A global id says whose it is, so that `node` needs no other argument; Relay allows none. Where
    nobody is authenticated, nothing but the request itself keeps projects apart.
    """
    if project_id == ctx.project_id or ctx.identity.is_local:
        return False
    rule = view.collection.all_projects.rule
    return ctx.policy.allows(rule, ctx.identity, ctx.project_id)


def reader(ctx: Context, view: View, project_id: str) -> Context | None:
    """Return the context to read a project's item in; None for one that the caller can't read."""
    if project_id == ctx.project_id:
        return ctx
    if not in_other_project(ctx, view, project_id):
        return None
    rules = view.collection.rules
    return ctx.elsewhere(project_id, rules.all_projects, rules.item, rules.list)
