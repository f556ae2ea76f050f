"""List-Unsubscribe through the whole relay: signed for each recipient, one click, and no more mail of that account."""

import json
import re
import smtplib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import dkim
import httpx2
import pytest

from relay.account import Account
from relay.delivery.signing.dkim_keys import dns_record
from relay.events import Rejection, Unsubscribe
from relay.front.bearer import bearer_of
from tests.builders import Installation, until
from tests.sink import Received, Sink

MAIL = b"From: News <news@shop.example>\r\nTo: all@x.example\r\nSubject: news\r\n\r\nHello\r\n"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Site:
    """A running relay with three accounts; `shop` asks for List-Unsubscribe."""

    def __init__(self, installation: Installation, sink: Sink) -> None:
        self.installation, self.sink = installation, sink
        self.base = f"http://127.0.0.1:{installation.web}"
        self.web = httpx2.Client(base_url=self.base, timeout=30, trust_env=False)

    def send(self, login: str, recipients: list[str], content: bytes = MAIL) -> dict[str, tuple[int, bytes]]:
        """Send a message; return the replies to the recipients that were refused."""
        with smtplib.SMTP("127.0.0.1", self.installation.submission, timeout=30) as smtp:
            smtp.login(login, "secret")
            return smtp.sendmail(f"{login}@{login}.example", recipients, content)

    def mail_to(self, address: str) -> Received:
        mails = self.sink.wait_until(lambda: address in self.sink.addresses())
        return next(mail for mail in mails if address in mail.recipients)

    def link(self, address: str) -> str:
        [path] = re.findall(
            rb"^List-Unsubscribe: <" + self.base.encode() + rb"(/u/[^>]+)>", self.mail_to(address).content, re.M
        )
        return path.decode()

    def refused(self, login: str, address: str) -> str:
        """Send to an address, which must be refused; return the reply."""
        with smtplib.SMTP("127.0.0.1", self.installation.submission, timeout=30) as smtp:
            smtp.login(login, "secret")
            smtp.mail(f"{login}@{login}.example")
            code, text = smtp.rcpt(address)
            return f"{code} {text.decode()}"

    def unsubscribed(self, address: str) -> list[tuple[str, str]]:
        """Account and method of the journal's records about a recipient."""
        records = self.installation.records(Unsubscribe)
        return [(record.account, record.method) for record in records if record.recipient == address]

    def suppressed_recipients(self, account: str, door: str) -> list[str]:
        """Whom the journal names as refused because they are suppressed."""
        records = self.installation.records(Rejection)
        chosen = [one for one in records if (one.rule, one.account, one.door) == ("suppressed", account, door)]
        return [recipient.address for one in chosen for recipient in one.recipients]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("unsubscribe"))
        installation.write(sink.port, '[dkim]\ndomain = "relay.example"\n', model="none")
        config = installation.config.read_text()
        public = f'[web]\npublic_url = "http://127.0.0.1:{installation.web}"\n'
        installation.config.write_text(config.replace("[web]\n", public))
        installation.add_account(Account("shop", list_unsubscribe=True, domains=("shop.example",)), "shop")
        installation.add_account(Account("acme"), "acme")
        with installation.running():
            site = Site(installation, sink)
            with site.web:
                yield site


def is_verified(site: Site, content: bytes) -> bool:
    [pem] = site.installation.data.glob("dkim/*.pem")
    record = dns_record(pem.read_bytes()).encode()
    try:
        return bool(dkim.DKIM(content).verify(dnsfunc=lambda name, timeout=5: record))
    except dkim.ValidationError:
        return False


def test_each_recipient_gets_its_own_link_under_a_signature_that_holds(site: Site) -> None:
    addresses = [f"own{number}@x.example" for number in range(3)]
    site.send("shop", addresses)

    mails = [site.mail_to(address) for address in addresses]

    assert [mail.recipients for mail in mails] == [(address,) for address in addresses]
    assert len({site.link(address) for address in addresses}) == 3
    for mail in mails:
        assert is_verified(site, mail.content)
        signed = re.sub(rb"\s", b"", mail.content.partition(b"bh=")[0]).lower()
        assert b"list-unsubscribe:list-unsubscribe-post" in signed
        assert b"feedback-id" in signed
        assert not is_verified(site, mail.content.replace(b"/u/", b"/v/"))


