"""Watching: how a process notices the changes of the projects that it has subscribers of.

One statement asks for the places of all of them, every `change_poll_interval`; after a commit of
the process's own, at once. It needs nothing of the database but that: no connection of its own, no
notifications, so that it works through poolers and on standbys, and nothing is lost where a
connection breaks. While nobody watches, nobody asks.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from contextvars import Context as Variables
from math import inf
from typing import NamedTuple

import structlog

from gateway.changes.log import ChangeLog, Head
from gateway.db.database import Database
from gateway.db.revisions import EVERYBODY
from gateway.errors import GatewayError

log = structlog.get_logger(__name__)


class Signal:
    """Something to wait for that happens again and again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        """Wake everybody who waits now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, until: float | None = None) -> None:
        """Return at the next one, or at a time of the event loop's clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(None if until == inf else until):
                await self._event.wait()


class Heads(NamedTuple):
    """The place of a project, and that of what all projects see."""

    own: Head
    shared: Head


class Watched:
    """A project that is watched."""

    def __init__(self) -> None:
        self.heads = Heads(Head(), Head())
        """As they were found last."""
        self.moved = Signal()
        """Given when they are found elsewhere."""
        self.watchers = 0

    async def leave(self, heads: Heads, until: float | None = None) -> bool:
        """Return True when the project is found elsewhere than there, False at that time."""
        loop = asyncio.get_running_loop()
        while self.heads == heads:
            if until is not None and loop.time() >= until:
                return False
            await self.moved.wait(until)
        return True


class Watcher:
    """Watches the projects that somebody is interested in; one for the application."""

    def __init__(self, database: Database, seconds: float) -> None:
        """Watch a database, asking again after so many seconds."""
        self.log = ChangeLog(database)
        self._seconds = seconds
        self._watched: dict[str, Watched] = {}
        self._wake = asyncio.Event()
        self._looks: list[asyncio.Future[None]] = []
        """Those who wait for a look that begins from now on."""
        self.task: asyncio.Task[None] | None = None
        self._has_failed = False
        database.after_commit = self.note_commit

    def note_commit(self, projects: Collection[str]) -> None:
        """Look at once if anybody watches one of these projects, which this process has changed."""
        if self._watched and not {EVERYBODY, *self._watched}.isdisjoint(projects):
            self._wake.set()

    @asynccontextmanager
    async def watching(self, project_id: str) -> AsyncIterator[Watched]:
        """Open a block in which a project is watched, and found where it is now.

        Raises Unavailable.
        """
        watched = self._watched.get(project_id)
        if watched is None:
            watched = self._watched[project_id] = Watched()
        watched.watchers += 1
        try:
            await self.look()
            yield watched
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                del self._watched[project_id]

    async def look(self) -> None:
        """Return after a look that has begun after this call. Raises Unavailable."""
        look = asyncio.get_running_loop().create_future()
        self._looks.append(look)
        self._wake.set()
        if self.task is None or self.task.done():
            # In no request's context: it is of all of them.
            self.task = asyncio.get_running_loop().create_task(self._run(), context=Variables())
        await look

    async def _run(self) -> None:
        """Look again and again, while anybody watches."""
        while self._watched:
            looks, self._looks = self._looks, []
            self._wake.clear()
            try:
                await self._find()
            except Exception as error:  # noqa: BLE001 - told to those who wait, and tried again
                self._note_failure(error)
                for look in looks:
                    if not look.done():
                        look.set_exception(error)
            else:
                self._has_failed = False
                for look in looks:
                    if not look.done():
                        look.set_result(None)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._wake.wait()

    async def _find(self) -> None:
        """Find where the watched projects are, and tell those who watch one that has moved."""
        heads = await self.log.heads([EVERYBODY, *self._watched])
        for project_id, watched in self._watched.items():
            if project_id in heads:
                found = Heads(heads[project_id], heads[EVERYBODY])
                if found != watched.heads:
                    watched.heads = found
                    watched.moved.give()

    def _note_failure(self, error: Exception) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        if isinstance(error, GatewayError):
            log.warning("changes not found", reason=error.message)
        else:
            log.error("changes not found", exc_info=error)

    async def close(self) -> None:
        """Stop watching."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
