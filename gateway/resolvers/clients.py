"""Clients: the hosts that run a scheduler, registered by it, and what each can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gateway import documents, filters, projections, resolvers
from gateway.context import Context, Parent
from gateway.filters import Where
from gateway.paging import Sort
from gateway.projections import CAPABILITIES
from gateway.resolvers import Column, Columns, Listing, change
from gateway.tables import Client, Row, columns, source

COLUMNS = columns(Client)


def visible(ctx: Context) -> Column:
    """A project sees its own clients, and the central ones that serve every project."""
    return sa.or_(COLUMNS.project_id == ctx.project_id, COLUMNS.is_central)


class Clients(Listing):
    """The list of clients, in which a project's ids may also mean central clients."""

    async def meant(
        self, ctx: Context, keys: Sequence[Parent], select: Columns
    ) -> Mapping[Parent, Row]:
        """What these projects mean by these client ids: their own client, else a central one."""
        wanted = resolvers.parents(ctx, keys)
        own = COLUMNS.project_id == wanted.c.of_project
        query = (
            self.query(ctx, None, (*resolvers.labelled(wanted), *select))
            .where(COLUMNS.id == wanted.c.of_id, sa.or_(own, COLUMNS.is_central))
            .order_by(own)
        )
        return {(row[0], row[1]): row for row in await ctx.db.rows(query)}


LISTING = Clients(
    source=source(Client),
    rule="clients:get_all",
    key=(COLUMNS.project_id, COLUMNS.id),
    order=(Sort(COLUMNS.id),),
    visible=visible,
)


@dataclass
class ClientDraft:
    """A host to register; capabilities that aren't given are all that the gateway knows."""

    client_id: str
    hostname: str | None = None
    description: str | None = None
    uuid: str | None = None
    supported_actions: list[str] | None = None
    supported_modes: list[str] | None = None
    supported_storages: list[str] | None = None
    supported_engines: list[str] | None = None


async def create(ctx: Context, draft: ClientDraft) -> Client:
    """Register a client, or update the description and capabilities given of a registered one.

    Raises BadInput for an id that names no host, or a capability that nobody has.
    """
    ctx.authorize("clients:create")
    projections.client_identifier("client_id", draft.client_id)
    capabilities = {
        key: documents.dump(_capability(key, value))
        for key in CAPABILITIES
        if (value := getattr(draft, key)) is not None
    }
    full = {key: documents.dump(list(words)) for key, words in CAPABILITIES.items()}
    values: dict[str, Any] = full | capabilities | ({"uuid": draft.uuid} if draft.uuid else {})
    row = Client(
        project_id=ctx.project_id,
        id=draft.client_id,
        user_id=ctx.identity.user_id,
        hostname=draft.hostname,
        description=draft.description,
        **values,
    )
    projections.fits(row)
    taken = f"a client with the id '{row.id}' is being registered by someone else"
    async with ctx.db.write(taken=taken) as session:
        query = sa.select(Client).where(COLUMNS.project_id == row.project_id, COLUMNS.id == row.id)
        known = (await session.execute(query.with_for_update())).scalar_one_or_none()
        if known is None:
            session.add(row)
            return row
        description = {} if draft.description is None else {"description": draft.description}
        changes = {
            key: value
            for key, value in (capabilities | description).items()
            if getattr(known, key) != value
        }
        # A scheduler registers at every start: what says nothing new is not a change.
        if changes:
            change(known, **changes)
        return known


async def delete(ctx: Context, client_id: str, *, expected_version: int | None = None) -> None:
    """Forget a client of the caller's project; its jobs and backups stay.

    Raises NotFound and StaleVersion.
    """
    ctx.authorize("clients:delete")
    await resolvers.delete(ctx, Client, client_id, expected_version)


def _capability(key: str, words: object) -> list[str]:
    check = projections.one_of(CAPABILITIES[key])
    return [check(key, word) for word in projections.sequence(key, words)]


def search(text: str) -> Where:
    """Look for a text in ids, hosts, descriptions; an id must be the whole text."""
    return filters.search(
        text,
        ids=(COLUMNS.id, COLUMNS.uuid),
        names=(COLUMNS.id, COLUMNS.hostname, COLUMNS.description),
    )
