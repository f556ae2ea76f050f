"""Return paths that say what a bounce is about: what comes back is what went out, and nothing else is taken."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.verp import play
from relay.clock import SteppedClock
from relay.control.state.memory import State
from relay.delivery.verp import VALID_DAYS, Key, Keyring, Traced
from relay.front.address import parse_path
from tests.delivering import story

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DOMAIN = "bounce.shop.example"
DAY = timedelta(days=1)
RING = Keyring([Key(1, b"1" * 32, NOW - 10 * DAY)])
TRACED = Traced("mw1", 77, 3)

nodes = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=16)
traces = st.builds(Traced, nodes, st.integers(0, 2**63 - 1), st.integers(0, 65_535))


def flipped(text: str, places: list[int]) -> str:
    """The text with the case of these letters changed."""
    return "".join(sign.swapcase() if number in places else sign for number, sign in enumerate(text))


@given(traces, st.lists(st.integers(0, 80)), st.integers(0, VALID_DAYS))
def test_a_return_path_comes_back_in_any_case_within_its_time(traced: Traced, places: list[int], days: int) -> None:
    address = RING.return_path(traced, NOW, DOMAIN)

    assert RING.read(flipped(address, places), NOW + days * DAY) == traced
    assert traced.message_id == f"{traced.node}.{traced.number}"


@given(traces)
def test_a_return_path_is_an_address_whose_local_part_is_short_enough(traced: Traced) -> None:
    address = RING.return_path(traced, NOW, DOMAIN)

    assert parse_path(f"<{address}>", may_be_empty=False) == (address, {})
    assert len(address.partition("@")[0]) == 58


@given(st.integers(0, 57), st.characters(), traces)
def test_a_return_path_with_one_other_character_is_not_taken(place: int, sign: str, traced: Traced) -> None:
    address = RING.return_path(traced, NOW, DOMAIN)
    changed = address[:place] + sign + address[place + 1 :]

    expected = traced if changed.lower() == address and changed.isascii() else None
    assert RING.read(changed, NOW) == expected


@given(st.text())
def test_any_text_is_read_without_an_error_and_not_taken(text: str) -> None:
    assert RING.read(text, NOW) is None
    assert RING.read(f"{text}@{DOMAIN}", NOW) is None


def test_forged_and_altered_tokens_are_never_taken() -> None:
    figures = play(4_000)

    assert (figures["taken"], figures["known"]) == (0, figures["genuine"])


@pytest.mark.parametrize("domain", ["bounce.other.example", "shop.example", f"{DOMAIN}.", f"x.{DOMAIN}", ""])
def test_a_token_is_good_at_its_own_domain_only(domain: str) -> None:
    local = RING.return_path(TRACED, NOW, DOMAIN).partition("@")[0]

    assert RING.read(f"{local}@{domain}", NOW) is None
    assert RING.read(f"{local}@{DOMAIN.upper()}", NOW) == TRACED


def test_a_token_is_over_after_thirty_days_and_does_not_come_from_the_future() -> None:
    address = RING.return_path(TRACED, NOW, DOMAIN)
    midnight = NOW.replace(hour=0)

    assert RING.read(address, midnight + (VALID_DAYS + 1) * DAY - timedelta(seconds=1)) == TRACED
    assert RING.read(address, midnight + (VALID_DAYS + 1) * DAY) is None
    assert RING.read(address, midnight - 2 * DAY) is None


def test_another_keyring_takes_nothing() -> None:
    address = RING.return_path(TRACED, NOW, DOMAIN)

    assert Keyring([Key(1, b"2" * 32, NOW - 10 * DAY)]).read(address, NOW) is None  # the same id
    assert Keyring([Key(2, b"1" * 32, NOW - 10 * DAY)]).read(address, NOW) is None  # the same secret


def test_the_youngest_key_signs_and_the_older_one_verifies_for_thirty_days() -> None:
    old, new = Key(1, b"1" * 32, NOW - 90 * DAY), Key(2, b"2" * 32, NOW)
    both = Keyring([new, old])
    before, after = both.return_path(TRACED, NOW - DAY, DOMAIN), both.return_path(TRACED, NOW, DOMAIN)

    assert (Keyring([old]).read(before, NOW), Keyring([old]).read(after, NOW)) == (TRACED, None)
    assert Keyring([new]).read(after, NOW) == TRACED
    assert both.read(before, NOW + (VALID_DAYS - 1) * DAY) == TRACED
    late = Keyring([old]).return_path(TRACED, NOW + 20 * DAY, DOMAIN)  # the old key, where it should sign no longer
    assert both.read(late, NOW + 20 * DAY) == TRACED
    assert both.read(late, NOW + (VALID_DAYS + 1) * DAY) is None


def test_the_return_path_of_a_message_stays_when_a_younger_key_comes() -> None:
    old, new = Key(1, b"1" * 32, NOW - 90 * DAY), Key(2, b"2" * 32, NOW)
    received_at = NOW - timedelta(hours=5)

    first = Keyring([old]).return_path(TRACED, received_at, DOMAIN)

    assert Keyring([old, new]).return_path(TRACED, received_at, DOMAIN) == first


@story
async def test_keys_are_made_rotated_and_dropped_by_age(tmp_path) -> None:  # type: ignore[no-untyped-def]
    clock = SteppedClock(NOW)
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    state = await State.open(url, "mw1", clock)
    ids = []
    for days in (0, 89, 1, 30, 1, 59):
        clock.advance(days * 86_400)
        ids.append([key.id for key in await state.verp_keys(90 * DAY)])
    audited = [entry.command for entry in await state.audit_log(10)]
    kept = await state.verp_keys(90 * DAY)
    await state.close()
    again = await State.open(url, "mw2", clock)
    shared = await again.verp_keys(90 * DAY)
    await again.close()

    assert ids == [[1], [1], [1, 2], [1, 2], [2], [2, 3]]
    assert audited == ["verp.rotate"] * 2
    assert shared == kept  # another node on the same state signs with the same ones
    assert len({key.secret for key in kept}) == 2
    assert "secret" not in repr(kept)
