"""GraphiQL in a real browser, with every address but loopback unreachable.

Wants a running gateway with the sample data that needs no login: the fixture ``live_gateway``, an
object with ``url``. The gateway must run outside this thread, which Playwright blocks. How one
signs in is tested in `compat/test_signin_browser.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

import gateway
from tests.support.browser import RUN, Visit, artefacts, chromium, profile
from tests.support.examples import DOCUMENT, examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext

TOKEN = "gAAAAAB-a-token-that-must-not-be-kept"  # noqa: S105 - no secret, that is the point


class Gateway(Protocol):
    """What the fixture ``live_gateway`` is."""

    @property
    def url(self) -> str:
        """The gateway's root address."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the machine's Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Make a fresh profile."""
    with profile(browser) as fresh:
        yield fresh


@pytest.fixture
def visit(context: BrowserContext, live_gateway: Gateway) -> Iterator[Visit]:
    """Open the page; whatever a test does there, the console and the network must stay quiet."""
    visit = Visit(context, live_gateway.url)
    visit.open()
    yield visit
    assert visit.complaints == []


def test_a_first_visit(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    assert page.title().endswith(gateway.__version__)
    assert len(visit.tabs()) >= 5

    # The first tab runs, and data shows.
    data = visit.run()
    assert next(iter(data.values()))
    expect(page.locator(".graphiql-response")).to_contain_text('"data"')
    page.screenshot(path=artefacts(tmp_path) / "playground-light.png")

    # The docs are there.
    page.get_by_label("Show Documentation Explorer").click()
    expect(page.locator(".graphiql-doc-explorer")).to_contain_text("Query")

    # The explorer adds a field to the query, and the answer has it.
    page.get_by_label("Show GraphiQL Explorer").click()
    fields = page.locator(".graphiql-explorer-jobs .graphiql-explorer-nodes").first
    assert "version" not in visit.text("operation.graphql")
    # Those before it are the versions of what belongs to a job.
    field = fields.locator(".graphiql-explorer-version").last
    field.locator("[data-field-name=version], span").first.click()
    page.wait_for_function(
        "() => /\\bversion\\b/.test(__MONACO.editor.getModels()"
        ".find(m => m.uri.path.endsWith('operation.graphql')).getValue())"
    )
    data = visit.run()
    assert all("version" in job for job in data["jobs"]["nodes"])
    page.get_by_label("Hide GraphiQL Explorer").click()

    # Another tab runs with its variables.
    visit.open_tab("LookUp")
    assert json.loads(visit.text("variables.json"))["id"]
    assert visit.run()["node"]["id"] == json.loads(visit.text("variables.json"))["id"]

    # Dark, and everything of it.
    background = "getComputedStyle(document.querySelector('.graphiql-container')).backgroundColor"
    light = page.evaluate(background)
    page.get_by_label("Switch to the dark theme").click()
    expect(page.locator("body.graphiql-dark")).to_be_visible()
    assert page.evaluate(background) != light
    page.screenshot(path=artefacts(tmp_path) / "playground-dark.png")


def test_every_example_runs(visit: Visit) -> None:
    for title in visit.tabs():
        visit.open_tab(title)
        assert next(iter(visit.run().values())), title


def elsewhere(gateway: Gateway, document: str) -> dict[str, Any]:
    """Return the data of an operation of another client."""
    answer = httpx.post(f"{gateway.url}/graphql", json={"query": document}).json()
    assert "errors" not in answer, answer
    return dict(answer["data"])


def test_a_subscription_shows_what_others_change(visit: Visit, live_gateway: Gateway) -> None:
    visit.open_tab("Live")
    before = visit.run()["live"]["jobs"]["totalCount"]
    # Before all others, by its name.
    create = 'mutation { createJob(input: {description: "!new", actions: []}) { job { id } } }'
    made = elsewhere(live_gateway, create)["createJob"]["job"]["id"]
    response = visit.page.locator(".graphiql-response")
    expect(response).to_contain_text("!new")
    assert visit.shown()["live"]["jobs"]["totalCount"] == before + 1
    elsewhere(live_gateway, f'mutation {{ deleteJob(input: {{id: "{made}"}}) {{ deletedId }} }}')
    expect(response).not_to_contain_text("!new")
    # Ended by the same button, it doesn't come back.
    visit.page.click(RUN)
    expect(visit.page.get_by_label("Execute query")).to_be_visible()


def test_every_query_of_the_docs_runs_when_it_is_pasted(visit: Visit) -> None:
    for example in examples(DOCUMENT.read_text(encoding="utf-8")):
        visit.write("operation.graphql", example.query)
        visit.write("variables.json", json.dumps(example.variables))
        if "errors" in (example.answer or {}):
            with pytest.raises(AssertionError, match="BAD_USER_INPUT"):
                visit.run()
        else:
            assert visit.run().keys() == (example.answer or {})["data"].keys()


def test_the_system_can_choose_the_colours(browser: Browser, live_gateway: Gateway) -> None:
    dark = browser.new_context(color_scheme="dark")
    visit = Visit(dark, live_gateway.url)
    visit.open()
    expect(visit.page.get_by_label("Switch to the light theme")).to_be_visible()
    dark.close()
    assert visit.complaints == []


KEPT = """() => Object.entries(localStorage).some(([key, value]) => key.endsWith('tabState')
  && JSON.parse(value).tabs.some((tab) => tab.query?.includes('Shared') && tab.variables))"""
"""Whether the shared query is in the browser's storage, with its variables."""


