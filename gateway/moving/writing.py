"""Writing rows into the catalogue: new ones are copied in, others compared, and changed if need be.

A batch is one transaction, so an import may be stopped at any moment. Nothing is written of a row
that is there as it is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from gateway.catalogue import due
from gateway.catalogue.column_types import JSONText
from gateway.catalogue.history import OF_JOB, Run
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import (
    Action,
    Backup,
    Client,
    Job,
    JobAction,
    Session,
    columns,
    default_of,
    source,
)
from gateway.chains import bulk, entering
from gateway.chains.bulk import Given
from gateway.chains.entering import Entering
from gateway.db.database import Database
from gateway.db.staging import Staging
from gateway.db.transactions import Transaction
from gateway.errors import Conflict, LostRace, Unavailable
from gateway.moving.counts import RowResult
from gateway.moving.translation import Item

MAX_ATTEMPTS = 20

_DERIVED_LATER = {
    Backup: frozenset(
        {
            *("chain_time", "chain_level", "level_source", "chain_state"),
            *("restorability", "restorability_reason"),
        }
    ),
    Job: frozenset({*due.COLUMNS, "due_version"}) | OF_JOB,
    Client: frozenset({"time_zone"}),
}
"""The columns that others write: deriving, the upkeep, the database's triggers, users."""
_UNDERIVED = {name: default_of(Backup, name) for name in _DERIVED_LATER[Backup]}
_PROJECTED = ("project_id", "id", "version")
COMPARED: Mapping[type[SQLModel], Sequence[str]] = {
    Client: (
        *("uuid", "user_id", "hostname", "description", "is_central", "created_at", "updated_at"),
        *("supported_actions", "supported_modes", "supported_storages", "supported_engines"),
    ),
    Session: (
        *("user_id", "description", "hold_off", "session_tag", "schedule", "job_states", "status"),
        *("result", "time_start", "time_end", "time_started", "time_ended"),
        *("created_at", "updated_at"),
    ),
    Action: (
        *("user_id", "freezer_action", "max_retries", "max_retries_interval", "mandatory"),
        *("created_at", "updated_at"),
    ),
    Job: (
        *("user_id", "description", "client_id", "session_id", "session_tag", "job_schedule"),
        *("user_credentials", "created_at", "updated_at"),
    ),
    Backup: (
        *("user_id", "user_name", "status", "backup_metadata", "job_id"),
        *("created_at", "updated_at"),
    ),
}
"""The columns that freezer-api's row decides; the others are projected from them."""


class Kind:
    """A table of the catalogue, with the statements that write many of its rows."""

    def __init__(self, table: type[SQLModel]) -> None:
        """Write the statements."""
        own = columns(table)
        later = _DERIVED_LATER.get(table, frozenset())
        self.table = table
        self.names = tuple(column.key for column in own if column.key not in later)
        self.record: Callable[[Mapping[str, Any]], Sequence[Any]] = itemgetter(*self.names)
        self.staging = Staging(table, self.names)
        # New backups are written with what is derived of them.
        self.whole = Staging(table, own.keys()) if table is Backup else self.staging
        self.whole_record: Callable[[Mapping[str, Any]], Sequence[Any]] = itemgetter(
            *self.whole.names
        )
        staged = self.staging.table.c
        join = sa.and_(own.project_id == staged.project_id, own.id == staged.id)
        differs = sa.or_(
            *(_text(own[name]).is_distinct_from(_text(staged[name])) for name in COMPARED[table])
        )
        also = [own.series] if table is Backup else []
        self.compare = sa.select(
            own.project_id,
            own.id,
            differs.label("differs"),
            (own.updated_at > staged.updated_at).label("is_newer"),
            *also,
        ).join_from(self.staging.table, source(table), join)
        self.find = {
            is_sqlite: sa.select(own.id)
            .where(own.project_id == sa.bindparam("project_id"), own.id.in_(listed(is_sqlite)))
            .limit(1)
            for is_sqlite in (True, False)
        }
        every = sa.select(*staged).where(sa.true())
        self.insert = {
            is_sqlite: insert(source(table))
            .from_select(self.names, every, include_defaults=False)
            .on_conflict_do_nothing()
            .returning(own.id)
            for is_sqlite, insert in ((True, sqlite.insert), (False, postgresql.insert))
        }
        set_: dict[str, sa.ColumnElement[Any]] = {
            name: sa.bindparam(name, None, own[name].type)
            for name in self.names
            if name not in _PROJECTED
        }
        set_["version"] = own.version + 1
        if table is Backup:
            set_["derived_version"] = own.version + 1
        self.update = (
            sa.update(source(table))
            .where(own.project_id == sa.bindparam("of_project"), own.id == sa.bindparam("of_id"))
            .values(set_)
        )


