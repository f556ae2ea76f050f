"""What mails from outside are taken for."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.reports.lines import read_lines
from analytics.reports.reading import read
from analytics.reports.report import AutoReply, BounceReport, NormalMail, SuccessReport

READERS = Path(__file__).resolve().parents[2] / "analytics" / "reports" / "lines.toml"

DSN = b"""\
From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: shop@shop.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

This is the mail system at host mx.example. I'm sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Original-Recipient: rfc822;info@there.example
Final-Recipient: rfc822;mina@there.example
Action: ACTION
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <mina@there.example>: user unknown

--b
Content-Type: message/rfc822

Message-ID: <one@shop.example>
To: info@there.example
Subject: hello
Content-Type: multipart/report; boundary=c

--c
Content-Type: message/delivery-status

Final-Recipient: rfc822;other@elsewhere.example
Action: failed
Status: 5.0.0

--c--
--b--
"""


def _bounce(raw: bytes) -> BounceReport:
    report = read(raw)
    assert isinstance(report, BounceReport)
    return report


def test_a_status_part_gives_recipient_reply_and_message() -> None:
    report = _bounce(DSN.replace(b"ACTION", b"failed"))

    [failure] = report.failures
    assert (failure.recipient, failure.final) == ("info@there.example", "mina@there.example")
    assert (failure.status, failure.coarse, failure.is_hard) == ("5.1.1", "invalid-recipient", True)
    assert report.returned.message_id == "one@shop.example"


def test_a_status_part_inside_the_returned_message_says_nothing() -> None:
    assert "other@elsewhere.example" not in json.dumps(_bounce(DSN.replace(b"ACTION", b"failed")).fields())


def test_a_delay_is_a_bounce_that_is_not_hard() -> None:
    [failure] = _bounce(DSN.replace(b"ACTION", b"delayed")).failures

    assert failure.action == "delayed"
    assert not failure.is_hard


@pytest.mark.parametrize("action", [b"delivered", b"relayed", b"expanded"])
def test_a_report_of_success_is_no_bounce(action: bytes) -> None:
    report = read(DSN.replace(b"ACTION", action).replace(b"Status: 5.1.1", b"Status: 2.0.0"))

    assert isinstance(report, SuccessReport)


def test_a_status_part_that_a_person_forwards_is_no_bounce() -> None:
    forwarded = DSN.replace(b"MAILER-DAEMON@mx.example (Mail Delivery System)", b"Mina <mina@shop.example>")
    forwarded = forwarded.replace(b"multipart/report; report-type=delivery-status;", b"multipart/mixed;")

    assert isinstance(read(forwarded.replace(b"Undelivered Mail Returned to Sender", b"look")), NormalMail)


def test_an_answer_by_a_machine_is_no_bounce() -> None:
    notice = b"From: mina@shop.example\nSubject: Re: hello\nAuto-Submitted: auto-replied\n\nI am away until Monday.\n"

    assert isinstance(read(notice), AutoReply)
    assert isinstance(read(notice.replace(b"Auto-Submitted: auto-replied\n", b"")), NormalMail)


def _rows() -> list[dict[str, str]]:
    return tomllib.loads(READERS.read_text())["reader"]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["id"])
def test_every_reader_of_lines_reads_its_example(row: dict[str, str]) -> None:
    reader, found = read_lines(row["example"].strip("\n") + "\n", "")

    assert (row["id"], row["expect"]) == (reader, [one.address for one in found])


@settings(deadline=None)  # the first call loads patterns and model
@given(st.binary(max_size=4000))
def test_any_bytes_are_some_kind_of_mail(noise: bytes) -> None:
    for raw in (noise, DSN[:200] + noise, DSN.replace(b"failed", noise[:200]), DSN.replace(b"rfc822;", noise[:40])):
        assert re.fullmatch(r"[a-z-]+", read(raw).kind)


def test_a_notification_of_a_mail_service_is_a_bounce() -> None:
    told = {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bouncedRecipients": [
                {
                    "emailAddress": "mina@there.example",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }
            ],
        },
        "mail": {"commonHeaders": {"messageId": "<one@shop.example>"}},
    }
    wrapped = json.dumps({"Type": "Notification", "Message": json.dumps(told)})
    head = "From: no-reply@sns.amazonaws.com\nSubject: AWS Notification Message\nContent-Type: text/plain\n\n"

    for text in (json.dumps(told), wrapped, wrapped + "\n\n--\nTo stop receiving these, visit the link\n"):
        report = _bounce((head + text + "\n").encode())

        assert [one.recipient for one in report.failures] == ["mina@there.example"]
        assert report.returned.message_id == "one@shop.example"
    assert isinstance(read((head + '{"notificationType": "Delivery"}\n').encode()), NormalMail)


def test_words_about_many_reasons_give_no_address_up() -> None:
    vague = (
        b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nYour message could not be delivered to\n\n"
        b"  mina@there.example\n\nThere may be no such user, the mailbox may be full.\n"
    )

    [failure] = _bounce(vague.replace(b"\n\nThere", b"\n\n\nThere")).failures
    [known] = _bounce(vague.replace(b"mina@there.example\n", b"mina@there.example: 550 5.1.1 no such user\n")).failures

    assert known.is_hard
    assert failure.recipient == known.recipient == "mina@there.example"


def test_a_boundary_that_was_lost_or_is_wrong_hides_nothing() -> None:
    raw = DSN.replace(b"ACTION", b"failed")
    lost = raw.replace(b'report-type=delivery-status; boundary="b"', b"report-type=delivery-status;\nboundary=b")
    wrong = raw.replace(b"--b\nContent-Type: message/rfc822", b"--other\nContent-Type: message/rfc822")

    for broken in (lost, wrong):
        report = _bounce(broken)
        assert [one.recipient for one in report.failures] == ["info@there.example"]
        assert report.returned.message_id == "one@shop.example"


def test_a_machine_that_says_all_went_well_bounces_nothing() -> None:
    head = b"From: System Administrator <postmaster@mx.example>\nSubject: Delivered: lunch\n"
    said = b"Your message was delivered to the following recipient(s):\n\nmina@there.example on Monday\n"
    returned = b"--b\nContent-Type: message/rfc822\n\nMessage-ID: <one@shop.example>\n\n--b--\n"
    raw = head + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" + said + returned

    assert not isinstance(read(raw), BounceReport)
    assert isinstance(read(raw.replace(b"was delivered to", b"did not reach")), BounceReport)


def test_a_parcel_service_writes_no_bounces() -> None:
    head = b"From: Fast Delivery <delivery@parcels.example>\nSubject: Your parcel\n\n"
    raw = head + b"We could not deliver to mina@there.example.\n"

    assert isinstance(read(raw), NormalMail)
    assert isinstance(read(raw.replace(b"Your parcel", b"Undeliverable: lunch")), BounceReport)


def test_a_bounce_that_names_nobody_is_one() -> None:
    raw = b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nYour mail could not be delivered.\n"
    returned = b"\n--- Original message follows ---\n\nReceived: from a by b\nSubject: lunch\n"

    [failure] = _bounce(raw + returned).failures

    assert (failure.recipient, failure.is_hard) == ("", False)
    assert isinstance(read(raw), NormalMail)  # nothing says which mail it is about
