"""Mutated real reports through the one reader of all: no exception, at most 0.5 s of CPU a megabyte, 256 MB.

python -m bench.mutate_reports CORPUS... [--count 10000] [--seed 1]

CORPUS: folders of reports and bounces, searched for files. Aggregate reports are mutated inside their gzip or zip as
often as outside. The time is measured against the size of the unpacked content: a packed report is worth reading too.
Prints failures with their seed.
"""

import argparse
import gzip
import io
import random
import resource
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from analytics.reports.reading import read_each
from bench.mutate import mutated

_MOST_SECONDS_A_MEGABYTE = 0.5
_GRANTED_SECONDS = 0.05  # for reports far below a megabyte: the first call of a library, the machine's hiccups
_MOST_MEGABYTES = 256
_LARGEST = 700_000  # bytes of a report that is mutated; a few whole ones of 6 MB would only take time
_HOSTILE = (
    b"<record>" * 3000, b"<!-- " * 3000, b"<![CDATA[" * 2000, b"]]>" * 3000, b"&amp" * 4000, b"&#9" * 4000,
    b"<a b='" * 3000, b"</row>" * 3000, b"<!DOCTYPE x [" * 9, b"<record " * 5000, b"\x00<" * 4000, b"[" * 20_000,
    b'{"policies":' * 3000, b"<count>-1</count>" * 500, b"9" * 20_000, b"PK\x03\x04" * 3000, b"PK\x05\x06" * 2000,
    b"\x1f\x8b\x08" * 3000, b"<" * 20_000, b"Feedback-Type: abuse\r\n" * 900, b"Original-Rcpt-To: a@b\r\n" * 900,
    b"<dkim/>" * 3000, b"<record><row><count>1</count></row></record>" * 500, b"\xff" * 9000, b"<?x " * 3000,
    b"a@" * 9000, b"-" * 20_000, b"\n> " * 6000, b"can " * 5000, b"<a@b.example>:\n" * 1500, b" \t" * 9000,
    b"x:<" * 6000, b"550 5.1.1 " * 2000, b"Final-Recipient: rfc822;a@b\n\n" * 900, b"\n--b" * 6000, b"<style" * 4000,
    b"from: a@b\n" * 2000,
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 300, b"X: y\n" * 9000, b"could not be " * 2000,
)  # fmt: skip


def reports(count: int, seed: int, originals: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield numbered mutated reports; the same seed gives the same."""
    for number in range(count):
        yield number, _one(random.Random(f"{seed}/{number}"), originals)


def failures(mails: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    """Yield number and reason of each report that raised or took too long."""
    for number, content in mails:
        started = time.process_time()
        try:
            for report in read_each(content):
                report.fields()
        except Exception as error:  # what this looks for
            yield number, repr(error)
            continue
        seconds = time.process_time() - started
        if seconds > _GRANTED_SECONDS + _MOST_SECONDS_A_MEGABYTE * _unpacked(content) / 1e6:
            yield number, f"{seconds:.3f} s of CPU for {len(content)} bytes"


def _one(rng: random.Random, originals: list[bytes]) -> bytes:
    inner = mutated(rng, originals)
    if rng.random() < 0.5:
        at = rng.randrange(len(inner) + 1)
        inner = inner[:at] + rng.choice(_HOSTILE) + inner[at:]
    match rng.randrange(5):
        case 0:
            packed = gzip.compress(inner)
        case 1:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("r.xml", inner)
            packed = out.getvalue()
        case _:
            return inner
    return mutated(rng, [packed]) if rng.random() < 0.5 else packed


def _unpacked(content: bytes) -> int:
    if content.startswith(b"PK"):
        return 20 * len(content)
    engine, size = zlib.decompressobj(31), 0
    try:
        for at in range(0, len(content), 1000):
            size += len(engine.decompress(content[at : at + 1000]))
    except zlib.error:
        pass  # no gzip, or damaged here: what came before was read
    return max(size, len(content))


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def main() -> int:
    """Run the bench; the exit status is 1 after a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    files = [path for folder in chosen.corpus for path in sorted(folder.rglob("*")) if path.is_file()]
    originals = [_content(path) for path in files if 0 < path.stat().st_size <= _LARGEST and path.suffix != ".jsonl"]
    started, failed = time.process_time(), 0
    for number, reason in failures(reports(chosen.count, chosen.seed, originals)):
        failed += 1
        print(f"seed {chosen.seed} report {number}: {reason}", flush=True)
    milliseconds = 1000 * (time.process_time() - started) / chosen.count
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{chosen.count} of {len(originals)}: {failed} failures, {milliseconds:.2f} ms of CPU each, {megabytes:.0f} MB"
    )
    return bool(failed) or megabytes > _MOST_MEGABYTES


if __name__ == "__main__":
    sys.exit(main())
