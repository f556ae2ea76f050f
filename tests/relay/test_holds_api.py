"""Held mail over the control API: selected, counted, set free at a pace, dropped, expired; each cut to its scope."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from relay.control.client import ControlClient
from relay.control.views import HoldOrder, NewAccount
from relay.events import Dropped, Label, Released
from relay.holds.expiry import Expiry
from relay.holds.views import DropOrder, HeldQuery, HeldView, ReleaseOrder
from relay.notices.sending import Expiring
from relay.policy.decisions.decision import Standing
from relay.settings import Policy
from relay.spool.digests import Due
from tests.relay.test_control_api import OTHER, SENDER, START, Room, with_room

# the second is nearly the first (two bands of four are the same), the third shares a band with the second only
FIRST = "0000000000000001-00000001000000020000000300000004"
NEAR = "0000000000000002-00000001000000020000000500000006"
CHAINED = "0000000000000003-00000007000000080000000500000009"
FAR = "0000000000000004-0000000a0000000b0000000c0000000d"


async def listed(room: Room, **query: str | float) -> set[str]:
    views = await room.ask(lambda relay: relay.held(query=HeldQuery(**query)))  # type: ignore[arg-type]
    return {view.message_id for view in views}


async def view(room: Room, message_id: str) -> HeldView:
    return (await room.ask(lambda relay: relay.held_message(message_id))).message


def departures(room: Room, sender: str = SENDER) -> list[float]:
    """Seconds from now at which the queued recipients of a sender come due, in order; negative: at once."""
    (lane,) = [lane for lane in room.spool.waiting() if lane.sender == sender]
    return [(row.due_unix or 0.0) - room.clock.unix() for row in room.spool.page(lane.id, 1e12, 1000)]


def test_like_texts_are_one_cluster_and_a_chain_of_small_changes_is_not(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        texts = [FIRST, NEAR, CHAINED, FAR]
        first, near, chained, far = [await room.put(is_held=True, fingerprint=text) for text in texts]
        again = await room.put(OTHER, is_held=True, fingerprint=FIRST)

        names = {name: (await view(room, name)).cluster for name in (first, near, chained, far, again)}

        assert names[first] == names[near] == names[again]
        assert len({names[first], names[chained], names[far]}) == 3
        assert await listed(room, cluster=names[first]) == {first, near, again}
        groups = await room.ask(lambda relay: relay.held_groups("cluster"))
        assert next((group.key, group.messages, group.senders) for group in groups) == (names[first], 3, 2)

    with_room(tmp_path, work)


def test_short_texts_are_alike_by_sender_and_subject(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        one, two = await room.put(is_held=True, subject="Hi"), await room.put(is_held=True, subject="HI")
        others = await room.put(OTHER, is_held=True, subject="Hi")
        nothing = await room.put(is_held=True, subject="")

        assert (await view(room, one)).cluster == (await view(room, two)).cluster != ""
        assert (await view(room, others)).cluster != (await view(room, one)).cluster
        assert (await view(room, nothing)).cluster == ""

    with_room(tmp_path, work)


def test_held_mail_is_listed_by_what_is_given_together_and_in_pages(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        bad = await room.put(is_held=True, score=0.95, rule="content")
        room.clock.advance(3 * 86_400)
        middling = await room.put(is_held=True, score=0.7, rule="sender_held")
        unscored = await room.put(OTHER, is_held=True, rule="unscored")

        assert await listed(room, score_from=0.5, score_to=0.9) == {middling}
        assert await listed(room, score_from=0.9) == {bad}
        assert await listed(room, older_seconds=86_400) == {bad}
        assert await listed(room, sender=OTHER) == {unscored}
        assert await listed(room, sender=SENDER, rule="content", score_to=1.0) == {bad}
        assert await listed(room, sender=OTHER, rule="content") == set()
        first = await room.ask(lambda relay: relay.held(limit=2))
        assert [one.message_id for one in first] == [unscored, middling]
        rest = await room.ask(lambda relay: relay.held(limit=2, before=middling))
        assert [one.message_id for one in rest] == [bad]
        rules = await room.ask(lambda relay: relay.held_groups("rule", HeldQuery(sender=SENDER)))
        assert {(group.key, group.messages, group.recipients) for group in rules} == {
            ("content", 1, 2),
            ("sender_held", 1, 2),
        }

    with_room(tmp_path, work)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (HeldQuery(cluster="17"), "cluster = '17'"),
        (HeldQuery(score_from=1.5), "score_from = 1.5"),
        (HeldQuery(account="nobody"), "no account 'nobody'"),
        (HeldQuery(sender="nobody|x|y"), "no sender"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tmp_path: Path, query: HeldQuery, words: str) -> None:
    async def work(room: Room) -> None:
        await room.put(is_held=True)

        refusal = await room.refusal(lambda relay: relay.held(query=query))

        assert words in refusal.detail

    with_room(tmp_path, work)


def test_an_order_that_selects_nothing_or_twice_frees_and_drops_nothing(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        message = await room.put(is_held=True)

        both = ReleaseOrder(message_ids=[message], sender=SENDER)
        for order in (ReleaseOrder(), both, ReleaseOrder(account="")):
            assert (await room.refusal(partial(ControlClient.release_held, order=order))).status == 422
        assert (
            await room.refusal(lambda relay: relay.drop_held(DropOrder(message_ids=[message], rule="x")))
        ).status == 422
        assert (await room.ask(lambda relay: relay.drop_held(DropOrder()))).messages == 0
        assert await listed(room) == {message}

    with_room(tmp_path, work)


def test_a_cluster_is_released_as_not_spam_and_its_sender_stays_held(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        wanted = [await room.put(fingerprint=text) for text in (FIRST, NEAR)]
        other = await room.put(fingerprint=FAR)
        await room.ask(lambda relay: relay.hold_sender(SENDER))
        cluster = (await view(room, wanted[0])).cluster
        order = ReleaseOrder(verdict="not_spam", cluster=cluster, sender=SENDER, note="their newsletter")

        would = await room.ask(
            lambda relay: relay.release_held(ReleaseOrder(verdict="not_spam", cluster=cluster, dry_run=True))
        )
        assert (would.messages, len(await listed(room))) == (2, 3)
        freed = await room.ask(lambda relay: relay.release_held(order))

        assert (freed.messages, freed.recipients, freed.decisions) == (2, 4, [])
        assert await listed(room) == {other}
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.HELD
        (entry, *_) = [e for e in await room.ask(lambda relay: relay.audit()) if e.command == "held.release"]
        assert entry.account == "acme"
        assert entry.detail["messages"] == 2
        assert entry.detail["cluster"] == cluster
        assert entry.detail["why"] == "their newsletter"
        records = room.journaled()
        assert {record.message_id for record in records if isinstance(record, Released)} == set(wanted)
        assert {record.message_id for record in records if isinstance(record, Label)} == set(wanted)

    with_room(tmp_path, work)


def test_a_score_range_is_dropped_in_one_audited_act_with_a_record_for_each(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        bad = [await room.put(is_held=True, score=0.97) for _ in range(3)]
        good = await room.put(is_held=True, score=0.6)
        order = DropOrder(score_from=0.9, account="acme", reason="phish")

        would = await room.ask(lambda relay: relay.drop_held(DropOrder(score_from=0.9, account="acme", dry_run=True)))
        done = await room.ask(lambda relay: relay.drop_held(order))

        assert (would.messages, would.dry_run, done.messages, done.recipients) == (3, True, 3, 6)
        assert await listed(room) == {good}
        assert room.spool.counts().messages == 1
        acts = [entry for entry in await room.ask(lambda relay: relay.audit()) if entry.command == "held.drop"]
        assert [(act.account, act.detail["messages"], act.detail["score_from"]) for act in acts] == [("acme", 3, 0.9)]
        dropped = [record for record in room.journaled() if isinstance(record, Dropped)]
        assert {(record.message_id, record.author, record.reason) for record in dropped} == {
            (name, "admin", "phish") for name in bad
        }

    with_room(tmp_path, work)


def test_released_mail_leaves_at_its_senders_pace_behind_what_was_released_before(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for _ in range(5):
            await room.put(subject="first")
        late = await room.put(subject="late")
        await room.ask(lambda relay: relay.hold_sender(SENDER))
        cluster = (await view(room, late)).cluster
        five = [held.message_id for held in room.spool.held() if held.message_id != late]

        freed = await room.ask(lambda relay: relay.release_held(ReleaseOrder(message_ids=five)))
        after = await room.ask(lambda relay: relay.release_held(ReleaseOrder(cluster=cluster)))

        # 60 recipients an hour, two a message: one message in 2 minutes, and what fits in 6 at once
        assert departures(room) == [0] * 8 + [120, 120, 240, 240]
        assert freed.last_at == START + timedelta(seconds=120)
        assert after.last_at == START + timedelta(seconds=240)
        assert freed.undo == f"mailweir sender hold '{SENDER}'"
        await room.ask(lambda relay: relay.hold_sender(SENDER))  # the undo
        assert room.spool.waiting() == []

    with_room(tmp_path, work, hourly=60)


def test_what_would_leave_in_more_than_a_day_stays_held_and_now_frees_it(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for _ in range(15):
            await room.put()
        await room.ask(lambda relay: relay.hold_sender(SENDER))

        freed = await room.ask(lambda relay: relay.release_sender(SENDER))
        left = await listed(room)
        now = await room.ask(lambda relay: relay.release_held(ReleaseOrder(account="acme", at_once=True)))

        assert (freed.messages, freed.later, len(left)) == (13, 2, 2)  # 1 recipient an hour, 2 a message: 0, 2 ... 24 h
        assert freed.last_at == START + timedelta(hours=23, minutes=54)
        assert (now.messages, now.later, now.last_at) == (2, 0, None)
        assert sum(due < 0 for due in departures(room)) == 4

    with_room(tmp_path, work, hourly=1)


def test_a_release_of_a_sender_keeps_what_is_held_for_itself_unless_he_is_harmless(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        parked = await room.put(score=0.2, rule="accept")
        suspect = await room.put(is_held=True, score=0.6, rule="sender_held")
        spam = await room.put(is_held=True, score=0.95, rule="spam_rate")
        own = await room.put(is_held=True, score=0.91, rule="content")
        eicar = await room.put(is_held=True, score=0.1, rule="content_archive")
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder()))
        assert {name: (await view(room, name)).is_own for name in (parked, suspect, spam, own, eicar)} == {
            parked: False,
            suspect: False,
            spam: False,
            own: True,
            eicar: True,
        }

        would = await room.ask(lambda relay: relay.release_sender(SENDER, ReleaseOrder(dry_run=True)))
        freed = await room.ask(lambda relay: relay.release_sender(SENDER))

        assert (would.messages, would.kept) == (freed.messages, freed.kept) == (2, 3)
        assert await listed(room) == {spam, own, eicar}
        assert room.state.state_of(SENDER, room.clock.now()).standing is not Standing.HELD
        rest = await room.ask(lambda relay: relay.release_sender(SENDER, ReleaseOrder(verdict="not_spam")))
        assert (rest.messages, rest.kept) == (3, 0)
        assert await listed(room) == set()

    with_room(tmp_path, work)


def test_mail_set_free_for_what_it_says_is_its_senders_when_it_is_parked_again(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        message = await room.put(is_held=True, score=0.91, rule="content")
        await room.ask(lambda relay: relay.release_held(ReleaseOrder(message_ids=[message])))

        await room.ask(lambda relay: relay.hold_sender(SENDER))

        assert not (await view(room, message)).is_own

    with_room(tmp_path, work)


def test_mail_has_its_whole_lifetime_again_when_it_is_released(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.put()
        await room.ask(lambda relay: relay.hold_sender(SENDER))
        room.clock.advance(5 * 86_400)

        await room.ask(lambda relay: relay.release_sender(SENDER))

        (lane,) = room.spool.waiting()
        message = room.spool.page(lane.id, 1e12)[0].message
        assert message.waits_since == room.clock.now()
        assert message.received_at == START

    with_room(tmp_path, work)


def test_a_reseller_lists_frees_and_drops_its_own_mail_only(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.add_account(NewAccount(name="shop", reseller="isp")))
        shop = "shop|mailfrom|a@shop.example"
        own = [await room.put(shop, is_held=True, fingerprint=FIRST, reseller="isp") for _ in range(2)]
        foreign = await room.put(is_held=True, fingerprint=FIRST)
        cluster = (await view(room, foreign)).cluster
        token = "reseller-token"

        seen = await room.ask(lambda relay: relay.held(), token)
        groups = await room.ask(lambda relay: relay.held_groups("cluster"), token)
        hidden: list[Callable[[ControlClient], object]] = [
            lambda relay: relay.held_message(foreign),
            lambda relay: relay.held(account="acme"),
            lambda relay: relay.release_held(ReleaseOrder(sender=SENDER, cluster=cluster)),
            lambda relay: relay.drop_held(DropOrder(account="acme")),
        ]
        for question in hidden:
            assert (await room.refusal(question, token)).status == 404
        freed = await room.ask(lambda relay: relay.release_held(ReleaseOrder(cluster=cluster, score_to=None)), token)
        dropped = await room.ask(lambda relay: relay.drop_held(DropOrder(older_seconds=0, cluster=cluster)), token)

        assert {one.message_id for one in seen} == set(own)
        assert [group.messages for group in groups] == [2]
        assert (freed.messages, dropped.messages) == (2, 0)
        assert await listed(room) == {foreign}

    with_room(tmp_path, work)


def test_viewers_see_headers_and_the_text_is_the_abuse_desks_and_audited(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        message = await room.put(is_held=True)

        shown = await room.ask(lambda relay: relay.held_message(message), "viewer-token")
        refused = await room.refusal(lambda relay: relay.held_message(message, with_text=True), "viewer-token")
        drop = await room.refusal(lambda relay: relay.drop_held(DropOrder(account="acme")), "viewer-token")
        await room.ask(lambda relay: relay.held_message(message, with_text=True), "abuse-token")

        assert (shown.message.message_id, shown.text) == (message, "")
        assert (refused.status, drop.status) == (403, 403)
        entries = await room.ask(lambda relay: relay.audit())
        assert [(entry.principal, entry.target) for entry in entries if entry.command == "held.show"] == [
            ("dashboard", message)
        ]

    with_room(tmp_path, work)


def expiry_of(room: Room, warned: list[Expiring]) -> Expiry:
    async def warn(expiring: Expiring) -> None:
        warned.append(expiring)

    return Expiry(
        spool=room.spool,
        state=room.state,
        releases=room.commands.holds.releases,
        clock=room.clock,
        policy=lambda: Policy(hold_days=7),
        warn=warn,
    )


def test_an_account_is_warned_once_a_day_before_its_mail_expires(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        warned: list[Expiring] = []
        one, two = await room.put(is_held=True), await room.put(is_held=True)
        other = await room.put(OTHER, is_held=True)
        room.clock.advance(3600)
        late = await room.put(is_held=True)
        room.clock.advance(6 * 86_400 - 3600)
        assert await expiry_of(room, warned).warn_early() == 0

        room.clock.advance(1)
        assert await expiry_of(room, warned).warn_early() == 3
        assert await expiry_of(room, warned).warn_early() == 0  # another one, as after a restart
        room.clock.advance(3600)
        assert await expiry_of(room, warned).warn_early() == 1

        ends_at = START + timedelta(days=7)
        assert [(told.sender, told.message_ids, told.expires_at) for told in warned] == [
            (SENDER, (one, two), ends_at),
            (OTHER, (other,), ends_at),
            (SENDER, (late,), ends_at + timedelta(hours=1)),
        ]

    with_room(tmp_path, work)


def test_mail_that_nobody_released_expires_and_its_account_is_told(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        warned: list[Expiring] = []
        expiry = expiry_of(room, warned)
        old = await room.put(is_held=True, rule="content", subject="Offer")
        room.clock.advance(1)
        parked = await room.put(OTHER)
        await room.ask(lambda relay: relay.hold_sender(OTHER))
        room.clock.advance(7 * 86_400 - 1)
        young = await room.put(is_held=True)
        assert await expiry.drop_expired() == 0

        room.clock.advance(0.5)
        assert await expiry.drop_expired() == 1
        assert await listed(room) == {parked, young}
        room.clock.advance(1)
        assert (await expiry.drop_expired(), await expiry.drop_expired()) == (1, 0)

        assert await listed(room) == {young}
        (due,) = room.spool.digests()
        told = room.spool.digest(Due("acme", "", due.since_unix, None))
        assert {(line.recipient, line.subject) for line in told.lines} == {
            ("one@b.example", "Offer"),
            ("two@b.example", "Offer"),
        }
        assert "held for 7 days (rule content)" in told.lines[0].reply
        assert (OTHER, True, 2) in told.counts  # of a held sender the account hears how many there were
        dropped = [record for record in room.journaled() if isinstance(record, Dropped)]
        assert [(record.message_id, record.author, record.reason) for record in dropped] == [
            (name, "relay", "expired: held for 7 days") for name in (old, parked)
        ]

    with_room(tmp_path, work)


def test_a_bulk_release_takes_its_turn_with_another_and_none_is_freed_twice(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for _ in range(30):
            await room.put()
        await room.ask(lambda relay: relay.hold_sender(SENDER))

        orders = [ReleaseOrder(account="acme", note=str(number)) for number in range(3)]
        done = await asyncio.gather(*(room.ask(partial(ControlClient.release_held, order=order)) for order in orders))

        assert sorted(freed.messages for freed in done) == [0, 0, 30]
        records = [record.message_id for record in room.journaled() if isinstance(record, Released)]
        assert len(records) == len(set(records)) == 30

    with_room(tmp_path, work)
