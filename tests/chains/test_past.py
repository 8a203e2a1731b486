"""As of a moment: what is said of it later is what was said then."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.chains.test_questions import asked, register
from tests.chains.test_removals import ADMIN, Catalogue, ended
from tests.chains.test_restores import series_id
from tests.support.apps import GraphQL
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

PLAN = """query($series: ID!, $at: DateTime, $asOf: DateTime) {
  restorePlan(series: $series, at: $at, asOf: $asOf) {
    restorability restorabilityReason warnings backup { id } steps { id } bytes
    restoreFromDate freezerAction
  }
}"""
LEFT = """query($series: ID!, $at: DateTime) { retention(series: $series, at: $at) {
  removed { id } removedCount kept { id } keptCount oldest { id } cutoff nextLevel warnings
} }"""
JOB = """mutation($action: JSON!) { createJob(input: {jobId: "j", description: "j",
  actions: [{freezerAction: $action}]}) { job { id } } }"""

SSH = {"storage": "ssh", "ssh_host": "nas"}
CASES: Mapping[str, Mapping[str, Any]] = {
    "full backups": {"mode": "mysql"},
    "max_level": {"max_level": 2},
    "always_level, sorted": {"always_level": 2} | SSH,
    "always_level, in any order": {"always_level": 1},
    "told": {"levels": (0, 1, 2, 0, 1, 1, 2, 0, 1)},
    "told, sorted": {"levels": (0, 1, 1, 1, 2, 0, 1, 3, 0)} | SSH,
    "failed": {"max_level": 4, "failed": (2, 7)},
    "removed": {"action": {"max_level": 1, "incremental": True, "remove_older_than": 3}},
    "removed, always_level": {
        "action": {"always_level": 1, "incremental": True, "remove_older_than": 4}
    },
    "unknown": {"max_level": ""},
}


def moment(day: float) -> str:
    return f"1970-01-{1 + int(day):02}T{int(day % 1 * 24):02}:00:00Z"


async def said(graphql: GraphQL, day: float, as_of: float | None) -> dict[str, Any]:
    """Return what is said of restores to two moments; `as_of` None for all that is known."""
    series = await series_id(graphql)
    variables = {"series": series, "asOf": None if as_of is None else moment(as_of)}
    found: dict[str, Any] = {}
    for at in (day, day - 2):
        plan = (await asked(graphql, PLAN, variables | {"at": moment(at)}))["restorePlan"]
        if as_of is None:
            # It is a date of today where there is no later backup.
            del plan["restoreFromDate"], plan["freezerAction"]
        found[str(at)] = plan
    return found


async def left(graphql: GraphQL, day: float) -> Any:
    variables = {"series": await series_id(graphql), "at": moment(day)}
    return (await asked(graphql, LEFT, variables))["retention"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(", ", "-"))
async def test_as_of_a_moment_is_what_was_said_then(graphql: GraphQL, case: str) -> None:
    values = dict(CASES[case])
    levels, failed = values.pop("levels", ()), values.pop("failed", ())
    if action := values.pop("action", None):
        common = {"action": "backup", "backup_name": "etc", "mode": "fs"}
        await asked(graphql, JOB, {"action": common | action})
        values["job_id"] = "j"
    then: dict[float, Any] = {}
    for number in range(1, 10):
        level = {"curr_backup_level": levels[number - 1]} if levels else {}
        status = "ERROR" if number in failed else "AVAILABLE"
        await register(graphql, number, status, **(values | level))
        day = number + 0.5
        if number > 1:
            # That levels are told is known from the second backup on.
            known = await said(graphql, day, None), await said(graphql, day, day)
            then[day] = *known, await left(graphql, day)
    for day, (known, as_of, retention) in then.items():
        later = await said(graphql, day, day)
        assert later == as_of, day
        for plan in later.values():
            del plan["restoreFromDate"], plan["freezerAction"]
        assert later == known, day
        assert await left(graphql, day) == retention, day


async def test_now_is_the_moment_by_default(graphql: GraphQL) -> None:
    ids = [(await register(graphql, day, max_level=2))["id"] for day in range(1, 4)]
    series = await series_id(graphql)
    plan = (await asked(graphql, PLAN, {"series": series, "asOf": moment(2.5)}))["restorePlan"]
    assert plan["backup"] == {"id": ids[1]}
    assert plan["restoreFromDate"] == "1970-01-03T12:00:00+00:00"
    whole = (await asked(graphql, PLAN, {"series": series}))["restorePlan"]
    assert whole["backup"] == {"id": ids[2]}


async def test_deleted_backups_are_not_known_any_more(graphql: GraphQL) -> None:
    ids = [(await register(graphql, day, always_level=1, **SSH))["id"] for day in range(1, 5)]
    delete = "mutation($id: ID!) { deleteBackup(input: {id: $id}) { deletedId } }"
    await asked(graphql, delete, {"id": ids[3]})
    series = await series_id(graphql)
    as_of = {"series": series, "asOf": moment(3.5)}
    plan = (await asked(graphql, PLAN, as_of))["restorePlan"]
    # Its level may have been taken before that moment: nobody knows when the deleted one was made.
    assert plan["restorabilityReason"] == "SUPERSEDED"


async def test_what_an_admin_action_removed_was_there_before_it_ran(
    client: httpx.AsyncClient, graphql: GraphQL
) -> None:
    catalogue = Catalogue(client, graphql)
    await catalogue.host()
    for day in range(1, 7):
        await catalogue.backup(day, max_level=1)
    await catalogue.job("tidy", ADMIN)
    await catalogue.report("tidy", ended(7.5))
    (old,) = {(await said(graphql, 2.5, day))["2.5"]["restorability"] for day in (6.9, 7.4)}
    assert old == "RESTORABLE"
    assert (await said(graphql, 2.5, 8))["2.5"]["restorability"] == "BROKEN"


async def test_the_past_costs_a_constant_number_of_statements(
    graphql: GraphQL, recorder: QueryRecorder
) -> None:
    counts = []
    for day in range(1, 13):
        await register(graphql, day, always_level=1)
        series = await series_id(graphql)
        with recorder:
            await asked(graphql, PLAN, {"series": series, "asOf": moment(day - 0.5)})
        counts.append(len(recorder))
    assert len(set(counts[2:])) == 1
