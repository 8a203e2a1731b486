"""A catalogue in freezer-api's own tables, in an SQLite file, as its newest revision has them."""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REVISION = "7a3b9c1d2e4f"
WORDS = "varchar(255) DEFAULT '[\"backup\"]'"
TIMES = "created_at datetime, updated_at datetime, deleted_at datetime, deleted boolean"
TABLES: Mapping[str, str] = {
    "clients": f"""id varchar(255) PRIMARY KEY, project_id varchar(36),
        user_id varchar(64) NOT NULL, client_id varchar(255) NOT NULL,
        hostname varchar(128), description varchar(255),
        uuid varchar(36) NOT NULL, supported_actions {WORDS}, supported_modes {WORDS},
        supported_storages {WORDS}, supported_engines {WORDS}, is_central boolean DEFAULT 0""",
    "sessions": """id varchar(36) PRIMARY KEY, session_tag int, description varchar(255),
        hold_off int, schedule text, job text, project_id varchar(36), user_id varchar(64) NOT NULL,
        time_start int, time_end int, time_started int, time_ended int, status varchar(255),
        result varchar(255)""",
    "actions": """id varchar(36) PRIMARY KEY, action varchar(255) NOT NULL, project_id varchar(36),
        user_id varchar(64) NOT NULL, actionmode varchar(255), path_to_backup varchar(255),
        backup_name varchar(255), container varchar(255), timeout int, priority int,
        max_retries_interval int, max_retries int, mandatory boolean, log_file varchar(255),
        backup_metadata text""",
    "jobs": """id varchar(36) PRIMARY KEY, project_id varchar(36), user_id varchar(64) NOT NULL,
        schedule text, client_id varchar(255) NOT NULL, session_id varchar(36) NOT NULL,
        session_tag int, description varchar(255)""",
    "job_actions": """id varchar(36) PRIMARY KEY, job_id varchar(36) NOT NULL,
        action_id varchar(36) NOT NULL, position int""",
    "user_credentials": """id varchar(36) PRIMARY KEY, trust_id varchar(255) NOT NULL,
        trustor_user_id varchar(64) NOT NULL, job_id varchar(36) NOT NULL""",
    "action_reports": """id varchar(36) PRIMARY KEY, project_id varchar(36),
        user_id varchar(64) NOT NULL""",
    "backups": """id varchar(36) PRIMARY KEY, job_id varchar(36), project_id varchar(36),
        user_id varchar(64) NOT NULL, status varchar(64) NOT NULL DEFAULT 'available',
        backup_metadata text""",
}
METADATA: Mapping[str, Any] = {
    "backup_name": "etc",
    "container": "backups",
    "hostname": "web-1",
    "time_stamp": 1_700_000_000,
    "mode": "fs",
    "storage": "local",
    "engine_name": "tar",
    "curr_backup_level": 0,
}


class FreezerTables:
    """freezer-api's tables, to be filled row by row: `tables.backup("b1", status="odd")`."""

    def __init__(self, path: Path) -> None:
        """Make them in a new file."""
        self.path = path
        self.url = f"sqlite:///{path}"
        self._connection = sqlite3.connect(path, isolation_level=None)
        for name, columns in TABLES.items():
            self._connection.execute(f"CREATE TABLE {name} ({columns}, {TIMES})")
        self._connection.execute("CREATE TABLE alembic_version (version_num varchar(32))")
        self._connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISION,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def run(self, statement: str, *values: object) -> None:
        """Run a statement."""
        self._connection.execute(statement, values)

    def mark_deleted(self, table: str, time: str | None, column: str, value: str) -> None:
        """Mark rows as deleted at a time, as freezer-api deletes them."""
        text = f"UPDATE {table} SET deleted = 1, deleted_at = ? WHERE {column} = ?"  # noqa: S608 - our names
        self._connection.execute(text, (time, value))

    def insert(self, table: str, own_id: str, **values: object) -> None:
        """Insert a row of the project `p1`, which this time and user have made."""
        row = {
            "id": own_id,
            "project_id": "p1",
            "user_id": "u1",
            "created_at": "2026-01-01 00:00:00.000000",
            "deleted": 0,
        } | values
        if table in {"job_actions", "user_credentials"}:
            del row["project_id"], row["user_id"]
        marks = ", ".join("?" * len(row))
        text = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - columns
        self._connection.execute(text, [*row.values()])

    def client(self, client_id: str, **values: object) -> None:
        """Insert a client, whose uuid is its id."""
        own_id = str(values.pop("id", f"uuid-{client_id}"))
        given = {"client_id": client_id, "uuid": own_id, "hostname": client_id} | values
        self.insert("clients", own_id, **given)

    def session(self, own_id: str, **values: object) -> None:
        """Insert a session that has not run."""
        times = dict.fromkeys(("time_start", "time_end", "time_started", "time_ended"), -1)
        given = {"schedule": "{}", "status": "active", "hold_off": 30, "session_tag": 0}
        self.insert("sessions", own_id, **times | given | values)

    def action(self, own_id: str, **values: object) -> None:
        """Insert an action that backs up."""
        document = {"action": "backup", "mode": "fs", "backup_name": "etc", "container": "backups"}
        given = {
            "action": "backup",
            "actionmode": "fs",
            "backup_name": "etc",
            "container": "backups",
            "max_retries": 5,
            "max_retries_interval": 6,
            "mandatory": 0,
            "backup_metadata": json.dumps(document),
        }
        self.insert("actions", own_id, **given | values)

    def job(self, own_id: str, *action_ids: str, **values: object) -> None:
        """Insert a job with links to these actions."""
        given = {
            "schedule": json.dumps({"schedule_interval": "1 days", "status": "scheduled"}),
            "client_id": "web-1",
            "session_id": "",
            "session_tag": 0,
            "description": f"job {own_id}",
        }
        self.insert("jobs", own_id, **given | values)
        for position, action_id in enumerate(action_ids):
            self.link(own_id, action_id, position)

    def link(self, job_id: str, action_id: str, position: int) -> None:
        """Link an action to a job."""
        values = {"job_id": job_id, "action_id": action_id, "position": position}
        self.insert("job_actions", f"{job_id}-{position}", **values)

    def backup(self, own_id: str, metadata: object = METADATA, **values: object) -> None:
        """Insert a backup with this metadata, which may be a text of its own."""
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        self.insert("backups", own_id, backup_metadata=text, **values)
