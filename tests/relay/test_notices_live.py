"""Notices and the customer's release link, through a whole relay in a process of its own."""

import contextlib
import email
import email.policy
import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import httpx2
import pytest

from relay.account import Account
from relay.control.accounts.views import AccountChange, NewAccount
from relay.control.views import HoldOrder, NewDecision, ReleaseOrder
from relay.policy.decisions.decision import Effect
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Received, Sink

DESK = "abuse@relay.example"
_NUMBERS = count()
CONFIRM = {"confirm": "yes"}


@dataclass
class Site:
    """A running relay, and an account there with a contact that no other test writes to."""

    installation: Installation
    sink: Sink
    account: str
    web: httpx2.Client

    @property
    def contact(self) -> str:
        return f"owner@{self.account}.example"

    @property
    def sender(self) -> str:
        return f"{self.account}|mailfrom|joe@{self.account}.example"

    def send(self, recipient: str, subject: str = "hello") -> None:
        with smtplib.SMTP("127.0.0.1", self.installation.submission, timeout=30) as smtp:
            smtp.login(self.account, "secret")
            mail = f"Subject: {subject}\r\n\r\nHello\r\n".encode()
            smtp.sendmail(f"joe@{self.account}.example", [recipient], mail)

    def stop(self, effect: Effect = Effect.HOLD, rule: str = "spam_rate") -> str:
        """Have analytics decide; return the decision's id."""
        new = NewDecision(
            account=self.account,
            sender=self.sender,
            effect=effect,
            rule=rule,
            reason="6 of 6 messages in the last hour were scored as spam",
            ends_at=datetime.now(UTC) + timedelta(hours=24),
            certainty=0.995,
        )
        with self.installation.client("analytics") as relay:
            return relay.propose(new).decision.id

    def mails(self, address: str) -> list[Received]:
        return [mail for mail in list(self.sink.messages) if address in mail.recipients]

    def notice(self, address: str, about: str) -> str:
        """Wait for a notice that names a decision; return its text."""
        until(lambda: any(about in text_of(mail) for mail in self.mails(address)), 30, lambda: str(self.sink.messages))
        return next(text_of(mail) for mail in self.mails(address) if about in text_of(mail))

    def link(self, decision: str) -> str:
        """The path of a decision's link, as the desk hands it out."""
        with self.installation.client() as relay:
            return relay.release_link(decision).url.removeprefix(f"http://127.0.0.1:{self.installation.web}")

    def held(self) -> int:
        with self.installation.client() as relay:
            return len(relay.held(sender=self.sender))

    def standing(self) -> str:
        with self.installation.client() as relay:
            return relay.sender(self.sender).standing


def text_of(mail: Received) -> str:
    parsed = email.message_from_bytes(mail.content, policy=email.policy.default)
    return str(parsed.get_content()).replace("\r\n", "\n")  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Sink]]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("relay"))
        more = f"{NO_LIMITS}\n[notices]\nbundle_minutes = 0\n"
        installation.write(sink.port, more, model="none")
        config = installation.config.read_text()
        config = config.replace("[web]\n", f'[web]\npublic_url = "http://127.0.0.1:{installation.web}"\n')
        config = config.replace("[node]\n", f'[node]\nabuse_contact = "{DESK}"\n')
        installation.config.write_text(config)
        with installation.running():
            yield installation, sink


@pytest.fixture
def site(relay: tuple[Installation, Sink]) -> Iterator[Site]:
    installation, sink = relay
    number = next(_NUMBERS)
    # an address of its own: who guesses links is slowed down
    transport = httpx2.HTTPTransport(local_address=f"127.0.0.{100 + number}")
    base_url = f"http://127.0.0.1:{installation.web}"
    with httpx2.Client(base_url=base_url, timeout=30, trust_env=False, transport=transport) as web:
        site = Site(installation, sink, f"acme{number}", web)
        contact = f"The owner <{site.contact}>"
        new = NewAccount(name=site.account, contact=contact, login=site.account, password="secret")
        with installation.client() as client:
            client.add_account(new)
        yield site


def test_a_sender_stopped_for_its_bounces_is_told_to_its_contact_and_the_desk(site: Site) -> None:
    numbers = iter(range(1_000))

    def is_stopped() -> bool:
        with contextlib.suppress(smtplib.SMTPDataError):  # blocked
            site.send(f"reject-550-5.1.1+{next(numbers)}@d.example", "Code 123456 http://bad.example/x")
        return site.standing() in ("held", "blocked")

    until(is_stopped, 60)

    with site.installation.client() as relay:
        decision = relay.decisions(sender=site.sender)[0]
    contact, desk = site.notice(site.contact, decision.id), site.notice(DESK, decision.id)
    assert decision.author == "relay"
    for text in (contact, desk):
        assert decision.reason in " ".join(text.split())
        assert "bad.example" not in text
        assert "123456" not in text
    assert "/r/" in contact
    assert "mailweir" not in contact
    assert decision.undo in desk
    assert "/r/" not in desk


