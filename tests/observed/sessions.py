"""Rows about sessions."""

from typing import Unpack

from .case import Case, Expected, case

ABSENT_ITEM = "§4: DELETE of an absent item is 404"
VERSION = "§4: version counts updates"

SESSION = {
    "project_id": "<PA>",
    "session_id": "<s0>",
    "user_id": str,
    "description": "s",
    "session_tag": 0,
    "result": None,
    "hold_off": 30,
    "status": "active",
    "time_ended": -1,
    "time_end": -1,
    "time_started": -1,
    "time_start": -1,
    "schedule": {"schedule_interval": "5 minutes"},
}

ENDED = {"session_tag": 1, "result": "success", "status": "completed", "time_end": int}


def action(
    name: str,
    body: object,
    observed: int,
    status: int = 0,
    why: str = "",
    **expected: Unpack[Expected],
) -> Case:
    """Return a row that starts or ends the session."""
    request = "POST /v2/<PA>/sessions/<s0>/action"
    return case(name, request, observed, status, why, body=body, **expected)


MAKING: tuple[Case, ...] = (
    case(
        "session create",
        "POST /v2/<PA>/sessions",
        201,
        body={
            "description": "s",
            "hold_off": 30,
            "schedule": {"schedule_interval": "5 minutes"},
        },
        save={"s0": "session_id"},
        has={"session_id": str},
    ),
    case("session get", "GET /v2/<PA>/sessions/<s0>", 200, has=SESSION),
    case("session list", "GET /v2/<PA>/sessions", 200, rows=1, includes=SESSION),
    case("session POST {}", "POST /v2/<PA>/sessions", 400, body={}),
    case(
        "session POST minimal",
        "POST /v2/<PA>/sessions",
        400,
        body={"description": "x"},
        names=("schedule",),
    ),
    case(
        "session POST no schedule, get",
        "GET /v2/<PA>/sessions?limit=1",
        200,
        rows=1,
        includes=SESSION,
    ),
    case(
        "session POST extra",
        "POST /v2/<PA>/sessions",
        400,
        body={"foo": 1},
        names=("schedule",),
    ),
)

JOBS: tuple[Case, ...] = (
    case("session add job", "PUT /v2/<PA>/sessions/<s0>/jobs/<j0>", 204),
    case(
        "session after add",
        "GET /v2/<PA>/sessions/<s0>",
        200,
        has=SESSION | {"jobs": {"<j0>": {"client_id": "<PA>_nodea9f3b1", "result": str}}},
    ),
    case(
        "job after add",
        "GET /v2/<PA>/jobs/<j0>",
        200,
        has={
            "job_schedule": {"schedule_interval": "5 minutes"},
            "client_id": "<PA>_nodea9f3b1",
            "session_id": "<s0>",
            "session_tag": 0,
            "description": "rep",
        },
    ),
    case(
        "session add missing job",
        "PUT /v2/<PA>/sessions/<s0>/jobs/none",
        500,
        404,
        "§4: adding a missing job is 404",
        names=("none",),
    ),
    case(
        "session add job to missing session",
        "PUT /v2/<PA>/sessions/none/jobs/<j0>",
        404,
        names=("none",),
    ),
)

RUNNING: tuple[Case, ...] = (
    action(
        "session action start",
        {"start": {"job_id": "<j0>", "current_tag": 0}},
        202,
        has={"result": "success", "session_tag": 1},
    ),
    action(
        "session action start again (hold-off)",
        {"start": {"job_id": "<j0>", "current_tag": 0}},
        202,
        has={"result": "success", "session_tag": 1},
    ),
    action(
        "session action start tag too high",
        {"start": {"job_id": "<j0>", "current_tag": 9}},
        400,
        names=("9",),
    ),
    action(
        "session action start unknown job",
        {"start": {"job_id": "zz", "current_tag": 0}},
        400,
        names=("job_id",),
    ),
    action("session action start no params", {"start": None}, 500, 400, "§4: no 5xx"),
    action(
        "session action end",
        {"end": {"job_id": "<j0>", "current_tag": 1, "result": "success"}},
        202,
        has={"result": "success", "session_tag": 1},
    ),
    action(
        "session action end unknown job",
        {"end": {"job_id": "zz", "current_tag": 1, "result": "success"}},
        400,
        names=("job_id",),
    ),
    action("session action unknown", {"fly": {}}, 405, names=("fly",)),
    case("session action empty", "POST /v2/<PA>/sessions/<s0>/action", 400),
    case(
        "session after actions",
        "GET /v2/<PA>/sessions/<s0>",
        200,
        has=SESSION | ENDED | {"time_start": int},
    ),
    case(
        "session action missing",
        "POST /v2/<PA>/sessions/none/action",
        400,
        404,
        "§4: a missing item is 404",
        body={"start": {"job_id": "<j0>", "current_tag": 0}},
        names=("none",),
    ),
)

CHANGING: tuple[Case, ...] = (
    case(
        "session PATCH",
        "PATCH /v2/<PA>/sessions/<s0>",
        200,
        200,
        VERSION,
        body={"description": "p"},
        has={"session_id": "<s0>", "version": int},
    ),
    case(
        "session PATCH missing",
        "PATCH /v2/<PA>/sessions/none",
        404,
        body={"description": "p"},
        names=("none",),
    ),
    case(
        "session replace",
        "POST /v2/<PA>/sessions/<s0>",
        400,
        body={"description": "r", "schedule": {}},
        names=("session_tag",),
    ),
    case(
        "session after replace",
        "GET /v2/<PA>/sessions/<s0>",
        200,
        has=SESSION | ENDED | {"description": "p", "time_start": int},
    ),
    case("session remove job", "DELETE /v2/<PA>/sessions/<s0>/jobs/<j0>", 204),
    case(
        "job after remove",
        "GET /v2/<PA>/jobs/<j0>",
        200,
        has={
            "job_schedule": {"event": "stop"},
            "session_id": "",
            "session_tag": 0,
            "description": "rep",
        },
    ),
    case(
        "session remove job not in",
        "DELETE /v2/<PA>/sessions/<s0>/jobs/none",
        404,
        names=("none",),
    ),
    case(
        "session remove job missing session",
        "DELETE /v2/<PA>/sessions/none/jobs/<j0>",
        500,
        404,
        "§4: no 5xx, a missing item is 404",
        names=("none",),
    ),
    case("session GET missing", "GET /v2/<PA>/sessions/none", 404, names=("none",)),
    case("session DELETE missing", "DELETE /v2/<PA>/sessions/none", 204, 404, ABSENT_ITEM),
    case("session delete", "DELETE /v2/<PA>/sessions/<s0>", 204),
)

SESSIONS = MAKING + JOBS + RUNNING + CHANGING
