"""Connections: uvicorn's HTTP/1.1, with limits on a request's time and head, without upgrades."""

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway import deadlines
from gateway.middleware import TIMED_OUT
from gateway.origins import TARGET
from gateway.overload import ARRIVALS, Arrivals

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""The length of a request's first line and headers, and of the fields behind its body."""


class Protocol(HttpToolsProtocol):
    """One connection. Its requests must arrive within `request_timeout` seconds, else it is closed.

    The time of a head begins with its first byte, that of a body with the end of its head; while
    the gateway itself doesn't read, it doesn't count. A timer runs only where a request doesn't
    arrive whole. An answer of which the client takes nothing for that time is given up.
    """

    request_timeout: float
    arrivals: Arrivals
    _timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None
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
        self._reader_came()
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
                data = self._without_offer(data[upgrade.args[0] :])
            else:
                return

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
            # An offer of another protocol, which the gateway ignores.
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

    def pause_writing(self) -> None:
        """Note that the client takes an answer more slowly than it is made."""
        super().pause_writing()
        self._waits_for_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Note that the client has taken nearly all of it."""
        super().resume_writing()
        self._reader_came()

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


def limited(request_timeout: float) -> type[Protocol]:
    """Return the protocol with this limit, in seconds; uvicorn makes one for each connection."""
    return type(
        "LimitedProtocol", (Protocol,), {"request_timeout": request_timeout, "arrivals": Arrivals()}
    )
