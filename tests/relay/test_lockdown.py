"""Domain lockdown: a real name server on loopback, asked over UDP; its records, and what they mean for the mail."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, TXT, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from relay.cli import run
from relay.clock import SteppedClock
from relay.front.lockdown import Lockdown
from relay.policy.verdict.judge import judge
from relay.policy.verdict.lockdown import NOT_ASKED, Lock, LockdownResult, read_record, record_for
from relay.settings import Delivery, Settings
from relay.settings import Lockdown as LockdownSettings
from tests.delivering import story
from tests.nameserver import answering
from tests.relay.test_policy_verdict import NOW, POLICY, USUAL

BOB = "web1|x-authuser|bob@site.example"
RECORDS = {
    "_mailweir.account.example": [["v=mw1 auth=WEB1"]],
    "_mailweir.sender.example": [["v=mw1 senderid=web1|x-authuser|Bob@site.example"]],
    "_mailweir.wild.example": [["v=mw1 auth=other sidw=web1|*|*@site.example future=1"]],
    "_mailweir.other.example": [["v=mw1 auth=web2 senderid=web1|x-authuser|eve@site.example"]],
    "_mailchannels.moved.example": [["v=mc1 auth=web1"]],
    "_mailweir.foreign.example": [["v=spf1 -all"], ["hello"], ["v=mw2 auth=nobody"]],
    "_mailweir.several.example": [["unrelated"], ["v=mw1 auth=web2"], ["v=mw1", " auth=we", "b1"]],
    "_mailweir.typo.example": [["v=mw1 atuh=web1"]],
    "_mailweir.bare.example": [["v=mw1"]],
    "_mailweir.oversize.example": [["v=mw1 auth=web1 x=", *["y" * 250] * 9]],
    "_mailweir.semicolons.example": [["V=MW1; auth=web1;"]],
    "_mailweir.org.example": [["v=mw1 auth=web2"]],
    "_mailweir.own.org.example": [["v=mw1 auth=web1"]],
    "_mailweir.half-servfail.example": [["v=mw1 auth=web1"]],
}


class _Zone:
    """Answers from RECORDS; names with `servfail` fail, `silent` ones get no answer, others do not exist."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken: set[str] = set()

    def resolve(self, request: DNSRecord, _handler: Any) -> DNSRecord:
        reply, name = request.reply(), str(request.q.qname).rstrip(".").lower()
        self.asked.append(name)
        if name in self.broken or name.startswith("_mailchannels.half-servfail") or ".servfail" in name:
            reply.header.rcode = RCODE.SERVFAIL
        elif name in RECORDS and QTYPE[request.q.qtype] == "TXT":
            for strings in RECORDS[name]:
                reply.add_answer(RR(name, QTYPE.TXT, ttl=60, rdata=TXT([text.encode() for text in strings])))
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


@pytest.fixture(scope="module")
def name_server() -> Iterator[_Zone]:
    zone = _Zone()
    with answering(zone) as zone.port:
        yield zone


@pytest.fixture
def zone(name_server: _Zone) -> _Zone:
    name_server.asked.clear()
    name_server.broken.clear()
    return name_server


