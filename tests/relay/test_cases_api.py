"""Marks of alarms, notes and live signals through the control API, with a real state and real counts behind it."""

from datetime import timedelta
from pathlib import Path

import pytest

from relay.cases.alarms import mark_of
from relay.cases.views import AlarmMark, AlarmOrder, NewNote, NoteRemoval
from relay.control.accounts.views import NewAccount
from relay.settings import Policy
from tests.relay.test_control_api import OTHER, SENDER, START, Room, with_room

JOB = ("job_failed", "", "listings")


def mark(kind: str, subject: str = "listings") -> AlarmMark:
    return AlarmMark(condition="job_failed", account="", subject=subject, kind=kind, author="a", why="", since=START)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "minutes", "answered"),
    [("acknowledged", -1, True), ("acknowledged", 1, False), ("silenced", 1, True), ("silenced", -1, True)],
)
def test_an_acknowledged_alarm_counts_again_when_it_is_raised_again_and_a_silenced_one_does_not(
    kind: str, minutes: int, answered: bool
) -> None:
    found = mark_of([mark(kind)], JOB, START + timedelta(minutes=minutes))

    assert (found is not None) == answered


def test_a_mark_speaks_for_its_subject_or_for_the_whole_condition_of_its_account_only() -> None:
    assert mark_of([mark("silenced", "")], JOB, START) is not None
    assert mark_of([mark("silenced", "rollups")], JOB, START) is None
    assert mark_of([mark("silenced", "")], ("job_failed", "acme", ""), START) is None


def test_a_silence_is_kept_with_who_and_until_and_is_over_by_itself(tmp_path: Path) -> None:
    order = AlarmOrder(condition="job_failed", subject="listings", why="disk is ordered", minutes=60)

    async def work(room: Room) -> None:
        done = await room.ask(lambda relay: relay.silence_alarm(order), "abuse-token")
        (found,) = await room.ask(lambda relay: relay.alarm_marks(), "viewer-token")

        assert (found.author, found.why, found.until) == (
            "dashboard",
            "disk is ordered",
            START + timedelta(hours=1),
        )
        assert done.undo == "mailweir alarm clear job_failed --subject listings"
        assert (await room.ask(lambda relay: relay.audit()))[0].command == "alarm.silence"
        room.clock.advance(3_601)
        assert await room.ask(lambda relay: relay.alarm_marks()) == []

    with_room(tmp_path, work)


def test_the_last_word_about_an_alarm_counts_and_can_be_taken_back(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.silence_alarm(AlarmOrder(condition="disk", minutes=5)))
        await room.ask(lambda relay: relay.acknowledge_alarm(AlarmOrder(condition="disk")))
        assert [one.kind for one in await room.ask(lambda relay: relay.alarm_marks())] == ["acknowledged"]

        await room.ask(lambda relay: relay.clear_alarm(AlarmOrder(condition="disk", dry_run=True)))
        assert len(await room.ask(lambda relay: relay.alarm_marks())) == 1
        await room.ask(lambda relay: relay.clear_alarm(AlarmOrder(condition="disk")))
        assert await room.ask(lambda relay: relay.alarm_marks()) == []
        assert (await room.refusal(lambda relay: relay.clear_alarm(AlarmOrder(condition="disk")))).status == 404

    with_room(tmp_path, work)


@pytest.mark.parametrize(
    ("order", "token", "status"),
    [
        (AlarmOrder(condition="disk"), "viewer-token", 403),
        (AlarmOrder(condition="disk"), "reseller-token", 403),
        (AlarmOrder(condition="Disk!"), "abuse-token", 422),
        (AlarmOrder(condition="disk", minutes=5), "abuse-token", 422),
        (AlarmOrder(condition="disk", account="nobody"), "abuse-token", 404),
    ],
)
def test_an_alarm_is_acknowledged_by_the_desk_of_its_part_of_the_tree_only(
    tmp_path: Path, order: AlarmOrder, token: str, status: int
) -> None:
    async def work(room: Room) -> None:
        assert (await room.refusal(lambda relay: relay.acknowledge_alarm(order), token)).status == status
        assert await room.ask(lambda relay: relay.alarm_marks()) == []

    with_room(tmp_path, work)


def test_notes_are_the_desks_and_are_kept_until_removed(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        done = await room.ask(lambda relay: relay.add_note(SENDER, NewNote(text=" called, patches it ")), "abuse-token")
        await room.ask(lambda relay: relay.add_note(SENDER, NewNote(text="dry", dry_run=True)))

        (note,) = await room.ask(lambda relay: relay.notes(SENDER), "abuse-token")
        assert (note.text, note.author, note.sender) == ("called, patches it", "dashboard", SENDER)
        assert await room.ask(lambda relay: relay.notes(OTHER)) == []
        assert (await room.refusal(lambda relay: relay.notes(SENDER), "viewer-token")).status == 403
        await room.ask(lambda relay: relay.add_account(NewAccount(name="isp1")))
        assert (await room.refusal(lambda relay: relay.remove_note(note.id), "reseller-token")).status == 404
        assert (await room.refusal(lambda relay: relay.add_note(SENDER, NewNote(text=" ")))).status == 422
        await room.ask(lambda relay: relay.remove_note(done.note.id, NoteRemoval()))
        assert await room.ask(lambda relay: relay.notes(SENDER)) == []

    with_room(tmp_path, work)


def test_live_signals_are_those_the_triggers_judge_by(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for number in range(9):
            score = 0.97 if number < 5 else 0.01
            room.signals.observe(SENDER, score, room.clock.unix(), Policy(), f"m{number}", recipients=2)
        room.signals.outcome(SENDER, "hard_bounce", room.clock.unix())
        state = room.signals.state(SENDER, room.clock.unix(), Policy())
        assert state is not None

        seen = await room.ask(lambda relay: relay.signals(SENDER), "viewer-token")
        spam, bounced, complained = seen.rates
        assert (spam.bad, spam.seen, spam.certainty) == (state.spam_count, state.seen, state.certainty)
        assert (bounced.bad, bounced.seen, complained.bad) == (1, 18, 0)
        assert (seen.volume, seen.history, seen.limit) == (18, 9, 0)
        assert seen.burst == pytest.approx(state.burst)
        assert (await room.refusal(lambda relay: relay.signals(OTHER))).status == 404
        assert (await room.refusal(lambda relay: relay.signals(SENDER), "reseller-token")).status == 404

    with_room(tmp_path, work)
