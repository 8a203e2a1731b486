"""Rows about registering, changing and deleting backups."""

from typing import Any, Unpack

from .backup_lists import BACKUP
from .case import Case, Exactly, Row, case

MALFORMED = "§4: malformed JSON and UTF-8 are 400"
ANY_TEXT = "§4: text over 64 KB works"
TOO_LARGE = "§4: 413 above max_body_bytes"
MERGED = "§4: a PATCH with flat metadata is merged"
ABSENT_ITEM = "§4: DELETE of an absent item is 404"

DEEP = b'{"hostname":"h","container":"c","backup_name":"b","x":' + b"[" * 5000 + b"]" * 5000 + b"}"

H1 = BACKUP | {"hostname": "h1", "time_stamp": 1700000001}


def numbered(number: int, **changes: object) -> dict[str, Any]:
    """Return the metadata of the backup of this number."""
    return BACKUP | {"hostname": f"h{number}", "time_stamp": 1700000000 + number} | changes


def posted(name: str, observed: int, status: int = 0, why: str = "", **row: Unpack[Row]) -> Case:
    """Return a row that posts a backup."""
    return case(name, "POST /v2/<PA>/backups", observed, status, why, **row)


def shown(name: str, variable: str, **expected: object) -> Case:
    """Return a row that reads the backup which the row before has made."""
    has = {"project_id": "<PA>", "backup_id": f"<{variable}>", "user_id": str} | expected
    return case(f"{name} -> get", f"GET /v2/<PA>/backups/<{variable}>", 200, has=has)


POSTS: tuple[Case, ...] = (
    posted("backup POST invalid json", 753, 400, MALFORMED, raw=b'{"a":'),
    posted("backup POST empty", 400),
    posted("backup POST {}", 400, body={}),
    posted("backup POST []", 400, body=[]),
    posted("backup POST null", 400, body=None),
    posted("backup POST str", 400, body="x"),
    posted("backup POST int", 400, body=5),
    posted(
        "backup POST missing container",
        400,
        body={"hostname": "h", "backup_name": "x"},
        names=("container",),
    ),
    posted("backup POST missing all", 400, body={"x": 1}, names=("backup_name",)),
    posted(
        "backup POST creating minimal",
        201,
        body={"backup_name": "x", "status": "creating"},
        save={"creating": "backup_id"},
    ),
    shown(
        "backup POST creating minimal",
        "creating",
        status="creating",
        backup_metadata=Exactly({"backup_name": "x"}),
    ),
    posted("backup POST bad status", 400, body=numbered(60, status="weird"), names=("weird",)),
    posted("backup POST container int", 400, body=numbered(61, container=5), names=("container",)),
    posted(
        "backup POST backup_id given",
        201,
        body=numbered(62, backup_id="f" * 32),
        save={"given": "backup_id"},
    ),
    shown(
        "backup POST backup_id given",
        "given",
        status="available",
        backup_metadata={"hostname": "h62"},
    ),
    posted(
        "backup POST nested junk",
        201,
        body=numbered(63, extra={"deep": [1, {"list": [None, True]}]}),
        save={"junk": "backup_id"},
    ),
    shown(
        "backup POST nested junk",
        "junk",
        backup_metadata=Exactly(numbered(63, extra={"deep": [1, {"list": [None, True]}]})),
    ),
    posted(
        "backup POST emoji",
        201,
        body=numbered(64, note="\N{GRINNING FACE}"),
        save={"emoji": "backup_id"},
    ),
    shown(
        "backup POST emoji",
        "emoji",
        backup_metadata=Exactly(numbered(64, note="\N{GRINNING FACE}")),
    ),
    posted(
        "backup POST bad utf8",
        753,
        400,
        MALFORMED,
        raw=b'{"hostname":"\xff","container":"c","backup_name":"b"}',
    ),
    posted(
        "backup POST NaN",
        201,
        400,
        "§4: NaN is 400",
        raw=b'{"hostname":"h","container":"c","backup_name":"b","x":NaN}',
    ),
    case(
        "backup POST NaN -> get",
        "GET /v2/<PA>/backups/<nan>",
        200,
        404,
        "§4: NaN is 400, so nothing was stored",
    ),
    posted(
        "backup POST dup keys",
        201,
        raw=b'{"hostname":"h1","hostname":"h2","container":"c","backup_name":"b"}',
        save={"dup": "backup_id"},
    ),
    shown(
        "backup POST dup keys",
        "dup",
        backup_metadata={"hostname": "h2", "container": "c", "backup_name": "b"},
    ),
    posted(
        "backup POST nul char",
        201,
        400,
        "§4: NUL is 400",
        raw=b'{"hostname":"h\\u0000","container":"c","backup_name":"b"}',
    ),
    case(
        "backup POST nul char -> get",
        "GET /v2/<PA>/backups/<nul>",
        200,
        404,
        "§4: NUL is 400, so nothing was stored",
    ),
    posted(
        "backup POST 70KB (TEXT column is 64KB)",
        500,
        201,
        ANY_TEXT,
        body=numbered(70),
        pad=70_000,
        has={"backup_id": str},
    ),
    posted("backup POST 2MB", 500, 413, TOO_LARGE, body=numbered(71), pad=2_000_000),
    posted("backup POST 30MB", 500, 413, TOO_LARGE, body=numbered(72), pad=30_000_000),
    posted(
        "backup POST text/plain",
        201,
        body=numbered(73),
        headers={"Content-Type": "text/plain"},
        has={"backup_id": str},
    ),
    posted(
        "backup POST deep nesting 5000",
        500,
        400,
        "§4: deep nesting works, or is 400",
        raw=DEEP,
    ),
)

