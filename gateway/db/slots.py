"""Slots: how many connections of a pool may be in use, and who waits for one."""

import asyncio
from collections import deque

CONNECT_SECONDS = 5
"""The default time limit for opening a connection, and for waiting for a free one."""


class Slots:
    """A FIFO semaphore with a time limit.

    asyncio.Semaphore within asyncio.timeout costs more than most statements' way to the server.
    """

    def __init__(self, number: int) -> None:
        self._number = self._free = number
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def any_taken(self) -> bool:
        """True if a slot is taken."""
        return self._free < self._number

    async def take(self, seconds: float = CONNECT_SECONDS) -> None:
        """Take a slot, or wait for one as long as this. Raises TimeoutError."""
        if self._free:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(seconds, _time_out, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Cancelled after the slot was handed over: pass it on.
                self.release()
            raise
        finally:
            timer.cancel()

    def release(self) -> None:
        """Hand a slot to the task that has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def refuse_waiting(self) -> None:
        """Let nobody wait any longer: whoever does gets TimeoutError."""
        for turn in self._waiting:
            _time_out(turn)


def _time_out(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError("no connection got free"))
