"""Rows about reading, changing and deleting jobs, and about their events."""

from .actions import ACTION, FREEZER_ACTION
from .case import MISSING, Case, case, step
from .job_posts import JOB, NODE

ABSENT_ITEM = "§4: DELETE of an absent item is 404"
MERGES = "§4: PATCH merges and drops nothing"
VERSION = "§4: version counts updates"
BELOW_ONE = "§3: a limit below 1 is 400"
NOTHING_HAPPENS = "§4: another project's action is 404, nothing happens"
EVENT_SHOWN = "§4: job documents always carry `event`"

REPLACEMENT = JOB | {"description": "rep"}
PATCHED = {"job_id": "<j0>", "version": int}


def patched(name: str, body: object) -> Case:
    """Return a row that patches the first job."""
    request = "PATCH /v2/<PA>/jobs/<j0>"
    return case(name, request, 200, 200, VERSION, body=body, has=PATCHED)


def shown(name: str, why: str, **has: object) -> Case:
    """Return a row that reads the first job."""
    return case(name, "GET /v2/<PA>/jobs/<j0>", 200, 200, why, has={"job_id": "<j0>"} | has)


def event(name: str, body: object, result: str) -> Case:
    """Return a row that sends the first job an event."""
    return case(name, "POST /v2/<PA>/jobs/<j0>/event", 202, body=body, has={"result": result})


CHANGES: tuple[Case, ...] = (
    case("job GET missing", "GET /v2/<PA>/jobs/none", 404, names=("none",)),
    case("job DELETE missing", "DELETE /v2/<PA>/jobs/none", 204, 404, ABSENT_ITEM),
    case(
        "job PATCH missing",
        "PATCH /v2/<PA>/jobs/none",
        404,
        body={"description": "x"},
        names=("none",),
    ),
    patched("job PATCH {}", {}),
    shown(
        "job after PATCH {}",
        MERGES,
        job_schedule={"event": "", "time_created": int, "time_started": -1, "time_ended": -1},
        client_id=NODE,
        session_id="",
        session_tag=0,
        description="d",
        job_actions=[{"freezer_action": FREEZER_ACTION}],
    ),
    patched("job PATCH schedule partial (replaces?)", {"job_schedule": {"status": "running"}}),
    shown(
        "job after schedule PATCH",
        MERGES,
        job_schedule={"event": "", "status": "running", "time_created": int},
        description="d",
    ),
    patched("job PATCH description only", {"description": "only"}),
    shown(
        "job after description-only PATCH",
        MERGES,
        job_schedule={"event": "", "status": "running", "time_created": int},
        description="only",
        job_actions=[{"freezer_action": FREEZER_ACTION}],
    ),
    case(
        "job PATCH bad",
        "PATCH /v2/<PA>/jobs/<j0>",
        400,
        body={"foo": 1},
        names=("foo",),
    ),
    case(
        "job PATCH client unknown",
        "PATCH /v2/<PA>/jobs/<j0>",
        200,
        422,
        "§2: a client_id must be registered",
        body={"client_id": "zzz"},
        names=("zzz",),
    ),
    patched(
        "job PATCH as scheduler (job_schedule, session_id, session_tag)",
        {
            "job_schedule": {
                "time_created": 1,
                "time_started": 2,
                "time_ended": -1,
                "status": "running",
                "event": "",
                "result": "",
                "current_pid": 77,
            },
            "session_id": "",
            "session_tag": 0,
        },
    ),
    shown(
        "job get own pid (filtered?)",
        "§2: current_pid is shown to the client's own project",
        job_schedule={
            "time_created": 1,
            "time_started": 2,
            "time_ended": -1,
            "status": "running",
            "event": "",
            "result": "",
            "current_pid": 77,
        },
        client_id=NODE,
        session_id="",
    ),
    case(
        "job replace",
        "POST /v2/<PA>/jobs/<j0>",
        201,
        201,
        VERSION,
        body=REPLACEMENT,
        has=PATCHED,
    ),
    shown(
        "job after replace",
        EVENT_SHOWN,
        job_schedule={"event": "", "status": MISSING, "current_pid": MISSING},
        client_id=NODE,
        session_id="",
        session_tag=0,
        description="rep",
        job_actions=[{"freezer_action": FREEZER_ACTION}],
    ),
    case(
        "job replace missing",
        "POST /v2/<PA>/jobs/" + "5d" * 16,
        201,
        201,
        VERSION,
        body=REPLACEMENT,
        has={"job_id": "5d" * 16, "version": int},
    ),
    case(
        "job PUT",
        "PUT /v2/<PA>/jobs/<j0>",
        405,
        body=REPLACEMENT,
        allow="DELETE, GET, PATCH, POST",
    ),
)

