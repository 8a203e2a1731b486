"""An estate as it lies in the database, and the query of a dashboard about it."""

from collections.abc import Sequence
from typing import Any

from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session
from gateway.db.database import Database
from tests.support.lists import store

ISSUE = """
query($first: Int!) {
  jobs(first: $first) { nodes {
    description status
    schedule { interval date startDate endDate event timeCreated }
    actions { nodes { action mode backupName } }
    backups(last: 3, orderBy: {field: TIME_STAMP}) { nodes { backupName timeStamp level } }
  } }
}
"""


async def estate(database: Database, count: int, each: int = 4) -> None:
    """Store jobs of three clients, in two sessions, with two actions and some backups each."""
    able = dict.fromkeys(
        ("supported_actions", "supported_modes", "supported_storages", "supported_engines"), "[]"
    )
    hosts = [
        {"id": f"c{n}", "uuid": "u", "hostname": f"h{n}", "is_central": False} for n in range(3)
    ]
    await put(database, Client, [host | able for host in hosts])
    together = {
        "description": "s",
        "hold_off": 1,
        "session_tag": 0,
        "schedule": "{}",
        "job_states": "{}",
    }
    await put(database, Session, [together | {"id": f"s{n}"} for n in range(2)])
    doing = {"freezer_action": '{"action":"backup"}', "action": "backup", "mandatory": False}
    tries = {"max_retries": 5, "max_retries_interval": 6}
    await put(database, Action, [doing | tries | {"id": f"a{n}"} for n in range(count * 2)])
    names = [f"j{n:04}" for n in range(count)]
    await put(
        database,
        Job,
        [
            {"id": name, "description": name, "client_id": f"c{n % 3}", "session_id": f"s{n % 2}"}
            | {"job_schedule": "{}", "schedule_interval": "1 days", "session_tag": 0}
            for n, name in enumerate(names)
        ],
    )
    links = [(name, place, n * 2 + place) for n, name in enumerate(names) for place in (0, 1)]
    await store(
        database,
        JobAction,
        "p1",
        [{"job_id": job, "position": place, "action_id": f"a{n}"} for job, place, n in links],
    )
    await put(
        database,
        Backup,
        [
            {"id": f"{name}-{n}", "job_id": name, "client_id": "c1", "backup_name": "n", "level": n}
            | {"status": "available", "backup_metadata": '{"a":1}', "time_stamp": n, "sort_time": n}
            for name in names
            for n in range(each)
        ],
    )


async def put(database: Database, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    await store(database, table, "p1", [row | {"user_id": "u"} for row in rows])
