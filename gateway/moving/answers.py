"""Both services' REST answers compared, item by item, in freezer-api's own dialect.

Both are asked over HTTP, as any client asks them. A difference that is meant is counted by its
kind: those are in `KINDS`. Any other is one of the gateway's, or an item that isn't the same.
"""

import asyncio
import json
import math
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import httpx

from gateway.catalogue.vocabularies import CAPABILITIES
from gateway.errors import Unavailable
from gateway.moving.importing import Progress

IDS: Mapping[str, str] = {
    "clients": "client_id",
    "sessions": "session_id",
    "actions": "action_id",
    "jobs": "job_id",
    "backups": "backup_id",
}
"""The collections, with the keys of their ids."""
PAGE = 500
AT_ONCE = 8
MAX_SHOWN = 20
"""The differences, at most, that are shown."""
OK, NOT_FOUND, SERVER_ERROR = 200, 404, 500
AWAY = frozenset({502, 503, 504})
"""The statuses of answers that come in place of a service's own."""

Path = tuple[str, ...]
Differing = tuple[Path, Any, Any]
"""A path at which two documents differ, and their values there."""


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()
"""The value of a key that a document doesn't have."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of difference that is meant."""

    name: str
    why: str
    """The reason why the gateway answers otherwise."""
    holds: Callable[[Path, Any, Any], bool]
    """True of a path and the values there and here of such a difference."""


def _is_unusable(text: str) -> bool:
    """Return True for a text with NUL, or with half a surrogate pair."""
    return any(one == "\0" or "\ud800" <= one <= "\udfff" for one in text)


_RETRIES = {"max_retries": 5, "max_retries_interval": 6, "hold_off": 30}
_TIMES = ("time_start", "time_end", "time_started", "time_ended")

KINDS: Sequence[Kind] = (
    Kind(
        "event",
        "a scheduler dies of a schedule without 'event', or with 'abort' and no 'current_pid'",
        lambda path, there, here: (
            (
                path in {("job_schedule", "event"), ("job_schedule", "current_pid")}
                and there is MISSING
                and here in {"", 0}
            )
            or (path == ("job_schedule",) and there in ("", None) and here == {"event": ""})
        ),
    ),
    Kind(
        "not-a-number",
        "NaN and infinities are no JSON",
        lambda _, there, here: (
            (isinstance(there, float) and not math.isfinite(there) and here is None)
            or (isinstance(there, int) and abs(there) > sys.float_info.max and here == str(there))
        ),
    ),
    Kind(
        "unusable-text",
        "NUL and half a surrogate pair break readers",
        lambda path, there, here: (
            (isinstance(there, str) and isinstance(here, str) and _is_unusable(there))
            # A key of an object.
            or (here is MISSING and _is_unusable(path[-1]))
            or (there is MISSING and "\ufffd" in path[-1])
        ),
    ),
    Kind(
        "null",
        "a column is null there that has a value of its own kind here, or an empty text there",
        lambda path, there, here: (
            (there is None and here == _RETRIES.get(path[-1], MISSING))
            or (there is None and here in ("", False) and path[-1] in {"description", "mandatory"})
            or (there is None and here == -1 and path[-1] in _TIMES)
            or (there == "" and here is None and path[-1] in {"status", "result"})
        ),
    ),
    Kind(
        "states",
        "a session has the states of its jobs, each with a status and a result",
        lambda path, there, here: (
            (path == ("jobs",) and not isinstance(there, dict) and here == {})
            or (path[:1] == ("jobs",) and there is MISSING and here == "")
        ),
    ),
    Kind(
        "capabilities",
        "a client that was registered before there were any has all of them",
        lambda path, there, here: (
            path[:1] == ("client",)
            and path[-1] in CAPABILITIES
            and there == []
            and here == list(CAPABILITIES[path[-1]])
        ),
    ),
    Kind(
        "credentials",
        "a job's trust is shown to its trustor, and to those who work by it",
        lambda path, _, here: path == ("user_credentials",) and here is MISSING,
    ),
)
"""The kinds of differences that are meant, of documents that both sides have."""
FAILS_THERE = "fails-there"
"""freezer-api answers 5xx of a row that it can't read."""
REFUSED = "refused"
"""The import has refused the row, and has reported it."""
DUPLICATE = "duplicate"
"""freezer-api has several clients of this id, one of which is here: the import has reported it."""
OTHER = "other"


