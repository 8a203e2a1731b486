"""Clients: the hosts that run a scheduler, registered by it, and what each can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gateway.catalogue import checks, json_values
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.tables import Client, columns, default_of, source
from gateway.catalogue.vocabularies import CAPABILITIES, CLOSED_CAPABILITIES
from gateway.context import Context, ItemKey
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.errors import Conflict, Forbidden, NotFound
from gateway.query import filters
from gateway.query.filters import Where
from gateway.query.paging import Sort
from gateway.query.selects import CALLER, key_columns
from gateway.resolvers import rules, writing
from gateway.resolvers.collection import Collection, Columns
from gateway.resolvers.writing import update_row

COLUMNS = columns(Client)


VISIBLE = sa.or_(COLUMNS.project_id == CALLER, COLUMNS.is_central)
"""A project sees its own clients, and the central ones that serve every project."""
_LOCKING = (
    sa.select(source(Client)).where(COLUMNS.id == sa.bindparam("id"), VISIBLE).with_for_update()
)


class Clients(Collection):
    """The list of clients, in which a project's ids may also mean central clients."""

    async def resolve_ids(
        self, ctx: Context, keys: Sequence[ItemKey], select: Columns
    ) -> Mapping[ItemKey, Row]:
        """What these projects mean by these client ids: their own client, else a central one."""
        rows = await self.rows(ctx, _own_last, select, keys=keys)
        return {(row[0], row[1]): row for row in rows}


def _own_last(query: sa.Select[Any], _window: None, of: sa.FromClause) -> sa.Select[Any]:
    own = COLUMNS.project_id == of.c.of_project
    found = query.with_only_columns(*key_columns(of), *query.selected_columns)
    return found.where(COLUMNS.id == of.c.of_id, sa.or_(own, COLUMNS.is_central)).order_by(own)


COLLECTION = Clients(
    source=source(Client),
    rules=rules.CLIENTS,
    rule=rules.CLIENTS.list,
    key=(COLUMNS.project_id, COLUMNS.id),
    # A project's own client may have the id of a central one.
    order=(Sort(COLUMNS.id), Sort(COLUMNS.project_id)),
    tiebreakers=(COLUMNS.id, COLUMNS.project_id),
    visible=VISIBLE,
)


@dataclass
class ClientDraft:
    """A host to register; capabilities that aren't given are all that the gateway knows.

    A central client serves every project, and its id is its alone.
    """

    client_id: str
    is_central: bool = default_of(Client, "is_central")
    hostname: str | None = None
    description: str | None = None
    uuid: str | None = None
    supported_actions: list[str] | None = None
    supported_modes: list[str] | None = None
    supported_storages: list[str] | None = None
    supported_engines: list[str] | None = None


async def create(ctx: Context, draft: ClientDraft) -> Client:
    """Register a client, or update the description and capabilities given of a registered one.

    Raises BadInput for an id that names no host, or a capability that nobody has; Conflict for the
    id of another project's central client.
    """
    ctx.authorize("clients:create_central" if draft.is_central else "clients:create")
    checks.client_identifier("client_id", draft.client_id)
    capabilities = {
        key: json_values.dump(_capability(key, value))
        for key in CAPABILITIES
        if (value := getattr(draft, key)) is not None
    }
    full = {key: json_values.dump(list(words)) for key, words in CAPABILITIES.items()}
    values: dict[str, Any] = full | capabilities | ({"uuid": draft.uuid} if draft.uuid else {})
    row = Client(
        project_id=ctx.project_id,
        id=draft.client_id,
        user_id=ctx.identity.user_id,
        hostname=draft.hostname,
        description=draft.description,
        is_central=draft.is_central,
        **values,
    )
    check_lengths(row)
    news = capabilities | ({} if draft.description is None else {"description": draft.description})
    try:
        return await _register(ctx, row, news)
    except Conflict:
        # Whoever registered it at the same time has done so by now, and is found.
        return await _register(ctx, row, news)


async def _register(ctx: Context, row: Client, news: Mapping[str, str]) -> Client:
    """Store a client, or what is new of one that is known."""
    conflict_message = f"a client with the id '{row.id}' is registered by another project"
    async with ctx.write(conflict_message=conflict_message) as transaction:
        known_as = {"project_id": row.project_id, "id": row.id}
        found = await transaction.objects(Client, _LOCKING, known_as)
        known = next((client for client in found if client.project_id == row.project_id), None)
        if known is None:
            if found:
                raise Conflict(conflict_message, field="client_id")
            await transaction.insert(row)
            return row
        changes = {key: value for key, value in news.items() if getattr(known, key) != value}
        # A scheduler registers at every start: what says nothing new is not a change.
        if changes:
            await update_row(transaction, known, **changes)
        return known


async def delete(ctx: Context, client_id: str, *, expected_version: int | None = None) -> None:
    """Forget a client of the caller's project; its jobs and backups stay.

    Raises NotFound, StaleVersion, and Forbidden for another project's central client.
    """
    ctx.authorize("clients:delete")
    try:
        await writing.delete(ctx, Client, client_id, expected_version)
    except NotFound:
        if await COLLECTION.get(ctx, client_id, (COLUMNS.id,)):
            raise Forbidden(f"the client '{client_id}' is another project's") from None
        raise


def _capability(key: str, words: object) -> list[str]:
    closed = key in CLOSED_CAPABILITIES
    check = checks.one_of(CAPABILITIES[key]) if closed else checks.string
    return [check(key, word) for word in checks.sequence(key, words)]


def search(text: str) -> Where:
    """Look for a text in ids, hosts, descriptions; an id must be the whole text."""
    return filters.search(
        text,
        ids=(COLUMNS.id, COLUMNS.uuid),
        names=(COLUMNS.id, COLUMNS.hostname, COLUMNS.description),
    )


async def project_ids(database: Database, limit: int) -> list[str]:
    """Return the ids of at most `limit` projects that have clients, sorted.

    It asks no policy: it is for a gateway that authenticates nobody. Raises Unavailable.
    """
    query = sa.select(COLUMNS.project_id).distinct().order_by(COLUMNS.project_id).limit(limit)
    return [row.project_id for row in await database.rows(query)]
