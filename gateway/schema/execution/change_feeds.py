"""The feed of changes: messages of what has changed since a cursor, shared by those who are there.

A subscriber is a cursor. From it to where the project is now, the log tells the changes; of each
item, a message has the sum of them. So one who is slow gets fewer messages, of the same changes.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Context as Variables
from dataclasses import replace
from typing import Any

from cachetools import LRUCache

from gateway.catalogue.change_words import ChangeKind, ChangeOperation
from gateway.changes.cursors import Cursor
from gateway.changes.log import Change
from gateway.changes.watching import Heads, Watched
from gateway.context import Context
from gateway.db.changes import MAX_CHANGES
from gateway.db.revisions import EVERYBODY
from gateway.errors import BadInput, Forbidden, RateLimited, Unavailable
from gateway.resolvers import rules
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
from gateway.schema.subscriptions import MAX_MILLISECONDS, ToldChange
from gateway.schema.subscriptions import Message as Shown

MAX_KEPT = 16
"""How many messages of a feed are kept, for those who have come to the same place."""
FAILURE_SECONDS = 1
"""The time after which what a dependency didn't answer is asked again."""

RULES = {
    ChangeKind.BACKUP: rules.BACKUPS.list,
    ChangeKind.JOB: rules.JOBS.list,
    ChangeKind.ACTION: rules.ACTIONS.list,
    ChangeKind.CLIENT: rules.CLIENTS.list,
    ChangeKind.SESSION: rules.SESSIONS.list,
    ChangeKind.SERIES: rules.BACKUPS.list,
    ChangeKind.SETTINGS: rules.CLIENTS.list,
}
"""The rules by which the items of each kind are listed."""

Found = tuple[Message | None, Cursor]
"""A message, if there is anything to tell, and the place after it."""


