"""Questions about chains of other projects: for callers who may list them, and nobody else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.auth.policy import Policy
from gateway.catalogue.vocabularies import BackupStatus
from gateway.resolvers import backups, clients
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.clients import ClientDraft
from gateway.settings import Settings
from tests.chains.test_keeping import metadata
from tests.support.apps import GraphQL, MakeContext, opened
from tests.support.global_ids import global_id
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

QUERY = """query($series: ID!, $ids: [ID!]!) {
  restorePlan(series: $series) { restorability backup { id projectId series { id } } steps { id } }
  retention(series: $series, setting: {removeOlderThan: 1}) {
    removed { id projectId backups { nodes { id } } } keptCount oldest { id }
  }
  deletionImpact(ids: $ids) {
    lostCount brokenCount chainsCount lost { id } broken { id requires { nodes { id } } }
  }
}"""
NOTHING = {
    "restorePlan": None,
    "retention": None,
    "deletionImpact": {
        "lostCount": 0,
        "brokenCount": 0,
        "chainsCount": 0,
        "lost": [],
        "broken": [],
    },
}


class Roles:
    """Knows users of a project by the roles that are their token."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Tell who it is."""
        roles = (headers.get("x-auth-token") or "").split()
        return Identity("u", "user", "p1", frozenset(roles))


Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def ask(settings: Settings) -> AsyncIterator[Ask]:
    """Return a function that asks in the project p1, with roles, a policy, or another project."""
    app = create_app(settings)
    async with opened(app) as client:
        contexts = replace(app.state.contexts, authenticator=Roles())

        async def ask(
            roles: str,
            variables: Any,
            policy: Policy | None = None,
            project: str = "p1",
            query: str = QUERY,
        ) -> Any:
            app.state.contexts = contexts if policy is None else replace(contexts, policy=policy)
            headers = {"X-Auth-Token": roles, "X-Project-Id": project}
            body = {"query": query, "variables": variables}
            return (await client.post("/graphql", json=body, headers=headers)).json()

        yield ask


@pytest.fixture
async def others(make_ctx: MakeContext) -> dict[str, Any]:
    """Return the ids of a series of another project, and of the first backup of its chain.

    The caller's own project has a series of the same id.
    """
    for project in ("p1", "p2"):
        ctx = make_ctx(project)
        given = [
            await backups.create(ctx, BackupDraft(metadata(day, max_level=3)))
            for day in range(1, 4 if project == "p2" else 2)
        ]
    return {
        "series": global_id("Series", "p2", str(given[0].series)),
        "ids": [global_id("Backup", "p2", given[0].id)],
        "others": [global_id("Backup", "p2", one.id) for one in given[1:]],
    }


def asked(others: dict[str, Any]) -> dict[str, Any]:
    return {"series": others["series"], "ids": others["ids"]}


async def test_those_who_list_all_projects_are_answered(ask: Ask, others: dict[str, Any]) -> None:
    answer = await ask("admin", asked(others))
    assert "errors" not in answer
    data, (first,) = answer["data"], others["ids"]
    plan, retention, impact = (data[name] for name in NOTHING)
    assert plan["restorability"] == "RESTORABLE"
    assert plan["backup"]["projectId"] == "p2"
    assert plan["backup"]["series"] == {"id": others["series"]}
    assert [one["id"] for one in plan["steps"]] == [first, *others["others"]]
    (chain,) = retention["removed"]
    assert chain["projectId"] == "p2"
    assert len(chain["backups"]["nodes"]) == 3
    assert (retention["keptCount"], retention["oldest"]) == (0, None)
    counts = {name: impact[name] for name in ("lostCount", "brokenCount", "chainsCount")}
    assert counts == {"lostCount": 1, "brokenCount": 2, "chainsCount": 1}
    assert [one["id"] for one in impact["broken"]] == others["others"]
    assert impact["broken"][0]["requires"]["nodes"] == [{"id": first}]
    # As in the project itself.
    assert answer == await ask("admin", asked(others), project="p2")


@pytest.mark.parametrize("roles", ["reader", "member reader"])
async def test_nobody_else_learns_of_them(ask: Ask, others: dict[str, Any], roles: str) -> None:
    assert await ask(roles, asked(others)) == {"data": NOTHING}
    unknown = {
        "series": global_id("Series", "p2", "0" * 32),
        "ids": [global_id("Backup", "p2", "none")],
    }
    assert await ask(roles, unknown) == {"data": NOTHING}


async def test_it_is_the_rule_of_all_projects_that_decides(
    ask: Ask, others: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"backups:get_all_projects": "role:auditor"\n')
    policy = Policy(file)
    assert await ask("admin", asked(others), policy) == {"data": NOTHING}
    answer = await ask("auditor reader", asked(others), policy)
    assert answer["data"]["restorePlan"]["restorability"] == "RESTORABLE"
    assert answer["data"]["deletionImpact"]["brokenCount"] == 2
    # It stands for no other rule.
    refused = await ask("auditor", asked(others), policy, project="p2")
    assert {one["extensions"]["code"] for one in refused["errors"]} == {"FORBIDDEN"}


async def test_readers_plan_and_members_restore(ask: Ask, make_ctx: MakeContext) -> None:
    ctx = make_ctx("p1")
    await clients.create(ctx, ClientDraft("web1", hostname="web1"))
    backup = await backups.create(ctx, BackupDraft(metadata(1, max_level=1)))
    series, given = str(backup.series), global_id("Backup", "p1", backup.id)
    own = {"series": global_id("Series", "p1", series), "ids": [given]}
    for dry_run in ("true", "false"):
        restore = f"""mutation {{ createRestoreJob(dryRun: {dry_run}, input: {{
          backup: "{given}", clientId: "web1", restorePath: "/back" }}) {{ plan {{ at }} }} }}"""
        (error,) = (await ask("reader", {}, query=restore))["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert "errors" not in await ask("member reader", {}, query=restore)
    assert (await ask("reader", own))["data"]["restorePlan"]["restorability"] == "RESTORABLE"
    refused = (await ask("", own))["errors"]
    assert {one["extensions"]["code"] for one in refused} == {"FORBIDDEN"}


async def test_lists_of_all_projects_have_the_same_chains(
    graphql: GraphQL, make_ctx: MakeContext
) -> None:
    for day in range(1, 6):
        status = BackupStatus.ERROR if day == 3 else BackupStatus.AVAILABLE
        await backups.create(make_ctx("p1"), BackupDraft(metadata(day, max_level=1), status))
    shown = """{ nodes { restorePoints { totalCount nodes { id } }
      chains { totalCount nodes { length } } } }"""
    own = await graphql(f"{{ series {shown} }}")
    (series,) = own["data"]["series"]["nodes"]
    assert (series["restorePoints"]["totalCount"], series["chains"]["totalCount"]) == (4, 2)
    assert await graphql(f"{{ series(allProjects: true) {shown} }}") == own


async def test_the_number_of_statements_does_not_depend_on_whose_they_are(
    ask: Ask, others: dict[str, Any], recorder: QueryRecorder
) -> None:
    counts = []
    for project in ("p1", "p2"):
        with recorder:
            await ask("admin", asked(others), project=project)
        counts.append(len(recorder))
    assert counts[0] == counts[1]
