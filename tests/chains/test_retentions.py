"""Retentions: what they leave, what is expired, and its end."""

from typing import Any

import pytest

from tests.chains.test_questions import asked, register
from tests.chains.test_restores import series_id
from tests.support.apps import GraphQL

pytestmark = pytest.mark.anyio

PREVIEW = """query($series: ID!, $at: DateTime, $setting: RetentionInput) {
  retention(series: $series, at: $at, setting: $setting) {
    removedCount keptCount removed { startedAt } kept { startedAt } oldest { chainLevel }
    cutoff nextLevel warnings
  }
}"""
DELETE = """mutation($series: ID!, $dryRun: Boolean! = false) {
  deleteExpiredBackups(input: {series: $series}, dryRun: $dryRun) {
    count expired { restorability }
  }
}"""


def day(number: int) -> str:
    return f"1970-01-{number + 1:02}T00:00:00+00:00"


async def previewed(graphql: GraphQL, at: str, **setting: Any) -> Any:
    variables = {"series": await series_id(graphql), "at": at, "setting": setting}
    return (await asked(graphql, PREVIEW, variables))["retention"]


async def test_chains_go_by_their_full_backups(graphql: GraphQL) -> None:
    for number in range(1, 9):
        await register(graphql, number, max_level=2)
    found = await previewed(graphql, day(9), removeOlderThan=4.5)
    assert found == {
        "removedCount": 2,
        "keptCount": 1,
        "removed": [{"startedAt": day(4)}, {"startedAt": day(1)}],
        "kept": [{"startedAt": day(7)}],
        "oldest": {"chainLevel": 0},
        "cutoff": "1970-01-05T12:00:00+00:00",
        "nextLevel": 2,
        "warnings": [],
    }
    by_date = await previewed(graphql, day(9), removeBeforeDate=day(4))
    assert (by_date["removedCount"], by_date["keptCount"]) == (2, 1)


async def test_a_retention_that_takes_everything(graphql: GraphQL) -> None:
    await register(graphql, 1, max_level=2)
    found = await previewed(graphql, day(9), removeOlderThan=0)
    assert found["keptCount"] == 0
    assert found["oldest"] is None
    assert found["nextLevel"] == 0
    assert found["warnings"] == ["NEWEST_CHAIN_EXPIRES"]


async def test_the_next_level_of_another_policy(graphql: GraphQL) -> None:
    for number in range(1, 3):
        await register(graphql, number, max_level=5)
    assert (await previewed(graphql, day(3)))["nextLevel"] == 2
    assert (await previewed(graphql, day(3), maxLevel=1))["nextLevel"] == 0
    assert (await previewed(graphql, day(3), alwaysLevel=1))["nextLevel"] == 1
    assert (await previewed(graphql, day(3), incremental=False))["nextLevel"] == 0
    assert (await previewed(graphql, day(9), restartAlwaysLevel=3))["nextLevel"] == 0


async def test_a_number_of_days_that_is_none(graphql: GraphQL) -> None:
    await register(graphql, 1, max_level=2)
    variables = {"series": await series_id(graphql), "setting": {"removeOlderThan": -1}}
    (error,) = (await graphql(PREVIEW, variables))["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "-1" in error["message"]


async def test_what_has_expired_is_tidied(graphql: GraphQL) -> None:
    action = {"action": "backup", "backup_name": "etc", "mode": "fs", "remove_older_than": 2}
    made = """mutation($action: JSON!) { createJob(input: {jobId: "j", description: "j",
      actions: [{freezerAction: $action}]}) { job { id } } }"""
    await asked(graphql, made, {"action": action | {"incremental": True}})
    for number in range(1, 7):
        await register(graphql, number, max_level=1, job_id="j")
    shown = "{ backups(orderBy: [{field: TIME_STAMP}]) { nodes { restorability chainLevel } } }"
    nodes = (await asked(graphql, shown))["backups"]["nodes"]
    assert [one["restorability"] for one in nodes] == ["EXPIRED"] * 4 + ["RESTORABLE"] * 2
    variables = {"series": await series_id(graphql)}
    tried = (await asked(graphql, DELETE, variables | {"dryRun": True}))["deleteExpiredBackups"]
    assert tried == {"count": 4, "expired": [{"restorability": "EXPIRED"}] * 4}
    done = (await asked(graphql, DELETE, variables))["deleteExpiredBackups"]
    assert done == {"count": 4, "expired": []}
    left = (await asked(graphql, shown))["backups"]["nodes"]
    assert left == nodes[4:]
    await register(graphql, 7, max_level=1, job_id="j")
    newest = (await asked(graphql, shown))["backups"]["nodes"][-1]
    assert newest == {"restorability": "RESTORABLE", "chainLevel": 0}


async def test_what_a_retention_warns_of(graphql: GraphQL) -> None:
    await register(graphql, 1)
    assert (await previewed(graphql, day(3)))["warnings"] == ["LEVELS_UNKNOWN"]
    found = await previewed(graphql, day(3), alwaysLevel=1, restartAlwaysLevel=3)
    assert found["warnings"] == ["LEVELS_UNKNOWN", "NEVER_RESTARTS"]
