"""The sample catalogue: the documented examples, an estate to explore, and a small one beside it.

What there is stands in `demo_examples.json` and `demo.toml`; how it becomes rows stands here. Rows
have fixed ids, and a load adds only those that aren't there: it may be repeated, and changes
nothing that anybody has made of the sample since.
"""

import json
import random
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib import resources
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from gateway import documents, projections
from gateway.db import Database
from gateway.projections import CAPABILITIES
from gateway.tables import Action, Backup, Client, Job, JobAction, Session, columns, now

EXAMPLES = "752d8bd43d654e7a840bbfda77ce41af"
"""The project of the documented examples, which has nothing else."""
OPERATOR = "backup-operator"
"""Whose the estates are."""
AGE = timedelta(days=400)
"""How long before its last night an estate was set up."""
MORNING = timedelta(hours=6)
"""When a night is over, and every run of it that will ever end has ended."""
FAILURES = 0.01
"""The share of runs that fail beside those that `demo.toml` tells of."""
MISSING = "missing"
"""A run that left no backup; any other fault is the status of the one it left."""

Table = type[SQLModel]
Values = dict[str, Any]
Row = tuple[Table, Values]
"""A row to be: Core inserts thousands of them in a second, and objects take several."""

_TABLES: Sequence[Table] = (Client, Session, Action, Job, JobAction, Backup)
_DEFAULTS = {table: table().model_dump() for table in _TABLES}
_IDS = UUID("1d8f2a5e-5b0c-4f39-9d53-7e1f6a0c2b74")
_GIB = 2**30
_SPEED = 200 * 2**20  # bytes a second
_OPENSTACK = {"cinder", "cindernative", "nova", "glance"}
_RESOURCES = ("nova_inst_id", "cinder_vol_id", "cindernative_vol_id", "glance_image_id")
_OURS = {"mandatory", "shared", "chain"}


@dataclass(frozen=True)
class Summary:
    """How many rows a load added; those that were there already don't count."""

    clients: int
    sessions: int
    actions: int
    jobs: int
    backups: int

    def __bool__(self) -> bool:
        """Tell whether anything was added."""
        return any(asdict(self).values())


async def load(database: Database) -> Summary:
    """Add what isn't there of the sample to a database with the present schema: all, or nothing.

    Times are relative to the night before the first load. Raises Unavailable.
    """
    plan = tomllib.loads(_read("demo.toml"))
    night = await _last_night(database, plan["projects"])
    rows = list(_examples())
    for project_id in plan["projects"]:
        rows += Estate(project_id, night, plan).rows()
    insert = (sqlite if database.is_sqlite else postgresql).insert
    added: dict[Table, set[tuple[str, str]]] = {}
    async with database.write(EXAMPLES, *plan["projects"]) as transaction:
        for table in _TABLES:
            wanted = [values for kind, values in rows if kind is table]
            if table is JobAction:
                # A job that was there keeps its list of actions, whatever has become of it.
                wanted = [row for row in wanted if (row["project_id"], row["job_id"]) in added[Job]]
            stored: sa.Table = sa.inspect(table).local_table
            statement = insert(stored).on_conflict_do_nothing().returning(*stored.primary_key)
            added[table] = set()
            for values in wanted:
                added[table].update(row[:2] for row in await transaction.rows(statement, values))
    return Summary(
        clients=len(added[Client]),
        sessions=len(added[Session]),
        actions=len(added[Action]),
        jobs=len(added[Job]),
        backups=len(added[Backup]),
    )


async def _last_night(database: Database, projects: Mapping[str, Any]) -> datetime:
    """Midnight of the night that is over; once loaded, of the one that was over then."""
    own = columns(Client)
    own_hosts = [
        sa.and_(
            own.project_id == project_id,
            own.id == f"{project_id}_{host['name']}.{estate['domain']}",
        )
        for project_id, estate in projects.items()
        for host in estate["hosts"]
    ]
    query = sa.select(sa.func.min(own.created_at)).where(sa.or_(sa.false(), *own_hosts))
    first = await database.scalar(query)
    night = (now() - MORNING).replace(hour=0, minute=0, second=0, microsecond=0)
    return min(night, first + AGE) if first else night


def _read(name: str) -> str:
    return resources.files("gateway").joinpath(name).read_text(encoding="utf-8")


