"""ASGI middleware: what happens around a request, whichever surface it is for."""

import time
from collections.abc import Callable, Collection, Mapping
from secrets import token_hex

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import logs
from gateway.db.pools import count_statements
from gateway.errors import GatewayError, TooLarge
from gateway.migrations.readiness import SchemaReadiness
from gateway.origins import refuse_foreign
from gateway.rates import buckets

log = structlog.get_logger(__name__)

Renderer = Callable[[Exception], Response]
"""Writes an error as one surface does."""

REQUEST_ID = "X-Openstack-Request-Id"

_REQUEST_ID = REQUEST_ID.lower().encode()
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class RequestLogMiddleware:
    """Gives every request an id, in its answer and in every line of its log, and logs it once.

    The answer also tells what its caller may still ask for, where there are rate limits. The paths
    in `quiet` are logged at the level `debug`.
    """

    def __init__(self, app: ASGIApp, quiet: Collection[str] = ()) -> None:
        self.app = app
        self.quiet = frozenset(quiet)

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
                if (account := scope.get(buckets.SCOPE)) is not None:
                    message["headers"] += account.headers()
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            # Without the query, which may hold secrets. Percent-encoded, so that nobody can write
            # lines of their own into the log.
            path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")
            (log.debug if path in self.quiet else log.info)(
                "request",
                method=scope["method"],
                path=path or scope["path"],
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
                statements=counter.statements,
            )
            logs.request_id.set(None)
            logs.actor.set(None)


class ErrorMiddleware:
    """Answers with the error that was raised, written by the renderer of the request's path.

    Paths without a renderer have the default one. An unexpected error is logged whole; the answer
    tells nothing of it but the request's id.
    """

    def __init__(
        self, app: ASGIApp, default: Renderer, renderers: Mapping[str, Renderer] | None = None
    ) -> None:
        self.app = app
        self.default = default
        self.renderers = renderers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; raise only what goes wrong after the answer has begun."""
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
            render = self.renderers.get(scope["path"].rstrip("/"), self.default)
            await render(error)(scope, receive, send)


class OriginGuardMiddleware:
    """Refuses what a foreign web page could make the browser of a local user send."""

    def __init__(self, app: ASGIApp, trusted: Collection[str], *, any_host: bool) -> None:
        self.app = app
        self.trusted = frozenset(trusted)
        self.any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise Forbidden."""
        if scope["type"] in {"http", "websocket"}:
            headers = dict(scope["headers"])
            host, origin = headers.get(b"host", b""), headers.get(b"origin")
            refuse_foreign(
                host.decode("latin-1"),
                None if origin is None else origin.decode("latin-1"),
                self.trusted,
                any_host=self.any_host,
            )
        await self.app(scope, receive, send)


class BodyLimitMiddleware:
    """Refuses bodies over a number of bytes, before they are read where their length is known."""

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
            # The server lets no more than announced through. 18 digits are more than any limit;
            # Python refuses thousands of them.
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
        """The error to raise."""
        return TooLarge(f"the body is longer than {self.limit} bytes")


class ReadinessMiddleware:
    """Lets requests pass once the database's schema is current; paths in `exempt` always."""

    def __init__(
        self, app: ASGIApp, readiness: SchemaReadiness, exempt: Collection[str] = ()
    ) -> None:
        self.app = app
        self.readiness = readiness
        self.exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise Unavailable."""
        if (
            not self.readiness.is_current
            and scope["type"] == "http"
            and (scope["path"].rstrip("/") or "/") not in self.exempt
        ):
            await self.readiness.require()
        await self.app(scope, receive, send)
