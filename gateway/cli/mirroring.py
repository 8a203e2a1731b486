"""The mirror of `freezer-gateway import --follow`, and the group of commands that it is one of."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.cli import progress, trustees
from gateway.cli.options import fail, run_on_database
from gateway.db.database import Database
from gateway.moving import following, sources
from gateway.moving.following import Mirror, Passed
from gateway.moving.reports import Report
from gateway.settings import Settings

IDLE_SECONDS = 60
"""The time between two lines that say that nothing has changed."""

Ready = Callable[[Database], Awaitable[None]]
Summary = Callable[..., Iterator[str]]


class ImportGroup(TyperGroup):
    """`import`, whose first argument is a source, unless it is one of its commands."""

    DEFAULT = "catalogue"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments, with the command that is meant where none is named."""
        named = bool(args) and args[0] in self.commands and args[0] != self.DEFAULT
        return super().parse_args(ctx, args if named else [self.DEFAULT, *args])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command, whose help doesn't show a name that nobody writes."""
        name, command, rest = super().resolve_command(ctx, args)
        return ("" if name == self.DEFAULT else name), command, rest


@dataclass(frozen=True, slots=True)
class Followed:
    """A source that is followed: its address, its projects, and the file of the report."""

    source: str
    projects: Sequence[str]
    report: Path

    def mirror(self, chosen: Settings, database: Database, shown: progress.Shown) -> Mirror:
        """Return the mirror of it."""
        open_source = partial(sources.open_source, self.source)
        zone = chosen.host_time_zone or None
        return Mirror(open_source, database, Report(self.report), shown, self.projects, zone)


def follow(
    chosen: Settings, followed: Followed, every: float, ready: Ready, summary: Summary
) -> None:
    """Import a catalogue, and mirror it until it is switched to. Raises Exit if that can't be."""

    async def run(database: Database) -> None:
        await ready(database)
        with progress.shown() as shown:
            mirror = followed.mirror(chosen, database, shown)
            counts = await mirror.begin()
            advice = await trustees.advice(chosen, counts, mirror.keystone_user)
            lines = summary(counts, mirror.report, is_trial=False)
            for line in (*lines, *advice, _held(mirror)):
                typer.echo(line)
            if faults := list(counts.faults()):
                fail("\n".join(["the counts don't add up:", *faults]), code=1)
            shown.begin("mirror", None)
            await following.forever(mirror, every, _Shown(shown))
        typer.echo("the projects were freed: the mirror has ended")

    try:
        run_on_database(chosen, run)
    except KeyboardInterrupt:
        typer.echo(
            "stopped; the projects still take no other writer: run the same again to go on, "
            "`freezer-gateway import switch` to switch, or `freezer-gateway import release` not to",
            err=True,
        )
        raise typer.Exit(130) from None
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code=1)


def _held(mirror: Mirror) -> str:
    count = len(mirror.marked)
    return f"{count:,} projects are mirrors of {mirror.address}: nobody else may write to them"


class _Shown:
    """Tells of each pass: on a terminal always, in the log if there is any news."""

    def __init__(self, shown: progress.Shown) -> None:
        self._shown = shown
        self._told = 0.0

    def __call__(self, passed: Passed) -> None:
        text = f"lag {passed.lag:.1f} s, {passed.written:,} rows written"
        if passed.by_comparing:
            text += f", {passed.by_comparing:,} of them found by comparing"
        text += f", compared {passed.rounds:,} times"
        now = time.monotonic()
        if self._shown.is_terminal or passed.written or now - self._told >= IDLE_SECONDS:
            self._told = now
            self._shown.tell(text)
