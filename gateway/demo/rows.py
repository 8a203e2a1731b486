"""The sample's rows: the columns of each table, projected as the resolvers project them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

import orjson
from sqlmodel import SQLModel

from gateway.catalogue import checks, derivations, json_values, projections
from gateway.catalogue.due import Due
from gateway.catalogue.health_tables import ExpectedHost, HealthMute, RecoveryObjective
from gateway.catalogue.history import ClientHeartbeat, Run
from gateway.catalogue.series_tables import Restore
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session
from gateway.catalogue.vocabularies import CAPABILITIES, RunOutcome
from gateway.chains.places import place_of

Table = type[SQLModel]
Values = dict[str, Any]
Row = tuple[Table, Values]
"""A table and a row's values: inserting dictionaries is several times as fast as objects."""

TABLES: tuple[Table, ...] = (
    *(Client, ClientHeartbeat, Session, Action, Job, Run, JobAction, Backup),
    *(RecoveryObjective, HealthMute, ExpectedHost, Restore),
)
"""The tables, in the order of their foreign keys."""
IDS = UUID("1d8f2a5e-5b0c-4f39-9d53-7e1f6a0c2b74")
"""The UUID namespace of ids that are made of names."""
_DEFAULTS = {table: table().model_dump() for table in TABLES}


def from_epoch(seconds: float) -> datetime:
    """Return the time of epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def epoch(time: datetime) -> int:
    """Return the epoch seconds of a time."""
    return int(time.timestamp())


def row(table: Table, created_at: datetime, **values: Any) -> Row:
    """Return a row of these values, over the table's defaults."""
    written = _DEFAULTS[table] | {"created_at": created_at, "updated_at": created_at} | values
    return table, written | derivations.derived(table, written)


def client(created_at: datetime, hostname: str, **values: Any) -> Row:
    """Return a client's row, with every word of a capability not given. Raises BadInput."""
    client_id = f"{values['project_id']}_{hostname}"
    values |= {
        key: json_values.dump(list(values.get(key, words))) for key, words in CAPABILITIES.items()
    }
    checks.client_identifier("client_id", client_id)
    values |= {"id": client_id, "uuid": uuid5(IDS, client_id).hex, "hostname": hostname}
    return row(Client, created_at, **values)


def backup(created_at: datetime, metadata: Values, status: str, **values: Any) -> Row:
    """Return a backup's row. Raises BadInput for metadata that the contract forbids."""
    values |= {"backup_metadata": json_values.dump(metadata)}
    return row(Backup, created_at, **values | projections.backup(metadata, status))


def heartbeat(client: Values, seen: datetime) -> Row:
    """Return the row of the time at which a client's scheduler was last heard of."""
    key = {"project_id": client["project_id"], "client_id": client["id"]}
    return ClientHeartbeat, key | {"seen_at": epoch(seen)}


def test(job: Values, backup: Values) -> Row:
    """Return the row of a job that restores a backup to see if that succeeds."""
    place = place_of(SimpleNamespace(**backup), orjson.loads(backup["backup_metadata"]))
    key = {"project_id": job["project_id"], "job_id": job["id"]}
    return Restore, key | {"series": place.id, "backup_id": backup["id"], "is_test": True}


def objective(project_id: str, max_age: int) -> Row:
    """Return the row of a project's recovery objective, in seconds."""
    key = {"project_id": project_id, "id": uuid5(IDS, f"{project_id}/objective").hex}
    return RecoveryObjective, key | {"client_id": None, "series_id": None, "max_age": max_age}


def expected_host(project_id: str, hostname: str) -> Row:
    """Return the row of a host that should be backed up."""
    return ExpectedHost, {"project_id": project_id, "hostname": hostname}


def mute(job: Values, reason: str, at: datetime, days: float | None, user_name: str) -> Row:
    """Return the row of the mute of a job's health, for so many days; None for good."""
    key = {"project_id": job["project_id"], "id": job["id"], "user_id": job["user_id"]}
    items = {"job_id": job["id"], "client_id": None, "series_id": None, "session_id": None}
    until = None if days is None else epoch(at + timedelta(days=days))
    said = {"reason": reason, "user_name": user_name, "muted_at": epoch(at), "muted_until": until}
    return HealthMute, key | items | said


def job(
    schedule: Values, zone: str | None = None, *, is_checked: bool = True, **values: Any
) -> Row:
    """Return a job's row, created and updated at the times of its schedule.

    `zone` is the time zone of its host. Raises BadInput for a schedule that no scheduler reads,
    unless it isn't checked.
    """
    times = [schedule[key] for key in ("time_created", "time_started", "time_ended")]
    values |= {"updated_at": from_epoch(max(times))}
    schedule_columns = projections.schedule_columns(schedule, {} if is_checked else schedule)
    table, written = row(Job, from_epoch(times[0]), **values | schedule_columns)
    next_run = Due(None, written, zone).columns_of_stored()
    return table, written | next_run | {"due_version": written["version"]}


def run(job: Values, started: datetime, ended: datetime | None, outcome: RunOutcome) -> Row:
    """Return the row of an earlier run of a job; the last one comes with the job.

    Of a lost run, nobody told the end.
    """
    start = epoch(started)
    key = {"project_id": job["project_id"], "id": f"{job['id']}:{start}", "job_id": job["id"]}
    times = {"started_at": start, "ended_at": ended and epoch(ended), "attempts": 1, "pids": " "}
    return Run, key | times | {"client_id": job["client_id"], "outcome": outcome.value}


def action(created_at: datetime, document: Values, **values: Any) -> Row:
    """Return an action's row. Raises BadInput for a document that the contract forbids."""
    values |= {"freezer_action": json_values.dump(document)}
    return row(Action, created_at, **values | projections.action(document))


def steps(job: Values, actions: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of a job's actions, and of their positions in the job's list."""
    for position, (table, action) in enumerate(actions):
        yield table, action
        link = {"position": position, "job_id": job["id"], "action_id": action["id"]}
        yield JobAction, link | {"project_id": job["project_id"]}
