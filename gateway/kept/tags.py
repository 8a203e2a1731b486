"""Entity tags: those that a request's header lists, and those of all that an answer is made of."""

import re
from collections.abc import Set as AbstractSet
from hashlib import blake2b

from starlette.responses import Response

from gateway.errors import BadInput, shown

TAG = re.compile(r'(?:W/)?"[^"]*"')
_TAGS = re.compile(rf"\s*{TAG.pattern}(?:\s*,\s*{TAG.pattern})*\s*", re.ASCII)
_OPAQUE = re.compile(r'"[^"]*"')


def listed(header: str, text: str | None) -> str | None:
    """Return the entity tags that a header lists, or its `*`; None without the header.

    Raises BadInput.
    """
    if text is None:
        return None
    text = text.strip()
    if text != "*" and not _TAGS.fullmatch(text):
        raise BadInput(f"{header}: {shown(text)} is no list of entity tags", field=header)
    return text


def known(text: str | None) -> AbstractSet[str]:
    """Return the weak tags of an `If-None-Match`, or `*` alone. Raises BadInput."""
    tags = listed("If-None-Match", text) or ""
    # Compared weakly: a tag without its W/ is the same tag.
    return {"*"} if tags == "*" else {f"W/{opaque}" for opaque in _OPAQUE.findall(tags)}


def weak(made_of: object) -> str:
    """Return the tag of an answer: of all that it depends on, not of its bytes."""
    return f'W/"{blake2b(repr(made_of).encode(), digest_size=16).hexdigest()}"'


def not_modified(tag: str) -> Response:
    """Return 304: the caller's copy, which came with this tag, is current."""
    return Response(status_code=304, headers={"ETag": tag})
