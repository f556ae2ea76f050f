"""An account's contact hears of failures whose envelope senders nobody may write to: once an interval, and capped."""

import email
import email.policy
from datetime import UTC, datetime
from pathlib import Path

from relay.account import Account
from relay.clock import SteppedClock
from relay.notices.digest import Digests, digest_mail
from relay.spool.digests import MAX_LINES, Due
from tests.delivering import Delivering, delivering, delivery_settings, eventually, story
from tests.sink import Sink

ACME = Account("acme", contact="The desk <desk@acme.example>")
REFUSED = "reject-550-5.1.1-{}@d.example"
Sent = list[tuple[bytes, str, str, str]]
SOON = 300 + 60  # mail fails by a clock of its own, and on a busy machine late


def digests(parts: Delivering, clock: SteppedClock, sent: Sent, account: Account | None = ACME) -> Digests:
    async def submit(mail: bytes, to: str, name: str, reseller: str) -> None:
        sent.append((mail, to, name, reseller))

    return Digests(
        spool=parts.spool, settings=parts.settings, clock=clock, account_of=lambda name: account, submit=submit
    )


async def bounced(parts: Delivering, count: int, first: int = 0, **about: str) -> None:
    already = len(parts.records("Bounce"))
    for number in range(first, first + count):
        await parts.send(REFUSED.format(number), **about)
    await parts.until(already + count, "Bounce")
    await parts.spool.settle()


def text_of(mail: bytes) -> str:
    parsed = email.message_from_bytes(mail, policy=email.policy.default)
    assert parsed.defects == []
    return str(parsed.get_content())  # type: ignore[attr-defined]


@story
async def test_a_foreign_senders_failure_is_told_to_the_contact_soon_and_never_to_the_sender(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = ACME
            await bounced(parts, 1, mail_from="victim@stranger.example")

            early = await digests(parts, clock, sent).send_due()
            clock.advance(SOON)
            due = await digests(parts, clock, sent).send_due()
            again = await digests(parts, clock, sent).send_due()

            assert (early, due, again) == (0, 1, 0)
            record = parts.records("Bounce")[0]
            assert (record.told, record.told_why) == ("digest", "foreign envelope sender")
            assert parts.reports == []
            assert parts.spool.counts().recipients == 0
    [(mail, to, account, _)] = sent
    assert (to, account) == ("desk@acme.example", "acme")
    text = text_of(mail)
    assert "reject-550-5.1.1-0@d.example" in text
    assert "from victim@stranger.example (sender acme|x-authuser|joe)" in text
    assert "550 5.1.1" in text
    assert b"Auto-Submitted: auto-generated\r\n" in mail


@story
async def test_the_next_digest_waits_for_the_interval_and_a_restart_loses_nothing_of_it(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port)
        async with delivering(settings) as parts:
            parts.account = ACME
            await bounced(parts, 1, mail_from="victim@stranger.example")
            clock.advance(SOON)
            await digests(parts, clock, sent).send_due()
            await bounced(parts, 2, first=1, mail_from="victim@stranger.example")
        async with delivering(settings) as parts:
            clock.advance(3_500)
            early = await digests(parts, clock, sent).send_due()
            clock.advance(200)
            due = await digests(parts, clock, sent).send_due()

            assert (early, due) == (0, 1)
    text = text_of(sent[-1][0])
    assert "reject-550-5.1.1-0@" not in text
    assert all(f"reject-550-5.1.1-{number}@" in text for number in (1, 2))


@story
async def test_what_fails_while_a_digest_is_sent_waits_for_the_next(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = ACME
            await bounced(parts, 1, mail_from="victim@stranger.example")
            due = parts.spool.digests()[0]
            told = parts.spool.digest(due)
            await bounced(parts, 1, first=1, mail_from="victim@stranger.example")
            await parts.spool.forget_digest(due, told, clock.unix(), is_sent=True)
            clock.advance(4_000)
            await digests(parts, clock, sent).send_due()

    text = text_of(sent[0][0])
    assert "failed for 1 recipients" in text
    assert "reject-550-5.1.1-1@" in text


@story
async def test_a_digest_that_cannot_be_stored_is_sent_later(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()

    async def full(*_: object) -> None:
        raise OSError("the disk is full")

    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = ACME
            await bounced(parts, 1, mail_from="victim@stranger.example")
            clock.advance(SOON)
            broken = digests(parts, clock, sent)
            broken._submit = full
            broken.start()
            await eventually(lambda: bool(clock._sleepers))
            await broken.stop()

            assert await digests(parts, clock, sent).send_due() == 1


@story
async def test_a_stopped_senders_failures_are_one_line(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account, parts.is_stopped = ACME, True
            await bounced(parts, 3)
            clock.advance(SOON)
            await digests(parts, clock, sent).send_due()

    text = text_of(sent[0][0])
    assert "3 recipients of acme|x-authuser|joe" in text
    assert "reject-550" not in text


@story
async def test_a_flood_of_failures_is_listed_up_to_the_cap_and_counted_beyond(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = ACME
            await bounced(parts, MAX_LINES + 20, mail_from="victim@stranger.example")
            clock.advance(SOON)
            await digests(parts, clock, sent).send_due()

    text = text_of(sent[0][0])
    assert text.count("550 5.1.1") == MAX_LINES
    assert "and 20 more" in text
    assert f"{MAX_LINES + 20} recipients of acme|x-authuser|joe" in text


@story
async def test_an_account_without_contact_is_told_nothing_and_the_journal_says_so(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = Account("acme")
            await bounced(parts, 1, mail_from="victim@stranger.example")

            record = parts.records("Bounce")[0]
            assert record.told == "nobody"
            assert record.told_why == "foreign envelope sender, and the account has no contact"
            assert parts.spool.digests() == []
            assert parts.spool.counts().recipients == 0


@story
async def test_a_contact_that_went_meanwhile_ends_the_digest(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = ACME
            await bounced(parts, 1, mail_from="victim@stranger.example")
            clock.advance(SOON)

            assert await digests(parts, clock, sent, Account("acme")).send_due() == 0
            assert parts.spool.digests() == []
    assert sent == []


@story
async def test_what_a_mail_says_cannot_break_the_digests_lines(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = ACME
            await bounced(parts, 1, mail_from="x\x1b\u2028@stranger.example")
            due = Due("acme", "", 0.0, None)
            mail = digest_mail(due, parts.spool.digest(due), "desk@acme.example", parts.settings, datetime.now(UTC))

    assert "from x??@stranger.example" in text_of(mail)


@story
async def test_a_digest_that_cannot_be_stored_keeps_no_other_account_waiting(tmp_path: Path) -> None:
    clock, sent = SteppedClock(datetime.now(UTC)), Sent()

    async def submit(mail: bytes, to: str, name: str, reseller: str) -> None:
        if name == "acme":
            raise OSError("the disk is full")
        sent.append((mail, to, name, reseller))

    with Sink() as sink:
        async with delivering(delivery_settings(tmp_path, sink.port)) as parts:
            parts.account = ACME
            await bounced(parts, 1, mail_from="victim@stranger.example")
            await bounced(parts, 1, first=1, mail_from="victim@stranger.example", sender="shop|x-authuser|joe")
            clock.advance(SOON)
            all_of_them = Digests(
                spool=parts.spool, settings=parts.settings, clock=clock, account_of=lambda name: ACME, submit=submit
            )

            count = await all_of_them.send_due()

            assert count == 1
            assert [name for _, _, name, _ in sent] == ["shop"]
            assert [due.account for due in parts.spool.digests()] == ["acme"]
