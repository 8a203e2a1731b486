"""The translation of backups, with their places in series: there are very many of them."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from gateway.catalogue import derivations, projections
from gateway.catalogue.tables import Backup
from gateway.catalogue.vocabularies import BackupStatus
from gateway.chains import policies
from gateway.chains.places import place_of
from gateway.chains.policies import Policy
from gateway.moving.known import Known
from gateway.moving.reports import Outcome, Reason
from gateway.moving.translation import MAX_BYTES, Item, Reading

_IDS = ("job_id", "client_id", "backup_uuid")
_NAMES = ("backup_name", "hostname", "container", "action", "mode", "storage", "engine")
_STATUSES = frozenset(BackupStatus)
_LEVELS = ("max_level", "always_level", "mode")
_SHORT = MAX_BYTES // 4
"""The characters that always fit."""


@dataclass
class Backups:
    """Translates backups, and keeps what many of them have in common."""

    known: Known
    _policies: dict[tuple[str, int, str], str | None] = field(default_factory=dict)

    def translate(self, reading: Reading) -> Item:
        """Return a backup. Raises Refused."""
        row, values = reading.row, reading.owned()
        project_id = values["project_id"]
        metadata, text = reading.document_and_text("backup_metadata", default="null")
        status = reading.text("status") or BackupStatus.AVAILABLE.value
        if status not in _STATUSES:
            reading.word("status", status, list(BackupStatus))
        columns = projections.backup_columns(metadata, status)
        if not columns["backup_name"]:
            reading.remark(Outcome.KEPT, Reason.NO_VALUE, "it has no 'backup_name'")
        job_id = columns.get("job_id") or reading.text("job_id") or None
        client_id, known = self.known.client_and_policy(project_id, job_id, metadata)
        columns["job_id"] = job_id
        # An export tells of both; freezer-api knows of neither.
        columns["client_id"] = columns.get("client_id") or row.get("client_id") or client_id
        columns["backup_uuid"] = columns.get("backup_uuid") or row.get("backup_uuid")
        self._bound(reading, columns)
        values |= columns
        values["user_name"] = reading.text("user_name")
        values["backup_metadata"] = text
        place = place_of(SimpleNamespace(**columns), metadata)
        values["series"] = place.id
        values["policy"] = self._policy(place.media, metadata, known)
        values["derived_version"] = 0
        values |= derivations.derived(Backup, values)
        return Item("backups", project_id, values["id"], values, place=place)

    def _policy(self, media: str, metadata: dict[str, Any], known: Policy | None) -> str | None:
        """Return the policy that a backup was made by, as it is stored."""
        # All that a policy is made of; as texts, since JSON's true is no 1.
        key = media, id(known), repr([metadata.get(name) for name in _LEVELS])
        if key not in self._policies:
            policy = policies.of_backup(media, metadata, known)
            self._policies[key] = None if policy is None else policy.dump()
        return self._policies[key]

    def _bound(self, reading: Reading, columns: dict[str, Any]) -> None:
        """Shorten the names that no index takes, and drop such ids: nothing has them."""
        for name in _NAMES:
            value = columns[name]
            if value is not None and len(value) > _SHORT:
                columns[name] = reading.short(name, value)
        for name in _IDS:
            value = columns[name]
            if value is not None and len(value) > _SHORT and len(value.encode()) > MAX_BYTES:
                columns[name] = None
                reading.remark(
                    Outcome.ALTERED, Reason.TOO_LONG, f"'{name}' is no id, only in the metadata"
                )
