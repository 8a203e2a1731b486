"""The comparison of `freezer-gateway import --verify`: of databases, and of services' answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import typer
from starlette.applications import Starlette

from gateway import logs
from gateway.cli import progress
from gateway.cli.options import fail, run_on_database
from gateway.db.database import Database
from gateway.errors import BadInput
from gateway.moving import answers, reading
from gateway.moving.answers import IDS, Answers, Side
from gateway.moving.layouts import Catalogue, Rows
from gateway.moving.verifying import Compared, Difference, Verification
from gateway.settings import Settings

Application = Callable[..., Starlette]
"""Makes an application of settings."""

HERE = "http://127.0.0.1"
"""The address by which this process asks its own application: no request leaves it."""
REQUEST_SECONDS = 60
MAX_TEXT = 60
"""The characters, at most, that are shown of a value."""
HASH = 8
"""The characters that are shown of a hash."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the comparison."""

    projects: Sequence[str]
    url: str | None
    sample: str
    """The number of items of each kind to be asked for, or `all`."""
    tokens: Sequence[str]

    def ids(self) -> int | None:
        """Return the number of items to ask for; None for all. Raises BadInput."""
        if self.sample == "all":
            return None
        if not self.sample.isascii() or not self.sample.isdigit() or not int(self.sample):
            raise BadInput(f"--sample must be a number or 'all', not '{self.sample}'")
        return int(self.sample)

    def by_project(self) -> Mapping[str, str]:
        """Return the tokens by project; that of all others has the key ''."""
        pairs = (token.rpartition("=") for token in self.tokens)
        return {project: token for project, _, token in pairs}


def verify(
    chosen: Settings,
    catalogue: Rows,
    asked: Asked,
    application: Application,
    ready: Callable[[Database], Awaitable[None]],
) -> None:
    """Compare both sides, and print what differs; exit with 1 if anything does that isn't meant.

    Raises BadInput for what is asked.
    """
    number = asked.ids()

    async def run(database: Database) -> bool:
        await ready(database)
        return await _compare(database, chosen, catalogue, asked, application, number)

    if not run_on_database(chosen, run):
        fail("both sides differ", code=1)


async def _compare(  # noqa: PLR0913, PLR0917 - all that it takes
    database: Database,
    chosen: Settings,
    catalogue: Rows,
    asked: Asked,
    application: Application,
    number: int | None,
) -> bool:
    """Compare both sides, print what differs, and return True if nothing does that isn't meant.

    Raises Unavailable.
    """
    # Backups have no users' names at freezer-api's newer revisions.
    without: Sequence[str] = ()
    if isinstance(catalogue, Catalogue) and "user_name" not in catalogue.columns["backups"]:
        without = ("user_name",)
    with progress.shown() as shown:
        work = Verification(catalogue, database, shown, asked.projects, without)
        compared = await work.run()
        differences = await work.differences()
    for line in (*table(compared), *side_by_side(differences)):
        typer.echo(line)
    is_same = all(one.is_same for one in compared)
    if asked.url is None:
        return is_same
    projects = asked.projects or sorted({one.project_id for one in compared if one.project_id})
    answered = await _answers(database, chosen, asked, application, projects, number, work)
    for line in _kinds(answered):
        typer.echo(line)
    return is_same and answered.is_same


def table(compared: Sequence[Compared]) -> Iterator[str]:
    """Yield the lines that tell of projects and tables."""
    names = ("there", "refused", "here", "chunks")
    for at, one in enumerate(compared):
        if not at or compared[at - 1].project_id != one.project_id:
            yield f"project {one.project_id}"
            yield f"{'':<12}" + "".join(f"{name:>11}" for name in names) + "  hash"
        counts = (one.there, one.refused, one.here, one.chunks)
        there, here = one.hash_there[:HASH], one.hash_here[:HASH]
        shown = there if one.is_same else f"{there or '-'} there, {here or '-'} here"
        yield f"{one.table:<12}" + "".join(f"{count:>11,}" for count in counts) + f"  {shown}"
    differing = [one for one in compared if not one.is_same]
    if not compared:
        yield "nothing is there, and nothing is here"
    elif differing:
        count = sum(one.chunks for one in differing)
        yield f"{count:,} chunks of {len(differing):,} tables differ"
    else:
        yield "both sides are the same"


def side_by_side(differences: Sequence[Difference]) -> Iterator[str]:
    """Yield the lines that show items that differ."""
    for one in differences:
        yield f"{one.table} {one.id} of the project {one.project_id}"
        if one.there is None or one.here is None:
            yield f"    only {'here' if one.there is None else 'there'}"
            continue
        for name, value in one.there.items():
            yield f"    {name:<20} there  {_short(value)}"
            yield f"    {'':<20} here   {_short(one.here[name])}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


async def _answers(  # noqa: PLR0913, PLR0917 - all that it takes
    database: Database,
    chosen: Settings,
    asked: Asked,
    application: Application,
    projects: Sequence[str],
    number: int | None,
    verified: Verification,
) -> Answers:
    """Compare the answers of both services. Raises Unavailable."""
    # A line for each request would hide the rest.
    logs.configure("warning", chosen.log_format)
    changes = {"rest_dialect": "freezer-19", "rate_limit": "off"}
    async with (
        _opened(application(chosen.model_copy(update=changes))) as own,
        httpx.AsyncClient(base_url=_address(asked), timeout=REQUEST_SECONDS) as other,
    ):
        tokens = asked.by_project()
        sides = (
            Side(other, tokens, "freezer-api"),
            Side(own, tokens, "the gateway", pages_by_marker=True),
        )
        with progress.shown() as shown:
            work = Answers(
                *sides,
                shown,
                refused=frozenset(verified.refused_ids),
                duplicates=frozenset(verified.duplicates),
            )
            for project_id in projects:
                for collection in IDS:
                    ids = await reading.some_ids(database, collection, project_id, number)
                    await work.items(collection, project_id, ids)
                    if number is None:
                        await work.lists(collection, project_id)
    return work


def _address(asked: Asked) -> str:
    """Return the service's address, which Keystone's catalogue may have with the version."""
    return str(asked.url).rstrip("/").removesuffix("/v2")


@asynccontextmanager
async def _opened(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Start an application in this process, and yield a client of it."""
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=HERE) as client,
    ):
        yield client


def _kinds(work: Answers) -> Iterator[str]:
    """Yield the lines that tell how answers differ."""
    counts = ", ".join(f"{count:,} {collection}" for collection, count in work.compared.items())
    yield f"answers compared: {counts or 'none'}"
    why = {kind.name: kind.why for kind in answers.KINDS} | {
        answers.FAILS_THERE: "freezer-api can't read the row",
        answers.REFUSED: "the import refuses the row",
        answers.DUPLICATE: "freezer-api has several clients of the id, and one of them is here",
    }
    for kind, count in sorted(work.kinds.items()):
        if kind != answers.OTHER:
            yield f"meant: {count:,} {kind}: {why[kind]}"
    if other := work.kinds[answers.OTHER]:
        yield f"not meant: {other:,}"
    for one in work.shown:
        yield f"{one.collection} {one.id} of the project {one.project_id} {one.path}"
        yield f"    there  {_short(one.there)}"
        yield f"    here   {_short(one.here)}"
