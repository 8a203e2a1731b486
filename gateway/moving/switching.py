"""The switch: from freezer-api, which takes no more writes, to the gateway, which then does."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import sqlalchemy as sa

from gateway.catalogue.history import ClientHeartbeat
from gateway.catalogue.tables import Client, columns, source
from gateway.db.database import Database
from gateway.errors import BadInput
from gateway.moving import mirrors
from gateway.moving.counts import RowCounts
from gateway.moving.following import Mirror
from gateway.moving.layouts import Catalogue
from gateway.moving.sources import Source
from gateway.moving.verifying import Compared, Difference, Verification

ASK_SECONDS = 5
"""How long freezer-api may take to answer, until it is taken for stopped."""
_NOBODY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""The statuses by which load balancers answer in place of a service that is stopped."""

_CLIENTS, _SEEN = columns(Client), columns(ClientHeartbeat)
_ARRIVALS = (
    sa.select(_CLIENTS.project_id, _CLIENTS.id, _SEEN.seen_at)
    .select_from(source(Client))
    .outerjoin(
        source(ClientHeartbeat),
        sa.and_(_SEEN.project_id == _CLIENTS.project_id, _SEEN.client_id == _CLIENTS.id),
    )
    .where(_CLIENTS.project_id == sa.bindparam("project_id"))
    .order_by(_CLIENTS.id)
)


class Refused(Exception):
    """A switch that can't be made; nothing has changed by it but rows that were brought here."""

    def __init__(
        self,
        message: str,
        compared: Sequence[Compared] = (),
        differences: Sequence[Difference] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.differing = [one for one in compared if not one.is_same]
        self.differences = differences


@dataclass(frozen=True, slots=True)
class Switched:
    """A switch that has been made."""

    counts: RowCounts
    projects: Collection[str]
    compared: Sequence[Compared]
    at: int
    """The time, in seconds since 1970."""


def check_closed(opened: Source, url: str | None) -> str:
    """Return why nobody can write to freezer-api's database any more.

    `url` is freezer-api's address, if it is to be asked. Raises Refused if somebody may, and
    Unavailable.
    """
    if opened.is_read_only():
        return "its database is read-only"
    if url is None:
        raise Refused(
            "freezer-api may go on writing: make its database read-only (`SET GLOBAL read_only = "
            "1`), or stop freezer-api, and name its address with --url"
        )
    try:
        with urllib.request.urlopen(_asked(url), timeout=ASK_SECONDS) as response:  # noqa: S310 - checked
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError as error:
        return f"nobody answers at {url}: {getattr(error, 'reason', error)}"
    if status in _NOBODY:
        return f"{url} answers {status}"
    raise Refused(f"freezer-api answers at {url}, with {status}: stop it first")


def _asked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"--url must be http://… or https://…, not '{url}'")
    return url


async def switch(
    mirror: Mirror, check: Callable[[Source], str], *, despite_differences: bool = False
) -> Switched:
    """Do the last pass, compare both sides, let the gateway's users write; return what was done.

    `check` is `check_closed`. Raises Refused: then others may write to what they could write to
    before; BadInput, Unavailable, and OSError for the report.
    """
    before = await mirrors.marked(mirror.database)
    try:
        return await _switch(mirror, check, despite_differences=despite_differences)
    except BaseException:
        await mirrors.free(mirror.database, mirror.marked - before.keys())
        raise


async def _switch(
    mirror: Mirror, check: Callable[[Source], str], *, despite_differences: bool
) -> Switched:
    _check(mirror, check)
    counts = await mirror.begin()
    compared, differences = await _compare(mirror)
    if not despite_differences and any(not one.is_same for one in compared):
        raise Refused("both sides differ", compared, differences)
    passed = await mirror.follow()
    if passed is None:
        raise Refused("others have freed the projects meanwhile")
    if passed.written:
        raise Refused(f"freezer-api still writes: {passed.written} rows since the last pass")
    _check(mirror, check)
    projects = sorted(mirror.marked)
    await mirrors.free(mirror.database, projects)
    return Switched(counts, projects, compared, int(time.time()))


def _check(mirror: Mirror, check: Callable[[Source], str]) -> None:
    opened = mirror.open_source()
    try:
        check(opened)
    finally:
        opened.close()


async def _compare(mirror: Mirror) -> tuple[Sequence[Compared], Sequence[Difference]]:
    if not mirror.marked:
        return (), ()
    opened = mirror.open_source()
    try:
        catalogue = Catalogue(opened, mirror.projects, mirror.page_size)
        # What it doesn't tell of, nobody can compare.
        told = catalogue.columns["backups"]
        without = [name for name in ("user_name",) if name not in told]
        projects = sorted(mirror.marked)
        work = Verification(catalogue, mirror.database, mirror.progress, projects, without)
        return await work.run(), await work.differences()
    finally:
        opened.close()


async def missing(
    database: Database, projects: Collection[str], since: int
) -> Sequence[tuple[str, str]]:
    """Return the projects and ids of clients whose scheduler hasn't asked for jobs since a time.

    Raises Unavailable.
    """
    return [
        (row.project_id, row.id)
        for project_id in sorted(projects)
        for row in await database.rows(_ARRIVALS, {"project_id": project_id})
        if row.seen_at is None or row.seen_at < since
    ]
