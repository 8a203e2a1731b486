"""An estate that goes on working: the schedulers and agents of a project's hosts, all at once.

They know nothing of the gateway but its REST v2, as those of freezer do: they poll, report what
becomes of their jobs, and register backups. All times that they tell are real; only what takes time
takes less of it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from gateway.demo.runs import FAILURES, Event, World
from gateway.demo.schedulers import Scheduler
from gateway.demo.service import Service
from gateway.demo.timing import Clock


class NoHostsError(Exception):
    """A project without clients: nobody would work in it."""


class Alive:
    """The hosts of a project at work."""

    def __init__(
        self,
        service: Service,
        tell: Callable[[Event], None],
        *,
        speed: float,
        seed: int,
        failures: float = FAILURES,
    ) -> None:
        """Let a project's hosts work so many times as fast as real ones.

        `seed` decides what happens to whom, `failures` is the share of actions that fail.
        """
        self.events: Counter[str] = Counter()
        """How often each has happened, by its first word."""
        self._service, self._tell = service, tell
        self._world = World(service, Clock(speed), seed, self._note, failures)

    async def run(self, seconds: float | None = None) -> None:
        """Work for so long, or without an end. Raises ServiceError and NoHostsError."""
        hosts = await self._service.hosts()
        if not hosts:
            raise NoHostsError(f"the project '{self._service.project_id}' has no clients")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for host in hosts:
                    tasks.create_task(Scheduler(self._world, host).work())

    def _note(self, event: Event) -> None:
        self.events[event.text.partition(" ")[0]] += 1
        self._tell(event)
