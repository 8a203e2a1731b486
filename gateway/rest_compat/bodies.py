"""The bodies of REST v2, checked and parsed into the resolvers' drafts and changes.

Every function takes the body's object, and raises BadInput naming the key at fault.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.catalogue import schedules
from gateway.catalogue.checks import (
    boolean,
    check_keys,
    client_identifier,
    identifier,
    integer,
    mapping,
    one_of,
    optional,
    sequence,
    string,
)
from gateway.catalogue.projections import FREEZER_ACTION
from gateway.catalogue.tables import Action, Backup, Job, Session, default_of, null_as_default
from gateway.catalogue.vocabularies import (
    CAPABILITIES,
    SESSION_STATUSES,
    BackupStatus,
    JobEvent,
    JobResult,
)
from gateway.context import Context
from gateway.errors import BadInput, shown
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.resolvers.sessions import SessionDraft
from gateway.rest_compat.documents import without_nulls

Body = dict[str, Any]
Check = Callable[[str, object], object]

EVENTS = (JobEvent.START, JobEvent.STOP, JobEvent.ABORT)


def ignored(_key: str, value: object) -> object:
    """Return any value: the gateway sets this key, and ignores the one sent."""
    return value


def unless_empty(check_one: Check) -> Check:
    """Return the check with null and the empty string let through, both as null."""
    return lambda key, value: None if value is None or value == "" else check_one(key, value)


def hostname(key: str, value: object) -> str:
    """Return a host's name: as in freezer-api, any text with a letter or digit in it.

    Raises BadInput.
    """
    if not re.search(r"[a-zA-Z\d]", string(key, value), re.ASCII):
        raise BadInput(f"'{key}': {shown(value)} is not a host name", field=key)
    return str(value)


def status(key: str, value: object) -> object:
    """Return a backup's status. Raises BadInput for an unknown one."""
    return one_of(list(BackupStatus))(key, value)


def session_tag(key: str, value: object) -> object:
    """Return a session's tag: an integer, or digits in a string, as freezerclient sends it.

    Raises BadInput.
    """
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        return value
    return integer(key, value)


_JOB: dict[str, Check] = {
    "job_actions": sequence,
    "job_schedule": mapping,
    "client_id": unless_empty(client_identifier),
    "session_id": unless_empty(identifier),
    "session_tag": integer,
    "session_name": optional(string),
    "project_id": ignored,
    "description": optional(string),
    "action_defaults": mapping,
    "_version": integer,
}
"""The keys that new and changed jobs have in common; unknown keys are refused."""

_NEW_JOB = _JOB | {
    "job_id": identifier,
    "user_id": ignored,
    "user_credentials": optional(mapping),
}
_CHANGED_JOB = {key: optional(one) for key, one in _JOB.items()} | {
    "job_actions": sequence,
    "job_id": ignored,
    "user_id": ignored,
    "user_credentials": ignored,
}

_ENTRY: dict[str, Check] = {
    "action_id": optional(string),
    "freezer_action": optional(mapping),
    "max_retries": optional(integer),
    "max_retries_interval": optional(integer),
    "mandatory": optional(boolean),
}
"""The keys of an action in a job that are checked; any other is dropped."""

_ACTION = _ENTRY | {"action_id": unless_empty(identifier), "freezer_action": mapping}

_CLIENT: Mapping[str, Check] = {
    "client_id": client_identifier,
    "hostname": optional(hostname),
    "description": optional(string),
    "uuid": string,
    "is_central": boolean,
    **dict.fromkeys(CAPABILITIES, sequence),
}

_SESSION_RUN: dict[str, Check] = {
    "status": one_of(["", *SESSION_STATUSES]),
    "result": one_of(["", *JobResult]),
    "time_start": integer,
    "time_end": integer,
    "time_started": integer,
    "time_ended": integer,
}
"""The keys about a session's run."""

_SESSION: dict[str, Check] = {
    "schedule": optional(mapping),
    "description": optional(string),
    "hold_off": optional(integer),
    "session_tag": optional(integer),
    **{key: optional(one) for key, one in _SESSION_RUN.items()},
}
"""The keys of a session that are checked; any other is dropped."""

_SESSION_COLUMNS = ("description", "hold_off", "session_tag")
"""The columns of a session that a body names as they are named."""

_SESSION_ACTIONS: dict[str, dict[str, Check]] = {
    "start": {"job_id": string, "current_tag": session_tag},
    "end": {"job_id": string, "result": one_of(list(JobResult))},
}

_CREDENTIALS: dict[str, Check] = {"trust_id": string, "trustor_user_id": string}


