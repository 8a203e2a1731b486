"""Conditional requests: the ETags of items and lists, `If-Match` and `If-None-Match`."""

import re
from collections.abc import Set as AbstractSet
from hashlib import blake2b

from gateway import __version__
from gateway.errors import StaleVersion, shown
from gateway.kept import tags
from gateway.kept.answers import Answers
from gateway.kept.questions import Question
from gateway.rest_compat import items, links
from gateway.rest_compat.representations import Resource
from gateway.rest_compat.requests import V2Request

_VERSION = re.compile(r'"(0|[1-9][0-9]*)"', re.ASCII)
_WITH_DIGEST = re.compile(r'"([0-9a-f]{32})-([0-9a-f]{32})"')
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


async def question(request: V2Request, resource: Resource) -> Question:
    """Return what a list may be answered by from memory, or by 304.

    Its ETag is of all that the answer depends on, not of the answer's bytes. A request that waits
    is answered as one without a tag: `long_polling` compares them. Raises BadInput for a malformed
    `If-None-Match`, and a body that breaks off.
    """
    asked = (
        links.address(request, request.ctx.project_id, resource.name),
        request.http.scope["query_string"],
        await request.raw(),
        request.settings.rest_dialect,
        (request.ctx.default_limit, request.ctx.max_limit),
        # Callers see the trusts of their own.
        (request.is_privileged, request.ctx.identity.user_id),
    )
    answers: Answers = request.http.app.state.kept
    given = None
    if request.wait is None and (given := request.headers.get("if-none-match")) is not None:
        given = _WITH_DIGEST.sub(r'"\1"', given)

    def tag_of(revision: int) -> str:
        return tags.weak((__version__, revision, *asked))

    return Question(answers, request.ctx, asked, given, tag_of)


def list_tag(tag: str, digest: str) -> str:
    """Return the ETag of a list for callers who wait: it also tells the answer's bytes."""
    return f'{tag[:-1]}-{digest}"'


def known_digests(known: AbstractSet[str]) -> AbstractSet[str]:
    """Return the digests of answers that tags tell."""
    found = (_WITH_DIGEST.fullmatch(tag.removeprefix("W/")) for tag in known)
    return {match[2] for match in found if match is not None}


def known_tags(request: V2Request) -> AbstractSet[str]:
    """Return the weak tags of `If-None-Match`, or `*` alone. Raises BadInput."""
    return tags.known(request.headers.get("if-none-match"))


async def expected_version(
    request: V2Request, resource: Resource, *, creates: bool = False
) -> int | None:
    """Return the version that the item must have to be changed; None: any.

    Raises BadInput for a malformed `If-Match`, and StaleVersion where it has no tag of the item, or
    there is no item and the request would create one.
    """
    text = tags.listed("If-Match", request.headers.get("if-match"))
    if text is None or (text == "*" and not creates) or request.ctx.repeats:
        return None
    # Weak tags never match: they don't say that the bytes are the same.
    strong = [tag for tag in tags.TAG.findall(text) if not tag.startswith("W/")]
    if len(strong) == 1 and (version := _VERSION.fullmatch(strong[0])):
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
    if item_tag(current, body) in strong or version_tag(current) in strong:
        return current
    raise StaleVersion(
        f"If-Match: {shown(text)} has no tag of the {resource.name[:-1]} as it is now, which is "
        f"{item_tag(current, body)}"
    )
