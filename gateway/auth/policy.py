"""Who may do what: oslo.policy's rules, by freezer-api's names and with its defaults."""

import re
import time
from pathlib import Path
from typing import Any

import structlog
from oslo_config import cfg
from oslo_policy import policy as oslo

from gateway.auth.identity import Identity
from gateway.errors import Forbidden

log = structlog.get_logger(__name__)

REREAD_SECONDS = 1
REMEMBERED = 20_000

_MEMBER = "rule:admin_or_owner"
_MEMBER_OR_SERVICE = "rule:admin_or_owner_or_service"
_READER = "rule:admin_or_reader_or_service"
_ACROSS = "rule:admin_or_service"

BASES = {
    "context_is_admin": "role:admin",
    "admin_or_service": "role:admin or role:service",
    "project_member": "role:member and project_id:%(project_id)s",
    "project_reader": "role:reader and project_id:%(project_id)s",
    "admin_or_owner": "rule:context_is_admin or rule:project_member",
    "admin_or_owner_or_service": "rule:admin_or_service or rule:project_member",
    "admin_or_reader_or_service": "rule:admin_or_owner_or_service or rule:project_reader",
}
"""What the rules are made of."""

_JOB_IN_SESSION = "/sessions/{session_id}/jobs/{job_id}"

OPERATIONS = {
    "actions:create": (_MEMBER, "POST", "/actions", "Create an action."),
    "actions:delete": (_MEMBER, "DELETE", "/actions/{action_id}", "Delete an action."),
    "actions:get": (_READER, "GET", "/actions/{action_id}", "Show an action."),
    "actions:get_all": (_READER, "GET", "/actions", "List a project's actions."),
    "actions:get_all_projects": (_ACROSS, "GET", "/actions", "List every project's actions."),
    "actions:replace": (_MEMBER, "POST", "/actions/{action_id}", "Replace an action."),
    "actions:update": (_MEMBER, "PATCH", "/actions/{action_id}", "Change an action."),
    "backups:create": (_MEMBER_OR_SERVICE, "POST", "/backups", "Register a backup."),
    "backups:delete": (_MEMBER_OR_SERVICE, "DELETE", "/backups/{backup_id}", "Forget a backup."),
    "backups:get": (_READER, "GET", "/backups/{backup_id}", "Show a backup."),
    "backups:get_all": (_READER, "GET", "/backups", "List a project's backups."),
    "backups:get_all_projects": (_ACROSS, "GET", "/backups", "List every project's backups."),
    "backups:update": (_MEMBER_OR_SERVICE, "PATCH", "/backups/{backup_id}", "Change a backup."),
    "clients:create": (_MEMBER, "POST", "/clients", "Register a client."),
    "clients:create_central": (
        _ACROSS,
        "POST",
        "/clients",
        "Register a central client, which serves every project.",
    ),
    "clients:delete": (_MEMBER, "DELETE", "/clients/{client_id}", "Forget a client."),
    "clients:get": (_READER, "GET", "/clients/{client_id}", "Show a client."),
    "clients:get_all": (_READER, "GET", "/clients", "List a project's clients."),
    "clients:get_all_projects": (_ACROSS, "GET", "/clients", "List every project's clients."),
    "jobs:create": (_MEMBER, "POST", "/jobs", "Create or replace a job."),
    "jobs:delete": (_MEMBER, "DELETE", "/jobs/{job_id}", "Delete a job."),
    "jobs:event:create": (
        _MEMBER,
        "POST",
        "/jobs/{job_id}/event",
        "Start, stop or abort a job.",
    ),
    "jobs:get": (_READER, "GET", "/jobs/{job_id}", "Show a job."),
    "jobs:get_all": (_READER, "GET", "/jobs", "List a project's jobs."),
    "jobs:get_all_projects": (_ACROSS, "GET", "/jobs", "List every project's jobs."),
    "jobs:update": (_MEMBER, "PATCH", "/jobs/{job_id}", "Change a job."),
    "sessions:action:create": (
        _MEMBER,
        "POST",
        "/sessions/{session_id}/action",
        "Start a session, or end a job's part in it.",
    ),
    "sessions:create": (_MEMBER, "POST", "/sessions", "Create a session."),
    "sessions:delete": (_MEMBER, "DELETE", "/sessions/{session_id}", "Delete a session."),
    "sessions:get": (_READER, "GET", "/sessions/{session_id}", "Show a session."),
    "sessions:get_all": (_READER, "GET", "/sessions", "List a project's sessions."),
    "sessions:get_all_projects": (_ACROSS, "GET", "/sessions", "List every project's sessions."),
    "sessions:job:add": (_MEMBER, "PUT", _JOB_IN_SESSION, "Take a job into a session."),
    "sessions:job:remove": (_MEMBER, "DELETE", _JOB_IN_SESSION, "Take a job out of a session."),
    "sessions:replace": (_MEMBER, "POST", "/sessions/{session_id}", "Replace a session."),
    "sessions:update": (_MEMBER, "PATCH", "/sessions/{session_id}", "Change a session."),
}
"""What may be done: by whom, by which REST request, and what it is; GraphQL has the same rules."""


