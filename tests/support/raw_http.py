"""HTTP/1.1 byte by byte: requests as they are sent, and answers as they arrive."""

import select
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PATIENCE = 60
"""How many seconds an answer may take, on a machine with too much else to do."""

BODILESS = {100, 204, 304}


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its headers by their lower-case names, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def raw(head: str, body: bytes | None = None) -> bytes:
    """Return a request of these lines, and of a body with its Content-Length."""
    lines = head.strip().splitlines()
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunked(*parts: bytes) -> bytes:
    """Return a body in chunks of these parts."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


class Connection:
    """A connection to a server; leaving the context closes it."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), PATIENCE)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._stream.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self._socket.sendall(data)

    def send_singly(self, data: bytes) -> None:
        """Send these bytes one by one."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            self._socket.sendall(bytes([byte]))

    def read(self, *, to_head: bool = False) -> Answer:
        """Return the next answer. That to a HEAD request has no body, whatever its headers say."""
        version, status, _ = self._line().split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            earlier = headers.get(name.lower())
            headers[name.lower()] = ", ".join(filter(None, [earlier, value.strip()]))
        if to_head or int(status) in BODILESS:
            body = b""
        else:
            # The gateway knows the length of all that it sends.
            body = self._stream.read(int(headers["content-length"]))
        return Answer(int(status), headers, body)

    def is_answered(self) -> bool:
        """Return True if anything has come that hasn't been read."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def is_closed(self) -> bool:
        """Return True if the server closes the connection, False if it sends anything before."""
        try:
            return self._stream.read(1) == b""
        except ConnectionResetError:
            # It had bytes to read that it didn't want.
            return True

    def _line(self) -> bytes:
        line = self._stream.readline()
        assert line.endswith(b"\r\n"), f"the answer breaks off in {line!r}"
        return line[:-2]

    def drain(self) -> int:
        """Return how many bytes come before the server closes the connection."""
        length = 0
        try:
            while part := self._stream.read1(65536):
                length += len(part)
        except ConnectionResetError:
            pass
        return length
