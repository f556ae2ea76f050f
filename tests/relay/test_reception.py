"""The way of one message with everything real behind it: who is held with whom, and what a domain's owner refuses."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.clock import SystemClock
from relay.control.views import ReleaseOrder
from relay.events import Rejection
from relay.policy.limits.claims import Ask
from relay.reply import Reply
from relay.running.node import _prepare, _relay
from relay.running.parts import Parts
from relay.settings import Content, Control, Delivery, Settings, Smtp, Web
from relay.settings import Lockdown as LockdownSettings
from tests.builders import ADMIN, journaled
from tests.delivering import eventually, story
from tests.relay.test_identity import SERVER
from tests.relay.test_lockdown import name_server, zone  # noqa: F401 - fixtures
from tests.sink import Sink

HOST = Account("hosting", shared_host=True)
GROUP = "hosting|newcomers|"
HEAD = (
    "X-AuthUser: {who}\r\nFrom: {author}\r\nTo: x@elsewhere.example\r\n"
    "Date: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{who}@site.example>\r\n"
)
SPAM = (
    "Subject: CHEAP VIAGRA CIALIS!!! 80% OFF\r\n\r\nBuy viagra cialis online now, no prescription! Cheap pills, "
    "click here http://192.0.2.77/pills casino bonus $$$ winner\r\n"
)
GOOD = "Subject: Your order\r\n\r\nThank you for your order 4711. It was shipped today and will arrive on Friday.\r\n"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@asynccontextmanager
async def started(tmp_path: Path, sink: Sink, model: str = "shipped", **more: Any) -> AsyncIterator[Parts]:
    delivery = {"mode": "sink", "smarthost": f"127.0.0.1:{sink.port}"} | more.pop("delivery", {})
    settings = Settings(
        dir=tmp_path,
        smtp=Smtp(listen=[], submission=[], tls_listen=[], inbox_listen=[], stop_seconds=2),
        control=Control(listen="127.0.0.1:0"),
        web=Web(listen=""),
        content=Content(model=model, workers=1, timeout_seconds=20),
        delivery=Delivery(**delivery),
        **more,
    )
    _prepare(settings)
    async with _relay(settings, SystemClock(), lambda error: None) as parts:
        await parts.core.state.add_account(HOST, ADMIN)
        yield parts


async def send(parts: Parts, who: str, body: str, mail_from: str = "", author: str = "") -> Reply:
    content = (HEAD.format(who=who, author=author or f"{who}@site.example") + body).encode()
    submission = replace(
        SERVER,
        account=HOST,
        mail_from=mail_from or f"{who}@site.example",
        content=content,
        received_at=parts.core.clock.now(),
    )
    return await parts.receiver.receive(submission)


def known_for_long(parts: Parts, who: str) -> None:
    signals, clock = parts.core.signals, parts.core.clock
    signals.observe(f"hosting|x-authuser|{who}", 0.01, clock.unix() - 200_000, parts.core.settings.policy)


@story
async def test_names_invented_for_one_message_each_hold_new_senders_and_nobody_else(sink: Sink, tmp_path: Path) -> None:
    async with started(tmp_path, sink) as parts:
        known_for_long(parts, "old")
        replies = [str(await send(parts, f"name{number}", SPAM)) for number in range(8)]
        innocent, old = await send(parts, "innocent", GOOD), await send(parts, "old", GOOD)

        assert [reply.endswith("(held)") for reply in replies] == sorted(reply.endswith("(held)") for reply in replies)
        assert sum(reply.startswith("550") for reply in replies) < 7
        assert str(innocent).endswith("(held)")
        assert not str(old).endswith("(held)")
        [decision] = parts.core.state.decisions()
        assert (decision.proposal.sender, decision.proposal.rule) == (GROUP, "newcomer_spam_rate")
        await eventually(lambda: len(sink.messages) == 1)

        held = parts.core.spool.held(GROUP)
        assert "hosting|x-authuser|innocent" in {message.sender for message in held}
        freed = await parts.commands.release_sender(ADMIN, GROUP, ReleaseOrder(verdict="not_spam"))
        await eventually(lambda: len(sink.messages) == 1 + freed.messages)
        assert freed.messages == len(held)


@story
async def test_one_hijacked_newcomer_is_held_alone(sink: Sink, tmp_path: Path) -> None:
    async with started(tmp_path, sink) as parts:
        for _ in range(9):
            await send(parts, "hijacked", SPAM)
        innocent = await send(parts, "innocent", GOOD)

        decision, warning = parts.core.state.decisions()
        assert (warning.proposal.rule, warning.proposal.effect) == ("spam_warning", "watch")
        assert (decision.proposal.sender, decision.proposal.rule) == ("hosting|x-authuser|hijacked", "spam_rate")
        assert not str(innocent).endswith("(held)")
        assert parts.core.signals.group(GROUP, parts.core.clock.unix(), parts.core.settings.policy).senders == ()


@pytest.mark.parametrize("model", ["none", "shipped"])
@story
async def test_a_locked_domain_is_used_by_whom_its_owner_names_only(
    sink: Sink,
    tmp_path: Path,
    zone: Any,  # noqa: F811
    model: str,
) -> None:
    delivery = {"nameservers": [f"127.0.0.1:{zone.port}"], "dns_timeout_seconds": 10}
    lockdown = LockdownSettings(mode="on")
    async with started(tmp_path, sink, model, delivery=delivery, lockdown=lockdown) as parts:
        envelope = await send(parts, "bob", GOOD, "bob@other.example")
        author = await send(parts, "bob", GOOD, author="The CEO <ceo@other.example>")
        broken = await send(parts, "bob", GOOD, "bob@servfail.example")
        usual = await send(parts, "bob", GOOD)

        assert str(envelope).startswith("550 5.7.1 [DL]")
        assert str(author).startswith("550 5.7.1 [DL]")
        assert str(broken).startswith("451 4.4.3 [DL]")
        assert usual.code == 250
        signals, policy = parts.core.signals, parts.core.settings.policy
        seen = signals.state("hosting|x-authuser|bob", parts.core.clock.unix(), policy)
        assert seen is not None
        assert seen.history == 1  # what the owner refuses makes no history


@story
async def test_mail_that_an_unknown_failure_turns_away_uses_no_limit(sink: Sink, tmp_path: Path) -> None:
    async with started(tmp_path, sink, "none") as parts:
        content = (HEAD.format(who="bob", author="bob@site.example") + GOOD).encode()
        unwritable = replace(SERVER, account=HOST, content=content, helo="\udcff", received_at=parts.core.clock.now())

        for _ in range(3):
            with pytest.raises(UnicodeEncodeError):
                await parts.receiver.receive(unwritable)
        await send(parts, "bob", GOOD)

        ledger = parts.receiver._gate.ledger
        claims = parts.receiver._gate.own(HOST, "hosting|x-authuser|bob")
        used = ledger.take(claims, Ask(1, [b"12345678"]), parts.core.clock.unix()).hour_used
        assert used == 2


@pytest.mark.parametrize("model", ["none", "shipped"])
@story
async def test_a_bound_login_names_no_author_of_a_foreign_domain(sink: Sink, tmp_path: Path, model: str) -> None:
    own, foreign = "Ann <ann@site.example>", "boss@bank.example"
    heads = {
        own: f"From: {own}\r\n",
        "two of its own": f"From: {own}, bob@site.example\r\n",
        "foreign": f"From: {foreign}\r\n",
        "second of two": f"From: {own}, {foreign}\r\n",
        "first of two": f"From: {foreign}, {own}\r\n",
        "in a group": f"From: all: {own}, {foreign};\r\n",
        "second field": f"From: {own}\r\nFrom: {foreign}\r\n",
        "second field, odd": f"From: {own}\r\nfrom : {foreign}\r\n",
        "name only": '"ann@site.example" <boss@bank.example>'.join(("From: ", "\r\n")),
        "no address": "From: nobody at all\r\n",
        "endless": f"From: {own}, {' ' * 20_000}{foreign}\r\n",
        "none": "",
    }
    async with started(tmp_path, sink, model) as parts:
        replies = {}
        for what, head in heads.items():
            submission = replace(
                SERVER,
                account=HOST,
                mail_from="ann@site.example",
                sender_domains=("site.example",),
                content=(head + "To: x@elsewhere.example\r\n" + GOOD).encode(),
                received_at=parts.core.clock.now(),
            )
            replies[what] = str(await parts.receiver.receive(submission))

    taken = {what for what, reply in replies.items() if reply.startswith("250")}
    assert taken == {own, "two of its own"}
    assert all("5.7.1 [FROM]" in reply for what, reply in replies.items() if what not in taken)
    assert [each.rule for each in journaled(tmp_path / "journal", Rejection)] == ["sender_domain"] * (len(heads) - 2)


REPORT = (
    "X-AuthUser: mailer-daemon\r\nFrom: Mail Delivery System <mailer-daemon@site.example>\r\nTo: bob@site.example\r\n"
    "Subject: Mail delivery failed\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n"
    "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; site.example\r\n\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: bob@site.example\r\nMIME-Version: 1.0\r\n{spam}\r\n--b--\r\n"
)


@story
async def test_the_bounces_of_a_hijackers_spam_are_not_held_against_the_server_that_writes_them(
    sink: Sink, tmp_path: Path
) -> None:
    async with started(tmp_path, sink) as parts:
        daemon = "hosting|x-authuser|mailer-daemon"
        for number in range(12):
            content = REPORT.format(spam=SPAM.replace("4711", str(number))).encode()
            submission = replace(SERVER, account=HOST, mail_from="", content=content, recipients=("x@d.example",))
            await parts.receiver.receive(submission)
        assert parts.core.state.state_of(daemon).decision is None

        for number in range(12):
            await send(parts, "bob", SPAM.replace("80%", f"{number}%"))
        assert parts.core.state.state_of("hosting|x-authuser|bob").decision is not None
