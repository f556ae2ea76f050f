"""The worlds by name."""

from collections.abc import Callable
from dataclasses import dataclass

from analytics.simulation.trial import attacks, honest
from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.mail import World


@dataclass(frozen=True, slots=True)
class Scenario:
    """How to make a world of a seed. `build` takes the seed, the texts and optionally the days."""

    name: str
    build: Callable[..., World]
    is_attack: bool

    @property
    def about(self) -> str:
        return (self.build.__doc__ or "").strip()

    def world(self, seed: int, bag: Bag, days: float | None = None) -> World:
        return self.build(seed, bag) if days is None else self.build(seed, bag, days)


_HONEST = (
    honest.transactional,
    honest.newsletter,
    honest.small_shop,
    honest.forwarder,
    honest.university,
    honest.monthly_invoices,
    honest.new_customer,
    honest.seasonal_spike,
    honest.migration,
)
_ATTACKS = (
    attacks.hijacked_mailbox,
    attacks.hacked_plugin,
    attacks.one_text,
    attacks.list_bomb,
    attacks.credential_test,
    attacks.snowshoe,
    attacks.hijacked_crowd,
    attacks.slow_drip,
    attacks.pretty_phish,
    attacks.stolen_key,
    attacks.complaints,
    attacks.bought_list,
)
SCENARIOS = {
    build.__name__.replace("_", "-"): Scenario(build.__name__.replace("_", "-"), build, build in _ATTACKS)
    for build in (*_HONEST, *_ATTACKS)
}
