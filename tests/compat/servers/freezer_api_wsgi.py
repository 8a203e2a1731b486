"""freezer-api's WSGI application; each request leaves a line in its log, as the gateway's do.

The line says how many SQL statements there were, but for those that begin and end transactions.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

sys.argv = ["freezer-api", "--config-file", os.environ["FREEZER_API_CONFIG"]]

from freezer_api import service  # noqa: E402 - it reads the arguments

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")

tally = threading.local()


def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
    """Count a statement of the request that this thread serves."""
    if not statement.startswith(TRANSACTION):
        tally.statements = getattr(tally, "statements", 0) + 1


sa.event.listen(sa.Engine, "before_cursor_execute", count)
freezer_api = service.initialize_app()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request."""
    tally.statements = 0
    began = time.perf_counter()
    line = {"event": "request", "method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]}

    def start(status: str, *arguments: Any) -> Any:
        line["status"] = int(status.partition(" ")[0])
        return start_response(status, *arguments)

    body = freezer_api(environ, start)
    try:
        yield from body
    finally:
        if hasattr(body, "close"):
            body.close()
        line["ms"] = round((time.perf_counter() - began) * 1000, 1)
        line["statements"] = tally.statements
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()
