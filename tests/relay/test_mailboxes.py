"""abuse@, postmaster@, fbl@, dmarc@, tlsrpt@ take reports; what people write to abuse@ goes on to the operator."""

import re
from pathlib import Path

import pytest

from relay.account import Account
from relay.events import Inbound, Reception, Unsubscribe
from relay.reply import PermanentError
from relay.returns.mailboxes import Mailbox, Mailboxes, is_report
from relay.settings import Headers, Inbox, Node, Settings, Verp
from tests.builders import ADMIN
from tests.delivering import eventually, story
from tests.relay.test_inbox import DOMAIN, REPORT, bounced, journaled, send, sink, started
from tests.sink import Sink

__all__ = ["sink"]

NODE = Node(hostname="relay.example", abuse_contact="desk@isp.example")
COMPLAINT = b"From: Ann <ann@d.example>\r\nTo: abuse@relay.example\r\nSubject: spam from you\r\n\r\nPlease stop.\r\n"
FORWARDED = (
    b'From: ann@d.example\r\nSubject: Fwd: spam\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n'
    b"Look.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: win\r\n\r\nWin!\r\n--b--\r\n"
)
DMARC = (
    b"From: noreply@google.com\r\nSubject: Report domain: shop.example\r\nContent-Type: application/zip;\r\n\t"
    b'name="google.com!shop.example!1!2.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBAo=\r\n'
)


@story
async def test_a_persons_mail_to_abuse_reaches_the_operator_and_is_recorded(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink, node=NODE) as parts:
        reply = await bounced(parts, "Abuse@Relay.Example", mail_from="ann@d.example", content=COMPLAINT)
        attached = await bounced(parts, f"postmaster@{DOMAIN}", mail_from="ann@d.example", content=FORWARDED)

        await eventually(lambda: len(sink.messages) == 2)
    assert (reply[0], attached[0]) == (250, 250)
    assert {message.recipients for message in sink.messages} == {("desk@isp.example",)}
    assert all(message.mail_from == "" for message in sink.messages)
    assert any(message.content.endswith(COMPLAINT) for message in sink.messages)
    first, second = journaled(tmp_path, Inbound)
    assert (first.report_type, first.recipient, first.account, first.sender, first.message_id) == (
        "abuse",
        "abuse@relay.example",
        "",
        "",
        "",
    )
    assert (second.report_type, second.recipient) == ("postmaster", f"postmaster@{DOMAIN}")
    assert (tmp_path / first.file).read_bytes() == COMPLAINT
    assert first.forward_id in [record.message_id for record in journaled(tmp_path, Reception)]


@story
async def test_reports_are_taken_by_every_mailbox_and_forwarded_to_nobody(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink, node=NODE) as parts:
        replies = [
            await bounced(parts, "fbl@relay.example", mail_from="feedback@arf.example", content=REPORT),
            await bounced(parts, "dmarc@relay.example", mail_from="noreply@google.com", content=DMARC),
            await bounced(parts, "abuse@relay.example", content=REPORT),
            await bounced(parts, "abuse@relay.example", mail_from="feedback@arf.example", content=REPORT),
            await bounced(parts, "tlsrpt@relay.example", "dmarc@relay.example", content=DMARC),
        ]
    records = journaled(tmp_path, Inbound)
    assert [code for code, _ in replies] == [250] * 5
    assert [record.report_type for record in records] == ["fbl", "dmarc", "abuse", "abuse", "tlsrpt", "dmarc"]
    assert {record.withheld for record in records} == {"report"}
    assert len({record.file for record in records}) == 5
    assert sink.messages == []


@story
async def test_people_are_refused_where_only_reports_are_taken_and_everything_else_is_unknown(
    tmp_path: Path, sink: Sink
) -> None:
    async with started(tmp_path, sink, node=NODE, inbox=Inbox(addresses=["abuse", "fbl"])) as parts:
        person = await bounced(parts, "fbl@relay.example", mail_from="ann@d.example", content=COMPLAINT)
        others = [
            await bounced(parts, address, content=REPORT)
            for address in ("dmarc@relay.example", "abuse@elsewhere.example", "info@relay.example")
        ]
    assert person == (550, b"5.7.1 this address takes reports only; people write to abuse@ or postmaster@")
    assert set(others) == {(550, b"5.1.1 no such mailbox")}
    assert journaled(tmp_path, Inbound) == []


