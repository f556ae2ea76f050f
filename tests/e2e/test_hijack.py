"""The story we must win, with a real Exim: one of two customers behind one account is hijacked, and stopped alone.

Whoever stops it, three ways lead back: the link in the notice, the command line, the button.
"""

import email
import email.policy
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from analytics.client import QueryClient, QueryError
from relay.account import Account
from relay.cli import run as mailweir
from tests.builders import NO_LIMITS, Installation, free_port, until
from tests.interop.exim import Exim
from tests.interop.panel_exim import cpanel
from tests.interop.servers import LOGIN, PASSWORD, submit
from tests.sink import Received, Sink

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = [pytest.mark.timeout(300)]

ACCOUNT, CONTACT = "web1", "owner@host.example"
GOOD, BAD = "anna@garden.example", "bob@shop.example"

_PITCH = """From: {author}
To: {to}
Subject: Congratulations, you have WON a cash prize {number}
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear lucky winner,

Congratulations! Your e-mail address has won the sum of $ 950,000.00 USD in our online lottery draw. To claim
your cash prize NOW, click here: http://claim-prize-{number}.example/win?id={number} and confirm your bank account
details and your password within 24 hours. Act now, this offer is 100% FREE and risk free! Cheap pills, no
prescription needed, order viagra today with a discount of 80%. Reply with your full name, address and telephone
number to our claims agent. God bless you.
"""
_LETTER = """From: {author}
To: {to}
Subject: Minutes of Tuesday's meeting {number}

Hello Martha,

thanks for coming on Tuesday. The minutes are below; please tell me if I got the date of the next meeting wrong.
We agreed that the beds by the gate are planted in April, and that Jonas asks about the water barrel.

Best wishes
Anna
"""


@dataclass
class Street:
    """Two customers on one shared server, its relay, and the world."""

    installation: Installation
    exim: Exim
    sink: Sink
    dashboard: str
    sent: int = field(default=0)

    def letter(self, author: str = GOOD) -> str:
        """One honest letter; return its recipient."""
        return self._send(_LETTER, author)

    def pitch(self) -> str:
        return self._send(_PITCH, BAD)

    def _send(self, text: str, author: str) -> str:
        self.sent += 1
        to = f"r{self.sent}@dest.example"
        submit(self.exim, author, text.format(author=author, to=to, number=self.sent).encode(), author, to)
        return to

    def spam_until_held(self) -> list[str]:
        """Send spam as the hijacker does, until the relay holds him; return all its recipients."""
        sent: list[str] = []

        def is_held() -> bool:
            sent.append(self.pitch())
            return self.standing(BAD) == "held"

        until(is_held, 60, self.exim.log)
        return sent

    def parked_letter(self) -> str:
        """An honest letter of the held customer, once it is parked; return its recipient."""
        own = self.letter(BAD)
        until(lambda: own in self.held(), 20, self.exim.log)
        return own

    def arrived(self, recipients: list[str]) -> list[str]:
        known = set(self.sink.addresses())
        return [recipient for recipient in recipients if recipient in known]

    def wait_for(self, *recipients: str) -> None:
        until(lambda: len(self.arrived(list(recipients))) == len(recipients), 30, self.exim.log)

    def standing(self, who: str) -> str:
        with self.installation.client() as relay:
            return relay.sender(key(who)).standing

    def held(self) -> list[str]:
        with self.installation.client() as relay:
            return [recipient for view in relay.held(sender=key(BAD)) for recipient in view.recipients]

    def notices(self) -> list[Received]:
        return [mail for mail in list(self.sink.messages) if CONTACT in mail.recipients]


def key(who: str) -> str:
    return f"{ACCOUNT}|x-authuser|{who}"


