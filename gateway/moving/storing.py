"""Writing pages of rows into freezer-api's tables: new ones inserted, others compared first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.moving import returning
from gateway.moving.counts import RowResult
from gateway.moving.layouts import TABLES, SourceValues
from gateway.moving.reports import Reason
from gateway.moving.returning import Limits
from gateway.moving.targets import NotTaken, Target

NAMES: Mapping[str, Sequence[str]] = {
    table: tuple(name for name in names if name not in {"job_actions", "user_name"})
    for table, names in TABLES.items()
}
"""The columns of each table at the newest revision."""
_TIMES = frozenset({"created_at", "updated_at"})
_SECONDS = len("2026-01-01 00:00:00")
_INSERT_LINK = (
    "INSERT INTO job_actions (id, job_id, action_id, position, deleted, created_at) "
    "VALUES (%s, %s, %s, %s, %s, %s)"
)
_INSERT_TRUST = (
    "INSERT INTO user_credentials "
    "(id, trust_id, trustor_user_id, job_id, deleted, created_at) "
    "VALUES (%s, %s, %s, %s, %s, %s)"
)


@dataclass(slots=True)
class Returned:
    """A row to be written; of a job, also the ids of its actions and its trust."""

    values: SourceValues
    links: Sequence[str] = ()
    trust: tuple[str, str, str, str] | None = None

    @property
    def id(self) -> str:
        """The id that it has there."""
        return str(self.values["id"])


@dataclass(slots=True)
class Fate:
    """The fate of a row, and the reason for one that is refused or left."""

    result: RowResult
    reason: Reason | None = None
    message: str = ""


@dataclass
class Store:
    """The writer of pages. Its methods wait for the database."""

    target: Target
    limits: Limits
    is_trial: bool = False

    def page(self, table: str, rows: Sequence[Returned]) -> Sequence[Fate]:
        """Write rows of a table, and return what became of each. Raises Unavailable."""
        fates = [self._judge(table, row) for row in rows]
        asked = [row.id for row, fate in zip(rows, fates, strict=True) if fate is None]
        stored = self._stored(table, asked)
        linked, trusts = self._lists(asked) if table == "jobs" else ({}, {})
        for at, row in enumerate(rows):
            if fates[at] is None:
                lists = linked.get(row.id, ()), trusts.get(row.id)
                fates[at] = _compare(row, stored.get(row.id), *lists)
        judged = [fate for fate in fates if fate is not None]
        if not self.is_trial:
            self._write(table, rows, judged)
        return judged

    def _judge(self, table: str, row: Returned) -> Fate | None:
        """Return the fate of a row that can't be written whole; None for any other."""
        for name, value in row.values.items():
            limit = self.limits.get((table, name))
            if limit is not None and limit.forbids(value):
                message = f"'{name}' is longer than freezer-api's column"
                return Fate(RowResult.REFUSED, Reason.TOO_LONG, message)
        return None

    def _stored(self, table: str, ids: Sequence[str]) -> Mapping[str, SourceValues]:
        """Return the rows that are there, by their ids, with `deleted`."""
        if not ids:
            return {}
        names = (*NAMES[table], "deleted")
        query = f"SELECT {', '.join(names)} FROM {table} WHERE id IN ({_marks(ids)})"  # noqa: S608 - names of ours
        rows = self.target.rows(query, ids)
        return {row[0]: dict(zip(names, row, strict=True)) for row in rows}

    def _lists(
        self, job_ids: Sequence[str]
    ) -> tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]]:
        """Return the actions, and the trusts, of jobs that are there."""
        if not job_ids:
            return {}, {}
        among = f"WHERE deleted = 0 AND job_id IN ({_marks(job_ids)})"
        query = f"SELECT job_id, action_id FROM job_actions {among} ORDER BY job_id, position, id"  # noqa: S608 - marks
        linked: dict[str, list[str]] = {}
        for job_id, action_id in self.target.rows(query, job_ids):
            linked.setdefault(job_id, []).append(action_id)
        query = f"SELECT job_id, trust_id, trustor_user_id FROM user_credentials {among}"  # noqa: S608 - marks
        trusts = {row[0]: (row[1], row[2]) for row in self.target.rows(query, job_ids)}
        return linked, trusts

    def _write(self, table: str, rows: Sequence[Returned], fates: list[Fate]) -> None:
        """Write what is new or changed; what the database doesn't take becomes refused."""
        due = [
            at
            for at, fate in enumerate(fates)
            if fate.result in {RowResult.INSERTED, RowResult.UPDATED}
        ]
        if not due:
            return
        try:
            self._write_some(table, [(rows[at], fates[at].result) for at in due])
        except NotTaken:
            # One by one, to find out which.
            for at in due:
                try:
                    self._write_some(table, [(rows[at], fates[at].result)])
                except NotTaken as error:
                    fates[at] = Fate(RowResult.REFUSED, Reason.NOT_TAKEN, str(error))

    def _write_some(self, table: str, rows: Sequence[tuple[Returned, RowResult]]) -> None:
        names = NAMES[table]
        new = [row for row, result in rows if result is RowResult.INSERTED]
        changed = [row for row, result in rows if result is RowResult.UPDATED]
        marks = ", ".join(["%s"] * (len(names) + 1))
        set_ = ", ".join(f"{name} = %s" for name in names)
        insert = f"INSERT INTO {table} ({', '.join(names)}, deleted) VALUES ({marks})"  # noqa: S608 - names of ours
        update = f"UPDATE {table} SET {set_}, deleted = %s, deleted_at = NULL WHERE id = %s"  # noqa: S608 - names of ours
        self.target.write(
            (insert, [[*_ordered(row, names), 0] for row in new]),
            (update, [[*_ordered(row, names), 0, row.id] for row in changed]),
            *(_lists_of([row for row, _ in rows]) if table == "jobs" else ()),
        )

    def delete(self, table: str, ids: Sequence[str], time: str) -> None:
        """Mark rows as deleted at a time, as freezer-api deletes them.

        Raises NotTaken, and Unavailable.
        """
        marks = _marks(ids)
        mark = f"UPDATE {table} SET deleted = 1, deleted_at = %s WHERE id IN ({marks})"  # noqa: S608 - names of ours
        unlink = f"DELETE FROM job_actions WHERE job_id IN ({marks})"  # noqa: S608 - marks
        self.target.write(*([(unlink, [ids])] if table == "jobs" else []), (mark, [[time, *ids]]))


