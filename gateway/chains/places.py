"""Series: the backups that one restore chooses from, and how they are told from others.

The agent keeps a backup under its storage, container, engine, and the name made of host and backup
name; for instances and images, a resource's id follows. Cinder's volumes have their own places.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import orjson

from gateway.chains.states import SORTED, Media

Document = Mapping[str, Any]

OWN_MEDIA = frozenset({"nova", "cinder", "cindernative", "cinderbrick", "glance"})
"""The media, beside files, that a mode may be."""
_RESOURCES = {
    "nova": "nova_inst_id",
    "glance": "glance_image_id",
    "cinder": "cinder_vol_id",
    "cindernative": "cindernative_vol_id",
}
_FOLDERS = {"rsyncv2": "rsync"}
"""The engines that keep their backups in another one's folder."""


_MEANS = {
    "cinder": ("cinder_vol_id", "cinder_vol_name"),
    "cindernative": ("cindernative_vol_id", "cindernative_backup_id"),
    "nova": ("nova_inst_id", "project_id", "nova_inst_name"),
    "glance": (
        *("glance_image_id", "project_id"),
        *("glance_image_name", "glance_image_name_filter"),
    ),
    "cinderbrick": ("cinderbrick_vol_id",),
}
"""The options by which the agent knows the media, in this order; the first has the id."""
_FILE_MODES = ("fs", "mongo", "mysql", "sqlserver")
_NAMES = ("engine_name", "hostname", "storage", "container", "backup_name")
_FIELD = re.compile(r"\{(mode|backup_media|storage|container|project_id|resource_id)\}")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a series: all backups that have it are of the same series."""

    media: str
    storage: str
    target: str
    """The server of an ssh storage; the agent tells none of others."""
    container: str
    engine: str
    hostname: str
    backup_name: str
    resource: str
    """The id of the instance, image or volume; empty for none."""

    id: str = field(init=False, repr=False, compare=False)
    """The id of the series: 32 hexadecimal characters, the same in any catalogue."""

    def __post_init__(self) -> None:
        """Work out the id, once."""
        # The agent joins the two names like this: other two may be the same one.
        name = f"{self.hostname}_{self.backup_name}"
        text = orjson.dumps(
            [
                self.media,
                self.storage,
                self.target,
                self.container,
                self.engine,
                name,
                self.resource,
            ]
        )
        series = hashlib.blake2b(text, digest_size=16).hexdigest()
        object.__setattr__(self, "id", series)

    def rules(self, *, is_told: bool) -> Media:
        """Return what the rules of the series depend on."""
        is_incremental = self.media not in {"nova", "glance", "cinder", "cindernative"}
        return Media(
            self.media,
            self.storage in SORTED,
            self.storage == "local",
            is_told and is_incremental,
        )


def of_action(action: Document, hostname: str) -> list[Place]:
    """Return the places in which an action of files, a volume or an instance looks for backups.

    None are returned of an action for all of a project, or for what has a name of somebody's: their
    ids aren't told. `hostname` is that of the host that runs it. There are several where the name
    of the backups has that of their mode in it: they share a folder.
    """
    media = _media_of_action(action)
    if media is None or any(isinstance(action.get(key), (dict, list)) for key in _NAMES):
        return []
    row = SimpleNamespace(
        mode=None,
        engine=_text(action, "engine_name"),
        hostname=_text(action, "hostname") or hostname,
        storage=_text(action, "storage"),
        container=_text(action, "container") or "freezer_backups",
    )
    places = []
    for mode in _FILE_MODES if media == "fs" else (media,):
        row.backup_name = _name(action, media, mode, row)
        place = place_of(row, {**action, "backup_media": media})
        if place not in places:
            places.append(place)
    return places


def _media_of_action(action: Document) -> str | None:
    """Return the agent's `backup_media` of an action; None if it stands for several series."""
    for medium in ("cinder", "cindernative", "nova", "glance", "cinderbrick"):
        keys = [key for key in _MEANS[medium] if action.get(key)]
        if keys and medium in {"nova", "glance"} and action.get("engine_name") != medium:
            continue
        if keys:
            return medium if keys == [_MEANS[medium][0]] else None
    return "fs"


def _name(action: Document, media: str, mode: str, row: Any) -> str:
    """Return the name that the catalogue has of an action's backups: the agent fills it in."""
    key = _RESOURCES.get(media)
    fields = {
        "mode": mode,
        "backup_media": media,
        "storage": row.storage or "swift",
        "container": row.container,
        "project_id": _text(action, "project_id"),
        "resource_id": _text(action, key) if key else row.hostname,
    }
    template = _text(action, "backup_name") or "freezer_{mode}_{resource_id}"
    return _FIELD.sub(lambda found: fields[found[1]], template)


def media_of(metadata: Document, mode: str | None) -> str:
    """Return the agent's `backup_media` of a backup."""
    media = metadata.get("backup_media") or mode
    return media if isinstance(media, str) and media in OWN_MEDIA else "fs"


def place_of(row: Any, metadata: Document) -> Place:
    """Return the place of a backup, by its row's columns and its metadata."""
    media = media_of(metadata, row.mode)
    engine = row.engine or "tar"
    resource = _text(metadata, _RESOURCES[media]) if media in _RESOURCES else ""
    hostname, backup_name = row.hostname or "", row.backup_name
    storage, container = row.storage or "swift", row.container or ""
    if media == "cindernative" and resource:
        return _place(media, "cinder", "", "", "", "", "", resource)
    if media == "cinder" and resource:
        # Its folder has neither the host's nor the backup's name.
        engine, hostname, backup_name = "", "", ""
    target = _server(metadata) if storage == "ssh" else ""
    engine = _FOLDERS.get(engine, engine)
    return _place(media, storage, target, container, engine, hostname, backup_name, resource)


@lru_cache(maxsize=1024)
def _place(*parts: str) -> Place:
    """Return the place of these parts: the backups of a series often come one after another."""
    return Place(*parts)


def _server(metadata: Document) -> str:
    host, port = _text(metadata, "ssh_host"), _text(metadata, "ssh_port")
    return f"{host}:{port or 22}" if host else ""


def _text(metadata: Document, key: str) -> str:
    value = metadata.get(key)
    return (
        str(value)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value
        else ""
    )
