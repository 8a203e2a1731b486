"""Warnings of what a job's actions surely do, by the rules of freezer-agent 19, unexpectedly."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from gateway.catalogue.timetables import GRACE, UNREADABLE, Timetable
from gateway.catalogue.vocabularies import ScheduleWarningCode
from gateway.chains import policies
from gateway.chains.places import media_of
from gateway.chains.policies import NEVER_INCREMENTAL
from gateway.chains.states import SORTED

Document = Mapping[str, Any]

_OWN_CHAINS = frozenset({*NEVER_INCREMENTAL, "cindernative"})
"""The media whose backups aren't in chains of the agent's own."""


def codes(actions: Sequence[Document], plan: Timetable) -> list[ScheduleWarningCode]:
    """Return what to be warned of, once each, in the order of the vocabulary."""
    found = {code for action in actions for code in _of_action(action, plan)}
    return [code for code in ScheduleWarningCode if code in found]


def _of_action(action: Document, plan: Timetable) -> Iterator[ScheduleWarningCode]:
    operation = action.get("action") or "backup"
    days = action.get("remove_older_than")
    if operation in {"backup", "restore", "admin"} and (
        days is False or (isinstance(days, str) and days.lower() in {"false", "none"})
    ):
        yield ScheduleWarningCode.REMOVES_EVERYTHING
    if operation != "backup":
        return
    date = action.get("remove_before_date")
    if date is False or date == "":
        yield ScheduleWarningCode.NOT_REGISTERED
    policy = policies.of_action(action)
    media = media_of({}, _text(action, "mode"))
    if not policy.incremental or media in _OWN_CHAINS:
        return
    if action.get("restart_always_level") == "":
        yield ScheduleWarningCode.FAILS_AT_INCREMENTS
    # By its levels, a chain may end, or there is none; and by the order of a listing it may.
    is_certain = _text(action, "storage") in SORTED or not policy.always_level
    if policy.max_level or policy.always_level < 0 or not is_certain:
        return
    if policy.restart_always_level and _is_before(plan, policy.restart_always_level):
        yield ScheduleWarningCode.NEVER_RESTARTS


def _is_before(plan: Timetable, days: float) -> bool:
    """Return True if each backup is made before so many days have passed since the one before.

    One may be late, and the next one in time.
    """
    try:
        gap = plan.longest_gap
    except UNREADABLE:
        return False
    return gap is not None and gap + timedelta(seconds=GRACE) <= timedelta(days=days)


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
