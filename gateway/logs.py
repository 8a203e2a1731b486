"""Where log lines go and how they look: our own and the libraries', with the request's id."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

_QUIETER: Mapping[str, int] = {
    "aiosqlite": logging.INFO,
    "alembic": logging.WARNING,
    "asyncio": logging.INFO,
    "uvicorn": logging.WARNING,
}
"""Libraries that say more than an operator wants to read, and from which level on they may."""


def configure(level: str, style: str) -> None:
    """Log to standard error from this level on.

    The style is `console`, `json`, or `auto`: the former on a terminal, the latter elsewhere.
    """
    if style == "auto":
        style = "console" if sys.stderr.isatty() else "json"
    least = logging.getLevelNamesMapping()[level.upper()]
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # Not the one that shows local variables, among them tokens.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if style == "console"
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ]
    )
    structlog.configure(
        processors=[*common, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=least, force=True)
    for name, quieter in _QUIETER.items():
        logging.getLogger(name).setLevel(max(least, quieter))
    logging.captureWarnings(capture=True)


def _json(line: Mapping[str, Any], **_: object) -> str:
    return orjson.dumps(line, default=str).decode()
