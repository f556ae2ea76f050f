"""Mail of the inboxes is read once, traced by proof in order, and told to the relay, whatever is killed meanwhile."""

import mailbox
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics.inbox.arriving import MOST_FILES
from analytics.inbox.attribution import Attribution, Proof
from analytics.inbox.cases import CaseOrder, Cases, NoSuchCase
from analytics.inbox.cli import mails_of
from analytics.inbox.clues import Clues, Owner
from analytics.inbox.intake import Intake
from analytics.inbox.mails import unread
from analytics.inbox.reading import InboxReading
from analytics.ingesting.ingest import Ingest
from analytics.reports.feeds import Feeds
from analytics.serving.ask import OutOfScope, ask
from analytics.warehouse import Warehouse
from relay.clock import SystemClock
from relay.control.client import ControlUnreachable
from relay.control.views import Outcome
from relay.delivery.headers import feedback_line, reference
from relay.events import Inbound
from relay.evidence.views import Claim, Proved, ReturnedMail, Suppressions
from relay.settings import Policy
from relay.spool.journal import Journal
from relay.tree import Scope
from tests.analytics.aggregates import dmarc, gzipped, record
from tests.analytics.aggregates import mail as aggregate_mail
from tests.analytics.conftest import Room, room
from tests.analytics.records import Story, write

__all__ = ["room"]

KEY = b"k" * 32
ACME = "acme|mailfrom|news@acme.example"
PATH = f"b+{'a' * 56}@bounce.acme.example"
BOUNCE = (
    b"From: mailer-daemon@mx.example\r\nTo: x@acme.example\r\nSubject: Undelivered Mail Returned to Sender\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nThe mail could not be delivered.\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
    b"Final-Recipient: rfc822; %b\r\nAction: %b\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 <%b>: Recipient address rejected: User unknown in virtual mailbox table\r\n\r\n"
    b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n%b\r\n--b--\r\n"
)
ARF = (
    b"From: feedback@provider.example\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: %b\r\nUser-Agent: P/1\r\nVersion: 1\r\n\r\n"
    b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n%b\r\n--b--\r\n"
)
PERSON = b"From: Ann <ann@d.example>\r\nTo: abuse@relay.example\r\nSubject: spam from you\r\n\r\nPlease stop it.\r\n"


def bounce(recipient: bytes = b"r0@post.example", head: bytes = b"", action: bytes = b"failed") -> bytes:
    return BOUNCE % (recipient, action, recipient, head)


@dataclass
class Relay:
    """What stands at the other end of the control API; it checks claims with the relay's own functions."""

    paths: dict[str, Proved] = field(default_factory=dict)
    told: list[Outcome] = field(default_factory=list)
    suppressed: list[ReturnedMail] = field(default_factory=list)
    is_down: bool = False

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def prove(self, claims: list[Claim]) -> list[Proved]:
        self._answer()
        return [self._proved(claim) for claim in claims]

    def outcome(self, outcome: Outcome) -> None:
        self._answer()
        self.told.append(outcome)

    def returned(self, rows: list[ReturnedMail]) -> Suppressions:
        self._answer()
        fresh = [row for row in rows if row.address not in [one.address for one in self.suppressed]]
        self.suppressed += fresh
        return Suppressions(suppressed=len(fresh))

    def _proved(self, claim: Claim) -> Proved:
        match claim.kind:
            case "return_path":
                return self.paths.get(claim.value.lower(), Proved())
            case "reference":
                genuine = claim.value == reference(KEY, claim.message_id, claim.account, claim.sender)
            case "feedback_id":
                genuine = claim.value == feedback_id(claim.account, claim.sender)
        return Proved(is_genuine=genuine)

    def _answer(self) -> None:
        if self.is_down:
            raise ControlUnreachable(503, "the relay does not answer")


def feedback_id(account: str, sender: str) -> str:
    return feedback_line(KEY, "", account, sender, "mailweir").decode().partition(":")[2].strip()


