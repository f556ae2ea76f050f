"""Mail by HTTP through the whole relay, to a sink."""

import base64
import email
import email.policy
import smtplib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from relay.account import Account
from relay.events import Reception
from relay.front.bearer import bearer_of
from tests.builders import Installation, until
from tests.sink import Sink
from tests.weblistener import BEARER, LETTER

FROM_TO = {"X-Mailweir-From": "a@acme.example", "X-Mailweir-To": "x@d.example"}


class Site:
    """A running relay, its sink, and a client with a login."""

    def __init__(self, installation: Installation, sink: Sink) -> None:
        self.installation, self.sink = installation, sink
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{installation.web}", headers=BEARER, timeout=30, trust_env=False
        )

    def delivered(self, to: str) -> bytes:
        mails = self.sink.wait_until(lambda: to in self.sink.addresses())
        return next(mail.content for mail in mails if to in mail.recipients)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("web"))
        installation.write(sink.port, "[limits]\nrcpts_per_hour = 20\n", model="none")
        config = installation.config.read_text()
        installation.config.write_text(config.replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
        installation.add_account(Account("acme"), "srv1")
        installation.add_account(Account("shared", shared_host=True), "srv2")
        with installation.running():
            site = Site(installation, sink)
            with site.client:
                yield site


def test_a_finished_message_reaches_the_sink_byte_by_byte(site: Site) -> None:
    content = (
        b"Date: x\r\nMessage-ID: <1@a>\r\nSubject: raw\r\n\r\n.dot\r\n..two\r\n.\r\n" + b"x" * 998 + b"\r\n\xff\r\n"
    )
    headers = FROM_TO | {"Content-Type": "message/rfc822", "X-Mailweir-To": "raw@d.example"}

    answer = site.client.post("/v1/messages", content=content, headers=headers)

    assert answer.status_code == 202
    assert site.delivered("raw@d.example").endswith(b"\r\n" + content)
    until(lambda: any(record.message_id == answer.json()["id"] for record in site.installation.records(Reception)))
    (record,) = [record for record in site.installation.records(Reception) if record.message_id == answer.json()["id"]]
    assert (record.door, record.credential, record.client_ip) == ("http", "srv1", "127.0.0.1")
    assert record.sender == "acme|mailfrom|a@acme.example"


def test_a_letter_with_a_large_attachment_arrives_whole(site: Site) -> None:
    picture = bytes(range(256)) * 4096 * 5
    letter = LETTER | {
        "to": "Jörg <letter@d.example>",
        "subject": "Grüße",
        "html": "<p>hello</p>",
        "attachments": [{"name": "picture.png", "type": "image/png", "content": base64.b64encode(picture).decode()}],
    }

    assert site.client.post("/v1/messages", json=letter).status_code == 202

    message = email.message_from_bytes(site.delivered("letter@d.example"), policy=email.policy.default)
    assert message["Subject"] == "Grüße"
    assert message["To"].addresses[0].display_name == "Jörg"
    assert message["Message-ID"]
    assert message["Date"]
    (attached,) = message.iter_attachments()  # type: ignore[attr-defined]
    assert attached.get_content() == picture


def test_a_shared_host_names_its_end_sender_in_a_header_here_too(site: Site) -> None:
    letter = LETTER | {"to": "named@d.example", "headers": {"X-AuthUser": "bob@web1.example"}}
    bearer = {"Authorization": f"Bearer {bearer_of('srv2', 'secret')}"}

    answer = site.client.post("/v1/messages", json=letter, headers=bearer)

    assert b"X-AuthUser" not in site.delivered("named@d.example")
    until(lambda: any(record.message_id == answer.json()["id"] for record in site.installation.records(Reception)))
    senders = {record.message_id: record.sender for record in site.installation.records(Reception)}
    assert senders[answer.json()["id"]] == "shared|x-authuser|bob@web1.example"


def test_one_limit_holds_for_both_doors(site: Site) -> None:
    letter = LETTER | {"from": "busy@acme.example", "to": [f"b{n}@d.example" for n in range(12)]}
    with smtplib.SMTP("127.0.0.1", site.installation.submission, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.sendmail("busy@acme.example", [f"s{n}@d.example" for n in range(12)], b"\r\nx\r\n")

    answer = site.client.post("/v1/messages", json=letter)

    assert answer.status_code == 202
    assert answer.json()["status"] == "delayed"
    assert "[RATE] sender acme|mailfrom|busy@acme.example over" in answer.json()["reply"]


def test_an_answer_says_what_is_left_of_the_sender_s_limit_and_the_next_one_less(site: Site) -> None:
    letter = LETTER | {"from": "quota@acme.example", "to": ["q1@d.example", "q2@d.example"]}

    first = site.client.post("/v1/messages", json=letter)
    second = site.client.post("/v1/messages", json=letter)
    third = site.client.post("/v1/messages", json=letter | {"to": [f"q{n}@d.example" for n in range(20)]})

    assert [answer.status_code for answer in (first, second, third)] == [202] * 3
    assert [answer.headers["X-RateLimit-Remaining"] for answer in (first, second, third)] == ["18", "16", "0"]
    assert first.headers["RateLimit-Policy"] == '"sender";q=20;w=3600'
    assert first.headers["RateLimit"].startswith('"sender";r=18;t=')
    assert 3600 <= int(first.headers["X-RateLimit-Reset"]) <= 3720
    assert third.json()["status"] == "delayed"


def test_the_quota_of_a_shared_login_is_that_of_the_end_sender_its_message_names(site: Site) -> None:
    bearer = {"Authorization": f"Bearer {bearer_of('srv2', 'secret')}"}

    left = [
        site.client.post("/v1/messages", json=LETTER | {"headers": {"X-AuthUser": who}}, headers=bearer).headers
        for who in ("t1@app.example", "t1@app.example", "t2@app.example")
    ]

    assert [headers["X-RateLimit-Remaining"] for headers in left] == ["19", "18", "19"]


def test_who_may_not_come_in_learns_no_quota(site: Site) -> None:
    answer = site.client.post("/v1/messages", json=LETTER, headers={"Authorization": "Bearer mw1.c3J2MQ.wrong"})

    assert answer.status_code == 401
    assert not [name for name in answer.headers if "ratelimit" in name]


def test_a_taken_port_is_named_at_start_and_none_is_opened_when_none_is_wanted(site: Site, tmp_path: Path) -> None:
    second = Installation(tmp_path, web=site.installation.web)
    second.write(site.sink.port, model="none")
    assert second.start().wait(30) == 1
    assert f"cannot listen on 127.0.0.1:{second.web}" in (tmp_path / "process.log").read_text()
    assert "see web.listen" in (tmp_path / "process.log").read_text()

    second.config.write_text(second.config.read_text().replace(f'"127.0.0.1:{second.web}"', '""'))
    with second.running():
        pass
