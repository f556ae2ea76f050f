"""The Shaper: no limit is ever exceeded, replies slow down whom they mean, all of it ends, and survives a restart."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.delivery.replies import Category, OwnReply, parse_reply
from relay.delivery.shaping import aimd
from relay.delivery.shaping.effects import FOREVER, ShapingEffect, blames_of
from relay.delivery.shaping.pace import Pace
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.reply import Reply
from relay.settings import Delivery

NOW = 1_800_000_000.0
MINUTE, HOUR = 60.0, 3600.0
TSS04 = parse_reply(b"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume")
TSS05 = parse_reply(b"421 4.7.0 [TSS05] Messages from 192.0.2.1 temporarily deferred due to user complaints")
TOO_FAST = parse_reply(b"421 4.7.0 too many messages, slow down")
BUSY = parse_reply(b"421 4.3.2 too many concurrent connections")
TABLE = """
[provider.tiny]
suffixes = [".mx.tiny.example"]
connections = 4
connections_total = 5
messages_per_connection = 7
messages = "6/min"
new_connections = "2/min"
"""


@pytest.fixture
def shaper(tmp_path: Path) -> Shaper:
    path = tmp_path / "mine.toml"
    path.write_text(TABLE)
    return Shaper(load_providers(path, Delivery()))


def sent(shaper: Shaper, destination: str, seconds: float, *, start: float = NOW, source: str = "a") -> list[float]:
    """When messages went, from one who always has more and asks again when he is told to."""
    times, now = [], start
    while now < start + seconds:
        wait = shaper.message_wait(destination, source, now)
        if wait:
            now += wait + 1e-6
        else:
            times.append(now)
    return times


def most_within(times: list[float], seconds: float) -> int:
    """The largest number in any window of so many seconds."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


# ---- rates ----


@given(
    st.floats(0.01, 200),
    st.lists(st.tuples(st.floats(0, 90), st.integers(1, 400), st.booleans()), max_size=20),
)
def test_a_pace_is_never_exceeded_in_any_minute(per_minute: float, bursts: list[tuple[float, int, bool]]) -> None:
    pace, now, times = Pace(per_minute), NOW, list[float]()
    for pause, tries, gives_back in bursts:
        now += pause
        for _ in range(tries):
            if wait := pace.take(now):
                now += wait + 1e-6  # as early as may be
                continue
            times.append(now)
            if gives_back:
                pace.give_back()
                pace.give_back()
                times.pop()

    assert most_within(times, MINUTE - 1e-3) <= math.ceil(per_minute)


@given(st.floats(0.01, 5000), st.floats(0.01, 5000), st.floats(0, 300))
def test_a_changed_pace_holds_from_its_change_on(before: float, after: float, pause: float) -> None:
    pace, times = Pace(before), list[float]()
    for number in range(50):
        pace.take(NOW + number)
    start = NOW + 50 + pause
    pace.change(after, start)
    for step in range(600):
        at = start + step / 4
        while len(times) < 12_000 and pace.take(at) == 0:
            times.append(at)

    assert most_within(times, MINUTE - 1e-3) <= math.ceil(after)


@pytest.mark.parametrize("per_minute", [1, 6, 100, 600, 6000])
def test_a_pace_is_used_up_by_who_asks_in_time(per_minute: float) -> None:
    pace, now, count = Pace(per_minute), NOW, 0
    while now < NOW + 600:
        wait = pace.take(now)
        now += wait
        count += wait == 0

    assert count >= 10 * per_minute * 0.95


def test_a_message_that_was_counted_in_vain_is_given_back(shaper: Shaper) -> None:
    for source in ("a", "b"):
        assert shaper.message_wait("tiny", source, NOW) == pytest.approx(10)  # who knows what went before a restart?
    assert shaper.message_wait("tiny", "a", NOW + 10) == 0
    assert shaper.message_wait("tiny", "a", NOW + 10) == pytest.approx(10)

    shaper.give_back("tiny", "a")

    assert shaper.message_wait("tiny", "a", NOW + 10) == 0
    assert shaper.message_wait("tiny", "b", NOW + 10) == 0  # a source of its own
    shaper.give_back("never.example", "a")