def listed(is_sqlite: bool) -> sa.Select[Any]:  # noqa: FBT001 - of two values
    """Return the query of the ids in a statement's parameter `ids`, a list as JSON."""
    parameter = sa.bindparam("ids", None, type_=sa.Text)
    if is_sqlite:
        value = sa.func.json_each(parameter).table_valued("value").c.value
    else:
        document = sa.cast(parameter, JSONText())
        value = sa.func.json_array_elements_text(document).table_valued("value").c.value
    return sa.select(value)


def _text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return a column as it can be compared: PostgreSQL compares no JSON."""
    return sa.cast(column, sa.Text) if isinstance(column.type, JSONText) else column


KINDS: Mapping[str, Kind] = {
    "clients": Kind(Client),
    "sessions": Kind(Session),
    "actions": Kind(Action),
    "inline_actions": Kind(Action),
    "jobs": Kind(Job),
    "backups": Kind(Backup),
}
"""By the names of freezer-api's tables."""

_GROWING = {name: (source(kind.table),) for name, kind in KINDS.items()} | {
    "jobs": (source(Job), source(JobAction), source(Run)),
    "backups": (source(Backup), source(Series)),
}
"""The tables that grow with each of freezer-api's."""
_GIVEN = itemgetter(*Given._fields)
_LINKS = columns(JobAction)
_JOBS = KINDS["jobs"].staging.table.c
_SELECT_LINKS = (
    sa.select(_LINKS.project_id, _LINKS.job_id, _LINKS.action_id)
    .join_from(
        KINDS["jobs"].staging.table,
        source(JobAction),
        sa.and_(_LINKS.project_id == _JOBS.project_id, _LINKS.job_id == _JOBS.id),
    )
    .order_by(_LINKS.project_id, _LINKS.job_id, _LINKS.position)
)
_DELETE_LINKS = sa.delete(source(JobAction)).where(
    _LINKS.project_id == sa.bindparam("of_project"), _LINKS.job_id == sa.bindparam("of_job")
)
_INSERT_LINKS = sa.insert(source(JobAction))

Key = tuple[str, str]
"""A project and an id in it."""


@dataclass(slots=True)
class Batch:
    """Rows of one table, and what is to become of each of them."""

    kind: Kind
    items: Mapping[Key, Item]
    results: dict[Key, RowResult]
    series: Mapping[Key, str | None]
    """The series that stored backups are in."""
    is_staged: bool = True
    """False if none of the rows is stored: then they are not staged to be compared."""

    def having(self, *results: RowResult) -> Sequence[Item]:
        """Return the rows that get one of these results."""
        if not self.is_staged:
            return list(self.items.values()) if RowResult.INSERTED in results else []
        return [item for key, item in self.items.items() if self.results[key] in results]


async def write(  # noqa: PLR0913 - the rules of an import
    database: Database,
    table: str,
    items: Sequence[Item],
    *,
    is_trial: bool = False,
    mirror: str | None = None,
    left: Collection[Key] | None = None,
) -> Mapping[Key, RowResult]:
    """Write rows of one of freezer-api's tables, and return what became of each.

    A trial writes none; a mirror names its source. Of the rows that are newer here, only those of
    `left` are left, if it is given. Raises Unavailable, and BadInput for a mirror that was ended.
    """
    if not items:
        return {}
    projects = sorted({item.project_id for item in items})
    for _ in range(MAX_ATTEMPTS):
        try:
            async with database.write(*projects, mirror=mirror) as transaction:
                batch = await _compare(transaction, KINDS[table], items, database, left)
                changed = batch.having(RowResult.INSERTED, RowResult.UPDATED)
                if changed and not is_trial:
                    await _write(transaction, batch, database)
                    transaction.unchanged = set(projects) - {item.project_id for item in changed}
        except (LostRace, Conflict):
            # Others have written the same rows.
            continue
        return batch.results
    raise Unavailable("other writers leave no time for the import")


async def gather_statistics(database: Database, table: str) -> None:
    """Let PostgreSQL look at a table that has grown, and at those that are written with it.

    Else it plans as for tables of a few rows: the triggers of jobs, and the checks of their links,
    then read all of a project for each job. Raises Unavailable.
    """
    if not database.is_sqlite:
        async with database.write() as transaction:
            await transaction.gather_statistics(*_GROWING[table])


async def _compare(
    transaction: Transaction,
    kind: Kind,
    items: Sequence[Item],
    database: Database,
    left: Collection[Key] | None,
) -> Batch:
    """Find out what is to be done of each row. Raises the driver's errors."""
    by_key = {(item.project_id, item.id): item for item in items}
    results = dict.fromkeys(by_key, RowResult.INSERTED)
    if not await _any_is_there(transaction, kind, by_key, is_sqlite=database.is_sqlite):
        return Batch(kind, by_key, results, {}, is_staged=False)
    records = [kind.record(item.values) for item in items]
    await transaction.stage(kind.staging, records, is_sqlite=database.is_sqlite)
    stored = await transaction.rows(kind.compare)
    relisted = await _relisted(transaction, by_key) if kind.table is Job and stored else set()
    for row in stored:
        key = row.project_id, row.id
        if not row.differs and key not in relisted:
            results[key] = RowResult.UNCHANGED
        else:
            stays = row.is_newer and (left is None or key in left)
            results[key] = RowResult.LEFT if stays else RowResult.UPDATED
    series = {}
    if kind.table is Backup:
        series = {(row.project_id, row.id): row.series for row in stored}
    return Batch(kind, by_key, results, series)


