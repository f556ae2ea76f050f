"""Refusals for the customer's configuration: they are told apart from reputation, and say what to do."""

import tomllib
from pathlib import Path

import pytest

from relay.delivery.replies import Category, classify, parse_reply
from relay.events import AlarmRaised
from relay.running.misconfigured import DAY_SECONDS, Misconfigured
from tests.builders import journaled
from tests.delivering import Delivering, delivering, delivery_settings, story
from tests.relay.test_delivery_replies import RULES
from tests.sink import Sink

NO_DKIM = "reject-550-5.7.30-{}@d.example"


@pytest.mark.parametrize(
    "reply",
    [
        b"421 4.7.23 no PTR",
        b"550 5.7.25 no PTR",
        b"421 4.7.27 SPF did not pass",
        b"550 5.7.27 SPF did not pass",
        b"421 4.7.29 no TLS",
        b"550 5.7.29 no TLS",
        b"421 4.7.30 DKIM = did not pass",
        b"550 5.7.30 DKIM = did not pass",
        b"421 4.7.31 no DMARC record",
        b"421 4.7.40 no DMARC record",
        b"421 4.7.32 From: header (RFC5322) isn't aligned",
        b"550 5.7.26 unauthenticated",
        b"550 5.7.515 Access denied",
        b"554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
        b"550 5.7.1 this mail has been blocked because the sender is unauthenticated",
    ],
)
def test_what_large_providers_say_of_authentication_is_the_customers_configuration(reply: bytes) -> None:
    assert classify(parse_reply(reply)).category is Category.CONFIG_CUSTOMER


@pytest.mark.parametrize(
    ("reply", "category"),
    [
        (b"421 4.7.28 unusual rate of unsolicited email originating from your DKIM domain", Category.RATE_LIMITED),
        (b"421 4.7.28 unusual rate of unsolicited email originating from your SPF domain", Category.RATE_LIMITED),
        (b"550 5.7.1 likely suspicious due to the very low reputation of the sending domain", None),
        (b"553 5.7.2 [TSS09] All messages from 192.0.2.7 will be permanently deferred", None),
    ],
)
def test_rates_and_reputation_are_not(reply: bytes, category: Category | None) -> None:
    found = classify(parse_reply(reply)).category

    assert found is not Category.CONFIG_CUSTOMER
    assert category in (None, found)


def test_every_such_rule_says_what_to_do_and_no_other() -> None:
    rules = tomllib.loads(RULES.read_text())["rule"]

    assert all(("fix" in rule) is (rule["category"] == Category.CONFIG_CUSTOMER) for rule in rules)


def alarms(folder: Path) -> list[AlarmRaised]:
    return journaled(folder, AlarmRaised)


async def refused(parts: Delivering, watch: Misconfigured, now_unix: float, **about: str) -> None:
    already = len(parts.outcomes)
    await parts.send(NO_DKIM.format(already), **about)
    await parts.until(already + 1)
    for recipient, record in parts.outcomes[already:]:
        watch.note(recipient, record, now_unix)


@story
async def test_one_alarm_a_day_names_domain_and_fix_also_after_a_restart(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port)
        async with delivering(settings) as parts:
            watch = Misconfigured(parts.journal)
            await refused(parts, watch, 1e9)
            await refused(parts, watch, 1e9 + 10)
            await refused(parts, watch, 1e9 + 10, mail_from="joe@other.example")
            again = Misconfigured(parts.journal)
            assert again.load(watch.dirty()) == 0
            await refused(parts, again, 1e9 + 20)
            await refused(parts, again, 1e9 + DAY_SECONDS)

            told = parts.reports[0][0].decode()
    found = alarms(settings.journal_dir)
    assert [alarm.evidence["domain"] for alarm in found] == ["example.org", "other.example", "example.org"]
    assert {alarm.condition for alarm in found} == {"customer_configuration"}
    assert "Publish the DKIM key of the sender's domain in DNS" in found[0].text
    assert found[0].evidence["rule"] == "dkim-code"
    assert "Publish the DKIM key of the sender's domain in DNS" in told


@story
async def test_an_unknown_recipient_raises_no_alarm(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port)
        async with delivering(settings) as parts:
            watch = Misconfigured(parts.journal)
            await parts.send("reject-550-5.1.1@d.example", "a@d.example")
            await parts.until(2)
            for recipient, record in parts.outcomes:
                watch.note(recipient, record, 1e9)

    assert alarms(settings.journal_dir) == []
