"""Logging: the format of our own and the libraries' lines, with the request and its actor."""

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
"""The least level at which these verbose libraries are logged."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered, for every line of its log."""

actor: ContextVar[tuple[str, str] | None] = ContextVar("actor", default=None)
"""The ids of the user and the project of that request, once it has been let in."""


def configure(level: str, style: str) -> None:
    """Log to standard error from this level on.

    The style is `console`, `json`, or `auto`: `console` on a terminal, `json` elsewhere. Returns
    nothing; raises KeyError for an unknown level.
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
    """Add the id of the request, its user and its project to a line; return the line."""
    if (known := request_id.get()) is not None:
        line["request_id"] = known
        if (caller := actor.get()) is not None:
            line["user_id"], line["project_id"] = caller
    return line


def _ways_to_write(style: str) -> tuple[list[Processor], Callable[..., Any]]:
    """Return the last processors, and the logger factory; JSON is written as bytes, the fastest."""
    if style == "json":
        rendered = structlog.processors.JSONRenderer(orjson.dumps, default=str)
        writer = structlog.BytesLoggerFactory(sys.stderr.buffer)
        return [structlog.processors.format_exc_info, rendered], writer
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        # The default one shows local variables, among them tokens.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [console], structlog.WriteLoggerFactory(sys.stderr)


def _as_text(_logger: Any, _method: str, line: Any) -> str:
    """Return a line as text, for Python's own logging, by which libraries log."""
    return line.decode() if isinstance(line, bytes) else str(line)
