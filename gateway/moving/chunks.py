"""Chunk hashes: what two sides of a catalogue are compared by, in whatever order they are read.

A row's digest is of the columns that freezer-api's row decides, and of a job's list of actions. A
chunk has those rows of a table and project whose ids fall into it; its hash is the sum of their
digests. Two sides of which every chunk is equal have the same rows.
"""

import zlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue.tables import JobAction, columns, source
from gateway.db.database import Database
from gateway.moving.translation import Item
from gateway.moving.writing import COMPARED, KINDS

CHUNKS = 1024
"""The chunks of a table of a project: of a million rows, one has a thousand."""
PAGE = 1000
_SIZE = 16
_WHOLE = 1 << (8 * _SIZE)

Key = tuple[str, str, int]
"""A table, by freezer-api's name, a project and the number of a chunk."""


@dataclass(slots=True)
class Chunk:
    """The rows of a chunk: their number, and their hash."""

    count: int = 0
    hash: int = 0


@dataclass
class Chunks:
    """The chunks of one side, as far as it has been read."""

    of: dict[Key, Chunk] = field(default_factory=dict)

    def add(self, table: str, project_id: str, own_id: str, digest: int) -> None:
        """Add a row; each once."""
        key = table, project_id, chunk_of(own_id)
        if (chunk := self.of.get(key)) is None:
            chunk = self.of[key] = Chunk()
        chunk.count += 1
        chunk.hash = (chunk.hash + digest) % _WHOLE

    def add_item(self, item: Item) -> None:
        """Add a row of freezer-api's that has been translated."""
        table = table_of(item)
        self.add(table, item.project_id, item.id, digest_of(table, item.values, item.links))

    def differing(self, others: "Chunks") -> Collection[Key]:
        """Return the keys of the chunks that aren't the same on the other side."""
        keys = self.of.keys() | others.of.keys()
        return sorted(key for key in keys if self.of.get(key) != others.of.get(key))

    def hashes(self) -> Mapping[tuple[str, str], str]:
        """Return the hash of all rows of each table and project, to be shown."""
        sums: dict[tuple[str, str], int] = {}
        for (table, project_id, _), chunk in self.of.items():
            key = table, project_id
            sums[key] = (sums.get(key, 0) + chunk.hash) % _WHOLE
        return {key: f"{total:032x}" for key, total in sorted(sums.items())}


def chunk_of(own_id: str) -> int:
    """Return the number of the chunk that an id falls into, always the same."""
    return zlib.crc32(own_id.encode()) % CHUNKS


def table_of(item: Item) -> str:
    """Return the table that an item is in, whatever it was read from."""
    return "actions" if item.table == "inline_actions" else item.table


def digest_of(table: str, values: Mapping[str, Any], links: Sequence[str] = ()) -> int:
    """Return the digest of a row by the columns that are compared; `links` are a job's actions."""
    return _digest([values[name] for name in COMPARED[KINDS[table].table]], links)


def _digest(values: Sequence[Any], links: Sequence[str]) -> int:
    text = orjson.dumps([*values, *links])
    return int.from_bytes(blake2b(text, digest_size=_SIZE).digest())


async def of_gateway(
    database: Database, table: str, project_id: str
) -> AsyncIterator[Iterator[tuple[str, int]]]:
    """Yield the ids and digests of a project's rows here, in pages by id. Raises Unavailable."""
    names = COMPARED[KINDS[table].table]
    after = ""
    while rows := await database.rows(_SELECTS[table], {"project_id": project_id, "after": after}):
        linked: dict[str, list[str]] = {}
        if table == "jobs":
            key = {"project_id": project_id, "after": after, "until": rows[-1].id}
            for job_id, action_id in await database.rows(_LINKED, key):
                linked.setdefault(job_id, []).append(action_id)
        yield (
            (row.id, _digest([getattr(row, name) for name in names], linked.get(row.id, ())))
            for row in rows
        )
        after = rows[-1].id


def _select(table: str) -> sa.Select[Any]:
    kind = KINDS[table].table
    own = columns(kind)
    return (
        sa.select(own.id, *(own[name] for name in COMPARED[kind]))
        .where(own.project_id == sa.bindparam("project_id"), own.id > sa.bindparam("after"))
        .select_from(source(kind))
        .order_by(own.id)
        .limit(PAGE)
    )


_SELECTS = {table: _select(table) for table in KINDS}
_LINKS = columns(JobAction)
_LINKED = (
    sa.select(_LINKS.job_id, _LINKS.action_id)
    .where(
        _LINKS.project_id == sa.bindparam("project_id"),
        _LINKS.job_id > sa.bindparam("after"),
        _LINKS.job_id <= sa.bindparam("until"),
    )
    .order_by(_LINKS.job_id, _LINKS.position)
)
