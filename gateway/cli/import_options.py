"""The options of `freezer-gateway import`, as its help tells of them."""

from pathlib import Path
from typing import Annotated

import typer

ImportSource = Annotated[
    str,
    typer.Argument(help="A URL, or the path of a freezer-api.conf or export.", metavar="SOURCE"),
]
Projects = Annotated[
    list[str] | None,
    typer.Option("--project", help="Import this project only; may be repeated.", metavar="ID"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing but the report.")]
ReportFile = Annotated[
    Path,
    typer.Option(
        help="File of the rows with a fault, `-` for standard output; written if there is one.",
        metavar="FILE",
    ),
]
WithDeleted = Annotated[
    Path | None,
    typer.Option(
        help="Write the rows that were deleted in freezer-api, which are not imported, to this "
        "file.",
        metavar="FILE",
    ),
]
Follow = Annotated[
    bool,
    typer.Option(
        "--follow",
        help="Go on until the switch: mirror what changes in freezer-api. Meanwhile, nobody "
        "else may write to the projects.",
    ),
]
Every = Annotated[
    float,
    typer.Option(help="With --follow: the seconds between two looks.", metavar="SECONDS", min=0.1),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify", help="Write nothing: compare both sides, and exit with 1 if they differ."
    ),
]
ServiceUrl = Annotated[
    str | None,
    typer.Option(
        help="With --verify: freezer-api's address, to compare both services' answers.",
        metavar="URL",
    ),
]
Sample = Annotated[
    str,
    typer.Option(
        help="With --url: how many items of each kind and project to ask for, or `all`, which "
        "compares lists as well.",
        metavar="N",
    ),
]
Tokens = Annotated[
    list[str] | None,
    typer.Option(
        "--token",
        help="With --url: a token of Keystone, for all projects or as `PROJECT=TOKEN` for one; "
        "may be repeated.",
        envvar="OS_TOKEN",
    ),
]
