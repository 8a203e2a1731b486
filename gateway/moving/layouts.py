"""freezer-api's tables at each of its schema revisions, and how they are read in pages.

A page follows the last one by the primary key, `id`: there is no index by project. Memory is
bounded by the page, and so is the time that the server needs for it.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.errors import BadInput
from gateway.moving.sources import Source

SourceValues = dict[str, Any]

REVISIONS = (
    "1333cef214d9",
    "e74c32f034c5",
    "23c8ad2655a6",
    "29a2fd19eb86",
    "30a3fd20ec97",
    "4f8c679a1d3b",
    "a1b2c3d4e5f6",
    "5c9d21e87f34",
    "7a3b9c1d2e4f",
)
"""The revisions of freezer-api's schema, the oldest first."""

_TIMES = ("created_at", "updated_at")
_OWNED = ("id", "project_id", "user_id", *_TIMES)
TABLES: Mapping[str, Sequence[str]] = {
    "clients": (
        *_OWNED,
        *("client_id", "hostname", "description", "uuid", "is_central"),
        *("supported_actions", "supported_modes", "supported_storages", "supported_engines"),
    ),
    "sessions": (
        *_OWNED,
        *("session_tag", "description", "hold_off", "schedule", "job"),
        *("time_start", "time_end", "time_started", "time_ended", "status", "result"),
    ),
    "actions": (
        *_OWNED,
        *("action", "actionmode", "path_to_backup", "backup_name", "container", "timeout"),
        *("priority", "max_retries_interval", "max_retries", "mandatory", "log_file"),
        "backup_metadata",
    ),
    "jobs": (
        *_OWNED,
        *("schedule", "client_id", "session_id", "session_tag", "description", "job_actions"),
    ),
    "backups": (*_OWNED, "job_id", "status", "user_name", "backup_metadata"),
}
"""The tables whose rows belong to a project, in the order in which they refer to one another."""

_FORMER = {"path_to_backup": "src_file"}
"""The names that columns had before."""

MAX_PAGES = 2
"""The pages that the backups of a job may fill to be read together."""

Key = tuple[str, str]
"""A table and a project."""


