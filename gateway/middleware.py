"""ASGI middleware: what happens around a request, whichever surface it is for."""

import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import getrandbits

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import logs
from gateway.db.counting import count_statements
from gateway.errors import BadInput, GatewayError, TooLarge, shown
from gateway.headers import request_headers
from gateway.origins import authority, refuse_foreign, refuse_other_site
from gateway.rates import buckets

log = structlog.get_logger(__name__)

Renderer = Callable[[Exception], Response]
"""Writes an error as one surface does."""

REQUEST_ID = "X-Openstack-Request-Id"

TIMED_OUT = "gateway.timed_out"
"""The key in a request's scope by which the server says that its body takes longer than this."""

_STATUS = "gateway.status"
"""The key in a request's scope of its answer's status, as soon as the answer has begun."""

_GZIP = 16 + zlib.MAX_WBITS
"""Stands for gzip's header and trailer in zlib's functions."""
_MAX_MEMBERS = 100
"""Each costs a copy of what follows it."""

_REQUEST_ID = REQUEST_ID.lower().encode()
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_VARY = (b"vary", b"X-Project-Id, X-Auth-Token, Accept")
_UNCACHED = ((b"cache-control", b"private, no-cache"), _VARY)
"""The headers that keep a cache from showing one caller the answer to another one."""


class RequestLogMiddleware:
    """Gives every request an id, in its answer and in every line of its log, and logs it once.

    Answers are private, and not reused without a question, unless they say otherwise themselves.
    They also tell what their callers may still ask for, where there are rate limits. The paths in
    `quiet` are logged at the level `debug`. A WebSocket is one request, with the status 101.
    """

    def __init__(self, app: ASGIApp, quiet: Collection[str] = ()) -> None:
        self.app = app
        self.quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        # In the form of a UUID, as of all OpenStack's services. Nothing relies on its being secret.
        digits = f"{getrandbits(128):032x}"
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
                status = scope[_STATUS] = message["status"]
                headers = message.get("headers", ())
                message["headers"] = [*headers, *added, *_caching(headers)]
                if (account := scope.get(buckets.SCOPE)) is not None:
                    message["headers"] += account.headers()
            elif message["type"] == "websocket.accept":
                status = scope[_STATUS] = 101
                message["headers"] = [*message.get("headers", ()), added[0]]
            elif message["type"] == "websocket.http.response.start":
                status = scope[_STATUS] = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            # Without the query, which may hold secrets. Percent-encoded, so that nobody can write
            # lines of their own into the log.
            path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")
            (log.debug if path.rstrip("/") in self.quiet else log.info)(
                "request",
                method=scope.get("method", "GET"),
                path=path or scope["path"],
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
                statements=counter.statements,
                **({"retries": counter.retries} if counter.retries else {}),
            )
            logs.request_id.set(None)
            logs.actor.set(None)


