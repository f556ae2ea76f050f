"""Power loss after every single step of a run: writes, fsyncs, renames, deletions and commits, three disks each.

python -m bench.power --messages 40
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from tests.power import disks
from tests.relay.test_spool_power import check, story


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=40)
    options = parser.parse_args()
    count = 0
    with tempfile.TemporaryDirectory(prefix="mailweir-power-") as name:
        recorder = story(Path(name) / "run", options.messages)
        for moment, survival, folder in disks(recorder.steps, Path(name) / "states", range(len(recorder.steps) + 1)):
            check(moment, survival, folder, recorder)
            shutil.rmtree(folder)
            count += 1
    print(json.dumps({"messages": options.messages, "steps": len(recorder.steps), "disks": count, "lost": 0}))


if __name__ == "__main__":
    main()