def test_connections_are_limited_at_once_in_all_and_by_the_minute(shaper: Shaper) -> None:
    def try_to_open(source: str, now: float) -> float:
        wait = shaper.open_wait("tiny", source, now)
        if not wait:
            shaper.opened("tiny", source, now)
        return wait

    assert [try_to_open(source, NOW - 30) for source in "ab"] == [pytest.approx(30)] * 2
    assert try_to_open("a", NOW) == 0
    assert try_to_open("a", NOW + 1) == pytest.approx(29)
    assert try_to_open("b", NOW + 1) == 0
    assert [try_to_open("a", NOW + 31 * n) for n in (1, 2, 3)] == [0, 0, 0]
    assert try_to_open("a", NOW + 200) > 0  # four of one source
    assert try_to_open("b", NOW + 200) > 0  # five in all
    shaper.closed("tiny", "a", NOW + 200)
    assert try_to_open("b", NOW + 200) == 0
    assert shaper.messages_per_connection("tiny", "b", NOW) == 7


def test_closing_what_was_never_opened_makes_no_room(shaper: Shaper) -> None:
    shaper.closed("tiny", "a", NOW)
    assert shaper.open_wait("tiny", "a", NOW) > 0
    for _ in range(4):
        shaper.opened("tiny", "a", NOW)

    assert shaper.open_wait("tiny", "a", NOW + 1000) > 0
    shaper.closed("tiny", "a", NOW)
    assert shaper.open_wait("tiny", "a", NOW + 1000) == 0


# ---- rules ----


def test_a_rule_that_fires_stops_its_source_there_and_nothing_else(shaper: Shaper) -> None:
    (effect,) = shaper.heard("yahoo", "a", TSS04, NOW)

    assert (effect.kind, effect.rule, effect.source, effect.until_at) == ("suspend", "yahoo/ts04", "a", NOW + 2 * HOUR)
    assert "[TSS04] Messages from 192.0.2.1" in effect.reply
    assert shaper.effects(NOW + 1) == [effect]
    assert shaper.message_wait("yahoo", "a", NOW + HOUR) == 900  # a person may end it earlier
    assert shaper.open_wait("yahoo", "a", NOW + HOUR) == 900
    assert shaper.message_wait("yahoo", "a", NOW + 2 * HOUR - 60) == 60
    assert shaper.open_wait("yahoo", "a", NOW + 2 * HOUR - 60) == 60
    assert shaper.message_wait("yahoo", "b", NOW) == 0
    assert shaper.message_wait("acme.example", "a", NOW) == 0
    assert shaper.message_wait("yahoo", "a", NOW + 2 * HOUR) == 0
    assert shaper.effects(NOW + 2 * HOUR) == []


def test_a_threshold_counts_by_destination_and_source_within_an_hour(shaper: Shaper) -> None:
    def rules(source: str, now: float) -> set[str]:
        return {effect.rule for effect in shaper.heard("yahoo", source, TSS05, now)}

    assert rules("a", NOW) == {"default/deferred"}  # not reached yet, so the rules of everybody have their say
    assert rules("b", NOW + 10) == {"default/deferred"}
    assert rules("a", NOW + HOUR + 1) == set()  # the first is too old, and the slow pace is in force already
    assert rules("a", NOW + HOUR + 2) == {"yahoo/tss05"}
    assert rules("a", NOW + HOUR + 3) == set()  # counting begins anew


