"""The context of a request: the caller, their project, the database and the policy."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway import idempotency, logs
from gateway.auth.identity import Authenticator, Headers, Identity, check_project_id
from gateway.auth.policy import Policy
from gateway.db.database import Database
from gateway.db.transactions import Transaction
from gateway.idempotency import IdempotencyKeys, KeyedRequest
from gateway.rates.buckets import Account, RateLimiter
from gateway.settings import DEFAULT_LIMIT, MAX_LIMIT, SILENT_AFTER, Dialect
from gateway.upkeep.heartbeats import Heartbeats

ACROSS = "_all_projects"
"""The end of the names of rules by which other projects are read."""
_KEY_HEADER = idempotency.HEADER.lower()

ItemKey = tuple[str, str]
"""The project and the id of an item."""


class Trusts(Protocol):
    """Keystone's trusts, created and deleted as the caller of one request."""

    async def create(self, project_id: str) -> Mapping[str, str]:
        """Create a trust in the gateway; return its `trust_id` and `trustor_user_id`.

        Raises Unprocessable where Keystone refuses, Unavailable where it doesn't answer.
        """

    async def delete(self, trust_id: str) -> None:
        """Delete the trust; one that is gone, or a Keystone that doesn't answer, is no error."""


@dataclass(frozen=True)
class Crossing:
    """The right to read another project's items, by one rule in place of some others."""

    project_id: str
    """The project of the request."""
    rule: str
    covered: frozenset[str]


@dataclass
class Context:
    """One request: its caller and project, the database and the policy."""

    identity: Identity
    project_id: str
    db: Database
    policy: Policy
    default_limit: int = DEFAULT_LIMIT
    max_limit: int = MAX_LIMIT
    trusts: Trusts | None = None
    """None where nobody is authenticated."""
    dialect: Dialect = "documented"
    made_trusts: set[str] = field(default_factory=set)
    """The ids of the trusts that this request has created."""
    account: Account | None = None
    """The account that the request is charged to; None without rate limits."""
    keys: IdempotencyKeys | None = None
    """None where requests have no idempotency keys."""
    given_key: str | None = None
    """The idempotency key as it was sent, with a request that may have one."""
    keyed: KeyedRequest | None = None
    """The request with its idempotency key, while it is served."""
    host_time_zone: str | None = None
    """The time zone of hosts whose own isn't known; None if theirs isn't known, either."""
    heartbeats: Heartbeats | None = None
    """Takes note of clients whose schedulers ask for their jobs, if anybody does."""
    silent_after: int = SILENT_AFTER
    """The seconds without a poll after which a client is silent."""
    crossing: Crossing | None = None
    """None where the project is that of the request."""
    reads_across: bool = False
    """True once other projects are read, all of them or one by a global id.

    Their revisions are not this project's: so such an answer is never kept, and a live query reads
    it again and again. What all projects see of others, central clients, is no such reading.
    """

    def take_key(self, headers: Headers) -> None:
        """Take the idempotency key of a request that may have one."""
        self.given_key = headers.get(_KEY_HEADER)

    @property
    def has_key(self) -> bool:
        """True if the request has an idempotency key."""
        return self.keys is not None and self.given_key is not None

    @property
    def repeats(self) -> bool:
        """True if what is to be written has been written, and will be answered from memory."""
        return self.keyed is not None and self.keyed.stored is not None

    @asynccontextmanager
    async def once(self, *request: object) -> AsyncIterator[None]:
        """Open a block whose writes are made once for the request's idempotency key.

        `request` is all that makes the request what it is, as JSON has it. Raises BadInput for a
        malformed key, and as `IdempotencyKeys.opened` does.
        """
        if self.keys is None or self.given_key is None:
            yield
            return
        key = idempotency.read(self.given_key)
        caller = (self.project_id, self.identity.user_id)
        async with self.keys.opened(caller, key, idempotency.digest(request)) as self.keyed:
            yield

    def authorize(self, rule: str) -> None:
        """Pass, or raise Forbidden. The first line of every resolver calls it."""
        if rule.endswith(ACROSS):
            self.reads_across = True
        crossing = self.crossing
        if crossing is not None and rule in crossing.covered:
            self.policy.check(crossing.rule, self.identity, crossing.project_id)
        else:
            self.policy.check(rule, self.identity, self.project_id)

    def elsewhere(self, project_id: str, rule: str, *covered: str) -> "Context":
        """Return the context of the same caller in another project.

        There, a rule on all projects stands in place of those that are `covered`, and of no other.
        """
        self.reads_across = True
        crossing = Crossing(self.project_id, rule, frozenset(covered))
        return replace(self, project_id=project_id, crossing=crossing)

    async def charge(self, cost: int, *, refusable: bool = True) -> None:
        """Charge the caller so many points, if there are rate limits. Raises RateLimited."""
        if self.account is not None:
            await self.account.charge(cost, refusable=refusable)

    def write(
        self, *, conflict_message: str = "the item exists already"
    ) -> AbstractAsyncContextManager[Transaction]:
        """Return one transaction that changes the project: see `Database.write`."""
        return self.db.write(self.project_id, conflict_message=conflict_message)


@dataclass(frozen=True)
class Contexts:
    """Opens the context of each request; one for the application, in `app.state.contexts`."""

    db: Database
    policy: Policy
    authenticator: Authenticator
    default_limit: int = DEFAULT_LIMIT
    max_limit: int = MAX_LIMIT
    trusts: Callable[[Headers, Identity], Trusts] | None = None
    """Returns the caller's trusts, which hold the caller's token."""
    dialect: Dialect = "documented"
    limiter: RateLimiter | None = None
    """None without rate limits."""
    keys: IdempotencyKeys | None = None
    """None where requests have no idempotency keys."""
    host_time_zone: str | None = None
    heartbeats: Heartbeats | None = None
    silent_after: int = SILENT_AFTER

    async def open(
        self, headers: Headers, path: str, project_id: str | None = None, *, method: str = ""
    ) -> Context:
        """Return a context for the caller and a project: the path's, the header's or the token's.

        Authorization is left to the rules. Without a method, tokens with access rules are refused.
        Raises Unauthenticated, Unavailable, and BadInput for a malformed project id.
        """
        identity = await self.authenticator.identify(headers, path, method)
        if project_id is not None:
            project_id = check_project_id(project_id, "project_id")
        elif wanted := headers.get("x-project-id"):
            project_id = check_project_id(wanted, "X-Project-Id")
        project_id = project_id or identity.project_id or ""
        logs.actor.set((identity.user_id, project_id))
        limiter = self.limiter
        return Context(
            identity,
            project_id,
            self.db,
            self.policy,
            self.default_limit,
            self.max_limit,
            None if self.trusts is None else self.trusts(headers, identity),
            self.dialect,
            # The token's project, not the request's: nobody else can spend a project's points.
            account=(
                None if limiter is None else limiter.account(identity.project_id, identity.user_id)
            ),
            keys=self.keys,
            host_time_zone=self.host_time_zone,
            heartbeats=self.heartbeats,
            silent_after=self.silent_after,
        )
