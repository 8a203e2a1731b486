"""What `admin` and `restore` actions have removed is expired once their job's run has succeeded."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import httpx
import pytest

from tests.chains.test_keeping import DAY, metadata
from tests.support.apps import GraphQL
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

HOUR = DAY // 24
PLACE = {
    "backup_name": "etc",
    "container": "/backups",
    "storage": "local",
    "engine_name": "tar",
}
ADMIN = {"action": "admin", "remove_older_than": 2.5, **PLACE}
BACKUP = {"action": "backup", "mode": "fs", "path_to_backup": "/etc", **PLACE}
SHOWN = """{ backups(orderBy: [{field: TIME_STAMP}]) {
  nodes { timeStamp restorability restorabilityReason chainLevel } } }"""


def ended(began: float, until: float | None = None, **values: Any) -> dict[str, Any]:
    """Return the schedule of a job as its scheduler reports it, once it has run at this day."""
    began_at = int(began * DAY)
    ended_at = began_at + HOUR if until is None else int(until * DAY)
    usual = {"status": "scheduled", "event": "", "schedule_interval": "1 days"}
    return usual | {
        "result": "success",
        "time_started": began_at,
        "time_ended": ended_at,
        "current_pid": 7,
        **values,
    }


class Catalogue:
    """A catalogue of one project, written over REST as schedulers and agents do."""

    def __init__(self, client: httpx.AsyncClient, graphql: GraphQL, project: str = "p1") -> None:
        self.client, self.graphql, self.project = client, graphql, project

    async def send(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        """Write something; it must be accepted."""
        answer = await self.client.request(method, f"/v2/{self.project}/{path}", json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer

    async def host(self, name: str = "web1") -> None:
        """Register a client, on the host of this name."""
        await self.send("POST", "clients", {"client_id": name, "hostname": name})

    async def job(self, job_id: str, *actions: dict[str, Any], client_id: str = "web1") -> None:
        """Create a job with these actions."""
        await self.send(
            "POST",
            "jobs",
            {
                "job_id": job_id,
                "client_id": client_id,
                "description": job_id,
                "job_schedule": {"schedule_interval": "1 days"},
                "job_actions": [{"freezer_action": action} for action in actions],
            },
        )

    async def backup(self, day: float, **values: Any) -> None:
        """Register a backup of this day."""
        await self.send("POST", "backups", metadata(day, **values))

    async def report(self, job_id: str, schedule: dict[str, Any]) -> None:
        """Report a job's run, as its scheduler does."""
        await self.send("PATCH", f"jobs/{job_id}", {"job_schedule": schedule})

    async def nodes(self) -> list[Any]:
        """Return what is told of all backups, by their times."""
        body = await self.graphql(SHOWN, {}, project=self.project)
        assert "errors" not in body, body
        nodes: list[Any] = body["data"]["backups"]["nodes"]
        return nodes

    async def words(self) -> list[str]:
        """Return the verdicts on all backups."""
        return [node["restorability"] for node in await self.nodes()]

    async def levels(self) -> list[int | None]:
        """Return the levels of all backups."""
        return [node["chainLevel"] for node in await self.nodes()]


@pytest.fixture
async def catalogue(client: httpx.AsyncClient, graphql: GraphQL) -> Catalogue:
    """Return a catalogue with one host."""
    made = Catalogue(client, graphql)
    await made.host()
    return made


EXPIRED, THERE, UNKNOWN = "EXPIRED", "RESTORABLE", "UNKNOWN"


async def test_what_an_admin_action_has_removed_is_expired(catalogue: Catalogue) -> None:
    for day in range(1, 7):
        await catalogue.backup(day, max_level=1)
    await catalogue.job("tidy", ADMIN)
    await catalogue.report("tidy", ended(6.1, status="running", time_ended=-1, result=""))
    assert await catalogue.words() == [THERE] * 6
    await catalogue.report("tidy", ended(6.1))
    # Up to 3.6 days: the chains that began on days 1 and 3.
    assert await catalogue.words() == [EXPIRED] * 4 + [THERE] * 2
    (node, *_) = await catalogue.nodes()
    assert node["restorabilityReason"] == "RETENTION"
    await catalogue.backup(7, max_level=1)
    assert await catalogue.levels() == [0, 1] * 3 + [0]
    assert await catalogue.words() == [EXPIRED] * 4 + [THERE] * 3


