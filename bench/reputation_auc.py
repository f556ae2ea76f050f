"""How early and how sharply reputation tells abused senders from honest ones, against rspamd's formula.

Every world with an attack is played without anything that stops it: what the slow loop alone would see. At hours after
the attack's beginning all senders of the world are scored by analytics/reputation and by rspamd's moving average
(rspamd's plugin `reputation`: alpha = 1 - exp(-dt / 30 d), tanh(average / 15 * 1.83178 - 0.5493), silent below ten
messages); its message score is -1 + 13 p, between a clean mail and a clear spam.

    python -m bench.reputation_auc --seeds 2
"""

import argparse
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from scipy.stats import rankdata

from analytics.ingesting import counting
from analytics.reputation.run import compute
from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.mail import DAY, Mail, World
from analytics.simulation.trial.scenarios import SCENARIOS
from analytics.warehouse import Connection, Warehouse
from relay.settings import Policy

HOURS = (0, 1, 3, 6, 12, 24, 47)
_SOURCE = "192.0.2.1"
_REJECT, _SILENT_BELOW, _TIME_CONSTANT = 15.0, 10, 30 * DAY
_RSPAMD_BANDS = ((-1.0, -0.5), (-0.5, 0.0), (0.0, 0.5), (0.5, 1.01))
_MINUTE = 60
_NOBODY: dict[str, Any] = {"score": 100.0, "band": "unknown", "signals": "[]"}


@dataclass(slots=True)
class Average:
    """rspamd's moving average of one sender."""

    value: float = 0.0
    at: float = 0.0
    seen: int = 0

    def add(self, score: float, at: float) -> None:
        alpha = 1.0 if not self.seen else 1 - math.exp(-(at - self.at) / _TIME_CONSTANT)
        self.value += alpha * (score - self.value)
        self.at, self.seen = at, self.seen + 1

    @property
    def reputation(self) -> float:
        """Worse is higher; a sender it is silent about is as good as can be."""
        return math.tanh(self.value / _REJECT * 1.83178 - 0.5493) if self.seen >= _SILENT_BELOW else -1.0


@dataclass(slots=True)
class Judged:
    """What both say of one sender at one hour. `ours`: 100 - score; `signal` cost most of it, "" for nothing."""

    world: str
    hours: int
    is_abused: bool
    ours: float
    band: str
    signal: str
    theirs: float


