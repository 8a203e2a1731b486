"""Questions: requests that may be answered from memory, or by 304, as long as nothing changes.

The order makes answers right: the revision is looked up after the request came, and before its rows
are read, or with them in one statement. So an answer may be newer than the revision it is kept
under, which then never comes again; it is never older.
"""

from collections.abc import Callable, Hashable

from starlette.responses import Response

from gateway import __version__
from gateway.context import Context
from gateway.errors import Unavailable
from gateway.kept import tags
from gateway.kept.answers import OVERHEAD, Answers, Kept
from gateway.rates import costs

CACHE = "freezer-gateway"
"""The name by which `Cache-Status` (RFC 9211) calls the store."""
_STATUS = b"cache-status"
HIT = (_STATUS, f"{CACHE}; hit".encode())
BYPASS = (_STATUS, f"{CACHE}; fwd=bypass".encode())
"""The same of answers that are never kept."""
MAX_ASKED = 64 * 1024
"""The bytes of the longest request that is taken for a question."""

Asked = tuple[Hashable, ...]
"""All of a request that its answer depends on, but for the caller's rights."""


class Question:
    """One request on its way: what it may be answered by, and how its answer is kept."""

    def __init__(
        self,
        answers: Answers,
        ctx: Context,
        asked: Asked,
        known: str | None,
        tag_of: Callable[[int], str] | None = None,
    ) -> None:
        """Take what was asked, the `If-None-Match`, and the function from revisions to tags.

        Raises BadInput for a malformed header.
        """
        self.revision: int | None = None
        """The revision, once it is known; the caller may set the one that the rows came with."""
        self.charged = 0
        """The points that were charged for the look-up, and are part of the rows' cost."""
        self._answers = answers
        self._ctx = ctx
        # A local user's rights end at the project of the request: see `schema.global_ids`.
        rights = (ctx.policy.rights(ctx.identity, ctx.project_id), ctx.identity.is_local)
        self._generation = ctx.policy.generation
        self._asked = asked
        self._key = (ctx.project_id, rights, asked)
        self._known = tags.known(known) if known is not None else frozenset[str]()
        self._tag_of = tag_of or self._tag
        self._is_stale = False

    async def answered(self) -> Response | None:
        """Return the answer that is kept, or 304 to a caller who has it; else None.

        A hit costs as much as a 304: the look-up of the revision. It is charged also where rows
        have to be read, but in addition to them only to callers with tags. Raises RateLimited.
        """
        kept = self._answers.get(self._key)
        if kept is None and self._known <= {"*"}:
            return None
        await self._ctx.charge(costs.ITEM)
        self.charged = 0 if self._known else costs.ITEM
        await self.look_up()
        if self.revision is None:
            return None
        if kept is not None and kept.revision == self.revision:
            if self._known and ("*" in self._known or kept.tag in self._known):
                return self._not_modified(kept.tag)
            return _Again(kept)
        self._is_stale = kept is not None
        if self._known and (tag := self._tag_of(self.revision)) in self._known:
            return self._not_modified(tag)
        return None

    async def look_up(self) -> None:
        """Look up the revision, before the rows are read; if that fails, so will they."""
        if self.revision is None:
            try:
                self.revision = await self._answers.look_ups.revision(self._ctx.project_id)
            except Unavailable:
                return

    def keep(self, response: Response) -> Response:
        """Give an answer its tag and keep it; return what to send, which may be 304.

        It must depend on nothing but what was asked, the rights, and rows of the revision.
        """
        if self.revision is None:
            return response
        tag = self._tag_of(self.revision)
        headers = response.raw_headers
        headers.append((b"etag", tag.encode()))
        if "*" in self._known:
            return tags.not_modified(tag)
        if self._answers.is_on:
            is_stored = self._store(self.revision, tag, response)
            reason = b"stale" if self._is_stale else b"miss"
            stored = b"; stored" if is_stored else b""
            headers.append((_STATUS, b"%s; fwd=%s%s" % (CACHE.encode(), reason, stored)))
        return response

    def _store(self, revision: int, tag: str, response: Response) -> bool:
        if self._ctx.policy.generation != self._generation:
            # It may have been answered by other rights than those at its beginning.
            return False
        body = bytes(response.body)
        size = len(body) + sum(len(part) for part in self._asked if isinstance(part, bytes))
        kept = Kept(revision, tag, body, tuple(response.raw_headers), size + OVERHEAD)
        return self._answers.keep(self._key, kept)

    def _tag(self, revision: int) -> str:
        limits = (self._ctx.default_limit, self._ctx.max_limit)
        return tags.weak((__version__, revision, limits, *self._key))

    def _not_modified(self, tag: str) -> Response:
        response = tags.not_modified(tag)
        if self._answers.is_on:
            response.raw_headers.append(HIT)
        return response


class _Again(Response):
    """A kept answer, sent again as it was."""

    def __init__(self, kept: Kept) -> None:
        # Not those of its class, which would make the same headers anew.
        self.status_code = 200
        self.body = kept.body
        self.background = None
        self.raw_headers = [*kept.headers, HIT]