_BACKUP_IDS = ("job_id", "client_id", "backup_uuid")
"""The keys of a backup's metadata that are shown beside it as well."""


def backup_draft(body: Body) -> BackupDraft:
    """Return the draft of a backup: the body is its metadata, and its status.

    A backup as it is shown, with its metadata in a key of its own, is taken as well.
    """
    metadata = dict(_not_empty(body))
    status = metadata.pop("status", default_of(Backup, "status"))
    if "backup_name" in body or not isinstance(body.get("backup_metadata"), dict):
        return BackupDraft(metadata, status=status)
    ids = {key: body.get(key) for key in _BACKUP_IDS}
    check_keys(ids, dict.fromkeys(_BACKUP_IDS, optional(string)))
    return BackupDraft(body["backup_metadata"], status=status, **ids)


def backup_changes(body: Body) -> dict[str, Any]:
    """Return a backup's changes: its status, and its metadata, in a key of its own or flat."""
    checks = {"status": status, "backup_metadata": mapping}
    check_keys(_not_empty(body), checks)
    changes: dict[str, Any] = {"status": body["status"]} if "status" in body else {}
    ignored = {*checks, "backup_id", "user_id", "project_id"}
    if "backup_metadata" in body:
        # A whole document sent back: its user_name is not part of the metadata, nor are ids that
        # it has of a job.
        ignored |= {"user_name", *_BACKUP_IDS}
        if ids := {key: body[key] for key in _BACKUP_IDS if key in body}:
            check_keys(ids, dict.fromkeys(_BACKUP_IDS, optional(string)))
            changes["ids"] = ids
    metadata = {key: value for key, value in body.items() if key not in ignored}
    metadata |= body.get("backup_metadata", {})
    return changes | {"metadata": metadata} if metadata else changes


def job_draft(ctx: Context, body: Body) -> JobDraft:
    """Return the draft of a new job, or of one that replaces another. Raises BadInput."""
    if "job_actions" not in body:
        raise BadInput("'job_actions' is a required property", field="job_actions")
    check_keys(body, _NEW_JOB, closed="job")
    check_keys(body.get("user_credentials") or {}, _CREDENTIALS)
    _check_project(ctx, body)
    return JobDraft(
        actions=_entries(ctx, body["job_actions"]),
        description=body.get("description") or default_of(Job, "description"),
        client_id=body.get("client_id"),
        schedule=body.get("job_schedule", {}),
        action_defaults=body.get("action_defaults", {}),
        job_id=body.get("job_id"),
        session_id=body.get("session_id"),
        session_tag=body.get("session_tag", default_of(Job, "session_tag")),
        user_credentials=body.get("user_credentials"),
    )


def job_changes(ctx: Context, body: Body) -> dict[str, Any]:
    """Return a job's changes; its owner is not among them. Raises BadInput."""
    check_keys(body, _CHANGED_JOB, closed="job")
    _check_project(ctx, body)
    changes = null_as_default(Job, body, "description", "client_id", "session_id", "session_tag")
    if "job_schedule" in body:
        # Null for the whole schedule is null for each of its keys.
        schedule = (
            dict.fromkeys(schedules.CHECKS) if (sent := body["job_schedule"]) is None else sent
        )
        _check_patch(schedule, schedules.CHECKS, closed="job_schedule")
        changes["schedule"] = schedule
    if "job_actions" in body:
        drafts = changes["actions"] = _entries(ctx, body["job_actions"])
        for draft in drafts:
            draft.fill_in(body.get("action_defaults") or {})
    return changes


def action_draft(ctx: Context, body: Body) -> ActionDraft:
    """Return the draft of a new action, or of one that replaces another. Raises BadInput."""
    check_keys(_not_empty(body), _ACTION)
    draft = _action(ctx, body)
    _check_new(draft)
    return draft


def action_changes(body: Body) -> dict[str, Any]:
    """Return an action's changes; null gives a column its default. Raises BadInput."""
    check_keys(body, _ACTION)
    changes = null_as_default(Action, body, "max_retries", "max_retries_interval", "mandatory")
    if "freezer_action" in body:
        _check_patch(body["freezer_action"], FREEZER_ACTION)
        changes["freezer_action"] = body["freezer_action"]
    return changes


def client_draft(body: Body) -> ClientDraft:
    """Return the draft of a client; unknown keys are dropped. Raises BadInput."""
    if "client_id" not in _not_empty(body):
        raise BadInput("'client_id' is a required property", field="client_id")
    check_keys(body, _CLIENT)
    return ClientDraft(**{key: body[key] for key in _CLIENT if key in body})


