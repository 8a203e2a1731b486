"""Conditional requests: the ETags of items and lists, `If-Match` and `If-None-Match`."""

import re
from collections.abc import Set as AbstractSet
from hashlib import blake2b

from starlette.responses import Response

from gateway import __version__
from gateway.errors import BadInput, StaleVersion, shown
from gateway.rest_compat import links
from gateway.rest_compat.representations import Resource
from gateway.rest_compat.requests import V2Request

_TAG = r'(?:W/)?"[^"]*"'
_TAGS = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*", re.ASCII)
_OPAQUE = re.compile(r'"[^"]*"')
_VERSION = re.compile(r'"(0|[1-9][0-9]*)"', re.ASCII)


def item_tag(version: int) -> str:
    """Return the ETag of an item of this version."""
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

    Raises BadInput for a malformed `If-Match`, and StaleVersion for `If-Match: *` where there is no
    item and the request would create one.
    """
    versions = _versions(request)
    if versions is not None and len(versions) == 1:
        return versions[0]
    if versions is None and not (creates and _must_exist(request)):
        return None
    row = await resource.collection.get(
        request.ctx, request.item_id, (resource.collection.source.c.version,)
    )
    if versions is None:
        if row is None:
            raise StaleVersion(
                f"there is no {resource.name[:-1]} with the id {shown(request.item_id)}"
            )
        return None
    return row[-1] if row is not None and row[-1] in versions else versions[0]


def _versions(request: V2Request) -> tuple[int, ...] | None:
    """Return the versions that `If-Match` lists; None: any. Raises BadInput."""
    text = _tags(request, "If-Match")
    if text is None or text == "*":
        return None
    # A tag of another kind is well-formed, and matches no version.
    return tuple(int(digits[:19]) for digits in _VERSION.findall(text)) or (-1,)


def _must_exist(request: V2Request) -> bool:
    return request.http.headers.get("if-match", "").strip() == "*"


def _tags(request: V2Request, header: str) -> str | None:
    """Return the entity tags that a header lists, or its `*`; None without the header."""
    lines = request.http.headers.getlist(header)
    text = ", ".join(lines).strip()
    if lines and text != "*" and not _TAGS.fullmatch(text):
        raise BadInput(f"{header}: {shown(text)} is no list of entity tags", field=header)
    return text if lines else None
