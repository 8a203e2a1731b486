"""Restores: what the agent reads for a moment, and the action that makes it read that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.catalogue.vocabularies import MODES
from gateway.chains.places import media_of
from gateway.chains.states import Media
from gateway.chains.vocabularies import Restorability, RestorabilityReason, RestoreWarning

Document = Mapping[str, Any]

_RESOURCES: Mapping[str, Sequence[str]] = {
    "nova": ("nova_inst_id",),
    "glance": ("glance_image_id",),
    "cinder": ("cinder_vol_id",),
    "cinderbrick": ("cinderbrick_vol_id",),
    "cindernative": ("cindernative_vol_id",),
}
"""The options that name what is restored, where it is no path."""
_MODES = {"cinderbrick": "cinder"}
"""The modes of restores that don't have that of their backups: the agent has none for os-brick, and
with that of files it would make an empty folder of the volume's id where it happens to run."""
_ENGINES = {"cinderbrick": "osbrick"}
_OF_STORAGE = ("ssh_host", "ssh_port", "ssh_username", "ssh_key")
_AS_BACKED_UP = ("compression",)
"""The options that must be those of the backup. No option of levels is one: the agent refuses them
without `incremental`."""


@dataclass(frozen=True)
class Member:
    """An available backup of a chain."""

    id: str
    time: int
    level: int
    restorability: str
    reason: str
    has_size: bool


@dataclass(frozen=True)
class Reading:
    """The backups that the agent reads for a moment, as far as that is known."""

    steps: Sequence[Member]
    restorability: Restorability
    reason: RestorabilityReason
    warnings: Sequence[RestoreWarning]


def read(members: Sequence[Member], at: int, media: Media, storage: str) -> Reading:
    """Return what a restore to a moment reads of the chain that the agent chooses for it.

    The agent first chooses a backup of each level, and then forgets those that are newer.
    """
    levels: dict[int, list[Member]] = {}
    for member in sorted(members, key=lambda one: (one.time, one.id)):
        levels.setdefault(member.level, []).append(member)
    doubled = [same for same in levels.values() if len({one.time for one in same}) > 1]
    # Where all of a level are newer than the moment, it doesn't matter which of them is seen.
    is_certain = media.is_sorted or all(same[0].time > at for same in doubled)
    seen = {
        level: same[-1] if is_certain else next((o for o in same[::-1] if o.time <= at), same[-1])
        for level, same in levels.items()
    }
    shown = {level: one for level, one in seen.items() if one.time <= at}
    steps: list[Member] = []
    for level in range(max(shown, default=-1) + 1):
        if level not in shown:
            break
        steps.append(shown[level])
    newest = max((one for one in members if one.time <= at), key=lambda one: one.time, default=None)
    if len(steps) <= max(shown, default=-1) or not steps:
        verdict = Restorability.BROKEN, RestorabilityReason.MISSING_LEVEL
    elif not is_certain:
        verdict = Restorability.UNKNOWN, RestorabilityReason.LISTING_ORDER
    else:
        last = steps[-1]
        verdict = Restorability(last.restorability), RestorabilityReason(last.reason)
    warnings = {
        RestoreWarning.LEVELS_DERIVED: verdict[1] == RestorabilityReason.LEVELS_DERIVED,
        RestoreWarning.SAME_LEVEL_TWICE: bool(doubled),
        RestoreWarning.OLDER_BACKUP_READ: bool(
            steps and newest and newest.time > steps[-1].time and is_certain
        ),
        RestoreWarning.FTP_NEVER_ENDS: storage in {"ftp", "ftps"},
        RestoreWarning.NO_SIZE: not all(one.has_size for one in steps),
    }
    return Reading(steps, *verdict, [warning for warning, holds in warnings.items() if holds])


def action(row: Any, metadata: Document, date: int, *, path: str | None, overwrite: bool) -> Any:
    """Return the `freezer_action` that restores a backup, as the agent of its mode takes it.

    `date` chooses it: its own time or later, and earlier than the next one's. `path` is where files
    go, by default where they came from.
    """
    media = media_of(metadata, row.mode)
    made: dict[str, Any] = {
        "action": "restore",
        "mode": _MODES.get(media, row.mode if row.mode in MODES else "fs"),
        "backup_name": row.backup_name,
        "hostname": row.hostname,
        "container": row.container,
        "restore_from_date": agents_date(date),
    }
    if media == "cindernative":
        # By its id: by date, the agent takes the newest one where it finds none.
        made["cindernative_backup_id"] = metadata.get("cinder_backup_id")
        del made["restore_from_date"]
    else:
        engine = row.engine or _ENGINES.get(media, "tar")
        made |= {"storage": row.storage or "swift", "engine_name": engine}
        made |= {key: metadata.get(key) for key in (*_OF_STORAGE, *_AS_BACKED_UP)}
        if made["storage"] != "ssh":
            made = {key: value for key, value in made.items() if key not in _OF_STORAGE}
    if media in _RESOURCES:
        made |= {key: metadata.get(key) for key in _RESOURCES[media]}
    else:
        made["restore_abs_path"] = path or metadata.get("path_to_backup")
        if overwrite:
            made["overwrite"] = True
    return {key: value for key, value in made.items() if value is not None and value != ""}


def agents_date(seconds: int) -> str:
    """Return a time as the agent reads one: ISO 8601 without an offset is in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
