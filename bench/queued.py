"""A long queue: how soon is the relay there again, and how much memory does it take?

    python -m bench.queued --messages 200000 --recipients 5 --lanes 5000

Builds an index and segments as a relay would leave them: half of all recipients in one lane, all due in an hour, the
last few thousand fresh. Then starts the real relay without a model and measures from exec to a listening door, memory
of main once the queue was read, and what /metrics and /v1/queue cost.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path

from relay.control.client import ControlClient
from relay.running.ports import is_open
from relay.spool import index
from relay.spool.entry import Flags, SpooledMessage, message_row
from relay.spool.segments import Place
from tests.builders import Installation

_SIZE, _RECORD = 500, b'{"kind":"x"}\n'
_PREFIX = b"Received: from relay.example\r\n" * 23  # 700 bytes
_PER_SEGMENT = 20_000
_FRESH = 2_000


def build(folder: Path, messages: int, recipients: int, lanes: int) -> None:
    """Fill a spool folder."""
    folder.mkdir(parents=True)
    content = b"x" * _SIZE
    for start in range(0, messages, _PER_SEGMENT):
        (folder / f"{start // _PER_SEGMENT + 1:08d}.seg").write_bytes(
            (content + _RECORD) * min(_PER_SEGMENT, messages - start)
        )
    connection = index.connect(folder / "index.sqlite")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    names = [(n + 1, f"acme|x-authuser|u{n % 500}", f"d{n}.example") for n in range(lanes)]
    connection.executemany("INSERT INTO lane VALUES (?, ?, ?)", names)
    crc, now = zlib.crc32(content), time.time()
    index.insert_messages(
        connection, (message_row(_message(n, recipients, crc, names[_lane(n, lanes)][1]), 0) for n in range(messages))
    )
    index.insert_recipients(
        connection,
        (
            (
                1 + n * recipients + k,
                1 + n * recipients,
                1 + _lane(n, lanes),
                f"r{n}.{k}@example",
                None if n >= messages - _FRESH else now + 3600,
                1,
                0,
                "",
                None,
            )
            for n in range(messages)
            for k in range(recipients)
        ),
    )
    connection.execute(
        "INSERT INTO segment SELECT segment, count(*), sum(length + record_length),"
        " max(place + length + record_length), min(id), max(id) FROM message GROUP BY segment"
    )
    end = index.position((messages - 1) // _PER_SEGMENT + 1, 1 << 31)
    for name, value in (
        ("recipients", messages * recipients),
        ("next_id", messages * recipients + 2),
        ("journaled", end),
        ("fresh_from", (messages - _FRESH) * recipients),
    ):
        index.set_meta(connection, name, value)
    connection.execute("COMMIT")
    connection.close()


def _lane(number: int, lanes: int) -> int:
    return 0 if number % 2 else 1 + number // 2 % (lanes - 1)


def _message(number: int, recipients: int, crc: int, sender: str) -> SpooledMessage:
    first = 1 + number * recipients
    segment, place = divmod(number, _PER_SEGMENT)
    return SpooledMessage(
        id=first,
        message_id="",
        rcpts=recipients,
        account="acme",
        reseller="",
        sender=sender,
        mail_from="a@acme.example",
        received_at=datetime.now(UTC),
        flags=Flags.NONE,
        prefix=_PREFIX,
        subject="Hello",
        score=0.1,
        rule="accept",
        crc=crc,
        place=Place(segment + 1, place * (_SIZE + len(_RECORD)), _SIZE),
        record_length=len(_RECORD),
    )


def measure(site: Installation) -> dict[str, float]:
    """Start the relay and look at it."""
    log = (site.folder / "relay.log").open("wb")
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "relay.cli", "--config", str(site.config), "relay"], stdout=log, stderr=log
    )
    try:
        while not is_open(f"127.0.0.1:{site.smtp}", 0.05):
            if process.poll() is not None or time.perf_counter() > began + 60:
                raise SystemExit((site.folder / "relay.log").read_text())
            time.sleep(0.005)
        listening = time.perf_counter() - began
        figures = {"start_seconds": round(listening, 2), "rss_mb_at_start": _rss(process.pid)}
        time.sleep(5)
        figures |= {"rss_mb_after_5_s": _rss(process.pid), "peak_mb": _rss(process.pid, "VmHWM")}
        with ControlClient.of(site.settings) as client:
            for name, ask in (("status", client.status), ("queue", client.queue)):
                asked = time.perf_counter()
                ask()
                figures[f"{name}_ms"] = round((time.perf_counter() - asked) * 1e3, 1)
        return figures
    finally:
        process.terminate()
        process.wait(30)


def _rss(pid: int, field: str = "VmRSS") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{field}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--recipients", type=int, default=5)
    parser.add_argument("--lanes", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailweir-queued-", dir="/var/tmp") as name:
        site = Installation(Path(name))
        site.write(9, model="none")  # nobody listens on the discard port
        build(site.data / "spool", options.messages, options.recipients, options.lanes)
        for _ in range(3):
            print(json.dumps(measure(site)))


if __name__ == "__main__":
    main()