@dataclass
class Desk:
    """A warehouse, a journal of analytics, the reading job and its relay."""

    room: Room
    folder: Path
    relay: Relay
    story: Story = field(default_factory=Story)
    reading: Any = None
    journal: Any = None
    numbers: int = 0

    def start(self) -> "Desk":
        self.journal = Journal(self.room.folder.path, "analytics", "mw1", SystemClock())
        self.journal.start()
        feeds = Feeds(self.room.warehouse, self.folder / "feeds", SystemClock())
        self.reading = InboxReading(
            self.folder,
            self.room.warehouse,
            self.journal,
            SystemClock(),
            feeds,
            lambda: self.relay,  # type: ignore[arg-type, return-value]
        )
        return self

    def stop(self) -> None:
        self.journal.close()
        self.room.ingest.run()

    def came(
        self, raw: bytes, *, to: str = "fbl", owner: int = 0, mail_from: str = "", is_ingested: bool = True
    ) -> str:
        """A mail came in by SMTP: its file and its record, whose journal file may be waiting still."""
        self.numbers += 1
        file = f"inbox/20261126/{self.numbers}.eml"
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_bytes(raw)
        whose = self.story.whose(owner) if owner else {"message_id": "", "account": "", "sender": ""}
        record = Inbound(
            **self.story.stamp(),
            **whose,
            recipient_id=owner,
            recipient="r0@post.example" if owner else f"{to}@relay.example",
            report_type="bounce" if owner else to,
            mail_from=mail_from,
            client_ip="192.0.2.9",
            size_bytes=len(raw),
            file=file,
        )
        write(self.room.folder.path, f"relay-mw1-b-{self.numbers:08d}", [record])
        if is_ingested:
            self.room.ingest.run()
        return file

    def read(self) -> str:
        """Let the job run, and have what it wrote ingested."""
        self.reading.wake()
        said: str = self.reading.run()
        self.stop()
        self.start()
        return said

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.room.rows(query)


@pytest.fixture
def desk(room: Room, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(room, tmp_path, Relay()).start()
    desk.room.bring(
        desk.story.reception(1, header_message_id="<one@acme.example>"),
        desk.story.delivery(1, source="192.0.2.50"),
        desk.story.reception(5, rcpts=2, header_message_id="<five@acme.example>"),
        desk.story.delivery(5),
        desk.story.delivery(5, index=1),
    )
    yield desk
    desk.stop()


def test_a_bounce_to_a_return_path_is_the_senders_and_suppresses_the_recipient(desk: Desk) -> None:
    desk.came(bounce(b"moved@elsewhere.example"), owner=1)

    desk.read()

    found = desk.rows("SELECT sender, recipient, proof, is_hard, category, message_id FROM out_of_band")
    assert found == [(ACME, "r0@post.example", "envelope", True, "InvalidRecipient", "mw1.1")]
    assert [(row.account, row.address, row.reason) for row in desk.relay.suppressed] == [
        ("acme", "r0@post.example", "hard_bounce")
    ]
    assert [(one.kind, one.sender, one.source) for one in desk.relay.told] == [("hard_bounce", ACME, "192.0.2.50")]
    counted = desk.rows("SELECT sum(hard_bounced), sum(delivered), sum(bounced) FROM rollup_minute WHERE source <> ''")
    assert counted == [(1, 1, 0)]
    assert desk.rows("SELECT found, bounces, proof FROM report_read") == [("bounce", 1, "envelope")]


def test_each_mail_is_read_once_and_the_same_news_counts_once(desk: Desk) -> None:
    desk.came(bounce(), owner=1)
    desk.read()
    again = desk.read()
    desk.came(b"Received: by another way\r\n" + bounce(), owner=1)
    desk.read()

    assert again == ""
    assert desk.rows("SELECT count(*) FROM out_of_band") == [(1,)]
    assert desk.rows("SELECT count(*) FROM report_read") == [(2,)]
    assert len(desk.relay.told) == 1


def test_a_bounce_suppresses_before_it_is_ingested_and_is_not_read_again_after(desk: Desk) -> None:
    desk.came(bounce(), owner=1, is_ingested=False)
    desk.came(bounce(b"r0@post.example", b"Message-ID: <one@acme.example>\r\n"), to="abuse", is_ingested=False)

    has_work = desk.reading.hear(desk.room.folder.closed())
    desk.reading.run()
    first = [row.address for row in desk.relay.suppressed], desk.rows("SELECT count(*) FROM inbound")
    desk.stop()
    desk.start()
    desk.read()

    assert has_work
    assert first == (["r0@post.example"], [(0,)])  # what came to a mailbox has to wait for the warehouse
    assert desk.rows("SELECT count(*) FROM out_of_band") == [(1,)]
    assert desk.rows("SELECT count(*) FROM report_read") == [(2,)]
    assert len(desk.relay.told) == 1


def test_a_bounce_that_was_heard_of_while_the_relay_is_away_is_found_in_the_warehouse(desk: Desk) -> None:
    desk.came(bounce(), owner=1, is_ingested=False)
    desk.reading.hear(desk.room.folder.closed())
    desk.relay.is_down = True
    with pytest.raises(ControlUnreachable):
        desk.reading.run()
    desk.relay.is_down = False
    desk.room.ingest.run()

    desk.reading.run()

    assert (len(desk.relay.told), len(desk.relay.suppressed)) == (1, 1)


def test_files_that_are_many_gone_or_broken_are_left_to_ingestion(desk: Desk, tmp_path: Path) -> None:
    desk.came(bounce(), owner=1, is_ingested=False)
    (waiting,) = desk.room.folder.closed()
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b'{"kind":"Inbound","node":\n')

    assert not desk.reading.hear([waiting] * (MOST_FILES + 1))
    assert not desk.reading.hear([tmp_path / "gone.jsonl", broken])
    assert desk.reading.hear([waiting])


