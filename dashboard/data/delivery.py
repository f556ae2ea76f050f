"""What the pages about delivery ask the relay: destinations, sources, pools, warm-up, mail that waits, suppressions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from analytics.learning.reliability import wilson
from dashboard.data import FRESH_SECONDS, SLOW_FRESH_SECONDS, WINDOWS, Reading, ask_relay, query, relay_queue
from relay.control.accounts.views import AccountView
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import PoolView, SourceView, WarmupView
from relay.control.shaping.views import DestinationView
from relay.control.suppression.views import SuppressionView
from relay.control.waiting.views import QueueView


@dataclass(frozen=True, slots=True)
class Waits:
    """Recipients that wait or are held for one destination, since when, and under which domains."""

    waiting: int = 0
    held: int = 0
    oldest_unix: float | None = None
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deferring:
    """A destination that puts off most of what it gets, and what waits for it."""

    destination: str
    deferred: int
    tries: int
    waits: Waits


_FEW_TRIES, _MOST = 30, 0.6  # one that greylists everything puts off half of the tries, and takes the second
_NO_QUEUE = QueueView(recipients=[], pauses=[])


def destinations() -> Reading[list[DestinationView]]:
    return ask_relay("destinations", lambda relay: relay.destinations(), [], FRESH_SECONDS)


def destination(name: str) -> DestinationView | None:
    """One that got no mail since the relay's start: a provider's limits are known all the same."""
    nothing: DestinationView | None = None
    return ask_relay(f"destination {name}", lambda relay: relay.destination(name), nothing).value


def pauses() -> Reading[QueueView]:
    """The pauses in force."""
    return ask_relay("pauses", lambda relay: relay.queued(limit=1), _NO_QUEUE)


def queued_by_site() -> dict[str, Waits]:
    """What waits by destination: the relay counts domains; those of one provider are one queue."""
    found: dict[str, Waits] = {}
    for row in relay_queue().value.get("destinations") or []:
        site = row.get("site") or row["destination"]
        known = found.get(site, Waits())
        oldest = [unix for unix in (known.oldest_unix, row.get("oldest_unix")) if unix]
        found[site] = Waits(
            known.waiting + row["waiting"],
            known.held + row["held"],
            min(oldest, default=None),
            (*known.domains, row["destination"]),
        )
    return found


def deferring() -> list[Deferring]:
    """Who puts off most of our mail now, in the last 15 minutes; the worst first."""
    figures = query("destination_figures", WINDOWS["15m"], limit=200, fresh_seconds=SLOW_FRESH_SECONDS)
    return worst(figures.value, queued_by_site())


def worst(figures: pd.DataFrame, queued: Mapping[str, Waits]) -> list[Deferring]:
    """Those that surely (97.5 %) put off more than 60 % of at least 30 tries, while mail waits for them.

    figures: destination str, tries and deferred int64, of some minutes.
    """
    found = [
        Deferring(str(row.destination), int(row.deferred), int(row.tries), waits)
        for row in figures.itertuples()
        if row.tries >= _FEW_TRIES
        and (waits := queued.get(str(row.destination), Waits())).waiting
        and wilson(int(row.deferred), int(row.tries))[0] > _MOST
    ]
    return sorted(found, key=lambda one: -one.waits.waiting)


def oldest(waits: Waits) -> datetime | None:
    """Since when the first of them waits."""
    return None if waits.oldest_unix is None else datetime.fromtimestamp(waits.oldest_unix, UTC)


def waits_at(destination: str) -> tuple[int, list[str]]:
    """How many recipients wait for a destination, and under which domains."""
    found = queued_by_site().get(destination, Waits())
    return found.waiting, list(found.domains)


def sources() -> Reading[list[SourceView]]:
    return ask_relay("sources", lambda relay: EgressCalls(relay).sources(), [])


def pools() -> Reading[list[PoolView]]:
    return ask_relay("pools", lambda relay: EgressCalls(relay).pools(), [])


def warmups() -> Reading[list[WarmupView]]:
    return ask_relay("warm-ups", lambda relay: EgressCalls(relay).warmups(), [])


def suppressions(
    account: str | None, address: str, reason: str, after: str, limit: int
) -> Reading[list[SuppressionView]]:
    """Rows in force; `account` "": those that hold for all, None: all. `after`: `account|address` of the last seen."""
    return ask_relay(
        f"suppressions {account} {address} {reason} {after} {limit}",
        lambda relay: relay.suppressions(account, address=address, reason=reason, after=after, limit=limit),
        [],
    )


def account_names() -> list[str]:
    """The accounts the reader sees."""
    none: list[AccountView] = []
    return [row.name for row in ask_relay("accounts", lambda relay: relay.accounts(), none).value]
