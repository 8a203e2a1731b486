"""The buckets in memcached, where it is configured: each lease is a comparison and a swap."""

import time
from collections.abc import Sequence
from hashlib import blake2b
from zlib import crc32

from aiomcache import Client

from gateway.errors import Unavailable
from gateway.rates.store import BucketKey, Clock

ATTEMPTS = 20
"""How often a lease is tried again, where another process was faster."""


class MemcachedStore:
    """Leases tokens from buckets in memcached, as `BucketStore` does from those in the database.

    A bucket that memcached doesn't have, or has forgotten, is full. Time is each process's own: the
    clocks of several machines must agree, within the time in which a slice is restored.
    """

    def __init__(self, servers: Sequence[str], clock: Clock = time.time) -> None:
        """Take the servers, as `host:port`; a bucket is on one of them."""
        addresses = (server.rpartition(":") for server in servers)
        self._clients = [Client(host.strip("[]"), int(port)) for host, _, port in addresses]
        self._clock = clock

    async def lease(
        self, key: BucketKey, wanted: float, capacity: int, rate: int
    ) -> tuple[float, float]:
        """Take up to `wanted` tokens; return how many were taken, and how many are left.

        `rate` tokens are restored each second, up to `capacity`. Raises Unavailable if others were
        always faster, OSError and aiomcache's errors if memcached doesn't answer.
        """
        digest = blake2b("\0".join(key).encode(), digest_size=20).hexdigest()
        name = f"freezer-gateway-{digest}".encode()
        client = self._clients[crc32(name) % len(self._clients)]
        for _ in range(ATTEMPTS):
            value, token = await client.gets(name)
            now = self._clock()
            stored = float(capacity)
            if value is not None:
                tokens, refilled_at = map(float, value.split())
                # A clock that is behind restores nothing.
                stored = min(tokens + max(now - refilled_at, 0) * rate, capacity)
            taken = min(wanted, stored)
            changed = f"{stored - taken:.6f} {now:.6f}".encode()
            # By then, it is full.
            seconds = capacity // rate + 1
            if token is None:
                is_kept = await client.add(name, changed, seconds)
            else:
                is_kept = await client.cas(name, changed, token, seconds)
            if is_kept:
                return taken, stored - taken
        raise Unavailable("memcached is changed by others all the time")

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()