def test_a_crash_between_record_and_relay_loses_no_suppression_and_doubles_no_record(desk: Desk) -> None:
    desk.came(bounce(), owner=1)
    desk.relay.is_down = True
    with pytest.raises(ControlUnreachable):
        desk.read()
    desk.stop()  # the record is in the journal; that the mail was read is not
    desk.start()
    desk.relay.is_down = False

    desk.read()
    desk.read()

    assert desk.rows("SELECT count(*) FROM out_of_band") == [(1,)]
    assert len(desk.relay.suppressed) == 1
    assert [one.kind for one in desk.relay.told] == ["hard_bounce"]
    assert desk.rows("SELECT count(*) FROM report_read") == [(1,)]


def test_a_relay_that_does_not_answer_is_told_later_and_once(desk: Desk) -> None:
    desk.came(bounce(), owner=1)
    desk.relay.is_down = True
    for _ in range(2):
        desk.reading.wake()
        with pytest.raises(ControlUnreachable):
            desk.reading.run()
    desk.relay.is_down = False

    desk.reading.run()  # without a wake: it owes an answer

    assert (len(desk.relay.told), len(desk.relay.suppressed)) == (1, 1)


def test_what_waits_and_what_no_rule_knows_suppresses_nobody(desk: Desk) -> None:
    desk.came(bounce(action=b"delayed"), owner=1)
    desk.came(bounce().replace(b"550 5.1.1", b"554 5.7.1").replace(b"Status: 5.1.1", b"Status: 5.7.1"), owner=5)

    desk.read()

    assert desk.relay.suppressed == []
    assert desk.rows("SELECT is_hard FROM out_of_band") == [(False,)]


def test_a_complaint_counts_by_its_type_and_finds_its_sender_by_reference(desk: Desk) -> None:
    head = b"X-Mailweir-Ref: " + reference(KEY, "mw1.1", "acme", ACME).encode() + b"\r\n"
    for kind in (b"abuse", b"not-spam", b"auth-failure"):
        desk.came(ARF % (kind, head), mail_from="feedback@provider.example")

    desk.read()

    assert desk.rows("SELECT sender, recipient, proof, feedback_type FROM complaint") == [
        (ACME, "r0@post.example", "reference", "abuse")
    ]
    assert desk.rows("SELECT type FROM feedback ORDER BY type") == [("abuse",), ("auth-failure",), ("not-spam",)]
    assert [(row.address, row.reason) for row in desk.relay.suppressed] == [("r0@post.example", "complaint")]
    # with the address it left from: a warm-up plan counts it (relay/control/egress/sources_desk.py)
    assert [(one.kind, one.source) for one in desk.relay.told] == [("complaint", "192.0.2.50")]


