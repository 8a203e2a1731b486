"""Statements about many backups and series at once, each with one parameter: rows, as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.column_types import JSONText
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import (
    NO_TIME,
    UNKNOWN,
    Action,
    Backup,
    JobAction,
    columns,
    source,
)
from gateway.chains import policies
from gateway.chains.derivation import OWN, SERIES
from gateway.chains.locking import PLACE
from gateway.chains.places import Place
from gateway.chains.policies import Policy
from gateway.db.transactions import Transaction

_STEPS, _ACTIONS = columns(JobAction), columns(Action)
_OWNER: sa.BindParameter[str] = sa.bindparam("project_id")


def _rows(is_sqlite: bool, **types: Any) -> sa.Subquery:  # noqa: FBT001 - of two values
    """Return the table of a statement's parameter, of these columns."""
    parameter = sa.bindparam("rows", None, type_=sa.Text)
    given: Any
    if is_sqlite:
        entry = sa.func.json_each(parameter).table_valued("value").c.value
        given = (sa.func.json_extract(entry, sa.literal_column(f"'$[{n}]'")) for n in range(99))
    else:
        document = sa.cast(parameter, JSONText())
        entry = sa.func.json_array_elements(document).table_valued("value").c.value
        given = (
            entry.op("->>", return_type=sa.Text())(sa.literal_column(str(n))) for n in range(99)
        )
    named = zip(types.items(), given, strict=False)
    return sa.select(
        *(sa.cast(value, type_).label(f"of_{name}") for (name, type_), value in named)
    ).subquery("given")


def _entering(insert: Any, *, is_sqlite: bool) -> Any:
    given = _rows(is_sqlite, **dict.fromkeys(("id", *PLACE), sa.Text), newest_time=sa.BigInteger)
    fixed = {
        "project_id": sa.cast(_OWNER, sa.Text),
        "restorability": sa.literal_column(f"'{UNKNOWN}'"),
        "is_told": sa.false(),
        "removed_time": sa.literal_column(str(NO_TIME)),
        "forgotten_time": sa.literal_column(str(NO_TIME)),
        "removals_time": sa.literal_column(str(NO_TIME)),
        "is_stale": sa.true(),
    }
    names = [column.key.removeprefix("of_") for column in given.c]
    chosen = sa.select(*given.c, *fixed.values()).order_by(given.c.of_id)
    # SQLite would take what follows a FROM for a join.
    statement = insert(source(Series)).from_select(
        [*names, *fixed], chosen.where(given.c.of_id.is_not(None))
    )
    new = statement.excluded.newest_time
    newest = sa.case((new > SERIES.newest_time, new), else_=SERIES.newest_time)
    return statement.on_conflict_do_update(
        index_elements=[SERIES.project_id, SERIES.id],
        set_={"newest_time": newest, "is_stale": sa.true()},
    )


def _putting(*, is_sqlite: bool) -> Any:
    given = _rows(is_sqlite, id=sa.Text, version=sa.Integer, series=sa.Text, policy=sa.Text)
    policy = given.c.of_policy if is_sqlite else sa.cast(given.c.of_policy, JSONText())
    return (
        sa.update(source(Backup))
        .where(
            OWN.project_id == _OWNER,
            OWN.id == given.c.of_id,
            # Whoever has changed it meanwhile has put it in its series.
            OWN.version == given.c.of_version,
        )
        .values(series=given.c.of_series, policy=policy, derived_version=given.c.of_version)
    )


def _marking(*, is_sqlite: bool) -> Any:
    given = _rows(is_sqlite, id=sa.Text)
    return (
        sa.update(source(Series))
        .where(SERIES.project_id == _OWNER, SERIES.id == given.c.of_id)
        .values(is_stale=True)
    )


def _acting(*, is_sqlite: bool) -> Any:
    given = _rows(is_sqlite, id=sa.Text)
    steps = source(JobAction).join(
        source(Action),
        sa.and_(_ACTIONS.project_id == _STEPS.project_id, _ACTIONS.id == _STEPS.action_id),
    )
    return (
        sa.select(_STEPS.job_id, _ACTIONS.freezer_action)
        .select_from(steps.join(given, _STEPS.job_id == given.c.of_id))
        .where(_STEPS.project_id == _OWNER, _ACTIONS.action == sa.literal_column("'backup'"))
    )


_ENTER = {
    True: _entering(sqlite.insert, is_sqlite=True),
    False: _entering(postgresql.insert, is_sqlite=False),
}
_PUT, _MARK, _ACT = (
    {is_sqlite: make(is_sqlite=is_sqlite) for is_sqlite in (True, False)}
    for make in (_putting, _marking, _acting)
)


async def known_policy(
    transaction: Transaction, row: Any, values: Mapping[str, Any], *, is_sqlite: bool
) -> Policy | None:
    """Return the policy that a stored backup was made by, which is changed to these values.

    Of those that Cinder makes, the scheduler registers a backup that has begun, and tells its job
    when it has ended: then its policy is that of the job's action. Raises the driver's errors.
    """
    job_id = values.get("job_id")
    if row.policy is not None or row.job_id is not None or job_id is None:
        return Policy.load(row.policy)
    batch = Batch(transaction, row.project_id, is_sqlite=is_sqlite)
    actions = (await batch.actions([job_id])).get(job_id, ())
    action = policies.choose(actions, orjson.loads(values["backup_metadata"]))
    return None if action is None else policies.of_action(action)


class Batch:
    """Many rows of a project, in a transaction. Methods raise the driver's errors."""

    def __init__(self, transaction: Transaction, project_id: str, *, is_sqlite: bool) -> None:
        self._transaction, self._is_sqlite = transaction, is_sqlite
        self._project_id = project_id

    async def actions(self, jobs: Iterable[str]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return the `freezer_action`s of these jobs that back up."""
        rows = [[one] for one in sorted(set(jobs))]
        found: dict[str, list[Mapping[str, Any]]] = {}
        values = self._values(rows)
        for row in await self._transaction.rows(_ACT[self._is_sqlite], values) if rows else ():
            found.setdefault(row.job_id, []).append(orjson.loads(row.freezer_action))
        return found

    async def enter(self, places: Iterable[tuple[Place, int]]) -> None:
        """Lock the series of these places, new ones if need be, to be derived.

        Beside each place is the newest time of a backup of it.
        """
        rows = [[getattr(at, k) or None for k in ("id", *PLACE)] + [time] for at, time in places]
        await self._transaction.rows(_ENTER[self._is_sqlite], self._values(rows))

    async def mark(self, series: Iterable[str]) -> None:
        """Note that these series are to be derived."""
        if rows := [[one] for one in sorted(series)]:
            await self._transaction.rows(_MARK[self._is_sqlite], self._values(rows))

    async def put(self, backups: Sequence[tuple[str, int, str, str | None]]) -> None:
        """Put backups of these ids and versions in series, each with its policy."""
        await self._transaction.rows(_PUT[self._is_sqlite], self._values(backups))

    def _values(self, rows: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
        return {"project_id": self._project_id, "rows": orjson.dumps(rows).decode()}
