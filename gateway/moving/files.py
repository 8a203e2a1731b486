"""A project as a file: a line of JSON for each item, with its v2 document and its times.

The first line names the project, the last one counts the items: so a file that was cut is known.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.tables import (
    Action,
    Backup,
    Client,
    Job,
    Session,
    columns,
    source,
)
from gateway.catalogue.vocabularies import CAPABILITIES
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.errors import BadInput
from gateway.moving.anonymity import Anonymity
from gateway.moving.layouts import SourceValues
from gateway.moving.reading import LINKED
from gateway.rest_compat import documents
from gateway.rest_compat.representations import Document

FORMAT = 1
PAGE = 1000
_KINDS: Mapping[str, tuple[type[SQLModel], Document, str]] = {
    "clients": (Client, documents.CLIENT, "client_id"),
    "sessions": (Session, documents.SESSION, "session_id"),
    "actions": (Action, documents.ACTION, "action_id"),
    "jobs": (Job, documents.JOB, "job_id"),
    "backups": (Backup, documents.BACKUP, "backup_id"),
}
"""The kinds of items in their order, with their table, their document, and the key of its id."""


def _select(table: type[SQLModel], document: Document) -> sa.Select[Any]:
    own = columns(table)
    return (
        sa.select(own.id, own.created_at, own.updated_at, *document.columns)
        .where(own.project_id == sa.bindparam("project_id"), own.id > sa.bindparam("after"))
        .select_from(source(table))
        .order_by(own.id)
        .limit(PAGE)
    )


_SELECTS = {kind: _select(table, document) for kind, (table, document, _) in _KINDS.items()}
_DOCUMENTS_BEGIN = 3


class Export:
    """The export of a project to a file; one that was stopped goes on where it was."""

    def __init__(
        self, database: Database, project_id: str, path: Path, *, is_anonymous: bool = False
    ) -> None:
        self.database, self.project_id, self.path = database, project_id, path
        self.anonymity = Anonymity() if is_anonymous else None
        self.counts: Counter[str] = Counter()

    async def run(self, advance: Callable[[str, int], None]) -> Mapping[str, int]:
        """Write the file, and return the number of items by kind; `advance` is told them.

        Raises BadInput for a file that is complete already, Unavailable, and OSError.
        """
        done, after = self._resume()
        with self.path.open("ab") as file:
            if not self.path.stat().st_size:
                name = self.project_id
                shown = name if self.anonymity is None else self.anonymity.text(name)
                _write(file, {"kind": "project", "project_id": shown, "format": FORMAT})
            for kind in [*_KINDS][[*_KINDS].index(done) :]:
                async for lines in self._pages(kind, after if kind == done else ""):
                    file.write(b"".join(lines))
                    self.counts[kind] += len(lines)
                    advance(kind, len(lines))
            _write(file, {"kind": "end", "counts": {kind: self.counts[kind] for kind in _KINDS}})
            file.flush()
            os.fsync(file.fileno())
        return self.counts

    def _resume(self) -> tuple[str, str]:
        """Return the kind and the id after which to go on, and cut a line that is no whole one."""
        first = next(iter(_KINDS)), ""
        if not self.path.exists():
            return first
        if self.anonymity is not None:
            raise BadInput(f"{self.path} exists; an anonymous export can't go on, name another")
        end, (kind, after) = 0, first
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                entry = orjson.loads(line)
                if entry["kind"] == "end":
                    raise BadInput(f"{self.path} is complete already: name another file")
                if entry["kind"] == "project":
                    if entry["project_id"] != self.project_id:
                        raise BadInput(f"{self.path} is of the project '{entry['project_id']}'")
                    continue
                kind, after = entry["kind"], _id_of(entry)
                self.counts[kind] += 1
        os.truncate(self.path, end)
        return kind, after

    async def _pages(self, kind: str, after: str) -> AsyncIterator[Sequence[bytes]]:
        """Yield the lines of a kind in pages."""
        _, document, _ = _KINDS[kind]
        while True:
            key = {"project_id": self.project_id, "after": after}
            rows = await self.database.rows(_SELECTS[kind], key)
            if not rows:
                return
            made = document.from_rows(rows, _DOCUMENTS_BEGIN)
            if kind == "jobs":
                await self._add_links(rows, made, after)
            yield [self._line(kind, row, one) for row, one in zip(rows, made, strict=True)]
            after = rows[-1].id

    async def _add_links(
        self, rows: Sequence[Row], made: Sequence[dict[str, Any]], after: str
    ) -> None:
        key = {"project_id": self.project_id, "after": after, "until": rows[-1].id}
        linked: dict[str, list[dict[str, str]]] = {}
        for job_id, action_id in await self.database.rows(LINKED, key):
            linked.setdefault(job_id, []).append({"action_id": action_id})
        for row, document in zip(rows, made, strict=True):
            document["job_actions"] = linked.get(row.id, [])

    def _line(self, kind: str, row: Row, document: Mapping[str, Any]) -> bytes:
        line = {
            "kind": kind,
            "document": document,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }
        if self.anonymity is not None:
            # The columns' documents are texts until they are written.
            line = self.anonymity.document(orjson.loads(orjson.dumps(line))) | {"kind": kind}
        return orjson.dumps(line) + b"\n"


def _write(file: BinaryIO, line: Mapping[str, Any]) -> None:
    file.write(orjson.dumps(line) + b"\n")


def _id_of(entry: Mapping[str, Any]) -> str:
    document, name = entry["document"], _KINDS[entry["kind"]][2]
    return str(document["client"][name] if entry["kind"] == "clients" else document[name])


def is_export(text: str) -> bool:
    """Return True for the path of a file that begins as an export does."""
    try:
        with Path(text).open("rb") as file:
            return file.readline(1000).startswith(b'{"kind":"project"')
    except (OSError, ValueError):
        return False


class FileCatalogue:
    """An export, as `layouts.Catalogue` is freezer-api's database: in pages, by table."""

    has_links = True

    def __init__(self, path: Path, projects: Collection[str] = (), page_size: int = 5000) -> None:
        """Look the file through. Raises BadInput for one that is not whole, and OSError."""
        self.path, self.page_size = path, page_size
        self._counts: Counter[str] = Counter()
        self._begins: dict[str, int] = {}
        self._links: dict[str, list[str]] = {}
        self._credentials: dict[str, tuple[str, str]] = {}
        self._read_through()
        self._is_asked_for = not projects or self.project_id in projects

    def _read_through(self) -> None:
        at, told = 0, None
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = orjson.loads(line)
                    kind = entry["kind"]
                    if kind == "project":
                        self.project_id = str(entry["project_id"])
                        if entry["format"] != FORMAT:
                            raise BadInput(f"{self.path} has the format {entry['format']}")
                    elif kind == "end":
                        told = entry["counts"]
                    else:
                        _id_of(entry)
                        self._counts[kind] += 1
                        self._begins.setdefault(kind, at)
                except (orjson.JSONDecodeError, KeyError, TypeError):
                    raise BadInput(f"line {number} of {self.path} is none of an export") from None
                at += len(line)
        if told is None or any(self._counts[kind] != told.get(kind) for kind in _KINDS):
            raise BadInput(f"{self.path} is not whole: export the project again, it goes on")

    def count(self, table: str, *, deleted: bool = False) -> Counter[str | None]:
        """Return the number of items; of those that were deleted, there is none."""
        is_counted = self._is_asked_for and not deleted and self._counts[table]
        return Counter({self.project_id: self._counts[table]}) if is_counted else Counter()

    def pages(self, table: str) -> Iterator[Sequence[SourceValues]]:
        """Yield the items of a table, as freezer-api's rows. Raises OSError."""
        if table not in self._begins or not self._is_asked_for:
            return
        with self.path.open("rb") as file:
            file.seek(self._begins[table])
            page: list[SourceValues] = []
            for line in file:
                entry = orjson.loads(line)
                if entry["kind"] != table:
                    break
                page.append(self._row(entry))
                if len(page) == self.page_size:
                    yield page
                    page = []
            if page:
                yield page

    def backups(self) -> Iterator[Sequence[SourceValues]]:
        """Yield the backups in the order of the file, as `pages` does."""
        return self.pages("backups")

    def reports(self) -> int:
        """Return 0: there are none in a file."""
        return 0

    def deleted(self, table: str) -> Iterator[Sequence[SourceValues]]:  # noqa: ARG002 - as others
        """Yield nothing: there are none in a file."""
        yield from ()

    def links(self, job_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Return the jobs and actions of the links of these jobs, which have just been read."""
        return [(job_id, one) for job_id in job_ids for one in self._links.pop(job_id, [])]

    def credentials(self, job_ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Return the trusts, and their trustors, of those of these jobs that have one."""
        return {one: self._credentials.pop(one) for one in job_ids if one in self._credentials}

    def standing(self) -> Sequence[Sequence[Any]]:
        """Return nothing: the ids of clients are unique in a file."""
        return ()

    def _row(self, entry: Mapping[str, Any]) -> SourceValues:
        document = entry["document"]
        times = {key: entry.get(key) for key in ("created_at", "updated_at")}
        # The project is the file's, whatever its documents say.
        own = {"id": _id_of(entry), "user_id": document.get("user_id")}
        return (
            self._ROWS[entry["kind"]](self, document)
            | own
            | times
            | {"project_id": self.project_id}
        )

    def _client(self, document: Mapping[str, Any]) -> SourceValues:
        client = document["client"]
        return {**client, **{key: _text(client.get(key)) for key in CAPABILITIES}}

    def _session(self, document: Mapping[str, Any]) -> SourceValues:
        return {
            **document,
            "schedule": _text(document.get("schedule")),
            "job": _text(document.get("jobs")),
        }

    def _action(self, document: Mapping[str, Any]) -> SourceValues:
        return {**document, "backup_metadata": _text(document["freezer_action"]), "is_whole": True}

    def _job(self, document: Mapping[str, Any]) -> SourceValues:
        own_id = document["job_id"]
        self._links[own_id] = [str(one["action_id"]) for one in document["job_actions"]]
        if given := document.get("user_credentials"):
            self._credentials[own_id] = given["trust_id"], given["trustor_user_id"]
        return {**document, "schedule": _text(document.get("job_schedule"))}

    def _backup(self, document: Mapping[str, Any]) -> SourceValues:
        return {**document, "backup_metadata": _text(document["backup_metadata"])}

    _ROWS: Mapping[str, Callable[..., SourceValues]] = {
        "clients": _client,
        "sessions": _session,
        "actions": _action,
        "jobs": _job,
        "backups": _backup,
    }


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
