"""What the sender asked to hear of (RFC 3461): passed on to hops that know DSN, honoured by us where they do not."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.delivering import CONTENT, PREFIX, delivering, delivery_settings, story
from tests.sink import Manner, Sink

KNOWS_DSN = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN")
DSN, TOLD = "RET=FULL ENVID=QQ+2B1", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@old.example"


def parsed(report: bytes) -> EmailMessage:
    found = email.message_from_bytes(report, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert found.defects == []
    return found


def parts_of(report: EmailMessage) -> list[Any]:
    return list(report.get_payload())  # type: ignore[arg-type]


@pytest.mark.parametrize("extensions", [KNOWS_DSN, tuple(name for name in KNOWS_DSN if name != "PIPELINING")])
@story
async def test_a_hop_that_knows_dsn_is_told_all_and_answers_for_it(tmp_path: Path, extensions: tuple[str, ...]) -> None:
    with Sink(Manner(extensions=extensions)) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            await parts.send("a@d.example", "b@d.example", dsn=DSN, dsns=(TOLD, ""))
            await parts.until(2, "Delivery")

    [mail] = sink.messages
    assert set(DSN.split()) <= set(mail.parameters)
    assert mail.rcpt_parameters == (tuple(TOLD.split()), ())
    assert parts.reports == []


@story
async def test_a_hop_without_dsn_is_told_nothing_and_we_say_once_that_it_went_on(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            await parts.send("a@d.example", "b@d.example", "c@d.example", dsn=DSN, dsns=(TOLD, "NOTIFY=FAILURE", ""))
            await parts.until(3, "Delivery")

    [mail] = sink.messages
    assert not [word for word in mail.parameters if word.startswith(("RET", "ENVID"))]
    assert mail.rcpt_parameters == ((), (), ())
    [(report, to, _)] = parts.reports
    _, status, original = parts_of(parsed(report))
    whole, recipient = status.get_payload()
    assert to == "joe@example.org"
    assert whole["Original-Envelope-Id"] == "QQ+1"
    assert recipient["Original-Recipient"] == "rfc822; first@old.example"
    assert recipient["Final-Recipient"] == "rfc822; a@d.example"
    assert recipient["Action"] == "relayed"
    assert recipient["Status"].startswith("2.")
    assert original.get_content_type() == "text/rfc822-headers"  # RET speaks of failures only


@pytest.mark.parametrize(("dsns", "count"), [("NOTIFY=NEVER", 0), ("NOTIFY=SUCCESS,DELAY", 0), (TOLD, 1), ("", 1)])
@story
async def test_a_failure_is_told_to_whom_wants_to_hear_of_it(tmp_path: Path, dsns: str, count: int) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            await parts.send("reject-550-5.1.1@d.example", dsns=(dsns,))
            await parts.until(1, "Bounce")

    assert len(parts.reports) == count


@story
async def test_nobody_hears_of_mail_without_a_sender(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            await parts.send("a@d.example", "reject-550@d.example", mail_from="", dsn=DSN, dsns=(TOLD, TOLD))
            await parts.until(2)

    assert parts.reports == []


@story
async def test_a_receipt_that_cannot_be_stored_does_not_repeat_the_mail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.fails_reports = True
            await parts.send("a@d.example", dsns=(TOLD,))
            await parts.until(1, "Delivery")
        async with delivering(delivery_settings(tmp_path, sink.port)) as again:
            assert again.spool.waiting() == []

    assert len(sink.messages) == 1
    assert "report not stored" in caplog.text


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("dsn", "size", "kind"),
    [
        ("RET=FULL", 0, "message/rfc822"),
        ("RET=FULL", 300_000, "text/rfc822-headers"),
        ("RET=HDRS", 0, "text/rfc822-headers"),
        ("", 0, "text/rfc822-headers"),
    ],
)
@story
async def test_the_whole_message_goes_back_where_asked_for_and_not_large(
    tmp_path: Path, dsn: str, size: int, kind: str, keep: bool
) -> None:
    content = CONTENT + (b"x" * 74 + b"\r\n") * (size // 76)
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            await parts.send("reject-550-5.1.1@d.example", dsn=dsn, content=content, keep=keep)
            await parts.until(1, "Bounce")

    [(report, _, _)] = parts.reports
    original = parts_of(parsed(report))[2]
    assert original.get_content_type() == kind
    assert (PREFIX + content in report) is (kind == "message/rfc822")
    assert (b"Thank you." in report) is (kind == "message/rfc822")


@story
async def test_what_was_asked_for_outlives_a_restart(tmp_path: Path) -> None:
    with Sink(Manner(extensions=KNOWS_DSN)) as sink:
        settings = delivery_settings(tmp_path, sink.port)
        async with delivering(settings) as parts:
            await parts.store("a@d.example", "b@d.example", dsn=DSN, dsns=(TOLD, "NOTIFY=NEVER"))
        async with delivering(settings) as parts:
            await parts.until(2, "Delivery")

    told = {
        each: said for mail in sink.messages for each, said in zip(mail.recipients, mail.rcpt_parameters, strict=True)
    }
    assert set(DSN.split()) <= set(sink.messages[0].parameters)
    assert told == {"a@d.example": tuple(TOLD.split()), "b@d.example": ("NOTIFY=NEVER",)}
