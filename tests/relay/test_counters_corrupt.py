"""Rows of counters.sqlite whose bytes have changed on disk: they are counted and left out, and the relay starts."""

from collections.abc import Callable, Iterable

import msgspec
import pytest

from relay.delivery.egress.ip_states import IpStates
from relay.delivery.egress.plan import load_plan
from relay.delivery.egress.progress import Progress
from relay.delivery.egress.warmup import WarmUp
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.delivery.tls.mta_sts import Mode, Policy
from relay.delivery.tls.mta_sts_cache import KnownPolicy, Policies
from relay.policy.signals.counters import Source
from relay.settings import Delivery

NOW = 1_700_000_000.0
EACH_BYTE = (0x00, 0x7F, 0x9F, 0xC0, 0xFF)


def _shaper() -> Shaper:
    return Shaper(load_providers(None, Delivery()))


def _suspended() -> Shaper:
    shaper = _shaper()
    shaper.suspend("google", "one", NOW + 60, "why", "ops", now=NOW)
    return shaper


def _warming() -> WarmUp:
    warmup = WarmUp(load_plan())
    warmup.take("one", "google", NOW)
    warmup.set_stage("one", "google", 2, NOW)
    return warmup


def _resting() -> IpStates:
    states = IpStates()
    states.blocked("one", "google", NOW)
    return states


def _known() -> Policies:
    policies = Policies()
    policies.put("d.example", KnownPolicy("1", NOW, Policy(Mode.ENFORCE, 86_400, ("mx.d.example",))))
    return policies


MADE: list[tuple[Callable[[], Source], Callable[[], Source]]] = [
    (_suspended, _shaper),
    (_warming, lambda: WarmUp(load_plan())),
    (_resting, IpStates),
    (_known, Policies),
]


def _broken(row: bytes) -> Iterable[bytes]:
    for at in range(len(row)):
        yield row[:at]
        for byte in EACH_BYTE:
            yield row[:at] + bytes([byte]) + row[at + 1 :]


@pytest.mark.parametrize(("full", "empty"), MADE, ids=["shaping", "warmup", "ip_states", "mta_sts"])
def test_no_changed_byte_of_a_row_stops_the_start(full: Callable[[], Source], empty: Callable[[], Source]) -> None:
    unreadable = 0

    for key, row in full().dirty():
        unreadable += sum(empty().load([(key, broken)]) or 0 for broken in _broken(row))

    assert unreadable > 10


def test_a_plan_on_a_stage_that_there_is_not_is_unreadable() -> None:
    row = msgspec.msgpack.encode(Progress(stage=-40))

    assert WarmUp(load_plan()).load([("one|google", row)]) == 1
