"""freezer-web-ui's module `api`: what Horizon's panels and forms call, with what they call it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .estate import Estate
from .gateways import serving
from .horizon import Failed, WebUI, signed_in
from .keystone import Keystone

ACTION_FORM = {
    "action_id": "",
    "action": "backup",
    "mode": "fs",
    "storage": "swift",
    "engine_name": "tar",
    "path_to_backup": "/srv",
    "container": "backups",
    "mysql_conf": "",
    "snapshot": True,
    "max_retries": 2,
    "max_retries_interval": 5,
    "mandatory": True,
    "os_identity_api_version": "3",
    "compression": "gzip",
    "no_incremental": False,
    "max_level": 0,
    "exclude": "",
}
"""What the form of an action sends, but for the name."""

JOB_FORM = {
    "job_id": "",
    "schedule_start_date": "2030-01-02T03:04:05",
    "schedule_interval": "1 days",
    "schedule_end_date": "",
}
"""What the form of a job sends, but for its name, actions and clients."""

AGENT = {
    "container": "backups",
    "hostname": "web1.example",
    "mode": "fs",
    "path_to_backup": "/srv",
    "time_stamp": 1700000000,
    "curr_backup_level": 2,
    "storage": "swift",
}
"""What an agent says of a backup, but for its name."""

MADE = """
{name}: registerBackup(
  input: {{metadata: {{backup_name: "{name}", container: "c", hostname: "h"}}}}
) {{ __typename }}
"""


@pytest.fixture(scope="module")
def estate(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estate]:
    """Run a gateway whose project has three clients."""
    with (
        serving(keystone, postgres_url, tmp_path_factory.mktemp("gateway")) as gateway,
        Estate(gateway, keystone) as estate,
    ):
        for client_id in ("db1", "web1", "web10"):
            estate.post("clients", {"client_id": client_id, "hostname": f"{client_id}.example"})
        yield estate


@pytest.fixture(scope="module")
def ui(estate: Estate, keystone: Keystone) -> Iterator[WebUI]:  # noqa: ARG001 - it is asked
    """Sign in to Horizon."""
    with signed_in(keystone, "alice") as ui:
        yield ui


def column(rows: list[dict[str, Any]], key: str) -> list[Any]:
    return [row[key] for row in rows]


def uuids(ui: WebUI) -> dict[str, str]:
    """Return what the form of a job calls each client."""
    return {client["client_id"]: client["uuid"] for client in ui("Client.list")}


def action(ui: WebUI, name: str, **other: object) -> str:
    """Create an action by its form; return its id."""
    made: str = ui("Action.create", ACTION_FORM | {"backup_name": name} | other)
    return made


def test_clients(ui: WebUI, estate: Estate) -> None:
    listed = ui("Client.list")
    assert column(listed, "client_id") == ["db1", "web1", "web10"]
    assert column(listed, "project_id") == [estate.project] * 3
    for text, found in (
        ("web", ["web1", "web10"]),
        ("web1", ["web1", "web10"]),
        ("db1.example", ["db1"]),
        (listed[1]["uuid"], ["web1"]),
        ("mail", []),
    ):
        assert column(ui("Client.list", search=text), "client_id") == found
    assert ui("Client.get", "db1") == listed[0]
    estate.post("clients", {"client_id": "old"})
    ui("Client.delete", "old")
    assert ui("Client.list") == listed


def test_actions(ui: WebUI) -> None:
    action_id = action(ui, "my data")
    shown = ui("Action.get", action_id)
    # The form wants no spaces in names.
    assert shown["backup_name"] == "my_data"
    assert (shown["max_retries"], shown["max_retries_interval"]) == (2, 5)
    assert shown["mandatory"] is True
    other = action(ui, "volume", mode="cindernative", cindernative_vol_id="5f0e")
    assert set(column(ui("Action.list"), "backup_name")) == {"my_data", "volume"}
    assert column(ui("Action.list", search="data"), "action_id") == [action_id]
    assert ui("Action.list", search="nowhere") == []
    change = ACTION_FORM | {"backup_name": "etc", "path_to_backup": "/etc", "max_retries": 7}
    ui("Action.update", change, action_id)
    shown = ui("Action.get", action_id)
    assert (shown["backup_name"], shown["path_to_backup"]) == ("etc", "/etc")
    assert (shown["max_retries"], shown["container"]) == (7, "backups")
    ui("Action.delete", other)
    ui("Action.delete", action_id)
    assert ui("Action.list") == []


def test_jobs(ui: WebUI, estate: Estate) -> None:
    names = ["dump", "files", "sweep"]
    modes = {"dump": "mysql", "files": "fs", "sweep": "fs"}
    ids = {name: action(ui, name, mode=modes[name]) for name in names}
    called = uuids(ui)
    form = JOB_FORM | {
        "description": "nightly",
        "actions": "===".join(ids.values()),
        "clients": [called["web1"], called["db1"]],
    }
    assert ui("Job.create", form) is True
    # Each client has a job of its own, which waits to be started.
    first, second = estate.jobs("nightly")
    assert (first["clientId"], second["clientId"]) == ("db1", "web1")
    for job in (first, second):
        assert column(job["actions"]["nodes"], "backupName") == names
        assert job["schedule"]["interval"] == "1 days"
        assert job["schedule"]["startDate"].startswith("2030-01-02T03:04:05")
        assert job["event"] == "STOP"
    job_id = second["jobId"]
    listed = ui("Job.list", search="night")
    assert {row["job_id"] for row in listed} == {first["jobId"], job_id}
    assert column(ui("Job.list", search="db1"), "client_id") == ["db1"]
    assert ui("Job.list", search="weekly") == []
    assert (ui("Job.get", job_id)["client_id"], ui("Job.get", job_id)["event"]) == ("web1", "stop")

    ui("Job.clone", job_id)
    (clone,) = estate.jobs("nightly_clone")
    assert clone | {"jobId": job_id, "description": "nightly"} == second

    change = JOB_FORM | {"job_id": job_id, "description": "weekly", "schedule_interval": "1 weeks"}
    ui("Job.update", job_id, change)
    ui("Job.update_actions", job_id, "===".join((ids["files"], ids["dump"])))
    (changed,) = estate.jobs("weekly")
    assert (changed["clientId"], changed["schedule"]["interval"]) == ("web1", "1 weeks")
    assert column(ui("Job.actions", job_id), "backup_name") == ["files", "dump"]
    ui("Job.delete_action", f"{ids['files']}==={job_id}")
    assert column(ui("Job.actions", job_id, api=True), "action_id") == [ids["dump"]]

    for verb in ("start", "stop"):
        ui(f"Job.{verb}", job_id)
        assert ui("Job.get", job_id)["event"] == verb
    for job in ui("Job.list"):
        ui("Job.delete", job["job_id"])
    assert ui("Job.list") == []
    for action_id in ids.values():
        ui("Action.delete", action_id)


def test_sessions(ui: WebUI, estate: Estate) -> None:
    called = uuids(ui)
    clients = [called["db1"], called["web1"]]
    ui("Job.create", JOB_FORM | {"description": "part", "actions": "", "clients": clients})
    both = column(estate.jobs("part"), "jobId")
    session_id = ui(
        "Session.create",
        {"session_id": "", "description": "all hosts", "schedule_interval": "2 days", "jobs": both},
    )
    for job_id in both:
        ui("Session.add_job", session_id, job_id)
    jobs = ui("Session.jobs", session_id)
    assert {(job["job_id"], job["client_id"]) for job in jobs} == set(
        zip(both, ("db1", "web1"), strict=True)
    )
    assert column(jobs, "result") == ["pending", "pending"]
    (listed,) = ui("Session.list")
    assert (listed["description"], listed["status"]) == ("all hosts", "active")
    assert listed["schedule_interval"] == "2 days"
    assert ui("Session.list", search="all") == [listed]
    assert ui("Session.list", search="no hosts") == []
    change = {"description": "two hosts", "schedule_interval": "3 days", "schedule_end_date": ""}
    ui("Session.update", change, session_id)
    shown = ui("Session.get", session_id)
    assert (shown["description"], shown["schedule_interval"]) == ("two hosts", "3 days")
    # Horizon starts no session; it starts the jobs, whose schedulers start it.
    ui("Job.start", both[0])
    ui("Session.remove_job", session_id, both[0])
    assert column(ui("Session.jobs", session_id), "job_id") == both[1:]
    ui("Session.delete", session_id)
    assert ui("Session.list") == []
    assert column(estate.jobs("part"), "sessionId") == [None, None]
    for job_id in both:
        ui("Job.delete", job_id)


def test_backups(ui: WebUI, estate: Estate) -> None:
    by_ssh = {"storage": "ssh", "ssh_host": "store", "ssh_key": "/k", "ssh_username": "u"}
    for name, other in (("etc", {}), ("home", by_ssh)):
        estate.post("backups", AGENT | {"backup_name": name} | other)
    etc, home = ui("Backup.list")
    assert (etc["backup_name"], home["backup_name"]) == ("etc", "home")
    assert (etc["hostname"], etc["curr_backup_level"]) == ("web1.example", 2)
    assert column(ui("Backup.list", search="hom"), "backup_id") == [home["backup_id"]]
    assert ui("Backup.list", search="nowhere") == []
    assert ui("Backup.get", home["backup_id"]) == home

    form = {"backup_id": home["backup_id"], "client": "db1", "path": "/tmp/here"}  # noqa: S108
    ui("Backup.restore", form)
    (job,) = estate.jobs("Restore home for db1")
    assert (job["clientId"], job["event"]) == ("db1", "START")
    (restoring,) = ui("Job.actions", job["jobId"], api=True)
    wanted = {
        "action": "restore",
        "backup_name": "home",
        "restore_abs_path": "/tmp/here",  # noqa: S108 - it is on no disk
        "restore_from_host": "web1.example",
        "container": "backups",
        "ssh_port": 22,
    } | by_ssh
    assert restoring["freezer_action"].items() >= wanted.items()

    for backup in (etc, home):
        ui("Backup.delete", backup["backup_id"])
    assert ui("Backup.list") == []
    ui("Job.delete", job["jobId"])
    ui("Action.delete", restoring["action_id"])


def test_lists_end_where_horizon_ends_them(ui: WebUI, estate: Estate) -> None:
    names = [f"b{number:03}" for number in range(620)]
    for start in range(0, len(names), 5):
        estate.graphql(
            "mutation {"
            + " ".join(MADE.format(name=name) for name in names[start : start + 5])
            + "}"
        )
    # The panel asks for 500 and shows no second page. Whoever asks for more gets more.
    assert column(ui("Backup.list"), "backup_name") == names[:500]
    assert column(ui("Backup.list", offset=500), "backup_name") == names[500:]
    assert column(ui("Backup.list", limit=1000), "backup_name") == names
    assert column(ui("Backup.list", search="b619"), "backup_name") == ["b619"]


def test_each_page_brings_a_token_of_its_own(ui: WebUI, keystone: Keystone) -> None:
    before = keystone.validations()
    for _ in range(3):
        ui("Client.list")
    assert keystone.validations() == before + 3


def test_what_is_gone(ui: WebUI) -> None:
    for kind in ("Job", "Action", "Client", "Session"):
        # freezerclient returns None for it, which nobody looks at.
        with pytest.raises(Failed, match="'NoneType' object has no attribute 'get'"):
            ui(f"{kind}.get", "gone")
    with pytest.raises(Failed, match="IndexError: list index out of range"):
        ui("Backup.get", "gone")
    with pytest.raises(Failed, match="Error 404: no job with the id 'gone'"):
        ui("Job.delete", "gone")


def test_a_job_without_a_client(ui: WebUI, estate: Estate) -> None:
    job_id = estate.post("jobs", {"description": "whose?", "job_actions": []})["job_id"]
    # As published, it has no client; freezer-web-ui looks for a project in its name.
    with pytest.raises(Failed, match="TypeError: expected string or bytes-like object"):
        ui("Job.list")
    ui("Job.delete", job_id)


def test_a_job_without_a_client_in_freezer_apis_dialect(
    keystone: Keystone, postgres_url: str, tmp_path: Path
) -> None:
    with (
        serving(keystone, postgres_url, tmp_path, rest_dialect="freezer-19") as gateway,
        Estate(gateway, keystone) as estate,
        signed_in(keystone, "alice") as ui,
    ):
        job_id = estate.post("jobs", {"description": "whose?", "job_actions": []})["job_id"]
        (listed,) = ui("Job.list")
        assert (listed["job_id"], listed["client_id"]) == (job_id, "")
        action_id = action(ui, "etc")
        ui("Job.update_actions", job_id, action_id)
        assert column(ui("Job.actions", job_id), "action_id") == [action_id]
