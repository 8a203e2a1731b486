"""What a GET shows is taken back by POST and PATCH, and changes nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.app import create_app
from gateway.settings import load
from tests.rest.conftest import Ask, asking
from tests.support.apps import opened
from tests.support.lists import fresh_project

pytestmark = pytest.mark.anyio

Document = dict[str, Any]
Open = Callable[[], Awaitable[Ask]]

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
INTEGER = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGER | TEXT | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
IDS = ("job_id", "client_id", "backup_uuid")
OPEN = st.dictionaries(TEXT.map(lambda key: f"x{key}"), JSON, max_size=4)
METADATA = st.builds(
    lambda fixed, more: more | fixed,
    st.fixed_dictionaries(
        {"backup_name": TEXT.filter(bool), "container": st.just("c"), "hostname": st.just("h")},
        optional={
            "time_stamp": INTEGER | st.none(),
            "curr_backup_level": JSON,
            "backup_size_compressed": JSON,
            "mode": JSON,
            "user_name": JSON,
            "project_id": JSON,
            **dict.fromkeys(IDS, TEXT | st.none()),
        },
    ),
    OPEN,
)
DEFINITION = st.builds(
    lambda fixed, more: more | fixed,
    st.fixed_dictionaries(
        {},
        optional={
            "action": st.sampled_from(["backup", "exec"]),
            "mode": st.sampled_from(["fs", "mysql", None]),
            "backup_name": TEXT | st.none(),
            "path_to_backup": TEXT | st.none(),
            "cindernative_freezer_only": st.booleans() | st.none(),
            "timeout": JSON,
            "priority": JSON,
            "log_file": JSON,
            "storage": st.sampled_from(["swift", "", 5, [], None]),
        },
    ),
    OPEN,
)
ACTION = st.fixed_dictionaries(
    {"freezer_action": DEFINITION},
    optional={
        "max_retries": INTEGER,
        "max_retries_interval": INTEGER,
        "mandatory": st.booleans(),
    },
)
SCHEDULE = st.fixed_dictionaries(
    {},
    optional={
        "schedule_interval": st.sampled_from(["continuous", "5  minutes", "0 weeks"]),
        "schedule_start_date": st.sampled_from(["2027-03-29T02:30:00.000Z", "2027-03-29T02:30:00"]),
        "schedule_end_date": st.sampled_from(["2028-03-29T02:30:00+02:00"]),
        "schedule_date": st.sampled_from(["2028-03-29T02:30:00+02:00"]),
        "schedule_month": st.sampled_from(["", "*", "jan-mar"]),
        "schedule_hour": st.sampled_from(["", "*/2", "5,6"]),
        "status": st.sampled_from(["", "scheduled", "completed"]),
        "event": st.sampled_from(["", "start", "abort"]),
        "result": st.sampled_from(["", "fail"]),
        "time_started": INTEGER,
        "time_ended": INTEGER,
        "current_pid": INTEGER,
    },
)
JOB = st.fixed_dictionaries(
    {"job_actions": st.lists(ACTION, max_size=3), "job_schedule": SCHEDULE},
    optional={
        "description": TEXT.filter(lambda name: len(name.encode()) <= 64) | st.none(),
        "client_id": st.just("host"),
        "session_id": st.just("together"),
        "session_tag": INTEGER,
    },
)
WORDS = st.lists(st.sampled_from(["fs", "mysql"]), max_size=2)
CLIENT = st.fixed_dictionaries(
    {"client_id": st.sampled_from(["host", "prefix_host.example"])},
    optional={
        "hostname": st.just("host"),
        "description": TEXT,
        "uuid": TEXT,
        "is_central": st.just(value=False),
        "supported_modes": WORDS,
        "supported_storages": st.lists(TEXT, max_size=2),
    },
)
SESSION = st.fixed_dictionaries(
    {"schedule": SCHEDULE},
    optional={
        "description": TEXT | st.none(),
        "hold_off": INTEGER | st.none(),
        "session_tag": INTEGER,
        "result": st.sampled_from(["", "fail"]),
        **dict.fromkeys(("time_start", "time_end", "time_started", "time_ended"), INTEGER),
    },
)

examples = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.shrink, Phase.explain},  # every example asks an application
)


@pytest.fixture(params=["documented", "freezer-19"])
async def fresh(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Open]:
    """Return a function that opens a project that nothing is in, in a dialect."""
    app = create_app(load(database_url=database_url, rest_dialect=request.param))
    async with opened(app) as client:

        async def open_() -> Ask:
            return asking(client, fresh_project())

        yield open_


async def shown(ask: Ask, address: str) -> Document:
    """Return an item."""
    document: Document = (await ask(f"GET {address}")).json()
    return document


async def unchanged(ask: Ask, address: str, *requests: str) -> Document:
    """Send what an item shows back to it; return it, which must be as it was."""
    before = await shown(ask, address)
    for request in requests:
        await ask(f"{request} {address}", before, 201 if request == "POST" else 200)
        assert await shown(ask, address) == before, request
    return before


def without(document: Document, *keys: str) -> Document:
    return {key: value for key, value in document.items() if key not in keys}


@given(metadata=METADATA, status=st.sampled_from(["creating", "available", "error"]))
@examples
async def test_backups(metadata: Document, status: str, fresh: Open) -> None:
    ask = await fresh()
    made = await ask("POST backups", metadata | {"status": status}, 201)
    before = await unchanged(ask, f"backups/{made.json()['backup_id']}", "PATCH")
    again = await ask("POST backups", before, 201)
    after = await shown(ask, f"backups/{again.json()['backup_id']}")
    assert without(after, "backup_id") == without(before, "backup_id")


@given(action=ACTION)
@examples
async def test_actions(action: Document, fresh: Open) -> None:
    ask = await fresh()
    made = await ask("POST actions", action, 201)
    before = await unchanged(ask, f"actions/{made.json()['action_id']}", "PATCH", "POST")
    again = await ask("POST actions", without(before, "action_id"), 201)
    after = await shown(ask, f"actions/{again.json()['action_id']}")
    assert without(after, "action_id") == without(before, "action_id")


@given(job=JOB)
@examples
async def test_jobs(job: Document, fresh: Open) -> None:
    ask = await fresh()
    await ask("POST clients", {"client_id": "host"}, 201)
    await ask("POST clients", {"client_id": "another"}, 201)
    made = await ask("POST jobs", job, 201)
    before = await unchanged(ask, f"jobs/{made.json()['job_id']}", "PATCH", "POST")
    again = await ask("POST jobs", without(before, "job_id"), 201)
    after = await shown(ask, f"jobs/{again.json()['job_id']}")
    assert without(after, "job_id") == without(before, "job_id")
    # Their client is not asked again what it supports, and may have gone.
    await ask("POST clients", {"client_id": "host", "supported_actions": []}, 201)
    await unchanged(ask, f"jobs/{made.json()['job_id']}", "PATCH", "POST")
    await ask("DELETE clients/host", status=204)
    await unchanged(ask, f"jobs/{made.json()['job_id']}", "PATCH", "POST")


@given(client=CLIENT)
@examples
async def test_clients(client: Document, fresh: Open) -> None:
    ask = await fresh()
    await ask("POST clients", client, 201)
    before = await shown(ask, f"clients/{client['client_id']}")
    await ask("POST clients", before["client"], 201)
    assert await shown(ask, f"clients/{client['client_id']}") == before
    other = await fresh()
    await other("POST clients", before["client"], 201)
    after = await shown(other, f"clients/{client['client_id']}")
    assert after["client"] == before["client"]


@given(session=SESSION, joined=st.booleans())
@examples
async def test_sessions(session: Document, joined: bool, fresh: Open) -> None:  # noqa: FBT001
    ask = await fresh()
    made = await ask("POST sessions", session, 201)
    address = f"sessions/{made.json()['session_id']}"
    if joined:
        job_id = (await ask("POST jobs", {"job_actions": []}, 201)).json()["job_id"]
        await ask(f"PUT {address}/jobs/{job_id}", status=204)
        tag = (await shown(ask, address))["session_tag"]
        if tag < 2**63 - 1:
            start = {"start": {"job_id": job_id, "current_tag": tag}}
            await ask(f"POST {address}/action", start, 202)
            await unchanged(ask, f"jobs/{job_id}", "PATCH", "POST")
    before = await unchanged(ask, address, "PATCH", "POST")
    again = await ask("POST sessions", before, 201)
    after = await shown(ask, f"sessions/{again.json()['session_id']}")
    # A new session has no jobs, and hasn't run.
    own = ("session_id", "status", "jobs")
    assert without(after, *own) == without(before, *own)
