"""python-freezerclient: each command of `freezer` and of `openstack backup`, and what it prints."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .freezerclient import WORDS, Program
from .gateways import serving
from .keystone import Keystone

AGENT = {
    "backup_name": "nightly",
    "container": "backups",
    "hostname": "web1",
    "mode": "fs",
    "path_to_backup": "/srv",
    "time_stamp": 1700000000,
    "curr_backup_level": 2,
    "backup_uuid": "0b0e",
}
"""What an agent says of a backup."""

FREEZER_ACTION = {
    "action": "backup",
    "mode": "fs",
    "backup_name": "nightly",
    "path_to_backup": "/srv",
    "container": "backups",
    "storage": "swift",
    "log_file": "/var/log/freezer.log",
    "remove_older_than": 30,
    "snapshot": True,
}


@pytest.fixture(scope="module")
def gateway(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Run a gateway for the programs."""
    with serving(keystone, postgres_url, tmp_path_factory.mktemp("gateway")):
        yield


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("name", WORDS)
def test_every_command(name: str, keystone: Keystone, tmp_path: Path) -> None:
    program = Program(name, keystone, tmp_path)
    use_clients(program)
    use_backups(program)
    use_actions(program)
    use_jobs(program)
    use_sessions(program)
    commands = program.commands()
    assert len(commands) == 30
    assert program.called == commands


def use_clients(program: Program) -> None:
    assert program.listed("client-list") == []
    given = {"hostname": "web1", "description": "a web server", "uuid": "5f0e"}
    web = {"Client ID": "web1", "Client UUID": "5f0e", "hostname": "web1"}
    web["description"] = "a web server"
    made = program.shown("client-register", "--file", program.file(given | {"client_id": "web1"}))
    assert made == web
    assert program.shown("client-show", "web1") == web
    program.run("client-register", "--file", program.file({"client_id": "web2"}))
    rows = program.listed("client-list")
    assert [row["Client ID"] for row in rows] == ["web1", "web2"]
    assert rows[0] == {
        "Client ID": "web1",
        "uuid": "5f0e",
        "hostname": "web1",
        "description": "a web server",
    }
    assert ids(program, "client-list", "Client ID", "--search", "web server") == ["web1"]
    assert ids(program, "client-list", "Client ID", "--limit", 1) == ["web1"]
    assert ids(program, "client-list", "Client ID", "--limit", 1, "--offset", 1) == ["web2"]
    assert ids(program, "client-list", "Client ID", "--search", '[{"hostname": "web1"}]') == [
        "web1"
    ]
    program.run("client-delete", "web2")
    assert ids(program, "client-list", "Client ID") == ["web1"]
    assert "Client not found" in program.run("client-show", "web2", fails=True)
    refused = program.run("client-delete", "web2", fails=True)
    assert "[*] Error 404: no client with the id 'web2'" in refused


def use_backups(program: Program) -> None:
    assert program.listed("backup-list") == []
    made = program.shown("backup-create", "--file", program.file(AGENT))
    assert {**made, "Metadata": None} == {
        "Backup ID": "0b0e",
        "Project ID": program.project_id,
        "User ID": program.user_id,
        "Status": "available",
        "Metadata": None,
    }
    assert ast.literal_eval(made["Metadata"]) == AGENT
    program.run(
        "backup-create",
        "--file",
        program.file(AGENT | {"backup_name": "a", "hostname": "web2", "time_stamp": 1700000060}),
    )
    first, second = program.listed("backup-list")
    assert first == {
        "Backup ID": first["Backup ID"],
        "Backup UUID": "0b0e",
        "Hostname": "web1",
        "Path": "/srv",
        "Created at": "2023-11-14 22:13:20",
        "Status": "available",
        "Level": "2",
    }
    assert second["Hostname"] == "web2"
    assert program.shown("backup-show", first["Backup ID"]) == made
    assert ids(program, "backup-list", "Hostname", "--search", "web2") == ["web2"]
    # In the order of names, the second comes first.
    assert ids(program, "backup-list", "Hostname", "--limit", 1) == ["web2"]
    assert ids(program, "backup-list", "Hostname", "--limit", 1, "--offset", 1) == ["web1"]
    for row in (first, second):
        program.run("backup-delete", row["Backup ID"])
    assert program.listed("backup-list") == []
    assert "Backup not found" in program.run("backup-show", first["Backup ID"], fails=True)
    assert "[*] Error 404" in program.run("backup-delete", first["Backup ID"], fails=True)