ITEMS: tuple[Case, ...] = (
    case("backup GET missing", "GET /v2/<PA>/backups/none", 404, names=("none",)),
    case("backup DELETE missing", "DELETE /v2/<PA>/backups/none", 204, 404, ABSENT_ITEM),
    case(
        "backup PATCH missing",
        "PATCH /v2/<PA>/backups/none",
        404,
        body={"status": "error"},
        names=("none",),
    ),
    case(
        "backup POST item",
        "POST /v2/<PA>/backups/<b0>",
        405,
        body=H1,
        allow="DELETE, GET, PATCH",
    ),
    case(
        "backup PUT item",
        "PUT /v2/<PA>/backups/<b0>",
        405,
        body=H1,
        allow="DELETE, GET, PATCH",
    ),
    case("backups PUT", "PUT /v2/<PA>/backups", 405, body={}, allow="GET, POST"),
    case("backups DELETE coll", "DELETE /v2/<PA>/backups", 405, allow="GET, POST"),
    case("backups PATCH coll", "PATCH /v2/<PA>/backups", 405, body={}, allow="GET, POST"),
    case(
        "backup PATCH status",
        "PATCH /v2/<PA>/backups/<b1>",
        200,
        body={"status": "error"},
        has={
            "project_id": "<PA>",
            "backup_id": "<b1>",
            "status": "error",
            "backup_metadata": Exactly(H1 | {"job_id": "j1"}),
        },
    ),
    case(
        "backup PATCH metadata",
        "PATCH /v2/<PA>/backups/<b1>",
        200,
        body={"backup_metadata": {"note": "n"}},
        has={"status": "error", "backup_metadata": Exactly(H1 | {"job_id": "j1", "note": "n"})},
    ),
    case(
        "backup PATCH flat field",
        "PATCH /v2/<PA>/backups/<b1>",
        200,
        200,
        MERGED,
        body={"hostname": "hX"},
        has={
            "status": "error",
            "backup_metadata": Exactly(H1 | {"hostname": "hX", "job_id": "j1", "note": "n"}),
        },
    ),
    case(
        "backup PATCH bad status",
        "PATCH /v2/<PA>/backups/<b1>",
        400,
        body={"status": "weird"},
        names=("weird",),
    ),
    case("backup PATCH empty", "PATCH /v2/<PA>/backups/<b1>", 400, body={}),
    case(
        "backup PATCH ids ignored",
        "PATCH /v2/<PA>/backups/<b1>",
        200,
        body={"project_id": "<PB>", "status": "available"},
        has={
            "project_id": "<PA>",
            "backup_id": "<b1>",
            "status": "available",
            "backup_metadata": {"hostname": "hX", "note": "n"},
        },
    ),
    case(
        "backup other project GET via own path",
        "GET /v2/<PB>/backups/<b0>",
        404,
        caller="other",
    ),
    case(
        "backup other project DELETE via own path",
        "DELETE /v2/<PB>/backups/<b0>",
        204,
        404,
        ABSENT_ITEM,
        caller="other",
    ),
    case(
        "backup still there",
        "GET /v2/<PA>/backups/<b0>",
        200,
        has={"backup_metadata": {"hostname": "h0"}},
    ),
    case("backup DELETE", "DELETE /v2/<PA>/backups/<b1>", 204),
    case("backup DELETE again", "DELETE /v2/<PA>/backups/<b1>", 204, 404, ABSENT_ITEM),
    case("backup GET deleted", "GET /v2/<PA>/backups/<b1>", 404),
)

BACKUP_WRITES = POSTS + ITEMS
