"""Customers and setup: what each role is shown, and an account's life by clicks in a real browser."""

import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from bench.orders.hands import Hands
from relay.control.accounts.views import NewCredential, NewReseller
from relay.control.client import ControlClient
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import NewSource, PoolOrder
from relay.control.views import NewDecision
from relay.domains.views import NewDomain
from relay.policy.decisions.decision import Effect
from relay.tree import Role
from relay.users.views import NewUser
from tests.builders import free_port, until
from tests.dashboard.conftest import House
from tests.dashboard.test_pages import assert_calm, shown

Open = Callable[..., AppTest]
PASSWORD = "correct horse 7"
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><rect width="90" height="30" fill="#069"/></svg>'


def test_a_reader_without_the_role_sees_the_tree_and_no_buttons_that_would_be_refused(
    shared_house: House, open_page: Open
) -> None:
    with shared_house.installation.client() as relay:
        relay.add_credential("acme", NewCredential(login="acme-web"))

    app = open_page(shared_house.installation, "customers", account="acme")

    assert_calm(app)
    assert app.dataframe[0].value["name"].tolist() == ["acme"]
    assert "acme-web" in app.dataframe[1].value["login"].tolist()
    assert [button.label for button in app.button if button.label != "CSV"] == []


def test_every_part_opens_and_tells_what_is_there(shared_house: House, open_page: Open) -> None:
    with shared_house.installation.client() as relay:
        relay.add_domain(NewDomain(account="acme", domain="acme.example"))

    domains = open_page(shared_house.installation, "customers", part="Domains", domain="acme acme.example")
    assert_calm(domains)
    assert "Waits for its record" in shown(domains)
    assert any("v=DKIM1" in block.value for block in domains.code)

    servers = open_page(shared_house.installation, "customers", part="Servers", panel="Postfix")
    assert_calm(servers)
    assert any("relayhost = [relay.example]" in block.value for block in servers.code)

    for part, words in (("Webhooks", "No webhook yet"), ("Users", ""), ("Usage", "")):
        app = open_page(shared_house.installation, "customers", part=part)
        assert_calm(app)
        assert words in shown(app)


@pytest.fixture
def browser(house: House, chromium: str) -> Iterator[Callable[[str], Any]]:
    """Sign in as somebody; gives their page."""
    sync_api = pytest.importorskip("playwright.sync_api")
    port = free_port()
    with house.installation.client() as relay:
        relay.add_user(NewUser(name="ada", role=Role.ADMIN, password=PASSWORD))
    with house.installation.config.open("a") as file:
        file.write(f'[dashboard]\nlisten = "127.0.0.1:{port}"\n')
    process = house.installation.start("dashboard")
    with sync_api.sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def sign_in(name: str) -> Any:
            page = chrome.new_page(base_url=f"http://127.0.0.1:{port}")
            page.set_default_timeout(60_000)
            until(lambda: _opens(page), 60)
            page.locator("input[name=name]").fill(name)
            page.locator("input[name=password]").fill(PASSWORD)
            page.locator("button").first.click()
            page.get_by_text(f"{name}, ").wait_for()
            return page

        yield sign_in
        chrome.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_an_admin_adds_an_account_answers_cases_suppresses_and_warms_up(
    house: House, browser: Callable[[str], Any]
) -> None:
    """One browser for the four: starting it and the installation takes longer than the clicks."""
    page = browser("ada")
    _adds_an_account(house, page)
    hands = Hands(page)
    with house.installation.client() as relay:
        _confirms_two(relay, hands)
        _suppresses(relay, hands)
        _warms_up(relay, hands)


def _adds_an_account(house: House, page: Any) -> None:
    """Its password is told once."""
    page.goto("/customers")
    page.get_by_role("button", name="Add account").click()
    page.get_by_role("textbox", name="Name").fill("newcomer")
    page.keyboard.press("Tab")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("shown this once").wait_for()
    told = page.get_by_role("dialog").get_by_test_id("stCode")
    until(lambda: any(re.fullmatch(r"[\w-]{16,}", text.strip()) for text in told.all_inner_texts()), 20)
    page.get_by_role("button", name="Close", exact=True).last.click()
    page.get_by_role("dialog").wait_for(state="detached")

    with house.installation.client() as relay:
        assert "newcomer" in relay.account("newcomer").logins
        assert [one.principal for one in relay.audit(5) if one.target == "newcomer"][:1] == ["ada"]


def _answered(hands: Hands, button: str, words: str) -> None:
    """Press a dialog's button; what was told before may still be there."""
    said = hands.answer(button)
    if words not in said:
        _is_told(hands, words)


def _is_told(hands: Hands, words: str) -> None:
    until(lambda: words in hands.told(), 30, hands.told)