def use_actions(program: Program) -> None:
    assert program.listed("action-list") == []
    made = program.shown(
        "action-create", "--file", program.file({"freezer_action": FREEZER_ACTION})
    )
    action_id = made["Action ID"]
    assert made == {
        "Action ID": action_id,
        "Name": "nightly",
        "Action": "backup",
        "Mode": "fs",
        "Path to Backup or Restore": "/srv",
        "Storage": "swift",
        "Snapshot": True,
        "Container": "backups",
        "Log_file": "/var/log/freezer.log",
        "Remove_older_than": 30,
        "Max_retries_interval": 6,
        "Max_retries": 5,
        "User_id": program.user_id,
        "Project_id": program.project_id,
    }
    assert program.shown("action-show", action_id) == made
    assert program.listed("action-list") == [
        {
            "Action ID": action_id,
            "Name": "nightly",
            "Action": "backup",
            "Path to Backup or Restore": "/srv",
            "Mode": "fs",
            "Storage": "swift",
            "snapshot": "True",
        }
    ]
    assert ids(program, "action-list", "Action ID", "--search", "night") == [action_id]
    assert ids(program, "action-list", "Action ID", "--search", "day") == []
    change = {"freezer_action": {"path_to_backup": "/etc"}, "max_retries": 1}
    changed = program.shown("action-update", action_id, program.file(change))
    assert changed == made | {"Path to Backup or Restore": "/etc", "Max_retries": 1}
    program.run("action-delete", action_id)
    assert program.listed("action-list") == []
    assert "Action not found" in program.run("action-show", action_id, fails=True)


def use_jobs(program: Program) -> None:
    assert program.listed("job-list") == []
    document = {
        "description": "every night",
        "job_actions": [{"freezer_action": FREEZER_ACTION, "max_retries": 2}],
        "job_schedule": {"schedule_interval": "1 days"},
    }
    made = program.shown("job-create", "--file", program.file(document), "--client", "web1")
    job_id = made["Job ID"]
    (action,) = ast.literal_eval(made["Actions"])
    assert action["freezer_action"] == FREEZER_ACTION
    assert action["max_retries"] == 2
    assert made == {
        "Job ID": job_id,
        "Client ID": "web1",
        "User ID": program.user_id,
        "Session ID": "",
        "Description": "every night",
        "Actions": made["Actions"],
        "Start Date": "",
        "End Date": "",
        "Interval": "1 days",
        "Status": "",
        "Result": "",
        "Current pid": "",
        "Event": "",
    }
    assert program.shown("job-show", job_id) == made
    assert program.listed("job-list") == [
        {
            "Job ID": job_id,
            "Description": "every night",
            "# Actions": "1",
            "Result": "",
            "Status": "",
            "Event": "",
            "Session ID": "",
        }
    ]
    for arguments in ((), ("--no-format",)):
        got = ast.literal_eval(program.run("job-get", job_id, *arguments))
        assert got["job_id"] == job_id
        assert got["job_schedule"]["schedule_interval"] == "1 days"
        assert got["job_actions"] == [action]
    for verb in ("start", "stop", "abort"):
        program.run(f"job-{verb}", job_id)
        assert program.shown("job-show", job_id)["Event"] == verb
    change = {"description": "every other night", "job_schedule": {"schedule_interval": "2 days"}}
    changed = program.shown("job-update", job_id, program.file(change))
    assert changed["Description"] == "every other night"
    assert changed["Interval"] == "2 days"
    assert changed["Event"] == "abort"
    assert changed["Actions"] == made["Actions"]
    for arguments, found in (
        (("--client", "web1"), [job_id]),
        (("--client", "web2"), []),
        (("--search", "other"), [job_id]),
        (("--search", "weekly"), []),
        (("--limit", 1, "--offset", 1), []),
    ):
        assert ids(program, "job-list", "Job ID", *arguments) == found
    refused = program.run("job-list", "--all-projects", fails=True)
    assert "[*] Error 403" in refused
    assert ids(program, "job-list", "Job ID", "--all-projects", user="ada") == [job_id]
    refused = program.run("job-create", "--file", program.file(document), "-C", "web9", fails=True)
    assert "[*] Error 422: no client with the id 'web9'" in refused
    program.run("job-delete", job_id)
    program.run("action-delete", action["action_id"])
    assert program.listed("job-list") == []
    assert "Job not found" in program.run("job-show", job_id, fails=True)


