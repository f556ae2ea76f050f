"""Complaints: which mail is one, what it says about the message, and what is none."""

import json
from pathlib import Path

import pytest

from analytics.reports.feedback import Feedback, FeedbackType
from analytics.reports.reading import read

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpora" / "bounces"

RETURNED = (
    "Received: from out.relay.example (out.relay.example [192.0.2.9]) by mx.receiver.example\r\n"
    "X-Mailweir-Ref: abc.def\r\nFeedback-ID: c1:a1:r1:mailweir\r\nCFBL-Feedback-ID: 111:222\r\n"
    "CFBL-Address: fbl@relay.example; report=arf\r\nMessage-ID: <m1@firm.example>\r\nFrom: shop@firm.example\r\n"
    "Subject: Offers\r\n"
)
FIELDS = (
    "Feedback-Type: {kind}\r\nUser-Agent: Loop/1.0\r\nVersion: 1\r\nSource-IP: 192.0.2.9\r\n"
    "Original-Mail-From: <b+token@bounce.relay.example>\r\nOriginal-Rcpt-To: <ann@receiver.example>\r\n"
    "Original-Rcpt-To: bob@receiver.example\r\nReported-Domain: Firm.example\r\n"
    "Arrival-Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n{more}"
)


def arf(
    kind: str = "abuse",
    more: str = "",
    part: str = "message/feedback-report",
    returned: str = RETURNED,
    of: str = "text/rfc822-headers",
) -> bytes:
    return (
        "From: feedback@arf.mail.receiver.example\r\nTo: fbl@relay.example\r\nSubject: FW: Offers\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n"
        f"--b\r\nContent-Type: {part}\r\n\r\n{FIELDS.format(kind=kind, more=more)}\r\n"
        f"--b\r\nContent-Type: {of}\r\n\r\n{returned}\r\n--b--\r\n"
    ).encode()


def feedback(raw: bytes) -> Feedback:
    report = read(raw)
    assert isinstance(report, Feedback)
    return report


def test_a_complaint_names_all_that_can_prove_whose_message_it_is_about() -> None:
    found = feedback(arf())

    assert found.type is FeedbackType.ABUSE
    assert found.original_mail_from == "b+token@bounce.relay.example"
    assert found.original_rcpt_to == ("ann@receiver.example", "bob@receiver.example")
    assert found.source_ip == "192.0.2.9"
    assert found.reported_domains == ("firm.example",)
    assert (found.mailweir_ref, found.feedback_id, found.cfbl_feedback_id) == (
        "abc.def",
        "c1:a1:r1:mailweir",
        "111:222",
    )
    assert found.message_id == "m1@firm.example"
    assert found.received_ips == ("192.0.2.9",)
    assert found.incidents == 1


@pytest.mark.parametrize("of", ["message/rfc822", "text/rfc822-headers", "message/rfc822-headers"])
def test_the_message_comes_back_whole_or_as_headers(of: str) -> None:
    assert feedback(arf(of=of)).mailweir_ref == "abc.def"


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ("abuse", FeedbackType.ABUSE),
        ("Fraud", FeedbackType.FRAUD),
        ("virus", FeedbackType.VIRUS),
        ("not-spam", FeedbackType.NOT_SPAM),
        ("auth-failure", FeedbackType.AUTH_FAILURE),
        ("opt-out-list", FeedbackType.OPT_OUT),
        ("x-new", FeedbackType.OTHER),
    ],
)
def test_abuse_fraud_failed_authentication_and_not_spam_are_kept_apart(named: str, kind: FeedbackType) -> None:
    found = feedback(arf(named))

    assert (found.type, found.named) == (kind, named.lower())


def test_failed_authentication_says_what_failed() -> None:
    assert feedback(arf("auth-failure", "Auth-Failure: bodyhash\r\n aGF0\r\n")).auth_failure == "bodyhash"


@pytest.mark.parametrize(("said", "counted"), [("7", 7), ("0", 1), ("-4", 1), ("many", 1), ("9" * 30, 1)])
def test_incidents_are_a_number_or_one(said: str, counted: int) -> None:
    assert feedback(arf(more=f"Incidents: {said}\r\n")).incidents == counted


@pytest.mark.parametrize("part", ["text/plain", "application/octet-stream"])
def test_fields_under_a_wrong_type_are_read_in_a_report(part: str) -> None:
    assert feedback(arf(part=part)).source_ip == "192.0.2.9"


def test_without_headers_of_the_message_nothing_but_the_fields_is_known() -> None:
    found = feedback(arf(returned="X: y\r\n"))

    assert (found.message_id, found.mailweir_ref, found.original_rcpt_to[0]) == ("", "", "ann@receiver.example")


def jmrp(subject: str = "complaint about message from 192.0.2.9", author: str = "staff@hotmail.com") -> bytes:
    return (
        f"From: {author}\r\nSubject: {subject}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\nX-HmXmrOriginalRecipient: <ann@hotmail.example>\r\n"
        f"{RETURNED}\r\nHello\r\n--b--\r\n"
    ).encode()


def test_microsofts_reports_without_arf_are_complaints() -> None:
    found = feedback(jmrp())

    assert (found.loop, found.type, found.source_ip) == ("jmrp", FeedbackType.ABUSE, "192.0.2.9")
    assert found.original_rcpt_to == ("ann@hotmail.example",)
    assert (found.mailweir_ref, found.message_id) == ("abc.def", "m1@firm.example")


def test_a_forwarded_mail_is_no_complaint() -> None:
    assert not isinstance(read(jmrp("Fwd: Offers")), Feedback)


def test_a_text_about_complaints_is_none() -> None:
    raw = b"Subject: complaint about message from 192.0.2.9\r\nFrom: staff@hotmail.com\r\n\r\nFeedback-Type: abuse\r\n"

    assert not isinstance(read(raw), Feedback)


def test_amazons_notification_is_a_complaint() -> None:
    text = (
        '{"notificationType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"ann@receiver.example"}],'
        '"complaintFeedbackType":"fraud"},"mail":{"source":"shop@firm.example","sourceIp":"192.0.2.9","headers":'
        '[{"name":"Message-ID","value":"<m1@firm.exa!\n mple>"},{"name":"X-Mailweir-Ref","value":"abc.def"}]}}\n\n--\n'
        "If you wish to stop receiving notifications\n"
    )

    found = feedback(b"From: no-reply@sns.amazonaws.com\r\nContent-Type: text/plain\r\n\r\n" + text.encode())

    assert (found.loop, found.type, found.original_rcpt_to) == ("ses", FeedbackType.FRAUD, ("ann@receiver.example",))
    assert (found.mailweir_ref, found.message_id) == ("abc.def", "m1@firm.example")


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of reports is not here")
def test_all_complaints_of_the_corpus_are_read() -> None:
    cases = [json.loads(line) for line in (CORPUS / "expected.jsonl").read_text().splitlines()]
    complaints = [case for case in cases if case["kind"] == "feedback"]
    wrong = []
    for case in complaints:
        found = read((CORPUS / case["file"]).read_bytes())
        expected = case["feedback"]
        said = found.fields()["feedback"] if isinstance(found, Feedback) else {}
        for name in ("type", "source_ip", "original_mail_from", "original_rcpt_to"):
            if expected.get(name) and str(expected[name]).lower() != str(said.get(name)).lower():
                wrong.append((case["id"], name, said.get(name)))
    others = [case for case in cases if case["kind"] != "feedback"]
    mistaken = [case["id"] for case in others if isinstance(read((CORPUS / case["file"]).read_bytes()), Feedback)]

    assert (len(complaints), wrong, mistaken) == (27, [], [])
