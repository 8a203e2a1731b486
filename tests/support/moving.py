"""The clock of gateways in this process, moved."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.compiler import compiles

from gateway.catalogue import column_types
from gateway.query import clock
from gateway.query.clock import seconds_now


@contextmanager
def moved_clock(by: timedelta) -> Iterator[None]:
    """Move the clock of gateways, and of their SQLite, during a block.

    Those that were opened before go on with the statements that they have compiled.
    """
    real_time, real_now = time.time, column_types.now

    def now() -> datetime:
        return real_now() + by

    def in_sql(*_: Any, **__: Any) -> str:
        return f"CAST(strftime('%s', 'now', '{int(by.total_seconds())} seconds') AS INTEGER)"

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("gateway.") and getattr(module, "now", None) is real_now:
                patch.setattr(module, "now", now)
        patch.setattr(time, "time", lambda: real_time() + by.total_seconds())
        compiles(seconds_now, "sqlite")(in_sql)
        try:
            yield
        finally:
            compiles(seconds_now, "sqlite")(clock._on_sqlite)  # noqa: SLF001 - put back
