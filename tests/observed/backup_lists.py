"""Rows about listing backups: pages of them.

Seventeen are listed: h0 to h14, which belong in turn to the jobs j0, j1 and j2, then h50, and h99
that the service account has posted.
"""

from .case import Case, case, step

BACKUP = {
    "container": "c",
    "hostname": "h50",
    "backup_name": "probea9f3b1",
    "time_stamp": 1700000050,
    "curr_backup_level": 0,
    "path_to_backup": "/etc",
}

ALL_HOSTS = (*(f"h{i}" for i in range(15)), "h50", "h99")

PAGE_SIZE = "§3: the default page size is 100, not 10"
BELOW_ONE = "§3: a limit below 1 is 400"
NO_5XX = "§4: the value works, or 400 naming it"

SEED: tuple[Case, ...] = tuple(
    step(
        "POST /v2/<PA>/backups",
        201,
        body=BACKUP | {"hostname": f"h{i}", "time_stamp": 1700000000 + i, "job_id": f"j{i % 3}"},
        save={f"b{i}": "backup_id"},
    )
    for i in (*range(8, 15), *range(8))
)

BACKUP_LISTS: tuple[Case, ...] = (
    *SEED,
    case("backup create", "POST /v2/<PA>/backups", 201, body=BACKUP, has={"backup_id": str}),
    case(
        "backup get",
        "GET /v2/<PA>/backups/<b0>",
        200,
        has={
            "project_id": "<PA>",
            "backup_id": "<b0>",
            "user_id": str,
            "status": "available",
            "job_id": "j0",
            "backup_metadata": {
                "container": "c",
                "hostname": "h0",
                "backup_name": "probea9f3b1",
                "time_stamp": 1700000000,
                "curr_backup_level": 0,
                "path_to_backup": "/etc",
                "job_id": "j0",
            },
        },
    ),
    case(
        "backups list (default)",
        "GET /v2/<PA>/backups",
        200,
        200,
        PAGE_SIZE,
        hosts=ALL_HOSTS,
    ),
    case(
        "backups list ?limit=0",
        "GET /v2/<PA>/backups?limit=0",
        200,
        400,
        BELOW_ONE,
        names=("limit", "0"),
    ),
    case(
        "backups list ?limit=-1",
        "GET /v2/<PA>/backups?limit=-1",
        500,
        400,
        BELOW_ONE,
        names=("limit", "-1"),
    ),
    case("backups list ?limit=abc", "GET /v2/<PA>/backups?limit=abc", 400, names=("limit", "abc")),
    case("backups list ?limit=1.5", "GET /v2/<PA>/backups?limit=1.5", 400, names=("limit", "1.5")),
    case("backups list ?limit=", "GET /v2/<PA>/backups?limit=", 200, 200, PAGE_SIZE, rows=17),
    case("backups list ?limit=1000000", "GET /v2/<PA>/backups?limit=1000000", 200, rows=17),
    case(
        "backups list ?limit=99999999999999999999999",
        "GET /v2/<PA>/backups?limit=99999999999999999999999",
        500,
        400,
        NO_5XX,
        names=("limit", "99999999999999999999999"),
    ),
    case(
        "backups list ?offset=-1",
        "GET /v2/<PA>/backups?offset=-1",
        500,
        400,
        NO_5XX,
        names=("offset", "-1"),
    ),
    case(
        "backups list ?offset=abc",
        "GET /v2/<PA>/backups?offset=abc",
        400,
        names=("offset", "abc"),
    ),
    case(
        "backups list ?offset=5",
        "GET /v2/<PA>/backups?offset=5",
        200,
        200,
        PAGE_SIZE,
        hosts=ALL_HOSTS[5:],
    ),
    case("backups list ?offset=1000", "GET /v2/<PA>/backups?offset=1000", 200, rows=0),
    case(
        "backups list ?limit=5&offset=5",
        "GET /v2/<PA>/backups?limit=5&offset=5",
        200,
        hosts=ALL_HOSTS[5:10],
    ),
    case("backups list ?offset=0", "GET /v2/<PA>/backups?offset=0", 200, 200, PAGE_SIZE, rows=17),
    case(
        "backups list ?marker=<b3>",
        "GET /v2/<PA>/backups?marker=<b3>",
        200,
        200,
        "§3: marker works",
        hosts=ALL_HOSTS[4:],
    ),
    case(
        "backups list ?limit=1&limit=2",
        "GET /v2/<PA>/backups?limit=1&limit=2",
        200,
        hosts=ALL_HOSTS[:2],
    ),
    case(
        "backups list ?limit=1,2",
        "GET /v2/<PA>/backups?limit=1,2",
        200,
        400,
        "§4: limit=1,2 is 400",
        names=("limit", "1,2"),
    ),
    case("backups list ?limit=%201", "GET /v2/<PA>/backups?limit=%201", 200, hosts=ALL_HOSTS[:1]),
    case(
        "backups list ?limit=0x10",
        "GET /v2/<PA>/backups?limit=0x10",
        400,
        names=("limit", "0x10"),
    ),
    case("backups list ?foo=bar", "GET /v2/<PA>/backups?foo=bar", 200, 200, PAGE_SIZE, rows=17),
    case(
        "backups list ?sort=time",
        "GET /v2/<PA>/backups?sort=time",
        200,
        200,
        PAGE_SIZE,
        hosts=ALL_HOSTS,
    ),
    case("backups list ?limit=100", "GET /v2/<PA>/backups?limit=100", 200, hosts=ALL_HOSTS),
    case("backups list ?limit=+3", "GET /v2/<PA>/backups?limit=+3", 200, hosts=ALL_HOSTS[:3]),
    case(
        "backups list ?limit=3&marker=zzz",
        "GET /v2/<PA>/backups?limit=3&marker=zzz",
        200,
        400,
        "§3: an unknown marker is 400",
        names=("marker", "zzz"),
    ),
)