EVENTS: tuple[Case, ...] = (
    event("event start", {"start": None}, "success"),
    event("event start again", {"start": None}, "start already requested"),
    event("event stop", {"stop": None}, "success"),
    event("event stop again", {"stop": None}, "stop already requested"),
    event("event abort", {"abort": None}, "success"),
    event("event abort again", {"abort": None}, "abort already requested"),
    case(
        "event unknown",
        "POST /v2/<PA>/jobs/<j0>/event",
        400,
        body={"fly": None},
        names=("fly",),
    ),
    case("event empty", "POST /v2/<PA>/jobs/<j0>/event", 400),
    case("event {}", "POST /v2/<PA>/jobs/<j0>/event", 400, body={}),
    case("event list", "POST /v2/<PA>/jobs/<j0>/event", 400, body=[]),
    event("event two", {"start": None, "stop": None}, "success"),
    case(
        "event remove",
        "POST /v2/<PA>/jobs/<j0>/event",
        400,
        body={"remove": None},
        names=("remove",),
    ),
    event("event params", {"start": {"x": 1}}, "start already requested"),
    shown(
        "job after events",
        "",
        job_schedule={"event": "start", "status": "", "result": ""},
        client_id=NODE,
        description="rep",
    ),
    case(
        "event missing job",
        "POST /v2/<PA>/jobs/none/event",
        400,
        404,
        "§4: an event on a missing job is 404",
        body={"start": None},
        names=("none",),
    ),
    case("event GET", "GET /v2/<PA>/jobs/<j0>/event", 405, allow="POST"),
)

PROJECTS: tuple[Case, ...] = (
    case("job other project GET", "GET /v2/<PB>/jobs/<j0>", 404, caller="other"),
    case(
        "job other project PATCH",
        "PATCH /v2/<PB>/jobs/<j0>",
        404,
        body={"description": "x"},
        caller="other",
    ),
    case(
        "job other project replace",
        "POST /v2/<PB>/jobs/<j0>",
        422,
        body=REPLACEMENT | {"client_id": "zzz"},
        caller="other",
        names=("zzz",),
    ),
    case(
        "job admin token other project GET",
        "GET /v2/<ADM>/jobs/<j0>",
        200,
        404,
        "§2: an id is looked up in the path's project only",
        caller="admin",
    ),
    case(
        "admin all_projects=false still lists all?",
        "GET /v2/<ADM>/jobs?all_projects=False&limit=500",
        200,
        200,
        "§4: all_projects is honoured",
        caller="admin",
        rows=0,
    ),
    case(
        "member all_projects=True",
        "GET /v2/<PA>/jobs?all_projects=True",
        200,
        403,
        "§4: all_projects is 403 without jobs:get_all_projects",
        needs_keystone=True,
    ),
    case(
        "all_projects=junk",
        "GET /v2/<PA>/jobs?all_projects=junk",
        400,
        names=("all_projects", "junk"),
    ),
)

TIDYING = tuple(
    step(f"DELETE /v2/<PA>/jobs/<{job}>", 204)
    for job in ("actionless", "own", "long", "hello", "smile", "running", "spoof", "defaults")
)

LISTS: tuple[Case, ...] = (
    *TIDYING,
    case("jobs ?limit=0", "GET /v2/<PA>/jobs?limit=0", 200, 400, BELOW_ONE, names=("limit", "0")),
    case(
        "jobs ?limit=-1",
        "GET /v2/<PA>/jobs?limit=-1",
        500,
        400,
        BELOW_ONE,
        names=("limit", "-1"),
    ),
    case("jobs ?limit=abc", "GET /v2/<PA>/jobs?limit=abc", 400, names=("limit", "abc")),
    case(
        "jobs ?offset=-1",
        "GET /v2/<PA>/jobs?offset=-1",
        500,
        400,
        "§4: the value works, or 400 naming it",
        names=("offset", "-1"),
    ),
    case(
        "jobs search scheduler style",
        "GET /v2/<PA>/jobs/?limit=10&offset=0&all_projects=False",
        200,
        body={"match_not": [{"status": "completed"}], "match": [{"client_id": NODE}]},
        rows=3,
        includes={"job_id": "<j0>"},
    ),
)

VICTIM = JOB | {"job_actions": [{"action_id": "<victim>"}]}

DETACHING: tuple[Case, ...] = (
    step("POST /v2/<PA>/actions", 201, body=ACTION, save={"victim": "action_id"}),
    step("POST /v2/<PA>/jobs", 201, body=VICTIM, save={"victim_job": "job_id"}),
    case(
        "XPROJECT action delete",
        "DELETE /v2/<PB>/actions/<victim>",
        204,
        404,
        NOTHING_HAPPENS,
        caller="other",
    ),
    case(
        "XPROJECT victim job after",
        "GET /v2/<PA>/jobs/<victim_job>",
        200,
        200,
        NOTHING_HAPPENS,
        has={"job_actions": [{"action_id": "<victim>", "freezer_action": FREEZER_ACTION}]},
    ),
    case(
        "XPROJECT victim action after",
        "GET /v2/<PA>/actions/<victim>",
        200,
        has={"freezer_action": FREEZER_ACTION},
    ),
    case("delete action used by job", "DELETE /v2/<PA>/actions/<a0>", 204),
)

JOB_CHANGES = CHANGES + EVENTS + PROJECTS + LISTS + DETACHING

LAST: tuple[Case, ...] = (
    case("job delete", "DELETE /v2/<PA>/jobs/<j0>", 204),
    case("job get deleted", "GET /v2/<PA>/jobs/<j0>", 404),
    case(
        "job re-POST deleted id",
        "POST /v2/<PA>/jobs",
        409,
        201,
        "§4: the id of a deleted job is free again",
        body=JOB | {"job_id": "<j0>"},
        has={"job_id": "<j0>"},
    ),
    case("client delete", "DELETE /v2/<PA>/clients/" + NODE, 204),
    case(
        "client other project delete",
        "DELETE /v2/<PB>/clients/lima9f3b1",
        204,
        404,
        ABSENT_ITEM,
        caller="other",
    ),
)
