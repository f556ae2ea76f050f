"""Runs scenarios over seeds: our policy, the worlds without their attack, and peers' rules on the same mail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.engine import play
from analytics.simulation.trial.mail import World
from analytics.simulation.trial.peers import peers_of
from analytics.simulation.trial.pure import MailweirPolicy
from analytics.simulation.trial.scenarios import Scenario
from analytics.simulation.trial.sheet import Sheet
from analytics.simulation.trial.summary import Summary, summed
from analytics.simulation.trial.wire import play_on_wire

Step = Callable[[str, float], None]  # what is played, and the share of it that is done


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play. `days`: another length of the worlds; `has_peers`: the peers too;
    `is_on_wire`: through the real relay instead of its policy alone."""

    seeds: Sequence[int]
    days: float | None = None
    has_peers: bool = False
    is_on_wire: bool = False


def run(scenario: Scenario, plan: Plan, bag: Bag, step: Step) -> list[Summary]:
    """Play a scenario: our summary first, then the peers'."""
    sheets: dict[str, list[Sheet]] = {}
    calm = []
    for at, seed in enumerate(plan.seeds):

        def tell(share: float, at: int = at, seed: int = seed) -> None:
            step(f"{scenario.name}, seed {seed}", (at + share) / len(plan.seeds))

        world = scenario.world(seed, bag, plan.days)
        if scenario.is_attack or plan.has_peers:
            world = _kept(world)
        found = _ours(world, plan, tell)
        sheets.setdefault(found.regulator, []).append(found)
        if scenario.is_attack:
            calm.append(_ours(_calm(world), plan))
        for peer in peers_of(world) if plan.has_peers else ():
            found = play(world, peer)
            sheets.setdefault(found.regulator, []).append(found)
        tell(1.0)
    return [
        summed(of_one, calm if number == 0 else (), is_attack=scenario.is_attack)
        for number, of_one in enumerate(sheets.values())
    ]


def _ours(world: World, plan: Plan, step: Callable[[float], None] | None = None) -> Sheet:
    return play_on_wire(world, step) if plan.is_on_wire else play(world, MailweirPolicy(world), step)


def _kept(world: World) -> World:
    """The world with its mail in memory, to be played more than once."""
    mails = list(world.mails())
    return replace(world, mails=lambda: iter(mails))


def _calm(world: World) -> World:
    """The same world in which nobody is abused."""
    mails = world.mails
    return replace(world, mails=lambda: (mail for mail in mails() if not mail.is_abusive))
