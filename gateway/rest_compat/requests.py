"""A v2 request, parsed: its parameters, its body, its search and its part of a list."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from gateway.catalogue import json_values
from gateway.catalogue.tables import ID_BYTES, INT64
from gateway.context import Context
from gateway.errors import BadInput, shown
from gateway.headers import request_headers
from gateway.origins import base_url
from gateway.query.filters import All, Condition, Where
from gateway.query.paging import Key, PageRequest
from gateway.resolvers.collection import Collection
from gateway.rest_compat import searches
from gateway.rest_compat.errors import BadParameter
from gateway.rest_compat.representations import Representation, Resource
from gateway.settings import Settings

TRUE = frozenset({"true", "True", "t", "yes", "y", "1", "on"})
FALSE = frozenset({"false", "False", "f", "no", "n", "0", "off"})

_WAIT = re.compile(r'wait\s*=\s*"?0*([0-9]+?)"?', re.ASCII)
_INTEGER = re.compile(r"\s*([+-]?)0*([0-9]+?)\s*", re.ASCII)


@dataclass(frozen=True)
class V2Request:
    """A request of an authorized caller: Starlette's request, its context, and the settings."""

    http: Request
    ctx: Context
    settings: Settings

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case."""
        return request_headers(self.http.scope)

    @cached_property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """The query string's parameters, without those that have no value. Raises BadInput."""
        raw = self.http.scope["query_string"]
        try:
            return parse_qsl(raw.decode(), errors="strict")
        except UnicodeDecodeError:
            raise BadInput(
                f"the query string is not UTF-8: {shown(raw.decode('latin-1'))}"
            ) from None

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters by name; the last of repeated ones counts."""
        return dict(self.pairs)

    @property
    def item_id(self) -> str:
        """The id in the path. Raises BadInput for one that can't be stored."""
        return self.path_id("id")

    def path_id(self, name: str) -> str:
        """Return another id in the path. Raises BadInput for one that can't be stored."""
        item_id = self.http.path_params[name]
        if not is_storable_id(item_id):
            raise BadInput(f"no item can have the id {shown(item_id)}", field=name)
        return str(item_id)

    async def raw(self) -> bytes:
        """Return the body. Raises BadInput for one that breaks off."""
        return await self.http.body()

    async def body(self) -> dict[str, Any]:
        """Return the body's JSON object, empty for an empty body. Raises BadInput for others."""
        raw = await self.raw()
        value = json_values.parse(raw) if raw else {}
        if not isinstance(value, dict):
            raise BadInput(f"the body must be an object, not {shown(value)}")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean parameter, False if absent. Raises BadParameter."""
        value = self.query.get(name, "false")
        if value not in TRUE | FALSE:
            raise BadParameter(name, f'{shown(value)} is neither "true" nor "false"')
        return value in TRUE

    def number(self, name: str, least: int) -> int | None:
        """Return a 64-bit integer parameter of at least `least`, None if absent.

        Raises BadParameter.
        """
        if (text := self.query.get(name)) is None:
            return None
        if (match := _INTEGER.fullmatch(text)) is None:
            raise BadParameter(name, f"{shown(text)} is not an integer")
        # Twenty digits are out of range already, and Python refuses thousands of them.
        value = int(match[1] + match[2][:20])
        if not least <= value < INT64:
            raise BadParameter(name, f"{shown(text)} is not from {least} to {INT64 - 1}")
        return value

    def representation(self, resource: Resource) -> Representation:
        """Return the documents of a resource in the configured dialect, as the caller sees them."""
        dialects = resource.dialects if self.is_privileged else resource.members
        return (dialects or resource.dialects)[self.settings.rest_dialect]

    @property
    def is_privileged(self) -> bool:
        """True for administrators and services, who see what members don't."""
        return bool(self.ctx.identity.roles & {"admin", "service"})

    @property
    def sees_all_trusts(self) -> bool:
        """True if the caller sees all trusts; members do in freezer-19, else only their own."""
        return self.is_privileged or self.settings.rest_dialect == "freezer-19"

    def may_see_trust(self, trustor_user_id: object) -> bool:
        """Return True if the caller sees the trust of this trustor."""
        return self.sees_all_trusts or trustor_user_id == self.ctx.identity.user_id

    @property
    def sight(self) -> searches.Sight:
        """The extent of what the caller is shown, and may search for."""
        of = None if self.sees_all_trusts else self.ctx.identity.user_id
        return searches.Sight(self.is_privileged, of, self.settings.rest_dialect)

    async def search(self, resource: Resource) -> tuple[Where | None, str]:
        """Return the condition of the request's search, and a body's search as a parameter.

        Raises BadInput for a malformed search, BadParameter for one in both places.
        """
        raw, parameter = await self.raw(), self.query.get("search")
        sought = json_values.parse(raw) if raw else None
        if parameter is None:
            where = searches.search_condition(resource, sought, self.sight)
            return where, orjson.dumps(sought).decode() if where else ""
        if sought:
            raise BadParameter("search", "there is a search in the body as well")
        given = json_values.parse(parameter, what="'search'")
        return searches.search_condition(resource, given, self.sight), ""

    @cached_property
    def page_length(self) -> int:
        """The most items that the answer may list. Raises BadParameter."""
        return min(self.number("limit", 1) or self.ctx.default_limit, self.ctx.max_limit)

    async def page_request(self, collection: Collection) -> tuple[PageRequest, int | None]:
        """Return the part of the list that is asked for, and the revision its marker was read at.

        Raises BadParameter.
        """
        offset = self.number("offset", 0)
        marker = self.query.get("marker")
        if marker is not None and offset is not None:
            raise BadParameter("marker", f"there is an offset as well, {offset}")
        after, revision = (None, None)
        if marker is not None:
            after, revision = await self._position(collection, marker)
        order, first = collection.order, self.page_length
        return PageRequest(order, first=first, after=after, offset=offset or 0), revision

    async def _position(self, collection: Collection, marker: str) -> tuple[Key, int | None]:
        """Return the sort key of a marker's item (`id`, or `project:id`), and its revision."""
        parts = marker.split(":", 1)
        if all(is_storable_id(part) for part in parts):
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

    @cached_property
    def base_url(self) -> str:
        """The beginning of the gateway's addresses, without a slash at its end."""
        return base_url(self.settings, self.http)

    @cached_property
    def wait(self) -> int | None:
        """The seconds that the caller waits for a change (`Prefer: wait=30`), at most `max_wait`.

        None for callers who don't, where nobody may, and for what is no number (RFC 7240).
        """
        if "prefer" not in self.headers or not self.settings.max_wait:
            return None
        for preference in self.headers["prefer"].lower().split(","):
            if (wait := _WAIT.fullmatch(preference.partition(";")[0].strip())) is not None:
                # Nine digits are more than any limit.
                return min(int(wait[1][:9]), self.settings.max_wait)
        return None

    @property
    def prefers_minimal(self) -> bool:
        """True if the caller sent `Prefer: return=minimal`."""
        preferences = self.headers.get("prefer", "").lower().split(",")
        names = {preference.partition(";")[0].strip() for preference in preferences}
        return bool(names & {"return=minimal", 'return="minimal"'})


def is_storable_id(item_id: str) -> bool:
    """Return True if both databases can hold this id."""
    return item_id.isprintable() and len(item_id.encode()) <= ID_BYTES