def test_what_nothing_proves_is_backscatter_and_counts_against_nobody(desk: Desk) -> None:
    forged = reference(b"x" * 32, "mw1.1", "acme", ACME).encode()
    desk.came(bounce(b"nobody@post.example", b"Message-ID: <one@acme.example>\r\n"))
    desk.came(ARF % (b"abuse", b"X-Mailweir-Ref: " + forged + b"\r\nMessage-ID: <one@acme.example>\r\n"))

    desk.read()

    assert desk.rows("SELECT account, sender, proof FROM out_of_band") == [("", "", "")]
    assert desk.rows("SELECT account, sender, proof, message_id FROM complaint") == [("", "", "", "")]
    assert (desk.relay.told, desk.relay.suppressed) == ([], [])
    assert desk.rows("SELECT sum(complaints), sum(hard_bounced) FROM rollup_minute") == [(0, 0)]


def test_made_up_recipients_of_one_message_count_for_one(desk: Desk) -> None:
    head = b"X-Mailweir-Ref: " + reference(KEY, "mw1.5", "acme", ACME).encode() + b"\r\n"
    for number in range(20):
        desk.came(bounce(b"made-up-%d@else.example" % number, head))

    desk.read()

    assert desk.rows("SELECT count(*), any_value(recipient_id) FROM out_of_band") == [(1, 0)]
    assert desk.relay.suppressed == []


def test_proofs_are_taken_in_order_and_forged_ones_are_not(desk: Desk) -> None:
    desk.relay.paths[PATH] = Proved(
        is_genuine=True, message_id="mw1.9", account="acme", sender=ACME, recipient_id=9, recipient="Z@post.example"
    )
    ref, other = reference(KEY, "mw1.1", "acme", ACME), reference(KEY, "mw1.5", "acme", ACME)
    clues = [
        Clues(envelope=Owner("mw1.7", "acme", "", ACME, 7, "e@post.example"), mail_from=(PATH,), reference=ref),
        Clues(return_paths=(PATH,), reference=ref),
        Clues(mail_from=(PATH,), reference=ref),
        Clues(mail_from=(f"b+{'b' * 56}@bounce.acme.example",), reference=ref, cfbl=other),
        Clues(reference=ref[:9] + ref[9].swapcase() + ref[10:], cfbl=other, recipients=("r1@post.example",)),
        Clues(feedback_id=feedback_id("acme", ACME), message_id="one@acme.example"),
        Clues(feedback_id=feedback_id("acme", "acme|mailfrom|x@acme.example"), message_id="one@acme.example"),
        Clues(message_id="five@acme.example", recipients=("r1@post.example",)),
        Clues(message_id="five@acme.example", recipients=("r9@post.example",)),
        Clues(message_id="five@acme.example"),
        Clues(),
    ]

    traced = Attribution(desk.room.warehouse, lambda: desk.relay).trace(clues)  # type: ignore[arg-type, return-value]

    found = [(one.proof, one.owner.message_id, one.owner.recipient) if one else None for one in traced]
    assert found == [
        (Proof.ENVELOPE, "mw1.7", "e@post.example"),
        (Proof.ENVELOPE, "mw1.9", "z@post.example"),
        (Proof.ORIGINAL_MAIL_FROM, "mw1.9", "z@post.example"),
        (Proof.REFERENCE, "mw1.1", "r0@post.example"),
        (Proof.CFBL, "mw1.5", "r1@post.example"),
        (Proof.FEEDBACK_ID, "mw1.1", "r0@post.example"),
        None,
        (Proof.MESSAGE_ID, "mw1.5", "r1@post.example"),
        None,
        None,
        None,
    ]


def test_a_message_id_that_two_senders_used_proves_nothing(desk: Desk) -> None:
    desk.room.bring(
        desk.story.reception(11, sender="evil|mailfrom|x@evil.example", header_message_id="<one@acme.example>"),
        name="relay-mw1-c-00000001",
    )

    clues = [Clues(message_id="one@acme.example", recipients=("r0@post.example",))]

    assert Attribution(desk.room.warehouse, lambda: desk.relay).trace(clues) == [None]  # type: ignore[arg-type, return-value]