@dataclass(slots=True)
class Counting:
    """The minutes of a world as rollup_minute has them."""

    policy: Policy
    rows: dict[tuple[int, str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, mail: Mail) -> None:
        score = mail.text.score
        sent = self._at(mail.at, mail)
        sent["accepted"] += 1
        sent["scored"] += 1
        sent["spam"] += 2 if score >= self.policy.hold_score else score >= self.policy.suspect_score
        done = mail.at + mail.latency
        late = mail.reported_after or 0.0
        if mail.is_dead:
            bounced = self._at(done + late, mail)
            bounced["bounced"] += 1
            bounced["hard_bounced"] += 1
            return
        self._at(done, mail)["delivered"] += 1
        if mail.reported_after is not None:
            self._at(done + late, mail)["complaints"] += 1

    def _at(self, instant: float, mail: Mail) -> Counter[str]:
        return self.rows[int(instant // _MINUTE) * _MINUTE, mail.actor.account.name, mail.actor.key]

    def table(self) -> pa.Table:
        names = ("accepted", "scored", "delivered", "bounced", "hard_bounced", "complaints")
        keys, counts = list(self.rows), list(self.rows.values())
        return pa.table(
            {
                "minute": pa.array([datetime.fromtimestamp(key[0], UTC) for key in keys], pa.timestamp("us", "UTC")),
                "account": [key[1] for key in keys],
                "reseller": [""] * len(keys),
                "sender": [key[2] for key in keys],
                "source": [_SOURCE] * len(keys),
                "spam": [one["spam"] / 2 for one in counts],
                **{name: [one[name] for one in counts] for name in names},
            }
        )


def judge(world: World, label: str, folder: Path) -> Iterator[Judged]:
    """Play a world to its end, then score its senders at each hour."""
    counting, averages = Counting(Policy()), defaultdict[str, Average](Average)
    snapshots: dict[int, dict[str, float]] = {}
    due = [hours for hours in HOURS if world.attack_at + hours * 3600 <= world.end]
    for mail in world.mails():
        while due and mail.at > world.attack_at + due[0] * 3600:
            snapshots[due.pop(0)] = {key: one.reputation for key, one in averages.items()}
        counting.add(mail)
        averages[mail.actor.key].add(-1 + 13 * mail.text.score, mail.at)
    for hours in due:
        snapshots[hours] = {key: one.reputation for key, one in averages.items()}
    warehouse = Warehouse.open(folder / f"{label}.duckdb", folder / "journal")
    try:
        _fill(warehouse, counting.table())
        for hours, theirs in snapshots.items():
            # not the minute that begins now: its counts are of what comes
            compute(warehouse, datetime.fromtimestamp(world.attack_at + hours * 3600 - 1, UTC))
            found = "SELECT entity, score, band, signals FROM reputation_now WHERE entity_kind = 'sender'"
            ours = {row["entity"]: row for row in warehouse.table(found).to_pylist()}
            for key, value in theirs.items():
                row = ours.get(key, _NOBODY)
                costs = [one for one in msgspec.json.decode(row["signals"]) if one["points"] > 0]
                signal = costs[0]["signal"] if costs else ""
                yield Judged(world.name, hours, key in world.abused, 100 - row["score"], row["band"], signal, value)
    finally:
        warehouse.close()


def auc(bad: list[float], good: list[float]) -> float:
    """The chance that an abused sender looks worse than an honest one; a tie is half (Mann and Whitney)."""
    if not bad or not good:
        return math.nan
    ranks = rankdata([*bad, *good])
    return float((ranks[: len(bad)].sum() - len(bad) * (len(bad) + 1) / 2) / (len(bad) * len(good)))


def report(found: list[Judged]) -> Iterator[str]:
    yield "| hours of attack | abused, honest | AUC ours | AUC rspamd | abused poor or bad | honest poor or bad |"
    yield "|---|---|---|---|---|---|"
    for hours in HOURS:
        now = [one for one in found if one.hours == hours]
        bad, good = [one for one in now if one.is_abused], [one for one in now if not one.is_abused]
        if not bad:
            continue
        ours, theirs = (
            auc([getattr(one, name) for one in bad], [getattr(one, name) for one in good])
            for name in ("ours", "theirs")
        )
        yield (f"| {hours} | {len(bad)}, {len(good)} | {ours:.3f} | {theirs:.3f} | {_share(bad)} | {_share(good)} |")
    yield ""
    last = [one for one in found if one.hours == 24]
    yield "| at 24 h | senders | abused |"
    yield "|---|---|---|"
    for band in ("good", "fair", "poor", "bad", "unknown"):
        yield _row(band, [one for one in last if one.band == band])
    for low, high in _RSPAMD_BANDS:
        within = [one for one in last if low <= one.theirs < high]
        yield _row(f"rspamd {low:g} to {min(high, 1):g}", within)
    low = Counter(one.signal for one in last if not one.is_abused and one.band in ("poor", "bad"))
    yield ""
    yield f"Honest ones poor or bad at 24 h, by what cost most: {dict(low.most_common())}"
    yield ""
    yield "| world | AUC ours at 1, 6, 24 h | AUC rspamd |"
    yield "|---|---|---|"
    for world in dict.fromkeys(one.world for one in found):
        figures = []
        for name in ("ours", "theirs"):
            of_hours = []
            for hours in (1, 6, 24):
                mine = [one for one in found if one.world == world and one.hours == hours]
                split = [[getattr(one, name) for one in mine if one.is_abused is flag] for flag in (True, False)]
                of_hours.append(f"{auc(*split):.2f}")
            figures.append(", ".join(of_hours))
        yield f"| {world} | {figures[0]} | {figures[1]} |"


def _share(some: list[Judged]) -> str:
    known = [one for one in some if one.band != "unknown"]
    low = sum(one.band in ("poor", "bad") for one in known)
    return f"{low} of {len(known)} known" if known else "none known"


def _row(name: str, within: list[Judged]) -> str:
    abused = sum(one.is_abused for one in within)
    return f"| {name} | {len(within)} | {abused} ({abused / len(within):.0%}) |" if within else f"| {name} | 0 | |"


def _fill(warehouse: Warehouse, table: pa.Table) -> None:
    def write(connection: Connection) -> None:
        connection.register("minutes", table)
        counting.begin(connection)
        connection.execute("INSERT INTO counted BY NAME FROM minutes")
        counting.spread(connection)
        connection.unregister("minutes")

    warehouse.write(write).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--worlds", nargs="*", default=[name for name, one in SCENARIOS.items() if one.is_attack])
    parser.add_argument("--corpus", type=Path, help="real mail instead of our templates")
    given = parser.parse_args()
    bag, found = Bag(corpus=given.corpus), list[Judged]()
    with tempfile.TemporaryDirectory(prefix="mailweir-auc-") as folder:
        for name in given.worlds:
            for seed in range(1, given.seeds + 1):
                found += judge(SCENARIOS[name].world(seed, bag), f"{name}-{seed}", Path(folder))
                print(f"{name}, seed {seed} done", flush=True)
    print("\n".join(report(found)))


if __name__ == "__main__":
    main()