def test_everybodys_rule_means_one_message_a_minute_and_one_connection(shaper: Shaper) -> None:
    reply = parse_reply(b"451 4.7.500 Server busy. Please try again later from [192.0.2.2]. (AS761)")
    effects = shaper.heard("acme.example", "a", reply, NOW)

    assert {(effect.kind.value, effect.value) for effect in effects} == {("rate", 1), ("connections", 1)}
    times = sent(shaper, "acme.example", 89 * MINUTE)
    assert times[0] >= NOW + MINUTE
    assert most_within(times, MINUTE - 1e-3) == 1
    assert len(times) >= 87
    shaper.opened("acme.example", "a", NOW + HOUR)
    assert shaper.open_wait("acme.example", "a", NOW + HOUR) > 0
    shaper.opened("acme.example", "a", NOW + HOUR)
    assert shaper.messages_per_connection("acme.example", "a", NOW + HOUR) == 1  # one of the two must end
    assert shaper.open_wait("acme.example", "a", NOW + 91 * MINUTE) == 0
    assert shaper.message_wait("acme.example", "a", NOW + 91 * MINUTE) == 0
    assert shaper.message_wait("acme.example", "a", NOW + 91 * MINUTE) == 0


def test_a_rule_that_fires_again_lasts_longer_and_is_not_told_again(shaper: Shaper) -> None:
    shaper.heard("yahoo", "a", TSS04, NOW)

    assert shaper.heard("yahoo", "a", TSS04, NOW + 60) == []
    (effect,) = shaper.effects(NOW + 61)
    assert (effect.since_at, effect.until_at, effect.times) == (NOW, NOW + 60 + 2 * HOUR, 2)


@pytest.mark.parametrize("category", [Category.RATE_LIMITED, Category.NO_ANSWER])
def test_nothing_is_learned_from_words_of_our_own(shaper: Shaper, category: Category) -> None:
    for destination in ("yahoo", "google", "acme.example"):
        own = OwnReply(421, "4.7.28", "[TSS04] Messages from 192.0.2.1 temporarily deferred, unusual rate of", category)

        assert shaper.heard(destination, "a", own, NOW) == []
        assert shaper.message_wait(destination, "a", NOW) == 0
    assert shaper.effects(NOW) == []


def test_what_is_no_matter_of_pace_changes_nothing(shaper: Shaper) -> None:
    for raw in (
        b"450 4.2.1 The user you are trying to contact is receiving mail too quickly.",
        b"450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/",
        b"452 4.2.2 The email account that you tried to reach is over quota.",
        b"550 5.1.1 no such user",
        b"550 5.7.28 There is an unusual rate of unsolicited mail originating from your IP address.",
        b"421 4.7.30 Your email has been rate limited because DKIM authentication didn't pass for this message.",
        b"250 2.0.0 Ok",
    ):
        for destination in ("google", "acme.example"):
            assert shaper.heard(destination, "a", parse_reply(raw), NOW) == [], raw


# ---- AIMD ----


def learned(shaper: Shaper, now: float) -> dict[str, float]:
    return {effect.kind.value: effect.value for effect in shaper.effects(now) if effect.rule == "aimd"}


def test_a_rate_reply_halves_and_time_brings_back(shaper: Shaper) -> None:
    for number in range(80):
        shaper.message_wait("acme.example", "a", NOW - 60 + number * 60 / 80)

    effects = shaper.heard("acme.example", "a", TOO_FAST, NOW + 1)

    assert {(effect.kind.value, effect.value, effect.rule) for effect in effects} == {
        ("connections", 5, "aimd"),
        ("rate", 40, "aimd"),
    }
    assert most_within(sent(shaper, "acme.example", 9 * MINUTE, start=NOW + 1), MINUTE - 1e-3) <= 40
    assert learned(shaper, NOW + 599) == {"connections": 5, "rate": 40}
    assert learned(shaper, NOW + 602) == {"connections": 6, "rate": 48}
    assert learned(shaper, NOW + 2999) == {"connections": 9, "rate": 72}
    assert learned(shaper, NOW + 3002) == {}
    assert effects[0].until_at == NOW + 3001
    assert [shaper.message_wait("acme.example", "a", NOW + 3002) for _ in range(200)] == [0] * 200


def test_a_complaint_of_connections_leaves_the_rate_alone(shaper: Shaper) -> None:
    for number in range(80):
        shaper.message_wait("acme.example", "a", NOW - 60 + number * 60 / 80)

    shaper.heard("acme.example", "a", BUSY, NOW + 1)
    assert learned(shaper, NOW + 2) == {"connections": 5}
    shaper.heard("acme.example", "a", TOO_FAST, NOW + 40)
    assert learned(shaper, NOW + 41) == {"connections": 2, "rate": 40}
    shaper.heard("acme.example", "a", BUSY, NOW + 80)
    assert learned(shaper, NOW + 81) == {"connections": 1, "rate": 40}


