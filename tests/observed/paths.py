"""Rows about paths, methods, tokens and roles."""

from .case import Answer, Case, case

BACKUP = {
    "container": "c",
    "hostname": "h0",
    "backup_name": "probea9f3b1",
    "time_stamp": 1700000000,
    "curr_backup_level": 0,
    "path_to_backup": "/etc",
}

VERSIONS = {
    "versions": [
        {
            "id": "v2",
            "status": "CURRENT",
            "updated": "2018-02-21T13:30:00",
            "links": [{"href": "<BASE>/v2/", "rel": "self"}],
        },
    ],
}

HOME = {
    "resources": {
        "rel/backups": {
            "href-template": "/v2/{project_id}/backups/{backup_id}",
            "href-vars": {
                "project_id": "param/project_id",
                "backup_id": "param/backup_id",
            },
            "hints": {"allow": list, "formats": {"application/json": {}}},
        },
    },
}

HOME_ANSWER = Answer(status=200, has=HOME, media_type="application/json-home")
NO_JOBS = Answer(status=200, has={"jobs": []})
NOT_FOUND = Answer(status=404)
TEXT = "text/plain"

PATHS: tuple[Case, ...] = (
    case("path / no token", "GET /", 300, caller="nobody", has=VERSIONS),
    case("path / token", "GET /", 300, has=VERSIONS),
    case("path /v2 no token", "GET /v2", 401, caller="nobody", without_auth=HOME_ANSWER),
    case("path /v2 token", "GET /v2", 200, has=HOME, media_type="application/json-home"),
    case("path /v2/ no token", "GET /v2/", 401, caller="nobody", without_auth=HOME_ANSWER),
    case("path /v2/ token", "GET /v2/", 200, has=HOME, media_type="application/json-home"),
    case("path /v1 no token", "GET /v1", 401, caller="nobody", without_auth=NOT_FOUND),
    case("path /v1 token", "GET /v1", 404),
    case("path /v2/<PA> no token", "GET /v2/<PA>", 401, caller="nobody", without_auth=NOT_FOUND),
    case("path /v2/<PA> token", "GET /v2/<PA>", 404),
    case("path /v2/<PA>/ no token", "GET /v2/<PA>/", 401, caller="nobody", without_auth=NOT_FOUND),
    case("path /v2/<PA>/ token", "GET /v2/<PA>/", 404),
    case(
        "path /v2/<PA>/unknown no token",
        "GET /v2/<PA>/unknown",
        401,
        caller="nobody",
        without_auth=NOT_FOUND,
    ),
    case("path /v2/<PA>/unknown token", "GET /v2/<PA>/unknown", 404),
    case("path /healthcheck no token", "GET /healthcheck", 200, caller="nobody", text="OK"),
    case("path /healthcheck token", "GET /healthcheck", 200, text="OK", media_type=TEXT),
    case("path /nothing no token", "GET /nothing", 401, caller="nobody", without_auth=NOT_FOUND),
    case("path /nothing token", "GET /nothing", 404),
    case("path //v2 no token", "GET //v2", 401, caller="nobody", without_auth=HOME_ANSWER),
    case("path //v2 token", "GET //v2", 200, has=HOME),
    case(
        "path /v2/<PA>//jobs no token",
        "GET /v2/<PA>//jobs",
        401,
        caller="nobody",
        without_auth=NO_JOBS,
    ),
    case("path /v2/<PA>//jobs token", "GET /v2/<PA>//jobs", 200, has={"jobs": []}),
    case(
        "path /v2/<PA>/jobs/ no token",
        "GET /v2/<PA>/jobs/",
        401,
        caller="nobody",
        without_auth=NO_JOBS,
    ),
    case("path /v2/<PA>/jobs/ token", "GET /v2/<PA>/jobs/", 200, has={"jobs": []}),
    case(
        "path /favicon.ico no token",
        "GET /favicon.ico",
        401,
        caller="nobody",
        without_auth=NOT_FOUND,
    ),
    case("path /favicon.ico token", "GET /favicon.ico", 404),
    case("HEAD /", "HEAD /", 405, 300, "§4: HEAD answers as GET, without a body"),
    case("HEAD jobs", "HEAD /v2/<PA>/jobs", 405, 200, "§4: HEAD answers as GET, without a body"),
    case("OPTIONS / no token", "OPTIONS /", 200, caller="nobody", allow="GET"),
    case("OPTIONS jobs", "OPTIONS /v2/<PA>/jobs", 200, allow="GET, POST"),
    case("POST /", "POST /", 405, body={}, allow="GET"),
)

