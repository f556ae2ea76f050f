"""Destinations through the control API: what is in force and why, commands by hand, roles, dry runs, undo."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from relay.control.client import ControlClient
from relay.control.shaping.views import OverrideOrder, ResumeOrder, SuspendOrder
from relay.delivery.replies import parse_reply
from tests.relay.test_control_api import START, Room, with_room

Question = Callable[[ControlClient], object]

TSS04 = parse_reply(b"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints")
LOOKS: dict[str, Question] = {
    "ls": lambda relay: relay.destinations(),
    "show": lambda relay: relay.destination("google"),
    "rules": lambda relay: relay.shaping_rules(),
}
CHANGES: dict[str, Question] = {
    "suspend": lambda relay: relay.suspend_destination("google", SuspendOrder(reason="test")),
    "resume": lambda relay: relay.resume_destination("google"),
    "override": lambda relay: relay.override_destination("google", OverrideOrder(connections=1, reason="test")),
}


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("viewer-token", {*LOOKS}),
        ("abuse-token", {*LOOKS}),
        ("operator-token", {*LOOKS, *CHANGES}),
        ("admin-token", {*LOOKS, *CHANGES}),
        ("reseller-token", set[str]()),
    ],
)
def test_each_role_may_do_what_is_its_own_and_a_part_of_the_tree_nothing(
    tmp_path: Path, token: str, allowed: set[str]
) -> None:
    async def work(room: Room) -> None:
        for name, question in (LOOKS | CHANGES).items():
            if name in allowed:
                await room.ask(question, token)
            else:
                assert (await room.refusal(question, token)).status == 403, name

    with_room(tmp_path, work)


def test_an_effect_is_shown_with_rule_reply_and_end(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        now = room.clock.unix()
        room.shaper.heard("yahoo", "mta1", TSS04, now)

        view = await room.ask(lambda relay: relay.destination("yahoo"))
        rules = await room.ask(lambda relay: relay.shaping_rules())

        (effect,) = view.effects
        assert (effect.kind, effect.rule, effect.source, effect.author) == ("suspend", "yahoo/ts04", "mta1", "")
        assert "[TSS04] Messages from 192.0.2.1" in effect.reply
        assert (effect.since_at, effect.until_at) == (START, START + timedelta(hours=2))
        assert (view.provider, view.messages_per_connection) == ("yahoo", 20)
        assert [one.destination for one in await room.ask(lambda relay: relay.destinations())] == ["yahoo"]
        matched = {rule.id: rule.matched_at for rule in rules.rules if rule.matched_at}
        assert (matched, rules.since_at) == ({"yahoo/ts04": START}, START)

    with_room(tmp_path, work)


def test_a_suspension_by_hand_is_in_force_audited_and_ends(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        order = SuspendOrder(reason="they called", minutes=30, source="mta1")
        changed = await room.ask(lambda relay: relay.suspend_destination("Yahoo", order))

        now = room.clock.unix()
        assert (changed.destination, changed.is_known) == ("yahoo", True)
        assert changed.undo == "mailweir dest resume yahoo --source mta1 --by-hand"
        assert [effect.until_at for effect in changed.effects] == [START + timedelta(minutes=30)]
        assert room.shaper.message_wait("yahoo", "mta1", now + 1799) == 1
        assert room.shaper.message_wait("yahoo", "mta2", now) == 0
        entry = (await room.ask(lambda relay: relay.audit()))[0]
        assert (entry.principal, entry.command, entry.target) == ("admin", "destination.suspend", "yahoo")
        assert entry.detail == {"source": "mta1", "minutes": 30.0, "why": "they called"}

        ended = await room.ask(lambda relay: relay.resume_destination("yahoo"))
        assert [effect.author for effect in ended.effects] == ["admin"]
        assert ended.undo == "mailweir dest suspend yahoo --source mta1 --minutes 30.0 --reason 'they called'", (
            ended.undo
        )
        assert room.shaper.message_wait("yahoo", "mta1", now) == 0
        assert (await room.ask(lambda relay: relay.audit()))[0].command == "destination.resume"

    with_room(tmp_path, work)


def test_a_resume_by_hand_leaves_what_rules_set(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        now = room.clock.unix()
        room.shaper.heard("yahoo", "mta1", TSS04, now)
        await room.ask(lambda relay: relay.suspend_destination("yahoo", SuspendOrder(reason="test")))

        ended = await room.ask(lambda relay: relay.resume_destination("yahoo", ResumeOrder(by_hand=True)))
        assert [effect.rule for effect in ended.effects] == ["by-hand"]
        assert [effect.rule for effect in room.shaper.effects(now)] == ["yahoo/ts04"]

        await room.ask(lambda relay: relay.resume_destination("yahoo"))
        assert room.shaper.effects(now) == []

    with_room(tmp_path, work)


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    questions: list[Question] = [
        lambda relay: relay.suspend_destination("google", SuspendOrder(reason="test", dry_run=True)),
        lambda relay: relay.resume_destination("yahoo", ResumeOrder(dry_run=True)),
        lambda relay: relay.override_destination("google", OverrideOrder(connections=1, reason="x", dry_run=True)),
    ]

    async def work(room: Room) -> None:
        now = room.clock.unix()
        room.shaper.heard("yahoo", "mta1", TSS04, now)
        before, log = room.shaper.effects(now), await room.ask(lambda relay: relay.audit())
        for question in questions:
            told = await room.ask(question)
            assert getattr(told, "dry_run", False)
            assert getattr(told, "effects", [])
        assert room.shaper.effects(now) == before
        assert await room.ask(lambda relay: relay.audit()) == log

    with_room(tmp_path, work)


@pytest.mark.parametrize(
    ("question", "status", "text"),
    [
        (lambda relay: relay.suspend_destination("google", SuspendOrder(reason="")), 422, "say why"),
        (lambda relay: relay.suspend_destination("google", SuspendOrder(reason="x", minutes=0)), 422, "minutes = 0"),
        (lambda relay: relay.suspend_destination("a b", SuspendOrder(reason="x")), 422, "'a b'"),
        (lambda relay: relay.suspend_destination("google", SuspendOrder(reason="x", source="a b")), 422, "'a b'"),
        (lambda relay: relay.override_destination("google", OverrideOrder(reason="x")), 422, "connections"),
        (lambda relay: relay.override_destination("google", OverrideOrder(connections=0)), 422, "connections = 0"),
        (lambda relay: relay.override_destination("google", OverrideOrder(messages_per_minute=-1)), 422, "suspend"),
        (lambda relay: relay.destination("never.example"), 404, "dest ls"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, question: Question, status: int, text: str) -> None:
    async def work(room: Room) -> None:
        refusal = await room.refusal(question)
        assert (refusal.status, text in refusal.detail) == (status, True), refusal.detail
        assert room.shaper.effects(room.clock.unix()) == []

    with_room(tmp_path, work)


def test_an_override_is_taken_back_by_its_undo_line(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        def put(order: OverrideOrder) -> Question:
            return lambda relay: relay.override_destination("acme.example", order)

        def numbers() -> dict[str, float]:
            return {effect.kind.value: effect.value for effect in room.shaper.effects(room.clock.unix())}

        first = await room.ask(put(OverrideOrder(connections=2, messages_per_minute=30, reason="slowly")))
        assert numbers() == {"connections": 2, "rate": 30}
        assert getattr(first, "is_known", True) is False
        second = await room.ask(put(OverrideOrder(connections=4, minutes=60, reason="faster")))
        assert numbers() == {"connections": 4, "rate": 30}
        assert getattr(first, "undo", "").endswith("--connections default --per-minute default --reason undo")
        assert getattr(second, "undo", "").endswith("--connections 2 --reason slowly")
        await room.ask(put(OverrideOrder(connections=None, messages_per_minute=None)))
        assert numbers() == {}

    with_room(tmp_path, work)
