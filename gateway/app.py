"""The application: composes the surfaces, the middleware, the database and authentication."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gateway import __version__, playground
from gateway.auth.identity import Authenticator, Headers, Identity, NoAuthenticator
from gateway.auth.policy import Policy
from gateway.auth.threads import WorkerThreads
from gateway.changes.watching import Watcher
from gateway.context import Contexts, Trusts
from gateway.db.database import Database
from gateway.deadlines import Deadlines
from gateway.draining import Draining
from gateway.errors import Unavailable
from gateway.idempotency import HEADER, IdempotencyKeys
from gateway.kept.answers import Answers
from gateway.middleware import (
    REQUEST_ID,
    AuthorityMiddleware,
    BodyMiddleware,
    ErrorMiddleware,
    OriginGuardMiddleware,
    RequestLogMiddleware,
)
from gateway.migrations.readiness import SchemaReadiness
from gateway.origins import public_origins
from gateway.overload import OverloadMiddleware, Places
from gateway.rates.buckets import RateLimiter
from gateway.rates.memcached import MemcachedStore
from gateway.rates.store import BucketStore, Store
from gateway.resolvers import clients
from gateway.rest_compat import errors as rest_errors
from gateway.rest_compat import home, router
from gateway.rest_compat.long_polling import LongPolls
from gateway.schema import errors as graphql_errors
from gateway.schema import graphql_app
from gateway.schema.event_streams import Streams
from gateway.schema.execution.subscribing import Subscriptions
from gateway.settings import Settings
from gateway.upkeep.timer import Upkeep

GRAPHQL = "/graphql"
MAX_PROJECTS = 100
"""Projects that GraphiQL offers to choose from."""
PROJECTS_SECONDS = 1
"""Seconds that GraphiQL's page waits for these projects: it needs no database."""


def create_app(settings: Settings, *, any_host: bool = False) -> Starlette:
    """Return the application; it opens its database when it is started.

    `any_host` admits requests that aren't addressed to loopback although nobody is authenticated.
    Raises OSError and ValueError for a policy file, a certificate or a file of trusted documents
    that can't be used.
    """
    database = Database(settings)
    readiness = SchemaReadiness(database)
    upkeep = Upkeep(database, settings)
    api = graphql_app(settings, playground.DOCUMENTS)
    watcher = Watcher(database, settings.change_poll_interval)
    subscriptions = Subscriptions(watcher, settings)
    threads = WorkerThreads()
    buckets = _buckets(settings, database)
    authenticator = _authenticator(settings, threads)
    v2, others = router.routes(settings)
    app = Application(
        routes=[
            # First, since Starlette tries one after the other.
            v2,
            *playground.routes(GRAPHQL, api, _page_config(settings, database)),
            *_signin_routes(settings, authenticator, threads),
            others,
        ],
        middleware=list(_middleware(settings, any_host=any_host)),
        lifespan=_lifespan(readiness, threads, upkeep, subscriptions, buckets),
    )
    # Every address is spelled out in the routes, with and without its slash.
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.draining = Draining()
    app.state.graphql = api
    app.state.subscriptions = subscriptions
    app.state.streams = streams = Streams(settings)
    app.state.long_polls = LongPolls(watcher, streams, settings)
    app.state.keystone_threads = threads
    app.state.kept = answers = Answers(database, settings.kept_answers_bytes)
    policy = Policy(settings.policy_file)
    policy.on_reread.append(answers.clear)
    app.state.contexts = Contexts(
        database,
        policy,
        authenticator,
        settings.default_limit,
        settings.max_limit,
        _trusts(settings, threads),
        settings.rest_dialect,
        RateLimiter(settings, buckets) if settings.has_rate_limits else None,
        IdempotencyKeys(database, settings),
        settings.host_time_zone or None,
        upkeep.heartbeats,
        settings.client_silent_after,
    )
    return app


class Application(Starlette):
    """Starlette's application, with the middleware that is given and no other.

    `ErrorMiddleware` handles all errors; Starlette's own would cost every request two more layers.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Return the router, wrapped in the middleware."""
        app: ASGIApp = self.router
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        return app


