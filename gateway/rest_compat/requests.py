"""What a v2 request asks for: which part of a list, which version of an item, what kind of answer.

`Call` is a request as the endpoints see it: made by somebody whom the rules let make it.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson
from starlette.requests import ClientDisconnect, Request

from gateway import __version__
from gateway.catalogue import json_values
from gateway.catalogue.tables import ID_BYTES, INT64
from gateway.context import Context
from gateway.errors import BadInput, shown
from gateway.query.filters import All, Condition, Where
from gateway.query.paging import Key, Page, PageRequest
from gateway.resolvers.collection import Collection
from gateway.rest_compat import searches
from gateway.rest_compat.documents import Resource, Shown
from gateway.settings import Settings

TRUE = frozenset({"true", "True", "t", "yes", "y", "1", "on"})
FALSE = frozenset({"false", "False", "f", "no", "n", "0", "off"})

MAX_LINK_LENGTH = 8000

_INTEGER = re.compile(r"\s*([+-]?)0*([0-9]+?)\s*", re.ASCII)
_TAG = r'(?:W/)?"[^"]*"'
_TAGS = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*", re.ASCII)
_OPAQUE = re.compile(r'"[^"]*"')
_VERSION = re.compile(r'"(0|[1-9][0-9]*)"', re.ASCII)


class BadParameter(BadInput):
    """A value in the query string that can't be used."""

    def __init__(self, name: str, reason: str) -> None:
        """Take the parameter's name, and what is wrong with its value."""
        super().__init__(f'The "{name}" parameter is invalid: {reason}', field=name)


