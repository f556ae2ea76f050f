"""Notices and the customer's release link, through a whole relay in a process of its own."""

import contextlib
import email
import email.policy
import re
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from relay.control.views import HoldOrder, NewDecision, ReleaseOrder
from relay.envelope import Account
from relay.policy.decision import Effect
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Received, Sink

CONTACT, DESK = "owner@acme.example", "abuse@relay.example"
SENDER = "acme|mailfrom|joe@acme.example"
CONFIRM = {"confirm": "yes"}


class Site:
    """A running relay; `acme` has a contact, `mute` has none."""

    def __init__(self, installation: Installation, sink: Sink) -> None:
        self.installation, self.sink = installation, sink
        self.web = httpx2.Client(base_url=f"http://127.0.0.1:{installation.web}", timeout=30, trust_env=False)

    def send(self, recipient: str, subject: str = "hello", account: str = "acme", user: str = "joe") -> None:
        with smtplib.SMTP("127.0.0.1", self.installation.submission, timeout=30) as smtp:
            smtp.login(account, "secret")
            mail = f"Subject: {subject}\r\n\r\nHello\r\n".encode()
            smtp.sendmail(f"{user}@{account}.example", [recipient], mail)

    def stop(self, sender: str = SENDER, effect: Effect = Effect.HOLD, rule: str = "spam_rate") -> str:
        """Have analytics decide; return the decision's id."""
        new = NewDecision(
            account=sender.split("|")[0],
            sender=sender,
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
        [path] = re.findall(r"^http://127\.0\.0\.1:\d+(/r/\S+)$", self.notice(CONTACT, decision), re.M)
        return str(path)

    def held(self, sender: str = SENDER) -> int:
        with self.installation.client() as relay:
            return len(relay.held(sender=sender))

    def standing(self, sender: str = SENDER) -> str:
        with self.installation.client() as relay:
            return relay.sender(sender).standing


def text_of(mail: Received) -> str:
    parsed = email.message_from_bytes(mail.content, policy=email.policy.default)
    return str(parsed.get_content()).replace("\r\n", "\n")  # type: ignore[attr-defined]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Sink() as sink:
        installation = Installation(tmp_path)
        more = f"{NO_LIMITS}\n[notices]\nbundle_minutes = 0\n"
        installation.write(sink.port, more, model="none")
        config = installation.config.read_text()
        config = config.replace("[web]\n", f'[web]\npublic_url = "http://127.0.0.1:{installation.web}"\n')
        config = config.replace("[node]\n", f'[node]\nabuse_contact = "{DESK}"\n')
        installation.config.write_text(config)
        installation.add_account(Account("acme", contact=f"The owner <{CONTACT}>"), "acme")
        installation.add_account(Account("mute"), "mute")
        with installation.running():
            site = Site(installation, sink)
            with site.web:
                yield site


def test_a_sender_stopped_for_its_bounces_is_told_to_its_contact_and_the_desk(site: Site) -> None:
    numbers = iter(range(1_000))

    def is_stopped() -> bool:
        with contextlib.suppress(smtplib.SMTPDataError):  # blocked
            site.send(f"reject-550-5.1.1+{next(numbers)}@d.example", "Code 123456 http://bad.example/x")
        return site.standing() in ("held", "blocked")

    until(is_stopped, 60)

    with site.installation.client() as relay:
        decision = relay.decisions(sender=SENDER)[0]
    contact, desk = site.notice(CONTACT, decision.id), site.notice(DESK, decision.id)
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

    site.notice(CONTACT, decision)

    [mail] = site.mails(CONTACT)
    headers = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert (mail.mail_from, headers["Auto-Submitted"]) == ("", "auto-generated")
    assert "joe" not in headers["Subject"]
    assert headers["Reply-To"] == DESK


def test_the_link_shows_asks_and_releases_once(site: Site) -> None:
    decision = site.stop()
    site.send("r1@d.example", "Invoice for b@c.example")
    assert site.held() == 1
    link = site.link(decision)

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
        release = relay.decisions(sender=SENDER)[0]
        audited = [row for row in relay.audit() if row.principal == f"link:{CONTACT}"]
        reinstated_at = relay.sender(SENDER).reinstated_at
    assert (release.effect, release.author) == (Effect.RELEASE, f"link:{CONTACT}")
    assert audited
    assert reinstated_at is not None
    assert f"link:{CONTACT}" in site.notice(DESK, release.id)


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

    text = site.notice(CONTACT, decision)

    assert "/r/" not in text
    assert f"write to {DESK}" in text
    assert "released by link 3 times" in " ".join(text.split())


def test_no_link_ends_what_a_person_decided_or_a_suspension(site: Site) -> None:
    with site.installation.client() as relay:
        by_hand = relay.hold_sender(SENDER, HoldOrder(reason="I saw it")).decision.id
    by_hand_text = site.notice(CONTACT, by_hand)
    with site.installation.client() as relay:
        relay.release_sender(SENDER, ReleaseOrder())
    decision = site.stop(effect=Effect.SUSPEND)
    suspended = site.notice(CONTACT, decision)

    assert "/r/" not in by_hand_text
    assert "/r/" not in suspended
    assert "suspended" in suspended
    assert not any(by_hand in text_of(mail) for mail in site.mails(DESK))  # the desk did it


def test_an_account_without_contact_is_told_to_the_desk_alone(site: Site) -> None:
    decision = site.stop("mute|mailfrom|ann@mute.example")

    text = site.notice(DESK, decision)

    assert "no contact" in text
    assert site.mails(CONTACT) == []


def test_a_decision_that_a_crash_left_untold_is_told_at_the_next_start(tmp_path: Path) -> None:
    with Sink() as sink:
        installation = Installation(tmp_path)
        installation.write(sink.port, model="none")
        installation.add_account(Account("acme", contact=CONTACT), "acme")
        site = Site(installation, sink)
        with site.web:
            first = installation.start()
            installation.wait_until_up(first)
            decision = site.stop()
            first.kill()
            first.wait()
            assert site.mails(CONTACT) == []
            with installation.running():
                assert "held" in site.notice(CONTACT, decision)
