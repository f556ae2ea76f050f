"""Bounces and replies of real servers: how many are read rightly, by halves of their origins, and how fast.

python -m bench.bounces CORPORA

CORPORA: the folder with bounces/ and replies/. Origins (the server family a file is named after) fall into two halves
by the hash of their name. Rules and readers were written on half A; half B was read only after its first figures stood
(RESULTS.md gives both). Speed: CPU of one process, each text once.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from analytics.reports.reading import read
from analytics.reports.report import BounceReport
from analytics.reports.verdict import coarse, judge

_SAME = {
    "aol": "yahoo",
    "exchange2007": "exchange",
    "microsoft": "exchange",
    "googleworkspace": "gsuite",
    "newmailru": "mailru",
}


def half(file: str) -> str:
    """Return A or B: which half the origin of a file belongs to."""
    source, _, rest = Path(file).stem.partition("__")
    if not source.startswith("neg"):
        rest = re.sub(r"[-_]?\d+(-\d+)*$", "", re.sub(r"^(lhost|rhost)-", "", rest)).split(".")[0]
        rest = (
            re.sub(r"[-_.].*", "", rest) if source == "kumo" else source if source in ("mail", "parsedmarc") else rest
        )
        family = _SAME.get(rest, rest)
    else:
        family = Path(file).stem
    return "AB"[hashlib.sha256(f"mailweir:{family}".encode()).digest()[0] & 1]


def figures(folder: Path) -> dict[str, Counter[str]]:
    """Return counts by half: x and x_of for bounce, recipient, original, category, identity; false alarms."""
    counts: dict[str, Counter[str]] = {"A": Counter(), "B": Counter()}
    for line in (folder / "expected.jsonl").read_text().splitlines():
        row = json.loads(line)
        report = read((folder / row["file"]).read_bytes())
        count = counts[half(row["file"])]
        if row["kind"] == "bounce":
            _count(count, row, report if isinstance(report, BounceReport) else None)
        else:
            count[f"{row['kind']}_of"] += 1
            count[row["kind"]] += isinstance(report, BounceReport)
    return counts


def _count(count: Counter[str], row: dict[str, Any], report: BounceReport | None) -> None:
    count["bounce_of"] += 1
    count["bounce"] += report is not None
    failures = {one.recipient.lower(): one for one in report.failures} if report else {}
    wanted = [entry for entry in row["reports"] if entry["recipient"]]
    accepted = [{name.lower() for name in entry["recipient_ok"]} for entry in wanted]
    if wanted:
        count["recipient_of"] += 1
        count["recipient"] += all(names & set(failures) for names in accepted) and set(failures) <= set().union(
            *accepted
        )
    for entry, names in zip(wanted, accepted, strict=True):
        found = next((failures[name] for name in names if name in failures), None)
        if len(names) > 1:
            count["original_of"] += 1
            count["original"] += found is not None and found.recipient.lower() == entry["recipient"].lower()
        if entry["category_ok"]:
            count["category_of"] += 1
            count["category"] += found is not None and found.coarse in entry["category_ok"]
    if row["original_message_id"]:
        count["identity_of"] += 1
        count["identity"] += (
            report is not None and report.returned.message_id.lower() == row["original_message_id"].lower()
        )


def _speed(corpora: Path) -> tuple[float, float]:
    """Return bounces and reply lines per second of CPU."""
    rows = [json.loads(line) for line in (corpora / "bounces" / "expected.jsonl").read_text().splitlines()]
    mails = [(corpora / "bounces" / row["file"]).read_bytes() for row in rows if row["kind"] == "bounce"]
    lines = [json.loads(line)["text"] for line in (corpora / "replies" / "dev.jsonl").read_text().splitlines()]
    judge.cache_clear()
    started = time.process_time()
    for mail in mails:
        read(mail)
    between = time.process_time()
    for number in range(40):
        for text in lines:
            judge(f"{text} {number}")  # no cache knows it
    return len(mails) / (between - started), 40 * len(lines) / (time.process_time() - between)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    corpora = parser.parse_args().corpora
    counts = figures(corpora / "bounces")
    counts["all"] = counts["A"] + counts["B"]
    print("| | half A | half B | all |\n|---|---|---|---|")
    for name in ("bounce", "recipient", "original", "category", "identity", "other", "auto-reply", "dsn-success"):
        cells = [f"{counts[part][name]}/{counts[part][name + '_of']}" for part in ("A", "B", "all")]
        print(f"| {name} | {' | '.join(cells)} |")
    for path in sorted((corpora / "replies").glob("*.jsonl")):
        print(f"replies of {path.name}: {_replies(path)}")
    bounces, lines = _speed(corpora)
    print(f"{bounces:.0f} bounces/s, {lines:.0f} reply lines/s of CPU")
    return 0


def _replies(path: Path) -> str:
    """Say how many lines are judged rightly, and the mean of the classes' shares."""
    right: dict[str, list[bool]] = {}
    for row in map(json.loads, path.read_text().splitlines()):
        right.setdefault(row["category"], []).append(coarse(judge(row["text"])) in row["category_ok"])
    every = [one for of_class in right.values() for one in of_class]
    mean = sum(sum(of_class) / len(of_class) for of_class in right.values()) / len(right)
    return f"{sum(every)}/{len(every)}, mean over classes {mean:.1%}"


if __name__ == "__main__":
    sys.exit(main())