class _Failed(Unavailable):
    """A list that isn't answered, as one of its rows can't be read."""


@dataclass(slots=True)
class Side:
    """A service, and the tokens to ask it with."""

    client: httpx.AsyncClient
    tokens: Mapping[str, str]
    """By project; that of all others has the key ''."""
    name: str
    pages_by_marker: bool = False
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def get(self, project_id: str, path: str, **parameters: str) -> tuple[int, Any]:
        """Return the status and the document of an address; None for one that isn't JSON.

        Raises Unavailable.
        """
        token = self.tokens.get(project_id) or self.tokens.get("")
        headers = {"X-Auth-Token": token} if token else {}
        try:
            async with self._at_once:
                response = await self.client.get(
                    f"/v2/{project_id}/{path}", headers=headers, params=parameters
                )
        except httpx.HTTPError as error:
            raise Unavailable(
                f"{self.name} doesn't answer: {error or type(error).__name__}"
            ) from error
        try:
            # Python's, which reads NaN.
            return response.status_code, json.loads(response.content)
        except ValueError:
            return response.status_code, None

    async def listed(self, project_id: str, kind: str) -> AsyncIterator[Sequence[Any]]:
        """Yield the pages of a list, with None in place of a row at which the service fails.

        Raises Unavailable, also for another answer.
        """
        done, marker = 0, ""
        while True:
            if self.pages_by_marker:
                documents = await self._page(project_id, kind, PAGE, marker=marker)
                marker = id_of(kind, documents[-1]) if documents else ""
            else:
                documents = await self._readable(project_id, kind, done, PAGE)
                if len(documents) == PAGE and not any(documents):
                    raise Unavailable(f"{self.name} answers no page of the list of {kind}")
            if documents:
                yield documents
            done += len(documents)
            if len(documents) < PAGE:
                return

    async def _page(
        self, project_id: str, kind: str, limit: int, **where: str
    ) -> Sequence[dict[str, Any]]:
        """Return a page of a list. Raises _Failed, and Unavailable for another answer."""
        given = {name: value for name, value in where.items() if value}
        status, found = await self.get(project_id, kind, limit=str(limit), **given)
        if status == OK and isinstance(found, dict):
            documents: Sequence[dict[str, Any]] = found[kind]
            return documents
        message = f"{self.name} answers {status} to the list of {kind}"
        is_of_a_row = status >= SERVER_ERROR and status not in AWAY
        raise _Failed(message) if is_of_a_row else Unavailable(message)

    async def _readable(self, project_id: str, kind: str, start: int, limit: int) -> Sequence[Any]:
        """Return a page by its offset, with None in place of a row at which the service fails.

        Such a row spoils the whole page, and is found by halving it. Raises Unavailable.
        """
        try:
            return await self._page(project_id, kind, limit, offset=str(start) if start else "")
        except _Failed:
            if limit == 1:
                return [None]
        half = limit // 2
        first = await self._readable(project_id, kind, start, half)
        if len(first) < half:
            return first
        return [*first, *await self._readable(project_id, kind, start + half, limit - half)]


@dataclass(frozen=True, slots=True)
class Answer:
    """A difference between two answers."""

    kind: str
    collection: str
    project_id: str
    id: str
    path: str
    there: Any
    here: Any


