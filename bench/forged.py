"""Forged and altered proofs in reports: how many does a relay believe, and how many genuine ones?

    python -m bench.forged --tokens 100000

A third each: return paths, X-Mailweir-Ref, Feedback-ID. Half of each are genuine ones altered in 1 to 8 places, or
those of another message, account or sender; half are made up in the right form, with a guessed MAC. They are put to
what the control API asks (relay/evidence/desk.py), over a spool with the messages they are about. Exit code 1 when one
is believed, or a genuine one is not.
"""

import argparse
import asyncio
import base64
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

from bench.verp import DOMAIN, NOW, altered, made_up
from relay.clock import SteppedClock
from relay.delivery.headers import feedback_line, reference
from relay.delivery.verp import Key, Keyring, Traced
from relay.domains.keys import Domain
from relay.evidence.desk import EvidenceDesk
from relay.evidence.suppressing import Suppressing
from relay.evidence.views import CLAIMS_MAX, Claim, ClaimOrder
from relay.returns.paths import ReturnPaths
from relay.settings import Node, Settings, Verp
from relay.tree import Principal, Role
from tests.relay.test_spool import opened, put

_ASKER = Principal("analytics", Role.OPERATOR)
_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_MESSAGES = 200
_WHOSE = [("shop", "shop|mailfrom|shop@shop.example"), ("host", "host|x-authuser|ann@host.example")]


async def play(tokens: int, folder: Path, seed: int = 1) -> dict[str, float]:
    """Put so many forged claims, and 900 genuine ones; the figures."""
    dice = random.Random(seed)
    key, secret, clock = Key(7, dice.randbytes(32), NOW), dice.randbytes(32), SteppedClock(NOW)
    settings = Settings(dir=folder, node=Node(name="mw1"), verp=Verp(domain=DOMAIN))
    paths = ReturnPaths(settings, clock, [key], lambda account, name: Domain(account, name))
    async with opened(folder) as (spool, journal):
        stored = [await put(spool, journal, b"x\r\n", return_domain=DOMAIN) for _ in range(_MESSAGES)]
        desk = EvidenceDesk(secret, paths, spool, cast(Suppressing, None))  # nothing is suppressed here
        make = _Maker(Keyring([key]), secret, [recipient.id for (recipient,) in stored], dice)
        began = time.perf_counter()
        believed = _believed(desk, [make.forged(number) for number in range(tokens)])
        seconds = time.perf_counter() - began
        genuine = [claim for _ in range(300) for claim in make.genuine()]
        known = _believed(desk, genuine)
    figures = {"forged": tokens, "believed": believed, "genuine": len(genuine), "known": known}
    return figures | {"microseconds_each": round(seconds / tokens * 1e6, 1)}


def _believed(desk: EvidenceDesk, claims: list[Claim]) -> int:
    parts = (claims[at : at + CLAIMS_MAX] for at in range(0, len(claims), CLAIMS_MAX))
    return sum(one.is_genuine for part in parts for one in desk.prove(_ASKER, ClaimOrder(claims=part)))


class _Maker:
    """Makes claims about messages of ours."""

    def __init__(self, ring: Keyring, secret: bytes, messages: list[int], dice: random.Random) -> None:
        self._ring, self._secret, self._messages, self._dice = ring, secret, messages, dice

    def genuine(self) -> list[Claim]:
        of = self._of()
        return [
            Claim(kind="return_path", value=self._path().upper()),
            Claim(kind="reference", value=self._reference(of), **of),
            Claim(kind="feedback_id", value=self._feedback(of), **of),
        ]

    def forged(self, number: int) -> Claim:
        """A third each of the kinds; every second one is made up."""
        kinds = (self._forged_path, self._forged_reference, self._forged_feedback)
        return kinds[number % 3](is_made_up=number % 2 == 1)

    def _forged_path(self, *, is_made_up: bool) -> Claim:
        value, other = self._path(), self._path()
        forged = made_up(self._dice) if is_made_up else altered(value, other, self._dice)
        return Claim(kind="return_path", value="b+@" if forged in (value, other) else forged)

    def _forged_reference(self, *, is_made_up: bool) -> Claim:
        of = self._of()
        if is_made_up:
            raw = b"\x01" + of["message_id"].encode() + self._dice.randbytes(10)
            return Claim(kind="reference", value=base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), **of)
        token = self._reference(of)
        match self._dice.randrange(3):
            case 0:  # of another message
                return Claim(kind="reference", value=token, **(of | {"message_id": f"{of['message_id']}0"}))
            case 1:  # of another sender
                return Claim(kind="reference", value=token, **(of | self._other(of)))
            case _:
                return Claim(kind="reference", value=_changed(token, self._dice), **of)

    def _forged_feedback(self, *, is_made_up: bool) -> Claim:
        of = self._of()
        if is_made_up:
            made = ["".join(self._dice.choices("abcdefghijklmnopqrstuvwxyz234567", k=10)) for _ in range(2)]
            return Claim(kind="feedback_id", value=":".join([*made, "0", "mailweir"]), **of)
        line = self._feedback(of)
        if self._dice.randrange(2):
            return Claim(kind="feedback_id", value=line, **(of | self._other(of)))
        return Claim(kind="feedback_id", value=_changed(line[:21], self._dice) + line[21:], **of)

    def _of(self) -> dict[str, str]:
        account, sender = self._dice.choice(_WHOSE)
        return {"message_id": f"mw1.{self._dice.choice(self._messages)}", "account": account, "sender": sender}

    def _other(self, of: dict[str, str]) -> dict[str, str]:
        account, sender = next(pair for pair in _WHOSE if pair[0] != of["account"])
        return {"account": account, "sender": sender}

    def _path(self) -> str:
        return self._ring.return_path(Traced("mw1", self._dice.choice(self._messages), 0), NOW, DOMAIN)

    def _reference(self, of: dict[str, str]) -> str:
        return reference(self._secret, of["message_id"], of["account"], of["sender"])

    def _feedback(self, of: dict[str, str]) -> str:
        line = feedback_line(self._secret, "", of["account"], of["sender"], "mailweir")
        return line.decode().partition(":")[2].strip()


def _changed(token: str, dice: random.Random) -> str:
    letters = [*token]
    for place in dice.sample(range(len(letters)), dice.randint(1, 8)):
        letters[place] = dice.choice([sign for sign in _SIGNS if sign != token[place]])
    return "".join(letters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100_000)
    tokens = parser.parse_args().tokens
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(play(tokens, Path(folder)))
    print(json.dumps(figures))
    sys.exit(1 if figures["believed"] or figures["known"] != figures["genuine"] else 0)


if __name__ == "__main__":
    main()
