"""Live queries: answered at once, and again whenever the answer is another one.

An answer is asked for again when the project's revision is another one, and then at most once in
an interval; where it depends on the clock, when a run is due, and each minute; where it is about
other projects, which have no common revision, every few seconds.
"""

import asyncio
import time
from dataclasses import replace
from math import inf

import sqlalchemy as sa

from gateway.catalogue.tables import Job, columns
from gateway.changes.watching import Heads, Watched
from gateway.context import Context
from gateway.errors import BadInput, GatewayError
from gateway.schema.execution.failures import Execution
from gateway.schema.execution.shared_subscriptions import (
    Group,
    Groups,
    Message,
    Runner,
    Subscribed,
    is_passing,
    pause,
)
from gateway.schema.subscriptions import MAX_MILLISECONDS, MIN_INTERVAL

ACROSS_SECONDS = 5
"""The time after which other projects are read again, at least."""
CLOCK_SECONDS = 60
"""The time after which an answer that depends on the clock is asked for again, at most."""
FAILURE_SECONDS = 1
"""The time after which what a dependency didn't answer is asked again."""

_JOBS = columns(Job)
_NEXT_RUN = sa.select(sa.func.min(_JOBS.due_at)).where(
    _JOBS.project_id == sa.bindparam("project_id"),
    _JOBS.due_at >= sa.bindparam("now", None, type_=sa.BigInteger),
)


class LiveQuery(Group):
    """The answer to one query, for all who have subscribed to it."""

    answer: bytes | None = None
    """The last one."""
    number = 0
    """How many different answers there were."""
    begun = done = 0
    """How often the query was begun, and answered."""
    seconds = 1.0
    """The least time between two answers."""

    def __init__(self, runner: Runner, subscribed: Subscribed, ctx: Context) -> None:
        super().__init__(runner, subscribed, ctx)
        self._watched: Watched | None = None
        self._heads: Heads | None = None
        self.is_timed = False
        self._hurries = False
        self.seconds = interval(ctx, subscribed) / 1000

    def needed(self) -> int:
        """Return which of its answers is as new as this call; ask for it if it isn't there."""
        if (
            self._watched is not None
            and self._watched.heads == self._heads
            and not self.is_timed
            and self.begun == self.done
        ):
            return self.done
        if self._watched is not None:
            self._hurries = True
            self._watched.moved.give()
        return self.begun + 1

    async def work(self, watched: Watched) -> None:
        """Publish each answer that differs from the last one. Raises what the first one does."""
        self._watched = watched
        loop = asyncio.get_running_loop()
        while not self.is_outdated():
            self._hurries = False
            began, heads = loop.time(), watched.heads
            self.begun += 1
            begun = self.begun
            try:
                seconds = await self._ask()
            except GatewayError as error:
                if self.answer is None:
                    raise
                seconds = max(FAILURE_SECONDS, getattr(error, "retry_after", 0))
            else:
                if self.is_outdated():
                    return
                self._heads, self.done = heads, begun
                self.published.give()
            self.is_timed = seconds is not None
            again = inf if seconds is None else began + max(seconds, self.seconds)
            await self._rest(watched, heads, began + self.seconds, again)

    async def _ask(self) -> float | None:
        """Take an answer; return the seconds after which time alone may change it, or None.

        Raises Unavailable, and RateLimited.
        """
        # Each execution tells anew.
        ctx = replace(self.caller(), reads_across=False)
        await ctx.charge(self.subscribed.cost)
        execution = Execution(ctx, self.subscribed.values)
        answer = await self.runner.run(self.subscribed.plan, execution)
        if answer != self.answer and not self.is_outdated():
            self.answer = answer
            self.number += 1
        if ctx.reads_across:
            return ACROSS_SECONDS
        plan = self.subscribed.plan
        if plan.depends_on_clock(execution) or plan.reads_untracked(execution):
            return await self._until_next_run(ctx)
        return None

    async def _until_next_run(self, ctx: Context) -> float:
        now = time.time()
        due = await ctx.db.scalar(_NEXT_RUN, {"project_id": self.project_id, "now": int(now) + 1})
        return CLOCK_SECONDS if due is None else min(CLOCK_SECONDS, due - now)

    async def _rest(self, watched: Watched, heads: Heads, first: float, again: float) -> None:
        """Return when the answer may have changed, not before `first`; or when it is urgent."""
        loop = asyncio.get_running_loop()
        while not self._hurries:
            now = loop.time()
            if now >= first and (now >= again or watched.heads != heads):
                return
            until = first if now < first else again
            await watched.moved.wait(until)


def interval(ctx: Context, subscribed: Subscribed) -> int:
    """Return the milliseconds between two answers. Raises BadInput for too few or too many."""
    given = subscribed.arguments(ctx)["interval"]
    if not MIN_INTERVAL <= given <= MAX_MILLISECONDS:
        message = (
            f"'interval' must be between {MIN_INTERVAL} and {MAX_MILLISECONDS} milliseconds, "
            f"not {given}"
        )
        raise BadInput(message, field="interval")
    return int(given)


class LiveSubscription:
    """A subscriber of a live query."""

    def __init__(
        self, groups: Groups[LiveQuery], runner: Runner, subscribed: Subscribed, ctx: Context
    ) -> None:
        interval(ctx, subscribed)
        self._groups, self._runner, self._subscribed = groups, runner, subscribed
        self._ctx = ctx
        self._group: LiveQuery | None = None
        self._needed = self._seen = 0
        self._last: bytes | None = None

    def reopen(self, ctx: Context) -> None:
        """Go on in another context, of a caller who has other rights now."""
        self.close()
        self._ctx = ctx

    def close(self) -> None:
        """Leave the others."""
        if self._group is not None:
            self._group.leave(self)
            self._group = None

    async def next(self, until: float) -> Message | None:
        """Return the newest answer that this subscriber hasn't had; None at that time.

        Raises GatewayError if there is none, and won't be.
        """
        loop = asyncio.get_running_loop()
        while True:
            group = self._group
            if group is None:
                group = await self._join()
            if group.is_over:
                await self._look_for_another(group, until)
                continue
            if group.done >= self._needed and group.number != self._seen:
                self._seen = group.number
                if group.answer is not None and group.answer != self._last:
                    self._last = group.answer
                    return Message(group.answer)
            if loop.time() >= until:
                group.end_if_outdated()
                return None
            await group.published.wait(until)

    async def _look_for_another(self, group: LiveQuery, until: float) -> None:
        self.close()
        if group.failure is not None:
            if self._last is None or not is_passing(group.failure):
                raise group.failure
            await pause(until, FAILURE_SECONDS)

    async def _join(self) -> LiveQuery:
        def make() -> LiveQuery:
            return LiveQuery(self._runner, self._subscribed, self._ctx)

        self._ctx.policy.refresh()
        group = self._group = self._groups.of(self._subscribed.key(self._ctx), make)
        is_new = not group.members
        group.join(self, self._ctx)
        if not is_new:
            # So that a write before the subscription is in its first answer.
            await self._runner.watcher.look()
        self._seen, self._needed = 0, 1 if is_new else group.needed()
        return group