def _confirms_two(relay: ControlClient, hands: Hands) -> None:
    other = "acme|mailfrom|shop@acme.example"
    relay.propose(NewDecision(account="acme", sender=other, effect=Effect.HOLD, rule="spam_rate", reason="tried"))

    hands.go("Decisions")
    hands.choose("web@acme.example", "shop@acme.example")
    hands.ask("Confirm 2")

    _answered(hands, "Confirm all", "Confirmed: 2 senders stay stopped")
    assert [one.confirmed_by for one in relay.decisions(open_only=True)] == ["ada", "ada"]


def _suppresses(relay: ControlClient, hands: Hands) -> None:
    hands.go("Bounces and suppression")
    hands.ask("Suppress")
    hands.fill("Recipients", "gone@post.example\nno address")
    _is_told(hands, "no address")
    assert hands.value("Recipients") == "gone@post.example\nno address"

    hands.fill("Recipients", "gone@post.example")
    _answered(hands, "Suppress", "Suppressed: 1 new")
    assert [row.address for row in relay.suppressions(None)] == ["gone@post.example"]


def _warms_up(relay: ControlClient, hands: Hands) -> None:
    egress = EgressCalls(relay)
    egress.add_source(NewSource(name="out1", address="127.0.0.1"))
    egress.set_pool("suspect", PoolOrder(members={"out1": 1}))

    hands.go("IPs and pools")
    hands.choose("out1")
    hands.ask("Start warm-up")
    hands.answer("Start")
    until(lambda: egress.warmups()[0].plans)
    hands.ask("Other stage")
    hands.fill("Stage, 1 to 30", "900")
    _is_told(hands, "900")  # said in the dialog, not by a box that turns red and counts as what it was before
    hands.fill("Stage, 1 to 30", "3")
    _answered(hands, "Set", "is at stage 3")
    assert {row.command for row in relay.audit(limit=9) if row.principal == "ada"} >= {"warmup.start", "warmup.set"}

    hands.ask("Other pools")
    hands.dialog.get_by_test_id("stMultiSelect").get_by_role("button").first.click()
    hands.settle()
    _answered(hands, "Move", "is now in no pool")  # it was the last of its pool
    assert egress.sources()[0].pools == {}


def test_a_reseller_s_admin_makes_his_brand_and_sees_it_but_gives_no_hosts(
    house: House, browser: Callable[[str], Any]
) -> None:
    with house.installation.client() as relay:
        relay.add_reseller(NewReseller(name="north"))
        relay.add_user(NewUser(name="nora", role=Role.ADMIN, reseller="north", password=PASSWORD))
    page = browser("nora")
    page.goto("/customers?part=Brand")
    page.get_by_role("button", name="Make a brand").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name").fill('Nörd "Hosting"')
    page.keyboard.press("Tab")
    dialog.get_by_text("without < >").wait_for()  # says at once what a name may be
    dialog.get_by_role("button", name="Set brand", disabled=True).first.wait_for()  # until all is drawn two are there
    assert dialog.get_by_role("button", name="Set brand", disabled=False).count() == 0

    dialog.get_by_role("textbox", name="Name").fill("Nörd Hosting")
    dialog.get_by_role("textbox", name="Customers write to").fill("help@north.example")
    page.keyboard.press("Tab")
    dialog.get_by_text("the relay's operator gives them").wait_for()
    assert dialog.get_by_role("textbox", name="Host of return paths").count() == 0
    dialog.locator("input[type=file]").set_input_files(
        {"name": "logo.svg", "mimeType": "image/svg+xml", "buffer": LOGO.encode()}
    )
    dialog.get_by_alt_text("Nörd Hosting").wait_for()
    dialog.get_by_role("button", name="Set brand").click()
    page.get_by_test_id("stSidebar").get_by_text("Nörd Hosting").wait_for()
    seen = page.frame_locator("iframe").last
    seen.get_by_role("heading", name="Release this sender?").wait_for()

    with house.installation.client() as relay:
        held = relay.brand("north").brand
        assert (held.name, held.reply_to, held.logo) == ("Nörd Hosting", "help@north.example", LOGO.encode())
        assert [one.principal for one in relay.audit(9) if one.command == "reseller.brand"] == ["nora"]


def test_a_brand_is_shown_without_buttons_to_who_may_not_change_it(shared_house: House, open_page: Open) -> None:
    with shared_house.installation.client() as relay:
        relay.add_reseller(NewReseller(name="east"))

    app = open_page(shared_house.installation, "customers", part="Brand")

    assert_calm(app)
    assert "has no brand" in shown(app)
    assert [button.label for button in app.button if button.label != "CSV"] == []


def _opens(page: Any) -> bool:
    try:
        page.goto("/signin")
    except Exception:  # not listening yet
        return False
    return bool(page.locator("input[name=name]").count())