@contextmanager
def street(folder: Path) -> Iterator[Street]:
    installation, port = Installation(folder), free_port()
    with Sink() as sink:
        more = f'{NO_LIMITS}\n[notices]\nbundle_minutes = 0\n[dashboard]\nlisten = "127.0.0.1:{port}"\n'
        installation.write(sink.port, more, hostname="localhost")
        public = f'[web]\npublic_url = "http://127.0.0.1:{installation.web}"\n'
        installation.config.write_text(installation.config.read_text().replace("[web]\n", public))
        account = Account(ACCOUNT, shared_host=True, contact=CONTACT, domains=("*",))
        installation.add_account(account, LOGIN, PASSWORD)
        with installation.running():
            others = [installation.start("analytics"), installation.start("dashboard")]
            try:
                with cpanel(installation.submission, installation.data / "tls" / "cert.pem") as exim:
                    yield Street(installation, exim, sink, f"http://127.0.0.1:{port}")
            finally:
                for process in others:
                    process.send_signal(signal.SIGTERM)
                for process in others:
                    process.wait(30)


def test_only_the_hijacked_customer_is_held_and_three_ways_release_him(
    tmp_path: Path, chromium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with street(tmp_path) as scene:
        monkeypatch.setenv("MAILWEIR_CONFIG", str(scene.installation.config))
        before = [scene.letter(), scene.letter(BAD)]
        scene.wait_for(*before)

        spam = scene.spam_until_held()
        during = scene.letter()
        scene.wait_for(during)
        assert len(scene.arrived(spam)) <= 8
        assert (scene.standing(GOOD), scene.standing(BAD)) == ("ok", "held")
        with scene.installation.client() as relay:
            assert {row.sender for row in relay.decisions() if row.effect == "hold"} == {key(BAD)}

        _by_link(scene)
        _by_command(scene)
        _by_button(scene, chromium)

        after = scene.letter()
        scene.wait_for(after)
        with scene.installation.client() as relay:
            assert {row.sender for row in relay.decisions() if row.author == "relay"} == {key(BAD)}


def _by_link(scene: Street) -> None:
    """The customer follows the link of the notice, looks, and says that it was him."""
    own = scene.parked_letter()
    until(lambda: scene.notices(), 30)
    text = email.message_from_bytes(scene.notices()[0].content, policy=email.policy.default).get_content()
    [link] = re.findall(r"http://127\.0\.0\.1:\d+/r/\S+", text)
    with httpx2.Client(trust_env=False, timeout=30) as web:
        page = web.get(link)
        assert (page.status_code, scene.standing(BAD)) == (200, "held")
        assert web.post(link, data={"confirm": "yes"}).status_code == 200
    scene.wait_for(own)
    assert scene.standing(BAD) == "ok"


def _by_command(scene: Street) -> None:
    scene.spam_until_held()
    own = scene.parked_letter()
    assert mailweir(["sender", "release", key(BAD), "--not-spam", "--note", "a test of the customer's"]) == 0
    scene.wait_for(own)
    assert scene.standing(BAD) == "ok"


def _by_button(scene: Street, chromium: str) -> None:
    scene.spam_until_held()
    own = scene.parked_letter()
    until(lambda: _knows(scene), 60)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=scene.dashboard)
        until(lambda: _opens(page), 60)
        page.goto("/")
        page.get_by_text("1 sender stopped").wait_for()
        page.get_by_role("link", name="Why?").first.click()
        page.wait_for_url(re.compile("decision="))
        page.get_by_role("button", name=re.compile("^Not spam: release")).click()
        page.get_by_role("dialog").get_by_role("button", name=re.compile(r"^Release\b")).click()
        page.get_by_text(re.compile("on their way|on its way")).wait_for()
        browser.close()
    scene.wait_for(own)
    assert scene.standing(BAD) == "ok"


def _knows(scene: Street) -> bool:
    try:
        with QueryClient.of(scene.installation.settings) as client:
            return len(client.frame("sender_messages", sender=key(BAD))) > 0
    except QueryError:
        return False


def _opens(page: Any) -> bool:
    try:
        page.goto("/healthz")
    except sync_api.Error:
        return False
    return True