def test_two_messages_in_the_first_second_are_no_pace_of_two_a_minute(shaper: Shaper) -> None:
    for _ in range(2):
        shaper.message_wait("acme.example", "a", NOW)

    shaper.heard("acme.example", "a", TOO_FAST, NOW + 0.1)

    assert learned(shaper, NOW + 1)["rate"] == 60


def test_connections_that_are_told_the_same_at_once_halve_once(shaper: Shaper) -> None:
    for number in range(10):
        shaper.heard("acme.example", "a", BUSY, NOW + number)

    assert learned(shaper, NOW + 11) == {"connections": 5}


def test_where_nothing_can_be_halved_nothing_is_learned(shaper: Shaper) -> None:
    shaper.heard("yahoo", "a", TSS05, NOW)
    assert {effect.value for effect in shaper.effects(NOW)} == {1}

    assert shaper.heard("yahoo", "a", BUSY, NOW) == []

    assert {effect.rule for effect in shaper.effects(NOW)} == {"default/deferred"}


def test_the_floor_is_one_connection(shaper: Shaper) -> None:
    for number in range(12):
        shaper.heard("acme.example", "a", BUSY, NOW + 60 * number)

    assert learned(shaper, NOW + 700) == {"connections": 1}
    assert shaper.open_wait("acme.example", "a", NOW + 700) == 0


@given(
    st.just(0.0) | st.floats(0.001, 10_000),
    st.integers(1, 1000),
    st.lists(st.floats(0, 7200), min_size=1, max_size=60),
    st.floats(0, 20_000),
)
def test_what_is_learned_stays_between_one_and_what_was_before(
    rate: float, connections: int, pauses: list[float], wait: float
) -> None:
    state, now = None, NOW
    for pause in pauses:
        now += pause
        before = state
        state = aimd.cut(before, rate, connections, "421", now)
        if before is not None and aimd.ends_at(before) > now:
            assert aimd.rate_of(state, now) <= aimd.rate_of(before, now)
            assert aimd.connections_of(state, now) <= aimd.connections_of(before, now)
    assert state is not None

    later = now + wait
    assert 1 <= aimd.connections_of(state, later) <= connections
    assert min(1, rate) <= aimd.rate_of(state, later) <= rate
    assert aimd.connections_of(state, later) >= aimd.connections_of(state, now)
    assert aimd.changes_at(state, later) > later
    end = aimd.ends_at(state)
    assert end <= now + 6000
    assert aimd.connections_of(state, end) == connections
    assert aimd.rate_of(state, end) == pytest.approx(rate)


# ---- Google ----

UNUSUAL = b"421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your "


@pytest.mark.parametrize(
    ("raw", "blames"),
    [
        (UNUSUAL + b"IP address. To protect our users from spam, mail sent from your IP address has been", "ip"),
        (
            UNUSUAL + b"IP Netblock. To protect our users from spam, mail sent from your IP Netblock has been",
            "netblock",
        ),
        (UNUSUAL + b"DKIM domain [d.example 15]. To protect our users, mail sent from your domain has been", "dkim"),
        (UNUSUAL + b"SPF domain. To protect our users from spam, mail sent from your domain has been", "spf"),
        (
            b"421 4.7.28 Gmail has detected an unusual rate of unsolicited mail containing one of your URL domains.",
            "url",
        ),
        (b"421 4.7.28 Gmail has detected this message exceeded its quota for the same Message-ID:.", "message"),
        (b"421 4.7.28 Our system has detected an unusual rate of unsolicited mail.", ""),
    ],
)
def test_googles_words_name_whom_they_blame(shaper: Shaper, raw: bytes, blames: str) -> None:
    reply = parse_reply(raw)
    assert blames_of(reply.text) == blames

    (effect,) = shaper.heard("google", "a", reply, NOW)

    assert effect.blames == blames
    rests = blames in ("ip", "netblock", "")
    assert effect.kind == ("suspend" if rests else "blame")
    assert shaper.message_wait("google", "a", NOW) == (600 if rests else 0)
    assert shaper.message_wait("google", "b", NOW) == 0
    assert len(shaper.effects(NOW)) == rests


