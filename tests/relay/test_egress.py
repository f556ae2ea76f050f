"""Which source a connection leaves from: pools and fall-backs, weighted turns, who may not, the implicit one."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.egress.egress import Egress, Source
from relay.delivery.egress.rotation import Rotation
from relay.delivery.egress.sources import DEFAULT_POOLS, EgressSource, SourceState
from relay.delivery.replies import Category
from relay.reply import Reply

NOW = 1_790_000_000.0
HOUR, DAY = 3_600.0, 86_400.0
BLOCK = Reply(550, "5.7.1", "Service unavailable, Client host [192.0.2.1] blocked using zen.example.org")


def source(number: int, state: SourceState = SourceState.ACTIVE, *, warming: bool = False) -> EgressSource:
    return EgressSource(f"ip{number}", f"192.0.2.{number}", f"out{number}.example.org", state, warming)


def egress(*sources: EgressSource, **pools: dict[str, int]) -> Egress:
    return Egress("relay.example", sources, pools)


def anything(_: Source) -> bool:
    return True


def turns(
    room: Egress, pool: str, count: int, destination: str = "google", may: Callable[[Source], bool] = anything
) -> list[str]:
    chosen = [room.choose(pool, destination, NOW, may) for _ in range(count)]
    return [one.name if one else "" for one in chosen]


def names(sources: object) -> list[str]:
    return [one.name for one in sources]  # type: ignore[attr-defined]


def test_turns_are_those_of_smooth_weighted_round_robin() -> None:
    room = egress(source(1), source(2), source(3), fair={"ip1": 5, "ip2": 1, "ip3": 1})

    assert turns(room, "fair", 14) == ["ip1", "ip1", "ip2", "ip1", "ip3", "ip1", "ip1"] * 2


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(1, 5))
def test_in_each_full_round_everybody_has_exactly_its_weight(weights: list[int], rounds: int) -> None:
    named = [(str(number), float(weight)) for number, weight in enumerate(weights)]
    rotation = Rotation()

    taken = Counter(rotation.take(named) for _ in range(rounds * sum(weights)))

    assert taken == Counter({number: weight * rounds for number, weight in enumerate(weights)})


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(0, 40))
def test_candidates_begin_with_the_one_that_would_be_chosen(weights: list[int], turn: int) -> None:
    pool = {f"ip{number}": weight for number, weight in enumerate(weights)}
    room = egress(*(source(number) for number in range(len(weights))), fair=pool)
    turns(room, "fair", turn)

    shown = room.candidates("fair", "google", NOW)

    assert [one.name for one in shown[:1]] == turns(room, "fair", 1)
    assert sorted(names(shown)) == sorted(pool)


def test_who_may_not_loses_no_turn_to_come_and_the_others_share_by_weight() -> None:
    room = egress(source(1), source(2), source(3), fair={"ip1": 2, "ip2": 1, "ip3": 1})

    without = Counter(turns(room, "fair", 300, may=lambda one: one.name != "ip1"))
    everybody = Counter(turns(room, "fair", 400))

    assert without == {"ip2": 150, "ip3": 150}
    assert everybody == {"ip1": 200, "ip2": 100, "ip3": 100}
    assert room.choose("fair", "google", NOW, lambda one: False) is None


def test_without_any_source_everything_leaves_from_the_implicit_one() -> None:
    room = egress()

    for pool in (*DEFAULT_POOLS, "own"):
        chosen = room.choose(pool, "google", NOW, anything)
        assert chosen == Source("default", "", "relay.example", 1)
        assert [chosen] == [*room.candidates(pool, "google", NOW)]
    room.heard("default", "google", Category.REPUTATION_BLOCK, BLOCK, NOW)
    room.succeeded("default", "google", NOW)
    assert room.message_wait("default", "google", NOW) == 0.0
    assert (room.wait("fair", "google", NOW), room.choose("fair", "google", NOW, lambda one: False)) == (0.0, None)
    assert room.candidates("fair", "google", NOW)[0].family == 0
    assert room.ip_states.dirty() == room.warmup.dirty() == []


def test_a_pool_without_members_uses_fair_then_all_and_never_the_implicit_source() -> None:
    two = source(1), source(2)

    assert names(egress(*two, fair={"ip2": 1}).members("good")) == ["ip2"]
    assert names(egress(*two, good={"ip1": 1}, fair={"ip2": 1}).members("good")) == ["ip1"]
    assert names(egress(*two, good={"ip1": 1}).members("new")) == ["ip1", "ip2"]
    assert names(egress(*two).members("no such pool")) == ["ip1", "ip2"]


@pytest.mark.parametrize("state", [SourceState.QUARANTINED, SourceState.RETIRED])
def test_a_source_that_is_out_takes_nothing_and_its_pool_uses_another(state: SourceState) -> None:
    room = egress(source(1, state), source(2), suspect={"ip1": 1}, fair={"ip2": 1})

    assert set(turns(room, "suspect", 5)) == {"ip2"}


def test_mail_waits_while_everything_is_quarantined() -> None:
    room = egress(source(1, SourceState.QUARANTINED), fair={"ip1": 1})

    assert turns(room, "fair", 1) == [""]
    assert room.wait("fair", "google", NOW) > 0
    assert names(egress(source(1, SourceState.RETIRED)).members("fair")) == ["default"]


def test_a_source_named_as_blocked_rests_there_only_and_others_take_over() -> None:
    room = egress(source(1), source(2))

    room.heard("ip1", "outlook", Category.REPUTATION_BLOCK, BLOCK, NOW)

    assert set(turns(room, "fair", 6, "outlook")) == {"ip2"}
    assert set(turns(room, "fair", 6, "google")) == {"ip1", "ip2"}
    assert set(turns(room, "fair", 6, "example.org")) == {"ip1", "ip2"}


def test_mail_waits_for_the_first_source_that_comes_back() -> None:
    room = egress(source(1), source(2))
    room.heard("ip1", "outlook", Category.REPUTATION_BLOCK, BLOCK, NOW)
    room.heard("ip2", "outlook", Category.REPUTATION_BLOCK, BLOCK, NOW + HOUR)

    assert room.choose("fair", "outlook", NOW + HOUR, anything) is None
    assert room.wait("fair", "outlook", NOW + HOUR) == 3 * HOUR
    assert room.choose("fair", "outlook", NOW + 4 * HOUR, anything) == room.members("fair")[0]


def test_another_source_counts_while_its_warm_up_has_no_room_but_not_while_it_rests() -> None:
    room = egress(source(1), source(2, warming=True), good={"ip1": 1, "ip2": 1})
    while not room.message_wait("ip2", "google", NOW):
        pass

    assert room.has_other("good", "google", "ip1", NOW)
    room.heard("ip2", "google", Category.REPUTATION_BLOCK, BLOCK, NOW)
    assert not room.has_other("good", "google", "ip1", NOW)
    assert room.has_other("good", "yahoo", "ip1", NOW)
    assert not egress().has_other("good", "google", "default", NOW)


def test_a_source_that_is_put_off_a_lot_has_half_its_weight() -> None:
    room = egress(source(1), source(2))
    later = Reply(451, "4.7.0", "try again later")
    for number in range(40):
        if number % 3:
            room.succeeded("ip1", "google", NOW)
        else:
            room.heard("ip1", "google", Category.RATE_LIMITED, later, NOW)

    assert Counter(turns(room, "fair", 300)) == {"ip1": 100, "ip2": 200}
    assert Counter(turns(room, "fair", 300, "yahoo")) == {"ip1": 150, "ip2": 150}


def test_what_is_the_recipients_fault_or_ours_is_no_evidence() -> None:
    room = egress(source(1), source(2))
    for category in (Category.GREYLISTED, Category.QUOTA_ISSUES, Category.INVALID_RECIPIENT, Category.DNS_FAILURE):
        for _ in range(40):
            room.heard("ip1", "google", category, Reply(450, "4.2.0", "x"), NOW)
    room.heard("nobody", "google", Category.RATE_LIMITED, Reply(450, "4.2.0", "x"), NOW)

    assert [*room.ip_states.troubles(NOW)] == []


def test_suspect_mail_never_leaves_from_a_warming_source_while_there_is_another() -> None:
    room = egress(source(1, warming=True), source(2))

    for pool in ("suspect", "forward", "new"):
        assert set(turns(room, pool, 6)) == {"ip2"}
    assert room.choose("suspect", "google", NOW, lambda one: one.name == "ip1") is None
    assert set(turns(egress(source(1, warming=True)), "suspect", 6)) == {"ip1"}


@pytest.mark.parametrize(("pool", "expected"), [("good", {"ip1"}), ("own", {"ip1"}), ("fair", {"ip1", "ip2"})])
def test_good_mail_uses_up_what_warm_up_allows_first(pool: str, expected: set[str]) -> None:
    room = egress(source(1, warming=True), source(2), own={"ip1": 1, "ip2": 1})

    assert set(turns(room, pool, 6)) == expected
    assert room.candidates(pool, "google", NOW)[0].name == "ip1"


def test_a_message_is_never_delayed_by_warm_up_while_a_warm_source_may() -> None:
    room = egress(source(1, warming=True), source(2))

    assert room.message_wait("ip1", "google", NOW) == 0.0
    assert room.message_wait("ip1", "google", NOW) > 0
    assert set(turns(room, "good", 6)) == {"ip2"}
    assert all(room.message_wait("ip2", "google", NOW) == 0.0 for _ in range(1_000))


def test_when_all_are_warming_mail_waits_for_the_next_quota() -> None:
    room = egress(source(1, warming=True), source(2, warming=True))
    assert room.message_wait("ip1", "google", NOW) == room.message_wait("ip2", "google", NOW + 60) == 0.0

    assert room.choose("fair", "google", NOW + 60, anything) is None
    wait = room.wait("fair", "google", NOW + 60)
    assert wait == pytest.approx(DAY / (80 * 1.5) - 60)  # stage 1: 200 x 0.4 a day, by at most 1.5 x 80 / 24 an hour
    assert turns(room, "fair", 1, "yahoo") != [""]
    assert room.message_wait("ip1", "google", NOW + 60 + wait) == 0.0


def test_a_message_given_back_frees_its_turn() -> None:
    room = egress(source(1, warming=True))
    room.message_wait("ip1", "google", NOW)

    room.give_back("ip1", "google")

    assert room.message_wait("ip1", "google", NOW) == 0.0
    assert room.message_wait("ip1", "google", NOW) > 0


def test_other_sources_are_taken_up_while_running_and_a_removed_one_is_forgotten() -> None:
    room = egress(source(1, warming=True))
    room.message_wait("ip1", "google", NOW)
    room.heard("ip1", "yahoo", Category.REPUTATION_BLOCK, BLOCK, NOW)

    room.take_up([source(2)], {"good": {"ip2": 1}})
    room.forget("ip1")

    assert set(turns(room, "good", 3)) == {"ip2"}
    assert dict(room.warmup.dirty()) == {"ip1|google": b"", "ip1|yahoo": b""}
    assert dict(room.ip_states.dirty()) == {"ip1|yahoo": b""}


def test_a_source_has_the_family_of_its_address() -> None:
    room = egress(EgressSource("six", "2001:db8::1"), EgressSource("four", "192.0.2.1"))

    assert [(one.family, one.ehlo) for one in room.members("fair")] == [(6, "relay.example"), (4, "relay.example")]


def test_open_connections_of_a_source_that_is_out_take_nothing_new() -> None:
    room = egress(source(1), source(2))
    assert room.message_wait("ip1", "google", NOW) == 0.0

    room.take_up([source(1, SourceState.QUARANTINED), source(2)], {})

    assert room.message_wait("ip1", "google", NOW) > 0
    assert room.message_wait("default", "google", NOW) > 0
    assert room.message_wait("ip2", "google", NOW) == 0.0


def test_pools_share_a_name_only_where_their_mail_is_treated_alike() -> None:
    assert {egress().resolve(pool) for pool in DEFAULT_POOLS} == {""}

    room = egress(source(1), source(2), good={"ip1": 1})
    assert [room.resolve(pool) for pool in ("good", "fair", "suspect", "gone")] == ["good", "", "", ""]

    room = egress(source(1, warming=True), source(2))
    assert [room.resolve(pool) for pool in ("fair", "suspect", "forward", "new")] == ["", "suspect", "forward", "new"]
    assert set(turns(room, room.resolve("suspect"), 4)) == {"ip2"}
    assert set(turns(room, room.resolve("fair"), 4)) == {"ip1", "ip2"}
