"""An ASGI application that does the least: fetch what Q1, Q2 and Q4 show, and write their bytes.

The first answer is rendered from its rows; every later one fetches the same rows again, and writes
the bytes of the first. It imports nothing of the gateway's.
"""

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

PROJECT = os.environ["FLOOR_PROJECT"]
AFTER = os.environ["FLOOR_AFTER"]
"""The backup after which Q4 begins."""
POOL = 10
"""Connections, as many as the gateway has by default."""

JOBS = """
SELECT id, description, schedule_interval, schedule_start_date, schedule_end_date, status, result,
       event, time_created, time_started
FROM jobs WHERE project_id = $1 ORDER BY description, id LIMIT 51
"""
ACTIONS = """
SELECT job_id, position, id, max_retries, max_retries_interval, user_id, freezer_action
FROM job_actions JOIN actions USING (project_id)
WHERE project_id = $1 AND job_id = ANY($2) AND id = action_id ORDER BY job_id, position
"""
_BACKUPS = """
SELECT id, status, backup_name, hostname, container, mode, storage, level, time_stamp,
       compressed_size, uncompressed_size, job_id, backup_metadata, sort_time
FROM backups WHERE project_id = $1 %s ORDER BY backup_name, sort_time, id LIMIT 101
"""
BACKUPS = _BACKUPS % ""
BACKUPS_AFTER = _BACKUPS % "AND (backup_name, sort_time, id) > ($2, $3, $4)"
CURSOR = "SELECT backup_name, sort_time, id FROM backups WHERE project_id = $1 AND id = $2"

Rows = Sequence[asyncpg.Record]
Message = dict[str, Any]

ready: dict[str, bytes] = {}
cursor: list[Any] = []
"""The values after which Q4 begins, as a cursor has them."""
pools: list[asyncpg.Pool] = []


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer /Q1, /Q2 and /Q4."""
    if scope["type"] == "lifespan":
        await receive()
        url = os.environ["FLOOR_DATABASE"]
        pools.append(await asyncpg.create_pool(url, max_size=POOL, reset=leave_as_it_is))
        cursor.extend(await pools[0].fetchrow(CURSOR, PROJECT, AFTER))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await pools[0].close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    key = scope["path"][1:]
    body = await {"Q1": jobs, "Q2": backups, "Q4": backups_after}.get(key, nothing)()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def leave_as_it_is(_connection: asyncpg.Connection) -> None:
    """Give a connection back without the query that would reset what nothing has set."""


async def nothing() -> bytes:
    """Answer any other path."""
    return b"{}"


async def jobs() -> bytes:
    """Fetch a page of jobs and their actions."""
    async with pools[0].acquire() as connection:
        rows = await connection.fetch(JOBS, PROJECT)
        shown = [row[0] for row in rows[:50]]
        actions = await connection.fetch(ACTIONS, PROJECT, shown)
    return ready.get("Q1") or _render("Q1", rows[:50], actions)


async def backups() -> bytes:
    """Fetch a page of backups."""
    async with pools[0].acquire() as connection:
        rows = await connection.fetch(BACKUPS, PROJECT)
    return ready.get("Q2") or _render("Q2", rows[:100], ())


async def backups_after() -> bytes:
    """Fetch the page of backups after the cursor."""
    async with pools[0].acquire() as connection:
        rows = await connection.fetch(BACKUPS_AFTER, PROJECT, *cursor)
    return ready.get("Q4") or _render("Q4", rows[:100], ())


def _render(key: str, rows: Rows, actions: Rows) -> bytes:
    nodes = [dict(row) for row in rows]
    for node in nodes:
        if key != "Q1":
            node["metadata"] = json.loads(node.pop("backup_metadata"))
        else:
            node["actions"] = [
                dict(action) | {"freezer_action": json.loads(action["freezer_action"])}
                for action in actions
                if action["job_id"] == node["id"]
            ]
    page = {"edges": [{"cursor": node["id"], "node": node} for node in nodes]}
    ready[key] = json.dumps({"data": {"page": page}}).encode()
    return ready[key]
