"""Failure reports: readable for people, parsable for machines."""

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from relay.delivery.dsn import FailedRecipient, Failure, failure_report
from relay.delivery.replies import Category, OwnReply
from relay.reply import Reply
from relay.spool.store import Flags, SpooledMessage

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
UNKNOWN = Reply(550, "5.1.1", "no such user")


def _failure(*recipients: FailedRecipient, content: bytes = b"Subject: order\r\n\r\nsecret body\r\n") -> Failure:
    message = SpooledMessage(
        id=7,
        message_id="mw1.7",
        rcpts=3,
        account="acme",
        reseller="",
        sender="acme|x-authuser|joe",
        mail_from="joe@example.org",
        received_at=NOW,
        flags=Flags.NONE,
        prefix=b"Received: from shop\r\n\tby relay.example\r\n",
        subject="order",
    )
    return Failure(message, content, "relay.example", "", NOW, recipients)


def _parsed(failure: Failure) -> EmailMessage:
    parsed = email.message_from_bytes(failure_report(failure), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    return parsed


def _status(report: EmailMessage) -> list[Any]:
    return list(report.get_payload()[1].get_payload())  # type: ignore[index,union-attr]


def test_the_first_paragraph_says_who_why_and_what_to_do() -> None:
    report = _parsed(_failure(FailedRecipient("ann@example.net", UNKNOWN)))

    text = report.get_payload()[0].get_content()  # type: ignore[index,union-attr]
    assert text.splitlines()[0] == 'Your message "order" of Tue, 24 Nov 2026 12:00:00 +0000 was not delivered to:'
    assert "ann@example.net" in text
    assert "The receiving server said: 550 5.1.1 no such user" in text
    assert "Check the spelling" in text


def test_it_is_a_report_of_rfc_3464_that_nobody_answers() -> None:
    report = _parsed(_failure(FailedRecipient("ann@example.net", UNKNOWN), FailedRecipient("bob@example.net", UNKNOWN)))

    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert (report["To"], report["Auto-Submitted"]) == ("joe@example.org", "auto-replied")
    assert report["From"].addresses[0].addr_spec == "postmaster@relay.example"
    whole, *recipients = _status(report)
    assert whole["Reporting-MTA"] == "dns; relay.example"
    assert [part["Final-Recipient"] for part in recipients] == ["rfc822; ann@example.net", "rfc822; bob@example.net"]
    assert {part["Action"] for part in recipients} == {"failed"}
    assert {part["Status"] for part in recipients} == {"5.1.1"}
    assert {part["Diagnostic-Code"] for part in recipients} == {"smtp; 550 5.1.1 no such user"}


def test_only_the_headers_of_the_original_go_back() -> None:
    report = failure_report(_failure(FailedRecipient("ann@example.net", UNKNOWN)))

    assert b"Received: from shop" in report
    assert b"Subject: order" in report
    assert b"secret body" not in report


@pytest.mark.parametrize(
    ("recipient", "status", "has_diagnostic"),
    [
        (FailedRecipient("a@b.example", Reply(550, "", "no")), "5.0.0", True),
        (FailedRecipient("a@b.example", Reply(451, "4.3.0", "later"), is_expired=True), "4.4.7", True),
        (FailedRecipient("a@b.example", OwnReply(550, "5.4.4", "no", Category.ROUTING_ERRORS)), "5.4.4", False),
    ],
)
def test_the_status_tells_refused_from_expired(recipient: FailedRecipient, status: str, has_diagnostic: bool) -> None:
    part = _status(_parsed(_failure(recipient)))[1]

    assert part["Status"] == status
    assert ("Diagnostic-Code" in part) is has_diagnostic


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"Subject: gr\xfc\xdfe\r\n\r\n", b"x" * 200_000, b"Subject: --=_mw1.7\r\n\r\n"]
)
def test_a_report_can_be_made_of_anything(content: bytes) -> None:
    report = failure_report(_failure(FailedRecipient("ann@example.net", UNKNOWN), content=content))

    assert len(report) < 100_000
    assert len(_status(_parsed(_failure(FailedRecipient("ann@example.net", UNKNOWN), content=content)))) == 2
    assert b"\n" not in report.replace(b"\r\n", b"")


def test_an_address_in_utf_8_is_reported_as_such() -> None:
    report = failure_report(_failure(FailedRecipient("jürgen@example.net", UNKNOWN)))

    assert b"message/global-delivery-status" in report
    assert "Final-Recipient: utf-8; jürgen@example.net".encode() in report


def test_a_long_list_is_cut_for_people_and_whole_for_machines() -> None:
    recipients = [FailedRecipient(f"u{number}@example.net", UNKNOWN) for number in range(50)]
    report = _parsed(_failure(*recipients))

    assert "and 40 more" in report.get_payload()[0].get_content()  # type: ignore[index,union-attr]
    assert len(_status(report)) == 51
