"""Subscriptions that are alike, and share what is worked out for them.

Those of one operation, with the same variables and of the same project, whose callers have the same
rights, are one group: it reads once, and encodes each message once, however many listen. A
subscriber has no queue: it knows which message it has had last, and takes the newest one whenever
it comes for another.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context as Variables
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
import structlog
from graphql import GraphQLError
from graphql.execution.values import VariableValues

from gateway.changes.watching import Signal, Watched, Watcher
from gateway.context import Context
from gateway.errors import Code, DeadlineExceeded, GatewayError, RateLimited, Unavailable
from gateway.schema.errors import MASK, show_all
from gateway.schema.execution.failures import Execution
from gateway.schema.execution.plan import Plan
from gateway.schema.execution.subscription_fields import ChangesPlan, LivePlan
from gateway.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Subscribed:
    """An operation that is subscribed to."""

    text: str
    name: str | None
    variables: Mapping[str, Any]
    plan: Plan
    field: LivePlan | ChangesPlan
    """The only one of the plan."""
    values: VariableValues
    """The variables' values."""
    cost: int
    """The points that a message costs at most."""

    def arguments(self, ctx: Context) -> Mapping[str, Any]:
        """Return the arguments of the field. Raises GraphQLError and BadInput."""
        return self.field.arguments.of(Execution(ctx, self.values))

    def key(self, ctx: Context) -> Hashable:
        """Return what is the same for all callers who get the same messages."""
        identity, policy = ctx.identity, ctx.policy
        rights = policy.rights(identity, ctx.project_id)
        variables = json.dumps(self.variables, sort_keys=True)
        caller = identity if self.plan.tells_caller else identity.is_local
        operation = (self.text, self.name, variables)
        return (*operation, ctx.project_id, rights, caller, policy.generation)


class Message(NamedTuple):
    """A message for a subscriber: a result as JSON, and the place in the feed after it."""

    data: bytes
    cursor: str | None = None


class Runner:
    """Runs the plans of subscriptions: so many at once, each within its deadline."""

    def __init__(self, watcher: Watcher, settings: Settings) -> None:
        self.watcher = watcher
        self._seconds = settings.deadline or None
        # The other half of the places is left to requests.
        self._places = asyncio.Semaphore(max(1, settings.max_running_requests // 2))

    async def run(self, plan: Plan, execution: Execution) -> bytes:
        """Return an answer as JSON. Raises Unavailable if a dependency doesn't answer."""
        data: Any
        try:
            async with self._places, asyncio.timeout(self._seconds):
                data, errors = await plan.run(execution)
        except TimeoutError:
            late = DeadlineExceeded(f"cancelled: it may take {self._seconds:g} s at most")
            data, errors = None, [GraphQLError(late.message, original_error=late)]
        if not errors:
            return orjson.dumps({"data": data})
        show_all(errors)
        for error in errors:
            if (error.extensions or {}).get("code") == Code.UNAVAILABLE:
                raise Unavailable(error.message)
        return orjson.dumps({"errors": [error.formatted for error in errors], "data": data})


class Group(ABC):
    """Subscriptions that are alike. Its task works for them while there are any."""

    def __init__(self, runner: Runner, subscribed: Subscribed, ctx: Context) -> None:
        self.runner, self.subscribed = runner, subscribed
        self.project_id, self.policy = ctx.project_id, ctx.policy
        self._ctx = ctx
        self.members: dict[object, Context] = {}
        """The contexts of those who listen."""
        self.published = Signal()
        """Given when there is something new for them."""
        self.failure: Exception | None = None
        self.is_over = False
        """True if it works no more: its members look for another group, or fail as it did."""
        self._generation = ctx.policy.generation
        self.task: asyncio.Task[None] | None = None

    def join(self, member: object, ctx: Context) -> None:
        """Take a member, and work for it."""
        self.members[member] = ctx
        if self.task is None:
            # Of no request: it goes on for the others.
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(self._run(), context=Variables())

    def leave(self, member: object) -> None:
        """Let a member go; without any, end."""
        self.members.pop(member, None)
        if not self.members:
            self.end()

    def end(self) -> None:
        """Work no more."""
        self.is_over = True
        self.published.give()
        if self.task is not None:
            self.task.cancel()

    def is_outdated(self) -> bool:
        """Return True if the rules have changed since: not all members have the same rights now."""
        self.policy.refresh()
        return self.policy.generation != self._generation

    def end_if_outdated(self) -> None:
        """Work no more if the rules have changed since: members look for others with their rights.

        Nobody else looks at the rules while nothing happens.
        """
        if self.is_outdated():
            self.end()

    def caller(self) -> Context:
        """Return the context of a member, each in turn, whose rights are those of all."""
        for member, ctx in self.members.items():
            self.members[member] = self.members.pop(member)
            return ctx
        # The last one has just gone.
        return self._ctx

    async def _run(self) -> None:
        try:
            async with self.runner.watcher.watching(self.project_id) as watched:
                await self.work(watched)
        except GatewayError as error:
            self.failure = error
        except Exception as error:
            log.exception("subscription failed")
            self.failure = GatewayError(MASK)
            self.failure.__cause__ = error
        finally:
            self.is_over = True
            self.published.give()

    @abstractmethod
    async def work(self, watched: Watched) -> None:
        """Publish what there is, until that is over. Raises what the subscriptions fail by."""


AnyGroup = TypeVar("AnyGroup", bound=Group)


class Groups(Generic[AnyGroup]):
    """The groups of one kind, by what their members have in common."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, AnyGroup] = {}

    def of(self, key: Hashable, make: Callable[[], AnyGroup]) -> AnyGroup:
        """Return the group of this key; what `make` returns if there is none."""
        group = self._groups.get(key)
        if group is None or group.is_over:
            for other in [other for other, one in self._groups.items() if one.is_over]:
                del self._groups[other]
            group = self._groups[key] = make()
        return group

    def at_work(self) -> Sequence[AnyGroup]:
        """Return those that there are."""
        return [group for group in self._groups.values() if not group.is_over]

    async def close(self) -> None:
        """End all of them."""
        for group in self._groups.values():
            group.end()
            if group.task is not None:
                with suppress(asyncio.CancelledError):
                    await group.task


def is_passing(error: Exception) -> bool:
    """Return True for a failure after which another attempt may succeed."""
    return isinstance(error, Unavailable | RateLimited)


async def pause(until: float, seconds: float) -> None:
    """Return after so many seconds, or at an earlier time of the event loop's clock."""
    now = asyncio.get_running_loop().time()
    await asyncio.sleep(max(0, min(until - now, seconds)))
