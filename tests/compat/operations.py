"""The operations whose costs are known: what each program does, and GraphQL that does the same."""

from dataclasses import dataclass
from pathlib import Path

DOCUMENTS = Path(__file__).parent / "documents"


@dataclass(frozen=True)
class Operation:
    """What a program does; where GraphQL does the same, so is a file in `documents/` called."""

    program: str
    what: str


SCHEDULER = "freezer-scheduler and freezer-agent 19.0.0"
FREEZERCLIENT = "python-freezerclient 6.5.0"
HORIZON = "freezer-web-ui 19.0.0 in Horizon 27.0.0"

OPERATIONS = {
    "scheduler-register": Operation(SCHEDULER, "the scheduler registers its host"),
    "scheduler-first-poll": Operation(SCHEDULER, "finds 200 jobs, and schedules them"),
    "scheduler-poll": Operation(SCHEDULER, "asks for its 200 jobs, as it does every minute"),
    "scheduler-run": Operation(SCHEDULER, "runs a job, from its discovery to its end"),
    "agent-backup": Operation(SCHEDULER, "registers a backup that the agent has made"),
    "freezerclient-client-list": Operation(FREEZERCLIENT, "`freezer client-list`, 20 clients"),
    "freezerclient-client-show": Operation(FREEZERCLIENT, "`freezer client-show`"),
    "freezerclient-job-list": Operation(FREEZERCLIENT, "`freezer job-list`, 200 jobs"),
    "freezerclient-job-show": Operation(FREEZERCLIENT, "`freezer job-show`"),
    "freezerclient-job-create": Operation(FREEZERCLIENT, "`freezer job-create`"),
    "freezerclient-job-start": Operation(FREEZERCLIENT, "`freezer job-start`"),
    "freezerclient-job-delete": Operation(FREEZERCLIENT, "`freezer job-delete`"),
    "freezerclient-action-list": Operation(FREEZERCLIENT, "`freezer action-list`, 200 actions"),
    "freezerclient-backup-create": Operation(FREEZERCLIENT, "`freezer backup-create`"),
    "freezerclient-backup-list": Operation(FREEZERCLIENT, "`freezer backup-list`, 200 backups"),
    "freezerclient-backup-show": Operation(FREEZERCLIENT, "`freezer backup-show`"),
    "freezerclient-session-create": Operation(FREEZERCLIENT, "`freezer session-create`"),
    "freezerclient-session-add-job": Operation(FREEZERCLIENT, "`freezer session-add-job`"),
    "freezerclient-session-list": Operation(FREEZERCLIENT, "`freezer session-list`, 20 sessions"),
    "horizon-clients": Operation(HORIZON, "the panel of some 20 clients"),
    "horizon-jobs": Operation(HORIZON, "the panel of jobs, which shows 100"),
    "horizon-backups": Operation(HORIZON, "the panel of some 200 backups"),
    "horizon-sessions": Operation(HORIZON, "the panel of some 20 sessions"),
    "horizon-job-form": Operation(
        HORIZON, "opens the form of a job: some 200 actions and 20 clients"
    ),
    "horizon-job-create": Operation(HORIZON, "saves it, for three clients: three jobs"),
    "horizon-job-clone": Operation(HORIZON, "copies a job"),
    "horizon-job-actions": Operation(HORIZON, "gives a job another action"),
    "horizon-restore": Operation(HORIZON, "restores a backup: a job, started"),
}


def document(operation: str) -> str | None:
    """Return the GraphQL document that does what the operation does, if there is one."""
    file = DOCUMENTS / f"{operation}.graphql"
    return file.read_text() if file.exists() else None