class Rows(Protocol):
    """A catalogue to import: freezer-api's database, or an export."""

    @property
    def has_links(self) -> bool:
        """True if actions are linked to jobs in a table; before, jobs had copies of them."""

    def count(self, table: str, *, deleted: bool = False) -> Counter[str | None]:
        """Return the number of rows by project."""

    def pages(self, table: str) -> Iterator[Sequence[SourceValues]]:
        """Yield the rows of a table in pages."""

    def backups(self) -> Iterator[Sequence[SourceValues]]:
        """Yield the backups in pages, those of a job together as far as that is possible.

        So series come whole, and what is derived of them is written with them.
        """

    def reports(self) -> int:
        """Return the number of action reports, which nothing reads."""

    def deleted(self, table: str) -> Iterator[Sequence[SourceValues]]:
        """Yield the rows of a table that were deleted, whole, in pages."""

    def links(self, job_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Return the jobs and actions of the links of jobs, in the order of their lists."""

    def credentials(self, job_ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Return the trusts, and their trustors, of those of jobs that have one."""

    def standing(self) -> Sequence[Sequence[Any]]:
        """Return of each client its id, project and client id, if it is central, and its times."""


@dataclass
class Catalogue:
    """freezer-api's catalogue, or that of some of its projects; all for none given."""

    source: Source
    projects: Collection[str] = ()
    page_size: int = 2500
    columns: Mapping[str, frozenset[str]] = field(init=False)
    revision: str = field(init=False)

    def __post_init__(self) -> None:
        """Look at the schema. Raises BadInput if it is none of freezer-api's."""
        self.columns = self.source.columns()
        missing = TABLES.keys() - self.columns.keys()
        if missing or "alembic_version" not in self.columns:
            table = min(missing, default="alembic_version")
            raise BadInput(f"{self.source.name} is no database of freezer-api: no table '{table}'")
        found = self.source.rows("SELECT version_num FROM alembic_version")
        self.revision = str(found[0][0]) if found else ""
        if self.revision not in REVISIONS:
            raise BadInput(
                f"freezer-api's schema has the revision '{self.revision}', which this gateway "
                f"doesn't know; the newest that it knows is '{REVISIONS[-1]}'"
            )

    @property
    def has_links(self) -> bool:
        """True if actions are linked to jobs in a table; before, jobs had copies of them."""
        return "job_actions" in self.columns

    def count(self, table: str, *, deleted: bool = False) -> Counter[str | None]:
        """Return the number of rows by project; of those that were deleted, or of the others.

        Raises Unavailable.
        """
        condition, arguments = self._among(deleted=deleted)
        query = f"SELECT project_id, count(*) FROM {table} {condition} GROUP BY project_id"  # noqa: S608 - a table of ours
        return Counter({row[0]: row[1] for row in self.source.rows(query, arguments)})

    def pages(
        self, table: str, where: str = "", values: Sequence[Any] = ()
    ) -> Iterator[Sequence[SourceValues]]:
        """Yield the rows of a table that aren't deleted, in pages; those of a predicate, if given.

        Raises Unavailable.
        """
        shown = [self._shown(table, name) for name in TABLES[table]]
        return self._pages(table, TABLES[table], shown, where=where, values=values)

    def backups(self) -> Iterator[Sequence[SourceValues]]:
        """Yield the backups in pages, those of a job together unless there are very many.

        freezer-api has no index by job: its database sorts them once, and nothing else can be read
        before the last page. Raises Unavailable.
        """
        names = TABLES["backups"]
        shown = [self._shown("backups", name) for name in names]
        job = names.index("job_id")
        condition, arguments = self._among()
        query = f"SELECT {', '.join(shown)} FROM backups {condition} ORDER BY {shown[job]}, id"  # noqa: S608 - names of ours
        held: list[Sequence[Any]] = []
        for rows in self.source.stream(query, arguments, self.page_size):
            held += rows
            end, last = len(held), held[-1][job]
            while last and end and held[end - 1][job] == last:
                end -= 1
            if not end and len(held) >= MAX_PAGES * self.page_size:
                end = len(held)
            if end:
                yield [dict(zip(names, row, strict=True)) for row in held[:end]]
                del held[:end]
        if held:
            yield [dict(zip(names, row, strict=True)) for row in held]

    def gone(
        self, table: str, where: str = "", values: Sequence[Any] = ()
    ) -> Iterator[Sequence[SourceValues]]:
        """Yield the ids, projects and times of rows that were deleted, in pages.

        Those of a predicate, if given. Raises Unavailable.
        """
        names = ["id", "project_id", "updated_at", "deleted_at"]
        if table == "clients":
            names.append("client_id")
        shown = [self._shown(table, name) for name in names]
        return self._pages(table, names, shown, deleted=True, where=where, values=values)

    def deleted(self, table: str) -> Iterator[Sequence[SourceValues]]:
        """Yield the rows of a table that were deleted, whole, in pages. Raises Unavailable."""
        # The id comes first: pages follow it.
        names = ["id", *sorted(self.columns[table] - {"id"})]
        return self._pages(table, names, names, deleted=True)

    def reports(self) -> int:
        """Return the number of action reports, which nothing reads. Raises Unavailable."""
        if "action_reports" not in self.columns:
            return 0
        reports = self.count("action_reports"), self.count("action_reports", deleted=True)
        return sum(count.total() for count in reports)

    def _pages(  # noqa: PLR0913 - the parts of a query
        self,
        table: str,
        names: Sequence[str],
        shown: Sequence[str],
        *,
        deleted: bool = False,
        where: str = "",
        values: Sequence[Any] = (),
    ) -> Iterator[Sequence[SourceValues]]:
        condition, arguments = self._among(deleted=deleted)
        if where:
            condition, arguments = f"{condition} AND ({where})", (*arguments, *values)
        select = f"SELECT {', '.join(shown)} FROM {table} {condition}"  # noqa: S608 - names of ours
        order = f"ORDER BY id LIMIT {self.page_size}"
        rows = self.source.rows(f"{select} {order}", arguments)
        while rows:
            yield [dict(zip(names, row, strict=True)) for row in rows]
            if len(rows) < self.page_size:
                return
            rows = self.source.rows(f"{select} AND id > %s {order}", (*arguments, rows[-1][0]))

    def links(self, job_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Return the jobs and actions of the links of these jobs, in the order of their lists.

        Raises Unavailable.
        """
        marks = ", ".join(["%s"] * len(job_ids))
        query = (
            f"SELECT job_id, action_id FROM job_actions WHERE deleted = 0 AND job_id IN ({marks}) "  # noqa: S608 - parameters
            "ORDER BY job_id, position, id"
        )
        return [(row[0], row[1]) for row in self.source.rows(query, job_ids)]

    def credentials(self, job_ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Return the trusts, and their trustors, of those of these jobs that have one.

        Raises Unavailable.
        """
        if "user_credentials" not in self.columns:
            return {}
        marks = ", ".join(["%s"] * len(job_ids))
        query = (
            "SELECT job_id, trust_id, trustor_user_id FROM user_credentials "  # noqa: S608 - parameters
            f"WHERE job_id IN ({marks}) ORDER BY id"
        )
        return {row[0]: (row[1], row[2]) for row in self.source.rows(query, job_ids)}

    def standing(self) -> Sequence[Sequence[Any]]:
        """Return of each client its id, project and client id, if it is central, and its times.

        Raises Unavailable.
        """
        central = "is_central" if "is_central" in self.columns["clients"] else "0"
        condition, arguments = self._among()
        query = (
            f"SELECT id, project_id, client_id, {central}, created_at, updated_at "  # noqa: S608 - names of ours
            f"FROM clients {condition}"
        )
        return self.source.rows(query, arguments)

    def _among(self, *, deleted: bool = False) -> tuple[str, Sequence[str]]:
        """Return the predicate of the rows to read, and its arguments."""
        # freezer-api itself shows no row of which it isn't known.
        condition = "WHERE (deleted IS NULL OR deleted <> 0)" if deleted else "WHERE deleted = 0"
        if not self.projects:
            return condition, ()
        marks = ", ".join(["%s"] * len(self.projects))
        return f"{condition} AND project_id IN ({marks})", tuple(self.projects)

    def _shown(self, table: str, name: str) -> str:
        """Return a column as this revision has it; null for one that it lacks."""
        if name in self.columns[table]:
            return name
        former = _FORMER.get(name)
        return former if former in self.columns[table] and former else "NULL"
