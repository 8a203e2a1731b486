"""Rows of the sample: one of each table, projected as the resolvers do it."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from sqlmodel import SQLModel

from gateway.catalogue import checks, json_values, projections
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session
from gateway.catalogue.vocabularies import CAPABILITIES

Table = type[SQLModel]
Values = dict[str, Any]
Row = tuple[Table, Values]
"""A row to be: Core inserts thousands of them in a second, and objects take several."""

TABLES: tuple[Table, ...] = (Client, Session, Action, Job, JobAction, Backup)
"""In the order in which they refer to each other."""
IDS = UUID("1d8f2a5e-5b0c-4f39-9d53-7e1f6a0c2b74")
"""The namespace of ids that are made of names."""
_DEFAULTS = {table: table().model_dump() for table in TABLES}


def since(seconds: float) -> datetime:
    """The moment so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def epoch(moment: datetime) -> int:
    """The whole seconds from 1970 to a moment."""
    return int(moment.timestamp())


def row(table: Table, made: datetime, **values: Any) -> Row:
    """Any row: what isn't given is as the table has it by default."""
    return table, _DEFAULTS[table] | {"created_at": made, "updated_at": made} | values


def client(made: datetime, hostname: str, **known: Any) -> Row:
    """A client, which can do everything that isn't given otherwise."""
    client_id = f"{known['project_id']}_{hostname}"
    known |= {
        key: json_values.dump(list(known.get(key, all_))) for key, all_ in CAPABILITIES.items()
    }
    checks.client_identifier("client_id", client_id)
    known |= {"id": client_id, "uuid": uuid5(IDS, client_id).hex, "hostname": hostname}
    return row(Client, made, **known)


def backup(made: datetime, metadata: Values, status: str, **known: Any) -> Row:
    """A backup."""
    known |= {"backup_metadata": json_values.dump(metadata)}
    return row(Backup, made, **known | projections.backup(metadata, status))


def job(schedule: Values, **known: Any) -> Row:
    """A job, made and changed when its schedule says so."""
    times = [schedule[key] for key in ("time_created", "time_started", "time_ended")]
    known |= {"job_schedule": json_values.dump(schedule), "updated_at": since(max(times))}
    return row(Job, since(times[0]), **known | projections.job(schedule))


def action(made: datetime, document: Values, **known: Any) -> Row:
    """An action."""
    known |= {"freezer_action": json_values.dump(document)}
    return row(Action, made, **known | projections.action(document))


def steps(job: Values, actions: Iterable[Row]) -> Iterator[Row]:
    """The actions of a job, each with its place in the job's list."""
    for position, (table, action) in enumerate(actions):
        yield table, action
        place = {"position": position, "job_id": job["id"], "action_id": action["id"]}
        yield JobAction, place | {"project_id": job["project_id"]}
