"""Chunk hashes: what two sides of a catalogue are compared by, in whatever order they are read.

A row's digest is of the columns that freezer-api's row decides, and of a job's list of actions. A
chunk has those rows of a table and project whose ids fall into it; its hash is the sum of their
digests. Two sides of which every chunk is equal have the same rows.
"""

import zlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from gateway.db.database import Database
from gateway.moving import reading
from gateway.moving.translation import Item
from gateway.moving.writing import COMPARED, KINDS

CHUNKS = 1024
"""The chunks of a table of a project: of a million rows, one has a thousand."""
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

    def add_item(self, item: Item, without: Collection[str] = ()) -> None:
        """Add a row of freezer-api's that has been translated; `without` are columns left out."""
        table = table_of(item)
        digest = digest_of(table, item.values, item.links, without)
        self.add(table, item.project_id, item.id, digest)

    def differing(self, others: "Chunks") -> Collection[Key]:
        """Return the keys of the chunks that aren't the same on the other side."""
        keys = self.of.keys() | others.of.keys()
        return sorted(key for key in keys if self.of.get(key) != others.of.get(key))

    def rows(self) -> Counter[tuple[str, str]]:
        """Return the number of rows of each table and project."""
        counts: Counter[tuple[str, str]] = Counter()
        for (table, project_id, _), chunk in self.of.items():
            counts[table, project_id] += chunk.count
        return counts

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


def names_of(table: str, without: Collection[str] = ()) -> Sequence[str]:
    """Return the columns that are compared, but for those that are left out."""
    return [name for name in COMPARED[KINDS[table].table] if name not in without]


def digest_of(
    table: str,
    values: Mapping[str, Any],
    links: Sequence[str] = (),
    without: Collection[str] = (),
) -> int:
    """Return the digest of a row by the columns that are compared, but for those left out.

    `links` are a job's actions.
    """
    return _digest([values[name] for name in names_of(table, without)], links)


def _digest(values: Sequence[Any], links: Sequence[str]) -> int:
    # freezer-api's times are by the second.
    text = orjson.dumps([*values, *links], option=orjson.OPT_OMIT_MICROSECONDS)
    return int.from_bytes(blake2b(text, digest_size=_SIZE).digest())


async def of_gateway(
    database: Database, table: str, project_id: str, without: Collection[str] = ()
) -> AsyncIterator[Iterator[tuple[str, int]]]:
    """Yield the ids and digests of a project's rows here, in pages by id.

    `without` are columns left out. Raises Unavailable.
    """
    names = names_of(table, without)
    async for rows, linked in reading.pages(database, table, project_id):
        yield (
            (row.id, _digest([getattr(row, name) for name in names], linked.get(row.id, ())))
            for row in rows
        )
