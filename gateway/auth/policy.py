"""Authorization: oslo.policy's rules, with freezer-api's names and defaults."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import structlog
from cachetools import FIFOCache
from oslo_config import cfg
from oslo_policy import policy as oslo

from gateway.auth.identity import Identity
from gateway.errors import Forbidden

log = structlog.get_logger(__name__)

REREAD_SECONDS = 1
MAX_RIGHTS = 2000
"""Callers of whom it is cached, by project, which of all rules let them pass."""
MAX_DECISIONS = 20_000
"""Decisions cached per process. The oldest go first: that costs a hit no more than a look-up."""

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
"""Building blocks of the rules."""

RULES: Mapping[str, tuple[str, str]] = {
    "actions:create": (_MEMBER, "Create an action."),
    "actions:delete": (_MEMBER, "Delete an action."),
    "actions:get": (_READER, "Show an action."),
    "actions:get_all": (_READER, "List a project's actions."),
    "actions:get_all_projects": (_ACROSS, "List every project's actions."),
    "actions:replace": (_MEMBER, "Replace an action."),
    "actions:update": (_MEMBER, "Change an action."),
    "backups:create": (_MEMBER_OR_SERVICE, "Register a backup."),
    "backups:delete": (_MEMBER_OR_SERVICE, "Forget a backup."),
    "backups:get": (_READER, "Show a backup."),
    "backups:get_all": (_READER, "List a project's backups."),
    "backups:get_all_projects": (_ACROSS, "List every project's backups."),
    "backups:update": (_MEMBER_OR_SERVICE, "Change a backup."),
    "clients:create": (_MEMBER, "Register a client."),
    "clients:create_central": (_ACROSS, "Register a central client, which serves every project."),
    "clients:delete": (_MEMBER, "Forget a client."),
    "clients:get": (_READER, "Show a client."),
    "clients:get_all": (_READER, "List a project's clients."),
    "clients:get_all_projects": (_ACROSS, "List every project's clients."),
    "graphql:any_document": (
        "rule:context_is_admin",
        "Send any document where only trusted ones are taken, as GraphiQL does.",
    ),
    "health:hosts:set": (_MEMBER, "Set the list of hosts that should be backed up."),
    "health:mute": (_MEMBER, "Mute the health of an item, or end that."),
    "health:objectives:set": (_MEMBER, "Set a recovery objective."),
    "jobs:create": (_MEMBER, "Create or replace a job."),
    "jobs:delete": (_MEMBER, "Delete a job."),
    "jobs:event:create": (_MEMBER, "Start, stop or abort a job."),
    "jobs:get": (_READER, "Show a job."),
    "jobs:get_all": (_READER, "List a project's jobs."),
    "jobs:get_all_projects": (_ACROSS, "List every project's jobs."),
    "jobs:update": (_MEMBER, "Change a job."),
    "sessions:action:create": (_MEMBER, "Start a session, or end a job's part in it."),
    "sessions:create": (_MEMBER, "Create a session."),
    "sessions:delete": (_MEMBER, "Delete a session."),
    "sessions:get": (_READER, "Show a session."),
    "sessions:get_all": (_READER, "List a project's sessions."),
    "sessions:get_all_projects": (_ACROSS, "List every project's sessions."),
    "sessions:job:add": (_MEMBER, "Take a job into a session."),
    "sessions:job:remove": (_MEMBER, "Take a job out of a session."),
    "sessions:replace": (_MEMBER, "Replace a session."),
    "sessions:update": (_MEMBER, "Change a session."),
}
"""Every rule's default, and the operation that it guards on both surfaces. Sorted by name."""


