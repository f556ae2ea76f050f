"""A sender hears once that mail still waits, if he asked for it or said nothing; nobody else does."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.delivery.queues import reports_delay_at, with_try_at
from relay.settings import Delivery, Settings
from relay.spool.store import SpooledMessage
from tests.delivering import CONTENT, Delivering, delivering, delivery_settings, story
from tests.sink import Sink

BUSY = "reject-451-4.2.1-{}@d.example"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Reports = list[tuple[bytes, str, SpooledMessage]]


def late_after(folder: Path, sink: Sink, seconds: float) -> Settings:
    return delivery_settings(folder, sink.port, delay_report_hours=seconds / 3600, max_retry_seconds=0.3)


async def deferred(parts: Delivering, count: int) -> Reports:
    already = len(parts.records("Deferral"))
    await parts.until(already + count, "Deferral")
    return parts.reports


def parsed(report: bytes) -> Any:
    return email.message_from_bytes(report, policy=email.policy.default)


@story
async def test_a_sender_hears_once_that_mail_is_late_also_after_a_restart(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = late_after(tmp_path, sink, 0.5)
        async with delivering(settings) as parts:
            await parts.send(BUSY.format(1), dsns=("ORCPT=rfc822;first@old.example",))
            await parts.until(7, "Deferral")
            first = list(parts.reports)
        async with delivering(settings) as parts:
            again = await deferred(parts, 4)

    [(report, to, about)] = first
    assert (again, to) == ([], "joe@example.org")
    text, status, _ = parsed(report).get_payload()
    assert text.get_content().startswith('Your message "order" of ')
    assert "You need not send it again" in text.get_content()
    _, one = status.get_payload()
    assert (one["Action"], one["Status"]) == ("delayed", "4.2.1")
    assert one["Original-Recipient"] == "rfc822; first@old.example"
    until = email.utils.parsedate_to_datetime(one["Will-Retry-Until"])
    assert until == (about.received_at + timedelta(hours=48)).replace(microsecond=0)


@story
async def test_recipients_that_fail_together_share_a_report_and_a_later_one_has_its_own(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(late_after(tmp_path, sink, 0.0001)) as parts:  # late from the first try on
            await parts.send(BUSY.format(1), BUSY.format(2))
            await parts.until(6, "Deferral")
            await parts.send(BUSY.format(3))
            reports = await deferred(parts, 6)

    told = [
        [part["Final-Recipient"] for part in parsed(report).get_payload()[1].get_payload()[1:]]
        for report, _, _ in reports
    ]
    assert told == [[f"rfc822; {BUSY.format(1)}", f"rfc822; {BUSY.format(2)}"], [f"rfc822; {BUSY.format(3)}"]]


@pytest.mark.parametrize(
    "about",
    [
        {"dsns": ("NOTIFY=FAILURE",)},
        {"dsns": ("NOTIFY=NEVER",)},
        {"mail_from": ""},
        {"mail_from": "victim@stranger.example"},
        {"content": b"Precedence: bulk\r\n" + CONTENT},
        {"content": b"List-Id: <news.example.org>\r\n" + CONTENT},
    ],
    ids=str,
)
@story
async def test_nobody_hears_of_a_delay_who_did_not_ask_or_is_not_the_customer(
    tmp_path: Path, about: dict[str, Any]
) -> None:
    with Sink() as sink:
        async with delivering(late_after(tmp_path, sink, 0.2)) as parts:
            parts.account = Account("acme", domains=("example.org",), contact="desk@acme.example")
            await parts.send(BUSY.format(1), **about)

            assert await deferred(parts, 5) == []
            assert parts.spool.digests() == []


@story
async def test_a_word_about_lists_in_the_body_is_none(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(late_after(tmp_path, sink, 0.2)) as parts:
            await parts.send(BUSY.format(1), content=CONTENT + b"List-Id: x\r\n", dsns=("NOTIFY=DELAY",))

            assert len(await deferred(parts, 5)) == 1


@story
async def test_a_stopped_senders_delay_is_not_told_and_0_hours_means_never(tmp_path: Path) -> None:
    with Sink() as sink:
        async with delivering(late_after(tmp_path / "a", sink, 0.2)) as parts:
            parts.is_stopped = True
            await parts.send(BUSY.format(1))
            assert await deferred(parts, 5) == []
        async with delivering(late_after(tmp_path / "b", sink, 0)) as parts:
            await parts.send(BUSY.format(1))
            assert await deferred(parts, 5) == []


def test_a_try_is_made_at_four_hours_so_that_the_report_is_fresh() -> None:
    settings = Delivery()
    at = reports_delay_at(NOW, settings)
    assert at == NOW + timedelta(hours=4)

    def due(now_minutes: float, due_minutes: float) -> float:
        now, due_at = NOW + timedelta(minutes=now_minutes), NOW + timedelta(minutes=due_minutes)
        return (with_try_at(at, due_at, now, settings) - NOW).total_seconds() / 60

    assert due(225, 360) == 240
    assert due(225, 235) == 235
    assert due(238, 400) == 243  # not sooner than a first retry
    assert due(240, 400) == 400
    assert with_try_at(None, NOW, NOW, settings) == NOW
