"""The translation of clients, sessions, actions and jobs."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gateway.catalogue import derivations, projections
from gateway.catalogue.schedules import EMPTY
from gateway.catalogue.tables import Action, Client, Job, Session
from gateway.catalogue.vocabularies import (
    ACTIONS,
    CAPABILITIES,
    MODES,
    SESSION_STATUSES,
    JobResult,
)
from gateway.moving import documents
from gateway.moving.documents import Unreadable
from gateway.moving.known import Known
from gateway.moving.layouts import SourceValues
from gateway.moving.reports import Outcome, Reason
from gateway.moving.translation import Item, Reading, Refused

MAX_RETRIES, RETRY_SECONDS, HOLD_OFF_SECONDS = 5, 6, 30
"""freezer-api's defaults of columns that it may have written null to."""

SHOWN: Mapping[str, str] = {
    "backup_name": "backup_name",
    "action": "action",
    "mode": "actionmode",
    "container": "container",
    "timeout": "timeout",
    "priority": "priority",
    "path_to_backup": "path_to_backup",
    "log_file": "log_file",
}
"""The keys of a `freezer_action` that freezer-api shows from columns, whatever the document has."""
TIMES = ("time_start", "time_end", "time_started", "time_ended")


def client(reading: Reading, known: Known) -> Item:
    """Return a client. Raises Refused, also for one that another supersedes."""
    row = reading.row
    values = reading.owned()
    if (taken := known.losers.get(row["id"])) is not None:
        raise Refused(
            Reason.DUPLICATE, f"the project has the client twice; '{taken}' was changed last"
        )
    project_id, own_id = values["project_id"], values["id"]
    is_central = bool(row["is_central"])
    if is_central and _is_taken(known, project_id, own_id):
        is_central = False
        reading.remark(
            Outcome.ALTERED,
            Reason.CENTRAL_TAKEN,
            f"another project has a central client '{own_id}': this one serves its own project",
        )
    values |= {
        "uuid": reading.text("uuid") or row["id"],
        "hostname": reading.text("hostname"),
        "description": reading.text("description"),
        "is_central": is_central,
        **{name: _capability(reading, name) for name in CAPABILITIES},
    }
    known.clients.add((project_id, own_id))
    if is_central:
        known.central_ids[own_id] = project_id
    return Item("clients", project_id, own_id, values | derivations.derived(Client, values))


def _is_taken(known: Known, project_id: str, own_id: str) -> bool:
    of_others = (known.central.get(own_id), known.central_ids.get(own_id))
    return any(one not in {None, project_id} for one in of_others)


def _capability(reading: Reading, name: str) -> str:
    """Return the words of a client's capability, as JSON."""
    text = reading.row[name]
    if not text:
        # Before there were capabilities, every client had all of them.
        return documents.dump([] if text == "" else list(CAPABILITIES[name]))
    try:
        value, faults = documents.read(text, f"'{name}'")
    except Unreadable as error:
        value, faults = [], [(error.reason, f"{error.message}: no word")]
    if not isinstance(value, list):
        value, faults = [], [(Reason.NOT_AN_OBJECT, f"'{name}' is no list: no word")]
    for reason, message in faults:
        reading.remark(Outcome.ALTERED, reason, message)
    return documents.dump(value)


def session(reading: Reading, known: Known) -> Item:
    """Return a session, with the states of its jobs. Raises Refused."""
    values = reading.owned()
    schedule = reading.document("schedule")
    reading.check_schedule(schedule)
    values |= {
        "description": reading.text("description") or "",
        "hold_off": reading.number("hold_off", HOLD_OFF_SECONDS),
        "session_tag": reading.number("session_tag", 0),
        "schedule": documents.dump(schedule),
        "job_states": documents.dump(_states(reading)),
        "status": reading.text("status") or None,
        "result": reading.text("result") or None,
        **{name: _time(reading.number(name, None)) for name in TIMES},
    }
    reading.word("status", values["status"], SESSION_STATUSES)
    reading.word("result", values["result"], list(JobResult))
    known.sessions.add((values["project_id"], values["id"]))
    derived = derivations.derived(Session, values)
    return Item("sessions", values["project_id"], values["id"], values | derived)


def _time(seconds: int | None) -> int | None:
    return None if seconds in EMPTY else seconds


def _states(reading: Reading) -> dict[str, Any]:
    """Return the states of a session's jobs: each an object that has a status and a result."""
    if reading.row["job"] in {None, "", "null"}:
        return {}
    try:
        given = reading.document("job")
    except Refused as error:
        reading.remark(Outcome.ALTERED, error.reason, f"{error.message}: no job")
        return {}
    states = {}
    for job_id, state in given.items():
        if not isinstance(state, dict):
            message = f"'job' tells no state of the job '{job_id}'"
            reading.remark(Outcome.ALTERED, Reason.NOT_AN_OBJECT, message)
            state = {}  # noqa: PLW2901 - as if it told nothing
        states[job_id] = state | {key: "" for key in ("status", "result") if key not in state}
    return states


def action(reading: Reading, known: Known) -> Item:
    """Return an action: its document, overlaid by the columns that freezer-api shows of it.

    Raises Refused.
    """
    row = reading.row
    document: dict[str, Any] = {}
    if row["backup_metadata"] not in {None, "", "null"}:
        document = reading.document("backup_metadata")
    for key, column in () if row.get("is_whole") else SHOWN.items():
        value = row[column]
        if value is None:
            document.pop(key, None)
        else:
            document[key] = reading.text(column) if isinstance(value, str) else value
    return _action(reading, known, reading.owned(), document, "actions")


