"""The comparison of both sides: of each project and table the numbers of rows, and their hashes.

What is compared is what an import would write, row by row; what it would refuse is counted. Where
chunks differ, both sides are read once more, to show some of the items that do.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.db.database import Database
from gateway.moving import chunks, reading
from gateway.moving.chunks import Chunks
from gateway.moving.importing import Progress, ahead, opened_reader
from gateway.moving.layouts import TABLES, Rows
from gateway.moving.reports import Outcome, Reason

MAX_CHUNKS = 10
"""The chunks of a table, at most, of which items are shown."""
MAX_SHOWN = 5
"""The items of a table, at most, that are shown."""

Key = tuple[str, str, str]
"""A table, a project and an id."""
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """A table of a project, on both sides."""

    table: str
    project_id: str
    there: int
    """The rows of freezer-api, with those that are refused."""
    refused: int
    here: int
    chunks: int
    """The number of chunks that differ."""
    hash_there: str
    hash_here: str

    @property
    def is_same(self) -> bool:
        """True if both sides have the same rows."""
        return not self.chunks


@dataclass(frozen=True, slots=True)
class Difference:
    """An item that isn't the same on both sides: the columns that differ, or None for no item."""

    table: str
    project_id: str
    id: str
    there: Values | None
    here: Values | None


@dataclass
class Verification:
    """A comparison of a catalogue with the gateway's."""

    catalogue: Rows
    database: Database
    progress: Progress
    projects: Sequence[str] = ()
    """The projects to compare; all for none given."""
    without: Collection[str] = ()
    """Columns that the catalogue doesn't have."""
    there: Chunks = field(default_factory=Chunks)
    here: Chunks = field(default_factory=Chunks)
    refused: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    refused_ids: set[Key] = field(default_factory=set)
    """The table, project and id of each row that is refused."""
    duplicates: set[str] = field(default_factory=set)
    """The ids of clients of which there are several, in a project or as central ones."""

    async def run(self) -> Sequence[Compared]:
        """Compare both sides, and return it by project and table. Raises Unavailable."""
        reader = await opened_reader(self.catalogue, self.database)
        for table in TABLES:
            self.progress.begin(f"{table} there", None)
            async for page in ahead(reader.pages(table)):
                for item in page.items:
                    self.there.add_item(item, self.without)
                self.refused.update(page.refused)
                self.refused_ids |= {
                    (one.table, one.project_id or "", one.id)
                    for one in page.remarks
                    if one.outcome is Outcome.REFUSED
                }
                self.duplicates |= {
                    one.id
                    for one in page.remarks
                    if one.reason in {Reason.DUPLICATE, Reason.CENTRAL_TAKEN}
                }
                self.progress.advance(page.read)
        for table in TABLES:
            await self._read_here(table)
        return list(self._compared())

    async def _read_here(self, table: str) -> None:
        self.progress.begin(f"{table} here", None)
        for project_id in await reading.counts(self.database, table, self.projects):
            pages = chunks.of_gateway(self.database, table, str(project_id), self.without)
            async for page in pages:
                rows = list(page)
                for own_id, digest in rows:
                    self.here.add(table, str(project_id), own_id, digest)
                self.progress.advance(len(rows))

    def _compared(self) -> Iterator[Compared]:
        differing = Counter(key[:2] for key in self.there.differing(self.here))
        hashes = self.there.hashes(), self.here.hashes()
        rows = self.there.rows(), self.here.rows()
        keys = {*rows[0], *rows[1], *((table, project or "") for table, project in self.refused)}
        order = {table: at for at, table in enumerate(TABLES)}
        for table, project_id in sorted(keys, key=lambda key: (key[1], order.get(key[0], 0))):
            if table not in order:
                continue
            key = table, project_id
            refused = self.refused[table, project_id] or self.refused[table, project_id or None]
            yield Compared(
                *key,
                there=rows[0][key] + refused,
                refused=refused,
                here=rows[1][key],
                chunks=differing[key],
                hash_there=hashes[0].get(key, ""),
                hash_here=hashes[1].get(key, ""),
            )

    async def differences(self) -> Sequence[Difference]:
        """Return some of the items that differ, with the columns that do. Raises Unavailable."""
        wanted = self._wanted()
        if not wanted:
            return ()
        there: dict[Key, Values] = {}
        reader = await opened_reader(self.catalogue, self.database)
        for table in TABLES:
            async for page in ahead(reader.pages(table)):
                for item in page.items:
                    own = chunks.table_of(item)
                    key = own, item.project_id, item.id
                    if (own, item.project_id, chunks.chunk_of(item.id)) in wanted:
                        there[key] = self._shown(own, item.values, item.links)
        here: dict[Key, Values] = {}
        for table, project_id in sorted({key[:2] for key in wanted}):
            async for rows, linked in reading.pages(self.database, table, project_id):
                for row in rows:
                    if (table, project_id, chunks.chunk_of(row.id)) in wanted:
                        values = {name: getattr(row, name) for name in self._names(table)}
                        links = linked.get(row.id, ())
                        here[table, project_id, row.id] = self._shown(table, values, links)
        return list(_differences(there, here))

    def _wanted(self) -> Collection[tuple[str, str, int]]:
        """Return the first chunks of each table that differ."""
        found: Counter[str] = Counter()
        wanted = set()
        for key in self.there.differing(self.here):
            found[key[0]] += 1
            if found[key[0]] <= MAX_CHUNKS:
                wanted.add(key)
        return wanted

    def _names(self, table: str) -> Sequence[str]:
        return chunks.names_of(table, self.without)

    def _shown(self, table: str, values: Values, links: Sequence[str]) -> Values:
        shown = {name: _plain(values[name]) for name in self._names(table)}
        return shown | {"job_actions": list(links)} if table == "jobs" else shown


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return value


def _differences(there: Mapping[Key, Values], here: Mapping[Key, Values]) -> Iterator[Difference]:
    found: Counter[str] = Counter()
    for key in sorted(there.keys() | here.keys()):
        one, other = there.get(key), here.get(key)
        if one == other or found[key[0]] == MAX_SHOWN:
            continue
        found[key[0]] += 1
        if one is not None and other is not None:
            names = [name for name in one if one[name] != other[name]]
            one, other = ({name: side[name] for name in names} for side in (one, other))
        yield Difference(*key, there=one, here=other)