@pytest.mark.parametrize(
    "report",
    [
        ended(6.1, result="fail"),
        ended(6.1, result="aborted"),
        ended(6.1, result=""),
        ended(6.1, status="running"),
        ended(6.1, time_ended=-1),
        ended(6.1, time_started=-1),
        ended(6.1, 6.05),
        # By a clock that is wrong.
        ended(6.1, 40_000),
    ],
)
async def test_a_run_that_has_not_succeeded_removes_nothing(
    catalogue: Catalogue, report: dict[str, Any]
) -> None:
    await catalogue.backup(1)
    await catalogue.job("tidy", ADMIN)
    await catalogue.report("tidy", report)
    assert await catalogue.words() == [UNKNOWN]
    await catalogue.report("tidy", ended(6.1))
    assert await catalogue.words() == [EXPIRED]


async def test_the_next_backup_begins_a_chain_where_the_newest_one_has_gone(
    catalogue: Catalogue,
) -> None:
    for day in range(1, 4):
        await catalogue.backup(day, max_level=9)
    await catalogue.job("tidy", ADMIN | {"remove_older_than": 1})
    await catalogue.report("tidy", ended(3.5))
    assert await catalogue.words() == [EXPIRED] * 3
    body = await catalogue.graphql("{ series { nodes { restorability } } }")
    assert body["data"]["series"]["nodes"] == [{"restorability": EXPIRED}]
    for day in range(4, 7):
        await catalogue.backup(day, max_level=9)
    assert await catalogue.levels() == [0, 1, 2, 0, 1, 2]
    assert await catalogue.words() == [EXPIRED] * 3 + [THERE] * 3
    # Whatever is derived anew afterwards.
    await catalogue.backup(2.5, max_level=9)
    assert await catalogue.levels() == [0, 1, 2, 3, 0, 1, 2]
    assert await catalogue.words() == [EXPIRED] * 4 + [THERE] * 3


async def test_reports_in_any_order_and_twice_lead_to_the_same(
    client: httpx.AsyncClient, graphql: GraphQL
) -> None:
    """But a series has a first backup: nothing is noted of one that is in no catalogue."""
    found = []
    for number, order in enumerate(permutations(range(4))):
        catalogue = Catalogue(client, graphql, f"p{number}")
        await catalogue.host()
        await catalogue.job("tidy", ADMIN | {"remove_older_than": 1})
        await catalogue.backup(1, max_level=9)
        writes = [
            lambda own=catalogue: own.backup(2, max_level=9),
            lambda own=catalogue: own.backup(4, max_level=9),
            lambda own=catalogue: own.report("tidy", ended(3)),
            lambda own=catalogue: own.report("tidy", ended(5)),
        ]
        for at in order:
            await writes[at]()
            if at == 2:
                await writes[at]()
                again = ended(2.9, status="running", time_ended=-1, result="")
                await catalogue.report("tidy", again)
                await writes[at]()
        found.append(await catalogue.nodes())
    assert [one["chainLevel"] for one in found[0]] == [0, 1, 0]
    assert [one["restorability"] for one in found[0]] == [EXPIRED] * 3
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize(
    ("options", "expired"),
    [
        ({"remove_older_than": 0}, 3),
        ({"remove_older_than": False}, 3),
        ({"remove_older_than": "False"}, 3),
        ({"remove_older_than": "None"}, 3),
        ({"remove_older_than": True}, 2),
        ({"remove_older_than": "1.5"}, 1),
        ({"remove_older_than": ""}, 0),
        ({"remove_older_than": -1}, 0),
        ({"remove_older_than": "soon"}, 0),
        ({"remove_older_than": [1]}, 0),
        ({"remove_older_than": None}, 0),
        ({"remove_before_date": "1970-01-03T00:00:00"}, 2),
        ({"remove_before_date": "1970-01-03T01:00:00+02:00"}, 1),
        ({"remove_before_date": "1970-01-02T23:59:59.9"}, 1),
        # No date at all, for the agent.
        ({"remove_before_date": "1970-01-01T00:00:00"}, 3),
        ({"remove_before_date": "2970-01-01T00:00:00"}, 3),
        ({"remove_before_date": False}, 0),
        ({"remove_before_date": ""}, 0),
        ({"remove_before_date": "tomorrow"}, 0),
        ({"remove_from_date": "1970-01-03T00:00:00Z"}, 2),
        # The agent refuses several of them.
        ({"remove_older_than": 1, "remove_before_date": "1970-01-03T00:00:00"}, 0),
        ({"remove_older_than": 1, "remove_before_date": ""}, 0),
        ({"remove_older_than": "", "remove_before_date": "1970-01-03T00:00:00"}, 2),
    ],
)
async def test_options_are_read_as_the_agent_reads_them(
    catalogue: Catalogue, options: dict[str, Any], expired: int
) -> None:
    for day in range(1, 4):
        await catalogue.backup(day, storage="ssh", ssh_host="nas")
    await catalogue.job("tidy", {"action": "admin", **PLACE, "storage": "ssh"} | options | NAS)
    await catalogue.report("tidy", ended(3.2))
    assert await catalogue.words() == [EXPIRED] * expired + [UNKNOWN] * (3 - expired)


