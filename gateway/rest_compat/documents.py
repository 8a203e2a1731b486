"""The documents of REST v2: the column behind each key, in both dialects."""

from typing import Any

import orjson

from gateway.catalogue.vocabularies import CAPABILITIES
from gateway.resolvers import actions, backups, clients, job_columns, jobs, sessions
from gateway.rest_compat.representations import (
    Document,
    Formatted,
    Nested,
    Representation,
    Resource,
    omit_if_null,
)


def empty_if_null(value: Any) -> Any:
    """Return the value, or an empty string for null."""
    return "" if value is None else value


def minus_one_if_null(time: int | None) -> int:
    """Return the time, or freezer-api's -1 for one that hasn't come."""
    return -1 if time is None else time


_ALWAYS = (
    "backup_name",
    "action",
    "mode",
    "container",
    "timeout",
    "priority",
    "path_to_backup",
    "log_file",
)


def with_nulls(text: str) -> Any:
    """Return a parsed `freezer_action` as freezer-api 19 does, with null for missing keys."""
    document = orjson.loads(text)
    return document | {key: None for key in _ALWAYS if key not in document}


def without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    """Return a `freezer_action` without the nulls that `with_nulls` shows."""
    return {
        key: value for key, value in document.items() if value is not None or key not in _ALWAYS
    }


_A, _B, _C, _J, _S = (module.COLUMNS for module in (actions, backups, clients, jobs, sessions))

# In the dialect "documented", keys stand as in the published examples, the additions after them.

BACKUP = Document(
    {
        "backup_id": _B.id,
        "user_id": _B.user_id,
        "job_id": _B.job_id,
        "backup_metadata": _B.backup_metadata,
        "client_id": _B.client_id,
        "backup_uuid": _B.backup_uuid,
        "user_name": _B.user_name,
        "project_id": _B.project_id,
        "status": _B.status,
    }
)

ACTION_OF_JOB = Document(
    {
        "freezer_action": _A.freezer_action,
        "max_retries": _A.max_retries,
        "max_retries_interval": _A.max_retries_interval,
        "user_id": _A.user_id,
        "action_id": _A.id,
        "project_id": _A.project_id,
        "mandatory": _A.mandatory,
    }
)

JOB = Document(
    {
        "user_id": _J.user_id,
        "description": _J.description,
        "job_schedule": _J.job_schedule,
        "client_id": _J.client_id,
        "project_id": _J.project_id,
        "job_actions": Nested(ACTION_OF_JOB),
        "job_id": _J.id,
        "session_id": Formatted(_J.session_id, empty_if_null),
        "session_tag": _J.session_tag,
        "user_credentials": Formatted(_J.user_credentials, omit_if_null),
    }
)

ACTION = Document(
    {
        "project_id": _A.project_id,
        "user_id": _A.user_id,
        "timeout": _A.timeout,
        "max_retries_interval": _A.max_retries_interval,
        "max_retries": _A.max_retries,
        "action_id": _A.id,
        "mandatory": _A.mandatory,
        "freezer_action": _A.freezer_action,
    }
)

CLIENT = Document(
    {
        "project_id": _C.project_id,
        "user_id": _C.user_id,
        "client": Document(
            {
                "uuid": _C.uuid,
                "hostname": _C.hostname,
                "client_id": _C.id,
                "is_central": _C.is_central,
                "description": _C.description,
                **{key: _C[key] for key in CAPABILITIES},
            }
        ),
    }
)

SESSION = Document(
    {
        "project_id": _S.project_id,
        "session_id": _S.id,
        "user_id": _S.user_id,
        "description": _S.description,
        "session_tag": _S.session_tag,
        "result": _S.result,
        "hold_off": _S.hold_off,
        "status": _S.status,
        **{
            key: Formatted(_S[key], minus_one_if_null)
            for key in ("time_ended", "time_started", "time_end", "time_start")
        },
        "schedule": _S.schedule,
        "jobs": _S.job_states,
    }
)

