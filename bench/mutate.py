"""Mutated real messages through reading, scoring and explaining: no exception, at most 0.5 s of CPU a megabyte.

python -m bench.mutate [--count 100000] [--corpus dev.parquet] [--model shipped] [--seed 1]

Mutations: bytes flipped, cut, repeated, moved between messages; headers, boundaries and encodings exchanged; hostile
tails (deep nesting, endless tags, encoded words, base64 that is none). Prints failures with their seed.
"""

import argparse
import gc
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from relay.content.assess import Assessor
from relay.content.model import load
from relay.content.model_files import find_model
from relay.content.protocol import ContentRequest

_MOST_SECONDS_A_MEGABYTE = 0.5
_GRANTED_SECONDS = 0.05  # for messages far below a megabyte: the first call of a library, the machine's hiccups
_HOSTILE = (
    b"<div>" * 3000, b"<a href='" * 2000, b"=?utf-8?b?" * 500, b"=3D=\r\n" * 2000, b"--b\r\n" * 2000, b"\r\n" * 5000,
    b"\xff\xfe\x00" * 3000, "\u200ba\u0430".encode() * 3000, b"&#x41;" * 3000, b"<!--" * 3000, b"PK\x05\x06" * 2000,
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 300, b"http://" * 3000, b"a.b@" * 3000, b"a4" * 9000,
    b"<style>" * 2000, b"style='display:none " * 1000, b"(((((((" * 2000, b"\xe2\x80\xae" * 4000, b"From: x\r\n" * 900,
)  # fmt: skip
_EXCHANGED = (
    (b"quoted-printable", b"base64"), (b"base64", b"quoted-printable"), (b"text/html", b"text/plain"),
    (b"text/plain", b"text/html"), (b"utf-8", b"utf-7"), (b"iso-8859-1", b"hz"), (b"multipart/", b"message/rfc822;"),
    (b"text/plain", b"application/zip"), (b"\r\n\r\n", b"\r\n"), (b"boundary=", b"boundary*0="), (b"=", b"=="),
)  # fmt: skip


def mutated(rng: random.Random, messages: list[bytes]) -> bytes:
    """Return one message with one to four mutations."""
    data = bytearray(rng.choice(messages))
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0:
                for _ in range(rng.randrange(1, 50)):
                    if data:
                        data[rng.randrange(len(data))] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(1, 2000)]
            case 2:
                data[at:at] = bytes(data[at : at + rng.randrange(1, 300)]) * rng.randrange(1, 40)
            case 3:
                other = rng.choice(messages)
                data[at:] = other[rng.randrange(len(other)) :]
            case 4:
                old, new = rng.choice(_EXCHANGED)
                data = data.replace(old, new, rng.randrange(1, 5))
            case 5:
                data[at:at] = rng.choice(_HOSTILE)
            case _:
                data = data[:at]
    return bytes(data)


def failures(assessor: Assessor, mails: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    """Yield number and reason of each message that raised, was not scored, or took too long."""
    for number, content in mails:
        started = time.process_time()
        [result] = assessor.assess([ContentRequest(content, "a@firm.example", "mx.example", 0.0)])
        seconds = time.process_time() - started
        if result.error or result.score is None or not 0 <= result.score <= 1:
            yield number, result.error or f"score {result.score}"
        elif seconds > _GRANTED_SECONDS + _MOST_SECONDS_A_MEGABYTE * len(content) / 1e6:
            yield number, f"{seconds:.3f} s of CPU for {len(content)} bytes"


def mails(messages: list[bytes], count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Yield numbered mutated messages; the same seed gives the same."""
    for number in range(count):
        yield number, mutated(random.Random(f"{seed}/{number}"), messages)


def main() -> int:
    """Run the bench; the exit status is 1 after a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    import pandas as pd

    raws = pd.read_parquet(chosen.corpus, columns=["raw"]).raw
    messages = [raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for raw in raws]
    gc.freeze()  # the corpus is no rubbish of a message's: looking through it again took 0.06 s of one's time
    started, failed = time.process_time(), 0
    for number, reason in failures(
        Assessor(load(find_model(chosen.model)), {}), mails(messages, chosen.count, chosen.seed)
    ):
        failed += 1
        print(f"seed {chosen.seed} message {number}: {reason}", flush=True)
    milliseconds = 1000 * (time.process_time() - started) / chosen.count
    print(f"{chosen.count} messages, {failed} failures, {milliseconds:.2f} ms of CPU each with their making")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