async def _any_is_there(
    transaction: Transaction, kind: Kind, keys: Collection[Key], *, is_sqlite: bool
) -> bool:
    """Return True if any of these rows is stored."""
    ids: dict[str, list[str]] = {}
    for project_id, own_id in keys:
        ids.setdefault(project_id, []).append(own_id)
    for project_id, own in ids.items():
        values = {"project_id": project_id, "ids": orjson.dumps(own).decode()}
        if await transaction.rows(kind.find[is_sqlite], values):
            return True
    return False


async def _relisted(transaction: Transaction, jobs: Mapping[Key, Item]) -> set[Key]:
    """Return those of the jobs that have other actions than those stored, or in another order."""
    stored: dict[Key, list[str]] = {}
    for project_id, job_id, action_id in await transaction.rows(_SELECT_LINKS):
        stored.setdefault((project_id, job_id), []).append(action_id)
    return {key for key, item in jobs.items() if list(item.links) != stored.get(key, [])}


async def _write(transaction: Transaction, batch: Batch, database: Database) -> None:
    """Write what is new or changed. Raises LostRace, and the driver's errors."""
    kind, is_sqlite = batch.kind, database.is_sqlite
    new, changed = batch.having(RowResult.INSERTED), batch.having(RowResult.UPDATED)
    if kind.table is Backup:
        await _enter(transaction, batch, is_sqlite=is_sqlite)
    if not batch.is_staged:
        records = [kind.whole_record(item.values) for item in new]
        await transaction.append(kind.whole, records, is_sqlite=is_sqlite)
    elif new:
        inserted = await transaction.rows(kind.insert[is_sqlite])
        if len(inserted) != len(new):
            raise LostRace("others have written the same rows")
    await transaction.execute_many(
        kind.update,
        [
            {name: item.values[name] for name in kind.names if name not in _PROJECTED}
            | {"of_project": item.project_id, "of_id": item.id}
            for item in changed
        ],
    )
    if kind.table is Job:
        await _link(transaction, new, changed)


async def _enter(transaction: Transaction, batch: Batch, *, is_sqlite: bool) -> None:
    """Lock the series of backups that are to be written, and have them derived.

    If all backups of the batch are new, what is derived of the new series is added to these.
    """
    series: dict[Key, list[Item]] = {}
    left = set()
    for item in batch.having(RowResult.INSERTED, RowResult.UPDATED):
        own = item.values["series"]
        series.setdefault((item.project_id, own), []).append(item)
        old = batch.series.get((item.project_id, item.id))
        if old is not None and old != own:
            left.add((item.project_id, old))
    entered: dict[Key, Entering] = {}
    derived: dict[Key, Mapping[str, Mapping[str, Any]]] = {}
    for key, items in sorted(series.items(), key=itemgetter(0)):
        entered[key], derived[key] = _derived(items, is_new=not batch.is_staged)
    new = await entering.enter_many(transaction, entered, sorted(left), is_sqlite=is_sqlite)
    for key, items in series.items():
        values = derived[key] if key in new else {}
        for item in items:
            item.values.update(values.get(item.id, _UNDERIVED))


def _derived(
    items: Sequence[Item], *, is_new: bool
) -> tuple[Entering, Mapping[str, Mapping[str, Any]]]:
    """Return how a series is entered by these backups, and what is derived of each if it is new."""
    given = [Given(*_GIVEN(item.values)) for item in items]
    place, newest_time = items[0].place, max(given).calendar_time
    assert place is not None  # noqa: S101 - backups have one
    found = bulk.derive_new(place, given) if is_new else None
    if found is None:
        return Entering(place, newest_time), {}
    return Entering(place, newest_time, found[0]), found[1]


async def _link(transaction: Transaction, new: Sequence[Item], changed: Sequence[Item]) -> None:
    """Write the lists of jobs. Raises the driver's errors."""
    await transaction.execute_many(
        _DELETE_LINKS, [{"of_project": job.project_id, "of_job": job.id} for job in changed]
    )
    rows = [
        {
            "project_id": job.project_id,
            "job_id": job.id,
            "position": position,
            "action_id": action_id,
        }
        for job in (*new, *changed)
        for position, action_id in enumerate(job.links)
    ]
    await transaction.execute_many(_INSERT_LINKS, rows)