# In the dialect "freezer-19" there is nothing but freezer-api's keys, in its order.

_NULLS = Formatted(_A.freezer_action, with_nulls)
_ACTION_19 = ("project_id", "action_id", "user_id", "max_retries", "max_retries_interval")
_ACTION_OF_JOB_19 = ACTION_OF_JOB.only(*_ACTION_19, "freezer_action", freezer_action=_NULLS)
_JOB_19 = JOB.only(
    "job_id",
    "project_id",
    "user_id",
    "job_schedule",
    "client_id",
    "session_id",
    "session_tag",
    "description",
    "job_actions",
    "user_credentials",
    # freezer-api knows no job without a client, and freezer-web-ui fails at null.
    client_id=Formatted(_J.client_id, empty_if_null),
    job_actions=Nested(_ACTION_OF_JOB_19),
)

# Only an admin or a service is shown the process of another project's client that runs a job.
_SCHEDULE = job_columns.SCHEDULE.label("job_schedule")
_MEMBERS = JOB.only(*JOB.keys, job_schedule=_SCHEDULE)
_MEMBERS_19 = _JOB_19.only(*_JOB_19.keys, job_schedule=_SCHEDULE)

BACKUPS = Resource(
    name="backups",
    id="backup_id",
    collection=backups.COLLECTION,
    dialects={
        "documented": Representation(BACKUP, BACKUP),
        "freezer-19": Representation(
            BACKUP.only("project_id", "backup_id", "user_id", "status", "backup_metadata"),
            BACKUP.only("project_id", "user_id", "backup_id", "status", "backup_metadata"),
        ),
    },
    searchable=BACKUP.searchable(),
    open_documents=(_B.backup_metadata,),
    projected=frozenset({"job_id", "client_id", "backup_uuid"}),
    search=backups.search,
    time=_B.time_stamp,
)

JOBS = Resource(
    name="jobs",
    id="job_id",
    collection=jobs.COLLECTION,
    dialects={
        "documented": Representation(JOB, JOB),
        "freezer-19": Representation(_JOB_19, _JOB_19),
    },
    members={
        "documented": Representation(_MEMBERS, _MEMBERS),
        "freezer-19": Representation(_MEMBERS_19, _MEMBERS_19),
    },
    searchable={key: c for key, c in JOB.searchable().items() if key != "user_credentials"}
    | {"status": _J.status, "event": _J.event, "result": _J.result},
    open_documents=(_J.job_schedule,),
    members_documents=(job_columns.SCHEDULE,),
    credentials=_J.user_credentials,
    projected=frozenset({"status", "event", "result"}),
    search=jobs.search,
    time=_J.time_created,
    null_as_empty=frozenset({"client_id", "session_id", "status", "event", "result"}),
    action_columns=ACTION_OF_JOB.searchable(),
    filled={"freezer-19": _ALWAYS},
)

ACTIONS = Resource(
    name="actions",
    id="action_id",
    collection=actions.COLLECTION,
    dialects={
        "documented": Representation(ACTION, ACTION),
        "freezer-19": Representation(
            _ACTION_OF_JOB_19,
            ACTION.only(*ACTION.keys, freezer_action=_NULLS),
        ),
    },
    searchable=ACTION.searchable(),
    open_documents=(_A.freezer_action,),
    search=actions.search,
)

CLIENTS = Resource(
    name="clients",
    id="client_id",
    collection=clients.COLLECTION,
    dialects=dict.fromkeys(("documented", "freezer-19"), Representation(CLIENT, CLIENT)),
    searchable=CLIENT.searchable(),
    open_documents=(),
    search=clients.search,
)

SESSIONS = Resource(
    name="sessions",
    id="session_id",
    collection=sessions.COLLECTION,
    dialects=dict.fromkeys(("documented", "freezer-19"), Representation(SESSION, SESSION)),
    searchable=SESSION.searchable(),
    open_documents=(_S.schedule, _S.job_states),
    search=sessions.search,
    time=_S.time_start,
    null_as_empty=frozenset({"status", "result"}),
)
