"""The circuit breaker of a database server: notices if it answers nothing, and if it does again.

A statement has a time limit of its own, but while a server is stopped, every request would wait for
that limit. So while statements are under way, the breaker looks from time to time if any of them
has been answered. If none has, it sends a probe, on a connection of its own; if that isn't answered
either, it opens. Then no connection is used any more, and statements are refused at once, until a
probe is answered: a request sends one, and waits for it for a moment.
"""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Protocol

import asyncpg
import structlog

log = structlog.get_logger(__name__)

MAX_GRACE_SECONDS = 0.25
"""The longest time that a statement waits for a probe while the breaker is open."""


class BreakerOpen(TimeoutError):
    """A statement that wasn't sent, because the server answers nothing."""


class GuardedPool(Protocol):
    """A pool of connections to the server."""

    answers: int
    """How many statements the server has answered."""

    @property
    def is_busy(self) -> bool:
        """True if any statement is under way."""

    def probe(self, seconds: float) -> Awaitable[None]:
        """Run a statement on a new connection. Raises the driver's errors and TimeoutError."""

    def abandon(self) -> None:
        """Close every connection, and let nobody wait for one."""


class CircuitBreaker:
    """Refuses statements while the server answers nothing; shared by all of its pools.

    `seconds` is the time limit within which everybody who waits for the server must be told: the
    breaker opens no later than that after the server's last answer.
    """

    def __init__(self, seconds: float) -> None:
        self.is_open = False
        self.needs_entry = True
        """True if statements must call `enter` first: if it is open, or not looking."""
        self._seconds = seconds
        self._pools: list[GuardedPool] = []
        self._answers = 0
        self._look_handle: asyncio.TimerHandle | None = None
        self._probing: asyncio.Task[None] | None = None

    def guard(self, pool: GuardedPool) -> None:
        """Watch the statements of this pool as well."""
        self._pools.append(pool)

    async def enter(self) -> None:
        """Let a statement pass, and look after it. Raises BreakerOpen."""
        if self.is_open:
            grace = min(MAX_GRACE_SECONDS, self._seconds / 4)
            await asyncio.wait({self._probe()}, timeout=grace)
            if self.is_open:
                raise BreakerOpen("the server answers nothing")
        if self._look_handle is None:
            self._look_later()

    def close(self) -> None:
        """Stop looking and probing."""
        if self._look_handle is not None:
            self._look_handle.cancel()
        self._look_handle, self.needs_entry = None, True
        if self._probing is not None:
            self._probing.cancel()

    def _look_later(self) -> None:
        # In no request's context: what is logged concerns all of them.
        self._look_handle = asyncio.get_running_loop().call_later(
            self._seconds / 4, self._look, context=Context()
        )
        self.needs_entry = self.is_open

    def _look(self) -> None:
        """Probe the server if it has answered no statement since the last look."""
        self._look_handle, self.needs_entry = None, True
        if self.is_open or not any(pool.is_busy for pool in self._pools):
            return
        answers = sum(pool.answers for pool in self._pools)
        if answers == self._answers:
            self._probe()
        self._answers = answers
        self._look_later()

    def _probe(self) -> "asyncio.Task[None]":
        """Return the probe that is under way; send one if there is none."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._judge(), context=Context())
        return self._probing

    async def _judge(self) -> None:
        """Send a probe, and open or close the breaker."""
        # A look finds a silence within two quarters of the time; the probe has the other two.
        limit = self._seconds / 2
        try:
            async with asyncio.timeout(limit):
                await self._pools[0].probe(limit)
        except asyncpg.PostgresError:
            # An answer, even if the server is just starting, or has too many connections.
            self._close_circuit()
        except (OSError, asyncpg.InterfaceError) as error:
            self._open_circuit(error)
        else:
            self._close_circuit()

    def _open_circuit(self, error: Exception) -> None:
        if not self.is_open:
            log.error("database answers nothing", error=str(error) or "it took too long")
            self.is_open = self.needs_entry = True
            for pool in self._pools:
                pool.abandon()

    def _close_circuit(self) -> None:
        if self.is_open:
            log.info("database answers again")
            self.is_open = False