def use_sessions(program: Program) -> None:
    assert program.listed("session-list") == []
    schedule = {"schedule_interval": "5 minutes"}
    document = {"description": "both together", "hold_off": 60, "schedule": schedule}
    made = program.shown("session-create", "--file", program.file(document))
    session_id = made["Session ID"]
    assert ast.literal_eval(made["Schedule"]) == schedule
    assert made == {
        "Session ID": session_id,
        "Session tag": 0,
        "Description": "both together",
        "Status": "active",
        "Result": None,
        "Jobs": "{}",
        "Hold off": 60,
        "Schedule": made["Schedule"],
        "Last start": None,
        "Time start": -1,
        "Time end": -1,
        "Project id": program.project_id,
        "User id": program.user_id,
    }
    assert program.shown("session-show", session_id) == made
    assert program.listed("session-list") == [
        {
            "Session ID": session_id,
            "Description": "both together",
            "Status": "active",
            "Result": "",
            "# Jobs": "0",
        }
    ]
    job = program.file({"description": "one of both", "job_actions": [], "job_schedule": {}})
    job_id = program.shown("job-create", "--file", job, "--client", "web1")["Job ID"]
    both = ("--session-id", session_id, "--job-id", job_id)
    program.run("session-add-job", *both)
    assert ast.literal_eval(program.shown("session-show", session_id)["Jobs"]) == {
        job_id: {
            "client_id": "web1",
            "status": "",
            "result": "",
            "time_started": -1,
            "time_ended": -1,
        }
    }
    shown = program.shown("job-show", job_id)
    assert (shown["Session ID"], shown["Interval"]) == (session_id, "5 minutes")
    assert program.listed("session-list")[0]["# Jobs"] == "1"
    program.run("session-start", *both, "--job-tag", 0)
    started = program.shown("session-show", session_id)
    assert (started["Session tag"], started["Status"]) == (1, "running")
    assert started["Time start"] > 0
    assert ast.literal_eval(started["Jobs"])[job_id]["status"] == "running"
    refused = program.run("session-start", *both, "--job-tag", 5, fails=True)
    assert "[*] Error 400" in refused
    change = program.file(
        {"description": "both, later", "schedule": {"schedule_interval": "1 days"}}
    )
    changed = program.shown("session-update", session_id, change)
    assert changed["Description"] == "both, later"
    assert ast.literal_eval(changed["Schedule"]) == {"schedule_interval": "1 days"}
    assert changed["Jobs"] == started["Jobs"]
    assert ids(program, "session-list", "Session ID", "--search", "later") == [session_id]
    program.run("session-remove-job", *both)
    shown = program.shown("job-show", job_id)
    assert (shown["Session ID"], shown["Event"]) == ("", "stop")
    assert program.shown("session-show", session_id)["Jobs"] == "{}"
    program.run("session-delete", session_id)
    assert program.listed("session-list") == []
    assert "Session not found" in program.run("session-show", session_id, fails=True)
    program.run("job-delete", job_id)
    program.run("client-delete", "web1")


def ids(program: Program, command: str, column: str, *arguments: object, **more: Any) -> list[str]:
    """Return one column of a list."""
    return [row[column] for row in program.listed(command, *arguments, **more)]
