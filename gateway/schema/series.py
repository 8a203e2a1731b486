"""Series and chains in GraphQL: what can be restored, from what."""

from datetime import datetime

import strawberry

from gateway.resolvers import backups, protection, series
from gateway.resolvers.series import COLLECTION, COLUMNS
from gateway.schema import health
from gateway.schema.connections import connection
from gateway.schema.enums import ChainState, Restorability
from gateway.schema.fields import Node, column, node, to_one
from gateway.schema.filter_inputs import order_input, where_input
from gateway.schema.scalars import BigInt


@node(
    COLLECTION,
    key="series_id",
    description="The backups of one thing in one place: what restores choose from. They have a "
    "storage, a container, an engine, a host and a name in common; of an instance, an image or a "
    "volume, its id.",
    **health.orders("Series"),
)
class Series(Node):
    """A view over a series' row."""

    series_id: strawberry.ID = column(COLUMNS.id, "The series' id, made of all that follows.")
    project_id: strawberry.ID = column(COLUMNS.project_id, "The id of its project.")
    media: str = column(
        COLUMNS.media,
        "The agent's kind of backup: `fs` for files and databases, `nova`, `cinder`, "
        "`cindernative`, `cinderbrick`, `glance`.",
        sort=True,
    )
    hostname: str | None = column(COLUMNS.hostname, "The host that is backed up.", sort=True)
    backup_name: str | None = column(COLUMNS.backup_name, "The backups' name.", sort=True)
    container: str | None = column(
        COLUMNS.container, "The container or folder that holds the data.", sort=True
    )
    storage: str | None = column(COLUMNS.storage, "The storage of the data.", sort=True)
    target: str | None = column(
        COLUMNS.target, "The server of an `ssh` storage, and its port; agents tell no other."
    )
    engine: str | None = column(
        COLUMNS.engine, "The engine in whose folder the data are: `rsync` for `rsyncv2`, too."
    )
    resource: strawberry.ID | None = column(
        COLUMNS.resource, "The id of the instance, image or volume that is backed up."
    )
    restorability: Restorability = column(
        COLUMNS.restorability, "The verdict on the newest backup.", sort=True
    )
    newest_backup_at: datetime | None = column(
        series.NEWEST_AT, "The time of the newest backup.", sort=COLUMNS.newest_time
    )
    health = health.health("Series", "series_id")
    newest_restore_point_at: datetime | None = column(
        protection.NEWEST_OF_SERIES,
        "The time of the newest backup that can be restored; null for none.",
        sort=protection.NEWEST_OF_SERIES,
        compared=protection.NEWEST_OF_SERIES,
    )
    recovery_objective: int | None = column(
        protection.OBJECTIVE_OF_SERIES,
        "The seconds that its newest restore point may be old: its own objective, else the "
        "project's; null if there is none.",
    )
    last_tested_at: datetime | None = column(
        series.LAST_TESTED,
        "The end of the last restore that was marked as a test, and succeeded; null if there is "
        "none, or its job was deleted.",
        is_filtered=False,
    )

    restore_points = connection(
        "backups.Backup",
        series.RESTORE_POINTS,
        backups.search,
        "The moments that it may be restored to: the backups of which there are data, as far as "
        "the catalogue tells, the newest first, each with its verdict.",
        owner=series.OF_SERIES,
        key="series_id",
    )
    chains = connection(
        "series.Chain",
        series.CHAINS,
        backups.search,
        "Its chains whose full backups are in the catalogue, the newest first.",
        owner=series.OF_SERIES,
        key="series_id",
    )
    backups = connection(
        "backups.Backup",
        backups.COLLECTION,
        backups.search,
        "All its backups.",
        owner=series.OF_SERIES,
        key="series_id",
    )


SeriesWhere = where_input(Series, own={"health": health.FILTER})
SeriesOrder = order_input(Series)


@node(
    series.CHAINS,
    key="chain_id",
    description="A full backup, and all that need it.",
    in_series=backups.COLUMNS.series,
)
class Chain(Node):
    """A view over the row of a chain's full backup."""

    chain_id: strawberry.ID = column(backups.COLUMNS.id, "The id of its full backup in REST.")
    project_id: strawberry.ID = column(backups.COLUMNS.project_id, "The id of its project.")
    started_at: datetime | None = column(
        backups.COLUMNS.chain_time, "The time of its full backup.", sort=True
    )
    state: ChainState = column(series.STATE, "The state of its backups.", is_filtered=False)
    length: int = column(series.LENGTH, "The number of its backups.", is_filtered=False)
    size: BigInt | None = column(
        series.SIZE,
        "The stored bytes of those of its backups of which the agent told a size.",
        is_filtered=False,
    )
    sized: int = column(
        series.SIZED, "The number of its backups of which a size is told.", is_filtered=False
    )

    full = to_one("backups.Backup", backups.COLLECTION, "chain_id", "Its full backup.")
    backups = connection(
        "backups.Backup",
        series.MEMBERS,
        backups.search,
        "Its backups, the full one first.",
        owner=series.OF_OTHER,
        key="chain_id",
    )
    series = to_one("series.Series", COLLECTION, "in_series", "The series that it is of.")


ChainWhere = where_input(Chain)
ChainOrder = order_input(Chain)


@strawberry.type
class Query:
    """The root fields for series."""

    series = connection(
        "series.Series",
        COLLECTION,
        series.search,
        "Series, by host and backup name.",
        as_of=True,
    )
