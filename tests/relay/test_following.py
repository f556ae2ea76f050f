"""What is parked follows what is decided: ended stops give clean mail back, suspended accounts park theirs."""

from datetime import timedelta
from pathlib import Path

from relay.control.accounts.views import Order
from relay.control.views import HoldOrder, NewDecision
from relay.events import Released
from relay.holds.following import Following
from relay.policy.decisions.decision import Effect
from relay.settings import Policy
from tests.relay.test_control_api import SENDER, Room, with_room
from tests.relay.test_holds_api import departures, listed


def following(room: Room) -> Following:
    made = Following(
        spool=room.spool,
        state=room.state,
        courier=room.courier,
        journal=room.journal,
        releases=room.commands.holds.releases,
        clock=room.clock,
        policy=Policy,
    )
    room.commands.desk.accounts.on_suspension = made.wake
    return made


def test_a_stop_that_ends_by_itself_frees_what_looks_clean_and_keeps_the_rest(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        follow = following(room)
        clean, suspect = [await room.put(score=0.1) for _ in range(9)], await room.put(score=0.6)
        own = await room.put(is_held=True, score=0.95, rule="content")
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(minutes=60)))

        assert await follow.free_ended() == 0
        assert await listed(room) == {*clean, suspect, own}
        room.clock.advance(3601)
        assert await follow.free_ended() == 9
        assert await listed(room) == {suspect, own}
        assert await follow.free_ended() == 0

        records = [record for record in room.journaled() if isinstance(record, Released)]
        assert [record.message_id for record in records] == clean
        assert {(record.author, record.verdict) for record in records} == {("relay", "release")}

    with_room(tmp_path, work)


def test_what_an_ended_stop_gives_back_leaves_at_the_senders_reduced_pace(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        follow = following(room)
        for _ in range(30):
            await room.put(score=0.1)
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(minutes=60)))
        room.clock.advance(3601)

        assert await follow.free_ended() == 30
        assert departures(room)[-1] > 60

    with_room(tmp_path, work, hourly=60)


def test_where_much_of_it_looks_suspect_all_of_it_stays_for_a_person(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        follow = following(room)
        parked = {await room.put(score=0.1) for _ in range(3)} | {await room.put(score=0.6)}
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(minutes=60)))
        room.clock.advance(3601)

        assert await follow.free_ended() == 0
        assert await listed(room) == parked

    with_room(tmp_path, work)


def test_a_stop_that_goes_on_keeps_everything(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        follow = following(room)
        message = await room.put(score=0.1)
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(minutes=60)))
        suspend = NewDecision(
            account=SENDER.split("|")[0], sender=SENDER, effect=Effect.SUSPEND, rule="by-hand", reason="a thief"
        )
        await room.ask(lambda relay: relay.propose(suspend))
        room.clock.advance(timedelta(days=3).total_seconds())

        assert await follow.free_ended() == 0
        assert await listed(room) == {message}

    with_room(tmp_path, work)


def test_a_suspended_account_parks_what_waits_and_gets_it_back_when_it_is_resumed(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        follow, account = following(room), SENDER.split("|")[0]
        mine = await room.put(score=0.1)
        await room.put(f"{account}2|mailfrom|eve@b.example", score=0.1)

        await room.ask(lambda relay: relay.suspend_account(account, Order()))
        assert await follow.park_suspended() == 1
        assert await listed(room) == {mine}
        assert await follow.free_ended() == 0
        assert await follow.park_suspended() == 0

        await room.ask(lambda relay: relay.resume_account(account, Order()))
        assert await follow.park_suspended() == 0
        assert await follow.free_ended() == 1
        assert await listed(room) == set()
        records = [type(record).__name__ for record in room.journaled()]
        assert records[-2:] == ["Held", "Released"]

    with_room(tmp_path, work)


def test_a_sender_held_for_itself_stays_so_when_its_account_is_resumed(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        follow, account = following(room), SENDER.split("|")[0]
        message = await room.put(score=0.1)
        await room.ask(lambda relay: relay.suspend_account(account, Order()))
        await follow.park_suspended()
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder()))
        await room.ask(lambda relay: relay.resume_account(account, Order()))
        await follow.park_suspended()

        assert await follow.free_ended() == 0
        assert await listed(room) == {message}

    with_room(tmp_path, work)
