"""Hosts that should be backed up, and aren't: from the project's list, or one that is given."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.health_tables import ExpectedHost, RecoveryObjective
from gateway.catalogue.health_words import HostCoverage
from gateway.catalogue.tables import columns
from gateway.context import Context
from gateway.query import selects
from gateway.query.selects import CALLER, key_columns
from gateway.resolvers import clients, protection, series
from gateway.resolvers.health import moment_of, seconds_of
from gateway.resolvers.health_settings import MAX_HOSTS, check_hosts

SHOWN = 1000
"""The number of hosts that an answer lists; it counts all of them."""

_HOSTS, _OBJECTIVES = columns(ExpectedHost), columns(RecoveryObjective)
_EXPECTED = sa.select(_HOSTS.hostname).where(_HOSTS.project_id == CALLER).order_by(_HOSTS.hostname)
_OBJECTIVE = sa.select(_OBJECTIVES.max_age).where(
    _OBJECTIVES.project_id == CALLER,
    _OBJECTIVES.client_id.is_(None),
    _OBJECTIVES.series_id.is_(None),
)
_CLIENT = (clients.COLUMNS.id,)
_OF_CLIENT = (clients.COLUMNS.project_id, clients.COLUMNS.hostname)
_SERIES = (protection.NEWEST_OF_SERIES.label("newest"),)
_OF_SERIES = (series.COLUMNS.project_id, series.COLUMNS.hostname)


@dataclass(frozen=True)
class Host:
    """A host that should be backed up."""

    hostname: str
    coverage: HostCoverage
    client_id: str | None
    newest: datetime | None


@dataclass(frozen=True)
class Coverage:
    """The coverage of hosts."""

    as_of: datetime
    max_age: int | None
    hosts: Sequence[Host]
    expected: int
    covered: int

    @property
    def uncovered(self) -> int:
        """The number of hosts that aren't covered."""
        return self.expected - self.covered


def _newest_of_hosts(query: Any, _page_request: None, keys: sa.FromClause) -> Any:
    """Select the newest restore point of all series of a host."""
    rows = query.with_only_columns(*key_columns(keys), *query.selected_columns).subquery("found")
    return sa.select(
        rows.c.of_project, rows.c.of_id, sa.func.max(rows.c.newest).label("newest")
    ).group_by(rows.c.of_project, rows.c.of_id)


async def expected_hosts(ctx: Context) -> list[str]:
    """Return the names of the hosts that the project expects, sorted. Raises Unavailable."""
    rows = await ctx.db.rows(_EXPECTED, {"project_id": ctx.project_id})
    return [row[0] for row in rows]


async def objective(ctx: Context) -> int | None:
    """Return the project's objective in seconds, or None. Raises Unavailable."""
    found: int | None = await ctx.db.scalar(_OBJECTIVE, {"project_id": ctx.project_id})
    return found


async def of_hosts(
    ctx: Context,
    names: Sequence[str] | None = None,
    max_age: int | None = None,
    as_of: datetime | None = None,
) -> Coverage:
    """Return the coverage of these hosts, by default of those that the project expects.

    A restore point may be `max_age` seconds old, by default as old as the project's objective says.
    It costs at most four statements. Raises BadInput for too many hosts, or names that no host can
    have; Forbidden and Unavailable.
    """
    ctx.authorize(clients.COLLECTION.rule)
    ctx.authorize(series.COLLECTION.rule)
    if names is None:
        names = await expected_hosts(ctx)
    else:
        names = sorted(set(names))
        check_hosts(names, "hosts", MAX_HOSTS)
    allowed = await objective(ctx) if max_age is None else max_age
    newest, known = await _newest(ctx, names), await _clients(ctx, names)
    now = int(time.time()) if as_of is None else seconds_of(as_of)
    hosts = []
    for name in names:
        at = newest.get(name)
        if at is not None:
            is_stale = allowed is not None and at + allowed < now
            found = HostCoverage.STALE if is_stale else HostCoverage.COVERED
        else:
            is_known = name in known or name in newest
            found = HostCoverage.UNPROTECTED if is_known else HostCoverage.MISSING
        hosts.append(Host(name, found, known.get(name), moment_of(at)))
    covered = sum(host.coverage is HostCoverage.COVERED for host in hosts)
    moment = as_of or datetime.fromtimestamp(now, UTC)
    return Coverage(moment, allowed, hosts, len(hosts), covered)


async def _newest(ctx: Context, names: Sequence[str]) -> Mapping[str, int | None]:
    """Return the newest restore point of each host that has series, in seconds."""
    if not names:
        return {}
    keys = [(ctx.project_id, name) for name in names]
    rows = await series.COLLECTION.rows(ctx, _newest_of_hosts, _SERIES, keys=keys, owner=_OF_SERIES)
    return {row[1]: row[2] for row in rows}


async def _clients(ctx: Context, names: Sequence[str]) -> Mapping[str, str]:
    """Return the id of a client of each host that has any, the first of several."""
    if not names:
        return {}
    keys = [(ctx.project_id, name) for name in names]
    rows = await clients.COLLECTION.rows(ctx, selects.by_keys, _CLIENT, keys=keys, owner=_OF_CLIENT)
    return {row[1]: row[2] for row in sorted(rows, key=lambda row: str(row[2]), reverse=True)}