@dataclass(frozen=True)
class Call:
    """A request, the context that it was let into, and the settings."""

    request: Request
    ctx: Context
    settings: Settings

    @cached_property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """The query string; parameters without a value don't count."""
        raw = self.request.scope["query_string"]
        try:
            return parse_qsl(raw.decode(), errors="strict")
        except UnicodeDecodeError:
            raise BadInput(
                f"the query string is not UTF-8: {shown(raw.decode('latin-1'))}"
            ) from None

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters by their names; the last of repeated ones counts."""
        return dict(self.pairs)

    @property
    def item_id(self) -> str:
        """The id in the path. Raises BadInput for what can't be one."""
        return self.in_path("id")

    def in_path(self, name: str) -> str:
        """Another id in the path. Raises BadInput for what can't be one."""
        item_id = self.request.path_params[name]
        if not possible_id(item_id):
            raise BadInput(f"no item can have the id {shown(item_id)}", field=name)
        return str(item_id)

    async def raw(self) -> bytes:
        """The body."""
        try:
            return await self.request.body()
        except ClientDisconnect:
            raise BadInput("the body broke off") from None

    async def body(self) -> dict[str, Any]:
        """The body's object; without a body, an empty one. Raises BadInput for anything else."""
        raw = await self.raw()
        value = json_values.parse(raw) if raw else {}
        if not isinstance(value, dict):
            raise BadInput(f"the body must be an object, not {shown(value)}")
        return value

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; absent, it is false."""
        value = self.query.get(name, "false")
        if value not in TRUE | FALSE:
            raise BadParameter(name, f'{shown(value)} is neither "true" nor "false"')
        return value in TRUE

    def number(self, name: str, least: int) -> int | None:
        """A parameter that is a 64-bit integer; None where it is absent."""
        if (text := self.query.get(name)) is None:
            return None
        if (match := _INTEGER.fullmatch(text)) is None:
            raise BadParameter(name, f"{shown(text)} is not an integer")
        # Twenty digits are beyond the range already, and Python refuses thousands of them.
        value = int(match[1] + match[2][:20])
        if not least <= value < INT64:
            raise BadParameter(name, f"{shown(text)} is not from {least} to {INT64 - 1}")
        return value

    def shown(self, resource: Resource) -> Shown:
        """How the resource looks to the caller, in the dialect that is set."""
        dialects = resource.dialects if self.trusted else resource.discreet or resource.dialects
        return dialects[self.settings.rest_dialect]

    @property
    def trusted(self) -> bool:
        """Whether the caller is shown what members aren't."""
        return bool(self.ctx.identity.roles & {"admin", "service"})

    def shows_trust(self, trustor_user_id: object) -> bool:
        """Whether the caller is shown a trust: members their own; freezer-api shows everybody."""
        own = trustor_user_id == self.ctx.identity.user_id
        return own or self.trusted or self.settings.rest_dialect == "freezer-19"

    async def search(self, resource: Resource) -> tuple[Where | None, str]:
        """Return the search that the body or a parameter asks for, and its text as a parameter."""
        raw, parameter = await self.raw(), self.query.get("search")
        sought = json_values.parse(raw) if raw else None
        if parameter is None:
            where = searches.compiled(resource, sought)
            return where, orjson.dumps(sought).decode() if where else ""
        if sought:
            raise BadParameter("search", "there is a search in the body as well")
        return searches.compiled(resource, json_values.parse(parameter, what="'search'")), ""

    async def page_request(self, collection: Collection) -> tuple[PageRequest, int | None]:
        """Return the part of the list that is asked for, and of which revision its marker is."""
        limit = self.number("limit", 1) or self.ctx.default_limit
        offset = self.number("offset", 0)
        marker = self.query.get("marker")
        if marker is not None and offset is not None:
            raise BadParameter("marker", f"there is an offset as well, {offset}")
        after, revision = (None, None)
        if marker is not None:
            after, revision = await self._position(collection, marker)
        first = min(limit, self.ctx.max_limit)
        return PageRequest(collection.order, first=first, after=after, offset=offset or 0), revision

    async def _position(self, collection: Collection, marker: str) -> tuple[Key, int | None]:
        """Where the item stands in the list that the marker names: `id`, or `project:id`."""
        parts = marker.split(":", 1)
        if all(possible_id(part) for part in parts):
            named = zip(reversed(collection.key), reversed(parts), strict=False)
            where = All(tuple(Condition(column, "eq", part) for column, part in named))
            keys = tuple(sort.column for sort in collection.order)
            page = await collection.find(
                self.ctx, PageRequest(collection.order, first=1), where, keys
            )
            if page.more:
                raise BadParameter(
                    "marker", f"{shown(marker)} is in several projects, say project:{marker}"
                )
            if page.rows:
                (row,) = page.rows
                return tuple(getattr(row, str(key.key)) for key in keys), page.revision
        raise BadParameter("marker", f"{shown(marker)} is no item of this list")

    def address(self, *parts: str) -> str:
        """Where clients reach what these parts of a path name, as an absolute URL."""
        return "/".join([self._base, "v2", *(quote(part, safe="") for part in parts)])

    @cached_property
    def _base(self) -> str:
        return base(self.settings, self.request)

    def next_page(self, resource: Resource, page: Page, search: str) -> str | None:
        """Return the address of the page after this one, or None after the last."""
        if not page.more:
            return None
        query = [(key, value) for key, value in self.pairs if key not in {"marker", "offset"}]
        if search:
            query.append(("search", search))
        if "offset" in self.query:
            query.append(("offset", str(page.next_offset())))
        else:
            sorted_by = {sort.column for sort in page.page_request.order}
            # With its project, where the list may hold two items of one id.
            named = [column for column in resource.collection.key if column in sorted_by]
            last = page.rows[-1]
            query.append(("marker", ":".join(getattr(last, str(column.key)) for column in named)))
        address = f"{self.address(self.ctx.project_id, resource.name)}?{urlencode(query)}"
        # A body may ask for more than an address can; servers refuse very long ones.
        return address if len(address) <= MAX_LINK_LENGTH else None

    def versions(self) -> tuple[int, ...] | None:
        """Return the versions of which `If-Match` names one; None for any. Raises BadInput."""
        text = self._tags("If-Match")
        if text is None or text == "*":
            return None
        # A tag that isn't ours is well-formed, and no version.
        return tuple(int(digits[:19]) for digits in _VERSION.findall(text)) or (-1,)

    def known(self) -> AbstractSet[str]:
        """Return the tags of what the caller has; `*` stands for any. Raises BadInput."""
        text = self._tags("If-None-Match") or ""
        # Compared weakly: whether the caller says so or not.
        return {"*"} if text == "*" else {f"W/{opaque}" for opaque in _OPAQUE.findall(text)}

    def _tags(self, header: str) -> str | None:
        """The entity tags that a header lists, or its `*`; None where there is no such header."""
        lines = self.request.headers.getlist(header)
        text = ", ".join(lines).strip()
        if lines and text != "*" and not _TAGS.fullmatch(text):
            raise BadInput(f"{header}: {shown(text)} is no list of entity tags", field=header)
        return text if lines else None

    async def tag(self, resource: Resource, revision: int) -> str:
        """Return the tag of a list: of all that its answer is made of, not of how it is written."""
        made_of = (
            __version__,
            revision,
            self.address(self.ctx.project_id, resource.name),
            self.request.scope["query_string"],
            await self.raw(),
            self.settings.rest_dialect,
            (self.ctx.default_limit, self.ctx.max_limit),
            (self.trusted, self.ctx.identity.user_id),
        )
        return f'W/"{blake2b(repr(made_of).encode(), digest_size=16).hexdigest()}"'

    @property
    def must_exist(self) -> bool:
        """Whether the item has to exist, whatever its version."""
        return self.request.headers.get("if-match", "").strip() == "*"

    @property
    def minimal(self) -> bool:
        """Whether the caller does without a body in the answer."""
        preferences = ",".join(self.request.headers.getlist("prefer")).lower().split(",")
        names = {preference.partition(";")[0].strip() for preference in preferences}
        return bool(names & {"return=minimal", 'return="minimal"'})


def base(settings: Settings, request: Request) -> str:
    """Return what the gateway's addresses begin with: as it is set, or as the client came."""
    if settings.public_url:
        return settings.public_url
    scope = request.scope
    server, root = scope.get("server"), scope.get("root_path", "")
    return _reached(scope["scheme"], request.headers.get("host"), server and tuple(server), root)


@lru_cache(maxsize=256)
def _reached(scheme: str, host: str | None, server: tuple[str, int] | None, root: str) -> str:
    """The address that Starlette finds, which takes it some time."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {"type": "http", "scheme": scheme, "headers": headers, "server": server}
    return str(Request({**scope, "root_path": root}).base_url).rstrip("/")


def possible_id(item_id: str) -> bool:
    """Tell whether both databases could hold this id."""
    return item_id.isprintable() and len(item_id.encode()) <= ID_BYTES


def accepts(accept: str, *media_types: str) -> bool:
    """Tell whether a header `Accept` lets one of these media types be the answer.

    The most specific range that a type falls under decides; an empty header takes everything.
    """
    ranges = {}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        ranges["*/*" if name == "*" else name] = not any(
            re.fullmatch(r"q\s*=\s*0(?:\.0*)?", parameter) for parameter in parameters
        )
    if not accept.strip():
        return True
    return any(
        next(
            (
                ranges[name]
                for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
                if name in ranges
            ),
            False,
        )
        for media_type in media_types
    )
