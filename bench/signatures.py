"""A thousand varied real messages through the front door: do all signatures hold, by dkimpy and by OpenDKIM?

    python -m bench.signatures --messages 1000

Each carries three: the relay's, and RSA and Ed25519 of a customer's domain. Messages that the front door refuses are
counted apart. Corpora: $MAILWEIR_CORPORA. With --seconds the time of a worker per message is measured instead, by kinds
of keys. Exit code 1 when a signature does not hold.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from relay.content.assess import Assessor
from relay.content.protocol import ContentRequest, CustomerKey, Signer
from relay.delivery.signing.algorithm import Algorithm
from relay.delivery.signing.dkim_keys import generate_key
from tests.interop.corpus import real_mail
from tests.interop.signatures import EXPECTED, by_dkimpy, by_opendkim, opendkim, through_the_relay

ROOT = Path(__file__).resolve().parent.parent


def verify(messages: int) -> dict[str, object]:
    """Sign and verify; the figures."""
    corpora = Path(os.environ.get("MAILWEIR_CORPORA", ROOT.parent / "shared" / "corpora"))
    with tempfile.TemporaryDirectory() as folder:
        signed = through_the_relay(real_mail(corpora, messages), Path(folder))
        good = sum(by_dkimpy(content, signed.keys) == EXPECTED for content in signed.contents)
        found: dict[str, object] = {
            "accepted": len(signed.contents),
            "refused": signed.refused,
            "dkimpy_all_good": good,
        }
        if program := opendkim():
            results = by_opendkim(program, signed.contents, signed.keys, Path(folder) / "opendkim")
            found["opendkim_all_good"] = sum(result == EXPECTED for result in results)
    return found


def worker_milliseconds(rounds: int) -> dict[str, float]:
    """The time of one 10 KB message in a worker without model, the median of some rounds that take turns."""
    rsa, ed, own = generate_key(Algorithm.RSA), generate_key(Algorithm.ED25519), generate_key(Algorithm.RSA)
    customer = {
        "rsa": CustomerKey("acme", "acme.example", "r", rsa),
        "ed": CustomerKey("acme", "acme.example", "e", ed),
    }
    kinds = {
        "unsigned": Assessor(None, {}),
        "one RSA (relay)": Assessor(None, {"own": own}),
        "one RSA (customer)": Assessor(None, {}, [customer["rsa"]]),
        "RSA + Ed25519 (customer)": Assessor(None, {}, [*customer.values()]),
        "two RSA (relay, customer)": Assessor(None, {"own": own}, [customer["rsa"]]),
        "two RSA + Ed25519": Assessor(None, {"own": own}, [*customer.values()]),
    }
    body = b"".join(b"line %d of an ordinary letter, with words\r\n" % number for number in range(230))
    head = b"From: a@acme.example\r\nTo: b@d.example\r\nSubject: x\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n"
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, assessor in kinds.items():
            sign = [Signer("relay.example", "mw1", "own")] if "relay" in name or name.startswith("two") else []
            batch = [ContentRequest(head + body, "a@b", "h", time.time(), sign=sign, account="acme")] * 16
            began = time.process_time()
            assessor.assess(batch)
            spent[name].append((time.process_time() - began) / 16 * 1000)
    return {name: round(statistics.median(times), 3) for name, times in spent.items()}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--seconds", action="store_true")
    options = parser.parse_args()
    found: dict[str, object] = dict(worker_milliseconds(60)) if options.seconds else verify(options.messages)
    print(json.dumps(found))
    return int(any(found[name] != found["accepted"] for name in found if name.endswith("good")))


if __name__ == "__main__":
    sys.exit(main())
