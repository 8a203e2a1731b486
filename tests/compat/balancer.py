"""HAProxy at freezer-api's address: while nobody answers, requests wait for who comes next."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .keystone import free_port

NOBODY = "http://127.0.0.1:1"
PATIENCE = 60
"""How many seconds it may take to start."""

CONFIGURATION = """
global
  stats socket {socket} mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend freezer
  bind 127.0.0.1:{port}
  default_backend catalogue
backend catalogue
  retries 600
  option redispatch 1
  http-reuse never
  server it {address}
"""


@dataclass
class Balancer:
    """A load balancer, which is commanded by a socket, as docs/moving.md has it."""

    url: str
    commands: Path

    def hold(self) -> None:
        """Let new requests wait; those that have been sent are answered."""
        self.lead_to(NOBODY)

    def lead_to(self, url: str) -> None:
        """Send requests to a service from now on, also those that wait."""
        host, port = url.removeprefix("http://").split(":")
        self._command(f"set server catalogue/it addr {host} port {port}")

    def _command(self, text: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.commands))
            connection.sendall(f"{text}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


@contextmanager
def balancing(folder: Path, url: str) -> Iterator[Balancer]:
    """Run HAProxy in front of a service."""
    found = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "HAProxy is missing: make haproxy"
    port, commands, log = free_port(), folder / "haproxy", folder / "haproxy.log"
    configuration = folder / "haproxy.cfg"
    address = url.removeprefix("http://")
    configuration.write_text(CONFIGURATION.format(port=port, socket=commands, address=address))
    with log.open("wb") as output:
        process = subprocess.Popen([found, "-f", str(configuration)], stdout=output, stderr=output)
    try:
        patient_until = time.monotonic() + PATIENCE
        while not commands.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < patient_until, log.read_text()
            time.sleep(0.1)
        yield Balancer(f"http://127.0.0.1:{port}", commands)
    finally:
        process.terminate()
        process.wait(PATIENCE)
