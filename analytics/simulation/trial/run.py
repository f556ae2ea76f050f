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

Step = Callable[[str, float], None]  # what is played, and the share of it that is done


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play. `days`: another length of the worlds; `has_peers`: the peers too."""

    seeds: Sequence[int]
    days: float | None = None
    has_peers: bool = False


def run(scenario: Scenario, plan: Plan, bag: Bag, step: Step) -> list[Summary]:
    """Play a scenario in the pure policy: our summary first, then the peers'."""
    sheets: dict[str, list[Sheet]] = {}
    calm = []
    for at, seed in enumerate(plan.seeds):

        def tell(share: float, at: int = at, seed: int = seed) -> None:
            step(f"{scenario.name}, seed {seed}", (at + share) / len(plan.seeds))

        world = scenario.world(seed, bag, plan.days)
        found = play(world, MailweirPolicy(world), tell)
        sheets.setdefault(found.regulator, []).append(found)
        if scenario.is_attack:
            without = _calm(scenario.world(seed, bag, plan.days))
            calm.append(play(without, MailweirPolicy(without)))
        for number in range(len(peers_of(world)) if plan.has_peers else 0):
            again = scenario.world(seed, bag, plan.days)  # its mail can be read once
            found = play(again, peers_of(again)[number])
            sheets.setdefault(found.regulator, []).append(found)
        tell(1.0)
    return [
        summed(of_one, calm if number == 0 else (), is_attack=scenario.is_attack)
        for number, of_one in enumerate(sheets.values())
    ]


def _calm(world: World) -> World:
    """The same world in which nobody is abused."""
    mails = world.mails
    return replace(world, mails=lambda: (mail for mail in mails() if not mail.is_abusive))
