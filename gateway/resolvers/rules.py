"""The policy rules by which collections are read; each resolver names the rules it writes by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """The names of the rules that reading one kind of item needs."""

    list: str
    """The rule for the list of a project."""
    item: str
    """The rule for one item of a project."""
    all_projects: str
    """The rule for the list, and for the items, of all projects."""


ACTIONS = Rules("actions:get_all", "actions:get", "actions:get_all_projects")
BACKUPS = Rules("backups:get_all", "backups:get", "backups:get_all_projects")
CLIENTS = Rules("clients:get_all", "clients:get", "clients:get_all_projects")
JOBS = Rules("jobs:get_all", "jobs:get", "jobs:get_all_projects")
SESSIONS = Rules("sessions:get_all", "sessions:get", "sessions:get_all_projects")
