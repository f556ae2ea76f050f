"""Forged and altered return paths: how many does a keyring take for its own?

    python -m bench.verp --tokens 100000

Half are genuine tokens altered in 1 to 8 places (letters, domain, two tokens' parts put together), half are made up
with the right form: the key's id, a message, today's date, and a MAC that was guessed. Exit code 1 when one is taken.
"""

import argparse
import base64
import json
import random
import struct
import sys
import time
from datetime import UTC, datetime

from relay.delivery.verp import Key, Keyring, Traced

DOMAIN = "bounce.shop.example"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
_SIGNS = "abcdefghijklmnopqrstuvwxyz234567"


def play(tokens: int, seed: int = 1) -> dict[str, float]:
    """Offer so many forged return paths; the figures."""
    dice = random.Random(seed)
    ring = Keyring([Key(7, dice.randbytes(32), NOW)])
    taken = 0
    began = time.perf_counter()
    for number in range(tokens):
        genuine = _genuine(ring, dice)
        forged = altered(genuine, _genuine(ring, dice), dice) if number % 2 else made_up(dice)
        taken += forged.lower() != genuine.lower() and ring.read(forged, NOW) is not None
    seconds = time.perf_counter() - began
    genuine = [_genuine(ring, dice) for _ in range(1000)]
    known = sum(ring.read(address.upper(), NOW) is not None for address in genuine)
    return {"forged": tokens, "taken": taken, "genuine": len(genuine), "known": known, "seconds": round(seconds, 2)}


def altered(address: str, other: str, dice: random.Random) -> str:
    """A genuine return path with something changed in it."""
    kind = dice.randrange(4)
    if kind == 0:  # of a neighbouring domain
        return address.replace(DOMAIN, dice.choice(["bounce.shop.example.net", "xbounce.shop.example", "shop.example"]))
    if kind == 1:  # one token's beginning and another's end
        cut = dice.randrange(3, 57)
        return address[:cut] + other[cut:] if address[:cut] != other[:cut] and address[cut:] != other[cut:] else "b+@"
    letters = list(address)
    for _ in range(dice.randint(1, 8)):
        place = dice.randrange(2, 58)
        letters[place] = dice.choice([sign for sign in _SIGNS if sign != address[place]])
    return "".join(letters)


def made_up(dice: random.Random) -> str:
    """A return path of the right form, whose MAC is guessed."""
    day = int(NOW.timestamp()) // 86_400
    payload = struct.pack(">BB11sQHH", 1, 7, bytes(9) + b"\x02\x0f", dice.randrange(1 << 40), 0, day)
    return f"b+{base64.b32encode(payload + dice.randbytes(10)).decode().lower()}@{DOMAIN}"


def _genuine(ring: Keyring, dice: random.Random) -> str:
    return ring.return_path(Traced("mw1", dice.randrange(1 << 40), dice.randrange(100)), NOW, DOMAIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100_000)
    figures = play(parser.parse_args().tokens)
    print(json.dumps(figures))
    sys.exit(1 if figures["taken"] or figures["known"] != figures["genuine"] else 0)


if __name__ == "__main__":
    main()
