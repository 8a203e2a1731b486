"""Episodes: a job's life in eight writes, each of which changes several rows, and its worlds.

A world is all that the database has of an episode. A write that was acknowledged has happened. One
whose answer was lost happened or not, so two worlds are possible; half of it is in neither.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

World = dict[str, Any]

EMPTY: World = {"job": None, "actions": [], "session": None, "backups": 0}


def _create_job(name: str, world: World) -> None:
    actions = [f"{name}-a0", f"{name}-a1"]
    world["job"] = {"description": name, "actions": actions, "in_session": False}
    world["actions"] = actions


def _update_job(name: str, world: World) -> None:
    world["job"]["description"] = f"{name} changed"


def _create_session(_name: str, world: World) -> None:
    world["session"] = {"tag": 0, "status": None, "result": None, "jobs": {}}


def _add_to_session(name: str, world: World) -> None:
    world["job"]["in_session"] = True
    world["session"]["jobs"] = {name: ""}


def _start_session(name: str, world: World) -> None:
    world["session"] |= {"tag": 1, "status": "running", "jobs": {name: "running"}}


def _end_session(name: str, world: World) -> None:
    done = {"status": "completed", "result": "success", "jobs": {name: "completed"}}
    world["session"] |= done


def _register_backup(_name: str, world: World) -> None:
    world["backups"] = 1


def _delete_job(_name: str, world: World) -> None:
    # Its actions and its backup stay.
    world["job"] = None
    world["session"]["jobs"] = {}


STEPS: dict[str, Callable[[str, World], None]] = {
    "create_job": _create_job,
    "update_job": _update_job,
    "create_session": _create_session,
    "add_to_session": _add_to_session,
    "start_session": _start_session,
    "end_session": _end_session,
    "register_backup": _register_backup,
    "delete_job": _delete_job,
}
"""The writes of an episode, in their order: each changes a world as it changes the database."""


def possible_worlds(name: str, outcomes: Iterable[tuple[str, str]]) -> list[World]:
    """Return the worlds that an episode may be in after writes with these outcomes."""
    worlds = [deepcopy(EMPTY)]
    for step, outcome in outcomes:
        if outcome == "refused":
            continue
        after = deepcopy(worlds)
        for world in after:
            STEPS[step](name, world)
        worlds = after if outcome == "acknowledged" else worlds + after
    return worlds
