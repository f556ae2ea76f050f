"""The Received line and the reference."""

from datetime import UTC, datetime
from email import message_from_bytes

import pytest

from relay.account import Account
from relay.delivery.headers import is_genuine, received_line, reference, referenced_message
from relay.envelope import Submission

KEY = b"k" * 32
TOKEN = reference(KEY, "mw1.42", "acme", "acme|x-authuser|joe")


def _submission(**about: object) -> Submission:
    values = {
        "account": Account("acme"),
        "credential": "acme-1",
        "client_ip": "192.0.2.7",
        "helo": "shop.example",
        "tls": "TLSv1.3",
        "door": "smtp",
        "mail_from": "joe@example.org",
        "recipients": ("ann@example.net",),
        "content": b"",
        "received_at": datetime(2026, 11, 24, 12, tzinfo=UTC),
    }
    return Submission(**{**values, **about})  # type: ignore[arg-type]


def test_the_received_line_says_from_by_with_id_and_when() -> None:
    assert received_line(_submission(), "relay.example", "mw1.42") == (
        b"Received: from shop.example ([192.0.2.7])\r\n"
        b"\tby relay.example (Mailweir) with ESMTPSA id mw1.42;\r\n"
        b"\tTue, 24 Nov 2026 12:00:00 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"tls": "", "credential": ""}, "with ESMTP id"),
        ({"credential": ""}, "with ESMTPS id"),
        ({"is_smtputf8": True}, "with UTF8SMTPSA id"),
        ({"door": "http"}, "with HTTP id"),
        ({"client_ip": "2001:db8::7"}, "[IPv6:2001:db8::7]"),
        ({"helo": ""}, "from unknown "),
    ],
)
def test_the_way_in_is_named(about: dict[str, object], expected: str) -> None:
    assert expected in received_line(_submission(**about), "relay.example", "mw1.42").decode()


def test_a_hostile_helo_makes_no_header_of_its_own() -> None:
    line = received_line(_submission(helo="x\r\nBcc: all@example.net (\x00é"), "relay.example", "mw1.42")

    assert message_from_bytes(line).keys() == ["Received"]
    assert line.isascii()


def test_a_reference_leads_back_to_its_message() -> None:
    assert referenced_message(TOKEN) == "mw1.42"
    assert is_genuine(KEY, TOKEN, "acme", "acme|x-authuser|joe")


def test_a_reference_names_nobody() -> None:
    assert "joe" not in TOKEN
    assert "acme" not in TOKEN
    assert "=" not in TOKEN


@pytest.mark.parametrize("token", ["", "!", "AAAA", TOKEN[:-2] + "AA", TOKEN.lower(), "é" * 30, TOKEN + "AAAA"])
def test_a_forged_reference_is_not_believed(token: str) -> None:
    assert not is_genuine(KEY, token, "acme", "acme|x-authuser|joe")


def test_a_reference_holds_only_for_its_sender_and_key() -> None:
    assert not is_genuine(KEY, TOKEN, "acme", "acme|x-authuser|eve")
    assert not is_genuine(b"other", TOKEN, "acme", "acme|x-authuser|joe")
