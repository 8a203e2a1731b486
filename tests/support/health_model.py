"""A plain model of health, and the rows that it is of."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.catalogue.health_tables import HealthMute, RecoveryObjective
from gateway.catalogue.history import ClientHeartbeat
from gateway.catalogue.series_tables import Series
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session
from gateway.db.database import Database
from tests.support.lists import fresh_project

NOW = int(time.time())
HOUR, DAY = 3600, 86_400
SILENT = 10 * DAY
"""For how long clients that are silent have been."""
Verdict = tuple[str, str]


def at(seconds: int) -> datetime:
    """Return a time of epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(seconds: int) -> str:
    """Return a time of epoch seconds as GraphQL has it."""
    return at(seconds).isoformat()


@dataclass
class Host:
    """A client, and what there is of it."""

    id: str
    is_silent: bool = False
    age: int = 30 * DAY
    objective: int | None = None
    backups: Sequence[tuple[str, int]] = ()
    """The verdicts on its backups, and their ages."""
    jobs: Sequence["Task"] = ()

    def health(self, now: int, of_project: int | None) -> Verdict:
        """Return the state and the reason of its health."""
        ages = [age for verdict, age in self.backups if verdict == "RESTORABLE"]
        newest = min(ages, default=self.age)
        allowed = self.objective or of_project
        verdicts = {verdict for verdict, _ in self.backups}
        passed = now - NOW
        is_silent = passed + (SILENT if self.is_silent else 0) > 600
        is_old = self.age + passed >= DAY
        is_awaited = any(job.due is not None for job in self.jobs)
        is_busy = any(job.status in {"scheduled", "running"} for job in self.jobs)
        rules: Mapping[Verdict, bool] = {
            ("CRITICAL", "OBJECTIVE_MISSED"): bool(allowed) and newest + passed > (allowed or 0),
            ("CRITICAL", "CLIENT_SILENT"): is_silent and is_awaited,
            ("ATTENTION", "CLIENT_SILENT"): is_silent,
            ("ATTENTION", "NO_JOB"): not (is_awaited or is_busy),
            ("ATTENTION", "NO_RESTORABLE_BACKUP"): is_old and not verdicts - {"FAILED"},
            ("UNKNOWN", "RESTORABILITY_UNKNOWN"): is_old and not verdicts - {"FAILED", "UNKNOWN"},
        }
        return next((verdict for verdict, holds in rules.items() if holds), ("OK", "HEALTHY"))


@dataclass
class Task:
    """A job, and what there is of it."""

    id: str
    status: str | None = "scheduled"
    event: str | None = None
    interval: str | None = "1 days"
    hour: str | None = None
    end: str | None = None
    failures: int = 0
    due: int | None = None
    """Seconds from now."""
    fault: str | None = None
    host: str | None = "alive"
    saves: bool = True
    ran: bool = True
    succeeded: bool = True
    verdicts: Sequence[str] = ("RESTORABLE",)

    def health(self, now: int) -> Verdict:
        """Return the state and the reason of its health."""
        passed = now - NOW
        late = None if self.due is None else passed - self.due
        stopped = self.status in {"stop", "removed"} or self.event in {"stop", "abort", "remove"}
        awaited = not stopped and (
            self.event == "start" or self.status in {None, "scheduled", "running"}
        )
        completed = self.status == "completed" and self.event is None
        recurs = bool(self.interval or self.hour) and not self.end
        fruit = {one for one in self.verdicts if one != "FAILED"}
        has_saved = self.succeeded and self.saves
        silence = passed + (SILENT if self.host in {"silent", "central-silent"} else 0)
        rules: Mapping[Verdict, bool] = {
            ("CRITICAL", "SCHEDULE_UNREADABLE"): self.fault == "unreadable",
            ("CRITICAL", "SCHEDULE_NEVER_RUNS"): self.fault == "never runs",
            ("CRITICAL", "NEVER_RUNS_AGAIN"): completed and recurs,
            ("CRITICAL", "FAILING"): self.failures >= 3,
            ("CRITICAL", "OVERDUE"): late is not None and late > HOUR + DAY,
            ("ATTENTION", "FAILING"): self.failures >= 1,
            ("ATTENTION", "OVERDUE"): late is not None and late > HOUR,
            ("ATTENTION", "NO_CLIENT"): awaited and self.host in {None, "unregistered"},
            ("ATTENTION", "CLIENT_SILENT"): late is not None
            and (self.host in {None, "unregistered"} or silence > 600),
            ("ATTENTION", "NO_RESTORABLE_BACKUP"): has_saved and not fruit,
            ("UNKNOWN", "NEVER_RAN"): awaited and not self.ran,
            ("UNKNOWN", "RESTORABILITY_UNKNOWN"): has_saved and fruit == {"UNKNOWN"},
            ("OK", "STOPPED"): stopped,
            ("OK", "FINISHED"): completed,
        }
        return next((verdict for verdict, holds in rules.items() if holds), ("OK", "HEALTHY"))