def _action(
    reading: Reading,
    known: Known,
    values: dict[str, Any],
    document: dict[str, Any],
    table: str,
) -> Item:
    """Return the action of a document."""
    row = reading.row
    retries = {"max_retries": MAX_RETRIES, "max_retries_interval": RETRY_SECONDS}
    for name, default in retries.items():
        if row.get(name) is None:
            message = f"'{name}' is null: {default}, as freezer-api has it by default"
            reading.remark(Outcome.ALTERED, Reason.NO_VALUE, message)
            values[name] = default
        else:
            values[name] = reading.number(name, default)
    reading.word("action", document.get("action"), ACTIONS)
    reading.word("mode", document.get("mode"), MODES)
    values |= {
        "freezer_action": documents.dump(document),
        "mandatory": bool(row.get("mandatory")),
        **projections.action_columns(document),
    }
    known.add_action(values["project_id"], values["id"], document)
    derived = derivations.derived(Action, values)
    return Item(table, values["project_id"], values["id"], values | derived)


def job(
    reading: Reading,
    known: Known,
    linked: Sequence[str],
    credentials: tuple[str, str] | None,
) -> Item:
    """Return a job with the links to its actions; those that are missing have been told.

    `credentials` are its trust and the trustor. Raises Refused.
    """
    values = reading.owned()
    project_id, own_id = values["project_id"], values["id"]
    schedule: dict[str, Any] = {}
    if reading.row["schedule"] not in {None, "", '""', "null"}:
        schedule = reading.document("schedule")
    reading.check_schedule(schedule)
    trust, trustor = credentials or (None, None)
    document = {"trust_id": trust, "trustor_user_id": trustor}
    client_id, session_id = reading.text("client_id") or None, reading.text("session_id") or None
    values |= {
        "description": reading.text("description") or "",
        "client_id": client_id,
        "session_id": session_id,
        "session_tag": reading.number("session_tag", 0),
        "user_credentials": documents.dump(document) if trust else None,
        "trust_id": trust or None,
        **projections.job_columns(schedule, documents.dump),
    }
    if client_id and not {(project_id, client_id)} & known.clients:
        _check_central(reading, known, client_id)
    if session_id and (project_id, session_id) not in known.sessions:
        message = f"its session '{session_id}' isn't in the project"
        reading.remark(Outcome.KEPT, Reason.NO_SESSION, message)
    known.add_job(project_id, own_id, client_id, linked)
    derived = derivations.derived(Job, values)
    return Item("jobs", project_id, own_id, values | derived, links=linked)


def _check_central(reading: Reading, known: Known, client_id: str) -> None:
    if client_id not in known.central_ids and client_id not in known.central:
        message = f"its client '{client_id}' isn't registered: no scheduler will run it"
        reading.remark(Outcome.KEPT, Reason.NO_CLIENT, message)


LinkRefused = Callable[[SourceValues, str, Reason, str], None]
"""Is told of a job's row, the id of an action, and why it isn't in the job's list."""


def links(
    row: SourceValues, linked: Sequence[str], known: Known, refuse: LinkRefused
) -> Iterator[str]:
    """Yield those of a job's actions that are in its project; the others are refused."""
    for action_id in linked:
        if (row["project_id"], action_id) in known.actions:
            yield action_id
        else:
            message = f"its action '{action_id}' isn't in the project: freezer-api shows it neither"
            refuse(row, action_id, Reason.NO_ACTION, message)


def inline_actions(
    reading: Reading, known: Known, refuse: LinkRefused
) -> Iterator[tuple[str, Item | None]]:
    """Yield the ids of the actions in a job's own list, with those actions that are only there.

    So freezer-api's schema had them before actions were linked to jobs. Raises Refused.
    """
    row = reading.row
    if not row["job_actions"]:
        return
    try:
        entries, faults = documents.read(row["job_actions"], "'job_actions'")
    except Unreadable as error:
        raise Refused(error.reason, error.message) from None
    for reason, message in faults:
        reading.remark(Outcome.ALTERED, reason, message)
    for position, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        if not isinstance(entry, dict):
            refuse(row, f"[{position}]", Reason.NOT_AN_OBJECT, "an action in the list is no object")
            continue
        action_id = str(entry.get("action_id") or "")
        document = entry.get("freezer_action")
        if (row["project_id"], action_id) in known.actions:
            yield action_id, None
        elif not isinstance(document, dict) or not document:
            message = f"its action '{action_id}' isn't in the project, nor defined in the list"
            refuse(row, action_id or f"[{position}]", Reason.NO_ACTION, message)
        else:
            made = _inline(reading, known, entry, action_id or _new_id(row["id"], position))
            yield made.id, made


def _inline(reading: Reading, known: Known, entry: dict[str, Any], action_id: str) -> Item:
    """Return the action that is defined in a job's list."""
    document = {key: value for key, value in entry["freezer_action"].items() if value is not None}
    owner = entry.get("user_id") or reading.row["user_id"]
    given = {"max_retries": MAX_RETRIES, "max_retries_interval": RETRY_SECONDS}
    given |= {key: entry[key] for key in given if entry.get(key) is not None}
    mandatory = entry.get("mandatory") or document.get("mandatory")
    row = {**reading.row, "id": action_id, "user_id": str(owner), "mandatory": mandatory, **given}
    inner = Reading("inline_actions", row)
    item = _action(inner, known, inner.owned(), document, "inline_actions")
    reading.remarks += inner.remarks
    return item


def _new_id(job_id: str, position: int) -> str:
    """Return the id of an action without: always the same for its place."""
    text = f"{job_id}:{position}".encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()
