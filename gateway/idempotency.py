"""Idempotency keys: a write that is sent again with its key is answered from memory.

The first write stores, in its own transaction, what it returned. A repeat passes the same checks of
the policy, and gets that in place of another write: see `resolvers/writing.py:transact`.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.bookkeeping_tables import IdempotencyKey
from gateway.catalogue.tables import columns, source
from gateway.db.database import Database
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, GatewayError, KeyInUse, Unprocessable, shown
from gateway.settings import Settings

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
"""The limit of a key, in characters, all of which are ASCII."""
PRUNE_EVERY, PRUNE = 16, 64
"""A process deletes up to so many old keys after so many requests with one: more than it adds."""

Caller = tuple[str, str]
"""The ids of a project and of its user."""

_STRING = re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])*"')
"""A structured field's string (RFC 9651, section 3.3.3)."""
_BARE = re.compile(r"[!#-+\--~]+")
"""A key without its quotes: anything visible but quotes and commas."""
_ESCAPED = re.compile(r'\\(["\\])')

_OWN = columns(IdempotencyKey)
_KEY = (_OWN.project_id, _OWN.user_id, _OWN.key, _OWN.field)
_GIVEN: Mapping[str, sa.BindParameter[Any]] = {
    column.key: sa.bindparam(f"the_{column.key}", type_=column.type)
    for column in (*_KEY, _OWN.request, _OWN.created_at)
}
_FORGOTTEN = sa.bindparam("forgotten", type_=sa.BigInteger)
"""The time before which keys are forgotten, whether or not they are deleted already."""
_LOCK = sa.bindparam("lock", type_=sa.BigInteger)

_STORED = sa.select(_OWN.field, _OWN.request, _OWN.result).where(
    *(column == _GIVEN[column.key] for column in _KEY[:3]), _OWN.created_at > _FORGOTTEN
)
_KEEP = (
    sa.update(source(IdempotencyKey))
    .where(*(column == _GIVEN[column.key] for column in _KEY))
    .values(result=sa.bindparam("the_result", type_=_OWN.result.type))
)


def _reservation(insert: Any) -> Any:
    """Return the statement that inserts a key, or takes a forgotten one's place; else no row."""
    return insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={name: insert.excluded[name] for name in ("request", "created_at")},
        where=_OWN.created_at <= _FORGOTTEN,
    ).returning(_OWN.field)


_RESERVE = {
    "sqlite": _reservation(sqlite.insert(source(IdempotencyKey)).values(_GIVEN)),
    # The lock is tried, never waited for: it tells at once that another transaction has the key.
    "postgresql": _reservation(
        postgresql.insert(source(IdempotencyKey)).from_select(
            list(_GIVEN),
            sa.select(*_GIVEN.values()).where(sa.func.pg_try_advisory_xact_lock(_LOCK)),
        )
    ),
}


def _prune(*where: sa.ColumnElement[bool]) -> sa.Delete:
    """Return the statement that deletes the oldest keys of these; locked ones are left."""
    oldest = (
        sa.select(*_KEY)
        .where(*where)
        .order_by(_OWN.created_at)
        .limit(sa.bindparam("number", type_=sa.Integer))
        .with_for_update(skip_locked=True)
    )
    return sa.delete(source(IdempotencyKey)).where(sa.tuple_(*_KEY).in_(oldest))


# Of all projects: one that never writes again would keep its own.
_PRUNE_FORGOTTEN = _prune(_OWN.created_at <= _FORGOTTEN)
_OTHER = sa.alias(source(IdempotencyKey))
_PRUNE_SURPLUS = _prune(
    _OWN.project_id == _GIVEN["project_id"],
    _OWN.created_at
    <= sa.select(_OTHER.c.created_at)
    .where(_OTHER.c.project_id == _GIVEN["project_id"])
    .order_by(_OTHER.c.created_at.desc())
    .limit(1)
    .offset(sa.bindparam("most", type_=sa.Integer))
    .scalar_subquery(),
)