class Policy:
    """The rules in force: the defaults, overridden by a YAML file where there is one.

    Raises ValueError, naming the rule, for a file with a malformed one, and OSError for a file that
    can't be read. A file that changes is read again; while it is wrong, its last good state holds.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._read_at = time.monotonic()
        self._seen = _stamp(file)
        self._enforcer = _enforcer(file)
        self.decisions: FIFOCache[tuple[str, Identity, str], bool] = FIFOCache(MAX_DECISIONS)
        self.generation = 0
        """How often the file has been read anew, and other rules may have come into force."""
        self.on_reread: list[Callable[[], None]] = []
        """Called each time."""
        self._rights: FIFOCache[tuple[Identity, str], str] = FIFOCache(MAX_RIGHTS)

    def check(self, rule: str, identity: Identity, project_id: str) -> None:
        """Return if the rule lets the caller act on a project's items, else raise Forbidden."""
        if not self.allows(rule, identity, project_id):
            if identity.project_id is None:
                raise Forbidden("the token is not scoped to a project")
            raise Forbidden(f"you are not allowed to do this: '{rule}' in project '{project_id}'")

    def allows(self, rule: str, identity: Identity, project_id: str) -> bool:
        """Return True if the rule lets the caller act on a project's items.

        Raises oslo.policy's PolicyNotRegistered for an unknown rule.
        """
        self.refresh()
        request = (rule, identity, project_id)
        try:
            return self.decisions[request]
        except KeyError:
            allowed = self.decisions[request] = self._decide(rule, identity, project_id)
            return allowed

    def refresh(self) -> None:
        """Read the file again if it has changed; it is looked at once a second at most."""
        if self._file is not None and time.monotonic() - self._read_at > REREAD_SECONDS:
            self._reread()

    def permissions(self, identity: Identity, project_id: str) -> list[str]:
        """Return the sorted names of the rules that let the caller act on a project's items."""
        return [rule for rule in RULES if self.allows(rule, identity, project_id)]

    def rights(self, identity: Identity, project_id: str) -> str:
        """Return a digest of `permissions`: callers with the same may see the same."""
        self.refresh()
        caller = (identity, project_id)
        try:
            return self._rights[caller]
        except KeyError:
            pass
        generation = -1
        while generation != self.generation:
            # Not some by the rules of before, and others by those of now.
            generation = self.generation
            names = ",".join(self.permissions(identity, project_id))
        digest = self._rights[caller] = blake2b(names.encode(), digest_size=16).hexdigest()
        return digest

    def _decide(self, rule: str, identity: Identity, project_id: str) -> bool:
        if identity.project_id is None:
            # Every rule is about a project: roles on the system or on a domain don't count.
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
            log.error("policy file not reloaded", file=str(self._file), error=str(error))  # noqa: TRY400
        else:
            self.decisions.clear()
            self._rights.clear()
            self.generation += 1
            for forget in self.on_reread:
                forget()
            log.info("policy file reloaded", file=str(self._file))


def sample(requests: Mapping[str, Iterable[str]]) -> str:
    """Return the default rules as a policy file, each one commented out and explained.

    `requests` maps a rule to the REST requests it guards; a rule without any is of GraphQL alone.
    """
    parts = [
        f'# Authorization rules. To change one, remove the "#" before it.\n\n{_commented(BASES)}'
    ]
    for name, (rule, operation) in RULES.items():
        guarded = [f"# {request}\n" for request in requests.get(name, ["GraphQL only"])]
        parts.append(f"# {operation}\n{''.join(guarded)}{_commented({name: rule})}")
    return "\n".join(parts)


def _commented(rules: Mapping[str, str]) -> str:
    return "".join(f'#"{name}": "{rule}"\n' for name, rule in rules.items())


def _stamp(file: Path | None) -> tuple[int, int] | None:
    """Return the file's time and size, which tell its states apart; None: it doesn't exist."""
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
            oslo.RuleDefault(name, rule, operation, scope_types=scope)
            for name, (rule, operation) in RULES.items()
        ]
    )
    # Set, not loaded: oslo.policy would look for a file of its own, and stat it at every check.
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
        _check_rule(file, name, rule)
    unknown = sorted(name for name in found if ":" in name and name not in RULES)
    if unknown:
        log.warning("policy file names unknown rules", rules=unknown)
    return dict(oslo.Rules.from_dict(found))


def _check_rule(file: Path, name: Any, rule: Any) -> None:
    """Raise ValueError for a rule that oslo.policy would log, and let nobody pass by."""
    if not isinstance(name, str) or not isinstance(rule, (str, list)):
        raise ValueError(f"{file}: {name!r}: {rule!r} is not a rule")  # noqa: TRY004 - bad content
    text = str(rule)
    if re.search(r"\bhttps?:", text):
        # It would block the event loop, and its answer would be cached.
        raise ValueError(f"{file}: '{name}' asks another server, which the gateway can't do")
    parsed: dict[str, Any] = {name: rule}
    check = oslo.Rules.from_dict(parsed)[name]
    if "!" in str(check) and "!" not in text:
        raise ValueError(f"{file}: '{name}' can't be understood: {text}")
