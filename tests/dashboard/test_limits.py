"""What a destination may get: an operator's word replaces the table's number, rules only lower it."""

from datetime import UTC, datetime, timedelta

from dashboard.components.limits import Limit, by_hand, in_words, limits, stop
from relay.control.shaping.views import DestinationView, EffectView
from relay.delivery.shaping.rules import Kind

NOW = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)


def effect(kind: str, value: float = 0, source: str = "", author: str = "", hours: float | None = 1) -> EffectView:
    return EffectView(
        destination="yahoo",
        source=source,
        kind=kind,
        value=value,
        rule="by-hand" if author else "yahoo/ts04",
        reply="slow down",
        since_at=NOW,
        until_at=None if hours is None else NOW + timedelta(hours=hours),
        author=author,
        blames="",
    )


def view(*effects: EffectView) -> DestinationView:
    return DestinationView(
        destination="yahoo",
        provider="yahoo",
        connections=5,
        connections_total=None,
        messages_per_connection=20,
        messages_per_minute=None,
        connections_per_minute=None,
        tls="",
        manners="aimd",
        effects=list(effects),
    )


def found(seen: DestinationView, words: str) -> list[Limit]:
    return [row for row in limits(seen) if row.words == words]


def test_a_number_set_by_hand_is_found_for_its_own_source_and_a_rule_s_is_not() -> None:
    effects = [effect("connections", 2, author="ann"), effect("connections", 1), effect("rate", 9, "out1", "ann")]

    assert by_hand(effects, Kind.CONNECTIONS, "") == 2
    assert by_hand(effects, Kind.CONNECTIONS, "out1") is None
    assert [by_hand(effects, Kind.RATE, source) for source in ("", "out1")] == [None, 9]


def test_without_effects_every_limit_is_the_tables() -> None:
    rows = limits(view())

    assert [row.now for row in rows] == [row.configured for row in rows] == [5, None, 20, None]
    assert all(row.effect is None for row in rows)


def test_a_rule_lowers_one_sources_number_and_leaves_the_others() -> None:
    everybody, out2 = found(view(effect("connections", 1, "out2")), "connections at once")

    assert (everybody.source, everybody.now) == ("", 5)
    assert (out2.source, out2.now, out2.configured) == ("out2", 1, 5)
    assert out2.effect is not None


def test_an_operators_word_goes_over_the_table_but_not_over_a_lower_rule() -> None:
    over, under = effect("connections", 9, author="olga"), effect("connections", 2)

    assert [row.now for row in found(view(over), "connections at once")] == [9]
    assert [row.now for row in found(view(over, under), "connections at once")] == [2]
    assert [row.now for row in found(view(effect("rate", 60)), "messages a minute")] == [60]


def test_a_stop_of_all_sources_is_told_before_that_of_one() -> None:
    of_one, of_all = effect("suspend", source="out2", hours=9), effect("suspend", hours=1)

    assert stop(view(of_one, of_all)) is of_all
    assert stop(view(effect("connections", 1))) is None
    assert in_words([of_one, of_one]) == "stopped from out2"