class Policy:
    """The rules in force: the defaults, and those of a file where there is one.

    Raises ValueError, naming the rule, for a file with one that can't be understood, and OSError
    for one that can't be read. A file that changes is read again; while it is wrong, what it said
    before holds.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._read_at = time.monotonic()
        self._seen = _stamp(file)
        self._enforcer = _enforcer(file)
        self.remembered: dict[tuple[str, Identity, str], bool] = {}

    def check(self, rule: str, identity: Identity, project_id: str) -> None:
        """Let the caller pass, or raise Forbidden; `project_id` is whose items it is about.

        Without authentication there is one user, who has every role.
        """
        if not self.allows(rule, identity, project_id):
            if identity.project_id is None:
                raise Forbidden("the token is not scoped to a project")
            raise Forbidden(f"you are not allowed to do this: '{rule}' in project '{project_id}'")

    def allows(self, rule: str, identity: Identity, project_id: str) -> bool:
        """Whether the caller may do this; an unknown rule is the gateway's own mistake."""
        if self._file is not None and time.monotonic() - self._read_at > REREAD_SECONDS:
            self._reread()
        asked = (rule, identity, project_id)
        allowed = self.remembered.get(asked)
        if allowed is None:
            if len(self.remembered) >= REMEMBERED:
                self.remembered.clear()
            allowed = self.remembered[asked] = self._decide(rule, identity, project_id)
        return allowed

    def permissions(self, identity: Identity, project_id: str) -> list[str]:
        """The names of the rules that let the caller pass in this project, sorted."""
        return [rule for rule in OPERATIONS if self.allows(rule, identity, project_id)]

    def _decide(self, rule: str, identity: Identity, project_id: str) -> bool:
        if identity.project_id is None:
            # Every rule is about a project: a role on the system or on a domain is no role here.
            return False
        caller = {
            "user_id": identity.user_id,
            "user_name": identity.user_name,
            "user_domain_id": identity.user_domain_id,
            "project_id": identity.project_id,
            "project_domain_id": identity.project_domain_id,
            "roles": sorted(identity.roles),
            "service_roles": sorted(identity.service_roles),
        }
        return bool(self._enforcer.authorize(rule, {"project_id": project_id}, caller))

    def _reread(self) -> None:
        self._read_at = time.monotonic()
        stamp = _stamp(self._file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._enforcer = _enforcer(self._file)
        except (OSError, ValueError) as error:
            log.error("policy file not taken over", file=str(self._file), error=str(error))  # noqa: TRY400
        else:
            self.remembered.clear()
            log.info("policy file read", file=str(self._file))


def sample() -> str:
    """The default rules as a policy file, each one commented out and explained."""
    parts = [
        f'# Who may do what. To change a rule, remove the "#" before it.\n\n{_commented(BASES)}'
    ]
    for name, (rule, method, path, meaning) in OPERATIONS.items():
        parts.append(
            f"# {meaning}\n# {method} /v2/{{project_id}}{path}\n{_commented({name: rule})}"
        )
    return "\n".join(parts)


def _commented(rules: dict[str, str]) -> str:
    return "".join(f'#"{name}": "{rule}"\n' for name, rule in rules.items())


def _stamp(file: Path | None) -> tuple[int, int] | None:
    """What tells one state of the file from another; None: it isn't there."""
    try:
        status = file.stat() if file else None
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_size)


def _enforcer(file: Path | None) -> oslo.Enforcer:
    config = cfg.ConfigOpts()
    config([], default_config_files=[], default_config_dirs=[])
    enforcer = oslo.Enforcer(config, use_conf=False)
    scope = ["project"]
    enforcer.register_defaults(
        [oslo.RuleDefault(name, rule, scope_types=scope) for name, rule in BASES.items()]
    )
    enforcer.register_defaults(
        [
            oslo.RuleDefault(name, rule, meaning, scope_types=scope)
            for name, (rule, _, _, meaning) in OPERATIONS.items()
        ]
    )
    # oslo.policy would look for a file in its own places, and at it before every check.
    rules = {rule.name: rule.check for rule in enforcer.registered_rules.values()}
    enforcer.set_rules(rules | (_read(file) if file else {}))
    try:
        enforcer.check_rules(raise_on_violation=True)
    except oslo.InvalidDefinitionError as error:
        raise ValueError(f"{file}: {error}") from None
    return enforcer


def _read(file: Path) -> dict[str, Any]:
    try:
        found: object = oslo.parse_file_contents(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} must map names to rules")  # noqa: TRY004 - bad content
    for name, rule in found.items():
        _understand(file, name, rule)
    unknown = sorted(name for name in found if ":" in name and name not in OPERATIONS)
    if unknown:
        log.warning("policy file names rules that nothing asks for", rules=unknown)
    return dict(oslo.Rules.from_dict(found))


def _understand(file: Path, name: Any, rule: Any) -> None:
    """Refuse what oslo.policy would only log, and take for "nobody"."""
    if not isinstance(name, str) or not isinstance(rule, (str, list)):
        raise ValueError(f"{file}: {name!r}: {rule!r} is not a rule")  # noqa: TRY004 - bad content
    text = str(rule)
    if re.search(r"\bhttps?:", text):
        # It would be asked in the middle of every request, and its answer remembered.
        raise ValueError(f"{file}: '{name}' asks another server, which the gateway can't do")
    parsed: dict[str, Any] = {name: rule}
    check = oslo.Rules.from_dict(parsed)[name]
    if "!" in str(check) and "!" not in text:
        raise ValueError(f"{file}: '{name}' can't be understood: {text}")