def test_other_accounts_mail_has_feedback_id_only_and_goes_out_as_one(site: Site) -> None:
    site.send("acme", ["one@y.example", "two@y.example"])

    mail = site.mail_to("one@y.example")

    assert mail.recipients == ("one@y.example", "two@y.example")
    assert b"\r\nFeedback-ID: " in mail.content
    assert b"List-Unsubscribe:" not in mail.content
    assert is_verified(site, mail.content)


def test_the_senders_word_leaves_the_link_out(site: Site) -> None:
    site.send("shop", ["receipt@x.example"], b"X-Mailweir-Unsubscribe: no\r\n" + MAIL)

    content = site.mail_to("receipt@x.example").content

    assert b"nsubscribe" not in re.sub(rb"(?s)DKIM-Signature:.*?\r\n(?![ \t])", b"", content)


def test_one_click_stops_that_accounts_mail_at_once_and_no_others(site: Site) -> None:
    site.send("shop", ["Click@x.example", "stay@x.example"])
    link = site.link("Click@x.example")

    answers = [site.web.post(link, data=ONE_CLICK) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert not answers[0].history
    assert "set-cookie" not in answers[0].headers
    refused = site.send("shop", ["click@x.example", "stay@x.example"])
    code, text = refused["click@x.example"]
    assert (code, text) == (550, b"5.1.1 [SUP] recipient is suppressed: unsubscribe, until it is taken off the list")
    assert list(refused) == ["click@x.example"]
    assert site.send("acme", ["click@x.example"]) == {}
    until(lambda: site.unsubscribed("click@x.example"))
    assert site.unsubscribed("click@x.example") == [("shop", "one-click")]
    until(lambda: "click@x.example" in site.suppressed_recipients("shop", "smtp"))
    with site.installation.client() as control:
        [audited] = [one for one in control.audit(50) if one.target == "click@x.example"]
    assert (audited.principal, audited.account, audited.command) == ("recipient", "shop", "suppression.unsubscribe")


def test_one_click_as_multipart_form_data_counts_too(site: Site) -> None:
    site.send("shop", ["form@x.example"])

    answer = site.web.post(site.link("form@x.example"), files={"List-Unsubscribe": (None, "One-Click")})

    assert answer.status_code == 200
    assert "550" in site.refused("shop", "form@x.example")


def test_a_get_shows_a_page_and_changes_nothing_until_its_button_is_pressed(site: Site) -> None:
    site.send("shop", ["Page@x.example"])
    link = site.link("Page@x.example")

    page = site.web.get(link)
    assert page.status_code == 200
    assert site.web.head(link).status_code == 200
    assert "Stop mails from shop.example to p\N{HORIZONTAL ELLIPSIS}@x.example?" in page.text
    assert '<form method="post">' in page.text
    assert not re.search(r"https?:|//|<script|src=|page@", page.text)
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert site.refused("shop", "page@x.example").startswith("250")

    assert site.web.post(link, content=b"").status_code == 400
    assert site.web.post(link, content=b"x" * 20_000).status_code == 413
    assert site.refused("shop", "page@x.example").startswith("250")

    done = site.web.post(link, data={"confirm": "yes"})
    assert (done.status_code, "You are unsubscribed" in done.text) == (200, True)
    assert site.refused("shop", "page@x.example").startswith("550")


def test_forged_links_are_nothing_and_soon_turned_away(site: Site) -> None:
    site.send("shop", ["forged@x.example"])
    link = site.link("forged@x.example")
    other = "A" if link[-8] != "A" else "B"

    codes = [site.web.post(f"{link[:-8]}{other}{link[-7:]}", data=ONE_CLICK).status_code for _ in range(5)]
    assert codes == [404] * 5
    assert site.web.get("/u/x").status_code == 404
    assert site.web.get("/u/").status_code == 404
    codes = [site.web.get("/u/x").status_code for _ in range(60)]
    assert codes[-1] == 429
    assert site.web.get(link).status_code == 200
    assert site.refused("shop", "forged@x.example").startswith("250")


def test_the_http_door_names_suppressed_recipients_and_takes_the_others(site: Site) -> None:
    site.installation.mailweir(
        "suppress", "add", "gone@x.example", "--account", "acme", "--reason", "hard_bounce", "--for", "30d"
    )
    bearer = {"Authorization": f"Bearer {bearer_of('acme', 'secret')}"}
    letter = {"from": "a@acme.example", "to": ["gone@x.example"], "subject": "hi", "text": "hello"}

    alone = site.web.post("/v1/messages", json=letter, headers=bearer)
    both = site.web.post("/v1/messages", json=letter | {"to": ["gone@x.example", "here@x.example"]}, headers=bearer)

    assert alone.status_code == 422
    [named] = alone.json()["recipients"]
    assert (named["address"], named["status"]) == ("gone@x.example", "refused")
    assert named["reply"].startswith("550 5.1.1 [SUP] recipient is suppressed: hard_bounce, until 20")
    until(lambda: len(site.suppressed_recipients("acme", "http")) == 2)
    assert site.suppressed_recipients("acme", "http") == ["gone@x.example"] * 2
    assert both.status_code == 202
    assert [one["status"] for one in both.json()["recipients"]] == ["refused", "queued"]
    assert site.mail_to("here@x.example").recipients == ("here@x.example",)


def test_the_command_adds_lists_and_removes_while_the_relay_runs(site: Site) -> None:
    said = site.installation.mailweir(
        "suppress", "add", "Bob@x.example", "--account", "acme", "--evidence", "asked by phone"
    )
    assert said == "suppressed 1 addresses\nundo: mailweir suppress rm bob@x.example --account acme\n"
    assert site.refused("acme", "bob@X.example").startswith("550 5.1.1 [SUP] recipient is suppressed: by_hand")

    [view] = json.loads(
        site.installation.mailweir("suppress", "ls", "--account", "acme", "--reason", "by_hand", "--json")
    )
    assert (view["address"], view["evidence"]) == ("bob@x.example", "asked by phone")
    would = site.installation.mailweir("suppress", "rm", "bob@x.example", "--account", "acme", "--dry-run")
    assert would == "would remove 1 addresses\n"
    said = site.installation.mailweir("suppress", "rm", "bob@x.example", "--account", "acme")
    assert said.splitlines()[1] == (
        "undo: mailweir suppress add bob@x.example --reason by_hand --evidence 'asked by phone' --account acme"
    )
    assert site.refused("acme", "bob@x.example").startswith("250")


def test_a_trap_is_refused_to_everybody(site: Site) -> None:
    site.installation.mailweir("suppress", "add", "trap@x.example", "--global", "--reason", "trap")

    assert [site.refused(login, "trap@x.example")[:3] for login in ("shop", "acme")] == ["550", "550"]


def test_what_was_exported_can_be_imported_again(site: Site, tmp_path: Path) -> None:
    rows = "".join(f"user{number}@many.example,complaint,ARF {number}\n" for number in range(4500))
    (tmp_path / "list.csv").write_text("address,reason,evidence\n" + rows)
    would = site.installation.mailweir(
        "suppress", "import", str(tmp_path / "list.csv"), "--account", "acme", "--dry-run"
    )
    assert would == "would suppress 4500 addresses\n"
    assert site.refused("acme", "user7@many.example").startswith("250")

    said = site.installation.mailweir("suppress", "import", str(tmp_path / "list.csv"), "--account", "acme")
    assert said.startswith("suppressed 4500 addresses\nundo: mailweir suppress rm --file ")
    assert site.refused("acme", "user4499@many.example").startswith(
        "550 5.1.1 [SUP] recipient is suppressed: complaint"
    )
    exported = site.installation.mailweir("suppress", "export", "--account", "acme")
    assert exported.count("@many.example") == 4500

    (tmp_path / "export.csv").write_text(exported)
    site.installation.mailweir("suppress", "rm", "--file", str(tmp_path / "export.csv"), "--account", "acme")
    assert site.refused("acme", "user4499@many.example").startswith("250")
    site.installation.mailweir("suppress", "import", str(tmp_path / "export.csv"), "--account", "acme")
    assert site.installation.mailweir("suppress", "export", "--account", "acme") == exported


def test_clicks_that_never_end_keep_nobody_from_unsubscribing(site: Site) -> None:
    site.send("shop", ["slow@c.example"])
    path, calls = site.link("slow@c.example"), []
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n".encode()

    try:
        for _ in range(80):
            calls.append(socket.create_connection(("127.0.0.1", site.installation.web), timeout=10))
            calls[-1].sendall(head)
        time.sleep(0.5)
        answer = site.web.post(path, data=ONE_CLICK)
    finally:
        for call in calls:
            call.close()

    assert answer.status_code == 200