@story
async def test_without_a_contact_a_persons_mail_is_kept_and_goes_nowhere(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        reply = await bounced(parts, "abuse@relay.example", mail_from="ann@d.example", content=COMPLAINT)
    (record,) = journaled(tmp_path, Inbound)
    assert (reply[0], record.withheld, record.forward_id) == (250, "no_contact", "")
    assert (tmp_path / record.file).exists()


@pytest.mark.parametrize(
    ("contact", "head", "expected"),
    [
        ("desk@isp.example", b"", ("desk@isp.example", "")),
        ("desk@isp.example", b"Auto-Submitted: auto-replied\r\n", ("", "report")),
        ("abuse@relay.example", b"", ("", "own_address")),
        ("", b"", ("", "no_contact")),
    ],
)
def test_what_goes_on_to_the_operator(contact: str, head: bytes, expected: tuple[str, str]) -> None:
    boxes = Mailboxes(Settings(node=Node(hostname="relay.example", abuse_contact=contact)))
    abuse = Mailbox("abuse", "abuse@relay.example")

    assert boxes.forward_to([abuse], "ann@d.example", head + COMPLAINT, ("192.0.2.1", 0.0)) == expected


def test_a_flood_of_one_client_does_not_reach_the_operator() -> None:
    boxes = Mailboxes(Settings(node=NODE))
    abuse = [Mailbox("abuse", "abuse@relay.example")]

    told = [boxes.forward_to(abuse, "ann@d.example", COMPLAINT, ("192.0.2.1", 0.0))[1] for _ in range(100)]
    other = boxes.forward_to(abuse, "ann@d.example", COMPLAINT, ("198.51.100.1", 0.0))

    assert told.count("") == 21
    assert set(told[21:]) == {"too_many"}
    assert other[0] == "desk@isp.example"


def test_domains_are_those_of_the_settings_and_details_belong_to_the_mailbox() -> None:
    usual = Mailboxes(Settings(node=NODE, verp=Verp(domain=DOMAIN)))
    own = Mailboxes(Settings(node=NODE, inbox=Inbox(domains=["isp.example"])))

    assert usual.find("ABUSE+x@relay.example") == Mailbox("abuse", "abuse+x@relay.example")
    assert usual.find(f"dmarc@{DOMAIN}") is not None
    assert usual.find("abuse@isp.example") is None
    assert own.find("abuse@isp.example") is not None
    assert own.find("abuse@relay.example") is None


def test_a_report_is_known_by_its_form() -> None:
    json = b"From: sns@amazonses.com\r\n\r\n" + b'{"notificationType":"Complaint"}'

    assert [is_report(one) for one in (REPORT, DMARC, FORWARDED, json)] == [True] * 4
    assert not is_report(COMPLAINT)
    with pytest.raises(PermanentError):
        Mailboxes(Settings(node=NODE)).check(Mailbox("dmarc", "dmarc@relay.example"), "ann@d.example", COMPLAINT)


@story
async def test_a_mail_that_our_link_makes_unsubscribes_and_no_other_mail_does(tmp_path: Path, sink: Sink) -> None:
    more = {"node": NODE, "headers": Headers(unsubscribe_address="off@Relay.example")}
    async with started(tmp_path, sink, **more) as parts:
        await parts.core.state.add_account(Account("list", domains=("list.example",), list_unsubscribe=True), ADMIN)
        await parts.core.state.add_credential("list", "list", "secret", ADMIN)
        await send(parts, "ann@d.example", mail_from="news@list.example", login="list")
        await eventually(lambda: sink.messages)
        [subject] = re.findall(rb"<mailto:off@Relay\.example\?subject=([^>]+)>", sink.messages[-1].content)
        mail = b"From: Ann <ann@d.example>\r\nTo: off@relay.example\r\nSubject: %b\r\n\r\nx\r\n"

        wrong = await bounced(parts, "off@relay.example", mail_from="ann@d.example", content=mail % subject[:-4])
        idle = await bounced(parts, "off@relay.example", mail_from="ann@d.example", content=mail % b"unsubscribe")
        before = parts.core.state.suppression.own("list", "ann@d.example")
        right = await bounced(parts, "OFF@relay.example", mail_from="else@d.example", content=mail % subject)
        row = parts.core.state.suppression.own("list", "ann@d.example")

    assert [reply[0] for reply in (wrong, idle, right)] == [550, 550, 250]
    assert before is None
    assert row is not None
    assert (row.reason.value, row.ends_at) == ("unsubscribe", None)
    [record] = journaled(tmp_path, Unsubscribe)
    assert (record.account, record.recipient, record.method) == ("list", "ann@d.example", "mail")
    assert journaled(tmp_path, Inbound) == []  # the mail says nothing else, and is not kept
