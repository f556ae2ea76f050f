"""Logins of a running relay: revoked, rotated, bound, locked out, over a restart and kill -9."""

import smtplib
import sqlite3
from base64 import b64encode
from pathlib import Path

import httpx2

from relay.account import Account
from relay.control.accounts.views import LimitOrder, NewCredential
from relay.front.bearer import bearer_of
from relay.policy.limits.levels import Level
from tests.builders import Installation, until
from tests.sink import Sink


def mail_codes(smtp: smtplib.SMTP, *senders: str) -> list[int]:
    codes = []
    for sender in senders:
        codes.append(smtp.mail(sender)[0])
        smtp.rset()
    return codes


def test_a_revoked_login_ends_its_open_session_at_the_next_mail(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, model="none")
        site.add_account(Account("acme"), "srv1")
        with site.running(), site.client() as client, smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
            smtp.login("srv1", "secret")
            before = mail_codes(smtp, "a@acme.example")
            client.revoke_credential("srv1")
            after = mail_codes(smtp, "a@acme.example")

    assert (before, after) == ([250], [530])


def test_a_bound_login_sends_as_its_domains_and_the_null_sender_only(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, model="none")
        site.add_account(Account("acme"), "srv1")
        with site.running(), site.client() as client:
            client.add_credential(
                "acme", NewCredential(login="bound", password="secret", sender_domains=["acme.example"])
            )
            with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
                smtp.login("bound", "secret")
                codes = mail_codes(smtp, "a@acme.example", "", "a@foreign.example")

    assert codes == [250, 250, 550]


def test_a_lock_out_survives_kill_9_and_never_meets_a_server_that_works(tmp_path: Path) -> None:
    site = Installation(tmp_path)

    def guess(login: str, password: str, source: str) -> int:
        with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10, source_address=(source, 0)) as smtp:
            smtp.ehlo()
            pair = "\0".join(("", login, password)).encode()
            return smtp.docmd("AUTH", f"PLAIN {b64encode(pair).decode()}")[0]

    def kept() -> int:
        with sqlite3.connect(site.data / "counters.sqlite") as counters:
            return int(counters.execute("SELECT count(*) FROM lockout").fetchone()[0])

    with Sink() as sink:
        site.write(sink.port, model="none")
        site.add_account(Account("acme"), "srv1")
        process = site.start()
        site.wait_until_up(process)
        guesser = [guess("srv1", "wrong", "127.0.0.2") for _ in range(11)]
        server = [guess("srv1", "secret", "127.0.0.3"), *(guess("old", "stale", "127.0.0.3") for _ in range(12))]
        until(lambda: kept() >= 2)  # the lock of the one, the trust in the other
        process.kill()
        process.wait()
        with site.running():
            after = [guess("srv1", "secret", source) for source in ("127.0.0.2", "127.0.0.3")]

    assert guesser == [535] * 10 + [454]
    assert server == [235] + [535] * 12
    assert after == [454, 235]


def test_http_defers_the_recipients_for_whom_an_account_has_no_room(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    letter = {"from": "a@acme.example", "subject": "hello", "text": "hello"}
    with Sink() as sink:
        site.write(sink.port, model="none")
        site.add_account(Account("acme"), "srv1")
        with (
            site.running(),
            site.client() as client,
            httpx2.Client(
                base_url=f"http://127.0.0.1:{site.web}",
                headers={"Authorization": f"Bearer {bearer_of('srv1', 'secret')}"},
            ) as web,
        ):
            client.set_limits(LimitOrder(level=Level.ACCOUNT, key="acme", rcpts_per_hour=2))
            some = web.post("/v1/messages", json=letter | {"to": [f"r{n}@d.example" for n in range(3)]})
            none = web.post("/v1/messages", json=letter | {"to": ["late@d.example"]})
            until(lambda: len(sink.messages) == 1)

    assert some.status_code == 202
    assert [each["status"] for each in some.json()["recipients"]] == ["queued", "queued", "deferred"]
    assert none.status_code == 429
    assert int(none.headers["Retry-After"]) > 0
    assert sink.messages[0].recipients == ("r0@d.example", "r1@d.example")
