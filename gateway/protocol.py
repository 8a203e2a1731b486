"""Connections: uvicorn's HTTP/1.1, with limits on a request's time and head, and its WebSockets.

Of offers to go on with another protocol, only that of WebSockets is taken, at their addresses.
"""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway import deadlines
from gateway.draining import ENDS_IN_TURN
from gateway.middleware import TIMED_OUT
from gateway.origins import TARGET
from gateway.overload import ARRIVALS, Arrivals

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""The length of a request's first line and headers, and of the fields behind its body."""

CLOSE_SECONDS = 2
"""Seconds that a client has to close a socket after the gateway has."""


class PatientWriter(asyncio.Protocol):
    """A connection that is given up if its client takes nothing for `request_timeout` seconds."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    client: tuple[str, int] | None
    request_timeout: float
    _reader_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Note that the client takes an answer more slowly than it is made."""
        super().pause_writing()
        self._waits_for_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Note that the client has taken nearly all of it."""
        super().resume_writing()
        self._reader_came()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._reader_came()
        super().connection_lost(exc)

    def _waits_for_reader(self, waiting: int) -> None:
        """Give the client its time again, if it has taken anything of what was waiting."""
        self._reader_timer = self.loop.call_later(
            self.request_timeout, self._look_at_reader, waiting
        )

    def _look_at_reader(self, waiting: int) -> None:
        self._reader_timer = None
        left = self.transport.get_write_buffer_size()
        if left < waiting:
            self._waits_for_reader(left)
        else:
            log.info("answer not read", client=self.client, bytes=left)
            self.transport.abort()

    def _reader_came(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


class SocketProtocol(PatientWriter, WebSocketsSansIOProtocol):
    """One WebSocket, from its handshake on."""

    arrivals: Arrivals

    def take_over(self, connection: "Protocol", data: bytes) -> None:
        """Go on with a connection, which has brought a handshake, and perhaps more."""
        self.request_timeout, self.arrivals = connection.request_timeout, connection.arrivals
        self.close_timeout = CLOSE_SECONDS
        self.connection_made(connection.transport)
        connection.transport.set_protocol(self)
        self.data_received(data)

    def handle_connect(self, event: Any) -> None:
        """Hand the socket to the application, whose operations count as requests."""
        super().handle_connect(event)
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            scope: Any = self.scope
            scope[ARRIVALS] = self.arrivals

    def shutdown(self) -> None:
        """Close the socket, unless it ends in its turn."""
        if self.close_sent or not self.handshake_initiated or ENDS_IN_TURN not in self.scope:
            super().shutdown()


class Protocol(PatientWriter, HttpToolsProtocol):
    """One connection. Its requests must arrive within `request_timeout` seconds, else it is closed.

    The time of a head begins with its first byte, that of a body with the end of its head; while
    the gateway itself doesn't read, it doesn't count. A timer runs only where a request doesn't
    arrive whole. An answer of which the client takes nothing for that time is given up.
    """

    arrivals: Arrivals
    sockets: Collection[bytes]
    """The addresses at which there are WebSockets."""
    _timer: asyncio.TimerHandle | None = None
    _is_arriving = False
    """True from a request's first byte to its last; an empty line before it counts."""
    _is_begun = False
    """The same, without such lines."""
    _is_head = True
    _served: RequestResponseCycle | None = None
    """The request that was handed over last; others may have arrived behind it."""
    _field_bytes = 0
    """How many bytes have come since the last ones that the parser has handed over."""

    def connection_made(  # type: ignore[override] # as in uvicorn
        self, transport: asyncio.Transport
    ) -> None:
        """Take a connection, which is idle until its first request, as between two of them."""
        super().connection_made(transport)
        self.arrivals.connections += 1
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and let its request know."""
        self._stop()
        super().connection_lost(exc)
        if self._served is not None and not self._served.response_complete:
            scope: Any = self._served.scope
            deadlines.hang_up(scope)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes of one or more requests."""
        self._unset_keepalive_if_required()
        self._is_arriving = True
        self._field_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if not self._is_arriving:
            return
        if self.transport.is_closing():
            self._stop()
        elif self._field_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._timer is None:
            self._start()

    def _parse(self, data: bytes) -> None:
        """Parse bytes. Raises HttpParserError."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._offers_socket():
                    self._become_socket(data)
                    return
                data = self._without_offer(data)
            else:
                return

    def _offers_socket(self) -> bool:
        """Return True if the offer that the parser has just read is one of a WebSocket to take."""
        return (
            self.parser.get_method() == b"GET"
            and self.url.partition(b"?")[0] in self.sockets
            and self._get_upgrade() == b"websocket"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.transport.is_closing()
        )

    def _become_socket(self, rest: bytes) -> None:
        """Leave the connection to a WebSocket."""
        self._is_arriving = False
        self._stop()
        self.connections.discard(self)
        lines = [b"GET %b HTTP/1.1" % self.url, *(b"%b: %b" % header for header in self.headers)]
        # It refers to this object.
        self.parser = None  # type: ignore[assignment] # as in uvicorn
        socket = SocketProtocol(self.config, self.server_state, self.app_state)
        socket.take_over(self, b"\r\n".join([*lines, b"", rest]))

    def _without_offer(self, rest: bytes) -> bytes:
        """Return the request that the parser has just read, without its offer, and what follows it.

        The parser takes that for another protocol, even a body, which Java's client sends together
        with its offer of HTTP/2. So a new one gets the request once more.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn does.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        if method == b"CONNECT":
            raise httptools.HttpParserError("the gateway is no proxy")
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", rest])

    def on_message_begin(self) -> None:
        """Begin a request, perhaps behind another one in the same bytes."""
        super().on_message_begin()
        self._is_arriving = self._is_begun = True

    def on_headers_complete(self) -> None:
        """Hand the request to the application; its body may take as long again."""
        if self.parser.should_upgrade():
            # An offer of another protocol: see `_parse`.
            return
        if not self.url.startswith((b"/", b"*")):
            # Of a whole URL, uvicorn drops the host.
            self.scope[TARGET] = self.url  # type: ignore[literal-required]
        super().on_headers_complete()
        self._is_head, self._field_bytes = False, 0
        # The request has the old list; fields behind its body are no headers.
        self.headers = []
        if self._timer is not None:
            self._start()

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body to the application."""
        super().on_body(body)
        self._field_bytes = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        scope: Any = cycle.scope
        scope[ARRIVALS] = self.arrivals
        counted: Any = self.arrivals.counted(app)
        super()._start_asgi_task(cycle, counted)

    def on_message_complete(self) -> None:
        """Note that the request has arrived."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._is_arriving = self._is_begun = False
        self._is_head, self._field_bytes = True, 0
        if self._timer is not None:
            self._stop()

    def _start(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.request_timeout, self._time_is_over)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_over(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if self._is_waited_for():
            self._start()
        elif self._is_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif cycle.response_complete:
            # The answer didn't need the body, of which nobody waits for the rest.
            self.transport.close()
        elif cycle.response_started:
            # Nor does the client read the answer.
            self.transport.abort()
        else:
            # The application, which may be waiting for the body, writes the answer.
            cycle.scope[TIMED_OUT] = self.request_timeout  # type: ignore[literal-required]
            cycle.message_event.set()
            self._start()

    def _is_waited_for(self) -> bool:
        """Return True if the client can't go on before the gateway does."""
        if self.flow.read_paused or self.pipeline:
            return True
        if self.cycle is None or self.cycle.response_complete:
            return False
        return self._is_head or self.cycle.waiting_for_100_continue

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer a request that never reached the application, and close the connection."""
        self._stop()
        if not self._is_head or (self.cycle is not None and not self.cycle.response_complete):
            # The application may be answering another request, or this one.
            self.transport.abort()
            return
        if self._is_begun:
            log.info("request refused", status=int(status), client=self.client)
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(status.phrase)),
                (b"connection", b"close"),
            ]
            lines = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode())]
            lines += [b"%b: %b" % header for header in headers]
            self.transport.write(b"\r\n".join([*lines, b"", status.phrase.encode()]))
        self.transport.close()


def limited(request_timeout: float, sockets: Collection[str] = ()) -> type[Protocol]:
    """Return the protocol with this limit, in seconds, and WebSockets at these addresses.

    Uvicorn makes one for each connection.
    """
    return type(
        "LimitedProtocol",
        (Protocol,),
        {
            "request_timeout": request_timeout,
            "arrivals": Arrivals(),
            "sockets": frozenset(path.encode() for path in sockets),
        },
    )
