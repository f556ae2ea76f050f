"""The containment table: every world of `mailweir simulate`, 20 seeds, our policy beside peers' rules.

    python -m bench.containment FOLDER --corpus FOLDER_OF_CORPUS [--seeds 20]     plays what FOLDER does not have yet
    python -m bench.containment FOLDER --table                                    prints the tables of what is there
    python -m bench.containment FOLDER --plot docs/pictures/containment.svg       draws them

One file for each world, so that a run that was broken off goes on where it was.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.cli import corpus_file
from analytics.simulation.trial.run import Plan, run
from analytics.simulation.trial.scenarios import SCENARIOS
from analytics.simulation.trial.summary import Summary
from bench.containment_picture import draw
from bench.containment_tables import tables


class Run(msgspec.Struct, frozen=True):
    """What a file holds."""

    seconds: float
    model: str
    summaries: list[Summary]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[*SCENARIOS], help="these worlds, in this order")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.table or args.plot:
        summaries = [one for kept in _kept(args.folder) for one in kept.summaries]
        if args.plot:
            args.plot.write_text(draw(summaries))
        print("\n".join(tables(summaries)))
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    bag = Bag(corpus=corpus_file(args.corpus) if args.corpus else None)
    for name in args.only:
        path = args.folder / f"{name}.msgpack"
        if not path.exists():
            path.write_bytes(msgspec.msgpack.encode(_played(name, range(1, args.seeds + 1), bag)))


def _played(name: str, seeds: range, bag: Bag) -> Run:
    began = time.process_time()
    scenario = SCENARIOS[name]
    summaries = run(scenario, Plan(seeds, has_peers=scenario.is_attack), bag, lambda what, share: None)
    spent = time.process_time() - began
    print(f"{name}: {spent:.0f} s of CPU", file=sys.stderr, flush=True)
    return Run(spent, bag.model_id, summaries)


def _kept(folder: Path) -> list[Run]:
    order = {name: at for at, name in enumerate(SCENARIOS)}
    files = sorted(folder.glob("*.msgpack"), key=lambda path: order.get(path.stem, len(order)))
    return [msgspec.msgpack.decode(path.read_bytes(), type=Run) for path in files]


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
