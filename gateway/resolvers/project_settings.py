"""What a project has set for itself: the time zone of its hosts."""

import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import ProjectSettings
from gateway.catalogue.tables import columns, source
from gateway.catalogue.timetables import zone
from gateway.context import Context
from gateway.db.transactions import Transaction
from gateway.query.selects import CALLER
from gateway.resolvers import due_times, rules, writing

_OWN = columns(ProjectSettings)
_DELETE = sa.delete(source(ProjectSettings)).where(_OWN.project_id == CALLER)


async def time_zone(ctx: Context) -> str | None:
    """Return the time zone that the project has set. Raises Forbidden and Unavailable."""
    ctx.authorize(rules.CLIENTS.list)
    found: str | None = await ctx.db.scalar(due_times.PROJECT_ZONE, {"project_id": ctx.project_id})
    return found


async def set_time_zone(ctx: Context, name: str | None) -> None:
    """Set the time zone of hosts whose clients have none, None for one that isn't known.

    The next runs of their jobs are worked out anew. Raises BadInput for no time zone.
    """
    ctx.authorize("clients:create")
    known = zone(name, field="timeZone").key if name else None

    async def write(transaction: Transaction) -> None:
        await transaction.rows(_DELETE, {"project_id": ctx.project_id})
        await transaction.insert(ProjectSettings(project_id=ctx.project_id, time_zone=known))
        await due_times.renew_of_project(ctx, transaction, known)

    await writing.transact(ctx, write)
