"""The page of the gates in a real browser: what a person sees, and that nobody is asked."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from quality_tables import AS_OF, SOURCES, create_raw

import quality

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("browser")
# Debian's name, then those of others.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox, since root has none; and no word to anybody but the page.
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no browser: install one of {', '.join(PROGRAMS)}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(module_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a run with a failure and a warning."""
    create_raw(module_warehouse)
    with module_warehouse.connect() as connection:
        connection.execute("update raw_shopify.orders set total_price = -1")
        connection.execute("update raw_stripe.invoices set customer = 'cus_gone'")
    run_id = uuid.uuid4()
    quality.run_gate(module_warehouse, "raw", run_id=run_id, sources=SOURCES, as_of=AS_OF)
    path = tmp_path_factory.mktemp("page") / "gates.html"
    return quality.write_page(module_warehouse, path, run_id=run_id).as_uri()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of the size of a small telephone."""
    context = browser.new_context(viewport={"width": 360, "height": 740})
    yield context.new_page()
    context.close()


def test_it_opens_without_a_request_or_a_complaint(page: Page, address: str) -> None:
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    assert asked == [address]
    assert complaints == []


def test_the_failure_and_its_query_are_in_sight_and_the_rest_opens_on_demand(
    page: Page, address: str
) -> None:
    page.goto(address)
    assert page.get_by_text("shopify.orders: total_not_negative").is_visible()
    assert page.get_by_text('select * from "raw_shopify"."orders"').first.is_visible()
    suite = page.locator("details", has_text="stripe.charges").last
    row = suite.get_by_text("No charge has a negative amount.")
    assert not row.is_visible()
    suite.locator("summary").click()
    assert row.is_visible()


def test_it_can_be_used_with_the_keyboard_alone(page: Page, address: str) -> None:
    page.goto(address)
    focused = []
    for _ in range(6):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.tagName"))
    assert {"PRE", "SUMMARY"} <= set(focused)


def test_it_is_no_wider_than_a_telephone(page: Page, address: str) -> None:
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_it_follows_the_colours_of_the_system(page: Page, address: str) -> None:
    page.goto(address)
    paper = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        paper[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}
