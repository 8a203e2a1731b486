"""The application: every part of the gateway in its place, and what happens around a request."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog
from graphql import GraphQLError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__, logs, migrations, playground
from gateway.auth.identity import Authenticator, Headers, Identity, NoAuthenticator, refuse_foreign
from gateway.auth.policy import Policy
from gateway.catalogue.tables import Client, columns
from gateway.context import Contexts, Trusts
from gateway.db.database import Database
from gateway.db.pools import count_statements
from gateway.errors import BadInput, GatewayError, TooLarge, Unavailable
from gateway.rest_compat import routes
from gateway.schema import GraphQLApp, errors, graphql_app
from gateway.settings import Settings

log = structlog.get_logger(__name__)

GRAPHQL = "/graphql"
HEALTHCHECK = "/healthcheck"
_REQUEST_ID = b"x-openstack-request-id"
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
MOST_PROJECTS = 100
"""How many projects GraphiQL offers to choose from."""


def create_app(settings: Settings, *, any_host: bool = False) -> Starlette:
    """Put the gateway together; it opens its database when it is started.

    `any_host` lets requests in that aren't addressed to loopback although nobody is authenticated.
    """
    database = Database(settings)
    schema = Schema(database)
    api = graphql_app(settings)
    authenticator = _authenticator(settings)
    app = Application(
        routes=[
            *_graphql(settings, database, api),
            *_signing_in(settings, authenticator),
            *routes.routes(settings),
        ],
        middleware=list(_middleware(settings, schema, any_host=any_host)),
        lifespan=schema.lifespan,
    )
    # Every address is spelled out in the routes, with and without its slash.
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.graphql = api
    app.state.contexts = Contexts(
        database,
        Policy(settings.policy_file),
        authenticator,
        settings.default_limit,
        settings.max_limit,
        _trusts(settings),
    )
    return app


class Application(Starlette):
    """Starlette's application, with the middleware that is given and no other.

    `Errors` is there for whatever goes wrong; Starlette's own would see every request, too.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Put the middleware around the router."""
        app: ASGIApp = self.router
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        return app


def _authenticator(settings: Settings) -> Authenticator:
    if settings.auth == "keystone":
        # Half a second's worth of imports that nobody else needs.
        from gateway.auth.keystone import KeystoneAuthenticator  # noqa: PLC0415

        return KeystoneAuthenticator(settings)
    return NoAuthenticator(settings)


def _signing_in(settings: Settings, authenticator: Authenticator) -> Iterable[BaseRoute]:
    if settings.auth == "keystone":
        from gateway.auth import signin  # noqa: PLC0415 - as above

        return signin.routes(settings, authenticator.forget)
    return ()


def _trusts(settings: Settings) -> Callable[[Headers, Identity], Trusts] | None:
    if settings.auth == "keystone":
        from gateway.auth.trusts import Trustee  # noqa: PLC0415 - as above

        return Trustee(settings).trusted_by
    return None


def _graphql(settings: Settings, database: Database, api: GraphQLApp) -> Iterable[BaseRoute]:
    """GraphQL, and for browsers that look for a page at its address, GraphiQL."""
    page = playground.Playground()

    async def config() -> playground.Config:
        return playground.Config(
            name="Freezer gateway",
            version=__version__,
            auth=settings.auth,
            default_project=settings.project_id if settings.auth == "none" else None,
            projects=await _projects(settings, database),
        )

    class Endpoint:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            wants_page = scope["method"] != "POST" and playground.wants_page(Request(scope))
            wanted = page.page(await config()) if wants_page else api
            await wanted(scope, receive, send)

    async def without_slash(_request: Request) -> Response:
        # The page's links are relative to the address without it. 307 keeps the method and body.
        return RedirectResponse("../graphql", 307)

    return [
        Route(GRAPHQL, Endpoint()),
        Route(f"{GRAPHQL}/", without_slash),
        Route(f"{GRAPHQL}/assets/{{name}}", page.asset, methods=["GET"]),
    ]


async def _projects(settings: Settings, database: Database) -> Sequence[playground.Project]:
    """The projects to choose from; with Keystone none, for nobody has logged in to get the page."""
    if settings.auth == "keystone":
        return ()
    own = columns(Client)
    query = sa.select(own.project_id).distinct().order_by(own.project_id).limit(MOST_PROJECTS)
    with suppress(Unavailable):  # the page will say so itself, as soon as it asks for anything
        return [playground.Project(row.project_id) for row in await database.rows(query)]
    return ()


def _middleware(settings: Settings, schema: "Schema", *, any_host: bool) -> Iterable[Middleware]:
    """What a request passes through, from the outside in."""
    yield Middleware(Observed)
    yield Middleware(Errors)
    if settings.auth == "none":
        yield Middleware(Guard, settings=settings, any_host=any_host)
    if settings.cors_origins:
        yield Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                *("X-Auth-Token", "X-Project-Id", "Content-Type"),
                *("If-Match", "If-None-Match", "Prefer"),
            ],
            expose_headers=["Link", "Location", "ETag", "Retry-After", Observed.HEADER],
        )
        # Once more, so that a dashboard may read what went wrong.
        yield Middleware(Errors)
    yield Middleware(BodyLimit, limit=settings.max_body_bytes)
    yield Middleware(Ready, schema=schema)


