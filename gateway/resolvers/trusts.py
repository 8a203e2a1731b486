"""The trusts by which central clients act for the owners of jobs; they are stored in the jobs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import sqlalchemy as sa

from gateway import deadlines
from gateway.catalogue import checks, json_values
from gateway.catalogue.tables import Job, columns
from gateway.context import Context
from gateway.errors import GatewayError, OutcomeUnknown, Unavailable
from gateway.query.selects import CALLER
from gateway.resolvers import clients

COLUMNS = columns(Job)
_STORED = (
    # As text: PostgreSQL can't compare `json` values, which DISTINCT needs.
    sa.select(sa.cast(COLUMNS.user_credentials, sa.Text))
    .where(COLUMNS.project_id == CALLER, COLUMNS.trust_id.is_not(None))
    .distinct()
)
"""The credentials of a project's trusts."""
_USES = (
    sa.select(COLUMNS.id)
    .where(COLUMNS.project_id == CALLER, COLUMNS.trust_id == sa.bindparam("trust_id"))
    .limit(1)
)
"""A job that uses a trust."""


async def trust_columns(ctx: Context, client_id: str | None) -> dict[str, Any]:
    """Return a job's columns of the caller's trust in a central client, or {} for other clients.

    Each user of a project has one trust for all their jobs there; it is created for the first.
    Raises Unprocessable where Keystone refuses, Unavailable where it doesn't answer.
    """
    if ctx.trusts is None or client_id is None or ctx.repeats:
        return {}
    client = await clients.COLLECTION.get(ctx, client_id, (clients.COLUMNS.is_central,))
    if client is None or not client[-1]:
        return {}
    rows = await ctx.db.rows(_STORED, {"project_id": ctx.project_id})
    stored = [orjson.loads(row[0]) for row in rows]
    own = [trust for trust in stored if trust.get("trustor_user_id") == ctx.identity.user_id]
    if own:
        return credentials(own[0])
    # Until the write: nobody else knows of the trust, and so could delete it.
    deadlines.hold()
    made = await ctx.trusts.create(ctx.project_id)
    ctx.made_trusts.add(made["trust_id"])
    return credentials(made)


def credentials(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's columns of these credentials, or {} for an empty document. Raises BadInput."""
    if not document:
        return {}
    trust_id = document.get("trust_id")
    return {
        "user_credentials": json_values.dump(dict(document)),
        "trust_id": None if trust_id is None else checks.string("trust_id", trust_id),
    }


async def revoke_if_unused(ctx: Context, trust_id: str | None) -> None:
    """Delete a trust that no job uses any more; a failure leaves it, and is never raised."""
    if ctx.trusts is None or trust_id is None:
        return
    key = {"project_id": ctx.project_id, "trust_id": trust_id}
    # The job is changed or deleted already: the caller must not be told that it failed.
    with suppress(Unavailable):
        if await ctx.db.scalar(_USES, key) is None:
            await ctx.trusts.delete(trust_id)


@asynccontextmanager
async def revoke_on_failure(ctx: Context, trust_id: str | None) -> AsyncIterator[None]:
    """Open a block that stores a job; if it fails, delete a trust that was made for it.

    A trust that was there before, or that a service brought, may be in use elsewhere.
    Raises what the block raises.
    """
    try:
        with deadlines.explained():
            yield
    except OutcomeUnknown:
        # The job may have been stored, with the trust.
        raise
    except GatewayError:
        if trust_id in ctx.made_trusts:
            await revoke_if_unused(ctx, trust_id)
        raise
