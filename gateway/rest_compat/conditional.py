"""Conditional requests: the ETags of items and lists, `If-Match` and `If-None-Match`."""

import re
from collections.abc import Set as AbstractSet
from hashlib import blake2b

from starlette.responses import Response

from gateway import __version__
from gateway.errors import BadInput, StaleVersion, shown
from gateway.rest_compat import items, links
from gateway.rest_compat.representations import Resource
from gateway.rest_compat.requests import V2Request

_TAG = re.compile(r'(?:W/)?"[^"]*"')
_TAGS = re.compile(rf"\s*{_TAG.pattern}(?:\s*,\s*{_TAG.pattern})*\s*", re.ASCII)
_OPAQUE = re.compile(r'"[^"]*"')
_VERSION = re.compile(r'"(0|[1-9][0-9]*)"', re.ASCII)
_NO_VERSION = -1
"""The expected version of an item that wasn't there: the resolver finds none, or another one."""


def item_tag(version: int, body: bytes) -> str:
    """Return the ETag of an item of this version, shown as this body.

    The version alone would not do: a job also shows its actions, and callers see different keys.
    """
    return f'"{version}-{blake2b(body, digest_size=16).hexdigest()}"'


def version_tag(version: int) -> str:
    """Return the tag of a version, for the answers to writes, which don't show the item.

    In `If-Match` it stands for every item of this version.
    """
    return f'"{version}"'


async def list_tag(request: V2Request, resource: Resource, revision: int) -> str:
    """Return the ETag of a list: of all that its answer depends on, not of the answer's bytes.

    Raises BadInput for a body that breaks off.
    """
    made_of = (
        __version__,
        revision,
        links.address(request, request.ctx.project_id, resource.name),
        request.http.scope["query_string"],
        await request.raw(),
        request.settings.rest_dialect,
        (request.ctx.default_limit, request.ctx.max_limit),
        (request.is_privileged, request.ctx.identity.user_id),
    )
    return f'W/"{blake2b(repr(made_of).encode(), digest_size=16).hexdigest()}"'


def known_tags(request: V2Request) -> AbstractSet[str]:
    """Return the weak tags of `If-None-Match`, or `*` alone. Raises BadInput."""
    text = _tags(request, "If-None-Match") or ""
    # Compared weakly: a tag without its W/ is the same tag.
    return {"*"} if text == "*" else {f"W/{opaque}" for opaque in _OPAQUE.findall(text)}


def not_modified(tag: str) -> Response:
    """Return 304: the caller's copy, which came with this tag, is current."""
    return Response(status_code=304, headers={"ETag": tag})


async def expected_version(
    request: V2Request, resource: Resource, *, creates: bool = False
) -> int | None:
    """Return the version that the item must have to be changed; None: any.

    Raises BadInput for a malformed `If-Match`, and StaleVersion where it has no tag of the item, or
    there is no item and the request would create one.
    """
    text = _tags(request, "If-Match")
    if text is None or (text == "*" and not creates) or request.ctx.repeats:
        return None
    # Weak tags never match: they don't say that the bytes are the same.
    tags = [tag for tag in _TAG.findall(text) if not tag.startswith("W/")]
    if len(tags) == 1 and (version := _VERSION.fullmatch(tags[0])):
        # The transaction compares it. 19 digits are more than any version has.
        return int(version[1][:19])
    item = await items.read(request, resource)
    if item is None:
        if creates:
            raise StaleVersion(
                f"there is no {resource.name[:-1]} with the id {shown(request.item_id)}"
            )
        return _NO_VERSION
    if text == "*":
        return None
    body, current = item
    if item_tag(current, body) in tags or version_tag(current) in tags:
        return current
    raise StaleVersion(
        f"If-Match: {shown(text)} has no tag of the {resource.name[:-1]} as it is now, which is "
        f"{item_tag(current, body)}"
    )


def _tags(request: V2Request, header: str) -> str | None:
    """Return the entity tags that a header lists, or its `*`; None without the header."""
    text = request.headers.get(header.lower())
    if text is None:
        return None
    text = text.strip()
    if text != "*" and not _TAGS.fullmatch(text):
        raise BadInput(f"{header}: {shown(text)} is no list of entity tags", field=header)
    return text
