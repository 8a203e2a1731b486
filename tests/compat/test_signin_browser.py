"""Signing in to GraphiQL, in a real browser and with a real Keystone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.support.browser import RUN, Visit, artefacts, chromium, profile
from tests.support.live import LiveGateway

from .gateways import serving
from .keystone import PASSWORD, Keystone

QUERY = "query Mine { viewer { userName project } jobs { nodes { description } } }"
REFUSED = "error: Failed to load resource: the server responded with a status of {}"


@pytest.fixture(scope="module")
def gateway(
    keystone: Keystone, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """Run a gateway that asks Keystone about each request, with a job in each project."""
    folder = tmp_path_factory.mktemp("gateway")
    with serving(keystone, postgres_url, folder, keystone_token_cache_time="0") as gateway:  # noqa: S106
        for user, project in (("alice", "alpha"), ("bob", "beta")):
            made = httpx.post(
                f"{gateway.url}/v2/{keystone.projects[project]}/jobs",
                json={"description": f"a job of {project}", "job_actions": []},
                headers={"X-Auth-Token": keystone.token(user, project)},
                timeout=60,
            )
            assert made.status_code == 201, made.text
        yield gateway


@pytest.fixture(scope="module")
def walter(keystone: Keystone) -> str:
    """Return the name of a user of two projects, with another role in each."""
    keystone.add_user("walter", "alpha", "member")
    keystone.grant("walter", "beta", "reader")
    return "walter"


@pytest.fixture(scope="module")
def browser(gateway: LiveGateway) -> Iterator[Browser]:  # noqa: ARG001 - starts by an event loop
    """Return the machine's Chromium, which brings an event loop of its own into this thread."""
    with chromium() as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Make a fresh profile."""
    with profile(browser) as fresh:
        yield fresh


@pytest.fixture
def visit(context: BrowserContext, gateway: LiveGateway) -> Iterator[Visit]:
    """Open the page; the console and the network must stay quiet, but for what a test expects."""
    visit = Visit(context, gateway.url)
    visit.load()
    yield visit
    assert visit.complaints == []


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def button(page: Page, name: str) -> Locator:
    """Return a button of the dialog."""
    return dialog(page).get_by_role("button", name=name, exact=True)


def field(page: Page, label: str) -> Locator:
    """Return a field by how its label begins."""
    return dialog(page).get_by_role("textbox", name=re.compile(rf"^{label}\b"))


def enter(page: Page, **fields: str) -> None:
    """Fill in fields by their labels, and press Enter."""
    for label, text in fields.items():
        field(page, label).fill(text)
    page.keyboard.press("Enter")


def sign_in(visit: Visit, user: str, **more: str) -> None:
    """Sign in with a password, and wait until the schema is there."""
    with visit.page.expect_response(lambda each: "__schema" in (each.request.post_data or "")):
        enter(visit.page, User=user, Password=PASSWORD, **more)
    expect(dialog(visit.page)).not_to_be_visible()


def mine(visit: Visit) -> tuple[str, list[str]]:
    """Run a query; return whose data it shows."""
    visit.write("operation.graphql", QUERY)
    data = visit.run()
    return data["viewer"]["userName"], [job["description"] for job in data["jobs"]["nodes"]]


def token_sent(visit: Visit) -> str:
    """Run what there is, wait for the answer, and return the token that was shown for it."""
    with visit.page.expect_request(lambda request: request.method == "POST") as sent:
        visit.run()
    return str(sent.value.headers["x-auth-token"])


def is_valid(keystone: Keystone, token: str) -> bool:
    """Ask Keystone itself."""
    shown: dict[str, str] = {"X-Auth-Token": token, "X-Subject-Token": token}
    return httpx.get(f"{keystone.auth_url}/auth/tokens", headers=shown).is_success


def expected(visit: Visit, *statuses: str) -> None:
    """Take what the browser rightly says of refused requests out of the complaints."""
    assert visit.complaints == [REFUSED.format(status) for status in statuses]
    visit.complaints.clear()


def kept(visit: Visit) -> str:
    """Return everything that outlives the page."""
    # GraphiQL writes its tabs half a second after the last change.
    visit.page.wait_for_timeout(1000)
    cookies: Any = visit.page.context.cookies()
    return f"{visit.stored()} {cookies} {visit.page.url}"


def test_from_the_door_and_back(
    visit: Visit, keystone: Keystone, walter: str, tmp_path: Path
) -> None:
    page, pictures = visit.page, artefacts(tmp_path)
    expect(dialog(page)).to_have_accessible_name("Sign in")
    expect(field(page, "User")).to_be_focused()
    expect(field(page, "Domain")).to_have_value("Default")
    page.screenshot(path=pictures / "signin.png")

    # A wrong password, told to who can't see it, too.
    enter(page, User=walter, Password="wrong")  # noqa: S106 - that is the point
    expect(dialog(page).get_by_role("alert")).to_contain_text(
        "no user 'walter' of the domain 'Default' has this password"
    )
    expect(field(page, "Password")).to_be_focused()
    page.screenshot(path=pictures / "signin-refused.png")
    expected(visit, "401 (Unauthorized)")
    enter(page, Project="nowhere", Password=PASSWORD)
    expect(dialog(page).get_by_role("alert")).to_contain_text("there is no project 'nowhere'")
    expected(visit, "403 (Forbidden)")

    # In: the page says who, where and as what, and shows that project's data.
    sign_in(visit, walter, Project="")
    bar = page.get_by_role("banner")
    expect(bar).to_contain_text("walter member, reader")
    project = bar.get_by_label("Project")
    expect(project).to_have_value(keystone.projects["alpha"])
    assert mine(visit) == (walter, ["a job of alpha"])
    page.screenshot(path=pictures / "signed-in.png")
    first = token_sent(visit)

    # To the other project: another token, other roles, other data; the former answer is gone.
    project.select_option("beta")
    expect(bar).to_contain_text("walter reader")
    expect(bar).not_to_contain_text("member")
    assert visit.text("response.json") == ""
    assert mine(visit) == (walter, ["a job of beta"])
    second = token_sent(visit)
    assert second != first
    assert is_valid(keystone, second)
    assert not is_valid(keystone, first)

    everything = kept(visit)
    for secret in (first, second, PASSWORD):
        assert secret not in everything
    assert not page.context.cookies()

    # Out: nothing of it is left, neither here nor in Keystone; but the query is.
    with page.expect_response(lambda each: each.request.method == "DELETE"):
        bar.get_by_role("button", name="Sign out").click()
    expect(dialog(page).get_by_role("status")).to_have_text("You are signed out.")
    assert not is_valid(keystone, second)
    assert visit.text("response.json") == ""
    assert visit.text("operation.graphql") == QUERY
    expected(visit)


def test_a_reload_forgets(visit: Visit, walter: str) -> None:
    sign_in(visit, walter)
    token = token_sent(visit)
    assert mine(visit)[0] == walter
    assert token not in kept(visit)
    visit.page.reload()
    expect(field(visit.page, "User")).to_be_focused()
    visit.page.wait_for_selector(".graphiql-query-editor .view-line")
    assert visit.text("operation.graphql") == QUERY
    assert token not in kept(visit)


def test_an_expired_token_is_asked_for_again(
    visit: Visit, keystone: Keystone, walter: str, tmp_path: Path
) -> None:
    page = visit.page
    sign_in(visit, walter, Project="beta")
    assert mine(visit) == (walter, ["a job of beta"])
    keystone.revoke(token_sent(visit))
    page.click(RUN)
    expect(dialog(page).get_by_role("status")).to_contain_text("Your token has expired")
    page.screenshot(path=artefacts(tmp_path) / "signin-expired.png")
    assert visit.text("operation.graphql") == QUERY
    expected(visit, "401 (Unauthorized)")
    # The same user, where they were, has but to prove it.
    expect(field(page, "Password")).to_be_focused()
    enter(page, Password=PASSWORD)
    expect(dialog(page)).not_to_be_visible()
    assert visit.run()["viewer"]["project"] == keystone.projects["beta"]


def test_an_application_credential(visit: Visit, keystone: Keystone) -> None:
    page = visit.page
    credential = keystone.credential("alice", "alpha")
    dialog(page).get_by_text("Application credential").click()
    enter(page, Id=credential["id"], Secret="wrong")  # noqa: S106
    expect(dialog(page).get_by_role("alert")).to_contain_text("has this secret")
    expected(visit, "401 (Unauthorized)")
    enter(page, Secret=credential["secret"])
    expect(dialog(page)).not_to_be_visible()
    assert mine(visit) == ("alice", ["a job of alpha"])
    expect(page.get_by_label("Project").locator("option")).to_have_text(["alpha"])
    assert credential["secret"] not in kept(visit)


def test_a_token_that_was_made_elsewhere(visit: Visit, keystone: Keystone, walter: str) -> None:
    page = visit.page
    token = keystone.token(walter, "beta")
    dialog(page).get_by_text("Token", exact=True).click()
    enter(page, Token=f" {token} ")
    expect(dialog(page)).not_to_be_visible()
    assert mine(visit) == (walter, ["a job of beta"])
    page.get_by_label("Project").select_option("alpha")
    expect(page.get_by_role("banner")).to_contain_text("member")
    assert mine(visit) == (walter, ["a job of alpha"])
    own = token_sent(visit)
    with page.expect_response(lambda each: each.request.method == "DELETE"):
        page.get_by_role("button", name="Sign out").click()
    # Whoever made it may still need it.
    assert is_valid(keystone, token)
    assert not is_valid(keystone, own)


def test_several_projects_and_none_by_default(
    visit: Visit, keystone: Keystone, tmp_path: Path
) -> None:
    page = visit.page
    given = {"user": {"name": "undecided", "password": PASSWORD}}
    keystone.users["undecided"] = keystone.admin("POST", "/users", given)["user"]["id"]
    keystone.grant("undecided", "alpha", "reader")
    keystone.grant("undecided", "beta", "reader")
    enter(page, User="undecided", Password=PASSWORD)
    expect(dialog(page)).to_have_accessible_name("Choose a project")
    expect(button(page, "alpha")).to_be_focused()
    page.screenshot(path=artefacts(tmp_path) / "signin-projects.png")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(dialog(page)).not_to_be_visible()
    assert mine(visit) == ("undecided", ["a job of beta"])


def test_one_may_leave_and_come_back(visit: Visit, keystone: Keystone) -> None:
    page = visit.page
    page.keyboard.press("Escape")
    expect(dialog(page)).not_to_be_visible()
    # Nothing is sent without a token; the page asks again instead.
    page.click(RUN)
    button(page, "Not now").click()
    expect(page.locator(".graphiql-response")).to_contain_text("Sign in first")
    # The Headers pane is a way in as well, for one tab.
    headers = f'{{ "X-Auth-Token": "{keystone.token("alice", "alpha")}" }}'
    page.get_by_role("button", name="Headers", exact=True).click()
    visit.write("request-headers.json", headers)
    assert mine(visit) == ("alice", ["a job of alpha"])
    page.get_by_role("button", name="Sign in").click()
    expect(field(page, "User")).to_be_focused()


def test_keystone_goes_away(visit: Visit, keystone: Keystone, walter: str) -> None:
    page = visit.page
    keystone.stop()
    try:
        enter(page, User=walter, Password=PASSWORD)
        expect(dialog(page).get_by_role("alert")).to_have_text("Keystone doesn't answer")
    finally:
        keystone.start()
    expected(visit, "503 (Service Unavailable)")
    button(page, "Sign in").click()
    expect(dialog(page)).not_to_be_visible()
    keystone.stop()
    try:
        page.get_by_role("button", name="Sign out").click()
        expect(dialog(page).get_by_role("status")).to_contain_text("could not be revoked")
    finally:
        keystone.start()
    expected(visit, "503 (Service Unavailable)")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_on_a_small_screen(
    browser: Browser, gateway: LiveGateway, walter: str, colours: str, tmp_path: Path
) -> None:
    with profile(browser, width=390, height=780) as context:
        visit = Visit(context, gateway.url)
        visit.page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
        visit.load()
        visit.page.screenshot(path=artefacts(tmp_path) / f"signin-small-{colours}.png")
        # All of it can be reached, and nothing stands out to the side.
        overflow = "e => e.scrollWidth > e.clientWidth || e.getBoundingClientRect().left < 0"
        assert not dialog(visit.page).evaluate(overflow)
        sign_in(visit, walter)
        visit.page.screenshot(path=artefacts(tmp_path) / f"signed-in-small-{colours}.png")
        assert mine(visit)[0] == walter
        assert visit.complaints == []