def _since(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


# One row of each table, projected as the resolvers do it.


def _row(table: Table, made: datetime, **values: Any) -> Row:
    return table, _DEFAULTS[table] | {"created_at": made, "updated_at": made} | values


def _client(made: datetime, hostname: str, **known: Any) -> Row:
    client_id = f"{known['project_id']}_{hostname}"
    known |= {key: documents.dump(list(known.get(key, all_))) for key, all_ in CAPABILITIES.items()}
    projections.client_identifier("client_id", client_id)
    known |= {"id": client_id, "uuid": uuid5(_IDS, client_id).hex, "hostname": hostname}
    return _row(Client, made, **known)


def _backup(made: datetime, metadata: Values, status: str, **known: Any) -> Row:
    known |= {"backup_metadata": documents.dump(metadata)}
    return _row(Backup, made, **known | projections.backup(metadata, status))


def _job(schedule: Values, **known: Any) -> Row:
    times = [schedule[key] for key in ("time_created", "time_started", "time_ended")]
    known |= {"job_schedule": documents.dump(schedule), "updated_at": _since(max(times))}
    return _row(Job, _since(times[0]), **known | projections.job(schedule))


def _action(made: datetime, document: Values, **known: Any) -> Row:
    known |= {"freezer_action": documents.dump(document)}
    return _row(Action, made, **known | projections.action(document))


def _steps(job: Values, actions: Iterable[Row]) -> Iterator[Row]:
    """The actions of a job, each with its place in the job's list."""
    for position, (table, action) in enumerate(actions):
        yield table, action
        place = {"position": position, "job_id": job["id"], "action_id": action["id"]}
        yield JobAction, place | {"project_id": job["project_id"]}


def _examples() -> Iterator[Row]:
    """The documented rows, and the client that their job names."""
    examples = json.loads(_read("demo_examples.json"))
    for item in examples["backups"]:
        item["id"] = item.pop("backup_id")
        metadata = item.pop("backup_metadata")
        made = _since(metadata["time_stamp"])
        yield _backup(made, metadata, "available", project_id=EXAMPLES, **item)
    for item in examples["jobs"]:
        item["id"] = item.pop("job_id")
        steps = item.pop("job_actions")
        table, job = _job(item.pop("job_schedule"), **item)
        owner = {"project_id": job["project_id"], "user_id": job["user_id"]}
        yield _client(job["created_at"], job["client_id"].removeprefix(f"{EXAMPLES}_"), **owner)
        yield table, job
        actions = [
            _action(
                job["created_at"],
                step.pop("freezer_action"),
                project_id=EXAMPLES,
                id=step.pop("action_id"),
                **step,
            )
            for step in steps
        ]
        yield from _steps(job, actions)


@dataclass(frozen=True)
class Run:
    """One run of a backup: its number, and the level, size and status of what it left."""

    number: int
    level: int
    size: int
    status: str
    started: datetime
    ended: datetime


@dataclass(frozen=True)
class Chain:
    """The backups that an action has left: a full one, `levels` incremental ones, and again.

    There was a run every `hours`, the last one `start` hours after midnight of the last night.
    Runs are numbered backwards, down to `newest`; a full backup is where `number + phase` is one
    short of a multiple of `levels + 1`. Whole chains were kept for `keep` days, their full backups
    for `history`. `size` is what a full backup reads today, in GiB, `churn` the share of it that
    changes between two runs, `ratio` what compression leaves of it.
    """

    size: float
    start: float
    levels: int = 6
    phase: int = 0
    hours: int = 24
    churn: float = 0.04
    ratio: float = 0.45
    keep: int = 365
    history: int = 365
    newest: int = 0
    faults: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def runs(self, night: datetime, seed: str) -> Sequence[Run]:
        """Every run whose backup would still be there, the last one first."""
        chance = random.Random(seed)  # noqa: S311 - alike at every load, not secret
        faults = {number: fault for fault, numbers in self.faults.items() for number in numbers}
        kept = []
        for number in range(self.newest, self.history * 24 // self.hours):
            level = self.levels - (number + self.phase) % (self.levels + 1)
            days = number * self.hours // 24
            share = self.churn * chance.uniform(0.4, 1.8) if level else chance.uniform(0.98, 1.02)
            size = int(self.size * _GIB * share * (1 - 0.4 * days / 365))
            started = night + timedelta(
                hours=self.start - number * self.hours, seconds=chance.randrange(300)
            )
            took = timedelta(seconds=20 + int(size / _SPEED * chance.uniform(0.8, 1.2)))
            failed = chance.random() < FAILURES and number > self.newest
            status = faults.get(number) or ("error" if failed else "available")
            if days <= self.keep or (self.levels and not level):
                kept.append(Run(number, level, size, status, started, started + took))
        while kept and kept[-1].level:  # what it stood on is gone
            kept.pop()
        return kept


@dataclass(frozen=True)
class Estate:
    """What a project has, by its part of `demo.toml`."""

    project_id: str
    night: datetime
    plan: Mapping[str, Any]

    @cached_property
    def _own(self) -> Mapping[str, Any]:
        return self.plan["projects"][self.project_id]  # type: ignore[no-any-return]

    @cached_property
    def _owner(self) -> Values:
        return {"project_id": self.project_id, "user_id": self._id("user", OPERATOR)}

    def _id(self, kind: str, name: str) -> str:
        return uuid5(_IDS, f"{self.project_id}/{kind}/{name}").hex

    def _hostname(self, name: str) -> str:
        return f"{name}.{self._own['domain']}"

    def _schedule(self, name: str) -> Values:
        """The schedule of this name; a number becomes the date so many days from the last night."""
        return {
            key: f"{self.night + timedelta(days=value):%Y-%m-%dT%H:%M:%S}"
            if isinstance(value, int)
            else value
            for key, value in self.plan["schedules"][name].items()
        }

    def rows(self) -> Iterator[Row]:
        """Every row of the project; an action that jobs share comes once for each."""
        hosts = {host["name"]: host for host in self._own["hosts"]}
        sessions = self._own.get("sessions", ())
        session_of = {name: session for session in sessions for name in session["jobs"]}
        jobs = {}
        for host in hosts.values():
            yield self._client(host)
        for step in self._own.get("actions", ()):
            yield self._action(step, step["shared"])
        for task in self._own["jobs"]:
            name, steps = task["description"], task["steps"]
            saving = next((step for step in steps if "chain" in step), None)
            runs: Sequence[Run] = ()
            if saving:
                runs = Chain(**saving["chain"]).runs(self.night, self._id("runs", name))
            table, job = self._job(task, runs, session_of.get(name))
            jobs[name] = job
            yield table, job
            keys = [step.get("shared", f"{name}/{place}") for place, step in enumerate(steps)]
            yield from _steps(job, map(self._action, steps, keys))
            if saving:
                yield from self._backups(job, hosts[task["host"]], saving, runs)
        for session in sessions:
            yield self._session(session, [jobs[name] for name in session["jobs"]])

    def _client(self, host: Mapping[str, Any]) -> Row:
        return _client(
            self.night - AGE,
            self._hostname(host["name"]),
            description=host["description"],
            supported_modes=["fs", *host.get("modes", ())],
            supported_engines=["tar", "rsync", "rsyncv2", *host.get("engines", ())],
            **self._owner,
        )

    def _action(self, step: Mapping[str, Any], key: str) -> Row:
        mandatory = step.get("mandatory", False)
        made = self.night - AGE
        own = {"id": self._id("action", key), "mandatory": mandatory, **self._owner}
        return _action(made, _document(step), **own)

    def _job(
        self, task: Mapping[str, Any], runs: Sequence[Run], session: Mapping[str, Any] | None
    ) -> Row:
        name, host = task["description"], task.get("host")
        state = self.plan["states"][task["state"]]
        ran, done = "result" in state, bool(state.get("result"))
        chance = random.Random(name)  # noqa: S311 - alike at every load, not secret
        if runs:
            started, ended = runs[0].started, runs[0].ended
        else:
            started = self.night + timedelta(hours=task.get("start", 4), days=-task.get("age", 0))
            ended = started + timedelta(seconds=chance.randrange(5, 900))
        lasting = ran and task["schedule"] != "once"
        made = self.night - AGE if lasting else started - timedelta(minutes=10)
        times = {
            "time_created": _epoch(made),
            "time_started": _epoch(started) if ran else -1,
            "time_ended": _epoch(ended) if done else -1,
        }
        process = {"current_pid": chance.randrange(2000, 60000)} if ran else {}
        return _job(
            {**self._schedule(task["schedule"]), **times, **process, "event": "", **state},
            id=self._id("job", name),
            description=name,
            client_id=host and f"{self.project_id}_{self._hostname(host)}",
            session_id=session and self._id("session", session["description"]),
            session_tag=session["session_tag"] if session else 0,
            **self._owner,
        )

    def _session(self, session: Mapping[str, Any], jobs: Sequence[Values]) -> Row:
        schedule = self._schedule(session["schedule"])
        projections.job(schedule)
        ran, ended = session["session_tag"] > 0, session["status"] == "completed"
        states = {
            job["id"]: {
                "client_id": job["client_id"],
                "status": "completed" if job["result"] else job["status"] or "",
                "result": job["result"] or "",
                "time_started": job["time_started"] or -1,
                "time_ended": job["time_ended"] or -1,
            }
            for job in jobs
        }
        return _row(
            Session,
            self.night - AGE,
            updated_at=max(job["updated_at"] for job in jobs),
            id=self._id("session", session["description"]),
            schedule=documents.dump(schedule),
            job_states=documents.dump(states),
            time_start=min(job["time_started"] for job in jobs) if ran else None,
            time_end=max(job["time_ended"] for job in jobs) if ended else None,
            **{key: value for key, value in session.items() if key not in {"schedule", "jobs"}},
            **self._owner,
        )

    def _backups(
        self, job: Values, host: Mapping[str, Any], step: Mapping[str, Any], runs: Sequence[Run]
    ) -> Iterator[Row]:
        """What the runs of a step have left, with metadata as the agent sends them."""
        action, ratio = _document(step), Chain(**step["chain"]).ratio
        mode, path = action["mode"], action.get("path_to_backup", "")
        for run in runs:
            if run.status == MISSING:
                continue
            metadata = {
                "ssh_port": 22,
                "curr_backup_level": run.level,
                "backup_name": action["backup_name"],
                "container": action["container"],
                "compression": action.get("compression", "gzip"),
                "dry_run": "",
                "hostname": self._hostname(host["name"]),
                "storage": action.get("storage", ""),
                "vol_snap_path": path,
                "os_auth_version": "",
                "client_os": host.get("client_os", "linux"),
                "time_stamp": _epoch(run.started),
                "container_segments": "",
                "ssh_username": action.get("ssh_username", ""),
                "path_to_backup": path,
                "ssh_key": action.get("ssh_key", ""),
                "proxy": "",
                "always_level": "",
                "max_level": action.get("max_level", ""),
                "backup_media": mode if mode in _OPENSTACK else "fs",
                "ssh_host": action.get("ssh_host", ""),
                "mode": mode,
                "fs_real_path": path,
                "action": "backup",
                "client_version": "19.0.0",
                "log_file": action["log_file"],
                "engine_name": action.get("engine_name", ""),
                **{key: action[key] for key in _RESOURCES if key in action},
                "job_id": job["id"],
            }
            if run.status in {"available", "deleting"}:
                metadata["backup_size_uncompressed"] = run.size
                metadata["backup_size_compressed"] = int(run.size * ratio)
            name = f"{job['description']}/{run.number}"
            yield _backup(
                run.started if run.status == "creating" else run.ended,
                metadata,
                run.status,
                id=self._id("backup", name),
                backup_uuid=self._id("uuid", name),
                client_id=job["client_id"],
                user_name=OPERATOR,
                **self._owner,
            )


def _document(step: Mapping[str, Any]) -> Values:
    """The `freezer_action` of a step: what it says, over what such an action has by default."""
    action, name = step["action"], step.get("backup_name")
    document = {"action": action}
    if action in {"backup", "restore"}:
        document["mode"] = "fs"
    if name:
        document |= {"backup_name": name, "container": f"freezer_{name}"}
    if action != "exec":
        document["storage"] = "swift"
    if action == "backup":
        document |= {"engine_name": "tar", "log_file": "/var/log/freezer/agent.log"}
    if "chain" in step:
        levels = Chain(**step["chain"]).levels
        document |= {"max_level": levels} if levels else {"no_incremental": True}
    document |= {key: value for key, value in step.items() if key not in _OURS}
    return {key: value for key, value in document.items() if value != ""}