def test_a_mail_that_cannot_be_read_stops_nothing(desk: Desk) -> None:
    gone = desk.came(b"x")
    (desk.folder / gone).unlink()
    desk.came(b"\xff\xfe" * 1000, to="dmarc")
    desk.room.bring(
        Inbound(
            **desk.story.stamp(),
            message_id="",
            account="",
            sender="",
            recipient_id=0,
            recipient="fbl@relay.example",
            report_type="fbl",
            client_ip="",
            size_bytes=1,
            file="../../../etc/passwd",
        ),
        name="relay-mw1-d-00000001",
    )
    desk.came(bounce(), owner=1)

    desk.read()

    found = dict(desk.rows("SELECT file, found FROM report_read"))
    assert sorted(found.values()) == ["bounce", "failed", "invalid", "missing"]
    assert found["../../../etc/passwd"] == "failed"
    assert len(desk.relay.suppressed) == 1


def test_a_persons_mail_about_abuse_is_a_case_until_it_is_closed(desk: Desk) -> None:
    desk.came(PERSON, to="abuse", mail_from="ann@d.example")
    desk.came(PERSON, to="fbl", mail_from="")
    desk.read()
    cases = Cases(desk.folder, desk.room.warehouse, desk.journal)
    ((case_id,),) = desk.rows("SELECT case_id FROM abuse_case")

    shown = cases.show(case_id)
    dry = cases.change(case_id, CaseOrder(status="closed", dry_run=True), "admin")
    done = cases.change(case_id, CaseOrder(status="closed", why="sender held"), "admin")
    again = cases.change(case_id, CaseOrder(status="closed"), "admin")
    desk.stop()
    desk.start()
    after = Cases(desk.folder, desk.room.warehouse, desk.journal).show(case_id)

    assert (shown.status, shown.mail_from, shown.subject, shown.text.strip()) == (
        "open",
        "ann@d.example",
        "spam from you",
        "Please stop it.",
    )
    assert (dry.changed, done.changed, again.changed) == (True, True, False)
    assert done.undo == f"mailweir case reopen {case_id}"
    assert (after.status, after.author, after.why) == ("closed", "admin", "sender held")
    with pytest.raises(NoSuchCase):
        cases.show("0123456789")


def test_mail_that_was_collected_elsewhere_ends_in_the_same_place_once(desk: Desk) -> None:
    intake = Intake(desk.folder, desk.room.warehouse, desk.journal, SystemClock())
    desk.relay.paths[PATH] = Proved(
        is_genuine=True, message_id="mw1.1", account="acme", sender=ACME, recipient_id=1, recipient="r0@post.example"
    )
    raw = b"Return-Path: <>\r\nDelivered-To: " + PATH.encode() + b"\r\n" + bounce()

    dry = intake.take(raw, "imported", "test", dry_run=True)
    first = intake.take(raw, "imported", "test")
    second = intake.take(raw, "imported", "test")
    person = intake.take(PERSON, "abuse", "test")
    desk.stop()
    desk.start()
    desk.read()
    later = Intake(desk.folder, desk.room.warehouse, desk.journal, SystemClock()).take(raw, "imported", "test")

    assert [one.status for one in (dry, first, second, person, later)] == ["new", "new", "known", "new", "known"]
    assert (first.found, intake.take(b" ", "imported", "test").status) == ("bounce", "refused")
    assert desk.rows("SELECT proof, recipient FROM out_of_band") == [("envelope", "r0@post.example")]
    assert desk.rows("SELECT mail_from, origin FROM abuse_case") == [("Ann <ann@d.example>", "test")]


