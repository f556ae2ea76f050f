"""The warm-up plan as data: stages and the providers' parts of them, from rules/warmup.toml."""

import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

OTHERS = "others"  # the plan of all destinations that have none of their own


@dataclass(frozen=True, slots=True)
class Plan:
    """Messages a day per stage, and each provider's part of them."""

    stages: Sequence[int]
    shares: Mapping[str, float]

    def provider_of(self, destination: str) -> str:
        return destination if destination in self.shares else OTHERS

    def quota(self, stage: int, destination: str) -> int:
        """Messages a day to this destination's provider in a stage, counted from 1; at least 1."""
        share = self.shares[self.provider_of(destination)]
        return max(1, round(self.stages[min(stage, len(self.stages)) - 1] * share))


@cache
def load_plan() -> Plan:
    """Read the packaged plan. Raises ValueError for one that cannot work."""
    text = importlib.resources.files("relay.rules").joinpath("warmup.toml").read_text("utf-8")
    values = tomllib.loads(text)
    plan = Plan(tuple(values["stages"]), dict(values["shares"]))
    if list(plan.stages) != sorted(set(plan.stages)) or not plan.stages or plan.stages[0] < 1:
        raise ValueError("warmup.toml: stages must grow, from 1 on")
    if OTHERS not in plan.shares or not all(0 < share <= 1 for share in plan.shares.values()):
        raise ValueError("warmup.toml: shares must lie in (0, 1], and one of them is `others`")
    return plan
