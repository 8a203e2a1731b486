"""The progress of long commands: a bar on a terminal, lines of the log elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

log = structlog.get_logger(__name__)

LOG_SECONDS = 10
"""The time between two lines of the log."""


class ProgressBar:
    """Bars on standard error, one for each part, with the rate and the time that is left."""

    is_terminal = True

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._begun = 0.0

    def __enter__(self) -> Self:
        """Begin to show them."""
        self._progress.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Leave them on the terminal as they are."""
        self._progress.stop()

    def begin(self, what: str, total: int | None) -> None:
        """Begin a part of so many rows; None for a number that isn't known."""
        self._begun = time.monotonic()
        self._task = self._progress.add_task(what, total=total, rate="")

    def advance(self, count: int) -> None:
        """Note that so many rows of it are done."""
        if self._task is None:
            return
        seconds = time.monotonic() - self._begun
        done = self._progress.tasks[self._task].completed + count
        rate = f"{done / seconds:,.0f}/s" if seconds else ""
        self._progress.update(self._task, advance=count, rate=rate)

    def tell(self, text: str) -> None:
        """Show how far it is, in words."""
        if self._task is not None:
            self._progress.update(self._task, description=text)


class ProgressLog:
    """Lines of the log: at the end of each part, and every few seconds before."""

    is_terminal = False

    def __init__(self) -> None:
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._begun = self._told = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Tell how far it is."""
        self._tell()

    def begin(self, what: str, total: int | None) -> None:
        """Begin a part of so many rows; None for a number that isn't known."""
        self._tell()
        self._what, self._total, self._done = what, total, 0
        self._begun = self._told = time.monotonic()

    def advance(self, count: int) -> None:
        """Note that so many rows of it are done."""
        self._done += count
        if time.monotonic() - self._told >= LOG_SECONDS:
            self._tell()

    def tell(self, text: str) -> None:
        """Log how far it is, in words."""
        log.info("moving", what=text)

    def _tell(self) -> None:
        self._told = time.monotonic()
        seconds = self._told - self._begun
        if not self._done or not seconds:
            return
        rate = self._done / seconds
        left = (
            {}
            if self._total is None
            else {"seconds_left": round((self._total - self._done) / rate)}
        )
        total = {} if self._total is None else {"of": self._total}
        log.info(
            "moving", what=self._what, done=self._done, **total, per_second=round(rate), **left
        )


Shown = ProgressBar | ProgressLog


def shown() -> Shown:
    """Return a bar if standard error is a terminal, and lines of the log if it is none."""
    return ProgressBar() if sys.stderr.isatty() else ProgressLog()
