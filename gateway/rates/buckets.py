"""Token buckets: each process spends tokens that it has leased, in slices, from the database.

A request is charged in memory. Only when a process has spent its slice, it leases another one, in
one statement. So processes that share a bucket overspend it by at most a slice each: the tokens
that they hold while the bucket fills up.
"""

import asyncio
import time
from collections.abc import Sequence
from contextvars import Context as Variables
from math import ceil
from weakref import WeakValueDictionary

import structlog
from cachetools import FIFOCache

from gateway.errors import RateLimited
from gateway.rates.store import BucketKey, Clock, Store
from gateway.settings import Settings

log = structlog.get_logger(__name__)

SLICES = 20
"""The number of leases that empty a full bucket."""
SMALLEST_LEASES = 10
"""The number of smallest leases in a slice: nobody asks an empty bucket for less."""
LEASE_SECONDS = 1
"""The time limit of a lease."""
OUTAGE_SECONDS = 5
"""Seconds for which nothing is charged after a lease has failed."""
MAX_ACCOUNTS = 20_000
"""The number of callers whose accounts a process keeps; those of the first go first."""

SCOPE = "gateway.rates"
"""The key of an ASGI scope for the account that the request is charged to."""


class Outage:
    """Remembers that leases fail: then nobody is refused, and the log says so once."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._until = 0.0
        self._is_logged = False

    @property
    def is_on(self) -> bool:
        """True for `OUTAGE_SECONDS` after a lease has failed."""
        return self._is_logged and self.clock() < self._until

    def begin(self, error: Exception) -> None:
        """Note that a lease has failed."""
        self._until = self.clock() + OUTAGE_SECONDS
        if not self._is_logged:
            self._is_logged = True
            log.warning("rate limits are suspended", reason=str(error) or type(error).__name__)

    def end(self) -> None:
        """Note that a lease has succeeded."""
        if self._is_logged:
            self._is_logged = False
            log.info("rate limits are back")


class Bucket:
    """The part of a shared bucket that this process knows of."""

    def __init__(
        self, store: Store, key: BucketKey, rate: int, capacity: int, outage: Outage
    ) -> None:
        self.tokens = 0.0
        """The tokens that are leased, and not spent."""
        self.rate = rate
        self.capacity = capacity
        self.limit = (b"x-ratelimit-limit", b"%d" % capacity)
        """The header that tells the capacity."""
        self._key = key
        self._store = store
        self._slice = capacity / SLICES
        self._smallest = self._slice / SMALLEST_LEASES
        self._outage = outage
        self._clock = outage.clock
        self._left = float(capacity)
        self._asked_at = self._clock()
        self._pending: asyncio.Task[None] | None = None

    def stored_at(self, now: float) -> float:
        """Return the most tokens that the database can have: others may have leased some."""
        stored = self._left + (now - self._asked_at) * self.rate
        return min(self.capacity, stored)

    def available_at(self, now: float) -> float:
        """Return the most tokens that there can be, leased or not."""
        available = self.tokens + self._left + (now - self._asked_at) * self.rate
        return min(self.capacity, available)

    @property
    def available(self) -> float:
        """The most tokens that there can be by now."""
        return self.available_at(self._clock())

    async def lease(self, cost: float) -> None:
        """Ask for at least what is missing for a cost; a failure begins an outage.

        Raises RateLimited if there can't be enough, without asking.
        """
        stored = self.stored_at(self._clock())
        if self.tokens + stored < cost or stored < self._smallest:
            raise self.refusal(cost)
        if self._pending is None:
            # Of the process, not of the request: in none of its log lines and counts, and going on
            # for the others who wait when the caller goes away.
            self._pending = asyncio.get_running_loop().create_task(
                self._ask(cost), context=Variables()
            )
        await asyncio.wait({self._pending})

    async def _ask(self, cost: float) -> None:
        asked_at = self._clock()
        wanted = max(self._slice, cost - self.tokens)
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                leased, left = await self._store.lease(self._key, wanted, self.capacity, self.rate)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is refused for it
            self._outage.begin(error)
        else:
            self._outage.end()
            self.tokens += leased
            self._left, self._asked_at = left, asked_at
        finally:
            self._pending = None

    def refusal(self, cost: float) -> RateLimited:
        """Return the error of a request of this cost."""
        available = self.available
        seconds = max(1, ceil((cost - available) / self.rate))
        whose = "you have" if self._key[1] else "your project has"
        return RateLimited(
            f"this request costs {ceil(cost)} points, {whose} {int(available)} left, and gets "
            f"{self.rate} a second: try again in {seconds} s",
            retry_after=seconds,
            cost=ceil(cost),
        )


class Account:
    """The buckets that one caller's requests are charged to: the user's, and the project's."""

    def __init__(self, buckets: Sequence[Bucket], outage: Outage) -> None:
        self.buckets = tuple(buckets)
        self._most = min(bucket.capacity for bucket in buckets)
        self._outage = outage
        self._clock = outage.clock

    async def charge(self, cost: int, *, refusable: bool = True) -> None:
        """Charge a request to each bucket, or raise RateLimited.

        A request that isn't refusable takes what there is. One that costs more than a bucket holds
        costs all of it: it would never pass otherwise.
        """
        if not self._take(cost):
            await self._lease_and_take(min(cost, self._most), refusable=refusable)

    def require(self) -> None:
        """Pass, or raise RateLimited if a bucket is empty; nothing is charged."""
        for bucket in self.buckets:
            if bucket.tokens < 1 and bucket.available < 1 and not self._outage.is_on:
                raise bucket.refusal(1)

    def tightest(self) -> tuple[Bucket, float]:
        """Return the bucket with the fewest tokens left, and their number."""
        now = self._clock()
        tightest, *others = self.buckets
        available = tightest.available_at(now)
        for bucket in others:
            if (least := bucket.available_at(now)) < available:
                tightest, available = bucket, least
        return tightest, available

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that tell the caller what is left in the tightest bucket."""
        bucket, available = self.tightest()
        return [
            bucket.limit,
            (b"x-ratelimit-remaining", b"%d" % available),
            (b"x-ratelimit-reset", b"%d" % -((available - bucket.capacity) // bucket.rate)),
        ]

    def _take(self, cost: float) -> bool:
        for bucket in self.buckets:
            if bucket.tokens < cost:
                return False
        for bucket in self.buckets:
            bucket.tokens -= cost
        return True

    async def _lease_and_take(self, cost: float, *, refusable: bool) -> None:
        while not self._take(cost) and not self._outage.is_on:
            try:
                for bucket in self.buckets:
                    if bucket.tokens < cost:
                        await bucket.lease(cost)
            except RateLimited:
                if refusable:
                    raise
                for bucket in self.buckets:
                    bucket.tokens = max(0.0, bucket.tokens - cost)
                return


class RateLimiter:
    """Keeps the accounts of callers; one for the application."""

    def __init__(self, settings: Settings, store: Store, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self._store = store
        self._outage = Outage(clock)
        self._accounts: FIFOCache[BucketKey, Account] = FIFOCache(MAX_ACCOUNTS)
        # A project's bucket is the same object for all of its users.
        self._projects: WeakValueDictionary[str, Bucket] = WeakValueDictionary()

    def account(self, project_id: str | None, user_id: str) -> Account:
        """Return the account of a user in the project of the token, if it has one."""
        key = (project_id or "", user_id)
        try:
            return self._accounts[key]
        except KeyError:
            account = self._accounts[key] = Account(self._buckets(*key), self._outage)
            return account

    def _buckets(self, project_id: str, user_id: str) -> list[Bucket]:
        settings = self._settings
        buckets = [self._bucket((project_id, user_id), settings.rate_limit_user)]
        if project_id:
            shared = self._projects.get(project_id)
            if shared is None:
                shared = self._bucket((project_id, ""), settings.rate_limit_project)
                self._projects[project_id] = shared
            buckets.append(shared)
        return buckets

    def _bucket(self, key: BucketKey, rate: int) -> Bucket:
        capacity = rate * self._settings.rate_limit_burst
        return Bucket(self._store, key, rate, capacity, self._outage)
