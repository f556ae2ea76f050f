"""A real Chromium walks through the pages: what AppTest cannot see (links, dialogs beside live fragments, charts)."""

import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.builders import free_port, until
from tests.dashboard.conftest import REASON, SENDER, House

sync_api = pytest.importorskip("playwright.sync_api")


@pytest.fixture
def address(house: House) -> Iterator[str]:
    """The dashboard as a process of its own."""
    port = free_port()
    with house.installation.config.open("a") as file:
        file.write(f'[dashboard]\nlisten = "127.0.0.1:{port}"\n')
    process = house.installation.start("dashboard")
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.fixture
def page(address: str, chromium: str) -> Iterator["sync_api.Page"]:
    """A browser page that remembers what went wrong in it."""
    wrong: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=address)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        # a deep link makes Streamlit probe below the page's own path first: two harmless 404s
        page.on("response", lambda answer: answer.status >= 500 and wrong.append(answer.url))
        page.on("request", lambda asked: _is_outside(asked.url, address) and wrong.append(asked.url))
        until(lambda: _opens(page), 60)
        yield page
        browser.close()
    assert wrong == []


def test_the_case_is_walked_from_now_to_the_released_mail(house: House, page: "sync_api.Page") -> None:
    page.goto("/")
    page.get_by_text("1 sender stopped").wait_for()
    page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()

    page.get_by_role("link", name="Why?").click()
    page.wait_for_url(re.compile("decision=mw1-d1"))
    page.get_by_role("heading", name="Decision mw1-d1").wait_for()
    page.get_by_text(REASON).first.wait_for()

    page.get_by_role("button", name="Not spam: release 3 and teach").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("3 parked messages").wait_for()
    dialog.get_by_role("button", name=re.compile(r"^Release\b")).click()  # its key stands behind its name

    house.sink.wait_for(3, 20)
    page.get_by_text(re.compile("on their way")).wait_for()
    page.get_by_text("by dashboard").first.wait_for()
    assert page.get_by_role("button", name="Not spam: release").count() == 0


def test_every_page_draws_and_the_address_keeps_the_window(page: "sync_api.Page") -> None:
    page.goto(f"/sender?sender={SENDER}&window=24h")
    page.get_by_text("the last 24 hours").wait_for()
    page.get_by_text("Recent messages").wait_for()

    for name in ("System", "Decisions", "Now"):
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        page.get_by_role("heading", name=name, exact=True).wait_for()
        page.get_by_text("the last 24 hours").wait_for()
        assert "window=24h" in page.url
        assert page.get_by_test_id("stException").count() == 0


def _opens(page: "sync_api.Page") -> bool:
    try:
        page.goto("/healthz")
    except sync_api.Error:
        return False
    return True


def _is_outside(url: str, address: str) -> bool:
    return url.startswith("http") and urlsplit(url).netloc != urlsplit(address).netloc


def test_a_row_of_the_senders_opens_its_page_and_keeps_window_and_times(page: "sync_api.Page") -> None:
    page.goto("/sender?window=24h")
    canvas = page.locator("[data-testid=stMain] [data-testid=stDataFrame] canvas").first
    canvas.wait_for()
    page.get_by_text("Choose a row to open its page").wait_for()

    def opens() -> bool:
        page.wait_for_timeout(1_000)  # until the canvas is drawn; on a busy machine that takes longer
        if (box := canvas.bounding_box()) is not None:
            page.mouse.click(box["x"] + 16, box["y"] + 50)  # heading and row are 33 pixels high
        with suppress(sync_api.TimeoutError):
            page.wait_for_url(re.compile("window=24h.*sender="), timeout=10_000)
        return "sender=" in page.url

    until(opens, 60)
    page.get_by_text("Recent messages").wait_for()
    page.get_by_role("link", name="Search its messages").click()
    page.wait_for_url(re.compile(r"/messages\?window=24h&q=sender"))
    assert page.url.count("window=") == 1


def test_times_are_in_the_readers_zone_until_the_reader_wants_utc(page: "sync_api.Page", address: str) -> None:
    browser = page.context.browser
    assert browser is not None
    there = browser.new_page(base_url=address, timezone_id="Asia/Kolkata")
    there.set_default_timeout(60_000)
    there.goto("/")
    there.get_by_text(re.compile(r"live, \d\d:\d\d:\d\d IST")).wait_for()

    there.get_by_test_id("stSidebar").get_by_text("UTC", exact=True).click()

    there.get_by_text(re.compile(r"live, \d\d:\d\d:\d\d UTC")).wait_for()
    there.wait_for_url(re.compile("times=UTC"))


def test_a_case_opens_from_the_list_of_all_and_leads_back_to_it(page: "sync_api.Page") -> None:
    page.goto("/decisions?window=24h")

    page.get_by_role("button", name="Open this case").click()
    page.get_by_role("heading", name="Decision mw1-d1").wait_for()
    assert "window=24h" in page.url

    page.get_by_role("button", name="All decisions").click()
    page.get_by_role("heading", name="Decisions", exact=True).wait_for()
    assert "decision=" not in page.url
