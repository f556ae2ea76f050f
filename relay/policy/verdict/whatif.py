"""What another policy would have made of the journal: verdicts that differ, counted by rule and by sender.

Reads files one after the other and keeps counts only. Must never change anything.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from relay.events import Judged, Reception, Rejection
from relay.files import still_there
from relay.policy.verdict.judge import Verdict
from relay.policy.verdict.replay import replay
from relay.settings import Policy

_KINDS = (b'{"kind":"Reception"', b'{"kind":"Rejection"')  # the first field of each line
_decode = msgspec.json.Decoder(Reception | Rejection).decode
_SENDERS_MAX = 100_000  # told apart; a flood of invented names must not fill the memory


@dataclass(frozen=True, slots=True)
class Difference:
    """From one action and rule to another."""

    action: str
    rule: str
    new_action: str
    new_rule: str


@dataclass(slots=True)
class Tally:
    """What was judged again. `unjudged`: refused before the verdict, or records of an earlier version."""

    judged: int = 0
    unjudged: int = 0
    unreadable: int = 0
    differences: Counter[Difference] = field(default_factory=Counter)
    senders: Counter[tuple[str, Difference]] = field(default_factory=Counter)

    @property
    def changed(self) -> int:
        return self.differences.total()

    def add(self, record: Judged, verdict: Verdict | None) -> None:
        if verdict is None:
            self.unjudged += 1
            return
        self.judged += 1
        if (verdict.action, verdict.rule) == (record.action, record.rule):
            return
        found = Difference(record.action, record.rule, verdict.action, verdict.rule)
        self.differences[found] += 1
        if (record.sender, found) in self.senders or len(self.senders) < _SENDERS_MAX:
            self.senders[record.sender, found] += 1


def files(journal_dir: Path, since: datetime) -> Sequence[Path]:
    """The relay's closed files that may have records since then, the archive's too, oldest first."""
    found = still_there(path for path in journal_dir.rglob("relay-*.jsonl") if path.parent.name != "aside")
    return sorted(path for path, state in found if state.st_mtime >= since.timestamp())


def look_again(path: Path, policy: Policy, since: datetime, tally: Tally) -> Iterator[int]:
    """Judge a file's records again, into `tally`; yields bytes read on the way."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # analytics has just merged it into the archive
        return
    with file:
        read = 0
        for line in file:
            read += len(line)
            if line.startswith(_KINDS):
                _look(line, policy, since, tally)
            if read >= 1_000_000:
                yield read
                read = 0
        yield read


def _look(line: bytes, policy: Policy, since: datetime, tally: Tally) -> None:
    try:
        record = _decode(line)
        if record.logged_at >= since:
            tally.add(record, replay(record, policy))
    except msgspec.DecodeError:  # a corrupt line is for ingestion to report
        tally.unreadable += 1
