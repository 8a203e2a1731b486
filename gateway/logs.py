"""Where log lines go and how they look: our own and the libraries', with the request's id."""

import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor

_QUIETER: Mapping[str, int] = {
    "aiosqlite": logging.INFO,
    "alembic": logging.WARNING,
    "asyncio": logging.INFO,
    "uvicorn": logging.WARNING,
}
"""Libraries that say more than an operator wants to read, and from which level on they may."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered, which every line of its log has."""


def configure(level: str, style: str) -> None:
    """Log to standard error from this level on.

    The style is `console`, `json`, or `auto`: the former on a terminal, the latter elsewhere.
    """
    if style == "auto":
        style = "console" if sys.stderr.isatty() else "json"
    least = logging.getLevelNamesMapping()[level.upper()]
    common: list[Processor] = [
        identify,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatted, written = _ways_to_write(style)
    structlog.configure(
        processors=[*common, *formatted],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=written,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *formatted,
                _as_text,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=least, force=True)
    for name, quieter in _QUIETER.items():
        logging.getLogger(name).setLevel(max(least, quieter))
    logging.captureWarnings(capture=True)


def identify(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """Say in a line which request it is about, if it is about one."""
    if (known := request_id.get()) is not None:
        line["request_id"] = known
    return line


def _ways_to_write(style: str) -> tuple[list[Processor], Callable[..., Any]]:
    """The last steps of making a line, and what writes it: JSON as bytes, which cost least."""
    if style == "json":
        rendered = structlog.processors.JSONRenderer(orjson.dumps, default=str)
        writer = structlog.BytesLoggerFactory(sys.stderr.buffer)
        return [structlog.processors.format_exc_info, rendered], writer
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        # Not the one that shows local variables, among them tokens.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [console], structlog.WriteLoggerFactory(sys.stderr)


def _as_text(_logger: Any, _method: str, line: Any) -> str:
    """Libraries log by way of Python's own logging, which writes no bytes."""
    return line.decode() if isinstance(line, bytes) else str(line)
