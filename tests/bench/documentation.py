"""docs/performance.md and its picture, written from the result of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import plot, report
from .catalogue import BACKUPS_PER_JOB

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "performance.md"
PICTURE = DOCS / "performance.png"

TEXT = """\
# Performance

How fast the gateway is beside other programs that could serve the same catalogue, on the same
machine, in one run. This page is written by the benchmark itself:

```console
$ make bench                                             # about half an hour
$ make bench BENCH_ARGS=--quick                          # a few minutes
$ make bench BENCH_ARGS='--only Q1,Q2 --peers gateway,floor'
```

Absolute figures are this machine's; the ratios mean more, for all programs take turns in
{rounds} interleaved rounds of {seconds:g} s, each in another order, and a figure is the median of
its rounds. A virtual machine may be slowed down by its neighbours for minutes: a measurement waits,
{waited} s for all of them together, until an empty loop is about as quick as before.

**{date}**, {machine}. {programs}.

![Requests per second of every program, growth, memory](performance.png)

## Targets

{targets}

## Measurements

One project of {jobs:,} jobs and {backups:,} backups is read, a second one of a tenth of that is
written to. Each server is one process on one core, and the load (wrk, 16 connections) and the
database have another; but for freezer-api, whose two workers use both. Neither PostgreSQL nor
MariaDB waits for the disk, and no program logs its requests.
The programs in Python run on the one that made the virtual environment: one that was built with
optimizations, as distributions' are, is a fifth faster than one that wasn't
(`make bench PYTHON=/usr/bin/python3`, before there is an environment).
Before anything is measured, every program's answer is checked: the right items, in order.
CPU is the server's own, per request; SQL counts the statements that its database saw, but for
those that begin and end transactions; MB is the largest process, resident, after the last round.
freezer-api has no deep page by marker: its R3 goes by offset.
Q1 cold has processes of its own, whose caches fill with plans that are never used again; its MB
are theirs.

{legend}

{measurements}

{more}
"""

CHANGES = """\
## Changes

The gateway beside the baseline, another version of it on a database of its own:
{baseline}.
In each round both take a request's turn one right after the other; "by round" is the median of how
much two such samples differ.

{changes}
"""

GROWTH = """\
## Growth

The same requests on projects of other sizes, each in a database of its own; and what counting all
of a project's backups takes, which GraphQL does only when `totalCount` is asked for.

{growth}
"""

INSIGHT = """\
## Insight

Asked of one project of {backups:,} backups and {runs:,} runs, one after the other: what each
question takes, and what it costs to keep the chains with the backups. A backup in the middle of a
series changes what is derived of later ones: up to the next full backup where levels are told, up
to the end where each follows from those before it. Heartbeats are counted in {seconds:.0f} seconds,
of one process.

{insight}
"""

MEMORY = """\
## Memory

{requests:,} requests of the whole workload in {minutes:.0f} minutes, {rate:,.0f} a second: never
more than {resident_mb:.0f} MB resident.
"""


def write(result: Mapping[str, Any]) -> None:
    """Write the page and its picture."""
    plot.draw(result, PICTURE)
    PAGE.write_text(page(result))


def page(result: Mapping[str, Any]) -> str:
    """Return the page."""
    more = []
    if result.get("changes"):
        baseline = result["versions"]["baseline"]
        more.append(CHANGES.format(baseline=baseline, changes=report.changes(result)))
    if result.get("scale"):
        more.append(GROWTH.format(growth=report.growth(result)))
    if result.get("insight"):
        found = result["insight"]
        seconds, asked = found["heartbeats"]["seconds"], report.insight(result)
        counts = {"backups": found["backups"], "runs": found["runs"]}
        more.append(INSIGHT.format(seconds=seconds, insight=asked, **counts))
    if result.get("soak"):
        soak = result["soak"]
        more.append(MEMORY.format(minutes=soak["seconds"] / 60, **soak))
    text = TEXT.format(
        rounds=result["rounds"],
        seconds=result["seconds"],
        waited=result["waited"],
        date=result["date"][:10],
        machine=result["machine"],
        programs="; ".join(dict.fromkeys(result["versions"].values())),
        targets=report.targets(result),
        jobs=result["jobs"],
        backups=result["jobs"] * BACKUPS_PER_JOB,
        legend=report.legend(dict.fromkeys(cell["key"] for cell in result["cells"])),
        measurements=report.measurements(result),
        more="\n".join(more).rstrip(),
    )
    return text.rstrip() + "\n"