def asker(zone: Any, clock: SteppedClock | None = None, **lockdown: Any) -> Lockdown:
    settings = Settings(
        delivery=Delivery(nameservers=[f"127.0.0.1:{zone.port}"], dns_timeout_seconds=10),
        lockdown=LockdownSettings(**lockdown),
    )
    return Lockdown(settings, clock or SteppedClock(datetime(2026, 11, 24, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("domain", "lock"),
    [
        ("account.example", Lock.ALLOWED),
        ("ACCOUNT.example.", Lock.ALLOWED),
        ("sender.example", Lock.ALLOWED),
        ("wild.example", Lock.ALLOWED),
        ("moved.example", Lock.ALLOWED),
        ("several.example", Lock.ALLOWED),
        ("semicolons.example", Lock.ALLOWED),
        ("half-servfail.example", Lock.ALLOWED),
        ("other.example", Lock.REFUSED),
        ("typo.example", Lock.REFUSED),
        ("bare.example", Lock.REFUSED),
        ("none.example", Lock.OPEN),
        ("foreign.example", Lock.OPEN),
        ("x" * 70 + ".example", Lock.OPEN),
        ("münchen.example", Lock.OPEN),
        ("a..example", Lock.OPEN),
        ("servfail.example", Lock.UNKNOWN),
        ("mail.servfail.example", Lock.UNKNOWN),
        ("org.example", Lock.REFUSED),
        ("sub.deep.org.example", Lock.REFUSED),
        ("own.org.example", Lock.ALLOWED),
        ("localhost", Lock.NOT_ASKED),
        ("[192.0.2.1]", Lock.NOT_ASKED),
        ("", Lock.NOT_ASKED),
    ],
)
def test_the_records_of_a_domain_decide(zone: _Zone, domain: str, lock: Lock) -> None:
    result = asyncio.run(asker(zone).check([domain], "web1", BOB))

    assert result.lock is lock


def test_a_record_of_more_than_can_be_meant_matches_nothing() -> None:
    # 2 kB of TXT do not fit the UDP answer of this name server, which speaks no TCP: read directly
    record = read_record("_mailweir.oversize.example", "".join(RECORDS["_mailweir.oversize.example"][0]))

    assert record is not None
    assert not record.allows("web1", BOB)


def test_an_answer_that_cannot_be_fetched_is_not_an_open_domain(zone: _Zone) -> None:
    found = asyncio.run(asker(zone).check(["oversize.example"], "web1", BOB))

    assert found.lock in (Lock.UNKNOWN, Lock.REFUSED)


@story
async def test_a_refusal_of_one_domain_counts_whatever_the_other_says(zone: _Zone) -> None:
    lockdown = asker(zone)
    for domains in (("account.example", "other.example"), ("other.example", "servfail.example")):
        assert (await lockdown.check(domains, "web1", BOB)).domain == "other.example"
    assert (await lockdown.check(("account.example", "servfail.example"), "web1", BOB)).lock is Lock.UNKNOWN
    assert (await lockdown.check(("account.example", "none.example"), "web1", BOB)).lock is Lock.ALLOWED


@story
async def test_all_who_wait_for_a_domain_ask_once_and_a_client_that_leaves_stops_nobody(zone: _Zone) -> None:
    lockdown = asker(zone)
    lockdown.prefetch("account.example")
    waiting = [asyncio.create_task(lockdown.check(["account.example"], "web1", BOB)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()

    results = await asyncio.gather(*waiting[1:])

    assert {result.lock for result in results} == {Lock.ALLOWED}
    assert sorted(zone.asked) == ["_mailchannels.account.example", "_mailweir.account.example"]


@story
async def test_answers_are_remembered_for_five_minutes_and_failures_for_half_a_minute(zone: _Zone) -> None:
    clock = SteppedClock(datetime(2026, 11, 24, tzinfo=UTC))
    lockdown = asker(zone, clock)
    zone.broken.add("_mailweir.account.example")

    async def ask(domain: str, after: float) -> tuple[Lock, bool]:
        clock.advance(after)
        zone.asked.clear()
        result = await lockdown.check([domain], "web1", BOB)
        return result.lock, bool(zone.asked)

    assert await ask("none.example", 0) == (Lock.OPEN, True)
    assert await ask("account.example", 0) == (Lock.UNKNOWN, True)
    zone.broken.clear()
    assert await ask("account.example", 29) == (Lock.UNKNOWN, False)
    assert await ask("account.example", 2) == (Lock.ALLOWED, True)
    assert await ask("none.example", 260) == (Lock.OPEN, False)
    assert await ask("none.example", 10) == (Lock.OPEN, True)
    assert await ask("account.example", 20) == (Lock.ALLOWED, False)


@story
async def test_a_name_server_that_does_not_answer_is_unknown(zone: _Zone) -> None:
    settings = Settings(delivery=Delivery(nameservers=["127.0.0.1:9"], dns_timeout_seconds=0.2))
    result = await Lockdown(settings, SteppedClock(NOW)).check(["account.example"], "web1", BOB)

    assert result.lock is Lock.UNKNOWN
    assert "TXT look-up of _mailweir.account.example failed" in result.error


@pytest.mark.parametrize(
    ("mode", "delivery", "is_on"),
    [("auto", "direct", True), ("auto", "sink", False), ("on", "sink", True), ("off", "direct", False)],
)
def test_lockdown_needs_dns_and_is_asked_where_mail_is_delivered_by_it(mode: Any, delivery: Any, is_on: bool) -> None:
    settings = Settings(delivery=Delivery(mode=delivery), lockdown=LockdownSettings(mode=mode))

    assert settings.is_lockdown_on is is_on


@story
async def test_where_it_is_off_nobody_is_asked(zone: _Zone) -> None:
    lockdown = asker(zone, mode="off")
    lockdown.prefetch("other.example")

    assert await lockdown.check(["other.example"], "web1", BOB) == NOT_ASKED
    assert zone.asked == []


# ---- the records ----


@given(st.text("ab|*;= ", max_size=12), st.text("ab|; ", min_size=1, max_size=12))
def test_the_record_written_for_a_sender_allows_it(account: str, value: str) -> None:
    sender = f"web1|x|{value}".lower()
    record = read_record("n", record_for("web1", sender))

    assert record is not None
    assert record.allows("elsewhere", sender)
    assert not record.allows("web1", "web1|y|other")
    assert read_record("n", account) is None or account.startswith("v=")


@given(st.text("ab*", max_size=10), st.text("ab", max_size=10))
def test_the_wild_card_matches_as_a_regular_expression_would(pattern: str, text: str) -> None:
    record = read_record("n", f"v=mw1 sidw={pattern}")

    expected = bool(pattern and text and re.fullmatch(pattern.replace("*", ".*"), text))
    assert record is not None
    assert record.allows("x", text) is expected


# ---- the verdict ----


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        (
            LockdownResult(Lock.REFUSED, "other.example", "_mailweir.other.example: v=mw1 auth=web2"),
            "550 5.7.1 [DL] sender shop|x-authuser|bob@site.example may not use the domain other.example: "
            "its owner's record names others",
        ),
        (
            LockdownResult(Lock.UNKNOWN, "other.example", error="TXT look-up failed"),
            "451 4.4.3 [DL] whether sender shop|x-authuser|bob@site.example may use the domain other.example "
            "cannot be told now; try again later",
        ),
    ],
)
def test_a_lockdown_is_answered_with_its_code(result: LockdownResult, reply: str) -> None:
    verdict = judge(replace(USUAL, lockdown=result), POLICY, NOW, "mw1.42")

    assert (verdict.rule, str(verdict.reply)) == ("lockdown", reply)
    assert verdict.trace[-1].rule == "lockdown"
    assert result.record in verdict.trace[-1].detail


def test_an_allowed_sender_is_judged_further_and_the_trace_names_the_record() -> None:
    allowed = LockdownResult(Lock.ALLOWED, "a.example", "_mailweir.a.example: v=mw1 auth=shop")
    verdict = judge(replace(USUAL, lockdown=allowed), POLICY, NOW, "mw1.42")

    details = {step.rule: step.detail for step in verdict.trace}
    assert (verdict.rule, details["lockdown"]) == ("accept", "allowed by _mailweir.a.example: v=mw1 auth=shop")


# ---- the command ----


@pytest.fixture
def say(zone: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    config = tmp_path / "mailweir.toml"
    config.write_text(f'[delivery]\nnameservers = ["127.0.0.1:{zone.port}"]\n')

    def run_one(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["--config", str(config), "lockdown", *arguments])
        return code, capsys.readouterr().out

    return run_one


def test_the_command_says_who_may_use_a_domain(say: Any) -> None:
    assert say("check", "none.example") == (0, "no record: anybody may use the domain\n")
    assert say("check", "account.example", "--account", "web1") == (
        0,
        "_mailweir.account.example: v=mw1 auth=WEB1\nweb1: allowed (_mailweir.account.example: v=mw1 auth=WEB1)\n",
    )
    assert say("check", "other.example", "--sender", BOB)[0] == 1
    assert say("check", "servfail.example", "--account", "web1")[0] == 1
    code, text = say("check", "other.example", "--account", "web2", "--json")
    assert (code, json.loads(text)["lock"]) == (0, "allowed")


def test_the_command_writes_the_record_to_publish(say: Any) -> None:
    assert say("record", "web1") == (0, '_mailweir.DOMAIN. 300 IN TXT "v=mw1 auth=web1"\n')
    assert say("record", "web1", "--sender", BOB)[1].endswith(f'"v=mw1 senderid={BOB}"\n')
    assert say("record", "web1", "--sender", "bob@x")[1].endswith('"v=mw1 sidw=web1|*|bob@x"\n')
    assert say("record", "web2", "--sender", BOB)[0] == 2
    assert json.loads(say("record", "web1", "--json")[1]) == {"label": "_mailweir", "text": "v=mw1 auth=web1"}