TOKENS: tuple[Case, ...] = (
    case("no token", "GET /v2/<PA>/jobs", 401, caller="nobody", without_auth=NO_JOBS),
    case("bad token", "GET /v2/<PA>/jobs", 401, caller="bad", without_auth=NO_JOBS),
    case("bad fernet-like token", "GET /v2/<PA>/jobs", 401, caller="forged", without_auth=NO_JOBS),
    case("empty token", "GET /v2/<PA>/jobs", 401, caller="empty", without_auth=NO_JOBS),
    case("other project member GET", "GET /v2/<PA>/jobs", 403, caller="other", needs_keystone=True),
    case(
        "other project member POST",
        "POST /v2/<PA>/backups",
        403,
        body=BACKUP,
        caller="other",
        needs_keystone=True,
    ),
    case("unscoped token", "GET /v2/<PA>/jobs", 403, caller="unscoped", needs_keystone=True),
    case(
        "admin token of project admin on proja",
        "GET /v2/<PA>/backups",
        200,
        caller="admin",
        has={"backups": []},
    ),
    case("reader GET list", "GET /v2/<PA>/jobs", 200, caller="reader", has={"jobs": []}),
    case(
        "reader POST backup",
        "POST /v2/<PA>/backups",
        403,
        body=BACKUP,
        caller="reader",
        needs_keystone=True,
    ),
    case(
        "reader POST job", "POST /v2/<PA>/jobs", 403, body={}, caller="reader", needs_keystone=True
    ),
    case(
        "reader POST client",
        "POST /v2/<PA>/clients",
        403,
        body={"client_id": "x"},
        caller="reader",
        needs_keystone=True,
    ),
    case(
        "reader DELETE missing job",
        "DELETE /v2/<PA>/jobs/none",
        403,
        caller="reader",
        needs_keystone=True,
    ),
    case(
        "reader PATCH job",
        "PATCH /v2/<PA>/jobs/none",
        403,
        body={},
        caller="reader",
        needs_keystone=True,
    ),
    case(
        "reader POST event",
        "POST /v2/<PA>/jobs/none/event",
        403,
        body={"start": None},
        caller="reader",
        needs_keystone=True,
    ),
    case(
        "service role GET proja jobs",
        "GET /v2/<PA>/jobs",
        200,
        caller="service",
        has={"jobs": []},
    ),
    case(
        "service role POST backup in proja",
        "POST /v2/<PA>/backups",
        201,
        body=BACKUP | {"hostname": "h99", "time_stamp": 1700000099},
        caller="service",
        save={"b99": "backup_id"},
        has={"backup_id": str},
    ),
    case(
        "service role POST job",
        "POST /v2/<PA>/jobs",
        403,
        body={},
        caller="service",
        needs_keystone=True,
    ),
    case(
        "service role PATCH missing job",
        "PATCH /v2/<PA>/jobs/none",
        403,
        body={"description": "x"},
        caller="service",
        needs_keystone=True,
    ),
    case(
        "service role POST client",
        "POST /v2/<PA>/clients",
        403,
        body={"client_id": "svca9f3b1"},
        caller="service",
        needs_keystone=True,
    ),
    case(
        "service role POST central client own project",
        "POST /v2/<SVC>/clients",
        403,
        201,
        "§4: a service account may register a central client",
        body={"client_id": "svcca9f3b1", "is_central": True},
        caller="service",
        needs_keystone=True,
        has={"client_id": "svcca9f3b1"},
    ),
    case(
        "auth error wins over schema error (no token, bad json)",
        "POST /v2/<PA>/jobs",
        401,
        raw=b"{",
        caller="nobody",
        without_auth=Answer(status=400),
    ),
    case("unknown path + other project", "GET /v2/<PA>/unknown", 404, caller="other"),
)
