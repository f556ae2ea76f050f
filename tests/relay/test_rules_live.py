"""Certain rules in a relay of its own process: refused, held, explained on the command line; and a wrong rule file."""

import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.account import Account
from relay.cli import run
from relay.content.rule_book import load_rules
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

VIRUS = next(rule.example for rule in load_rules().rule if rule.id == "eicar")
LINK = """From: Service <info@acme.example>
Subject: your account
Content-Type: text/html

<p>Hello, here are the figures for the meeting. <a href="http://203.0.113.9/x">www.paypal.com</a></p>
"""
NEWS = """From: Club <info@acme.example>
Subject: meeting

Dear members, our next meeting is on Thursday at eight in the old school, please bring the minutes and a pen.
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    site = Installation(tmp_path_factory.mktemp("rules"))
    with Sink() as sink:
        site.write(sink.port, NO_LIMITS)
        site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
        site.add_account(Account("acme"), "srv1")
        with site.running():
            yield site


def send(site: Installation, text: str, sender: str = "a@acme.example") -> str:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.mail(sender)
        smtp.rcpt("r@d.example")
        code, reply = smtp.data(text.lstrip("\n").replace("\n", "\r\n").encode())
        return f"{code} {reply.decode()}"


Why = Callable[[str], str]


@pytest.fixture
def why(site: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Why:
    """What `mailweir why` says; the journal has the record within a second or so."""
    monkeypatch.setenv("MAILWEIR_CONFIG", str(site.config))

    def ask(message_id: str) -> str:
        told = ""

        def is_told() -> bool:
            nonlocal told
            capsys.readouterr()
            run(("why", message_id))
            told = capsys.readouterr().out
            return " by rule " in told

        until(is_told)
        return told

    return ask


def test_a_virus_is_refused_with_the_code_for_malware(site: Installation) -> None:
    reply = send(site, VIRUS)

    assert reply.startswith("550 5.7.1 [MW]")
    assert "contains the EICAR test virus (rule eicar; this message only)" in reply


def test_a_lying_link_is_held_and_why_says_so_first(site: Installation, why: Why) -> None:
    reply = send(site, LINK)

    told = why(reply.split()[4])
    assert reply.endswith("(held)")
    assert "by rule content_number-for-name" in told
    assert "): link text says paypal.com, goes to 203.0.113.9" in told


def test_one_text_from_six_end_senders_is_held_and_from_five_it_is_not(site: Installation, why: Why) -> None:
    replies = [send(site, NEWS, f"member{number}@acme.example") for number in range(6)]

    assert [reply.endswith("(held)") for reply in replies] == [False] * 5 + [True]
    told = why(replies[5].split()[4])
    assert "the same text came from 6 end senders within 10 minutes" in told
    assert "6 end senders sent this or nearly this text" in told


def test_a_wrong_rule_stops_the_start_and_says_what_to_mend(tmp_path: Path) -> None:
    site, own = Installation(tmp_path), tmp_path / "own.toml"
    own.write_text('[rule.a]\nsign = "phrase"\naction = "hold"\nwords = ["y"]\nexample = "x"\n')
    site.write(1)
    text = site.config.read_text().replace("[content]\n", f'[content]\nrules = "{own}"\n')
    site.config.write_text(text)

    process = site.start()

    assert process.wait(30) != 0
    log = (tmp_path / "process.log").read_text()
    assert "rule.a: its own example does not meet it" in log
    assert "Traceback" not in log
