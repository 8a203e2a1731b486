"""The rows that an import has come across so far, for those that refer to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.chains import policies
from gateway.chains.policies import Policy
from gateway.moving.translation import moment

Key = tuple[str, str]
"""A project and an id in it."""

_TELLING = ("backup_name", "container", "path_to_backup")
"""The keys of an action that tell which backups are its."""


class BackingUp(NamedTuple):
    """An action that backs up: the values of `_TELLING`, and the policy of its backups."""

    backup_name: Any
    container: Any
    path_to_backup: Any
    policy: Policy


@dataclass
class Known:
    """Clients, sessions, actions and jobs, of which there are fewer than backups, but not few."""

    central: Mapping[str, str]
    """The projects of the central clients that the gateway has already, by their ids."""
    losers: Mapping[str, str] = field(default_factory=dict)
    """The rows of clients that are duplicates, with the row that is taken in their place."""
    clients: set[Key] = field(default_factory=set)
    central_ids: dict[str, str] = field(default_factory=dict)
    """The projects of the central clients that have been read, by their ids."""
    sessions: set[Key] = field(default_factory=set)
    actions: dict[Key, BackingUp | None] = field(default_factory=dict)
    """Those that back up; None for others."""
    jobs: dict[Key, tuple[str | None, Policy | Sequence[BackingUp] | None]] = field(
        default_factory=dict
    )
    """The client of each job, and the policy of its action that backs up; all of several."""
    _policies: dict[Policy, Policy] = field(default_factory=dict)
    """Each once, of which many actions have the same."""
    _texts: dict[str, str] = field(default_factory=dict)
    """The ids of projects and clients, and the containers, each once as well."""

    def add_action(self, project_id: str, action_id: str, document: Mapping[str, Any]) -> None:
        """Note an action that is there."""
        found = None
        if document.get("action") == "backup":
            policy = policies.of_action(document)
            name, container, path = (document.get(key) for key in _TELLING)
            if isinstance(container, str):
                container = self._once(container)
            policy = self._policies.setdefault(policy, policy)
            found = BackingUp(name, container, path, policy)
        self.actions[self._once(project_id), action_id] = found

    def add_job(
        self, project_id: str, job_id: str, client_id: str | None, linked: Sequence[str]
    ) -> None:
        """Note a job that is there, with its client and its actions, which are."""
        told = [one for action in linked if (one := self.actions[project_id, action]) is not None]
        client_id = None if client_id is None else self._once(client_id)
        policy = told[0].policy if len(told) == 1 else told or None
        self.jobs[self._once(project_id), job_id] = client_id, policy

    def _once(self, text: str) -> str:
        return self._texts.setdefault(text, text)

    def forget(self, table: str, key: Key) -> None:
        """Forget an item that is there no more."""
        if table == "clients":
            self.clients.discard(key)
            if self.central_ids.get(key[1]) == key[0]:
                del self.central_ids[key[1]]
        elif table == "sessions":
            self.sessions.discard(key)
        elif table == "actions":
            self.actions.pop(key, None)
        elif table == "jobs":
            self.jobs.pop(key, None)

    def renew(self, central: Mapping[str, str], losers: Mapping[str, str]) -> None:
        """Begin a pass, with these central clients here, and these duplicates there."""
        self.central, self.losers = central, losers

    def client_and_policy(
        self, project_id: str, job_id: str | None, metadata: Mapping[str, Any]
    ) -> tuple[str | None, Policy | None]:
        """Return the client of a job, and the policy of its action that made a backup.

        None for what nothing tells. Equal policies are one object.
        """
        client_id, told = self.jobs.get((project_id, job_id or ""), (None, None))
        if told is None or isinstance(told, Policy):
            return client_id, told
        documents = [dict(zip(_TELLING, one[:-1], strict=True)) for one in told]
        chosen = policies.choose(documents, metadata)
        found = zip(documents, told, strict=True)
        return client_id, next((one.policy for document, one in found if document is chosen), None)


def duplicates(standing: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Return the rows of clients that another row with the same id in the project supersedes.

    The last that was changed is taken; so it is told in `Catalogue.standing`.
    """
    chosen: dict[Key, tuple[Any, str]] = {}
    rows = []
    for own_id, project_id, client_id, _, created_at, updated_at in standing:
        changed = moment(updated_at) or moment(created_at)
        rank = (changed is not None, changed or 0, own_id)
        rows.append((own_id, (project_id, client_id)))
        if (project_id, client_id) not in chosen or rank > chosen[project_id, client_id][0]:
            chosen[project_id, client_id] = rank, own_id
    return {own_id: chosen[key][1] for own_id, key in rows if chosen[key][1] != own_id}
