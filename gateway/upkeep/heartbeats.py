"""Heartbeats: when schedulers have asked for their jobs, noted in memory and written together."""

import asyncio
import time
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.catalogue.column_types import JSONText
from gateway.catalogue.history import ClientHeartbeat
from gateway.catalogue.tables import Client, columns, source
from gateway.db.database import Database
from gateway.errors import GatewayError

MAX_PENDING = 100_000
"""How many clients' heartbeats wait to be written; while the database is down, no more are noted.
It is some megabytes, and more clients than poll a process between two writes."""

_OWN, _CLIENTS = columns(ClientHeartbeat), columns(Client)


class Heartbeats:
    """Knows which clients have been seen since it last wrote, and writes them in one statement.

    It needs no transaction of a project, and so gives none a new revision: to be alive changes
    nothing in a catalogue.
    """

    def __init__(self, database: Database) -> None:
        self.pending: dict[tuple[str, str], int] = {}
        """The last second at which each client, by its project and id, has asked for its jobs."""
        self.listening_since: float | None = None
        """When it began to hear of every client, without a write that failed since; monotonic.

        After such a failure nobody knows who was silent, and who wasn't heard.
        """
        self._database = database

    def note(self, project_id: str, client_id: str) -> None:
        """Note that a client's scheduler has asked for its jobs."""
        if len(self.pending) < MAX_PENDING:
            self.pending[project_id, client_id] = int(time.time())

    async def write(self) -> None:
        """Write what has been noted, of clients that are registered; it stays if that fails.

        Raises Unavailable.
        """
        if self.pending:
            await self._write()
        self.listening_since = self.listening_since or time.monotonic()

    async def _write(self) -> None:
        written, self.pending = self.pending, {}
        seen = [[*key, second] for key, second in sorted(written.items())]
        statement = self._database.statement(Heartbeats, self._statement)
        try:
            await self._database.rows(statement, {"seen": orjson.dumps(seen).decode()})
        except (GatewayError, TimeoutError, asyncio.CancelledError):
            # What was noted meanwhile is newer.
            self.pending = written | self.pending
            self.listening_since = None
            raise

    def _statement(self) -> Any:
        parameter = sa.bindparam("seen", None, type_=sa.Text)
        insert: Any
        project_id: Any
        client_id: Any
        second: Any
        if self._database.is_sqlite:
            insert = sqlite.insert(source(ClientHeartbeat))
            entry = sa.func.json_each(parameter).table_valued("value").c.value
            project_id, client_id, second = (
                sa.func.json_extract(entry, sa.literal_column(f"'$[{at}]'")) for at in range(3)
            )
        else:
            insert = postgresql.insert(source(ClientHeartbeat))
            document = sa.cast(parameter, JSONText())
            entry = sa.func.json_array_elements(document).table_valued("value").c.value
            project_id, client_id, second = (
                entry.op("->>", return_type=sa.Text())(sa.literal_column(str(at)))
                for at in range(3)
            )
        seen = sa.select(
            project_id.label("of_project"),
            client_id.label("of_client"),
            sa.cast(second, sa.BigInteger).label("second"),
        ).subquery("seen")
        registered = (
            sa.select(_CLIENTS.project_id, _CLIENTS.id, seen.c.second)
            .where(_CLIENTS.project_id == seen.c.of_project, _CLIENTS.id == seen.c.of_client)
            # So that processes that write at the same time don't wait for one another in a circle.
            .order_by(_CLIENTS.project_id, _CLIENTS.id)
        )
        new = insert.from_select([_OWN.project_id, _OWN.client_id, _OWN.seen_at], registered)
        return new.on_conflict_do_update(
            index_elements=[_OWN.project_id, _OWN.client_id],
            set_={"seen_at": new.excluded.seen_at},
            where=_OWN.seen_at < new.excluded.seen_at,
        ).returning(_OWN.seen_at)
