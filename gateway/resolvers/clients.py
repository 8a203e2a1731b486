"""Clients: the hosts that schedulers register, and their capabilities."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from gateway.catalogue import checks, json_values
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.history import ClientHeartbeat
from gateway.catalogue.tables import Client, columns, default_of, source
from gateway.catalogue.timetables import zone
from gateway.catalogue.vocabularies import CAPABILITIES, CLOSED_CAPABILITIES
from gateway.context import Context, ItemKey
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.db.transactions import Transaction
from gateway.errors import Conflict, Forbidden, NotFound
from gateway.query import filters
from gateway.query.clock import MOMENT, epoch
from gateway.query.filters import Where
from gateway.query.paging import LIMIT, Sort
from gateway.query.selects import CALLER, Query, key_columns
from gateway.resolvers import due_times, rules, writing
from gateway.resolvers.collection import Collection, Columns
from gateway.resolvers.writing import get_for_update, update_row

COLUMNS = columns(Client)


VISIBLE = sa.or_(COLUMNS.project_id == CALLER, COLUMNS.is_central)
"""The predicate of the clients that the caller sees: the project's, and central ones."""
_OWN = sa.alias(source(Client), "own")
SERVED_PROJECT = sa.case(
    (
        sa.exists()
        .where(_OWN.c.project_id == CALLER, _OWN.c.id == COLUMNS.id)
        .correlate(source(Client)),
        COLUMNS.project_id,
    ),
    else_=CALLER,
)
"""The project whose jobs and backups the caller sees of a client that the caller sees.

Another project's central client has those of the caller's project, unless this has a client of the
same id itself, to which they belong.
"""
_SELECT_FOR_UPDATE = (
    sa.select(source(Client))
    .where(COLUMNS.id == sa.bindparam("id"), VISIBLE)
    .order_by(COLUMNS.project_id)
    .with_for_update()
)
_PROJECTS = sa.select(COLUMNS.project_id).distinct().order_by(COLUMNS.project_id).limit(LIMIT)


_HEARTBEATS = columns(ClientHeartbeat)
LAST_SEEN = (
    sa.select(_HEARTBEATS.seen_at)
    .where(_HEARTBEATS.project_id == COLUMNS.project_id, _HEARTBEATS.client_id == COLUMNS.id)
    .correlate(source(Client))
    .scalar_subquery()
)
"""The last second at which its scheduler has asked for its jobs; null for never."""
HEARD_OF = sa.func.coalesce(LAST_SEEN, epoch(COLUMNS.created_at), type_=sa.BigInteger)
"""The last second at which anything was heard of it: at least it has been registered."""
SILENT_AFTER: sa.ColumnElement[int] = sa.bindparam("silent_after", None, type_=sa.BigInteger)
"""The parameter that holds the seconds without a poll after which a client is silent."""
IS_SILENT = MOMENT - SILENT_AFTER > HEARD_OF
"""The predicate that nothing has been heard of it for longer than the setting allows."""


class Clients(Collection):
    """The collection of clients, where a project's ids may also refer to central clients."""

    async def resolve_ids(
        self, ctx: Context, keys: Sequence[ItemKey], select: Columns
    ) -> Mapping[ItemKey, Row]:
        """Return the clients of these keys: the project's own, else a central one of the id.

        Raises Forbidden and Unavailable.
        """
        rows = await self.rows(ctx, _own_last, select, keys=keys)
        return {(row[0], row[1]): row for row in rows}


def _own_last(query: Query, _page_request: None, keys: sa.FromClause) -> Query:
    """Select the own and the central client of each key, the own one last."""
    own = COLUMNS.project_id == keys.c.of_project
    selected = query.with_only_columns(*key_columns(keys), *query.selected_columns)
    visible = sa.or_(own, COLUMNS.is_central)
    return selected.where(COLUMNS.id == keys.c.of_id, visible).order_by(own)


COLLECTION = Clients(
    source=source(Client),
    rules=rules.CLIENTS,
    rule=rules.CLIENTS.list,
    key=(COLUMNS.project_id, COLUMNS.id),
    # By project as well: a project's own client may have the id of a central one.
    order=(Sort(COLUMNS.id), Sort(COLUMNS.project_id)),
    tiebreakers=(COLUMNS.id, COLUMNS.project_id),
    visible=VISIBLE,
)