def connections(shaper: Shaper, now: float) -> int:
    """How many may be open at once; opens them and closes them again."""
    count = 0
    while shaper.open_wait("google", "a", now) == 0:
        shaper.opened("google", "a", now)
        count += 1
    for _ in range(count):
        shaper.closed("google", "a", now)
    return count


def test_googles_procedure_step_by_step(shaper: Shaper) -> None:
    refusal = parse_reply(UNUSUAL + b"IP address.")
    assert connections(shaper, NOW) == 5

    shaper.heard("google", "a", refusal, NOW)
    assert shaper.heard("google", "a", refusal, NOW + 5) == []  # what was on its way is told the same
    assert connections(shaper, NOW + 604) == 0
    shaper.succeeded("google", "a", NOW + 300)  # on its way as well: it proves nothing
    assert connections(shaper, NOW + 606) == 1

    (again,) = shaper.heard("google", "a", refusal, NOW + 610)
    assert (again.kind, again.since_at, again.until_at) == ("suspend", NOW, NOW + 1210)
    assert connections(shaper, NOW + 1209) == 0

    start = NOW + 1210
    seen = []
    for second in range(0, 400, 10):
        shaper.succeeded("google", "a", start + second)
        seen.append(connections(shaper, start + second))
    assert seen == sorted(seen)
    assert {b - a for a, b in pairwise(seen)} == {0, 1}
    assert [seen.index(number) for number in (1, 2, 3, 4, 5)] == [0, 6, 12, 18, 24]
    assert shaper.effects(start + 400) == []


def test_googles_procedure_starts_over_when_it_is_refused_while_it_grows(shaper: Shaper) -> None:
    refusal = parse_reply(UNUSUAL + b"IP address.")
    shaper.heard("google", "a", refusal, NOW)
    for second in range(600, 800, 10):
        shaper.succeeded("google", "a", NOW + second)
    assert connections(shaper, NOW + 800) == 4

    shaper.heard("google", "a", refusal, NOW + 800)

    assert connections(shaper, NOW + 1399) == 0
    assert connections(shaper, NOW + 1400) == 1
    assert connections(shaper, NOW + 1400 + HOUR) == 5  # nothing went there for an hour: the trial is over


def test_a_refusal_of_google_without_its_code_counts_too(shaper: Shaper) -> None:
    reply = parse_reply(
        b"421 4.7.0 This message is suspicious due to the very low reputation of the sending IP address/domain. "
        b"To protect our users from spam, mail sent from your IP address has been temporarily rate limited."
    )

    assert [effect.kind.value for effect in shaper.heard("google", "a", reply, NOW)] == ["suspend"]


# ---- by hand ----


def test_an_operator_stops_a_destination_and_lets_it_go_again(shaper: Shaper) -> None:
    shaper.message_wait("acme.example", "a", NOW)
    shaper.suspend("acme.example", "", FOREVER, "they called", "anna", now=NOW)

    assert shaper.message_wait("acme.example", "a", NOW + HOUR) == 900
    assert shaper.message_wait("acme.example", "new", NOW + 1000 * HOUR) == 900
    assert shaper.message_wait("b.example", "a", NOW) == 0
    (effect,) = shaper.effects(NOW + HOUR)
    assert (effect.author, effect.reply, effect.rule, effect.source) == ("anna", "they called", "by-hand", "")

    assert shaper.resume("acme.example", now=NOW + HOUR) == [effect]
    assert shaper.message_wait("acme.example", "a", NOW + HOUR) == 0
    assert shaper.resume("acme.example", now=NOW + HOUR) == []
    assert shaper.resume("never.example", now=NOW) == []


