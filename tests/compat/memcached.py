"""As much of memcached as token caches use: texts set, got and forgotten in time."""

import socketserver
import time
from contextlib import AbstractContextManager

from tests.support.threads import serving


class Memcached(socketserver.ThreadingTCPServer):
    """A server in a thread; `items` is what it holds."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port of this machine."""
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.items: dict[bytes, tuple[bytes, bytes, float]] = {}

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    server: Memcached

    def handle(self) -> None:
        while words := self.rfile.readline().split():
            if words[0] == b"set":
                _, key, flags, seconds, size = words[:5]
                value = self.rfile.read(int(size) + 2)[:-2]
                self.server.items[key] = (flags, value, time.monotonic() + int(seconds))
                self.wfile.write(b"STORED\r\n")
            elif words[0] in {b"get", b"gets"}:
                found = self.server.items.get(words[1])
                if found and found[2] > time.monotonic():
                    flags, value, _ = found
                    self.wfile.write(b"VALUE %b %b %d\r\n" % (words[1], flags, len(value)))
                    self.wfile.write(value + b"\r\n")
                self.wfile.write(b"END\r\n")
            else:
                self.wfile.write(b"ERROR\r\n")


def memcached() -> AbstractContextManager[Memcached]:
    """Run a server for a while."""
    return serving(Memcached())