def read(text: str) -> str:
    """Return the key that a request's header gives.

    It is a structured field's string, or the same without its quotes. Raises BadInput.
    """
    text = text.strip()
    if _STRING.fullmatch(text):
        key = _ESCAPED.sub(r"\1", text[1:-1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise BadInput(f"{HEADER}: {shown(text)} is no string in quotes", field=HEADER)
    if not key:
        raise BadInput(f"{HEADER}: {shown(text)} is empty", field=HEADER)
    if len(key) > MAX_LENGTH:
        raise BadInput(
            f"{HEADER}: {shown(key)} has {len(key)} characters, the limit is {MAX_LENGTH}",
            field=HEADER,
        )
    return key


def digest(request: object) -> str:
    """Return the hash of a request, a JSON value; the order of keys doesn't matter."""
    text = json.dumps(request, sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


class IdempotencyKeys:
    """The keys of all callers; one for the application."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self._lifetime = settings.idempotency_lifetime * 1_000_000
        self._most = settings.idempotency_max_keys
        self._running: set[tuple[Caller, str]] = set()
        self._until_pruned = 0
        self._prunes = [database.compile(one) for one in (_PRUNE_FORGOTTEN, _PRUNE_SURPLUS)]

    @asynccontextmanager
    async def opened(self, caller: Caller, key: str, request: str) -> AsyncIterator["KeyedRequest"]:
        """Open a block that serves a request, of this hash, with a key.

        Raises KeyInUse if another one with the key is being served, Unprocessable if the key was
        another request's, and Unavailable.
        """
        mark = (caller, key)
        if mark in self._running:
            raise KeyInUse(key)
        self._running.add(mark)
        try:
            keyed = KeyedRequest(self, caller, key, request)
            await keyed.look_up()
            yield keyed
            if keyed.has_written:
                await self._prune_at_times(caller)
        finally:
            self._running.discard(mark)

    @property
    def forgotten(self) -> int:
        """The time of the keys that are forgotten, and all before, in microseconds since 1970."""
        return _now() - self._lifetime

    async def _prune_at_times(self, caller: Caller) -> None:
        """Delete some old keys, if it is time to; a failure is the next one's to mend."""
        self._until_pruned -= 1
        if self._until_pruned >= 0:
            return
        self._until_pruned = PRUNE_EVERY - 1
        values = {"the_project_id": caller[0], "most": self._most, "number": PRUNE}
        values["forgotten"] = self.forgotten
        # The request has been served, whatever becomes of this.
        with suppress(GatewayError):
            for statement in self._prunes:
                await self.database.rows(statement, values)


class KeyedRequest:
    """A request with a key: what it, or the one that it repeats, has written."""

    def __init__(self, keys: IdempotencyKeys, caller: Caller, key: str, request: str) -> None:
        self.field = 0
        """The field of the request that is being served: its place among the root's."""
        self.refusal: KeyInUse | None = None
        """The error of a field whose key another process used meanwhile."""
        self.has_written = False
        self._keys = keys
        self._key = key
        self._results: dict[int, str] = {}
        self._values: dict[str, str | int] = {
            "the_project_id": caller[0],
            "the_user_id": caller[1],
            "the_key": key,
            "the_request": request,
        }
        lock = blake2b(repr((caller, key)).encode(), digest_size=8).digest()
        self._lock = int.from_bytes(lock, signed=True)

    async def look_up(self) -> None:
        """Find what a request with the key has written before.

        Raises Unprocessable for another request, and Unavailable.
        """
        values = self._values | {"forgotten": self._keys.forgotten}
        for field, request, result in await self._keys.database.rows(_STORED, values):
            if request != self._values["the_request"]:
                raise Unprocessable(
                    f"{HEADER}: {shown(self._key)} was used for another request", field=HEADER
                )
            self._results[field] = result

    @property
    def stored(self) -> str | None:
        """The result of the field, if it has been written before."""
        return self._results.get(self.field)

    async def reserve(self, transaction: Transaction) -> None:
        """Store the field's key, which nobody else can use unless the transaction fails.

        Raises KeyInUse if somebody has done so since the look-up, or is about to.
        """
        if self.refusal is not None:
            raise self.refusal
        values = self._values | {
            "the_field": self.field,
            "the_created_at": _now(),
            "lock": self._lock,
            "forgotten": self._keys.forgotten,
        }
        dialect = "sqlite" if self._keys.database.is_sqlite else "postgresql"
        if not await transaction.note(_RESERVE[dialect], values):
            self.refusal = KeyInUse(self._key)
            raise self.refusal

    async def keep(self, transaction: Transaction, result: str) -> None:
        """Store what the field has written, with the reserved key."""
        values = {"the_field": self.field, "the_result": result}
        await transaction.note(_KEEP, self._values | values)
        self.has_written = True


def _now() -> int:
    return time.time_ns() // 1000