def session_draft(body: Body, *, replaces: bool = False) -> SessionDraft:
    """Return the draft of a session; one that replaces another needs its tag. Raises BadInput."""
    check_keys(_not_empty(body), _SESSION)
    for key in ("schedule", "session_tag") if replaces else ("schedule",):
        if body.get(key) is None:
            raise BadInput(f"'{key}' is a required property", field=key)
    check_keys(body["schedule"], schedules.CHECKS, closed="schedule")
    run = {key: _null_if_unset(body[key]) for key in _SESSION_RUN if key in body}
    if not replaces:
        # A new session is active; clients that copy one send the status of the original.
        run.pop("status", None)
    given = null_as_default(Session, body, *_SESSION_COLUMNS)
    return SessionDraft(schedule=body["schedule"], **given, run=run)


def session_changes(body: Body) -> dict[str, Any]:
    """Return a session's changes; null gives a column its default. Raises BadInput."""
    check_keys(body, _SESSION)
    changes = null_as_default(Session, body, *_SESSION_COLUMNS)
    changes |= {key: _null_if_unset(body[key]) for key in _SESSION_RUN if key in body}
    if "schedule" in body:
        # As in a job: null for the whole schedule is null for each of its keys.
        schedule = dict.fromkeys(schedules.CHECKS) if (sent := body["schedule"]) is None else sent
        _check_patch(schedule, schedules.CHECKS, closed="schedule")
        changes["schedule"] = schedule
    return changes


def session_action(body: Body) -> tuple[str, Body]:
    """Return the name of an action on a session, the body's first key, and its parameters.

    Raises BadInput for missing or malformed parameters. Unknown names are the endpoint's to refuse.
    """
    if not body:
        raise BadInput("Bad action request format: the body must be an object with one key")
    name, parameters = next(iter(body.items()))
    if name not in _SESSION_ACTIONS:
        return name, {}
    keys = _SESSION_ACTIONS[name]
    check_keys(mapping(name, parameters), keys)
    for key in keys:
        if key not in parameters:
            raise BadInput(f"'{key}' is a required property", field=key)
    return name, parameters


def _null_if_unset(value: Any) -> Any:
    return None if value in schedules.EMPTY else value


def event(body: Body) -> JobEvent:
    """Return the requested event, the body's first key. Raises BadInput for an unknown one."""
    if not body:
        raise BadInput("Bad event request format: the body must be an object with one key")
    name = next(iter(body))
    if name not in EVENTS:
        words = ", ".join(f"'{word}'" for word in EVENTS)
        raise BadInput(f"Bad Action Method: {shown(name)} is not one of {words}", field=name)
    return JobEvent(name)


def _not_empty(body: Body) -> Body:
    if not body:
        raise BadInput("Missing request body")
    return body


def _check_project(ctx: Context, body: Body) -> None:
    if body.get("project_id", ctx.project_id) != ctx.project_id:
        raise BadInput(
            f"'project_id': {shown(body['project_id'])} is not the project of the path, "
            f"'{ctx.project_id}'",
            field="project_id",
        )


def _check_patch(patch: Body, keys: Mapping[str, Check], *, closed: str | None = None) -> None:
    """Check the keys of a merge patch, in which null removes a key. Raises BadInput."""
    check_keys(patch, {key: optional(one) for key, one in keys.items()}, closed=closed)


def _entries(ctx: Context, entries: list[Any]) -> list[ActionDraft]:
    drafts = []
    for position, entry in enumerate(entries):
        check_keys(mapping(f"job_actions[{position}]", entry), _ENTRY)
        draft = _action(ctx, entry)
        if not draft.action_id:
            _check_new(draft)
        # The definition of one that exists is compared with it, and may have old faults.
        drafts.append(draft)
    return drafts


def _check_new(draft: ActionDraft) -> None:
    if draft.freezer_action is None:
        raise BadInput("'freezer_action' is a required property", field="freezer_action")
    check_keys(draft.freezer_action, FREEZER_ACTION)


def _action(ctx: Context, body: Body) -> ActionDraft:
    definition = body.get("freezer_action")
    if ctx.dialect == "freezer-19" and isinstance(definition, dict):
        definition = without_nulls(definition)
    return ActionDraft(
        freezer_action=definition,
        action_id=body.get("action_id") or None,
        max_retries=body.get("max_retries"),
        max_retries_interval=body.get("max_retries_interval"),
        mandatory=body.get("mandatory"),
    )