def test_a_notice_comes_from_the_null_sender_and_says_that_it_is_automatic(site: Site) -> None:
    decision = site.stop()

    site.notice(site.contact, decision)

    [mail] = site.mails(site.contact)
    headers = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert (mail.mail_from, headers["Auto-Submitted"]) == ("", "auto-generated")
    assert "joe" not in headers["Subject"]
    assert headers["Reply-To"] == DESK


def test_the_link_shows_asks_and_releases_once(site: Site) -> None:
    decision = site.stop()
    site.send("r1@d.example", "Invoice for b@c.example")
    assert site.held() == 1
    [link] = re.findall(r"^http://127\.0\.0\.1:\d+(/r/\S+)$", site.notice(site.contact, decision), re.M)

    shown = [site.web.get(link) for _ in range(3)] + [site.web.post(link, data={"confirm": "maybe"})]
    before = site.held(), site.standing()
    released, again = site.web.post(link, data=CONFIRM), site.web.post(link, data=CONFIRM)
    after = site.web.get(link)

    assert [page.status_code for page in shown] == [200, 200, 200, 400]
    assert "Invoice for b…@c.example" in shown[0].text
    assert "6 of 6 messages" in shown[0].text
    assert before == (1, "held")
    assert (released.status_code, again.status_code) == (200, 409)
    assert "<button" not in after.text
    assert site.standing() != "held"
    site.sink.wait_until(lambda: "r1@d.example" in site.sink.addresses())
    with site.installation.client() as relay:
        release = relay.decisions(sender=site.sender)[0]
        audited = [row for row in relay.audit() if row.principal == f"link:{site.contact}"]
        reinstated_at = relay.sender(site.sender).reinstated_at
    assert (release.effect, release.author) == (Effect.RELEASE, f"link:{site.contact}")
    assert audited
    assert reinstated_at is not None
    assert f"link:{site.contact}" in site.notice(DESK, release.id)


def test_an_altered_link_is_refused_and_guesses_are_slowed_down(site: Site) -> None:
    decision = site.stop()
    link = site.link(decision)
    middle = len(link) // 2
    altered = [link[:middle] + ("A" if link[middle] != "A" else "B") + link[middle + 1 :], link[:-1], link + "A"]

    answers = [site.web.post(one, data=CONFIRM).status_code for one in altered]
    many = [site.web.get("/r/guess").status_code for _ in range(40)]

    assert answers == [404, 404, 404]
    assert many[-1] == 429
    assert site.standing() == "held"


def test_after_three_relapses_the_link_says_whom_to_write_to(site: Site) -> None:
    for number in range(3):
        link = site.link(site.stop(rule=f"rule{number}"))
        assert site.web.post(link, data=CONFIRM).status_code == 200
    decision = site.stop(rule="rule3")

    text = site.notice(site.contact, decision)

    assert "/r/" not in text
    assert f"write to {DESK}" in text
    assert "released by link 3 times" in " ".join(text.split())


def test_no_link_ends_what_a_person_decided_or_a_suspension(site: Site) -> None:
    with site.installation.client() as relay:
        by_hand = relay.hold_sender(site.sender, HoldOrder(reason="I saw it")).decision.id
    by_hand_text = site.notice(site.contact, by_hand)
    with site.installation.client() as relay:
        relay.release_sender(site.sender, ReleaseOrder())
    decision = site.stop(effect=Effect.SUSPEND)
    suspended = site.notice(site.contact, decision)

    assert "/r/" not in by_hand_text
    assert "/r/" not in suspended
    assert "suspended" in suspended
    assert not any(by_hand in text_of(mail) for mail in site.mails(DESK))  # the desk did it


def test_an_account_without_contact_is_told_to_the_desk_alone(site: Site) -> None:
    with site.installation.client() as relay:
        relay.change_account(site.account, AccountChange(contact=""))
    decision = site.stop()

    text = site.notice(DESK, decision)

    assert "no contact" in text
    assert site.mails(site.contact) == []


def test_a_decision_that_a_crash_left_untold_is_told_at_the_next_start(tmp_path: Path) -> None:
    with Sink() as sink, httpx2.Client() as web:
        installation = Installation(tmp_path)
        installation.write(sink.port, model="none")
        site = Site(installation, sink, "acme", web)
        installation.add_account(Account("acme", contact=site.contact), "acme")
        first = installation.start()
        installation.wait_until_up(first)
        decision = site.stop()
        first.kill()
        first.wait()
        assert site.mails(site.contact) == []
        with installation.running():
            assert "held" in site.notice(site.contact, decision)
