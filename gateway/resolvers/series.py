"""Series, their chains, and what the restore of a backup reads: all of it read, none written."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from gateway.catalogue.series_tables import Restore, Series
from gateway.catalogue.tables import Backup, Job, columns, source
from gateway.chains.vocabularies import ChainState, Restorability, RestorabilityReason
from gateway.query.filters import AnyOf, Condition, Where
from gateway.query.paging import Sort
from gateway.query.selects import CALLER
from gateway.resolvers import backups, rules
from gateway.resolvers.collection import Collection, collection

COLUMNS = columns(Series)

COLLECTION = collection(Series, rules.BACKUPS, COLUMNS.hostname, COLUMNS.backup_name, COLUMNS.id)

_OWN = backups.COLUMNS
OF_SERIES = (_OWN.project_id, _OWN.series)

HELD = tuple(
    word.value for word in (Restorability.RESTORABLE, Restorability.BROKEN, Restorability.UNKNOWN)
)
"""The verdicts on backups of which there are data, as far as the catalogue tells."""

NEWEST_AT = sa.type_coerce(COLUMNS.newest_time, COLUMNS.newest_time.type)
"""The column, whose values sort as they are shown: by it, and its index, lists are sorted."""

_SUPERSEDED: sa.ColumnElement[str] = sa.literal_column(f"'{RestorabilityReason.SUPERSEDED.value}'")
_NOT_SUPERSEDED = _OWN.restorability_reason != _SUPERSEDED
_HAS_DATA = _OWN.restorability.in_([sa.literal_column(f"'{word}'") for word in HELD])
_NEWEST_FIRST = (
    Sort(_OWN.chain_time, descending=True),
    Sort(_OWN.calendar_time, descending=True),
    Sort(_OWN.id, descending=True),
)
_MINE = _OWN.project_id == CALLER
_OTHER = source(Backup).alias("other")
_OF_CHAIN = (
    _OTHER.c.project_id == _OWN.project_id,
    _OTHER.c.series == _OWN.series,
    _OTHER.c.chain_time == _OWN.chain_time,
)
OF_OTHER = (_OTHER.c.project_id, _OTHER.c.id)
"""The backup that another one stands in a relation to, by its chain."""


def _by_time(*conditions: sa.ColumnElement[bool]) -> Collection:
    return Collection(
        source(Backup),
        rules.BACKUPS,
        rules.BACKUPS.list,
        (_OWN.project_id, _OWN.id),
        _NEWEST_FIRST,
        (_OWN.id,),
        sa.and_(_MINE, *conditions),
        sa.and_(sa.true(), *conditions),
    )


def _related(*on: sa.ColumnElement[bool]) -> Collection:
    """Return the backups that stand in this relation to another one, the first first."""
    return Collection(
        source(Backup).join(_OTHER, sa.and_(*_OF_CHAIN, *on)),
        rules.BACKUPS,
        rules.BACKUPS.list,
        (_OWN.project_id, _OWN.id),
        tuple(sort.reversed() for sort in _NEWEST_FIRST),
        (_OWN.id,),
        _MINE,
    )


_IS_FULL = _OWN.chain_level == sa.literal_column("0")

NEWEST_FIRST = _by_time()
"""All backups of series, the newest first."""
RESTORE_POINTS = _by_time(_HAS_DATA)
"""The backups of which there are data, as far as the catalogue tells, the newest first."""
CHAINS = _by_time(_IS_FULL)
"""The full backups, each of which begins a chain, the newest first."""
REQUIRED = _related(_OWN.chain_level < _OTHER.c.chain_level, _HAS_DATA, _NOT_SUPERSEDED)
"""The backups that the restore of another one reads before it."""
DEPENDENT = _related(
    _OWN.chain_level > _OTHER.c.chain_level,
    _HAS_DATA,
    _OTHER.c.restorability_reason != _SUPERSEDED,
)
"""The backups that need another one."""
MEMBERS = _related(_OWN.chain_level.is_not(None))
"""The backups of the chain that another one, a full one, begins."""
CHAIN_OF = replace(_related(_IS_FULL, _OTHER.c.chain_level.is_not(None)), key=OF_OTHER)
"""The full backup that begins the chain of another one."""

_MEMBER = source(Backup).alias("member")
_IN_CHAIN = sa.and_(
    _MEMBER.c.project_id == _OWN.project_id,
    _MEMBER.c.series == _OWN.series,
    _MEMBER.c.chain_time == _OWN.chain_time,
    _MEMBER.c.chain_level.is_not(None),
)


def _any(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(_IN_CHAIN, *conditions).correlate(source(Backup))


def _word(word: str) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{word}'", _OWN.restorability.type)


_IS_HIDDEN = _MEMBER.c.restorability_reason == _SUPERSEDED
STATE = sa.case(
    (_OWN.restorability == _word(Restorability.EXPIRED), _word(ChainState.EXPIRED)),
    (
        _any(
            sa.not_(_IS_HIDDEN),
            _MEMBER.c.restorability.in_([_word(Restorability.BROKEN), _word(Restorability.FAILED)]),
        ),
        _word(ChainState.INCOMPLETE),
    ),
    (
        _any(sa.not_(_IS_HIDDEN), _MEMBER.c.restorability == _word(Restorability.UNKNOWN)),
        _word(ChainState.UNKNOWN),
    ),
    else_=_word(ChainState.COMPLETE),
)
"""The state of the chain that a full backup begins."""


def _of_members(expression: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    query: sa.Select[Any] = sa.select(expression).select_from(_MEMBER).where(_IN_CHAIN)
    summed: sa.ColumnElement[int] = query.correlate(source(Backup)).scalar_subquery()
    return sa.type_coerce(summed, sa.BigInteger())


# A sum of integers is a decimal on PostgreSQL.
SIZE = _of_members(sa.cast(sa.func.sum(_MEMBER.c.compressed_size), sa.BigInteger))
LENGTH = _of_members(sa.func.count())
SIZED = _of_members(sa.func.count(_MEMBER.c.compressed_size))


def search(text: str) -> Where:
    """Return the condition of a free text: an id, or part of a name, host or container."""
    folded = text.lower()
    names = (COLUMNS.hostname, COLUMNS.backup_name, COLUMNS.container)
    return AnyOf(
        (
            Condition(COLUMNS.id, "eq", text),
            Condition(COLUMNS.resource, "eq", text),
            *(Condition(name, "icontains", folded) for name in names),
        )
    )


_RESTORE, _JOBS = columns(Restore), columns(Job)
LAST_TESTED = sa.type_coerce(
    sa.select(sa.func.max(_JOBS.time_ended))
    .select_from(
        source(Restore).join(
            source(Job),
            sa.and_(_JOBS.project_id == _RESTORE.project_id, _JOBS.id == _RESTORE.job_id),
        )
    )
    .where(
        _RESTORE.project_id == COLUMNS.project_id,
        _RESTORE.series == COLUMNS.id,
        _RESTORE.is_test,
        _JOBS.result == sa.literal_column("'success'"),
    )
    .correlate(source(Series))
    .scalar_subquery(),
    sa.BigInteger(),
)
"""The time of the last restore of a series that was made to see if it succeeds, and did."""
