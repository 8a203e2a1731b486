"""Reading the change log: the places that projects are at, and what has happened between two.

What isn't known is never passed over: where the log has been trimmed, where the database was
restored to an earlier state, where a transaction changed too much to tell, or a gateway without a
log has written, a reader is told to begin anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import ChangeLogEntry, Revision
from gateway.catalogue.change_words import ChangeKind, ChangeOperation
from gateway.catalogue.column_types import JSONText
from gateway.catalogue.tables import columns, source
from gateway.changes.cursors import NOWHERE, Place
from gateway.db.database import Database
from gateway.db.rows import Row

MAX_ENTRIES = 200
"""The number of transactions that are read at a time."""

_REVISIONS, _LOG = columns(Revision), columns(ChangeLogEntry)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENTRIES = (
    sa.select(_LOG.position, _LOG.revision, _LOG.changed_at, _LOG.changes)
    .where(
        _LOG.project_id == sa.bindparam("project_id"),
        _LOG.position >= sa.bindparam("position", None, type_=sa.BigInteger),
    )
    .order_by(_LOG.position)
    .limit(sa.literal_column(str(MAX_ENTRIES + 1)))
)


@dataclass(frozen=True, slots=True)
class Head:
    """The place that a project is at now."""

    place: Place = NOWHERE
    is_logged: bool = True
    """False if a gateway without a log has written last."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an item."""

    kind: ChangeKind
    operation: ChangeOperation
    project_id: str
    id: str
    version: int | None
    time: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """The way from one place in the log to a later one."""

    to: Place
    changes: Sequence[Change] | None
    """All that has happened between them; None if that isn't known."""


class ChangeLog:
    """Reads the change log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def heads(self, projects: Collection[str]) -> Mapping[str, Head]:
        """Return the places of these projects, in one statement however many these are.

        Raises Unavailable.
        """
        statement = self._database.statement((ChangeLog, "heads"), self._heads)
        values = {"projects": orjson.dumps(list(projects)).decode()}
        found = {
            row[0]: Head(Place(row[1], row[2]), row[2] == row[3])
            for row in await self._database.rows(statement, values)
        }
        return {project_id: found.get(project_id, Head()) for project_id in projects}

    async def step(self, project_id: str, since: Place, head: Head) -> Step:
        """Return what has happened in a project between a place and its present one.

        Of very much, the first part: the step is shorter then. Raises Unavailable.
        """
        if since == head.place:
            return Step(since, ())
        lost = Step(head.place, None)
        # What comes after a position is known only if that is still the one that it was.
        is_first = since == NOWHERE
        if not head.is_logged or since.position >= head.place.position:
            return lost
        values = {"project_id": project_id, "position": since.position}
        rows = list(await self._database.rows(_ENTRIES, values))
        if not is_first:
            if not rows or (rows[0].position, rows[0].revision) != since:
                return lost
            del rows[0]
        # What has come since is of a later step.
        rows = [row for row in rows[:MAX_ENTRIES] if row.position <= head.place.position]
        positions = [row.position for row in rows]
        expected = range(since.position + 1, since.position + 1 + len(rows))
        if not rows or positions != list(expected) or any(row.changes is None for row in rows):
            return lost
        to = Place(rows[-1].position, rows[-1].revision)
        if to.position == head.place.position and to != head.place:
            return lost
        return Step(to, [change for row in rows for change in _changes(project_id, row)])

    def _heads(self) -> Any:
        parameter = sa.bindparam("projects", None, type_=sa.Text)
        if self._database.is_sqlite:
            given = sa.func.json_each(parameter).table_valued("value")
        else:
            document = sa.cast(parameter, JSONText())
            given = sa.func.json_array_elements_text(document).table_valued("value")
        return sa.select(
            _REVISIONS.project_id,
            _REVISIONS.position,
            _REVISIONS.revision,
            sa.func.coalesce(_REVISIONS.logged_revision, sa.literal_column("-1")),
        ).select_from(
            source(Revision).join(
                given, _REVISIONS.project_id == sa.type_coerce(given.c.value, sa.Text)
            )
        )


def _changes(project_id: str, row: Row) -> Sequence[Change]:
    time = _EPOCH + timedelta(microseconds=row.changed_at)
    return [
        Change(
            ChangeKind(kind),
            ChangeOperation(operation),
            owner[0] if owner else project_id,
            item_id,
            version,
            time,
        )
        for kind, operation, item_id, version, *owner in orjson.loads(row.changes)
    ]