class Observed:
    """Gives every request an id, in its answer and in every line of the log, and logs it once."""

    HEADER = "X-Openstack-Request-Id"

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # In the form of a UUID, as of all OpenStack's services.
        digits = token_hex(16)
        request_id = (
            f"req-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        )
        logs.request_id.set(request_id)
        counter = count_statements()
        added = ((_REQUEST_ID, request_id.encode()), _NO_SNIFFING)
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            # Without the query, where clients put what isn't for the log. Percent-encoded, so
            # that nobody can write lines of his own into it.
            path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")
            (log.debug if path == HEALTHCHECK else log.info)(
                "request",
                method=scope["method"],
                path=path or scope["path"],
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
                statements=counter.statements,
            )
            logs.request_id.set(None)


class Errors:
    """Answers with what went wrong, in the words of the surface that was asked.

    An unexpected error is logged whole, and the caller learns nothing of it but the request's id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            if not isinstance(error, GatewayError | HTTPException):
                log.exception("unexpected error")
            if begun:
                raise
            await _render(scope, error)(scope, receive, send)


class Guard:
    """Refuses what a web page from elsewhere could make the browser of a local user send."""

    def __init__(self, app: ASGIApp, settings: Settings, *, any_host: bool) -> None:
        self.app = app
        public = urlsplit(settings.public_url)
        own = {f"{public.scheme}://{public.netloc}"} if public.netloc else set()
        self.origins = frozenset({*settings.cors_origins} | own)
        self.any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise Forbidden."""
        if scope["type"] in {"http", "websocket"}:
            headers = dict(scope["headers"])
            host, origin = headers.get(b"host", b""), headers.get(b"origin")
            refuse_foreign(
                host.decode("latin-1"),
                None if origin is None else origin.decode("latin-1"),
                self.origins,
                any_host=self.any_host,
            )
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses a body that is longer than the gateway takes, before it is read where it says so."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise TooLarge."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length")
        if announced is not None:
            # The server has seen to it that no more than announced will come.
            # Nobody writes so many digits but to hide some.
            if not announced.isdigit() or len(announced) > 18 or int(announced) > self.limit:  # noqa: PLR2004
                raise self.refusal
            await self.app(scope, receive, send)
            return
        length = 0

        async def receive_counting() -> Message:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            if length > self.limit:
                raise self.refusal
            return message

        await self.app(scope, receive_counting, send)

    @property
    def refusal(self) -> TooLarge:
        """What is raised."""
        return TooLarge(f"the body is longer than {self.limit} bytes")


class Schema:
    """Whether the database has the tables that the gateway needs: asked until it is so.

    A database that is down when the gateway starts is asked by the first request after it is up
    again; until then, as long as its schema is another, the answer is 503.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_current = False
        self._asking = asyncio.Lock()

    async def require(self) -> None:
        """Pass if the schema is current, else raise Unavailable."""
        async with self._asking:
            if not self.is_current:
                state = await migrations.prepare(self.database)
                if not state.is_current:
                    log.error("wrong schema", reason=str(state))
                    raise Unavailable(str(state))
                self.is_current = True

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Open the database when the application starts, and close it when it stops."""
        try:
            await self.require()
        except Unavailable as error:
            log.warning("answering 503 until the database is ready", reason=error.message)
        try:
            yield
        finally:
            await self.database.close()


class Ready:
    """Lets requests pass when the database's schema is known to be right."""

    # These need no database.
    ALWAYS = frozenset({"/", HEALTHCHECK})

    def __init__(self, app: ASGIApp, schema: Schema) -> None:
        self.app = app
        self.schema = schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise Unavailable."""
        if not self.schema.is_current and scope["type"] == "http":
            await self._require(scope["path"])
        await self.app(scope, receive, send)

    async def _require(self, path: str) -> None:
        if (path.rstrip("/") or "/") not in self.ALWAYS:
            await self.schema.require()


def _render(scope: Scope, error: Exception) -> Response:
    """Write an error as the surface does that was asked; its status is the same on both."""
    response = routes.render(error)
    if scope["path"].rstrip("/") != GRAPHQL:
        return response
    match error:
        case GatewayError():
            cause, message = error, error.message
        case HTTPException():
            cause, message = BadInput(error.detail), error.detail
        case _:
            cause, message = GatewayError(errors.MASK), errors.MASK
    shown = GraphQLError(message, original_error=cause)
    errors.show(shown)
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"content-length", "content-type"}
    }
    return JSONResponse({"errors": [shown.formatted]}, response.status_code, headers)