def test_a_resume_ends_what_rules_set_and_what_was_learned(shaper: Shaper) -> None:
    shaper.heard("google", "a", parse_reply(UNUSUAL), NOW)
    shaper.heard("yahoo", "a", TSS04, NOW)
    shaper.heard("yahoo", "b", TSS04, NOW)
    shaper.heard("acme.example", "a", BUSY, NOW)

    assert {effect.rule for effect in shaper.resume("google", now=NOW + 1)} == {"google"}
    assert [effect.source for effect in shaper.resume("yahoo", "a", now=NOW + 1)] == ["a"]
    assert [effect.rule for effect in shaper.resume("acme.example", now=NOW + 1)] == ["aimd"]

    assert [(effect.destination, effect.source) for effect in shaper.effects(NOW + 2)] == [("yahoo", "b")]
    assert shaper.message_wait("google", "a", NOW + 2) == 0
    assert shaper.message_wait("yahoo", "a", NOW + 2) == 0


def test_an_override_replaces_the_numbers_until_its_end(shaper: Shaper) -> None:
    def override(**numbers: float) -> None:
        shaper.override("tiny", "", **numbers, until=NOW + HOUR, why="agreed", author="anna", now=NOW)  # type: ignore[arg-type]

    override(connections=1, messages_per_minute=60)

    assert len(sent(shaper, "tiny", MINUTE)) in range(55, 61)
    assert shaper.open_wait("tiny", "a", NOW + HOUR - 1) == 0
    shaper.opened("tiny", "a", NOW + HOUR - 1)
    assert shaper.open_wait("tiny", "a", NOW + HOUR - 1) > 0
    assert shaper.resume("tiny", now=NOW + 1) == []
    assert {effect.kind.value for effect in shaper.effects(NOW + 1)} == {"connections", "rate"}
    override(connections=0)
    assert {effect.kind.value for effect in shaper.effects(NOW + 1)} == {"rate"}
    assert len(sent(shaper, "tiny", MINUTE, start=NOW + HOUR)) in (5, 6)


# ---- a restart, a reload ----

REPLIES = [
    TSS04,
    TSS05,
    TOO_FAST,
    BUSY,
    parse_reply(b"451 4.7.500 Server busy. Please try again later from [192.0.2.2]."),
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send"] * 6 + ["open", "open", "close", "hear", "stop", "go", "restart", "give back"]),
        st.sampled_from("ab"),
        st.floats(0, 40),
        st.sampled_from(REPLIES),
    ),
    max_size=120,
)


