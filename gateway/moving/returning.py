"""The gateway's rows as freezer-api's: the way back, which the import reads as what they were."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.catalogue.vocabularies import CAPABILITIES
from gateway.db.rows import Row
from gateway.moving import documents
from gateway.moving.entities import SHOWN, TIMES
from gateway.moving.layouts import SourceValues
from gateway.moving.targets import Limit

Limits = Mapping[tuple[str, str], Limit]

_NOT_YET = -1
_INTEGERS = frozenset({"timeout", "priority"})
"""The keys of a `freezer_action` whose columns hold integers."""


def client(row: Row) -> SourceValues:
    """Return a client, whose id there is its uuid: freezer-api changes clients by it."""
    return {
        **_own(row),
        "id": row.uuid,
        "client_id": row.id,
        "uuid": row.uuid,
        "hostname": row.hostname,
        "description": row.description,
        "is_central": int(row.is_central),
        **{name: getattr(row, name) for name in CAPABILITIES},
    }


def session(row: Row) -> SourceValues:
    """Return a session."""
    names = ("session_tag", "description", "hold_off", "schedule", "status", "result")
    return {
        **_own(row),
        **{name: getattr(row, name) for name in names},
        "job": row.job_states,
        **{name: _NOT_YET if (at := getattr(row, name)) is None else at for name in TIMES},
    }


def action(row: Row) -> SourceValues:
    """Return an action: freezer-api shows some keys of its document from columns."""
    document, _ = documents.read_object(row.freezer_action, "'freezer_action'")
    shown = {column: _column(key, document.get(key)) for key, column in SHOWN.items()}
    # It can't be null.
    shown["action"] = shown["action"] or ""
    return {
        **_own(row),
        **shown,
        "max_retries": row.max_retries,
        "max_retries_interval": row.max_retries_interval,
        "mandatory": int(row.mandatory),
        "backup_metadata": row.freezer_action,
    }


def unlike(row: Row, values: SourceValues) -> Sequence[str]:
    """Return the keys of an action's document of which the columns hold something else."""
    document, _ = documents.read_object(row.freezer_action, "'freezer_action'")
    return [
        key
        for key, column in SHOWN.items()
        if (document.get(key), key in document) != (values[column], values[column] is not None)
    ]


def _column(key: str, value: Any) -> Any:
    kind = int if key in _INTEGERS else str
    return value if type(value) is kind else None


def job(row: Row) -> SourceValues:
    """Return a job; its actions and its trust are in other tables."""
    return {
        **_own(row),
        "schedule": row.job_schedule,
        "client_id": row.client_id or "",
        "session_id": row.session_id or "",
        "session_tag": row.session_tag,
        "description": row.description,
    }


def links(job_id: str, action_ids: Sequence[str]) -> Iterator[tuple[str, str, str, int]]:
    """Yield the rows that link a job to its actions, always with the same ids."""
    for position, action_id in enumerate(action_ids):
        yield _id("link", job_id, str(position)), job_id, action_id, position


def trust(row: Row) -> tuple[str, str, str, str] | None:
    """Return the row of a job's trust, always with the same id; None for a job without."""
    if row.user_credentials is None:
        return None
    given = orjson.loads(row.user_credentials)
    own_id = _id("trust", row.id)
    return own_id, given["trust_id"], given.get("trustor_user_id") or "", row.id


def backup(row: Row, limits: Limits) -> SourceValues:
    """Return a backup; the id of its job is left out where the metadata alone has place for it."""
    values = {
        **_own(row),
        "job_id": row.job_id,
        "status": row.status,
        "backup_metadata": row.backup_metadata,
    }
    limit = limits.get(("backups", "job_id"), Limit())
    if limit.forbids(row.job_id) and orjson.loads(row.backup_metadata).get("job_id") == row.job_id:
        values["job_id"] = None
    return values


TRANSLATE: Mapping[str, Callable[[Row, Limits], SourceValues]] = {
    "clients": lambda row, _: client(row),
    "sessions": lambda row, _: session(row),
    "actions": lambda row, _: action(row),
    "jobs": lambda row, _: job(row),
    "backups": backup,
}
"""The functions that make a row of each table."""


def _own(row: Row) -> SourceValues:
    created, updated = moment(row.created_at), moment(row.updated_at)
    return {
        "id": row.id,
        "project_id": row.project_id,
        "user_id": row.user_id,
        "created_at": created,
        "updated_at": None if updated == created else updated,
    }


def moment(time: datetime) -> str:
    """Return a time as freezer-api's databases hold it: in UTC, by the second, cut and not rounded.

    So no time lies in the future.
    """
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _id(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