NAS = {"ssh_host": "nas", "ssh_port": 22}


@pytest.mark.parametrize(
    ("action", "is_it"),
    [
        ({}, True),
        ({"hostname": "web1"}, True),
        ({"hostname": "web2"}, False),
        ({"container": "/other"}, False),
        ({"backup_name": "et"}, False),
        ({"storage": "swift"}, False),
        ({"engine_name": "rsync"}, False),
        ({"engine_name": "tar", "mode": "mysql"}, True),
        ({"nova_inst_id": "i1", "engine_name": "nova"}, False),
        ({"cinder_vol_id": "v1"}, False),
        ({"cindernative_vol_id": "v1"}, False),
        ({"project_id": "x", "engine_name": "nova"}, False),
        ({"engine_name": ["tar"]}, False),
    ],
)
async def test_only_the_series_that_the_action_names(
    catalogue: Catalogue,
    action: dict[str, Any],
    is_it: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await catalogue.backup(1)
    await catalogue.job("tidy", ADMIN | action)
    await catalogue.report("tidy", ended(6))
    assert await catalogue.words() == [EXPIRED if is_it else UNKNOWN]


async def test_a_name_is_filled_in_as_by_the_agent(catalogue: Catalogue) -> None:
    await catalogue.backup(1, backup_name="freezer_mysql_web1", mode="mysql")
    await catalogue.backup(2, backup_name="nightly_local_{x}")
    nameless = {key: value for key, value in ADMIN.items() if key != "backup_name"}
    await catalogue.job("tidy", nameless, ADMIN | {"backup_name": "nightly_{storage}_{x}"})
    await catalogue.report("tidy", ended(6))
    assert await catalogue.words() == [EXPIRED] * 2


@pytest.mark.parametrize(
    ("media", "values"),
    [
        ("nova", {"nova_inst_id": "i1", "engine_name": "nova"}),
        ("cinder", {"cinder_vol_id": "v1"}),
        ("cinderbrick", {"cinderbrick_vol_id": "v1", "engine_name": "osbrick"}),
    ],
)
async def test_volumes_and_instances(
    catalogue: Catalogue, media: str, values: dict[str, Any]
) -> None:
    await catalogue.backup(1, backup_media=media, **values)
    other = {key: "other" for key in values if key.endswith("_id")}
    await catalogue.backup(2, backup_media=media, **values | other)
    await catalogue.job("tidy", ADMIN | values)
    await catalogue.report("tidy", ended(6))
    (own, another) = await catalogue.words()
    assert own == EXPIRED
    # Of volumes by os-brick, the folder has only the name: theirs is the same one.
    assert (another == EXPIRED) == (media == "cinderbrick")


async def test_of_images_the_agent_removes_nothing(catalogue: Catalogue) -> None:
    values = {"glance_image_id": "g1", "engine_name": "glance"}
    await catalogue.backup(1, backup_media="glance", mode="glance", **values)
    await catalogue.job("tidy", ADMIN | values)
    await catalogue.report("tidy", ended(6))
    assert await catalogue.words() == [THERE]


async def test_what_cinder_holds_is_told_by_the_agent(catalogue: Catalogue) -> None:
    values = {"cindernative_vol_id": "v1", "cinder_backup_id": "b1"}
    await catalogue.backup(1, backup_media="cindernative", mode="cindernative", **values)
    await catalogue.job("tidy", ADMIN | {"cindernative_vol_id": "v1", "mode": "cindernative"})
    await catalogue.report("tidy", ended(6))
    assert await catalogue.words() == [THERE]


async def test_a_removal_that_rides_on_a_restore(catalogue: Catalogue) -> None:
    await catalogue.backup(1)
    restore = {"action": "restore", "restore_abs_path": "/back", "remove_older_than": 2, **PLACE}
    await catalogue.job("restoring", restore)
    await catalogue.report("restoring", ended(2))
    assert await catalogue.words() == [UNKNOWN]
    await catalogue.report("restoring", ended(4))
    assert await catalogue.words() == [EXPIRED]


INCREMENTAL = BACKUP | {"incremental": True, "max_level": 9}
TIDY = ADMIN | {"remove_older_than": 1}


@pytest.mark.parametrize(
    ("actions", "expected", "levels"),
    [
        # The backup was made first, of the chain that is removed with it.
        ((INCREMENTAL, TIDY), [EXPIRED] * 3, [0, 1, 2]),
        # It was made after that, and begins a chain.
        ((TIDY, INCREMENTAL), [EXPIRED, EXPIRED, THERE], [0, 1, 0]),
        ((INCREMENTAL, TIDY, INCREMENTAL), [EXPIRED, EXPIRED, UNKNOWN], [0, 1, None]),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
async def test_the_order_of_actions_is_that_of_a_run(
    catalogue: Catalogue,
    actions: Sequence[dict[str, Any]],
    expected: list[str],
    levels: list[int | None],
    is_late: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await catalogue.job("both", *actions)
    await catalogue.backup(1, max_level=9)
    await catalogue.backup(2, max_level=9)
    if not is_late:
        await catalogue.backup(4.01, max_level=9, job_id="both")
    await catalogue.report("both", ended(4))
    if is_late:
        await catalogue.backup(4.01, max_level=9, job_id="both")
    assert await catalogue.levels() == levels
    assert await catalogue.words() == expected


async def test_everything_goes_with_the_backup_that_was_just_made(catalogue: Catalogue) -> None:
    await catalogue.job("both", BACKUP, ADMIN | {"remove_older_than": 0})
    await catalogue.backup(2, job_id="both")
    await catalogue.backup(4.01, job_id="both")
    await catalogue.report("both", ended(4))
    assert await catalogue.words() == [EXPIRED] * 2
    await catalogue.backup(4.02, job_id="both")
    assert await catalogue.words() == [EXPIRED] * 3
    await catalogue.backup(5, job_id="both")
    assert await catalogue.words() == [EXPIRED] * 3 + [THERE]


async def test_nobody_knows_which_of_two_jobs_was_first(catalogue: Catalogue) -> None:
    await catalogue.job("tidy", TIDY)
    await catalogue.job("saving", BACKUP)
    await catalogue.backup(1, max_level=9)
    await catalogue.backup(2, max_level=9)
    await catalogue.backup(4.01, max_level=9)
    await catalogue.backup(4.5, max_level=9)
    await catalogue.report("tidy", ended(4))
    nodes = await catalogue.nodes()
    assert [one["restorability"] for one in nodes] == [EXPIRED, EXPIRED, UNKNOWN, UNKNOWN]
    assert nodes[2]["restorabilityReason"] == "REMOVED_MEANWHILE"
    # A full backup is one, whatever was before.
    await catalogue.backup(4.02, job_id="saving")
    assert (await catalogue.words())[3] == THERE


async def test_another_projects_backups_stay(client: httpx.AsyncClient, graphql: GraphQL) -> None:
    own, other = Catalogue(client, graphql, "p1"), Catalogue(client, graphql, "p2")
    for one in (own, other):
        await one.host()
        await one.backup(1)
    await own.job("tidy", ADMIN)
    await own.report("tidy", ended(6))
    assert await own.words() == [EXPIRED]
    assert await other.words() == [UNKNOWN]


async def test_a_host_that_has_no_name_removes_nothing(catalogue: Catalogue) -> None:
    await catalogue.send("POST", "clients", {"client_id": "nameless"})
    await catalogue.backup(1)
    await catalogue.job("tidy", ADMIN, client_id="nameless")
    await catalogue.report("tidy", ended(6))
    assert await catalogue.words() == [UNKNOWN]


async def test_a_report_costs_no_further_statement(
    catalogue: Catalogue, recorder: QueryRecorder
) -> None:
    await catalogue.backup(1)
    counts: dict[str, list[int]] = {}
    for name, action in (("plain", BACKUP), ("restoring", BACKUP | {"action": "restore"})):
        await catalogue.job(name, action)
        for day in (2, 3):
            for word in ("running", "scheduled"):
                result = "" if word == "running" else "success"
                with recorder:
                    await catalogue.report(name, ended(day, status=word, result=result))
                counts.setdefault(f"{name} {word}", []).append(len(recorder))
    assert len({count for found in counts.values() for count in found}) == 1
    await catalogue.job("tidy", ADMIN)
    with recorder:
        await catalogue.report("tidy", ended(6))
    first = len(recorder)
    for day in range(2, 30):
        await catalogue.backup(day, max_level=5)
    with recorder:
        await catalogue.report("tidy", ended(32))
    assert len(recorder) == first
    with recorder:
        await catalogue.report("tidy", ended(32))
    assert len(recorder) == counts["plain running"][0]
