"""Rows about creating jobs."""

from typing import Any, Unpack

from .actions import FREEZER_ACTION, WHOLE_ACTION
from .case import MISSING, Case, Row, case, step

NODE = "<PA>_nodea9f3b1"

JOB = {
    "client_id": NODE,
    "job_actions": [
        {"freezer_action": FREEZER_ACTION, "max_retries": 1, "max_retries_interval": 1}
    ],
    "job_schedule": {},
    "description": "d",
}

JOB_SHOWN = {
    "job_id": str,
    "project_id": "<PA>",
    "user_id": str,
    "job_schedule": {
        "event": "",
        "time_created": int,
        "time_started": -1,
        "time_ended": -1,
        "current_pid": MISSING,
    },
    "client_id": NODE,
    "session_id": "",
    "session_tag": 0,
    "description": "d",
    "job_actions": [WHOLE_ACTION],
}

ALIKE_TYPES = "§4: a wrong JSON type is 400"
MALFORMED = "§4: malformed JSON is 400"
EVENT_SHOWN = "§4: job documents always carry `event`"
NO_5XX = "§4: the value works, or 400 naming it"


def posted(name: str, observed: int, status: int = 0, why: str = "", **row: Unpack[Row]) -> Case:
    """Return a row that posts a job."""
    return case(name, "POST /v2/<PA>/jobs", observed, status, why, **row)


def changed(**changes: object) -> dict[str, Any]:
    """Return the job with other or further keys."""
    return JOB | changes


def without(key: str) -> dict[str, Any]:
    """Return the job without the key."""
    return {name: value for name, value in JOB.items() if name != key}


FIRST: tuple[Case, ...] = (
    posted(
        "job create",
        201,
        body=JOB,
        save={"j0": "job_id"},
        has={"job_id": str},
        location="/v2/<PA>/jobs/<j0>",
    ),
    case(
        "job get",
        "GET /v2/<PA>/jobs/<j0>",
        200,
        200,
        EVENT_SHOWN,
        save={"USER": "user_id"},
        has=JOB_SHOWN | {"job_id": "<j0>"},
    ),
    case(
        "job list",
        "GET /v2/<PA>/jobs",
        200,
        200,
        EVENT_SHOWN,
        rows=1,
        includes=JOB_SHOWN | {"job_id": "<j0>"},
    ),
)

BODIES: tuple[Case, ...] = (
    posted("job POST empty", 400),
    posted("job POST {}", 400, body={}, names=("job_actions",)),
    posted("job POST []", 500, 400, ALIKE_TYPES, body=[]),
    posted("job POST null", 500, 400, ALIKE_TYPES, body=None),
    posted("job POST invalid json", 753, 400, MALFORMED, raw=b"{"),
    posted(
        "job POST no client",
        400,
        201,
        "§3: a job without client_id is accepted",
        body=without("client_id"),
        save={"unassigned": "job_id"},
        has={"job_id": str},
    ),
    posted(
        "job POST unknown client",
        422,
        body=changed(client_id="zzz"),
        names=("zzz",),
    ),
    posted("job POST no actions key", 400, body={"client_id": NODE}, names=("job_actions",)),
    posted(
        "job POST actions []",
        201,
        body=changed(job_actions=[]),
        save={"actionless": "job_id"},
        has={"job_id": str},
    ),
    posted(
        "job POST action_id unknown",
        422,
        body=changed(job_actions=[{"action_id": "d0" * 16}]),
        names=("d0" * 16,),
    ),
    posted(
        "job POST action_id known",
        201,
        body=changed(job_actions=[{"action_id": "<a0>"}]),
        save={"referring": "job_id"},
        has={"job_id": str},
    ),
    posted(
        "job POST action_id known, different def",
        422,
        body=changed(
            job_actions=[
                {
                    "action_id": "<a0>",
                    "freezer_action": FREEZER_ACTION | {"path_to_backup": "/different"},
                }
            ]
        ),
        names=("<a0>",),
    ),
    posted(
        "job POST unsupported by client",
        422,
        body=changed(client_id="lima9f3b1"),
        names=("lima9f3b1", "backup"),
    ),
    posted("job POST extra prop", 400, body=changed(foo=1), names=("foo",)),
    posted(
        "job POST bad schedule",
        400,
        body=changed(job_schedule={"schedule_interval": "soon"}),
        names=("soon",),
    ),
    posted(
        "job POST bad date",
        400,
        body=changed(job_schedule={"schedule_date": "x"}),
        names=("schedule_date",),
    ),
    posted("job POST schedule extra", 400, body=changed(job_schedule={"foo": 1}), names=("foo",)),
)

IDS: tuple[Case, ...] = (
    posted(
        "job POST own job_id",
        201,
        body=changed(job_id="0b" * 16),
        save={"own": "job_id"},
        has={"job_id": "0b" * 16},
    ),
    posted("job POST dup job_id", 409, body=changed(job_id="<j0>"), names=("<j0>",)),
    posted(
        "job POST job_id 40",
        500,
        201,
        "§4: an id longer than freezer-api's column works",
        body=changed(job_id="b" * 40),
        save={"long": "job_id"},
        has={"job_id": "b" * 40},
    ),
    posted(
        "job POST job_id not hex",
        201,
        body=changed(job_id="helloa9f3b1"),
        save={"hello": "job_id"},
        has={"job_id": "helloa9f3b1"},
    ),
    posted(
        "job POST desc 300",
        500,
        400,
        "§1: a description has at most 64 bytes",
        body=changed(description="x" * 300),
        names=("description",),
    ),
    posted(
        "job POST emoji",
        500,
        201,
        "§4: four-byte characters work",
        body=changed(description="\N{GRINNING FACE}"),
        save={"smile": "job_id"},
        has={"job_id": str},
    ),
    posted(
        "job POST status set",
        201,
        body=changed(job_schedule={"status": "running", "event": "start"}),
        save={"running": "job_id"},
        has={"job_id": str},
    ),
    case(
        "job POST status set -> get",
        "GET /v2/<PA>/jobs/<running>",
        200,
        has={
            "job_schedule": {
                "status": "running",
                "event": "start",
                "time_created": int,
                "time_started": -1,
                "time_ended": -1,
            },
        },
    ),
    posted(
        "job POST user_id spoof",
        201,
        body=changed(user_id="spoofed"),
        save={"spoof": "job_id"},
        has={"job_id": str},
    ),
    case(
        "job POST user_id spoof -> get",
        "GET /v2/<PA>/jobs/<spoof>",
        200,
        200,
        EVENT_SHOWN,
        has=JOB_SHOWN | {"job_id": "<spoof>", "user_id": "<USER>"},
    ),
    posted(
        "job POST action_defaults",
        201,
        body=changed(action_defaults={"log_file": "/l", "container": "/other"}),
        save={"defaults": "job_id"},
        has={"job_id": str},
    ),
    step(
        "POST /v2/<PB>/clients",
        201,
        body={"client_id": "nob", "hostname": "nob"},
        caller="other",
    ),
    posted(
        "job POST client of other project",
        422,
        body=changed(client_id="nob"),
        names=("nob",),
    ),
)

JOB_POSTS = FIRST + BODIES + IDS
