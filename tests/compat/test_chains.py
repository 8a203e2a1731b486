"""Weeks of real backups, whose folders tell their chains, and real restores as of any time."""

import random
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import agent_rules
from tests.support.agent_rules import DAY, Link, Pick, Policy
from tests.support.live import LiveGateway

from . import scheduler, sshd
from .catalogue import Catalogue
from .chains import Files, Folder, Outcome, agent, files, restored
from .clocks import Clock
from .gateways import serving
from .hosts import Host, Job
from .keystone import Keystone

HOST = "web1"
BEGIN = (datetime.now(UTC) - timedelta(days=40)).replace(hour=3, minute=0, second=0, microsecond=0)
NIGHTS = (0, 1, 2, 3, 4, 8, 9, 10)
"""The days on which the jobs run; after the pause of four, a restart is due."""
RESTORES = 20

OPTIONS: Mapping[str, dict[str, Any]] = {
    "full": {},
    "endless": {"incremental": True},
    "max": {"incremental": True, "max_level": 2},
    "always": {"incremental": True, "always_level": 2},
    "restart": {"incremental": True, "always_level": 1, "restart_always_level": 3.5},
    "kept": {"incremental": True, "max_level": 1, "remove_older_than": 4.5},
    "failing": {"incremental": True, "max_level": 3},
    "remote": {"incremental": True, "always_level": 2},
}
"""The series by their names, with the options of their actions."""
FAILS = ("failing", 2)
"""A backup, and the night in which its data aren't there."""
REMOVED = ("full", 8, BEGIN + timedelta(days=1.5))
"""A series, and after which night of it an `admin` action removes what is older than this."""


@dataclass
class Series:
    """A series in a folder, and its backups by the model."""

    folder: Folder
    place: dict[str, object]
    options: dict[str, Any]
    links: list[Link] = field(default_factory=list)
    """What there is."""
    made: list[Link] = field(default_factory=list)
    """What there was."""

    @property
    def storage(self) -> str:
        """Where it is."""
        return str(self.place["storage"])

    def pick(self) -> Pick:
        """Return which backups the agent sees now."""
        return agent_rules.by_name if self.storage == "ssh" else self.folder.pick()

    def grow(self, pick: Pick) -> Link:
        """Take the backup in that has been made since this pick; it is what the model expects."""
        known = {(link.chain, link.time, link.level) for link in self.links}
        (new,) = {link for link in self.folder.links() if link not in known}
        options = {key: self.options[key] for key in self.options if key != "remove_older_than"}
        made = agent_rules.next_link(
            agent_rules.folder(self.links), Policy(**options), new[1], pick
        )
        assert (made.chain, made.time, made.level) == new
        self.links.append(made)
        self.made.append(made)
        if "remove_older_than" in self.options:
            self.shrink(agent_rules.cutoff(made.time, older_than=self.options["remove_older_than"]))
        return made

    def shrink(self, until: int) -> None:
        """Forget what a removal has removed."""
        left = agent_rules.left(agent_rules.folder(self.links), until)
        self.links = [link for links in left.values() for link in links]
        self.check()

    def check(self) -> None:
        """The folder has what the model says."""
        assert self.folder.links() == {(link.chain, link.time, link.level) for link in self.links}


