"""The rows that an import has come across so far, for those that refer to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.chains import policies
from gateway.chains.policies import Policy
from gateway.moving.translation import moment

Key = tuple[str, str]
"""A project and an id in it."""

_OF_POLICY = (
    *("backup_name", "container", "path_to_backup"),
    *("incremental", "max_level", "always_level", "restart_always_level"),
    *("remove_older_than", "remove_before_date", "remove_from_date"),
)
"""The keys of an action that tell the policy of its backups, and which backups are its."""


@dataclass
class Known:
    """Clients, sessions, actions and jobs, of which there are far fewer than backups."""

    central: Mapping[str, str]
    """The projects of the central clients that the gateway has already, by their ids."""
    losers: Mapping[str, str] = field(default_factory=dict)
    """The rows of clients that are duplicates, with the row that is taken in their place."""
    clients: set[Key] = field(default_factory=set)
    central_ids: dict[str, str] = field(default_factory=dict)
    """The projects of the central clients that have been read, by their ids."""
    sessions: set[Key] = field(default_factory=set)
    actions: dict[Key, dict[str, Any] | None] = field(default_factory=dict)
    """The keys that tell of its policy, of an action that backs up; None for another."""
    jobs: dict[Key, tuple[str | None, Sequence[dict[str, Any]]]] = field(default_factory=dict)
    """The client of each job, and what its actions that back up tell of their policies."""
    _policies: dict[int, Policy] = field(default_factory=dict)

    def add_action(self, project_id: str, action_id: str, document: Mapping[str, Any]) -> None:
        """Note an action that is there."""
        backs_up = document.get("action") == "backup"
        told = {key: document[key] for key in _OF_POLICY if key in document}
        self.actions[project_id, action_id] = told if backs_up else None

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
        # By objects that may be gone by now.
        self._policies.clear()

    def policy(
        self, actions: Sequence[dict[str, Any]], metadata: Mapping[str, Any]
    ) -> Policy | None:
        """Return the policy of the one of a job's actions that made a backup; None: none tells."""
        chosen = policies.choose(actions, metadata)
        if chosen is None:
            return None
        found = self._policies.get(id(chosen))
        if found is None:
            found = self._policies[id(chosen)] = policies.of_action(chosen)
        return found


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