@dataclass
class Answers:
    """The comparison of two services' answers."""

    there: Side
    here: Side
    progress: Progress
    compared: Counter[str] = field(default_factory=Counter)
    """The number of documents of each collection."""
    kinds: Counter[str] = field(default_factory=Counter)
    shown: list[Answer] = field(default_factory=list)
    """Some of the differences that aren't meant."""
    refused: frozenset[tuple[str, str, str]] = frozenset()
    """The collection, project and id of each row that the import refuses."""
    duplicates: frozenset[str] = frozenset()
    """The ids of clients of which the import has taken one of several."""

    @property
    def is_same(self) -> bool:
        """True if all differences are meant."""
        return not self.kinds[OTHER]

    async def items(self, collection: str, project_id: str, ids: Sequence[str]) -> None:
        """Compare items of a project. Raises Unavailable."""

        async def both(own_id: str) -> tuple[str, tuple[int, Any], tuple[int, Any]]:
            path = f"{collection}/{quote(own_id, safe='')}"
            there, here = await asyncio.gather(
                self.there.get(project_id, path), self.here.get(project_id, path)
            )
            return own_id, there, here

        self.progress.begin(collection, len(ids))
        for at in range(0, len(ids), PAGE):
            some = ids[at : at + PAGE]
            for own_id, there, here in await asyncio.gather(*map(both, some)):
                self._compare((collection, project_id, own_id), there, here)
            self.progress.advance(len(some))

    async def lists(self, collection: str, project_id: str) -> None:
        """Compare the lists of a project, whatever their order. Raises Unavailable.

        freezer-api's lists have no order: an item that a page has missed is not in them.
        """
        digests: dict[str, bytes] = {}
        self.progress.begin(f"{collection}, listed", None)
        async for page in self.here.listed(project_id, collection):
            digests |= {id_of(collection, one): _digest(one) for one in page}
        seen = set()
        async for page in self.there.listed(project_id, collection):
            for document in page:
                if document is None:
                    self._note(FAILS_THERE, (collection, project_id, ""), (), None, None)
                    continue
                own_id = id_of(collection, document)
                seen.add(own_id)
                key = collection, project_id, own_id
                if own_id not in digests:
                    self._compare(key, (OK, document), (NOT_FOUND, None))
                elif digests[own_id] == _digest(document):
                    self.compared[collection] += 1
                else:
                    self._compare(key, (OK, document), await self._listed_here(key))
            self.progress.advance(len(page))
        for own_id in digests.keys() - seen:
            await self.items(collection, project_id, [own_id])

    async def _listed_here(self, key: tuple[str, str, str]) -> tuple[int, Any]:
        """Return an item as the list has it."""
        collection, project_id, own_id = key
        search = json.dumps({"match": [{IDS[collection]: own_id}]})
        status, found = await self.here.get(project_id, collection, search=search)
        documents = found[collection] if status == OK else []
        return (OK, documents[0]) if documents else (NOT_FOUND, None)

    def _compare(
        self, key: tuple[str, str, str], there: tuple[int, Any], here: tuple[int, Any]
    ) -> None:
        self.compared[key[0]] += 1
        if there[0] >= SERVER_ERROR and here[0] in {OK, NOT_FOUND}:
            self._note(FAILS_THERE, key, (), there[0], here[0])
        elif there[0] == OK == here[0] and self._is_duplicate(key, there[1], here[1]):
            self._note(DUPLICATE, key, (), there[1], here[1])
        elif there[0] == OK == here[0]:
            for path, one, other in differing(there[1], here[1]):
                self._note(kind_of(path, one, other), key, path, one, other)
        elif there[0] == OK and key in self.refused:
            self._note(REFUSED, key, (), there[0], here[0])
        elif there[0] != here[0] or there[0] != NOT_FOUND:
            self._note(OTHER, key, (), there[0], here[0])

    def _is_duplicate(self, key: tuple[str, str, str], there: Any, here: Any) -> bool:
        """Return True for a client of several that isn't shown as the one that was taken."""
        if key[0] != "clients" or there == here:
            return False
        # Or freezer-api shows another project's central client in place of the project's own.
        return key[2] in self.duplicates or here["project_id"] == key[1] != there["project_id"]

    def _note(
        self, kind: str, key: tuple[str, str, str], path: Path, there: Any, here: Any
    ) -> None:
        self.kinds[kind] += 1
        if kind == OTHER and len(self.shown) < MAX_SHOWN:
            self.shown.append(Answer(kind, *key, ".".join(path), there, here))


def id_of(collection: str, document: Mapping[str, Any]) -> str:
    """Return the id of a document."""
    inner = document["client"] if collection == "clients" else document
    return str(inner[IDS[collection]])


def differing(there: Any, here: Any, path: Path = ()) -> Iterator[Differing]:
    """Yield where two documents differ, with both values: as deep as they have the same form."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            yield from differing(there.get(key, MISSING), here.get(key, MISSING), (*path, key))
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for at, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from differing(one, other, (*path, str(at)))
    elif type(there) is not type(here) or there != here:
        yield path, there, here


def kind_of(path: Path, there: Any, here: Any) -> str:
    """Return the kind of a difference."""
    return next((kind.name for kind in KINDS if kind.holds(path, there, here)), OTHER)


def _digest(document: Any) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).digest()
