"""Horizon with freezer-web-ui in a real browser: signed in by Keystone, on the gateway's data."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import TIMEOUT, artefacts, chromium, profile

from . import horizon
from .estate import Estate
from .gateways import serving
from .keystone import PASSWORD, Keystone

ACTION = {"action": "backup", "mode": "fs", "storage": "swift", "backup_name": "files"}
SAMPLE: dict[str, dict[str, object]] = {
    "clients": {"client_id": "web1", "hostname": "web1.example"},
    "actions": {"freezer_action": ACTION | {"container": "backups", "path_to_backup": "/srv"}},
    "sessions": {"description": "both hosts", "schedule": {"schedule_interval": "2 days"}},
    "jobs": {"description": "weekly", "client_id": "db1", "job_actions": []},
    "backups": {
        "backup_name": "etc",
        "container": "backups",
        "hostname": "web1.example",
        "path_to_backup": "/etc",
        "time_stamp": 1700000000,
        "curr_backup_level": 2,
    },
}
"""What there is, beside a client `db1`."""

ROWS = {
    "clients": ["db1", "web1"],
    "actions": ["files", "backup", "/srv", "swift", "fs"],
    "sessions": ["both hosts", "active"],
    "jobs": ["weekly", "db1", "stop", "pending"],
    "backups": ["etc", "web1.example", "available", "11/14/2023 10:13 p.m."],
}
"""What each panel says of it."""


@dataclass
class Visit:
    """A browser that is signed in to Horizon."""

    page: Page
    url: str
    estate: Estate
    artefacts: Path
    complaints: list[str]
    """What broke on a page, and what was missing."""

    def open(self, panel: str) -> None:
        """Go to a panel of `Backup and Restore`."""
        self.page.goto(f"{self.url}/project/freezer-{panel}/")
        expect(self.page.locator("h1")).to_have_text(panel.capitalize())

    def row(self, text: str) -> Locator:
        """Return a row of the panel's table."""
        return self.page.locator("#content_body tbody tr").filter(has_text=text)

    def shoot(self, name: str) -> None:
        """Keep what the page looks like."""
        self.page.screenshot(path=self.artefacts / f"horizon-{name}.png")


@pytest.fixture(scope="module")
def estate(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estate]:
    """Run a gateway that has one item of each kind, and two clients."""
    with (
        serving(keystone, postgres_url, tmp_path_factory.mktemp("gateway")) as gateway,
        Estate(gateway, keystone) as estate,
    ):
        estate.post("clients", {"client_id": "db1", "hostname": "db1.example"})
        for kind, item in SAMPLE.items():
            estate.post(kind, item)
        yield estate


@pytest.fixture(scope="module")
def horizon_url(
    estate: Estate,  # noqa: ARG001 - stands in Keystone's catalogue
    keystone: Keystone,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Run Horizon."""
    with horizon.serving(keystone, tmp_path_factory.mktemp("horizon")) as url:
        yield url


@pytest.fixture(scope="module")
def browser(horizon_url: str) -> Iterator[Browser]:  # noqa: ARG001 - starts by an event loop
    """Return the machine's Chromium, which brings an event loop of its own into this thread."""
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Browser, horizon_url: str, estate: Estate, tmp_path: Path) -> Iterator[Visit]:
    """Sign in by the form; nothing may break on the pages, nor be missing."""
    complaints: list[str] = []
    with profile(browser) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "response",
            lambda answer: complaints.append(answer.url) if answer.status >= 400 else None,
        )
        page.goto(f"{horizon_url}/auth/login/?next=/project/freezer-clients/")
        page.get_by_label("User Name").fill("alice")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign In").click()
        expect(page.get_by_role("button", name="alpha")).to_be_visible()
        yield Visit(page, horizon_url, estate, artefacts(tmp_path), complaints)
    assert complaints == []


def test_every_panel_shows_the_catalogue(visit: Visit) -> None:
    for panel, texts in ROWS.items():
        visit.open(panel)
        for text in texts:
            expect(visit.page.locator("#content_body tbody")).to_contain_text(text)
        visit.shoot(panel)


def test_the_search_box_finds(visit: Visit) -> None:
    for panel, text in (("clients", "web1"), ("actions", "files"), ("backups", "etc")):
        visit.open(panel)
        box = visit.page.locator("input[name$=__filter__q]")
        box.fill(text)
        box.press("Enter")
        expect(visit.row(text)).to_have_count(1)
        expect(visit.row("db1")).to_have_count(0)
        box.fill("nowhere")
        box.press("Enter")
        expect(visit.row("No items to display")).to_be_visible()


def test_a_job_is_created_by_its_form(visit: Visit) -> None:
    page = visit.page
    visit.open("jobs")
    page.get_by_role("link", name="Create Job").click()
    form = page.locator(".modal form")
    form.get_by_label("Job Name").fill("nightly")
    form.get_by_label("Interval Unit").select_option("days")
    form.get_by_role("link", name="Clients").click()
    known = form.locator(".available_selected_clients ul").filter(has_text="web1.example")
    known.locator("a[href='#add_remove']").click()
    form.get_by_role("link", name="Actions").click()
    chosen = form.locator("#actions_selected")
    form.locator("#actions_available li", has_text="files").drag_to(chosen)
    expect(chosen).to_contain_text("files")
    visit.shoot("create-job")
    form.get_by_role("button", name="Save").click()
    expect(visit.row("nightly")).to_contain_text("web1")

    (job,) = visit.estate.jobs("nightly")
    assert (job["clientId"], job["schedule"]["interval"]) == ("web1", "1 days")
    assert [one["backupName"] for one in job["actions"]["nodes"]] == ["files"]
    assert job["event"] == "STOP"

    visit.row("nightly").get_by_role("button", name="Start Job").click()
    expect(page.locator(".alert-success")).to_contain_text("Job has started")
    (job,) = visit.estate.jobs("nightly")
    assert job["event"] == "START"
    page.get_by_role("link", name="nightly").click()
    expect(page.locator("#content_body")).to_contain_text("1 days")
    visit.shoot("job")


def test_what_the_restore_form_lacks(visit: Visit) -> None:
    visit.open("backups")
    visit.row("etc").get_by_role("link", name="Restore").click()
    form = visit.page.locator(".modal form")
    # Its template asks for a list that belongs to the form.
    expect(form).to_contain_text("No clients found.")
    visit.shoot("restore")


def test_what_the_form_of_a_job_runs(visit: Visit) -> None:
    script = "</script><script>window.ran = true</script>"
    visit.estate.post("clients", {"client_id": "mail1", "hostname": "m", "description": script})
    visit.page.goto(f"{visit.url}/project/freezer-jobs/create/")
    assert visit.page.evaluate("window.ran")
    # It breaks off the form's own script.
    assert visit.complaints
    visit.complaints.clear()
