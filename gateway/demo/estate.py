"""The sample estates: hosts, their jobs, and the backups of a year of nights."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import uuid5

from gateway.catalogue import json_values, schedules
from gateway.catalogue.tables import Session
from gateway.catalogue.vocabularies import RunOutcome
from gateway.demo import agents, rows
from gateway.demo.rows import IDS, Row, Values

OPERATOR = "backup-operator"
"""The user who owns the estates."""
AGE = timedelta(days=400)
"""The age of an estate: the time from its creation to its last night."""
FAILURES = 0.01
"""The share of runs that fail in addition to the faults of `estate.toml`."""
HISTORY = 60
"""The number of runs of a job that there are before its last one."""
MISSING, LOST = "missing", "lost"
"""The faults of runs that left no backup, or of which nobody told the result; any other fault is
the status of the backup."""
LEGACY = "legacy"
"""The schedule that is no good, as older catalogues may have it."""

_GIB = 2**30
_SPEED = 200 * 2**20  # bytes a second
_OURS = {"mandatory", "shared", "chain"}
_MAY_BE_NONE = {"engine_name", "storage", "mode"}


@dataclass(frozen=True)
class Run:
    """A run of a backup action: its number, and the level, size and status of its backup."""

    number: int
    level: int
    size: int
    status: str
    started: datetime
    ended: datetime


@dataclass(frozen=True)
class Chain:
    """The chains of backups of an action: each a full one and `levels` incremental ones.

    There was a run every `hours`, the last one `start` hours after midnight of the last night. Runs
    are numbered backwards in time, from `newest`; a backup is full if `number + phase + 1` is a
    multiple of `levels + 1`. Whole chains are kept for `keep` days, full backups for `history`
    days. `size` is that of a full backup today, in GiB, `churn` the share of it that changes
    between two runs, `ratio` the compressed share.
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
    told: bool = True
    """True for an agent that tells levels and sizes."""
    in_cinder: int = 0
    """The number of runs of which the agent tells Cinder's own id of the backup."""

    def runs(self, night: datetime, seed: str) -> Sequence[Run]:
        """Return the runs whose backups are kept, the newest first; `seed` is the randomness."""
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
        while kept and kept[-1].level:  # its full backup is not kept
            kept.pop()
        return kept


