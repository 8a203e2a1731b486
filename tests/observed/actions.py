"""Rows about actions."""

from typing import Unpack

from .case import Case, Exactly, Row, case

FREEZER_ACTION = {
    "action": "backup",
    "mode": "fs",
    "backup_name": "bn",
    "path_to_backup": "/etc",
    "container": "/c",
    "storage": "local",
}

ACTION = {"freezer_action": FREEZER_ACTION, "max_retries": 1, "max_retries_interval": 1}

ALIKE = "§4: inline and referenced actions are validated alike"
LONG_ID = "§4: an id longer than freezer-api's column works"
WRONG_TYPE = "§4: a wrong JSON type is 400"
MERGES = "§4: PATCH merges and drops nothing"
VERSION = "§4: version counts updates"
ABSENT_ITEM = "§4: DELETE of an absent item is 404"


def posted(name: str, observed: int, status: int = 0, why: str = "", **row: Unpack[Row]) -> Case:
    """Return a row that posts an action."""
    return case(name, "POST /v2/<PA>/actions", observed, status, why, **row)


ACTIONS: tuple[Case, ...] = (
    posted(
        "action create",
        201,
        body=ACTION,
        save={"a0": "action_id"},
        has={"action_id": str},
    ),
    case(
        "action get",
        "GET /v2/<PA>/actions/<a0>",
        200,
        has={
            "project_id": "<PA>",
            "action_id": "<a0>",
            "user_id": str,
            "max_retries": 1,
            "max_retries_interval": 1,
            "freezer_action": FREEZER_ACTION,
        },
    ),
    case(
        "action list",
        "GET /v2/<PA>/actions",
        200,
        rows=1,
        includes={
            "project_id": "<PA>",
            "user_id": str,
            "max_retries_interval": 1,
            "max_retries": 1,
            "action_id": "<a0>",
            "mandatory": False,
            "freezer_action": FREEZER_ACTION,
        },
    ),
    posted("action POST {}", 400, body={}),
    posted(
        "action POST bad enum",
        201,
        400,
        ALIKE,
        body=ACTION | {"freezer_action": FREEZER_ACTION | {"action": "teleport"}},
        names=("teleport",),
    ),
    posted("action POST extra top", 201, body=ACTION | {"foo": 1}, has={"action_id": str}),
    posted(
        "action POST extra in freezer_action",
        201,
        body=ACTION | {"freezer_action": FREEZER_ACTION | {"foo": 1}},
        has={"action_id": str},
    ),
    posted("action POST dup id", 409, body=ACTION | {"action_id": "<a0>"}, names=("<a0>",)),
    posted(
        "action POST own id",
        201,
        body=ACTION | {"action_id": "0a" * 16},
        has={"action_id": "0a" * 16},
    ),
    posted(
        "action POST id 40 chars",
        500,
        201,
        LONG_ID,
        body=ACTION | {"action_id": "a" * 40},
        has={"action_id": "a" * 40},
    ),
    posted(
        "action POST id non-hex",
        201,
        body=ACTION | {"action_id": "helloa9f3b1"},
        has={"action_id": "helloa9f3b1"},
    ),
    posted(
        "action POST backup_name 300 chars",
        500,
        201,
        "§4: text longer than freezer-api's column works",
        body=ACTION | {"freezer_action": FREEZER_ACTION | {"backup_name": "x" * 300}},
        has={"action_id": str},
    ),
    posted(
        "action POST max_retries str",
        500,
        400,
        WRONG_TYPE,
        body=ACTION | {"max_retries": "many"},
        names=("max_retries",),
    ),
    posted(
        "action POST no freezer_action",
        400,
        body={"max_retries": 1},
        names=("freezer_action",),
    ),
    case(
        "action PATCH partial (loses other fields?)",
        "PATCH /v2/<PA>/actions/<a0>",
        200,
        200,
        VERSION,
        body={"max_retries": 9},
        has={"action_id": "<a0>", "version": int},
    ),
    case(
        "action after partial PATCH",
        "GET /v2/<PA>/actions/<a0>",
        200,
        200,
        MERGES,
        has={"max_retries": 9, "max_retries_interval": 1, "freezer_action": FREEZER_ACTION},
    ),
    case(
        "action PATCH freezer_action partial",
        "PATCH /v2/<PA>/actions/<a0>",
        200,
        200,
        VERSION,
        body={"freezer_action": {"action": "backup", "path_to_backup": "/new"}},
        has={"action_id": "<a0>", "version": int},
    ),
    case(
        "action after PATCH 2",
        "GET /v2/<PA>/actions/<a0>",
        200,
        200,
        MERGES,
        has={
            "max_retries": 9,
            "max_retries_interval": 1,
            "freezer_action": FREEZER_ACTION | {"path_to_backup": "/new"},
        },
    ),
    case(
        "action replace (POST item)",
        "POST /v2/<PA>/actions/<a0>",
        201,
        body=ACTION,
        has={"action_id": "<a0>"},
    ),
    case(
        "action replace missing (creates?)",
        "POST /v2/<PA>/actions/" + "5c" * 16,
        201,
        body=ACTION,
        has={"action_id": "5c" * 16},
    ),
    case(
        "action PATCH missing",
        "PATCH /v2/<PA>/actions/none",
        404,
        body=ACTION,
        names=("none",),
    ),
    case("action DELETE missing", "DELETE /v2/<PA>/actions/none", 204, 404, ABSENT_ITEM),
    case("action GET missing", "GET /v2/<PA>/actions/none", 404, names=("none",)),
)

WHOLE_ACTION = {
    "project_id": "<PA>",
    "action_id": str,
    "user_id": str,
    "max_retries": 1,
    "max_retries_interval": 1,
    "freezer_action": Exactly(FREEZER_ACTION),
}