class ChangeFeed(Group):
    """The feed of a project, for all who have subscribed to it alike."""

    heads: Heads | None = None
    """The place of the project, as far as it is told."""

    def __init__(self, runner: Runner, subscribed: Subscribed, ctx: Context) -> None:
        super().__init__(runner, subscribed, ctx)
        given = arguments(ctx, subscribed)
        self._seconds = given["coalesce"] / 1000
        self._kinds = allowed(ctx, given.get("kinds"))
        self._watched: Watched | None = None
        self._messages: LRUCache[Any, asyncio.Task[Found]] = LRUCache(MAX_KEPT)

    async def work(self, watched: Watched) -> None:
        """Publish where the project is, at most so often. Raises Unavailable."""
        self._watched = watched
        loop = asyncio.get_running_loop()
        while not self.is_outdated():
            heads, first = watched.heads, loop.time() + self._seconds
            self.heads = heads
            self.published.give()
            await watched.leave(heads)
            while loop.time() < first:
                await watched.moved.wait(first)

    def catch_up(self) -> None:
        """Publish where the project was found last, without collecting more changes."""
        if self._watched is not None and self.heads != self._watched.heads:
            self.heads = self._watched.heads
            self.published.give()

    async def message(self, since: Cursor | None, heads: Heads) -> Found:
        """Return the message about what is between a cursor and where the project is.

        Without a cursor, the one to begin with. Raises Unavailable and RateLimited.
        """
        key = since, heads
        task = self._messages.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            # Of no request: others may wait for it as well.
            loop = asyncio.get_running_loop()
            task = self._messages[key] = loop.create_task(
                self._make(since, heads), context=Variables()
            )
        return await asyncio.shield(task)

    async def _make(self, since: Cursor | None, heads: Heads) -> Found:
        own, shared = heads
        now = Cursor(own.place, shared.place)
        if since is None:
            return await self._encode(now, None)
        log = self.runner.watcher.log
        ours = await log.step(self.project_id, since.own, own)
        theirs = await log.step(EVERYBODY, since.shared, shared)
        if ours.changes is None or theirs.changes is None:
            return await self._encode(now, None)
        # The project's own log has its own central clients.
        others = (one for one in theirs.changes if one.project_id != self.project_id)
        changes = summed(one for one in (*ours.changes, *others) if one.kind in self._kinds)
        to = Cursor(ours.to, theirs.to)
        if not changes:
            return None, to
        return await self._encode(to, changes)

    async def _encode(self, to: Cursor, changes: Sequence[Change] | None) -> Found:
        """Return the message of these changes; None: a reset."""
        subscribed, ctx = self.subscribed, self.caller()
        told = [ToldChange.of(one) for one in changes or ()]
        await ctx.charge(max(1, subscribed.cost * len(told) // MAX_CHANGES))
        shown = Shown(str(to), changes is None, told)
        data = await self.runner.run(
            subscribed.plan, Execution(ctx, subscribed.values, message=shown)
        )
        return Message(data, shown.cursor), to


def summed(changes: Iterable[Change]) -> Sequence[Change]:
    """Return one change for each item, in the order of their times."""
    items: dict[tuple[str, str, str], Change] = {}
    for one in sorted(changes, key=lambda change: change.time):
        key = one.kind.value, one.project_id, one.id
        before = items.pop(key, None)
        if before is not None:
            version = before.version if one.version is None else one.version
            is_new = before.operation is ChangeOperation.CREATED
            still = is_new and one.operation is ChangeOperation.UPDATED
            operation = before.operation if still else one.operation
            one = replace(one, version=version, operation=operation)  # noqa: PLW2901
        items[key] = one
    return list(items.values())


def arguments(ctx: Context, subscribed: Subscribed) -> Mapping[str, Any]:
    """Return the arguments of a feed. Raises BadInput for a time out of bounds."""
    given = subscribed.arguments(ctx)
    if not 0 <= given["coalesce"] <= MAX_MILLISECONDS:
        message = (
            f"'coalesce' must be between 0 and {MAX_MILLISECONDS} milliseconds, "
            f"not {given['coalesce']}"
        )
        raise BadInput(message, field="coalesce")
    return given


def allowed(ctx: Context, kinds: Sequence[ChangeKind] | None) -> frozenset[ChangeKind]:
    """Return the kinds that are asked for, or all that the caller may list.

    Raises Forbidden for one that the caller may not list, and if there is none.
    """
    if kinds is not None:
        for kind in kinds:
            ctx.authorize(RULES[ChangeKind(kind)])
        return frozenset(map(ChangeKind, kinds))
    found = frozenset(
        kind
        for kind, rule in RULES.items()
        if ctx.policy.allows(rule, ctx.identity, ctx.project_id)
    )
    if not found:
        ctx.authorize(rules.JOBS.list)
        raise Forbidden("you are not allowed to list anything that changes")
    return found


class FeedSubscription:
    """A subscriber of a feed: a place in it."""

    def __init__(
        self,
        groups: Groups[ChangeFeed],
        runner: Runner,
        subscribed: Subscribed,
        ctx: Context,
        last_event_id: str | None = None,
    ) -> None:
        """Begin behind the last event, else where the argument says. Raises BadInput."""
        given = arguments(ctx, subscribed)
        allowed(ctx, given.get("kinds"))
        self._groups, self._runner, self._subscribed = groups, runner, subscribed
        self._ctx = ctx
        self._group: ChangeFeed | None = None
        name, text = (
            ("Last-Event-ID", last_event_id) if last_event_id else ("after", given.get("after"))
        )
        self._cursor = None if text is None else Cursor.read(text, name)
        self._has_begun = False

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
        """Return a message about all changes since the last one; None at that time.

        Raises GatewayError if there is none, and won't be.
        """
        loop = asyncio.get_running_loop()
        while True:
            group = self._group or await self._join()
            if group.is_over:
                await self._look_for_another(group, until)
            elif group.heads is None:
                await group.published.wait()
                continue
            elif not self._is_at(group.heads):
                message = await self._message(group, group.heads, until)
                if message is not None:
                    return message
            else:
                self._has_begun = True
                if loop.time() < until:
                    await group.published.wait(until)
            if loop.time() >= until:
                group.end_if_outdated()
                return None

    async def _look_for_another(self, group: ChangeFeed, until: float) -> None:
        self.close()
        if group.failure is not None:
            if not self._has_begun or not is_passing(group.failure):
                raise group.failure
            await pause(until, FAILURE_SECONDS)

    def _is_at(self, heads: Heads) -> bool:
        return self._cursor == Cursor(heads.own.place, heads.shared.place)

    async def _message(self, group: ChangeFeed, heads: Heads, until: float) -> Message | None:
        try:
            message, self._cursor = await group.message(self._cursor, heads)
        except (Unavailable, RateLimited) as error:
            if not self._has_begun:
                raise
            await pause(until, error.retry_after)
            return None
        self._has_begun = True
        return message

    async def _join(self) -> ChangeFeed:
        def make() -> ChangeFeed:
            return ChangeFeed(self._runner, self._subscribed, self._ctx)

        self._ctx.policy.refresh()
        group = self._group = self._groups.of(self._subscribed.key(self._ctx), make)
        is_new = not group.members
        group.join(self, self._ctx)
        if not is_new:
            # A cursor may be of another process, which has seen more.
            await self._runner.watcher.look()
            group.catch_up()
        return group