@given(steps=STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_no_limit_of_the_provider_is_exceeded(
    shaper: Shaper, steps: list[tuple[str, str, float, Reply]]
) -> None:
    now, times, dialled = NOW, {"a": list[float](), "b": list[float]()}, {"a": list[float](), "b": list[float]()}
    opened = {"a": 0, "b": 0}
    shaper, file = Shaper(shaper.providers), dict[str, bytes]()
    for what, source, pause, reply in steps:
        now += pause
        match what:
            case "send":
                for _ in range(12):
                    if wait := shaper.message_wait("tiny", source, now):
                        now += wait + 1e-6  # as early as may be
                    else:
                        times[source].append(now)
            case "give back" if shaper.message_wait("tiny", source, now) == 0:
                shaper.give_back("tiny", source)
            case "open" if shaper.open_wait("tiny", source, now) == 0:
                shaper.opened("tiny", source, now)
                opened[source] += 1
                dialled[source].append(now)
            case "close" if opened[source]:
                shaper.closed("tiny", source, now)
                opened[source] -= 1
            case "hear":
                shaper.heard("tiny", source, reply, now)
            case "stop":
                shaper.suspend("tiny", source, now + pause, "test", "anna", now=now)
            case "go":
                shaper.resume("tiny", source, now=now)
            case "restart":
                file |= dict(shaper.dirty())
                shaper, opened = Shaper(shaper.providers), {"a": 0, "b": 0}
                assert shaper.load((key, row) for key, row in file.items() if row) == 0
        assert max(opened.values()) <= 4
        assert sum(opened.values()) <= 5

    for source in "ab":
        assert most_within(times[source], MINUTE - 1e-3) <= 6
        assert most_within(dialled[source], MINUTE - 1e-3) <= 2


def restarted(shaper: Shaper, tmp_path: Path) -> Shaper:
    new = Shaper(load_providers(tmp_path / "mine.toml", Delivery()))
    assert new.load(shaper.dirty()) == 0
    return new


def test_what_is_in_force_survives_a_restart(shaper: Shaper, tmp_path: Path) -> None:
    shaper.heard("google", "a", parse_reply(UNUSUAL), NOW)
    shaper.heard("yahoo", "a", TSS04, NOW)
    shaper.heard("yahoo", "b", TSS05, NOW)
    shaper.heard("acme.example", "a", BUSY, NOW)
    shaper.suspend("down.example", "", NOW + 9 * HOUR, "they called", "anna", now=NOW)
    before = shaper.effects(NOW + 1)

    after = restarted(shaper, tmp_path)

    def key(effect: ShapingEffect) -> tuple[str, ...]:
        return effect.destination, effect.source, effect.kind.value

    assert sorted(after.effects(NOW + 1), key=key) == sorted(before, key=key)
    assert after.message_wait("google", "a", NOW + 1) == 599
    assert after.message_wait("yahoo", "a", NOW + 2 * HOUR - 1) == 1
    assert after.message_wait("down.example", "any", NOW + 9 * HOUR - 1) == 1
    assert [effect.rule for effect in after.heard("yahoo", "b", TSS05, NOW + 2)] == ["yahoo/tss05"]  # the second
    assert after.matched_at() == {"yahoo/ts04": NOW, "yahoo/tss05": NOW + 2, "default/deferred": NOW}
    assert after.since == NOW


def test_what_has_ended_is_forgotten_in_the_file_too(shaper: Shaper, tmp_path: Path) -> None:
    shaper.heard("yahoo", "a", TSS04, NOW)
    assert dict(shaper.dirty())["lane|yahoo|a"]
    assert shaper.dirty() == []

    shaper.opened("acme.example", "a", NOW + 3 * HOUR)

    assert dict(shaper.dirty())["lane|yahoo|a"] == b""


def test_an_unreadable_row_is_counted_and_the_others_are_read(shaper: Shaper, tmp_path: Path) -> None:
    shaper.heard("yahoo", "a", TSS04, NOW)
    rows = [*shaper.dirty(), ("lane|x|y", b"{"), ("rule|x/y", b'"no"')]
    new = Shaper(load_providers(tmp_path / "mine.toml", Delivery()))

    assert new.load(rows) == 2
    assert new.message_wait("yahoo", "a", NOW + 1) > 0


def test_a_new_table_is_taken_up_by_what_is_known_already(shaper: Shaper, tmp_path: Path) -> None:
    assert len(sent(shaper, "tiny", MINUTE)) == 5
    shaper.heard("yahoo", "a", TSS04, NOW)
    (tmp_path / "mine.toml").write_text(TABLE.replace('"6/min"', '"60/min"'))

    shaper.take_up(load_providers(tmp_path / "mine.toml", Delivery()))

    assert len(sent(shaper, "tiny", MINUTE, start=NOW + HOUR)) > 50
    assert shaper.message_wait("yahoo", "a", NOW + 1) > 0
    assert (shaper.tls_of("google"), shaper.tls_of("acme.example")) == ("required", "")


def test_memory_stays_bounded_and_what_counts_is_kept(shaper: Shaper) -> None:
    shaper.heard("yahoo", "a", TSS04, NOW)
    shaper.opened("open.example", "a", NOW)
    for number in range(45_000):
        shaper.message_wait(f"{number}.example", "a", NOW)

    assert len(shaper._lanes.places) <= 40_002
    assert shaper.message_wait("yahoo", "a", NOW + 1) > 0
    shaper.closed("open.example", "a", NOW)


def test_a_reply_that_is_no_failure_is_not_heard(shaper: Shaper) -> None:
    assert shaper.heard("yahoo", "a", Reply(354, "", "[TSS04] go on"), NOW) == []
