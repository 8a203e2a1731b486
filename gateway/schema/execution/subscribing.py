"""Subscribing: from an operation to a subscriber, of a live query or of the feed of changes."""

from typing import Protocol

from gateway.changes.watching import Watcher
from gateway.context import Context
from gateway.schema.execution.change_feeds import ChangeFeed, FeedSubscription
from gateway.schema.execution.live_queries import LiveQuery, LiveSubscription
from gateway.schema.execution.shared_subscriptions import Groups, Message, Runner, Subscribed
from gateway.schema.execution.subscription_fields import LivePlan
from gateway.settings import Settings


class Subscription(Protocol):
    """A subscriber, who is given messages one after the other."""

    async def next(self, until: float) -> Message | None:
        """Return the next message; None at that time of the event loop's clock.

        Raises GatewayError if there is none, and won't be.
        """

    def reopen(self, ctx: Context) -> None:
        """Go on in another context, of a caller who has other rights now."""

    def close(self) -> None:
        """End the subscription."""


class Subscriptions:
    """All subscriptions of a process."""

    def __init__(self, watcher: Watcher, settings: Settings) -> None:
        self.live: Groups[LiveQuery] = Groups()
        self.feeds: Groups[ChangeFeed] = Groups()
        self.watcher = watcher
        self._runner = Runner(watcher, settings)

    def subscribe(
        self, ctx: Context, subscribed: Subscribed, last_event_id: str | None = None
    ) -> Subscription:
        """Return a new subscriber; a feed goes on behind the last event.

        Raises BadInput for arguments out of bounds, and Forbidden.
        """
        if isinstance(subscribed.field, LivePlan):
            return LiveSubscription(self.live, self._runner, subscribed, ctx)
        return FeedSubscription(self.feeds, self._runner, subscribed, ctx, last_event_id)

    async def close(self) -> None:
        """End all of them."""
        await self.live.close()
        await self.feeds.close()
        await self.watcher.close()
