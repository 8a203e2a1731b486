"""A process that spends points of a bucket, as it is told on its standard input.

`python -m tests.support.spender URL` answers each line, `TIME REQUESTS`, with the number of
requests of one point that were admitted at this time.
"""

import asyncio
import sys

from gateway.db.database import Database
from gateway.errors import RateLimited
from gateway.rates.buckets import RateLimiter
from gateway.rates.store import BucketStore
from gateway.settings import load
from tests.support.rates import Clock

RATE, BURST = 10, 40
CAPACITY = RATE * BURST


async def main(url: str) -> None:
    """Serve the standard input."""
    database, clock = Database(load(database_url=url)), Clock()
    settings = load(rate_limit_user=RATE, rate_limit_project=RATE, rate_limit_burst=BURST)
    account = RateLimiter(settings, BucketStore(database, clock), clock).account("p1", "alice")
    while line := await asyncio.to_thread(sys.stdin.readline):
        now, requests = line.split()
        clock.now = float(now)
        admitted = 0
        for _ in range(int(requests)):
            try:
                await account.charge(1)
            except RateLimited:
                continue
            admitted += 1
        print(admitted, flush=True)  # noqa: T201 - the answer
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