def test_the_warehouse_made_again_from_the_journals_has_all_of_it(desk: Desk, tmp_path: Path) -> None:
    desk.came(bounce(), owner=1)
    desk.came(ARF % (b"abuse", b"X-Mailweir-Ref: " + reference(KEY, "mw1.5", "acme", ACME).encode() + b"\r\n"))
    desk.came(PERSON, to="abuse", mail_from="ann@d.example")
    desk.read()
    asked = [
        "SELECT * FROM out_of_band",
        "SELECT * FROM complaint",
        "SELECT * FROM report_read ORDER BY file",
        "SELECT case_id, status FROM abuse_case",
        "SELECT sender, sum(hard_bounced), sum(complaints), sum(delivered) FROM rollup_minute GROUP BY sender",
    ]

    before = [desk.rows(query) for query in asked]
    again = Warehouse.open(tmp_path / "again.duckdb", desk.room.folder.path)
    try:
        ingest = Ingest(again, desk.room.folder, Policy())
        for archived in desk.room.folder.archived():
            ingest.replay(archived)
        after = [[tuple(row.values()) for row in again.table(query).to_pylist()] for query in asked]
        waiting = unread(again, [])
    finally:
        again.close()

    assert [len(rows) for rows in before] == [1, 1, 3, 1, 1]
    assert after == before
    assert waiting == []


def test_reports_about_domains_go_to_their_tables(desk: Desk) -> None:
    mail = aggregate_mail(gzipped(dmarc(record())))
    desk.came(mail, to="dmarc", mail_from="noreply@provider.example")
    desk.came(b"Received: again\r\n" + mail, to="dmarc", mail_from="noreply@provider.example")

    desk.read()

    assert desk.rows("SELECT count(*) FROM dmarc_report") == [(1,)]
    assert desk.rows("SELECT DISTINCT found FROM report_read") == [("dmarc-aggregate",)]


def test_readers_see_their_part_and_backscatter_is_the_whole_installations(desk: Desk) -> None:
    head = b"X-Mailweir-Ref: " + reference(KEY, "mw1.1", "acme", ACME).encode() + b"\r\n"
    desk.came(bounce(), owner=5)
    desk.came(ARF % (b"abuse", head))
    desk.came(bounce())
    desk.came(PERSON, to="abuse", mail_from="ann@d.example")
    desk.read()
    now = desk.story.start + timedelta(days=1)
    later = datetime.now(UTC) + timedelta(minutes=1)

    def rows(name: str, scope: Scope, **given: Any) -> list[dict[str, Any]]:
        since = {"since": (now - timedelta(days=2)).isoformat()}
        found: list[dict[str, Any]] = ask(desk.room.warehouse, name, since | given, scope, later).to_pylist()
        return found

    names = ("out_of_band", "out_of_band_senders", "complaints_by_sender", "complaints_by_campaign")
    own = {name: rows(name, Scope(account="acme")) for name in names}
    others = {name: rows(name, Scope(account="rival")) for name in names}
    whole = {name: rows(name, Scope()) for name in ("backscatter", "cases", "inbox")}

    assert {name: len(found) for name, found in own.items()} == dict.fromkeys(names, 1)
    assert {name: len(found) for name, found in others.items()} == dict.fromkeys(names, 0)
    (by_sender,) = own["complaints_by_sender"]
    assert (by_sender["delivered"], by_sender["delivered_to_providers"], by_sender["complaints"]) == (3, 3, 1)
    assert by_sender["rate"] == pytest.approx(1 / 3)
    assert own["complaints_by_campaign"][0]["delivered"] == 1
    assert [row["reports"] for row in whole["backscatter"]] == [1]
    assert len(whole["cases"]) == 1
    for name in ("backscatter", "cases", "inbox"):
        with pytest.raises(OutOfScope):
            rows(name, Scope(account="acme"))


def test_a_maildir_and_an_mbox_are_read_as_they_are(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    box.add(PERSON.replace(b"\r\n", b"\n"))
    box.add(bounce().replace(b"\r\n", b"\n"))
    box.close()
    maildir = mailbox.Maildir(tmp_path / "dir", create=True)
    maildir.add(bounce())
    maildir.close()
    before = sorted((tmp_path / "dir").rglob("*"))

    found = [[*mails_of(tmp_path / "box")], [*mails_of(tmp_path / "dir")]]

    assert [len(mails) for mails in found] == [2, 1]
    assert b"Please stop it." in found[0][0]
    assert sorted((tmp_path / "dir").rglob("*")) == before
    (tmp_path / "text").write_text("no mbox at all\n")
    with pytest.raises(Exception, match="no mbox"):
        [*mails_of(tmp_path / "text")]