def _lifespan(
    readiness: SchemaReadiness,
    threads: WorkerThreads,
    upkeep: Upkeep,
    subscriptions: Subscriptions,
    buckets: Store,
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        try:
            async with readiness.opened(), upkeep.running():
                yield
                await subscriptions.close()
        finally:
            threads.close()
            await buckets.close()

    return lifespan


def _buckets(settings: Settings, database: Database) -> Store:
    if servers := settings.rate_limit_memcached_servers:
        return MemcachedStore(servers)
    return BucketStore(database)


def _authenticator(settings: Settings, threads: WorkerThreads) -> Authenticator:
    if settings.auth == "keystone":
        # Half a second's worth of imports that nobody else needs.
        from gateway.auth.keystone import KeystoneAuthenticator  # noqa: PLC0415

        return KeystoneAuthenticator(settings, threads=threads)
    return NoAuthenticator(settings)


def _signin_routes(
    settings: Settings, authenticator: Authenticator, threads: WorkerThreads
) -> Iterable[BaseRoute]:
    if settings.auth == "keystone":
        from gateway.auth import signin  # noqa: PLC0415 - as above

        return signin.routes(settings, authenticator.forget, threads)
    return ()


def _trusts(
    settings: Settings, threads: WorkerThreads
) -> Callable[[Headers, Identity], Trusts] | None:
    if settings.auth == "keystone":
        from gateway.auth.trusts import Trustee  # noqa: PLC0415 - as above

        return Trustee(settings, threads).trusted_by
    return None


def _page_config(
    settings: Settings, database: Database
) -> Callable[[], Awaitable[playground.Config]]:
    async def config() -> playground.Config:
        project, projects = None, []
        if settings.auth == "none":
            project = settings.project_id
            # GraphiQL shows the failure itself, as soon as it sends a query.
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(PROJECTS_SECONDS):
                    projects = await clients.project_ids(database, MAX_PROJECTS)
        return playground.Config(
            name="Freezer gateway",
            version=__version__,
            auth=settings.auth,
            default_project=project,
            # With Keystone none: the page is served before anybody signs in.
            projects=[playground.Project(project_id) for project_id in projects],
        )

    return config


def _middleware(settings: Settings, *, any_host: bool) -> Iterable[Middleware]:
    """Yield the middleware, from the outside in."""
    error_middleware = Middleware(
        ErrorMiddleware,
        default=rest_errors.render,
        renderers={GRAPHQL: graphql_errors.render},
    )
    yield Middleware(RequestLogMiddleware, quiet={home.HEALTHCHECK, home.READYZ})
    yield error_middleware
    if settings.auth == "none":
        trusted = {*settings.cors_origins, *public_origins(settings)}
        yield Middleware(
            OriginGuardMiddleware,
            trusted=trusted,
            any_host=any_host,
            hostless={home.HEALTHCHECK, home.READYZ},
        )
    else:
        yield Middleware(AuthorityMiddleware)
    if settings.cors_origins:
        yield Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                *("X-Auth-Token", "X-Project-Id", "Content-Type", "Content-Encoding"),
                *("If-Match", "If-None-Match", "Prefer", HEADER, "Last-Event-ID"),
                *("X-GraphQL-Cost", "X-GraphQL-Explain"),
            ],
            expose_headers=[
                *("Link", "Location", "ETag", "Cache-Status", "Retry-After", REQUEST_ID),
                *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
            ],
        )
        # Inside of CORS as well, so that a dashboard may read what went wrong.
        yield error_middleware
    yield Middleware(BodyMiddleware, limit=settings.max_body_bytes)
    yield Middleware(
        OverloadMiddleware,
        places=Places(
            settings.max_running_requests, settings.max_waiting_requests, settings.waiting_writes
        ),
        deadlines=Deadlines(settings.deadline, settings.write_deadline, {GRAPHQL}),
        kept_paths=("/v2",),
        exempt={home.HEALTHCHECK, home.READYZ},
    )
