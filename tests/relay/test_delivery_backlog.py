"""Whose turn it is: fair between end senders, within a channel and between the channels of a destination."""

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.backlog import Backlog
from relay.delivery.channel import Channel
from relay.delivery.queues import Parcel, parcels_of
from relay.delivery.routing.routes import Target
from relay.delivery.routing.sites import Site
from relay.spool.store import Flags, SpooledMessage, SpooledRecipient


def site(name: str) -> Site:
    return Site("google", name, Target(name, name))


SITES = {name: site(name) for name in "abc"}


def message(sender: str, rcpts: int = 1, return_domain: str = "") -> SpooledMessage:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return SpooledMessage(
        1, "mw1.1", rcpts, "acme", "", sender, "a@a.example", now, Flags.NONE, b"", return_domain=return_domain
    )


def parcel(sender: str) -> Parcel:
    about = message(sender)
    return Parcel(about, [SpooledRecipient(1, about, "x@d.example", "d.example")], b"")


def test_channels_take_turns_by_sender_not_by_how_many_domains_somebody_writes_to() -> None:
    backlog = Backlog()
    for name in "ab":
        for _ in range(100):
            backlog.put(parcel("flood"), backlog.channel("", SITES[name]))
    backlog.put(parcel("quiet"), backlog.channel("", SITES["c"]))

    first_two = [next(iter(backlog.turns())).site.key for _ in range(2)]

    assert "c" in first_two


def test_a_channel_is_offered_once_and_only_with_mail() -> None:
    backlog = Backlog()
    empty, full = backlog.channel("", SITES["a"]), backlog.channel("", SITES["b"])
    for sender in ("s1", "s2", "s3"):
        backlog.put(parcel(sender), full)

    assert [full] == list(backlog.turns())
    assert empty not in list(backlog.turns())


def test_what_waited_before_the_second_channel_came_keeps_its_turn() -> None:
    backlog = Backlog()
    only = backlog.channel("", SITES["a"])
    backlog.put(parcel("early"), only)
    backlog.put(parcel("late"), backlog.channel("suspect", SITES["a"]))

    assert only in list(backlog.turns())


def test_pools_of_one_site_do_not_mix() -> None:
    backlog = Backlog()

    assert backlog.channel("good", SITES["a"]) is not backlog.channel("suspect", SITES["a"])
    assert backlog.channel("good", SITES["a"]) is backlog.channel("good", SITES["a"])


@given(st.lists(st.tuples(st.sampled_from(["s1", "s2", "s3"]), st.sampled_from("abc"), st.booleans()), max_size=60))
def test_every_channel_with_mail_is_found_whatever_came_and_went(steps: list[tuple[str, str, bool]]) -> None:
    backlog = Backlog()
    held: Counter[Channel] = Counter()
    for sender, name, is_taken in steps:
        channel = backlog.channel("", SITES[name])
        if is_taken and channel.queue.get() is not None:
            held[channel] -= 1
        else:
            backlog.put(parcel(sender), channel)
            held[channel] += 1

        assert {one for one, count in held.items() if count} == set(backlog.turns())
        assert sum(held.values()) == len(backlog)


def test_a_forgotten_sender_leaves_all_channels() -> None:
    backlog = Backlog()
    for name in "ab":
        backlog.put(parcel("bad"), backlog.channel("", SITES[name]))
        backlog.put(parcel("good"), backlog.channel("", SITES[name]))

    assert len(backlog.forget("bad")) == 2
    assert len(backlog) == 2


def test_recipients_travel_together_unless_something_is_for_one_alone() -> None:
    about = message("s", rcpts=4)
    people = [
        SpooledRecipient(1, about, "a@d.example", "d.example"),
        SpooledRecipient(2, about, "b@e.example", "e.example"),
        SpooledRecipient(3, about, "c@d.example", "d.example"),
        SpooledRecipient(4, about, "d@d.example", "d.example", own_prefix=b"For: d\r\n"),
    ]

    groups = [[one.id for one in item.recipients] for item in parcels_of(people, lambda one: one.destination)]

    assert sorted(groups) == [[1, 3], [2], [4]]


def test_with_a_return_path_of_its_own_each_recipient_travels_alone() -> None:
    about = message("s", rcpts=2, return_domain="bounce.a.example")
    people = [SpooledRecipient(number, about, "x@d.example", "d.example") for number in (1, 2)]

    assert [len(item.recipients) for item in parcels_of(people, lambda one: one.destination)] == [1, 1]


def test_channels_without_mail_are_forgotten_when_there_are_many() -> None:
    backlog = Backlog()
    busy = backlog.channel("", SITES["a"])
    backlog.put(parcel("s"), busy)
    for number in range(3000):
        backlog.channel("", site(f"d{number}.example"))

    assert len(list(backlog)) < 2000
    assert [busy] == list(backlog.turns())
