"""The cost of a deletion: the restore points that go with it, and those that break without it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gateway.chains.vocabularies import Restorability
from gateway.context import Context, ItemKey
from gateway.db.transactions import Transaction
from gateway.errors import BadInput, Conflict
from gateway.query import selects
from gateway.resolvers import backups, series
from gateway.resolvers.collection import Collection

MAX_IDS = 1000
"""The number of backups of which a deletion is looked at in one go."""
SHOWN = 100
"""The number of backups that an answer lists of each kind; it counts all of them."""

_OWN = backups.COLUMNS
_COLUMNS = (
    *(_OWN.project_id, _OWN.id, _OWN.restorability),
    *(_OWN.series, _OWN.chain_time, _OWN.calendar_time),
)
_POINTS = frozenset({Restorability.RESTORABLE, Restorability.UNKNOWN})


@dataclass(frozen=True)
class Impact:
    """The cost of a deletion of backups from the catalogue."""

    lost: list[ItemKey]
    """The restore points among them; the first of many."""
    lost_count: int
    broken: list[ItemKey]
    """The other restore points that need one of them; the first of many."""
    broken_count: int
    chains_count: int
    """The number of chains that these are of."""


async def of_deletion(
    ctx: Context, own: Sequence[ItemKey], others: Sequence[ItemKey] = ()
) -> Impact:
    """Return what the deletion of these backups costs, in two statements; of `others`, in two more.

    Those are of other projects. Backups that aren't there cost nothing. Raises BadInput for too
    many of them, and Forbidden for others where the caller may not read all projects.
    """
    number = len(own) + len(others)
    if number > MAX_IDS:
        raise BadInput(f"'ids' has {number} ids, the limit is {MAX_IDS}", field="ids")
    there: dict[ItemKey, Any] = {}
    needing: list[Any] = []
    if own:
        there |= await backups.COLLECTION.rows_by_key(ctx, own, _COLUMNS)
        needing += await _needing(ctx, series.DEPENDENT, own)
    if others:
        there |= await backups.COLLECTION.all_projects.rows_by_key(ctx, others, _COLUMNS)
        needing += await _needing(ctx, series.DEPENDENT.all_projects, others)
    keys = list(dict.fromkeys((*own, *others)))
    gone = set(keys)
    broken = {
        (row.project_id, row.id): (row.project_id, row.series, row.chain_time)
        for row in sorted(needing, key=lambda row: (row.calendar_time, row.id))
        if row.restorability in _POINTS and (row.project_id, row.id) not in gone
    }
    lost = [key for key in keys if key in there and there[key].restorability in _POINTS]
    return Impact(
        lost[:SHOWN], len(lost), list(broken)[:SHOWN], len(broken), len(set(broken.values()))
    )


async def _needing(ctx: Context, dependent: Collection, keys: Sequence[ItemKey]) -> Sequence[Any]:
    """Return the backups that need one of these."""
    unique = list(dict.fromkeys(keys))
    return await dependent.rows(ctx, selects.by_keys, _COLUMNS, keys=unique, owner=series.OF_OTHER)


_NEEDING = (
    sa.select(_OWN.id)
    .select_from(series.DEPENDENT.source)
    .where(
        series.OF_OTHER[0] == selects.CALLER,
        series.OF_OTHER[1] == sa.bindparam("id"),
        _OWN.restorability.in_([sa.literal_column(f"'{word.value}'") for word in sorted(_POINTS)]),
    )
    .order_by(_OWN.calendar_time, _OWN.id)
    .limit(SHOWN + 1)
)


async def check(ctx: Context, transaction: Transaction, backup_id: str) -> None:
    """Check that no restore point needs a backup, whose series is locked. Raises Conflict."""
    key = {"project_id": ctx.project_id, "id": backup_id}
    needing = await transaction.rows(_NEEDING, key)
    if needing:
        count = f"more than {SHOWN}" if len(needing) > SHOWN else str(len(needing))
        raise Conflict(
            f"{count} restore points need the backup '{backup_id}', the first is "
            f"'{needing[0].id}': delete those first, or leave out 'guard'",
            field="guard",
        )