def test_a_link_brings_its_query_to_another_browser(
    visit: Visit, browser: Browser, live_gateway: Gateway
) -> None:
    document = "query Shared($n: Int) { jobs(first: $n) { totalCount } } # ü & + # %"
    visit.write("operation.graphql", document)
    visit.write("variables.json", '{ "n": 1 }')
    visit.write("request-headers.json", json.dumps({"X-Auth-Token": TOKEN}))
    visit.page.get_by_role("button", name="Share", exact=True).click()
    expect(visit.page.get_by_role("status").get_by_text("Link copied")).to_be_visible()
    link = visit.page.evaluate("navigator.clipboard.readText()")
    assert TOKEN not in link
    assert link.startswith(f"{visit.url}#")

    elsewhere = browser.new_context()
    other = Visit(elsewhere, live_gateway.url)
    sent: list[str] = []
    elsewhere.on("request", lambda request: sent.append(request.url + (request.post_data or "")))
    other.open("#" + urlsplit(link).fragment)
    expect(other.page.locator("[role=tab]").get_by_text("Shared", exact=True)).to_be_visible()
    assert other.text("operation.graphql") == document
    assert other.text("variables.json") == '{ "n": 1 }'
    # The examples are still there, nothing was run, and the server has not seen the query.
    assert len(other.tabs()) == len(visit.tabs()) + 1
    assert other.text("response.json") == ""
    assert not [request for request in sent if "Shared" in request]
    # A reload opens no second one, once GraphiQL has stored its tabs; nor does the same link again.
    other.page.wait_for_function(KEPT)
    other.reload()
    other.page.evaluate("link => { location.href = link }", link)
    other.page.wait_for_function("() => location.hash === ''")
    assert other.tabs().count("Shared") == 1
    assert len(other.run()["jobs"]) == 1
    elsewhere.close()
    assert other.complaints == []


def test_the_switcher_sets_the_project(visit: Visit) -> None:
    project = visit.page.get_by_label("Project", exact=True)
    first = project.input_value()
    assert visit.headers_of_a_run()["x-project-id"] == first
    # Known projects are offered even though one is chosen.
    project.click()
    expect(visit.page.get_by_role("option").first).to_be_visible()
    project.fill("another")
    project.press("Enter")
    assert visit.headers_of_a_run()["x-project-id"] == "another"
    # A tab's own headers win, and a reload keeps the choice.
    visit.write("request-headers.json", '{ "x-project-id": "pinned" }')
    assert visit.headers_of_a_run()["x-project-id"] == "pinned"
    visit.reload()
    assert visit.headers_of_a_run()["x-project-id"] == "another"
    # Escape takes back what was typed.
    project.fill("mistake")
    project.press("Escape")
    assert project.input_value() == "another"
    project.press("ArrowDown")
    project.press("Enter")
    assert visit.headers_of_a_run()["x-project-id"] == project.input_value() != "another"


def test_no_secret_outlives_the_page(visit: Visit) -> None:
    visit.write("request-headers.json", json.dumps({"X-Auth-Token": TOKEN}))
    assert visit.headers_of_a_run()["x-auth-token"] == TOKEN
    # GraphiQL writes its tabs half a second after the last change.
    visit.page.wait_for_timeout(1500)
    assert "graphiql:queries" in visit.stored()
    assert TOKEN not in visit.stored()
    visit.reload()
    assert TOKEN not in visit.text("request-headers.json")
    assert "x-auth-token" not in visit.headers_of_a_run()
    # Nor can it be turned on.
    visit.page.get_by_label("Open settings dialog").click()
    expect(visit.page.get_by_text("Clear storage")).to_be_visible()
    assert visit.page.get_by_text("Persist headers").count() == 0


def test_the_headers_pane_knows_the_gateways_headers(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Headers", exact=True).click()
    visit.write("request-headers.json", '{\n  "X-"\n}')
    visit.page.evaluate(
        "() => { const editor = __MONACO.editor.getEditors()"
        ".find(e => e.getModel().uri.path.endsWith('request-headers.json'));"
        " editor.focus(); editor.setPosition({ lineNumber: 2, column: 6 });"
        " editor.trigger('test', 'editor.action.triggerSuggest'); }"
    )
    suggested = visit.page.locator(".suggest-widget .monaco-list-row")
    expect(suggested.filter(has_text="X-Auth-Token")).to_be_visible()
    expect(suggested.filter(has_text="X-Project-Id")).to_be_visible()


def test_a_closed_example_comes_back(visit: Visit) -> None:
    first = visit.tabs()[0]
    visit.page.get_by_label("Close Tab").first.click()
    assert first not in visit.tabs()
    visit.page.get_by_role("button", name="Examples").click()
    visit.page.get_by_role("menuitem").first.click()
    expect(visit.page.locator("[role=tab][aria-selected=true]")).to_contain_text(first)
    visit.page.get_by_role("button", name="Examples").click()
    visit.page.get_by_role("menuitem").first.click()
    assert visit.tabs().count(first) == 1


def test_what_is_no_answer_is_still_shown(visit: Visit) -> None:
    visit.page.route("**/graphql", lambda route: route.fulfill(status=502, body="<h1>Bad</h1>"))
    visit.page.click(RUN)
    expect(visit.page.locator(".graphiql-response")).to_contain_text("502 Bad Gateway")
    visit.page.unroute("**/graphql")
    visit.page.route("**/graphql", lambda route: route.abort())
    visit.page.click(RUN)
    expect(visit.page.locator(".graphiql-response")).to_contain_text("does not answer")
    # The browser says so too, rightly.
    assert [complaint for complaint in visit.complaints if complaint.startswith("request:")] == []
    visit.complaints.clear()
