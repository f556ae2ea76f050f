"""When notices go out, and what a link may release: on a clock that is set by hand, with a real spool and state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.account import Account
from relay.clock import SteppedClock
from relay.control.state.memory import State
from relay.control.views import Freed, ReleaseOrder
from relay.notices.items import Items
from relay.notices.release_links import ReleaseLinks, read_token
from relay.notices.self_release import SelfRelease
from relay.notices.sending import Expiring, Notices
from relay.notices.texts import redacted
from relay.policy.decisions.decision import Decision, Effect, Proposal
from relay.policy.decisions.self_release import Hindrance, hindrance, relapses
from relay.settings import Node, Settings, Web
from relay.settings import Notices as NoticeSettings
from relay.spool.store import Spool
from relay.tree import Principal, newcomers_of
from tests.blank import opened_state
from tests.builders import ADMIN
from tests.delivering import Delivering, delivering, story

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
JOE = "acme|x-authuser|joe"


def proposal(sender: str = JOE, effect: Effect = Effect.HOLD, now: datetime = NOON, **more: object) -> Proposal:
    given: dict[str, object] = {
        "author": "relay",
        "account": sender.split("|")[0],
        "sender": sender,
        "effect": effect,
        "rule": "spam_rate",
        "reason": "7 of 7 messages were spam",
        "starts_at": now,
        "ends_at": now + 24 * HOUR,
    }
    return Proposal(**{**given, **more})  # type: ignore[arg-type]


@dataclass
class Office:
    """Notices over a real state and spool, and what they sent."""

    state: State
    parts: Delivering
    clock: SteppedClock
    settings: Settings
    sent: list[tuple[str, str]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    is_full: bool = False
    malware: str = "none"

    @property
    def spool(self) -> Spool:
        return self.parts.spool

    def __post_init__(self) -> None:
        self.releases = SelfRelease(
            state=self.state,
            spool=self.spool,
            clock=self.clock,
            links=ReleaseLinks(b"k" * 32),
            settings=lambda: self.settings,
            release=self._release,
            is_malware=lambda rule: rule == self.malware,
        )
        items = Items(self.state, self.spool, self.releases, self.settings)
        self.notices = Notices(
            state=self.state,
            spool=self.spool,
            settings=self.settings,
            clock=self.clock,
            items=items,
            submit=self._submit,
        )

    async def decide(self, wanted: Proposal) -> Decision:
        decision = await self.state.decide(wanted)
        self.notices.heard(decision)
        return decision

    async def after(self, seconds: float) -> list[tuple[str, str]]:
        """Let time pass and send what is due; return what went out meanwhile: address and text."""
        before = len(self.sent)
        await self.notices.send_due()
        self.clock.advance(seconds)
        await self.notices.send_due()
        return self.sent[before:]

    async def _submit(self, mail: bytes, to: str, account: str, reseller: str) -> None:
        if self.is_full:
            raise OSError("the disk is full")
        self.sent.append((to, mail.decode()))

    async def _release(self, principal: Principal, sender: str, order: ReleaseOrder) -> Freed:
        self.released.append(f"{principal.id} {sender}")
        rows = [row for row in self.state.standings.of(sender) if self.state.standings.in_force(row, self.clock.now())]
        answers = [
            proposal(sender, Effect.RELEASE, self.clock.now(), author=principal.id, supersedes=row.id, ends_at=None)
            for row in rows
        ]
        await self.state.decide_all(answers, principal)
        return Freed(sender=sender, decisions=[row.id for row in rows], messages=0, recipients=0, verdict="release")


@asynccontextmanager
async def office(tmp_path: Path, *, desk: str = "", demo: bool = False) -> AsyncIterator[Office]:
    settings = Settings(
        dir=tmp_path,
        demo=demo,
        node=Node(abuse_contact=desk),
        web=Web(public_url="https://mail.example"),
        notices=NoticeSettings(bundle_minutes=5, interval_minutes=60),
    )
    clock = SteppedClock(NOON)
    async with delivering(settings) as parts:
        state = await opened_state(tmp_path, clock)
        try:
            if "acme" not in state.accounts:
                await state.add_account(Account("acme", contact="owner@acme.example"), ADMIN)
                await state.add_account(Account("mute"), ADMIN)
            found = Office(state, parts, clock, settings)
            found.notices._heard = await found.notices._untold()
            yield found
        finally:
            await state.close()


@story
async def test_senders_stopped_at_once_are_told_in_one_mail(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        for number in range(30):
            await room.decide(proposal(f"acme|x-authuser|u{number}"))

        early, due = await room.after(1), await room.after(5)

        assert early == []
        [(to, text)] = due
        assert to == "owner@acme.example"
        assert "Subject: 30 notices about senders of account acme" in text
        assert "20. A sender's mail is held" in text
        assert "And 10 more" in text
        assert await room.after(7_200) == []


@story
async def test_the_same_condition_and_sender_is_told_once_an_interval_and_others_at_once(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        await room.decide(proposal())
        assert len(await room.after(6)) == 1
        await room.decide(proposal(now=room.clock.now()))
        quiet = await room.after(1_800)
        await room.decide(proposal(rule="hard_bounce_rate", effect=Effect.BLOCK, now=room.clock.now()))
        other = await room.after(6)
        late = await room.after(1_900)

        assert quiet == []
        assert ["A sender is blocked" in text for _, text in other] == [True]
        assert ["A sender's mail is held" in text for _, text in late] == [True]


@story
async def test_a_repeat_that_is_over_when_its_turn_comes_is_not_told(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        await room.decide(proposal())
        await room.after(6)
        await room.decide(proposal(now=room.clock.now(), ends_at=room.clock.now() + HOUR / 2))

        assert await room.after(4_000) == []
        assert room.spool.notices.groups(room.clock.unix()) == []


@story
async def test_a_notice_that_cannot_be_stored_is_sent_later_and_a_restart_keeps_it(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        room.is_full = True
        await room.decide(proposal())
        assert await room.after(6) == []
    async with office(tmp_path) as room:
        assert [to for to, _ in await room.after(6)] == ["owner@acme.example"]


@story
async def test_what_was_decided_and_not_noted_is_found_at_start_and_old_news_are_not(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        await room.state.decide(proposal())  # a crash before anybody heard
    async with office(tmp_path) as room:
        [(_, text)] = await room.after(6)
        assert "decision mw1-d1" in " ".join(text.split())
    async with office(tmp_path) as room:
        assert await room.after(600) == []


@story
async def test_an_installation_from_before_notices_is_not_told_its_past(tmp_path: Path) -> None:
    state = await State.open(f"sqlite:///{tmp_path}/state.sqlite", "mw1", SteppedClock(NOON))
    await state.decide(proposal())
    await state.close()

    async with office(tmp_path) as room:
        assert await room.after(600) == []


@story
async def test_the_demo_tells_nobody_and_praise_or_a_limit_is_no_news(tmp_path: Path) -> None:
    async with office(tmp_path / "demo", demo=True, desk="abuse@relay.example") as room:
        await room.decide(proposal())
        assert await room.after(6) == []
    async with office(tmp_path / "real", desk="abuse@relay.example") as room:
        await room.decide(proposal(effect=Effect.MULTIPLY, value=0.5))
        await room.decide(proposal(effect=Effect.WATCH))
        assert await room.after(6) == []


@story
async def test_the_desk_hears_of_all_accounts_in_one_mail_and_not_of_its_own_deeds(tmp_path: Path) -> None:
    async with office(tmp_path, desk="abuse@relay.example") as room:
        await room.decide(proposal())
        await room.decide(proposal("mute|x-authuser|ann"))
        await room.decide(proposal("mute|x-authuser|tom", author="admin", rule="by-hand"))

        mails = dict(await room.after(6))

        assert set(mails) == {"owner@acme.example", "abuse@relay.example"}
        desk = mails["abuse@relay.example"]
        assert JOE in desk
        assert "mute|x-authuser|ann" in desk
        assert "mute|x-authuser|tom" not in desk


@story
async def test_mail_about_to_expire_is_told(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        await room.notices.tell(Expiring("acme", "", JOE, ("mw1.7", "mw1.8"), NOON + 24 * HOUR))

        [(to, text)] = await room.after(6)

        assert to == "owner@acme.example"
        assert "is deleted on 2026-11-25 12:00 UTC" in " ".join(text.split())
        assert "mw1.8" in text


@story
async def test_a_link_works_once_for_its_contact_and_a_week(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        decision = await room.decide(proposal(ends_at=None))
        token = room.releases.url(decision).rpartition("/")[2]
        fresh = room.releases.offer(token)
        room.clock.advance(8 * 86_400)
        old = room.releases.offer(token)
        token = room.releases.url(decision).rpartition("/")[2]
        _, freed = await room.releases.release(token, "192.0.2.1")
        _, again = await room.releases.release(token, "192.0.2.1")

        assert fresh is not None
        assert fresh.hindrance is None
        assert old is None
        assert freed is not None
        assert again is None
        assert room.released == [f"link:owner@acme.example {JOE}"]
        assert room.releases.url(decision) == ""


@story
async def test_no_link_releases_what_may_be_malware(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        decision = await room.decide(proposal())
        [held] = await room.parts.store("r@d.example", sender=JOE, is_held=True)
        token = room.releases.url(decision).rpartition("/")[2]
        room.malware = held.message.rule
        offer, freed = await room.releases.release(token, "192.0.2.1")

        assert freed is None
        assert offer is not None
        assert offer.hindrance is Hindrance.MALWARE
        assert room.releases.url(decision) == ""


@story
async def test_a_link_dies_with_a_new_contact_or_key(tmp_path: Path) -> None:
    async with office(tmp_path) as room:
        decision = await room.decide(proposal())
        token = room.releases.url(decision).rpartition("/")[2]
        ticket = read_token(token)

        assert ticket is not None
        assert room.releases._links.is_genuine(ticket, "owner@acme.example")
        assert not room.releases._links.is_genuine(ticket, "next@acme.example")
        assert not ReleaseLinks(b"x" * 32).is_genuine(ticket, "owner@acme.example")


def numbered(*wanted: Proposal) -> list[Decision]:
    return [Decision("mw1", number, one) for number, one in enumerate(wanted, 1)]


def link_release(hours: float) -> Proposal:
    return proposal(effect=Effect.RELEASE, now=NOON + hours * HOUR, author="link:owner@acme.example", rule="by-hand")


def stop(hours: float, **more: object) -> Proposal:
    return proposal(now=NOON + hours * HOUR, **more)  # type: ignore[arg-type]


def test_relapses_within_a_day_of_a_release_by_link_are_counted_until_a_person_releases() -> None:
    three = [stop(0), link_release(1), stop(2), link_release(3), stop(4), link_release(5), stop(6)]
    by_person = proposal(effect=Effect.RELEASE, now=NOON + 7 * HOUR, author="admin", rule="by-hand")

    assert relapses(numbered(*three)) == 3
    assert relapses(numbered(*three, by_person)) == 0
    assert relapses(numbered(stop(0), link_release(1), stop(26))) == 0
    assert relapses(numbered(stop(0), link_release(1), link_release(1), stop(2), stop(3))) == 1


@pytest.mark.parametrize(
    ("rows", "is_confirmed", "expected"),
    [
        ([stop(0)], False, None),
        ([stop(0, effect=Effect.BLOCK)], False, None),
        ([stop(0, author="admin", rule="by-hand")], False, Hindrance.BY_HAND),
        ([stop(0), stop(1, author="admin", rule="by-hand")], False, Hindrance.BY_HAND),
        ([stop(0)], True, Hindrance.BY_HAND),
        ([stop(0), stop(1, effect=Effect.SUSPEND)], False, Hindrance.SUSPENDED),
        ([stop(0, sender=newcomers_of("acme"))], False, Hindrance.GROUP),
    ],
)
def test_a_link_ends_only_what_the_relay_decided_about_one_sender(
    rows: list[Proposal], is_confirmed: bool, expected: Hindrance | None
) -> None:
    decided = numbered(*rows)

    assert hindrance(decided[0], decided, decided, is_confirmed=is_confirmed) is expected


def test_a_link_is_over_with_its_decision() -> None:
    decided = numbered(stop(0))

    assert hindrance(decided[0], [], decided, is_confirmed=False) is Hindrance.OVER


@pytest.mark.parametrize("text", ["", "A", "_" * 40, "ä" * 40, "A" * 10_000, "AWsRmw95xuXbGl_Iifigckb2w1UabXcxLWQx="])
def test_no_other_text_is_a_token(text: str) -> None:
    assert read_token(text) is None


def test_a_subject_is_shown_without_links_addresses_and_codes() -> None:
    shown = redacted("Reset 99887 at HTTPS://bad.example/a?b for joe@shop.example\x1b[31m " + "x" * 100)

    assert shown.startswith("Reset ### at [link] for j…@shop.example?[31m")
    assert len(shown) == 60
