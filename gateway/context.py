"""What a resolver knows of its request: who asks, for which project, of which database."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from strawberry.dataloader import DataLoader

from gateway import logs
from gateway.auth.identity import Authenticator, Headers, Identity, check_project_id
from gateway.auth.policy import Policy
from gateway.db.database import Database
from gateway.db.transactions import Transaction

Found = TypeVar("Found")
ItemKey = tuple[str, str]
"""The project and the id of the item that others belong to."""


class Trusts(Protocol):
    """Keystone's trusts, for the caller of one request; whoever works by a trust acts for them."""

    async def create(self, project_id: str) -> Mapping[str, str]:
        """Trust the gateway with the caller's work: `trust_id` and `trustor_user_id`.

        Raises Unprocessable where Keystone refuses, Unavailable where it doesn't answer.
        """

    async def delete(self, trust_id: str) -> None:
        """Take the trust back; one that is gone, or a Keystone that is, is no error."""


@dataclass
class Context:
    """One request's identity and project, with the doors to the database and the rules."""

    identity: Identity
    project_id: str
    db: Database
    policy: Policy
    default_limit: int = 100
    max_limit: int = 1000
    trusts: Trusts | None = None
    """None where nobody is authenticated."""
    selections: dict[object, Any] = field(default_factory=dict, repr=False)
    """What has been worked out of the operation's selections, for the time it runs."""
    _loaders: dict[object, DataLoader[Any, Any]] = field(default_factory=dict, repr=False)
    _under_way: set["asyncio.Future[Any]"] = field(default_factory=set, repr=False)

    def authorize(self, rule: str) -> None:
        """Pass, or raise Forbidden. The first line of every resolver."""
        self.policy.check(rule, self.identity, self.project_id)

    def write(
        self, *, taken: str = "the item exists already"
    ) -> AbstractAsyncContextManager[Transaction]:
        """One transaction that changes the project: see `Database.write`."""
        return self.db.write(self.project_id, taken=taken)

    async def batch(
        self,
        function: Callable[..., Awaitable[Mapping[ItemKey, Found]]],
        key: ItemKey,
        *arguments: object,
    ) -> Found | None:
        """Call `function(ctx, keys, *arguments)` once for all keys asked for at the same time.

        The function returns a mapping; what it has no entry for is None. The arguments must be
        hashable: calls with equal ones are served together.
        """
        loader = self._loaders.get((function, arguments))
        if loader is None:

            async def load(keys: list[ItemKey]) -> Sequence[Found | None]:
                # Rows of one level often belong to the same item: it is asked for once.
                found = await function(self, list(dict.fromkeys(keys)), *arguments)
                return [found.get(key) for key in keys]

            loader = self._loaders[function, arguments] = DataLoader(load_fn=load, cache=False)
        found: Found | None = await asyncio.shield(self.under_way(loader.load(key)))
        return found

    def under_way(self, reading: Awaitable[Found]) -> "asyncio.Future[Found]":
        """Begin to read, so that `settle` knows of it."""
        future = asyncio.ensure_future(reading)
        self._under_way.add(future)
        future.add_done_callback(self._settled)
        return future

    def _settled(self, future: "asyncio.Future[Any]") -> None:
        self._under_way.discard(future)
        if not future.cancelled():
            # Looked at, so that a failure that nobody waited for isn't called unseen.
            future.exception()

    async def settle(self) -> None:
        """Wait for what is being read, though an error elsewhere has ended the operation."""
        while self._under_way:
            await asyncio.wait(self._under_way)


@dataclass(frozen=True)
class Contexts:
    """Opens a context for each request; one for the whole application, in `app.state.contexts`."""

    db: Database
    policy: Policy
    authenticator: Authenticator
    default_limit: int = 100
    max_limit: int = 1000
    trusts: Callable[[Headers, Identity], Trusts] | None = None
    """Makes the caller's trusts; they hold the token that the caller came with."""

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
        return Context(
            identity,
            project_id,
            self.db,
            self.policy,
            self.default_limit,
            self.max_limit,
            None if self.trusts is None else self.trusts(headers, identity),
        )