class Estate:
    """A host and its series."""

    def __init__(self, host: Host, clock: Clock, remote: Mapping[str, object]) -> None:
        """Begin with nothing; one series is remote."""
        self.host = host
        self.clock = clock
        self.contents: dict[int, Files] = {}
        self.jobs: dict[str, Job] = {}
        self.series: dict[str, Series] = {}
        for name, options in OPTIONS.items():
            # To flush every disk of the machine takes seconds.
            place = (
                host.place
                | {"backup_name": name, "sync": False}
                | (remote if name == "remote" else {})
            )
            stored = Folder(host.backups, f"{socket.gethostname()}_{name}")
            self.series[name] = Series(stored, place, options)
        self.linked = host.data.with_name("linked")
        self.linked.symlink_to(host.data)

    def files_of(self, link: Link) -> Files:
        """Return what a backup has saved."""
        return self.contents[int(link.time - BEGIN.timestamp()) // DAY]

    def run_night(self, day: int) -> None:
        """Change the data, and run every job; compare what it makes with the model."""
        self.clock.set(BEGIN + timedelta(days=day))
        data = self.host.data
        (data / "today.txt").write_text(f"day {day}")
        (data / f"day{day}.txt").write_text(f"since day {day}")
        (data / f"day{day - 2}.txt").unlink(missing_ok=True)
        self.contents[day] = files(data)
        self.linked.unlink(missing_ok=True)
        if FAILS[1] != day:
            self.linked.symlink_to(data)
        picks = {name: series.pick() for name, series in self.series.items()}
        for name, series in self.series.items():
            if name in self.jobs:
                self.jobs[name].ask_for("start")
            else:
                action = series.place | series.options
                if name == FAILS[0]:
                    action["path_to_backup"] = str(self.linked)
                self.jobs[name] = self.host.job(self.host.backup(**action), description=name)
        for name, series in self.series.items():
            result = self.jobs[name].becomes("COMPLETED", event=None)["result"]
            if (name, day) == FAILS:
                assert result == "FAIL"
                series.check()
            else:
                assert result == "SUCCESS"
                series.grow(picks[name])
        if REMOVED[1] == day:
            self.remove()

    def remove(self) -> None:
        """Remove the old chains of a series, and only of this."""
        name, _, until = REMOVED
        series = self.series[name]
        options = {"action": "admin", "remove_before_date": until.isoformat()}
        self.host.job(series.place | options).becomes("COMPLETED", result="SUCCESS")
        series.shrink(int(until.timestamp()))


@pytest.fixture(scope="module")
def gateway(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """Run a gateway for the scheduler."""
    with serving(keystone, postgres_url, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def estate(
    keystone: Keystone, gateway: LiveGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estate]:
    """Return a host's backups of some nights; pytest shows what its scheduler says."""
    folder = tmp_path_factory.mktemp("host")
    catalogue = Catalogue(gateway.url, keystone.token("alice", "alpha"))
    clock = Clock(folder)
    clock.set(BEGIN)
    with (
        sshd.running(tmp_path_factory.mktemp("sshd")) as remote,
        scheduler.running(keystone, folder, HOST, clock=clock) as running,
    ):
        running.wait_to_say("Fetched 0 jobs from API")
        estate = Estate(Host(HOST, running, catalogue, folder), clock, remote)
        try:
            for day in NIGHTS:
                estate.run_night(day)
            yield estate
        finally:
            print(running.log.read_text()[-20000:])  # noqa: T201


def test_a_level_is_made_again_and_again(estate: Estate) -> None:
    levels = {name: [link.level for link in series.links] for name, series in estate.series.items()}
    assert levels["endless"] == list(range(len(NIGHTS)))
    assert levels["always"] == levels["remote"] == [0, 1, 2, 2, 2, 2, 2, 2]
    assert levels["restart"] == [0, 1, 1, 1, 1, 0, 1, 1]
    assert levels["max"] == [0, 1, 2, 0, 1, 2, 0, 1]
    # The night that failed took no level.
    assert levels["failing"] == [0, 1, 2, 3, 0, 1, 2]
    # What removals have left; those of a chain whose level zero is old go with it.
    assert levels["full"] == [0] * 6
    assert levels["kept"] == [0, 1]


TOLD = """
query ($name: String!) {
  backups(first: 20, where: {backupName: {eq: $name}}, orderBy: {field: TIME_STAMP}) {
    nodes {
      id backupId level chainLevel levelSource restorability restorabilityReason
      chain { chainId }
      requires { nodes { backupId } }
      series { id }
    }
  }
}
"""


def told_of(estate: Estate, name: str) -> dict[Link, dict[str, Any]]:
    """Return what the catalogue tells of each backup of a series."""
    made = estate.series[name].made
    told = estate.host.catalogue.ask(TOLD, name=name)["backups"]["nodes"]
    return dict(zip(made, told, strict=True))


PLAN = """
query ($series: ID!, $at: DateTime) {
  restorePlan(series: $series, at: $at) {
    restorability warnings restoreFromDate backup { backupId } steps { backupId }
  }
}
"""


@dataclass(frozen=True)
class Plan:
    """What the catalogue tells of a restore."""

    verdict: str
    warnings: list[str]
    date: int | None
    steps: tuple[Link, ...]


def plan_of(estate: Estate, told: dict[Link, dict[str, Any]], time: int | None) -> Plan:
    """Return what the catalogue tells of a restore of a series to a time; None: now."""
    by_id = {backup["backupId"]: link for link, backup in told.items()}
    (series,) = {backup["series"]["id"] for backup in told.values()}
    at = time and datetime.fromtimestamp(time, UTC).isoformat()
    plan = estate.host.catalogue.ask(PLAN, series=series, at=at)["restorePlan"]
    date = plan["restoreFromDate"]
    return Plan(
        plan["restorability"],
        plan["warnings"],
        date and int(datetime.fromisoformat(date).timestamp()),
        tuple(by_id[step["backupId"]] for step in plan["steps"]),
    )


def test_restores(estate: Estate, keystone: Keystone, tmp_path: Path) -> None:
    chance = random.Random(14)  # noqa: S311 - times, not secrets
    last = NIGHTS[-1] + 1

    def choice(number: int) -> tuple[str, int | None]:
        name = chance.choice([*OPTIONS, "always", "remote"])
        time = BEGIN.timestamp() + chance.uniform(-0.2, last) * DAY
        return name, int(time) if number else None

    chosen = [choice(number) for number in range(RESTORES)]

    def run(number: int) -> Outcome:
        name, time = chosen[number]
        date = time and datetime.fromtimestamp(time, UTC).isoformat()
        return restored(keystone, tmp_path / str(number), estate.series[name].place, date)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(run, range(RESTORES)))
    told = {name: told_of(estate, name) for name in OPTIONS}
    for (name, time), outcome in zip(chosen, outcomes, strict=True):
        series = estate.series[name]
        chains = agent_rules.folder(series.links)
        expected = agent_rules.restore(chains, time, series.pick())
        assert expected in agent_rules.possible_restores(chains, time, series.storage)
        assert outcome.succeeded == (expected.failure is None), (name, time, outcome.log)
        if expected.failure is not None:
            assert expected.failure in outcome.log
        else:
            assert expected.shown is not None
            assert outcome.files == estate.files_of(expected.shown), (name, time)
        plan = plan_of(estate, told[name], time)
        if plan.verdict != "UNKNOWN":
            assert outcome.succeeded == (plan.verdict == "RESTORABLE"), (name, time, plan)
            assert plan.steps == expected.steps, (name, time, plan)


RESTORE = """
mutation ($backup: ID!, $path: String!) {
  createRestoreJob(input: {backup: $backup, restorePath: $path, isTest: true}) {
    job { id jobId }
  }
}
"""
TESTED = "query ($id: ID!) { node(id: $id) { ... on Series { lastTestedAt } } }"


def test_a_restore_by_one_mutation(estate: Estate, tmp_path: Path) -> None:
    # In the second of three chains, with an increment after it.
    link, backup = list(told_of(estate, "max").items())[4]
    assert link.level == 1
    series, catalogue = backup["series"]["id"], estate.host.catalogue
    assert catalogue.ask(TESTED, id=series)["node"]["lastTestedAt"] is None
    target = tmp_path / "restored"
    asked = catalogue.ask(RESTORE, backup=backup["id"], path=str(target))
    made = asked["createRestoreJob"]["job"]
    Job(catalogue, made["id"], made["jobId"]).becomes("COMPLETED", result="SUCCESS")
    assert files(target) == estate.files_of(link)
    assert catalogue.ask(TESTED, id=series)["node"]["lastTestedAt"] is not None


def test_days_that_are_false_are_none(keystone: Keystone, estate: Estate, tmp_path: Path) -> None:
    options = estate.host.backup(
        container=str(tmp_path / "backups"), log_file=str(tmp_path / "log"), sync=False
    )
    stored = Folder(tmp_path / "backups", f"{socket.gethostname()}_nightly")
    assert agent(keystone, tmp_path, options) == 0
    assert len(stored.links()) == 1
    # A backup that is there, but that nobody hears of.
    assert agent(keystone, tmp_path, options | {"remove_before_date": ""}) == 1
    assert not (tmp_path / "agent.out").read_text().count("curr_backup_level")
    assert len(stored.links()) == 2
    # Everything goes, also what has just been made.
    assert agent(keystone, tmp_path, options | {"remove_older_than": False}) == 0
    assert stored.links() == set()


EVERY = pytest.mark.parametrize("name", OPTIONS)


@EVERY
def test_the_catalogue_tells_what_the_folder_does(estate: Estate, name: str) -> None:
    series = estate.series[name]
    told = told_of(estate, name)
    assert len({backup["series"]["id"] for backup in told.values()}) == 1
    ids = {link.time: backup["backupId"] for link, backup in told.items()}
    chains = agent_rules.folder(series.links)
    for link, backup in told.items():
        assert backup["level"] == 0
        assert backup["chainLevel"] == link.level, backup
        assert backup["chain"] == {"chainId": ids[link.chain]}, backup
        if link not in series.links:
            assert backup["restorability"] == "EXPIRED", backup
            continue
        verdict = agent_rules.verdict(chains, link, series.storage)
        assert backup["restorability"] == verdict, backup
        if verdict == "RESTORABLE":
            (read,) = agent_rules.possible_restores(chains, link.time, series.storage)
            required = [found["backupId"] for found in backup["requires"]["nodes"]]
            assert required == [ids[step.time] for step in read.steps[:-1]]


@EVERY
def test_the_catalogue_plans_as_the_agent_restores(estate: Estate, name: str) -> None:
    series = estate.series[name]
    chains = agent_rules.folder(series.links)
    begin = int(BEGIN.timestamp())
    told = told_of(estate, name)
    # At noon of each day, the first of which is before any backup; and now.
    noons = range(begin - DAY // 2, begin + (NIGHTS[-1] + 2) * DAY, DAY)
    for time in (*noons, None):
        plan = plan_of(estate, told, time)
        possible = agent_rules.possible_restores(chains, time, series.storage)
        if plan.verdict == "UNKNOWN":
            assert len(possible) > 1, plan
            continue
        (restore,) = possible
        assert plan.verdict == ("BROKEN" if restore.shown is None else "RESTORABLE"), plan
        assert plan.steps == restore.steps
        if restore.shown is not None:
            # By the date that the agent is given, it reads the same.
            assert agent_rules.possible_restores(chains, plan.date, series.storage) == {restore}
            newest = max(link.time for link in series.links if time is None or link.time <= time)
            assert ("OLDER_BACKUP_READ" in plan.warnings) == (restore.shown.time < newest), plan
