"""A proxy between schedulers and a gateway, which keeps what the gateway has acknowledged."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host"}
"""Headers that are about one connection, or about the bytes sent by it."""


@dataclass
class Recorder:
    """The schedules that jobs were changed to, with the jobs' ids, in order."""

    url: str = ""
    schedules: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def recording(gateway_url: str) -> Iterator[Recorder]:
    """Run a proxy of a gateway, which may come and go."""
    recorder = Recorder()
    client = httpx.Client(base_url=gateway_url, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            try:
                answer = client.request(self.command, self.path, content=body, headers=headers)
            except httpx.TransportError:
                self.send_error(502)
                return
            if self.command == "PATCH" and answer.status_code == httpx.codes.OK:
                schedule = json.loads(body)["job_schedule"]
                recorder.schedules.append((self.path.rstrip("/").rpartition("/")[2], schedule))
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _forward  # noqa: N815 - as the base has it

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        client.close()
