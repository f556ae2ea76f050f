"""Fairness, lanes and the retry schedule: values in, values out."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.queues import FairQueue, LaneHeap, Parcel, retry_seconds
from relay.settings import Delivery
from relay.spool.store import Flags, SpooledMessage


def _parcel(sender: str, number: int = 0) -> Parcel:
    message = SpooledMessage(
        id=number,
        message_id=f"mw1.{number}",
        rcpts=1,
        account="acme",
        reseller="",
        sender=sender,
        mail_from="",
        received_at=datetime(2026, 11, 24, tzinfo=UTC),
        flags=Flags.NONE,
        prefix=b"",
    )
    return Parcel(message, [], b"")


def _taken(queue: FairQueue) -> list[tuple[str, int]]:
    found = []
    while (parcel := queue.get()) is not None:
        found.append((parcel.message.sender, parcel.message.id))
    return found


def test_one_senders_flood_delays_another_by_one_parcel() -> None:
    queue = FairQueue()
    for number in range(50_000):
        queue.put(_parcel("flood", number))
    queue.put(_parcel("quiet", 1))

    first = [queue.get(), queue.get()]

    assert [parcel.message.sender for parcel in first if parcel] == ["flood", "quiet"]


def test_parcels_of_one_sender_keep_their_order() -> None:
    queue = FairQueue()
    for number in range(3):
        queue.put(_parcel("a", number))
        queue.put(_parcel("b", number))

    assert _taken(queue) == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_what_is_put_back_comes_before_what_waited() -> None:
    queue = FairQueue()
    queue.put(_parcel("a", 1))
    queue.put(_parcel("a", 2))
    taken = queue.get()
    assert taken is not None

    queue.put_back(taken)

    assert _taken(queue) == [("a", 1), ("a", 2)]


def test_a_forgotten_sender_leaves_the_others() -> None:
    queue = FairQueue()
    for sender in ("a", "b", "a"):
        queue.put(_parcel(sender))

    forgotten = queue.forget("a")

    assert len(forgotten) == 2
    assert _taken(queue) == [("b", 0)]
    assert queue.forget("a") == ()


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans())))
def test_every_parcel_comes_out_once(steps: list[tuple[str, bool]]) -> None:
    queue, put, got = FairQueue(), [], []
    for number, (sender, is_put) in enumerate(steps):
        if is_put:
            put.append((sender, number))
            queue.put(_parcel(sender, number))
        elif (parcel := queue.get()) is not None:
            got.append((parcel.message.sender, parcel.message.id))

    assert len(put) - len(got) == len(queue)
    assert sorted(put) == sorted([*got, *_taken(queue)])


def test_a_lane_has_one_entry_its_earliest() -> None:
    heap = LaneHeap()

    assert heap.note(1, 50.0)
    assert not heap.note(1, 60.0)
    assert heap.note(1, 40.0)
    assert not heap.note(2, 45.0)

    assert len(heap) == 2
    assert heap.next_due() == 40.0
    assert list(heap.due(45.0)) == [1, 2]
    assert heap.next_due() is None


def test_a_lane_that_is_not_due_stays() -> None:
    heap = LaneHeap()
    heap.note(1, 50.0)

    assert list(heap.due(49.9)) == []
    assert list(heap.due(50.0)) == [1]


def test_retries_double_to_forty_minutes_and_end_at_four_hours() -> None:
    waits = [retry_seconds(attempt, Delivery(), 0.5) / 60 for attempt in range(1, 12)]

    assert waits == [5, 10, 20, 40, 60, 90, 135, 202.5, 240, 240, 240]


def test_a_small_first_retry_scales_the_schedule() -> None:
    settings = Delivery(first_retry_seconds=1, max_retry_seconds=10)

    assert [retry_seconds(attempt, settings, 0.5) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True), st.booleans())
def test_a_wait_is_never_above_the_limit_and_never_far_from_the_schedule(
    attempts: int, chance: float, is_greylisted: bool
) -> None:
    settings = Delivery()
    wait = retry_seconds(attempts, settings, chance, is_greylisted=is_greylisted)

    assert 0.8 * settings.first_retry_seconds <= wait <= settings.max_retry_seconds


def test_a_greylisted_recipient_is_tried_after_six_minutes_and_not_before_five() -> None:
    assert retry_seconds(1, Delivery(), 0.5, is_greylisted=True) == 360
    assert retry_seconds(1, Delivery(), 0.0, is_greylisted=True) == 360
    assert retry_seconds(1, Delivery(first_retry_seconds=1), 0.5, is_greylisted=True) == 1


def test_a_hop_that_greylists_for_ever_gets_the_ordinary_schedule() -> None:
    assert retry_seconds(6, Delivery(), 0.5) == retry_seconds(6, Delivery(), 0.5, is_greylisted=True)