@dataclass
class ClientDraft:
    """A host to register; None for a capability stands for every word that the gateway knows.

    A central client serves every project, and its id is unique among all projects' central clients.
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
    """Register a client, and return its row.

    Of a client that is registered already, the description and the capabilities that are given
    replace the old ones. Raises BadInput for an id that is no host name, or an unknown action or
    mode; Conflict for the id of another project's central client.
    """
    ctx.authorize("clients:create_central" if draft.is_central else "clients:create")
    checks.client_identifier("client_id", draft.client_id)
    capabilities = {
        key: json_values.dump(_capability(key, value))
        for key in CAPABILITIES
        if (value := getattr(draft, key)) is not None
    }
    defaults = {key: json_values.dump(list(words)) for key, words in CAPABILITIES.items()}
    given = {
        name: value
        for name, value in vars(draft).items()
        if name in COLUMNS and value is not None and (name, value) != ("uuid", "")
    }
    row = Client(
        project_id=ctx.project_id,
        id=draft.client_id,
        user_id=ctx.identity.user_id,
        **given | defaults | capabilities,
    )
    check_lengths(row)
    changes = capabilities | (
        {} if draft.description is None else {"description": draft.description}
    )
    try:
        return await _register(ctx, row, changes)
    except Conflict:
        # Registered by another request meanwhile: update that row.
        return await _register(ctx, row, changes)


async def _register(ctx: Context, row: Client, changes: Mapping[str, str]) -> Client:
    """Insert a client, or make these changes of the registered one; return the stored row."""
    conflict_message = f"a client with the id '{row.id}' is registered by another project"

    async def write(transaction: Transaction) -> Client:
        key = {"project_id": row.project_id, "id": row.id}
        visible = await transaction.objects(Client, _SELECT_FOR_UPDATE, key)
        own = next((client for client in visible if client.project_id == row.project_id), None)
        if own is None:
            if visible:
                raise Conflict(conflict_message, field="client_id")
            await transaction.insert(row)
            return row
        # A scheduler registers at every start, mostly without changes.
        changed = {key: value for key, value in changes.items() if getattr(own, key) != value}
        if changed:
            await update_row(transaction, own, **changed)
        return own

    return await writing.transact(ctx, write, conflict_message=conflict_message)


async def delete(ctx: Context, client_id: str, *, expected_version: int | None = None) -> None:
    """Delete a client of the caller's project, but not its jobs and backups.

    Raises NotFound, StaleVersion, and Forbidden for another project's central client.
    """
    ctx.authorize("clients:delete")
    try:
        await writing.delete(ctx, Client, client_id, expected_version)
    except NotFound:
        await check_own(ctx, client_id)
        raise


async def set_time_zone(
    ctx: Context, client_id: str, time_zone: str | None, *, expected_version: int | None = None
) -> Client:
    """Set the time zone of a client's host, None for one that isn't known, and return its row.

    The next runs of its jobs are worked out anew; those of other projects, which a central client
    runs, in the course of some minutes. Raises BadInput for no time zone; NotFound, StaleVersion,
    and Forbidden for another project's central client.
    """
    ctx.authorize("clients:create")
    name = zone(time_zone, field="timeZone").key if time_zone else None

    async def write(transaction: Transaction) -> Client:
        row = await get_for_update(ctx, transaction, Client, client_id, expected_version)
        await update_row(transaction, row, time_zone=name)
        await due_times.renew_of_client(ctx, transaction, client_id, name)
        return row

    try:
        return await writing.transact(ctx, write)
    except NotFound:
        await check_own(ctx, client_id)
        raise


async def check_own(ctx: Context, client_id: str) -> None:
    """Raise Forbidden if the client is another project's, which the caller only sees."""
    if await COLLECTION.get(ctx, client_id, (COLUMNS.id,)):
        raise Forbidden(f"the client '{client_id}' is another project's") from None


def _capability(key: str, words: object) -> list[str]:
    """Return the words of a capability. Raises BadInput."""
    closed = key in CLOSED_CAPABILITIES
    check = checks.one_of(CAPABILITIES[key]) if closed else checks.string
    return [check(key, word) for word in checks.sequence(key, words)]


def search(text: str) -> Where:
    """Return the condition of a free text: a uuid, or part of an id, host or description."""
    return filters.search(Client, text, "id", "uuid")


async def silence(
    ctx: Context,
    keys: Sequence[ItemKey],
    *,
    all_projects: bool,
    as_of: datetime | None = None,
) -> Mapping[ItemKey, bool]:
    """Return for each project and second at which a client was last heard of if it is silent.

    As of a moment, by default of now.
    """
    del all_projects  # the seconds are those of rows that have been read
    moment = int(time.time()) if as_of is None else math.ceil(as_of.timestamp())
    return {key: cast("int", key[1]) < moment - ctx.silent_after for key in keys}


def note_poll(ctx: Context, client_id: str) -> None:
    """Note that a client's scheduler has asked for its jobs; written some seconds later."""
    if ctx.heartbeats is not None:
        ctx.heartbeats.note(ctx.project_id, client_id)


async def project_ids(database: Database, limit: int) -> list[str]:
    """Return the ids of at most `limit` projects that have clients, sorted.

    It asks no policy: it is for a gateway that authenticates nobody. Raises Unavailable.
    """
    return [row.project_id for row in await database.rows(_PROJECTS, {"limit": limit})]
