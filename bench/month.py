"""A month of a world through the real relay by SMTP, beside the same mail judged by the policy alone.

python -m bench.month monthly-invoices hacked-plugin --days 30 --seed 1

Prints, for each world, both score sheets, where they differ, and the minutes that the real path took.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import msgspec

from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.engine import play
from analytics.simulation.trial.mail import World
from analytics.simulation.trial.pure import MailweirPolicy
from analytics.simulation.trial.scenarios import SCENARIOS
from analytics.simulation.trial.sheet import Sheet
from analytics.simulation.trial.wire import play_on_wire


def main() -> int:
    reads = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reads.add_argument("worlds", nargs="+", choices=sorted(SCENARIOS))
    reads.add_argument("--days", type=float, default=30.0)
    reads.add_argument("--seed", type=int, default=1)
    asked = reads.parse_args()
    bag = Bag()
    for name in asked.worlds:
        world = _kept(SCENARIOS[name].world(asked.seed, bag, asked.days))
        pure = play(world, MailweirPolicy(world))
        began, load = time.monotonic(), os.getloadavg()[0]
        on_wire = play_on_wire(world, lambda share: print(f"{share:7.1%}", end="\r", file=sys.stderr))
        told = {
            "world": name,
            "seed": asked.seed,
            "days": asked.days,
            "minutes": round((time.monotonic() - began) / 60, 1),
            "load": [round(load, 1), round(os.getloadavg()[0], 1)],
            "differs": {key: [one, other] for key, one, other in _differences(on_wire, pure)},
            "on_wire": asdict(on_wire),
            "pure": asdict(pure),
        }
        print(msgspec.json.encode(told).decode(), flush=True)
    return 0


def _kept(world: World) -> World:
    mails = list(world.mails())
    return replace(world, mails=lambda: iter(mails))


def _differences(on_wire: Sheet, pure: Sheet) -> Iterator[tuple[str, Any, Any]]:
    """Yield what is not the same: its name, on the wire, in the pure policy."""
    for part in ("abuse", "innocent", "pauses"):
        one, other = (asdict(sheet)[part] for sheet in (on_wire, pure))
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                yield f"{part}.{key}", one.get(key), other.get(key)


if __name__ == "__main__":
    sys.exit(main())