@dataclass
class Row:
    """A series."""

    id: str
    restorability: str
    age: int
    older: int | None = None
    """The age of a restorable backup before the newest one."""
    objective: int | None = None

    def health(self, now: int, of_project: int | None) -> Verdict:
        """Return the state and the reason of its health."""
        newest = self.age if self.restorability == "RESTORABLE" else self.older
        allowed = self.objective or of_project
        if allowed and (
            self.restorability != "IN_PROGRESS" if newest is None else newest + now - NOW > allowed
        ):
            return "CRITICAL", "OBJECTIVE_MISSED"
        return {
            "BROKEN": ("CRITICAL", "NEWEST_BROKEN"),
            "EXPIRED": ("CRITICAL", "NEWEST_EXPIRED"),
            "FAILED": ("ATTENTION", "NEWEST_FAILED"),
            "UNKNOWN": ("UNKNOWN", "RESTORABILITY_UNKNOWN"),
        }.get(self.restorability, ("OK", "HEALTHY"))


@dataclass
class Estate:
    """A project's rows, written behind the gateway's back."""

    database: Database
    project: str = field(default_factory=fresh_project)
    rows: list[Any] = field(default_factory=list)

    def client(self, host: Host, *, is_central: bool = False, project: str | None = None) -> None:
        """Add a client, with its objective and its backups."""
        own = project or self.project
        texts = dict.fromkeys(
            (
                "supported_actions",
                "supported_modes",
                "supported_storages",
                "supported_engines",
            ),
            "[]",
        )
        created = at(NOW - host.age)
        self.rows.append(
            Client(
                project_id=own,
                id=host.id,
                user_id="u",
                is_central=is_central,
                created_at=created,
                **texts,
            )
        )
        seen = NOW - SILENT if host.is_silent else NOW
        self.rows.append(ClientHeartbeat(project_id=own, client_id=host.id, seen_at=seen))
        if host.objective:
            self.rows.append(
                RecoveryObjective(project_id=own, client_id=host.id, max_age=host.objective)
            )
        for number, (verdict, age) in enumerate(host.backups):
            self.backup(f"{host.id}-{number}", verdict, age, client_id=host.id)

    def backup(self, name: str, verdict: str, age: int, **columns: Any) -> None:
        """Add a backup on which there is a verdict."""
        self.rows.append(
            Backup(
                project_id=self.project,
                id=name,
                user_id="u",
                backup_name="b",
                backup_metadata="{}",
                time_stamp=NOW - age,
                restorability=verdict,
                derived_version=0,
                **columns,
            )
        )

    def job(self, task: Task, **columns: Any) -> None:
        """Add a job, with its action and its backups."""
        hosts = {"central": f"{self.project}-c", "central-silent": f"{self.project}-s"}
        given = {
            "project_id": self.project,
            "id": task.id,
            "user_id": "u",
            "job_schedule": "{}",
            "client_id": None if task.host is None else hosts.get(task.host, task.host),
            "status": task.status,
            "event": task.event,
            "schedule_interval": task.interval,
            "schedule_hour": task.hour,
            "schedule_end_date": task.end,
            "due_at": None if task.due is None else NOW + task.due,
            "due_fault": task.fault,
            "due_version": 0,
            "failures_in_a_row": task.failures,
            "failing_since": NOW - task.failures * DAY if task.failures else None,
            "last_run_start": NOW - HOUR if task.ran else None,
            "last_success_start": NOW - HOUR if task.succeeded else None,
        }
        self.rows.append(Job(**given | columns))
        self.rows.append(
            Action(
                project_id=self.project,
                id=task.id,
                user_id="u",
                freezer_action="{}",
                action="backup" if task.saves else "exec",
            )
        )
        self.rows.append(
            JobAction(project_id=self.project, job_id=task.id, position=0, action_id=task.id)
        )
        for number, verdict in enumerate(task.verdicts):
            self.backup(f"{task.id}-{number}", verdict, HOUR, job_id=task.id)

    def series(self, row: Row) -> None:
        """Add a series, with the backup before the newest one."""
        self.rows.append(
            Series(
                project_id=self.project,
                id=row.id,
                media="fs",
                hostname=row.id,
                newest_time=NOW - row.age,
                restorability=row.restorability,
            )
        )
        if row.older is not None:
            self.backup(row.id, "RESTORABLE", row.older, series=row.id, chain_time=NOW - row.older)
        if row.objective:
            self.rows.append(
                RecoveryObjective(project_id=self.project, series_id=row.id, max_age=row.objective)
            )

    def mute(self, until: int | None = None, **item: str) -> None:
        """Mute an item, since an hour."""
        self.rows.append(
            HealthMute(
                project_id=self.project,
                reason="known",
                user_id="u",
                user_name="somebody",
                muted_at=NOW - HOUR,
                muted_until=until,
                **item,
            )
        )

    async def write(self) -> None:
        """Write the rows, in the order of their foreign keys."""
        kinds: Sequence[Any] = (
            *(Client, Session, Job, Action, JobAction, Backup, Series),
            *(ClientHeartbeat, RecoveryObjective, HealthMute),
        )
        async with self.database.write(self.project) as transaction:
            for kind in kinds:
                for row in self.rows:
                    if type(row) is kind:
                        await transaction.insert(row)
        self.rows.clear()
