"""Looking up revisions: one small statement for all requests that wait for a project's at once."""

import asyncio
from contextvars import Context as Variables

import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.tables import columns
from gateway.db.counting import StatementCounter
from gateway.db.database import Database
from gateway.db.revisions import visible_revision

_CALLER = sa.bindparam("project_id", None, type_=columns(Revision).project_id.type)
_REVISION = sa.select(visible_revision(_CALLER))


class LookUps:
    """Reads the revision of all that a project sees, after the request for it came, never before.

    Requests that come while one look-up is under way share the next one: that of before may have
    missed a write that was acknowledged before they began.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, asyncio.Future[int]] = {}
        """The next look-up of each project, which has not been sent yet."""
        self._running: dict[str, asyncio.Task[None]] = {}

    async def revision(self, project_id: str) -> int:
        """Return the revision of everything that a project sees. Raises Unavailable."""
        if self._database.is_sqlite:
            # Read at once, on the event loop: there is nothing to wait for, and nobody to share it.
            return await self._read(project_id)
        StatementCounter.count()
        shared = self._waiting.get(project_id)
        if shared is None:
            loop = asyncio.get_running_loop()
            shared = self._waiting[project_id] = loop.create_future()
            if project_id not in self._running:
                # Of the process, not of the request, which may be cancelled while others wait.
                self._running[project_id] = loop.create_task(
                    self._read_while_wanted(project_id), context=Variables()
                )
        return await asyncio.shield(shared)

    async def _read_while_wanted(self, project_id: str) -> None:
        try:
            while (shared := self._waiting.pop(project_id, None)) is not None:
                try:
                    shared.set_result(await self._read(project_id))
                except Exception as error:  # noqa: BLE001 - it is raised to all who wait
                    shared.set_exception(error)
                    # Perhaps nobody waits any more.
                    shared.exception()
                except asyncio.CancelledError:
                    shared.cancel()
                    raise
        finally:
            del self._running[project_id]

    async def _read(self, project_id: str) -> int:
        return int(await self._database.scalar(_REVISION, {"project_id": project_id}))
