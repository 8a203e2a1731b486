"""Requests to every route of REST, about the items of two tenants."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.tenants import ALICE, KINDS, PROJECTS, SECRET, World, item, masked

WRITES = {"POST", "PATCH", "PUT"}


def bodies(user: str) -> dict[str, list[Any]]:
    """Return what may be sent to each route that takes a body, about a user's items."""
    its = {kind: item(user, kind) for kind in KINDS}
    backup = {"backup_name": "n", "hostname": "h", "container": "c"}
    job: dict[str, Any] = {"description": "taken", "job_actions": [], "client_id": its["client"]}
    jobs = [
        job,
        job | {"job_actions": [{"action_id": its["action"]}]},
        job | {"session_id": its["session"], "job_id": its["job"]},
        job | {"project_id": PROJECTS[user], "user_id": user},
    ]
    action = {"freezer_action": {"action": "backup", "container": "taken"}}
    actions = [action, action | {"action_id": its["action"], "project_id": PROJECTS[user]}]
    session = {"description": "taken", "schedule": {}, "session_tag": 0}
    sessions = [session, session | {"session_id": its["session"], "project_id": PROJECTS[user]}]
    asked = {"job_id": its["job"], "current_tag": 0}
    return {
        "POST /backups": [
            backup,
            backup | {"job_id": its["job"], "client_id": its["client"]},
            backup | {"project_id": PROJECTS[user], "backup_id": its["backup"], "user_id": user},
        ],
        "PATCH /backups/{id}": [
            {"status": "error"},
            {"backup_metadata": {"secret": "taken"}},
            {"job_id": its["job"]},
        ],
        "POST /jobs": jobs,
        "POST /jobs/{id}": jobs,
        "PATCH /jobs/{id}": [
            {"description": "taken"},
            {"client_id": its["client"]},
            {"session_id": its["session"], "session_tag": 1},
            {"job_actions": [{"action_id": its["action"]}]},
            {"project_id": PROJECTS[user]},
        ],
        "POST /jobs/{id}/event": [{"start": None}, {"stop": None}, {"abort": None}],
        "POST /actions": actions,
        "POST /actions/{id}": actions,
        "PATCH /actions/{id}": [{"max_retries": 1}, action],
        "POST /clients": [
            {"client_id": its["client"], "description": "taken"},
            {"client_id": its["client"], "project_id": PROJECTS[user], "uuid": "taken"},
            {"client_id": its["client"], "is_central": True},
        ],
        "POST /sessions": sessions,
        "POST /sessions/{id}": sessions,
        "PATCH /sessions/{id}": [{"description": "taken"}, {"schedule": {"schedule_day": "1"}}],
        "POST /sessions/{id}/action": [
            {"start": asked},
            {"end": asked | {"result": "fail"}},
        ],
        "PUT /sessions/{id}/jobs/{job_id}": [None],
    }


def queries() -> Iterator[dict[str, str]]:
    """Yield parameters of lists that look for Alice's items."""
    matches: list[Any] = [
        [{"project_id": PROJECTS[ALICE]}],
        [{"user_id": ALICE}],
        [{"secret": SECRET}],
        [{"_all": SECRET}],
        [{"_all": json.dumps([{"description": f"{SECRET} job"}])}],
    ]
    yield {}
    yield {"limit": "1000", "offset": "0"}
    yield {"all_projects": "true"}
    yield {"project_id": PROJECTS[ALICE]}
    for kind in KINDS:
        yield {"marker": item(ALICE, kind)}
        matches += [[{f"{kind}_id": item(ALICE, kind)}], [{"_all": item(ALICE, kind)}]]
    for match in matches:
        yield {"search": json.dumps({"match": match})}
        yield {"search": json.dumps({"match_not": match})}
    yield {"search": '{"time_after": 0}'}


@dataclass(frozen=True)
class Request:
    """What somebody sends."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, place: World, user: str) -> tuple[int, str]:
        """Send it as a user; return the answer."""
        given = {} if self.body is None else {"json": self.body}
        answer = await place.ask(
            user, self.method, self.path, params=self.query, headers=self.headers, **given
        )
        assert answer.status_code < 500
        return answer.status_code, masked(answer.text)


def requests(path: str, method: str, project: str, *users: str) -> Iterator[Request]:
    """Yield the requests to a route about items of these users, in every combination."""
    places = re.findall(r"{(\w+)}", path)
    for owners in itertools.product(users, repeat=len(places) + (method in WRITES)):
        named = zip(places, owners, strict=False)
        ids = {name: item(owner, kind(path, name)) for name, owner in named}
        address = f"/v2/{project}{path.format(**ids)}"
        if method in WRITES:
            for body in bodies(owners[-1])[f"{method} {path}"]:
                yield Request(method, address, body)
        elif method == "GET" and not places:
            for query in queries():
                yield Request(method, address, query=query)
        else:
            yield Request(method, address)


def kind(path: str, name: str) -> str:
    """Return which kind of item a part of a path is the id of."""
    return name.removesuffix("_id") if name != "id" else path.split("/")[1][:-1]