def _lists_of(jobs: Sequence[Returned]) -> Iterable[tuple[str, Sequence[Sequence[Any]]]]:
    """Yield the statements that write the lists of actions of jobs, and their trusts."""
    ids = [job.id for job in jobs]
    among = f"WHERE job_id IN ({_marks(ids)})"
    yield f"DELETE FROM job_actions {among}", [ids]  # noqa: S608 - marks
    yield f"DELETE FROM user_credentials {among}", [ids]  # noqa: S608 - marks
    yield (
        _INSERT_LINK,
        [
            (*link, 0, job.values["created_at"])
            for job in jobs
            for link in returning.links(job.id, job.links)
        ],
    )
    yield _INSERT_TRUST, [(*job.trust, 0, job.values["created_at"]) for job in jobs if job.trust]


def _ordered(row: Returned, names: Sequence[str]) -> Sequence[Any]:
    return [row.values[name] for name in names]


def _marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def _compare(
    row: Returned,
    there: SourceValues | None,
    linked: Sequence[str],
    trust: Sequence[str] | None,
) -> Fate:
    """Return what is to be done of a row, by what is there."""
    if there is None:
        return Fate(RowResult.INSERTED)
    if there["project_id"] != row.values["project_id"]:
        message = f"the project '{there['project_id']}' has a row of this id: there, ids are unique"
        return Fate(RowResult.REFUSED, Reason.ID_TAKEN, message)
    own_trust = None if row.trust is None else row.trust[1:3]
    is_same = (
        not there["deleted"]
        and all(_plain(name, there[name]) == _plain(name, one) for name, one in row.values.items())
        and tuple(linked) == tuple(row.links)
        and trust == own_trust
    )
    if is_same:
        return Fate(RowResult.UNCHANGED)
    if not there["deleted"] and _changed_at(there) > _changed_at(row.values):
        message = "it was changed there after the last change here, and stays as it is there"
        return Fate(RowResult.LEFT, Reason.CHANGED_THERE, message)
    return Fate(RowResult.UPDATED)


def _changed_at(values: Mapping[str, Any]) -> str:
    time = values["updated_at"] or values["created_at"]
    return str(time)[:_SECONDS] if time else ""


def _plain(name: str, value: Any) -> Any:
    return str(value)[:_SECONDS] if name in _TIMES and value else value
