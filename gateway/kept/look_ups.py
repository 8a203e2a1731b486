"""Looking up revisions: one small statement for all requests that wait for a project's at once."""

import asyncio
from collections.abc import Iterator, Sequence
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
        self._waiting: dict[str, list[asyncio.Future[int]]] = {}
        """Those who wait for the next look-up of a project, which has not been sent yet."""
        self._running: dict[str, asyncio.Task[None]] = {}

    async def revision(self, project_id: str) -> int:
        """Return the revision of everything that a project sees. Raises Unavailable."""
        if self._database.is_sqlite:
            # Read at once, on the event loop: there is nothing to wait for, and nobody to share it.
            return await self._read(project_id)
        StatementCounter.count()
        loop = asyncio.get_running_loop()
        # A future of one's own costs less than to be shielded from those who share one.
        own: asyncio.Future[int] = loop.create_future()
        waiting = self._waiting.get(project_id)
        if waiting is not None:
            waiting.append(own)
        else:
            self._waiting[project_id] = [own]
            if project_id not in self._running:
                # Of the process, not of the request, which may be cancelled while others wait.
                self._running[project_id] = loop.create_task(
                    self._read_while_wanted(project_id), context=Variables()
                )
        return await own

    async def _read_while_wanted(self, project_id: str) -> None:
        try:
            while waiting := self._waiting.pop(project_id, None):
                try:
                    revision = await self._read(project_id)
                except Exception as error:  # noqa: BLE001 - it is raised to all who wait
                    for one in _left(waiting):
                        one.set_exception(error)
                except asyncio.CancelledError:
                    for one in _left([*waiting, *self._waiting.pop(project_id, ())]):
                        one.cancel()
                    raise
                else:
                    for one in _left(waiting):
                        one.set_result(revision)
        finally:
            del self._running[project_id]

    async def _read(self, project_id: str) -> int:
        return int(await self._database.scalar(_REVISION, {"project_id": project_id}))


def _left(waiting: Sequence[asyncio.Future[int]]) -> Iterator[asyncio.Future[int]]:
    """Yield those who haven't been cancelled meanwhile."""
    return (one for one in waiting if not one.done())