def _caching(headers: Iterable[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """Return the headers about caches to add: none to what everybody may be shown."""
    for name, value in headers:
        if name == b"cache-control":
            return () if value.startswith(b"public") else (_VARY,)
    return _UNCACHED


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
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if not isinstance(error, GatewayError | HTTPException):
                log.exception("unexpected error")
            if _STATUS in scope:
                raise
            render = self.renderers.get(scope["path"].rstrip("/"), self.default)
            await render(error)(scope, receive, send)


class AuthorityMiddleware:
    """Refuses requests that don't say clearly whom they are addressed to.

    Browsers let pages of any site open WebSockets, whatever CORS says: so those of other sites than
    the gateway's own and the `trusted` ones are refused.
    """

    def __init__(self, app: ASGIApp, trusted: Collection[str] = ()) -> None:
        self.app = app
        self.trusted = frozenset(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise BadInput, or Forbidden for a foreign page's WebSocket."""
        if scope["type"] in {"http", "websocket"}:
            host = authority(scope)
            if scope["type"] == "websocket":
                origin = request_headers(scope).get("origin")
                refuse_other_site(host or "", origin, self.trusted)
        await self.app(scope, receive, send)


class OriginGuardMiddleware(AuthorityMiddleware):
    """Refuses what a foreign web page could make the browser of a local user send.

    The paths in `hostless` need no `Host`, which every browser sends.
    """

    def __init__(
        self,
        app: ASGIApp,
        trusted: Collection[str],
        *,
        any_host: bool,
        hostless: Collection[str] = (),
    ) -> None:
        super().__init__(app, trusted)
        self.any_host = any_host
        self.hostless = frozenset(hostless)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise Forbidden or BadInput."""
        if scope["type"] in {"http", "websocket"}:
            host = authority(scope)
            refuse_foreign(
                host or "",
                request_headers(scope).get("origin"),
                self.trusted,
                any_host=self.any_host
                or (host is None and scope["path"].rstrip("/") in self.hostless),
            )
        await self.app(scope, receive, send)


class BodyMiddleware:
    """Passes bodies on, decoded, and refuses those that are too long or take too long.

    A body that is too long is refused before it is read where its length is known.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. Raises TooLarge, BadInput for what isn't gzip, HTTPException."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = request_headers(scope)
        announced = headers.get("content-length")
        # 18 digits are more than any limit; Python refuses thousands of them.
        if announced is not None and (
            not (announced.isascii() and announced.isdigit())
            or len(announced) > 18  # noqa: PLR2004
            or int(announced) > self.limit
        ):
            raise _too_long(self.limit)
        gunzip: _Gunzip | None = None
        if "content-encoding" in headers and (
            announced not in {None, "0"} or "transfer-encoding" in headers
        ):
            gunzip = self._gunzip(headers["content-encoding"])
        length, more = 0, True

        async def receive_body() -> Message:
            nonlocal length, more
            message = await receive()
            if not more:
                return message
            if (seconds := scope.get(TIMED_OUT)) is not None:
                reason = f"the body didn't arrive within {seconds:g} s"
                raise HTTPException(408, reason, {"Connection": "close"})
            if message["type"] == "http.disconnect":
                raise BadInput("the body broke off")
            body, more = message.get("body", b""), message.get("more_body", False)
            length += len(body)
            if length > self.limit:
                raise _too_long(self.limit)
            if gunzip is not None:
                message["body"] = gunzip.decode(body, last=not more)
            return message

        await self.app(scope, receive_body, send)

    def _gunzip(self, encoding: str) -> "_Gunzip | None":
        """Return the decoder of a body; None: it isn't encoded. Raises HTTPException."""
        codings = [coding.strip() for coding in encoding.lower().split(",")]
        match [coding for coding in codings if coding not in {"", "identity"}]:
            case []:
                return None
            case ["gzip" | "x-gzip"]:
                return _Gunzip(self.limit)
            case _:
                reason = (
                    f"the body's Content-Encoding must be gzip, not {shown(', '.join(codings))}"
                )
                raise HTTPException(415, reason, {"Accept-Encoding": "gzip"})


class _Gunzip:
    """Decodes gzip (RFC 1952), and never more of it than the number of bytes in `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._length = 0
        self._members = [zlib.decompressobj(_GZIP)]

    def decode(self, data: bytes, *, last: bool) -> bytes:
        """Return what the next bytes encode. Raises TooLarge, and BadInput for what isn't gzip."""
        decoded = bytearray()
        while data:
            member = self._members[-1]
            if member.eof:
                member = self._next_member()
            try:
                # One more byte than there may be; zero would mean any number.
                decoded += member.decompress(data, self._limit + 1 - self._length - len(decoded))
            except zlib.error:
                raise BadInput("the body is not gzip, as its Content-Encoding says") from None
            if self._length + len(decoded) > self._limit:
                raise _too_long(self._limit)
            data = member.unconsumed_tail or member.unused_data
        self._length += len(decoded)
        if last and not self._members[-1].eof:
            raise BadInput("the body's gzip breaks off")
        return bytes(decoded)

    def _next_member(self) -> "zlib._Decompress":
        """Return the decoder of another member, which a file of gzip may have. Raises BadInput."""
        if len(self._members) == _MAX_MEMBERS:
            raise BadInput(f"the body's gzip has more than {_MAX_MEMBERS} members")
        self._members.append(zlib.decompressobj(_GZIP))
        return self._members[-1]


def _too_long(limit: int) -> TooLarge:
    return TooLarge(f"the body is longer than {limit} bytes")
