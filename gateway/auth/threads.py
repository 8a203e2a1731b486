"""Worker threads for blocking calls to Keystone, which don't keep the process from ending."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from gateway.errors import Unavailable

Answer = TypeVar("Answer")
Purpose = Literal["tokens", "trusts", "signin"]

LIMITS: dict[Purpose, int] = {"tokens": 8, "trusts": 4, "signin": 4}
"""How many calls of each purpose run at once: people who sign in must not hold up requests."""

STOPPING = "the gateway is being stopped"


@dataclass(frozen=True, eq=False, slots=True)
class _Call:
    """A call, and the future and loop of the task that waits for its result."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    context: Context
    answer: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop


class WorkerThreads:
    """Runs blocking calls, each in a thread of its own, and a limited number for each purpose.

    The interpreter doesn't wait for these threads when it exits, as it does for those of a
    `ThreadPoolExecutor`: a Keystone that hangs would keep the process for a minute.
    """

    def __init__(self) -> None:
        self._free = dict(LIMITS)
        self._waiting: dict[Purpose, deque[_Call]] = {purpose: deque() for purpose in LIMITS}
        self._answers: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    async def run(
        self, purpose: Purpose, function: Callable[..., Answer], *arguments: object
    ) -> Answer:
        """Return what a blocking call returns.

        Raises what it raises, and Unavailable if the threads are closed, or are meanwhile.
        """
        if self._is_closed:
            raise Unavailable(STOPPING)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)
        call = _Call(function, arguments, copy_context(), answer, loop)
        self._waiting[purpose].append(call)
        self._start(purpose)
        return await answer

    def close(self) -> None:
        """Let all who wait for a result go away without it; the calls that run are left behind."""
        self._is_closed = True
        for answer in list(self._answers):
            if not answer.done():
                answer.set_exception(Unavailable(STOPPING))

    def _start(self, purpose: Purpose) -> None:
        """Start as many of the waiting calls as may run."""
        waiting = self._waiting[purpose]
        while self._free[purpose] and waiting:
            call = waiting.popleft()
            if not call.answer.done():
                self._free[purpose] -= 1
                name = f"keystone-{purpose}"
                threading.Thread(
                    target=self._work, args=(purpose, call), name=name, daemon=True
                ).start()

    def _work(self, purpose: Purpose, call: _Call) -> None:
        """Run a call, in its thread."""
        result: Any = None
        failure: BaseException | None = None
        try:
            result = call.context.run(call.function, *call.arguments)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            failure = error
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            call.loop.call_soon_threadsafe(self._finish, purpose, call.answer, result, failure)

    def _finish(
        self,
        purpose: Purpose,
        answer: "asyncio.Future[Any]",
        result: Any,
        failure: BaseException | None,
    ) -> None:
        """Hand a call's result over, and start the next call, on the loop."""
        self._free[purpose] += 1
        self._start(purpose)
        if answer.done():
            return
        if failure is None:
            answer.set_result(result)
        else:
            answer.set_exception(failure)
