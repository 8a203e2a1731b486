"""The metadata of backups, as freezer-agent tells it, and its scheduler the catalogue."""

from collections.abc import Mapping
from typing import Any

_OPENSTACK = {"cinder", "cindernative", "nova", "glance"}
_BRICK = "cinderbrick_vol_id"
_RESOURCES = ("nova_inst_id", "cinder_vol_id", "cindernative_vol_id", "glance_image_id", _BRICK)


def metadata(
    action: Mapping[str, Any], hostname: str, time_stamp: int, level: int, client_os: str = "linux"
) -> dict[str, Any]:
    """Return the metadata of a backup that this action (`freezer_action`) has made.

    The time is in epoch seconds. Sizes and the job are for the caller to add: most agents of
    release 19 tell none.
    """
    mode, path = action.get("mode") or "fs", action.get("path_to_backup", "")
    media = "cinderbrick" if _BRICK in action else mode if mode in _OPENSTACK else "fs"
    return {
        "ssh_port": 22,
        "curr_backup_level": level,
        "backup_name": action.get("backup_name", ""),
        "container": action.get("container", ""),
        "compression": action.get("compression", "gzip"),
        "dry_run": "",
        "hostname": hostname,
        "storage": action.get("storage", ""),
        "vol_snap_path": path,
        "os_auth_version": "",
        "client_os": client_os,
        "time_stamp": time_stamp,
        "container_segments": "",
        "ssh_username": action.get("ssh_username", ""),
        "path_to_backup": path,
        "ssh_key": action.get("ssh_key", ""),
        "proxy": "",
        "always_level": action.get("always_level", ""),
        "max_level": action.get("max_level", ""),
        "backup_media": media,
        "ssh_host": action.get("ssh_host", ""),
        "mode": mode,
        "fs_real_path": path,
        "action": "backup",
        "client_version": "19.0.0",
        "log_file": action.get("log_file", ""),
        "engine_name": action.get("engine_name", ""),
        **{key: action[key] for key in _RESOURCES if key in action},
    }
