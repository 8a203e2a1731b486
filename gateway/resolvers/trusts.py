"""By which trust a central client works for those whose jobs it runs: kept in the jobs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.catalogue import checks, json_values
from gateway.catalogue.tables import Job, columns
from gateway.context import Context
from gateway.errors import GatewayError
from gateway.resolvers import clients

COLUMNS = columns(Job)


async def trust_columns(ctx: Context, client_id: str | None) -> dict[str, Any]:
    """Columns of the trust by which a central client works for the caller; none for any other.

    Each user of a project has one trust for all their jobs there.
    """
    if ctx.trusts is None or client_id is None:
        return {}
    client = await clients.COLLECTION.get(ctx, client_id, (clients.COLUMNS.is_central,))
    if client is None or not client[-1]:
        return {}
    # As text: PostgreSQL can't tell whether two documents are equal.
    query = sa.select(sa.cast(COLUMNS.user_credentials, sa.Text)).where(
        COLUMNS.project_id == ctx.project_id, COLUMNS.trust_id.is_not(None)
    )
    given = [orjson.loads(found[0]) for found in await ctx.db.rows(query.distinct())]
    own = [one for one in given if one.get("trustor_user_id") == ctx.identity.user_id]
    return credentials(own[0] if own else await ctx.trusts.create(ctx.project_id))


def credentials(document: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of the credentials that a job's client is given; none for an empty document."""
    if not document:
        return {}
    trust_id = document.get("trust_id")
    return {
        "user_credentials": json_values.dump(dict(document)),
        "trust_id": None if trust_id is None else checks.string("trust_id", trust_id),
    }


async def revoke_if_unused(ctx: Context, trust_id: str | None) -> None:
    """Take a trust back when the last job that used it is gone."""
    if ctx.trusts is None or trust_id is None:
        return
    query = sa.select(COLUMNS.id).where(
        COLUMNS.project_id == ctx.project_id, COLUMNS.trust_id == trust_id
    )
    if await ctx.db.scalar(query.limit(1)) is None:
        await ctx.trusts.delete(trust_id)


@asynccontextmanager
async def or_revoke(ctx: Context, trust_id: str | None) -> AsyncIterator[None]:
    """Take back the trust of a job that isn't stored after all."""
    try:
        yield
    except GatewayError:
        with suppress(GatewayError):  # what went wrong first is what counts
            await revoke_if_unused(ctx, trust_id)
        raise