@dataclass(frozen=True)
class Estate:
    """The rows of a project, from its table in `estate.toml`."""

    project_id: str
    night: datetime
    plan: Mapping[str, Any]
    loaded_at: datetime

    @cached_property
    def _own(self) -> Mapping[str, Any]:
        return self.plan["projects"][self.project_id]  # type: ignore[no-any-return]

    @cached_property
    def _owner(self) -> Values:
        return {"project_id": self.project_id, "user_id": self._id("user", OPERATOR)}

    def _id(self, kind: str, name: str) -> str:
        return uuid5(IDS, f"{self.project_id}/{kind}/{name}").hex

    def _hostname(self, name: str) -> str:
        return f"{name}.{self._own['domain']}"

    def _schedule(self, name: str) -> Values:
        """Return the schedule of this name; a number of days after the night becomes a date."""
        return {
            key: self._date(value) if isinstance(value, int) else value
            for key, value in self.plan["schedules"][name].items()
        }

    def rows(self) -> Iterator[Row]:
        """Yield every row of the project; an action that jobs share once for each job."""
        hosts = {host["name"]: host for host in self._own["hosts"]}
        sessions = self._own.get("sessions", ())
        session_of = {name: session for session in sessions for name in session["jobs"]}
        jobs = {}
        saved: dict[str, Sequence[Row]] = {}
        for host in hosts.values():
            client = self._client(host)
            yield client
            yield self._heartbeat(host, client[1])
        for step in self._own.get("actions", ()):
            yield self._action(step, step["shared"])
        for task in self._own["jobs"]:
            name, steps = task["description"], task["steps"]
            saving, runs = self._saving(task)
            table, job = self._job(task, runs, session_of.get(name))
            jobs[name] = job
            yield table, job
            keys = [step.get("shared", f"{name}/{place}") for place, step in enumerate(steps)]
            yield from rows.steps(job, map(self._action, steps, keys))
            yield from self._history(job, runs)
            if saving:
                saved[name] = list(self._backups(job, hosts[task["host"]], saving, runs))
                yield from saved[name]
            if "tests" in task:
                yield self._test(job, saved[task["tests"]], steps[0])
        for task in self._own.get("by_hand", ()):
            saving, runs = self._saving(task)
            nobody = {"id": None, "client_id": None, "description": task["description"]}
            yield from self._backups(nobody, hosts[task["host"]], saving or {}, runs)
        for session in sessions:
            yield self._session(session, [jobs[name] for name in session["jobs"]])
        yield from self._health(jobs)

    def _health(self, jobs: Mapping[str, Values]) -> Iterator[Row]:
        """Yield what the project says of its health."""
        if "objective" in self._own:
            yield rows.objective(self.project_id, self._own["objective"])
        for name in self._own.get("expected", ()):
            yield rows.expected_host(self.project_id, self._hostname(name))
        for one in self._own.get("mutes", ()):
            job, days = jobs[one["job"]], one.get("days")
            yield rows.mute(job, one["reason"], self.night, days, OPERATOR)

    def _saving(self, task: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Sequence[Run]]:
        """Return the step of a task that has left backups, and its runs; None and no runs."""
        for step in task["steps"]:
            if "chain" in step:
                seed = self._id("runs", task["description"])
                return step, Chain(**step["chain"]).runs(self.night, seed)
        return None, ()

    def _heartbeat(self, host: Mapping[str, Any], client: Values) -> Row:
        """Return when its scheduler was last heard of: now, or `seen` days after the night."""
        days = host.get("seen")
        seen = self.loaded_at if days is None else self.night + timedelta(days=days)
        return rows.heartbeat(client, seen)

    def _client(self, host: Mapping[str, Any]) -> Row:
        return rows.client(
            self.night - AGE,
            self._hostname(host["name"]),
            description=host["description"],
            supported_modes=["fs", *host.get("modes", ())],
            supported_engines=["tar", "rsync", "rsyncv2", *host.get("engines", ())],
            time_zone=host.get("time_zone"),
            **self._owner,
        )

    def _action(self, step: Mapping[str, Any], key: str) -> Row:
        mandatory = step.get("mandatory", False)
        own = {"id": self._id("action", key), "mandatory": mandatory, **self._owner}
        document = _document(step)
        if "restore_from_date" in step:
            document["restore_from_date"] = self._date(step["restore_from_date"])
        return rows.action(self.night - AGE, document, **own)

    def _date(self, days: int) -> str:
        """Return the date so many days after the night."""
        return f"{self.night + timedelta(days=days):%Y-%m-%dT%H:%M:%S}"

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
        created = self.night - AGE if lasting else started - timedelta(minutes=10)
        times = {
            "time_created": rows.epoch(created),
            "time_started": rows.epoch(started) if ran else -1,
            "time_ended": rows.epoch(ended) if done else -1,
        }
        process = {"current_pid": chance.randrange(2000, 60000)} if ran else {}
        zones = {one["name"]: one.get("time_zone") for one in self._own["hosts"]}
        return rows.job(
            {**self._schedule(task["schedule"]), **times, **process, "event": "", **state},
            zone=zones.get(host),
            is_checked=task["schedule"] != LEGACY,
            id=self._id("job", name),
            description=name,
            client_id=host and f"{self.project_id}_{self._hostname(host)}",
            session_id=session and self._id("session", session["description"]),
            session_tag=session["session_tag"] if session else 0,
            **self._owner,
        )

    def _test(self, job: Values, backups: Sequence[Row], step: Mapping[str, Any]) -> Row:
        """Return what is noted of a job that restored, as a test, the newest of these then."""
        until = rows.epoch(self.night + timedelta(days=step["restore_from_date"]))
        _, newest = next(one for one in backups if one[1]["time_stamp"] <= until)
        return rows.test(job, newest)

    @staticmethod
    def _history(job: Values, runs: Sequence[Run]) -> Iterator[Row]:
        """Yield a job's runs of some months before its last one."""
        if job["time_started"] is None:
            return
        outcomes = {"error": RunOutcome.FAIL, MISSING: RunOutcome.FAIL, LOST: RunOutcome.LOST}
        for run in runs[1 : HISTORY + 1]:
            outcome = outcomes.get(run.status, RunOutcome.SUCCESS)
            ended = None if outcome is RunOutcome.LOST else run.ended
            yield rows.run(job, run.started, ended, outcome)

    def _session(self, session: Mapping[str, Any], jobs: Sequence[Values]) -> Row:
        schedule = schedules.readable(self._schedule(session["schedule"]), {})
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
        return rows.row(
            Session,
            self.night - AGE,
            updated_at=max(job["updated_at"] for job in jobs),
            id=self._id("session", session["description"]),
            schedule=json_values.dump(schedule),
            job_states=json_values.dump(states),
            time_start=min(job["time_started"] for job in jobs) if ran else None,
            time_end=max(job["time_ended"] for job in jobs) if ended else None,
            **{key: value for key, value in session.items() if key not in {"schedule", "jobs"}},
            **self._owner,
        )

    def _backups(
        self, job: Values, host: Mapping[str, Any], step: Mapping[str, Any], runs: Sequence[Run]
    ) -> Iterator[Row]:
        """Yield the backups of a step's runs, with metadata as the agent sends it."""
        action, chain = _document(step), Chain(**step["chain"])
        for run in runs:
            if run.status in {MISSING, LOST}:
                continue
            metadata = agents.metadata(
                action,
                self._hostname(host["name"]),
                rows.epoch(run.started),
                run.level if chain.told else 0,
                host.get("client_os", "linux"),
            )
            if job["id"] is not None:
                metadata["job_id"] = job["id"]
            if chain.told and run.status in {"available", "deleting"}:
                metadata["backup_size_uncompressed"] = run.size
                metadata["backup_size_compressed"] = int(run.size * chain.ratio)
            name = f"{job['description']}/{run.number}"
            if run.number < chain.in_cinder:
                metadata["cinder_backup_id"] = self._id("cinder", name)
            yield rows.backup(
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
    """Return the `freezer_action` of a step: its keys, over the defaults of such an action."""
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
    return {key: v for key, v in document.items() if v != "" or key not in _MAY_BE_NONE}
