"""Rows about clients."""

from .case import Case, case

NODE = {"client_id": "<PA>_nodea9f3b1", "hostname": "node", "description": "d"}

NODE_SHOWN = {
    "project_id": "<PA>",
    "user_id": str,
    "client": {
        "uuid": str,
        "hostname": "node",
        "client_id": "<PA>_nodea9f3b1",
        "is_central": False,
        "description": "d2",
        "supported_actions": ["backup", "restore", "info", "admin", "exec"],
        "supported_modes": list,
        "supported_storages": list,
        "supported_engines": list,
    },
}

CLIENTS: tuple[Case, ...] = (
    case(
        "client create",
        "POST /v2/<PA>/clients",
        201,
        body=NODE,
        has={"client_id": "<PA>_nodea9f3b1"},
    ),
    case(
        "client create again same",
        "POST /v2/<PA>/clients",
        201,
        body=NODE,
        has={"client_id": "<PA>_nodea9f3b1"},
    ),
    case(
        "client create again changed",
        "POST /v2/<PA>/clients",
        201,
        body=NODE | {"hostname": "node2", "description": "d2"},
        has={"client_id": "<PA>_nodea9f3b1"},
    ),
    case("client get", "GET /v2/<PA>/clients/<PA>_nodea9f3b1", 200, has=NODE_SHOWN),
    case("client list", "GET /v2/<PA>/clients", 200, includes=NODE_SHOWN),
    case("client get missing", "GET /v2/<PA>/clients/none", 404, names=("none",)),
    case(
        "client delete missing",
        "DELETE /v2/<PA>/clients/none",
        204,
        404,
        "§4: DELETE of an absent item is 404",
        names=("none",),
    ),
    case(
        "client PATCH",
        "PATCH /v2/<PA>/clients/<PA>_nodea9f3b1",
        405,
        body={"description": "z"},
        allow="DELETE, GET",
    ),
    case("client create empty body", "POST /v2/<PA>/clients", 400),
    case("client create {}", "POST /v2/<PA>/clients", 400, body={}),
    case(
        "client create bad id",
        "POST /v2/<PA>/clients",
        400,
        body={"client_id": "a b!"},
        names=("a b!",),
    ),
    case(
        "client create extra prop",
        "POST /v2/<PA>/clients",
        201,
        body={"client_id": "oka9f3b1", "foo": 1},
        has={"client_id": "oka9f3b1"},
    ),
    case(
        "client central as member",
        "POST /v2/<PA>/clients",
        403,
        body={"client_id": "cena9f3b1", "is_central": True},
        needs_keystone=True,
    ),
    case(
        "client same id other project",
        "POST /v2/<PB>/clients",
        201,
        body={"client_id": "<PA>_nodea9f3b1", "hostname": "node"},
        caller="other",
        has={"client_id": "<PA>_nodea9f3b1"},
    ),
    case(
        "client other project GET",
        "GET /v2/<PB>/clients/<PA>_nodea9f3b1",
        200,
        caller="other",
        has={
            "project_id": "<PB>",
            "client": {"hostname": "node", "client_id": "<PA>_nodea9f3b1", "description": None},
        },
    ),
    case(
        "client bad capability",
        "POST /v2/<PA>/clients",
        400,
        body={"client_id": "capa9f3b1", "supported_actions": ["teleport"]},
        names=("teleport",),
    ),
    case(
        "client limited capability",
        "POST /v2/<PA>/clients",
        201,
        body={
            "client_id": "lima9f3b1",
            "supported_actions": ["restore"],
            "supported_modes": ["fs"],
        },
        has={"client_id": "lima9f3b1"},
    ),
)
