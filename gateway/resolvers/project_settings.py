"""The settings of a project: the time zone of its hosts."""

from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.bookkeeping_tables import ProjectSettings
from gateway.catalogue.tables import columns, source
from gateway.catalogue.timetables import zone
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.resolvers import due_times, rules, writing

_OWN = columns(ProjectSettings)
_SET = {
    is_sqlite: new.on_conflict_do_update(
        index_elements=[_OWN.project_id], set_={"time_zone": new.excluded.time_zone}
    )
    for is_sqlite, new in (
        (True, sqlite.insert(source(ProjectSettings))),
        (False, postgresql.insert(source(ProjectSettings))),
    )
}


async def time_zone(ctx: Context) -> str | None:
    """Return the time zone that the project has set. Raises Forbidden and Unavailable."""
    ctx.authorize(rules.CLIENTS.list)
    found: str | None = await ctx.db.scalar(due_times.PROJECT_ZONE, {"project_id": ctx.project_id})
    return found


async def set_time_zone(ctx: Context, name: str | None) -> str | None:
    """Set the time zone of hosts whose clients have none, None for one that isn't known.

    The next runs of their jobs are worked out anew. Returns the time zone as it is kept. Raises
    BadInput for no time zone.
    """
    ctx.authorize("clients:create")
    known = zone(name, field="timeZone").key if name else None

    async def write(transaction: Transaction) -> None:
        values = {"project_id": ctx.project_id, "time_zone": known}
        await transaction.rows(_SET[ctx.db.is_sqlite], values)
        await due_times.renew_of_project(ctx, transaction, known)

    await writing.transact(ctx, write)
    return known
