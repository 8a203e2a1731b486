"""REST v2 on one screen: every route, with the policy rules that guard it."""

from gateway.resolvers import actions, backups, clients, jobs, sessions
from gateway.rest_compat import handlers
from gateway.rest_compat.documents import ACTIONS, BACKUPS, CLIENTS, JOBS, SESSIONS
from gateway.rest_compat.handlers import Endpoint, deletes, lists, shows

ROUTES: tuple[tuple[str, str, str, Endpoint], ...] = (
    # The path below /v2/{project_id}, the method, the rules (one must let the caller pass), the
    # endpoint.
    ("/backups", "GET", "backups:get_all", lists(BACKUPS)),
    ("/backups", "POST", "backups:create", handlers.create_backup),
    ("/backups/{id}", "GET", "backups:get", shows(BACKUPS)),
    ("/backups/{id}", "PATCH", "backups:update", handlers.update_backup),
    ("/backups/{id}", "DELETE", "backups:delete", deletes(BACKUPS, backups.delete)),
    ("/jobs", "GET", "jobs:get_all", handlers.find_jobs),
    ("/jobs", "POST", "jobs:create", handlers.create_job),
    ("/jobs/{id}", "GET", "jobs:get", shows(JOBS)),
    ("/jobs/{id}", "POST", "jobs:create", handlers.replace_job),
    ("/jobs/{id}", "PATCH", "jobs:update", handlers.update_job),
    ("/jobs/{id}", "DELETE", "jobs:delete", deletes(JOBS, jobs.delete)),
    ("/jobs/{id}/event", "POST", "jobs:event:create", handlers.request_event),
    ("/actions", "GET", "actions:get_all", lists(ACTIONS)),
    ("/actions", "POST", "actions:create", handlers.create_action),
    ("/actions/{id}", "GET", "actions:get", shows(ACTIONS)),
    ("/actions/{id}", "POST", "actions:replace", handlers.replace_action),
    ("/actions/{id}", "PATCH", "actions:update", handlers.update_action),
    ("/actions/{id}", "DELETE", "actions:delete", deletes(ACTIONS, actions.delete)),
    ("/clients", "GET", "clients:get_all", lists(CLIENTS)),
    ("/clients", "POST", "clients:create clients:create_central", handlers.register_client),
    ("/clients/{id}", "GET", "clients:get", shows(CLIENTS)),
    ("/clients/{id}", "DELETE", "clients:delete", deletes(CLIENTS, clients.delete)),
    ("/sessions", "GET", "sessions:get_all", lists(SESSIONS)),
    ("/sessions", "POST", "sessions:create", handlers.create_session),
    ("/sessions/{id}", "GET", "sessions:get", shows(SESSIONS)),
    ("/sessions/{id}", "POST", "sessions:replace", handlers.replace_session),
    ("/sessions/{id}", "PATCH", "sessions:update", handlers.update_session),
    ("/sessions/{id}", "DELETE", "sessions:delete", deletes(SESSIONS, sessions.delete)),
    ("/sessions/{id}/action", "POST", "sessions:action:create", handlers.act_on_session),
    ("/sessions/{id}/jobs/{job_id}", "PUT", "sessions:job:add", handlers.add_to_session),
    ("/sessions/{id}/jobs/{job_id}", "DELETE", "sessions:job:remove", handlers.remove_from_session),
)

FLAGS = (("/jobs", "GET", "all_projects", "jobs:get_all_projects"),)
"""Parameters that need another rule as well: the path, the method, the parameter, the rule."""


def template(path: str) -> str:
    """Return a route's whole path, in which every id has the name of its resource."""
    return f"/v2/{{project_id}}{path}".replace("{id}", f"{{{path.split('/')[1][:-1]}_id}}")


def requests_by_rule() -> dict[str, list[str]]:
    """Return the requests that each rule guards, such as `GET /v2/{project_id}/jobs`."""
    found: dict[str, list[str]] = {}
    for path, method, rules, _ in ROUTES:
        for rule in rules.split():
            found.setdefault(rule, []).append(f"{method} {template(path)}")
    for path, method, parameter, rule in FLAGS:
        found.setdefault(rule, []).append(f"{method} {template(path)}?{parameter}=true")
    return found
