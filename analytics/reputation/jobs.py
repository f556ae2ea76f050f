"""The jobs of reputation: count, score, keep, and tell the relay what follows."""

import time
from collections.abc import Callable

from analytics.jobs import Job
from analytics.reputation.bands import BandPublisher
from analytics.reputation.multiplier import publish
from analytics.reputation.parts import refresh
from analytics.reputation.run import compute, compute_parts
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.control.client import ControlClient
from relay.settings import Settings

_PARTS_SECONDS = 300.0
_CATCH_UP_SECONDS = 20.0  # after a rebuild; the rest waits for the next run


def reputation_jobs(
    settings: Settings, warehouse: Warehouse, clock: Clock, relay: Callable[[], ControlClient]
) -> list[Job]:
    """Of senders, accounts and addresses; and, rarer as they are many, of domains, pools and addresses by provider."""
    bands = BandPublisher(warehouse, relay)

    def reputation() -> str:
        now = clock.now()
        entities = compute(warehouse, now)
        return f"{entities} entities, {publish(warehouse, relay, now)} decisions"

    def parts() -> str:
        now = clock.now()
        began = time.monotonic()
        while (left := refresh(warehouse, settings.policy, now)) and time.monotonic() - began < _CATCH_UP_SECONDS:
            pass  # a day a round, 0.1 s each: ingestion gets in between
        entities = compute_parts(warehouse, now)
        low = bands.publish(now)
        return f"{entities} entities, {low} addresses low" + (f", {left} hours wait" if left else "")

    return [
        Job("reputation", settings.analytics.reputation_seconds, reputation),
        Job("reputation_parts", _PARTS_SECONDS, parts),
    ]
